//! Admission: who is let in before a byte of a body is read.
//!
//! Requests and bytes, each in flight and a second. What is over them is turned away
//! with a few instructions and a counter: under overload nothing else may cost anything.
//!
//! A request is in flight until it is answered or its client has gone. Its bytes are in flight for
//! as long as anybody holds its body: a record that waits for a log that stalls takes memory also
//! when nobody waits for its answer any more.

use core::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
};
use std::sync::Arc;

use bytes::Bytes;
use flk_contract::limits::BODY_BYTES_MAX;
use flk_service::metrics::{Metrics, Shed};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::{
    limits::Limits,
    refusal::{Kind, Refusal},
};

/// The least rate of bytes: one largest body a second is always let in.
const BYTE_RATE_MIN: u32 = BODY_BYTES_MAX as u32;

/// Lets submissions in, or not.
pub(crate) struct Admission {
    rate: Option<DefaultDirectRateLimiter>,
    byte_rate: Option<DefaultDirectRateLimiter>,
    requests: Gate,
    bytes: Gate,
    metrics: Arc<Metrics>,
}

/// A number in use that never exceeds another.
struct Gate {
    used: AtomicUsize,
    most: usize,
}

impl Gate {
    fn take(&self, n: usize) -> bool {
        let grown = |used: usize| used.checked_add(n).filter(|sum| *sum <= self.most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }

    fn give(&self, n: usize) {
        self.used.fetch_sub(n, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let limiter = |rate: u32| {
            let rate = NonZeroU32::new(rate)?;
            let burst = rate.saturating_add(rate.get());
            Some(RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)))
        };
        Self {
            rate: limiter(limits.token_rate),
            byte_rate: limiter(limits.byte_rate.map_or(0, |rate| rate.max(BYTE_RATE_MIN))),
            requests: Gate { used: AtomicUsize::new(0), most: limits.requests },
            bytes: Gate { used: AtomicUsize::new(0), most: limits.bytes.max(BODY_BYTES_MAX) },
            metrics,
        }
    }

    /// Lets one submission in. `declared` is the length of its body, where the client said it.
    ///
    /// # Errors
    /// A refusal by the rate, the size, the requests in flight, or the bytes, in this order.
    pub(crate) fn enter(self: &Arc<Self>, declared: Option<u64>) -> Result<Permit<'_>, Refusal> {
        if self.rate.as_ref().is_some_and(|rate| rate.check().is_err()) {
            return Err(self.shed(Shed::Rate, Kind::RateLimited));
        }
        let length = match declared {
            Some(length) => usize::try_from(length).ok().filter(|length| *length <= BODY_BYTES_MAX),
            None => Some(BODY_BYTES_MAX),
        };
        let Some(length) = length else { return Err(Refusal::new(Kind::BodyTooLarge)) };
        if !self.requests.take(1) {
            return Err(self.shed(Shed::Requests, Kind::TooManyRequests));
        }
        if !self.bytes.take(length) {
            self.requests.give(1);
            return Err(self.shed(Shed::Bytes, Kind::TooManyBytes));
        }
        if !self.passes(length) {
            self.bytes.give(length);
            self.requests.give(1);
            return Err(self.shed(Shed::Bytes, Kind::TooManyBytes));
        }
        self.metrics.requests_in_flight.inc();
        self.metrics.bytes_in_flight.add(gauge(length));
        Ok(Permit { turn: Turn(self), share: Share { admission: self.clone(), bytes: length } })
    }

    /// Whether so many bytes more may come this second. A body of unknown length counts as the largest.
    fn passes(&self, length: usize) -> bool {
        let (Some(rate), Some(length)) = (&self.byte_rate, u32::try_from(length).ok().and_then(NonZeroU32::new)) else {
            return true;
        };
        // More than a burst at a time can not be: a burst is at least one largest body.
        rate.check_n(length).is_ok_and(|passed| passed.is_ok())
    }

    pub(crate) fn shed(&self, reason: Shed, kind: Kind) -> Refusal {
        self.metrics.shed(reason);
        Refusal::new(kind)
    }
}

/// A submission that was let in, and whose body is still to come.
pub(crate) struct Permit<'a> {
    turn: Turn<'a>,
    share: Share,
}

impl<'a> Permit<'a> {
    /// The body that came, as everybody may hold it, and the place of its request. What a body of
    /// unknown length turned out not to need is given back at once.
    pub(crate) fn hold(mut self, body: Vec<u8>) -> (Turn<'a>, Bytes) {
        self.share.shrink(body.len());
        (self.turn, Bytes::from_owner(Held { body, _share: self.share }))
    }
}

/// A request in flight, until this is dropped.
pub(crate) struct Turn<'a>(&'a Admission);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.requests.give(1);
        self.0.metrics.requests_in_flight.dec();
    }
}

/// Bytes in flight, until this is dropped.
struct Share {
    admission: Arc<Admission>,
    bytes: usize,
}

impl Share {
    fn shrink(&mut self, length: usize) {
        let over = self.bytes.saturating_sub(length);
        if over > 0 {
            self.give(over);
        }
    }

    fn give(&mut self, n: usize) {
        self.bytes -= n;
        self.admission.bytes.give(n);
        self.admission.metrics.bytes_in_flight.sub(gauge(n));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give(self.bytes);
    }
}

