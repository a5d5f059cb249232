//! Connections that can not be made, that break, and that never answer; on a clock that is moved.

use core::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, sleep};

use super::*;

/// What the server does.
#[derive(Clone, Copy)]
enum Does {
    /// Answers.
    Answers,
    /// Does not take connections.
    Refuses,
    /// Takes connections and says nothing.
    Hangs,
    /// Takes none, and says nothing to it.
    Swallows,
}

#[derive(Clone)]
struct Server(Arc<(Mutex<Does>, AtomicUsize)>);

impl Server {
    fn new(does: Does) -> Self {
        Self(Arc::new((Mutex::new(does), AtomicUsize::new(0))))
    }

    fn set(&self, does: Does) {
        *self.0.0.lock().unwrap() = does;
    }

    fn does(&self) -> Does {
        *self.0.0.lock().unwrap()
    }

    fn attempts(&self) -> usize {
        self.0.1.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Connect for Server {
    type Connection = Self;

    async fn connect(&self) -> Result<Self, ReadSideError> {
        self.0.1.fetch_add(1, Ordering::Relaxed);
        match self.does() {
            Does::Answers | Does::Hangs => Ok(self.clone()),
            Does::Refuses => Err(ReadSideError::away(Reason::Unreachable, "refused")),
            Does::Swallows => std::future::pending().await,
        }
    }
}

const DEADLINE: Duration = Duration::from_millis(500);

/// One call: whether it had an answer, and how long that took.
async fn ask(link: &Link<Server>) -> (Result<(), Reason>, Duration) {
    let began = Instant::now();
    let answer = link.call(began + DEADLINE, |server| async move {
        match server.does() {
            Does::Answers => Ok(()),
            Does::Refuses => Err(Failed::broken(Reason::Unreachable, "broken")),
            Does::Hangs | Does::Swallows => std::future::pending().await,
        }
    });
    let answer = answer.await.map_err(|error| match error {
        ReadSideError::Away { reason, .. } => reason,
        ReadSideError::Refused(why) => panic!("{why}"),
    });
    (answer, began.elapsed())
}

fn link(does: Does) -> (Server, Link<Server>) {
    let server = Server::new(does);
    (server.clone(), Link::new(server, DEADLINE))
}

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn one_connection_serves_all_and_one_that_worked_is_made_again_at_once() {
    let (server, link) = link(Does::Answers);
    for _ in 0..5 {
        assert_eq!(ask(&link).await, (Ok(()), Duration::ZERO));
    }
    assert_eq!(server.attempts(), 1);
    server.set(Does::Refuses);
    assert_eq!(ask(&link).await.0, Err(Reason::Unreachable));
    server.set(Does::Answers);
    assert_eq!(ask(&link).await, (Ok(()), Duration::ZERO));
    assert_eq!(server.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_away_calls_fail_at_once_and_attempts_get_rarer() {
    let (server, link) = link(Does::Refuses);
    for _ in 0..60_000 {
        assert_eq!(ask(&link).await, (Err(Reason::Unreachable), Duration::ZERO));
        advance(MS).await;
    }
    // At 0, 50, 150, 350, 750 and 1550 ms, and then every two seconds of the minute.
    assert_eq!(server.attempts(), 6 + 29);
    server.set(Does::Answers);
    let mut waited = Duration::ZERO;
    while ask(&link).await.0.is_err() {
        advance(MS).await;
        waited += MS;
    }
    assert!(waited <= 2000 * MS, "{waited:?}");
}

/// Taking a connection is no sign of life.
#[tokio::test(start_paused = true)]
async fn of_one_that_hangs_most_calls_hear_so_at_once() {
    let (server, link) = link(Does::Answers);
    assert_eq!(ask(&link).await.0, Ok(()));
    server.set(Does::Hangs);
    let began = Instant::now();
    let (mut calls, mut slow) = (0, 0);
    while began.elapsed() < Duration::from_mins(1) {
        let (answer, took) = ask(&link).await;
        assert_eq!(answer, Err(Reason::Deadline));
        assert!(took <= DEADLINE);
        calls += 1;
        slow += usize::from(!took.is_zero());
        sleep(10 * MS).await;
    }
    assert!(slow <= 30 && calls > 50 * slow, "{slow} of {calls} calls waited");
    server.set(Does::Answers);
    sleep(2000 * MS).await;
    assert_eq!(ask(&link).await, (Ok(()), Duration::ZERO));
}

/// Where nothing comes back at all, not even a refusal.
#[tokio::test(start_paused = true)]
async fn an_attempt_is_waited_for_a_deadline_at_first_and_hardly_later() {
    let (server, link) = link(Does::Swallows);
    assert_eq!(ask(&link).await, (Err(Reason::Deadline), DEADLINE));
    // It goes on for five seconds; whoever comes meanwhile waits for the same one.
    assert_eq!(ask(&link).await, (Err(Reason::Deadline), DEADLINE));
    assert_eq!(server.attempts(), 1);
    sleep(4100 * MS).await;
    assert_eq!(ask(&link).await, (Err(Reason::Deadline), Duration::ZERO));
    sleep(50 * MS).await;
    assert_eq!(ask(&link).await, (Err(Reason::Deadline), RECONNECTING));
    assert_eq!(ask(&link).await, (Err(Reason::Deadline), Duration::ZERO));
    assert_eq!(server.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_leaves_nothing_behind() {
    let (server, link) = link(Does::Swallows);
    assert!(timeout(MS, ask(&link)).await.is_err());
    server.set(Does::Answers);
    // The attempt that it began goes on, and is the only one.
    assert_eq!(ask(&link).await.0, Err(Reason::Deadline));
    sleep(5000 * MS).await;
    while ask(&link).await.0.is_err() {
        sleep(10 * MS).await;
    }
    assert_eq!(server.attempts(), 2);
    let kept = Arc::downgrade(&server.0);
    drop((server, link));
    tokio::task::yield_now().await;
    assert!(kept.upgrade().is_none(), "no task holds it");
}
