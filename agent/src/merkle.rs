//! The Merkle root of the raw data: SHA-256 over its chunks, then pairwise SHA-256 over the two
//! *hex strings* joined. An odd node is paired with itself; no data gives 64 zeros.
//!
//! Streaming: what is kept is one chunk's running hash and one node a level.

use sha2::{Digest, Sha256};

/// The root of no data at all.
pub const EMPTY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Takes bytes in any portions, and gives their root for one chunk size.
pub struct Merkle {
    chunk_bytes: usize,
    chunk: Sha256,
    filled: usize,
    /// At each level the finished left node that waits for its right one.
    waiting: Vec<Option<String>>,
}

impl Merkle {
    /// A tree over chunks of this many bytes (at least one: zero is taken as one).
    pub fn new(chunk_bytes: usize) -> Self {
        Self { chunk_bytes: chunk_bytes.max(1), chunk: Sha256::new(), filled: 0, waiting: Vec::new() }
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.chunk_bytes - self.filled));
            self.chunk.update(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == self.chunk_bytes {
                self.close_chunk();
            }
        }
    }

    fn close_chunk(&mut self) {
        let mut node = hex::encode(self.chunk.finalize_reset());
        self.filled = 0;
        for level in &mut self.waiting {
            match level.take() {
                Some(left) => node = pair(&left, &node),
                None => {
                    *level = Some(node);
                    return;
                }
            }
        }
        self.waiting.push(Some(node));
    }

    /// The root, in lower-case hex.
    pub fn finish(mut self) -> String {
        if self.filled > 0 {
            self.close_chunk();
        }
        let top = self.waiting.len();
        // The last node of the level below, where that level had an odd number of nodes.
        let mut carried: Option<String> = None;
        for (level, waiting) in (1..).zip(self.waiting) {
            carried = match (waiting, carried) {
                (Some(left), Some(right)) => Some(pair(&left, &right)),
                // The top level has one node, unless two were just joined into one above it.
                (Some(only), None) if level == top => Some(only),
                (Some(odd), None) | (None, Some(odd)) => Some(pair(&odd, &odd)),
                (None, None) => None,
            };
        }
        carried.unwrap_or_else(|| EMPTY.to_owned())
    }
}

fn pair(left: &str, right: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(left.as_bytes());
    hash.update(right.as_bytes());
    hex::encode(hash.finalize())
}
