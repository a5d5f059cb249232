//! Sends one document until it is answered: every attempt with a deadline, retries bounded.
//!
//! Retrying a summary is always safe: the same record again is a duplicate, never a second result.
//! `Retry-After` is about the service and not about one record, so that all senders wait for it
//! together, and then each a little longer by chance, so that they do not come back as one.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use flk_contract::Tenant;
use ureq::{Agent, http::HeaderMap};

use crate::http;

/// The longest chance wait.
const JITTER_MAX: Duration = Duration::from_secs(10);
/// The chance wait after the first attempt is at most this; it doubles with each.
const JITTER_MIN: Duration = Duration::from_millis(250);
/// Answers are small; one that is not is cut off.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// How patient to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For each attempt.
    pub(super) deadline: Duration,
    /// Attempts after the first.
    pub(super) retries: u32,
    /// The longest wait that a service may ask for.
    pub(super) longest_wait: Duration,
}

/// What became of one document.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) attempts: u32,
    pub(super) end: End,
}

#[derive(Debug)]
pub(super) enum End {
    /// The service answered, and trying again would change nothing.
    Answer { status: u16, body: Vec<u8> },
    /// The service could not take it, as often as it was tried: its last answer.
    Unavailable { status: u16, body: Vec<u8>, why: String },
    /// There was no answer.
    Silence { why: String },
}

/// A client of one service, shared by all that send.
pub(super) struct Client {
    agent: Agent,
    url: String,
    tenant: Option<Tenant>,
    patience: Patience,
    /// Nobody sends before this.
    not_before: Mutex<Option<Instant>>,
}

impl Client {
    pub(super) fn new(url: String, tenant: Option<Tenant>, in_flight: usize, patience: Patience) -> Self {
        let agent = http::agent(patience.deadline, in_flight, http::Via::Environment);
        Self { agent, url, tenant, patience, not_before: Mutex::new(None) }
    }

    /// Sends the bytes as they are.
    pub(super) fn send(&self, document: &[u8]) -> Sent {
        let mut attempts = 0;
        loop {
            self.wait(attempts);
            attempts += 1;
            let last = attempts > self.patience.retries;
            let end = match self.attempt(document) {
                Ok(answer) if !again(answer.status) => {
                    return Sent { attempts, end: End::Answer { status: answer.status, body: answer.body } };
                }
                Ok(Answer { status, body, retry_after }) => match retry_after {
                    Some(wait) if wait > self.patience.longest_wait => {
                        let why =
                            format!("the service asks to come back after {} s, longer than --max-wait", wait.as_secs());
                        return Sent { attempts, end: End::Unavailable { status, body, why } };
                    }
                    wait => {
                        self.hold(wait.unwrap_or_default());
                        let why = format!("tried {attempts} times");
                        End::Unavailable { status, body, why }
                    }
                },
                Err(error) => End::Silence { why: format!("no answer from {}: {error}", self.url) },
            };
            if last {
                return Sent { attempts, end };
            }
        }
    }

    fn attempt(&self, document: &[u8]) -> Result<Answer, ureq::Error> {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(tenant) = &self.tenant {
            request = request.header("x-tenant-id", tenant.as_str());
        }
        let mut response = request.send(document)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Answer { status, body, retry_after })
    }

    /// Holds everybody back for a time from now, if that is longer than they wait already.
    fn hold(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        if not_before.is_none_or(|already| already < until) {
            *not_before = Some(until);
        }
    }

    /// Waits until everybody may send; and, for an attempt that is not the first or after such a
    /// wait, a little longer by chance.
    fn wait(&self, attempts: u32) {
        let mut waited = attempts > 0;
        let mut chance = chance(attempts);
        loop {
            let not_before = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            let left = not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
            waited |= !left.is_zero();
            let wait = left + if waited { core::mem::take(&mut chance) } else { Duration::ZERO };
            if wait.is_zero() {
                return;
            }
            thread::sleep(wait);
        }
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    retry_after: Option<Duration>,
}

/// Whether a status says: not now.
fn again(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 502 | 503 | 504)
}

/// Seconds, as our services write them. A date, which some proxies write, is not read: then the
/// wait is the chance one.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after")?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// A random time up to a bound that doubles with the attempts ("full jitter").
fn chance(attempts: u32) -> Duration {
    let bound = JITTER_MIN.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(JITTER_MAX);
    // Without random numbers the whole bound is waited.
    bound.mul_f64(getrandom::u32().map_or(1.0, |n| f64::from(n) / f64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_waits_stay_within_a_bound_that_doubles_and_ends() {
        for (attempts, most) in [(0, 250), (1, 250), (2, 500), (3, 1000), (7, 10_000), (u32::MAX, 10_000)] {
            assert!((0..100).all(|_| chance(attempts) <= Duration::from_millis(most)), "{attempts}");
        }
    }

    #[test]
    fn a_wait_is_seconds_and_a_date_is_none() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("10"), Some(Duration::from_secs(10)));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(read("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
