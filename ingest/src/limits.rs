//! Every bound of the HTTP side in one place. These are settings: the bounds of a record are
//! constants of the contract ([`flk_contract::limits`]).

use core::time::Duration;

/// How much is taken on at a time, and how long anybody may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; one more is told 503 and closed. Each needs a file descriptor.
    pub connections: usize,
    /// From the end of one request (or the connection's start) to the end of the next one's
    /// header: bounds slow and idle clients alike.
    pub header_read: Duration,
    /// From the end of a header to the end of its body.
    pub body_read: Duration,
    /// How long a client may refuse to take any byte of an answer.
    pub write_stall: Duration,
    /// Submissions in flight; one more is told 503.
    pub requests: usize,
    /// Bytes of submitted bodies in memory, a body of unknown length counting as the largest until
    /// it is there. At least one largest body is always let in.
    pub bytes: usize,
    /// Bytes of submitted bodies a second, in bursts of up to twice that; `None` is no limit. At least
    /// one largest body a second is always let in.
    pub byte_rate: Option<u32>,
    /// Submissions a second, in bursts of up to twice that; 0 is no limit (`TOKEN_RATE`).
    pub token_rate: u32,
    /// How long a submission that says nothing else waits for its verdict, and a GET for the read side.
    pub answer: Duration,
    /// How long requests in flight may take to finish once the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            header_read: Duration::from_secs(30),
            body_read: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            requests: 4096,
            bytes: 64 * 1024 * 1024,
            // What a gigabit brings.
            byte_rate: Some(128 * 1024 * 1024),
            token_rate: 1000,
            answer: Duration::from_secs(10),
            drain: Duration::from_secs(15),
        }
    }
}