/// A body and its share, dropped together with the last clone of the body, wherever that is.
struct Held {
    body: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admission(requests: usize, bytes: usize, token_rate: u32) -> Arc<Admission> {
        Arc::new(Admission::new(&Limits { requests, bytes, token_rate, ..Limits::default() }, Metrics::new()))
    }

    fn refused(admission: &Arc<Admission>, declared: Option<u64>) -> Option<Kind> {
        admission.enter(declared).err().map(|refusal| refusal.kind)
    }

    #[test]
    fn each_limit_refuses_by_its_own_name() {
        let two_requests = admission(2, 8 * BODY_BYTES_MAX, 0);
        let held = [two_requests.enter(Some(1)), two_requests.enter(None)];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(refused(&two_requests, Some(1)), Some(Kind::TooManyRequests));
        assert_eq!(refused(&two_requests, Some(BODY_BYTES_MAX as u64 + 1)), Some(Kind::BodyTooLarge));
        drop(held);
        assert_eq!(refused(&two_requests, Some(1)), None);

        let one_body = admission(9, 0, 0);
        let permit = one_body.enter(None).ok().unwrap();
        assert_eq!(refused(&one_body, Some(1)), Some(Kind::TooManyBytes));
        let _held = permit.hold(vec![0; 10]);
        assert_eq!(refused(&one_body, Some(1)), None);
        assert_eq!(one_body.metrics.bytes_in_flight.get(), 10);

        let limits = Limits { byte_rate: Some(1), token_rate: 0, ..Limits::default() };
        let one_body_a_second = Arc::new(Admission::new(&limits, Metrics::new()));
        for _ in 0..2 {
            assert_eq!(refused(&one_body_a_second, Some(BODY_BYTES_MAX as u64)), None, "a burst is twice that");
        }
        assert_eq!(refused(&one_body_a_second, None), Some(Kind::TooManyBytes));
        assert_eq!(refused(&one_body_a_second, Some(0)), None);
        assert_eq!(one_body_a_second.bytes.used.load(Ordering::Relaxed), 0, "what is refused is given back");
        assert_eq!(one_body_a_second.requests.used.load(Ordering::Relaxed), 0);

        let two_a_second = admission(9, 0, 1);
        assert_eq!(refused(&two_a_second, Some(1)), None);
        assert_eq!(refused(&two_a_second, Some(1)), None);
        assert_eq!(refused(&two_a_second, Some(1)), Some(Kind::RateLimited));
        assert_eq!(two_a_second.metrics.requests_in_flight.get(), 0);
    }

    #[test]
    fn a_body_is_in_flight_until_its_last_holder_lets_go_also_without_its_request() {
        let admission = admission(1, 0, 0);
        let (turn, body) = admission.enter(Some(BODY_BYTES_MAX as u64)).ok().unwrap().hold(vec![b'x'; BODY_BYTES_MAX]);
        let (queued, part) = (body.clone(), body.slice(7..9));
        drop((turn, body));
        assert_eq!(refused(&admission, Some(1)), Some(Kind::TooManyBytes), "the request is over, its body is not");
        drop(queued);
        assert_eq!((refused(&admission, Some(1)), &part[..]), (Some(Kind::TooManyBytes), b"xx".as_slice()));
        drop(part);
        assert_eq!(refused(&admission, Some(BODY_BYTES_MAX as u64)), None);
        assert_eq!(admission.metrics.bytes_in_flight.get(), 0);
    }

    /// What becomes of one that was let in.
    enum In<'a> {
        Asking(Permit<'a>),
        Waiting { _turn: Turn<'a>, body: Bytes },
        Gone(Bytes),
    }

    impl In<'_> {
        fn bytes(&self) -> usize {
            match self {
                In::Asking(permit) => permit.share.bytes,
                In::Waiting { body, .. } | In::Gone(body) => body.len(),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_given_back(
            steps in prop::collection::vec((prop::option::of(0_u64..2_000_000), 0..3_u8, any::<prop::sample::Index>()), 0..40),
        ) {
            let admission = admission(5, 3_000_000, 0);
            let mut held = Vec::new();
            for (declared, step, which) in steps {
                match admission.enter(declared) {
                    Ok(permit) => held.push(In::Asking(permit)),
                    Err(_) if held.is_empty() => {}
                    Err(_) => drop(held.swap_remove(which.index(held.len()))),
                }
                if !held.is_empty() && step > 0 {
                    let next = match held.swap_remove(which.index(held.len())) {
                        In::Asking(permit) => {
                            // A body is never longer than what was taken for it.
                            let body = vec![0; permit.share.bytes / 2 * usize::from(step)];
                            let (_turn, body) = permit.hold(body);
                            In::Waiting { _turn, body }
                        }
                        In::Waiting { body, .. } | In::Gone(body) => In::Gone(body),
                    };
                    held.push(next);
                }
                let bytes: usize = held.iter().map(In::bytes).sum();
                let requests = held.iter().filter(|one| !matches!(one, In::Gone(_))).count();
                prop_assert_eq!(admission.bytes.used.load(Ordering::Relaxed), bytes);
                prop_assert_eq!(admission.requests.used.load(Ordering::Relaxed), requests);
                prop_assert_eq!(admission.metrics.bytes_in_flight.get(), bytes as i64);
                prop_assert!(requests <= 5 && bytes <= 3_000_000);
            }
            held.clear();
            prop_assert_eq!(admission.bytes.used.load(Ordering::Relaxed), 0);
            prop_assert_eq!(admission.metrics.requests_in_flight.get(), 0);
        }
    }
}
