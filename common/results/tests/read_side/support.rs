//! Waiting for a condition, with a deadline; and a writer that does what a sink does.

use std::{future::Future, time::Duration};

use flk_contract::{LogTime, Settled, Tenant};
use flk_results::{
    Entry,
    read_side::{
        Batch, Lookup, Published, ReadSide, ReadSideError, Reason,
        conformance::{PARTITION, entry, id_of, subject},
    },
};
use tokio::time::{Instant, timeout_at};

const SOON: Duration = Duration::from_secs(20);

/// Asks until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(claim: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + SOON;
    let asked = async {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        loop {
            again.tick().await;
            if holds().await {
                return;
            }
        }
    };
    timeout_at(deadline, asked).await.unwrap_or_else(|_| panic!("not in {SOON:?}: {claim}"));
}

/// What a sink knows of a partition: at offset n, result number n was settled.
pub(crate) struct Sink {
    pub(crate) entries: Vec<Entry>,
    at: LogTime,
}

impl Sink {
    /// One of results whose records came at that time.
    pub(crate) fn new(at: LogTime) -> Self {
        Self { entries: Vec::new(), at }
    }

    pub(crate) fn end(&self) -> i64 {
        i64::try_from(self.entries.len()).unwrap()
    }

    /// Settles so many more, and sends them.
    pub(crate) async fn go_on(&mut self, side: &impl ReadSide, more: i64) -> Result<Published, ReadSideError> {
        let from = self.end();
        self.settle(more);
        self.send(side, from, self.end()).await
    }

    /// Settles so many more, and sends nothing yet.
    pub(crate) fn settle(&mut self, more: i64) {
        let (from, to) = (self.end(), self.end() + more);
        self.entries.extend((from..to).map(|n| entry(&subject(), PARTITION, n.unsigned_abs(), n, self.at)));
    }

    pub(crate) async fn send(&self, side: &impl ReadSide, from: i64, to: i64) -> Result<Published, ReadSideError> {
        let entries = &self.entries[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
        side.publish(&Batch { partition: PARTITION, from, to, end: self.end(), entries }).await
    }

    /// What an idle partition sends every few seconds.
    pub(crate) async fn idle(&self, side: &impl ReadSide) -> Result<Published, ReadSideError> {
        self.send(side, self.end(), self.end()).await
    }

    /// Brings the read side back out of what it has, as far as that goes without an error.
    pub(crate) async fn heal(&self, side: &impl ReadSide) -> Result<Published, ReadSideError> {
        let mut told = self.idle(side).await?;
        while told.next < self.end() {
            told = self.send(side, told.next, self.end().min(told.next + 100)).await?;
        }
        Ok(told)
    }

    /// Checks that everything is there.
    pub(crate) async fn assert_all(&self, side: &impl ReadSide) {
        for n in 0..self.end() {
            assert_eq!(find(side, n).await, Ok(Lookup::Hit(Box::new(self.settled(n)))), "{n}");
        }
        assert_eq!(find(side, self.end()).await, Ok(Lookup::Miss { ready: true }));
    }

    pub(crate) fn settled(&self, n: i64) -> Settled {
        self.entries[usize::try_from(n).unwrap()].settled.clone()
    }
}

/// Reads result number n.
pub(crate) async fn find(side: &impl ReadSide, n: i64) -> Result<Lookup, ReadSideError> {
    let tenant = Tenant::default_tenant();
    side.read(&tenant, &id_of(&subject(), &tenant, PARTITION, n.unsigned_abs())).await
}

/// Why the read side is away, and what it says to that.
pub(crate) fn away<T: std::fmt::Debug>(answer: Result<T, ReadSideError>) -> (Reason, String) {
    match answer {
        Err(ReadSideError::Away { reason, detail }) => (reason, detail),
        other => panic!("{other:?}"),
    }
}

pub(crate) const fn published(next: i64, ready: bool) -> Published {
    Published { next, ready }
}

/// That it fails at once while the server is away, and by itself goes on when it is back.
pub(crate) async fn fails_at_once_and_recovers<S: ReadSide>(
    side: &S,
    sink: &mut Sink,
    go: impl FnOnce(),
    come: impl FnOnce(),
) {
    sink.heal(side).await.unwrap();
    go();
    // The first ones find out.
    away(find(side, 0).await);
    away(sink.idle(side).await);
    sink.settle(3);
    let began = Instant::now();
    for _ in 0..500 {
        let (reason, detail) = away(find(side, 0).await);
        assert_eq!(reason, Reason::Unreachable, "{detail}");
        assert_eq!(away(sink.idle(side).await).0, Reason::Unreachable);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "1000 calls took {took:?}: they do not wait");
    come();
    until("it is written again", async || sink.heal(side).await == Ok(published(sink.end(), true))).await;
    until("it is read again", async || find(side, 0).await.is_ok()).await;
    sink.assert_all(side).await;
}

/// That no call takes longer than its deadline while the server hangs, and by itself goes on after.
pub(crate) async fn gives_up_in_time_and_recovers<S: ReadSide>(
    side: &S,
    deadline: Duration,
    sink: &mut Sink,
    hang: impl FnOnce(),
    go_on: impl FnOnce(),
) {
    sink.heal(side).await.unwrap();
    hang();
    sink.settle(3);
    let began = Instant::now();
    // Many at a time, for that is how they come.
    for _ in 0..3 {
        let calls = (0..40).map(async |n| {
            let began = Instant::now();
            let reason = if n % 2 == 0 { away(find(side, 0).await).0 } else { away(sink.heal(side).await).0 };
            assert_eq!(reason, Reason::Deadline);
            began.elapsed()
        });
        for took in join(calls).await {
            assert!(took < deadline + Duration::from_millis(250), "{took:?}");
        }
    }
    assert!(began.elapsed() < 3 * (deadline + Duration::from_millis(250)), "nobody waits for another");
    go_on();
    until("it is written again", async || sink.heal(side).await == Ok(published(sink.end(), true))).await;
    until("it is read again", async || find(side, 0).await.is_ok()).await;
    sink.assert_all(side).await;
}

/// All of them at the same time.
pub(crate) async fn join<F: Future>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut calls: Vec<_> = calls.into_iter().map(|call| (Box::pin(call), None)).collect();
    std::future::poll_fn(move |context| {
        for (call, done) in &mut calls {
            if done.is_none()
                && let std::task::Poll::Ready(output) = call.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if calls.iter().any(|(_, done)| done.is_none()) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(calls.iter_mut().filter_map(|(_, done)| done.take()).collect())
    })
    .await
}
