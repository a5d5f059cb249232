//! Accepting, whatever the system says. An error of one connection is skipped; one of the process
//! (no descriptors, no memory) is waited out, longer each time, and logged when it begins and when
//! it is over: the next attempt would fail at once, and so would the one after it.

use core::time::Duration;
use std::io;

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Listener {
    listener: TcpListener,
    backoff: Backoff,
    /// Kept here, so that an attempt that was dropped half-way does not start its pause anew.
    not_before: Option<Instant>,
}

impl Listener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, backoff: Backoff::default(), not_before: None }
    }

    /// The next connection. May be dropped at any time: no connection is lost.
    pub(super) async fn accept(&mut self) -> TcpStream {
        loop {
            if let Some(time) = self.not_before {
                sleep_until(time).await;
                self.not_before = None;
            }
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if self.backoff.recovered() {
                        tracing::info!("connections are accepted again");
                    }
                    return stream;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    let (pause, news) = self.backoff.failed();
                    if news {
                        tracing::error!(
                            %error,
                            "connections can not be accepted; raise the limit of open files (ulimit -n) if it is that"
                        );
                    }
                    self.not_before = Some(Instant::now() + pause);
                }
            }
        }
    }
}

/// How long to wait before the next attempt.
#[derive(Debug, Default)]
struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The pause, and whether the failure is news.
    fn failed(&mut self) -> (Duration, bool) {
        let news = self.last.is_none();
        let pause = self.last.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.last = Some(pause);
        (pause, news)
    }

    /// Returns whether that is news.
    fn recovered(&mut self) -> bool {
        self.last.take().is_some()
    }
}

/// The client went away before it was accepted, or the network did.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(
        error.kind(),
        E::ConnectionAborted
            | E::ConnectionReset
            | E::ConnectionRefused
            | E::Interrupted
            | E::NetworkDown
            | E::NetworkUnreachable
            | E::HostUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_waited_out_longer_each_time_and_told_once() {
        let mut backoff = Backoff::default();
        assert!(!backoff.recovered());
        let failures: Vec<_> = (0..10).map(|_| backoff.failed()).collect();
        assert!(failures.is_sorted_by_key(|(pause, _)| *pause), "{failures:?}");
        assert_eq!((failures[0], failures[9].0), ((FIRST_PAUSE, true), LONGEST_PAUSE));
        assert!(failures[1..].iter().all(|(_, news)| !news), "{failures:?}");
        assert!(backoff.recovered());
        assert!(!backoff.recovered());
        assert_eq!(backoff.failed(), (FIRST_PAUSE, true));
    }

    #[test]
    fn errors_of_the_process_are_not_taken_for_errors_of_a_connection() {
        const EMFILE: i32 = 24;
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(EMFILE)));
        assert!(is_of_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    }
}
