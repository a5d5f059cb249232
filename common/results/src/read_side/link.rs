//! One connection to a server, shared by all who ask: made when it is needed, again when it broke,
//! never more often than its back-off says, and never waited for beyond a caller's deadline.
//!
//! While the server is away a call fails at once, with what the last attempt said; nothing queues
//! up. An attempt goes on when the caller who began it has given up: a handshake that takes longer
//! than one call's deadline must come to its end some time.

use core::time::Duration;
use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{ReadSideError, Reason};

/// Between two attempts: at first, and at the most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// For one attempt, handshakes included.
const CONNECTING: Duration = Duration::from_secs(5);

/// How connections are made.
#[async_trait::async_trait]
pub(crate) trait Connect: Send + Sync + 'static {
    /// A handle on a connection: clones share it, and the last one closes it.
    type Connection: Clone + Send + Sync + 'static;

    /// Makes one.
    async fn connect(&self) -> Result<Self::Connection, ReadSideError>;
}

/// A connection that is there, or will be again.
pub(crate) struct Link<C: Connect> {
    connect: Arc<C>,
    state: Mutex<State<C::Connection>>,
}

enum State<T> {
    /// None yet, or not any more.
    Down { not_before: Instant, failures: u32, why: Option<ReadSideError> },
    /// Somebody asked for it; the task ends with the link.
    Coming { told: watch::Receiver<Option<Result<T, ReadSideError>>>, task: AbortHandle, failures: u32 },
    /// It is there. The number tells it from those before.
    Up { connection: T, number: u64 },
}

impl<C: Connect> Link<C> {
    pub(crate) fn new(connect: C) -> Self {
        let state = State::Down { not_before: Instant::now(), failures: 0, why: None };
        Self { connect: Arc::new(connect), state: Mutex::new(state) }
    }

    /// Calls `ask` with the connection, all within `deadline`. An error that says so, or a call that
    /// is late, ends the connection: what is still under way on it is not waited for by anybody.
    pub(crate) async fn call<T, F>(
        &self,
        deadline: Duration,
        ask: impl FnOnce(C::Connection) -> F + Send,
    ) -> Result<T, ReadSideError>
    where
        F: Future<Output = Result<T, Failed>> + Send,
    {
        let until = Instant::now() + deadline;
        let late = |what: &str| {
            let detail = format!("{what} took longer than {} ms", deadline.as_millis());
            ReadSideError::away(Reason::Deadline, detail)
        };
        let (connection, number) = timeout_at(until, self.connected()).await.map_err(|_| late("connecting"))??;
        match timeout_at(until, ask(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Failed { error, keep: true })) => Err(error),
            Ok(Err(Failed { error, keep: false })) => {
                self.drop_connection(number, &error);
                Err(error)
            }
            Err(_) => {
                let error = late("an answer");
                self.drop_connection(number, &error);
                Err(error)
            }
        }
    }

    async fn connected(&self) -> Result<(C::Connection, u64), ReadSideError> {
        let mut told = match self.begin()? {
            Begun::Up(connection, number) => return Ok((connection, number)),
            Begun::Coming(told) => told,
        };
        let answer = match told.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            // Its task was ended without an answer.
            Err(_) => None,
        };
        let answer =
            answer.unwrap_or_else(|| Err(ReadSideError::away(Reason::Unreachable, "connecting was broken off")));
        self.ended(&told, answer)
    }

    /// What there is to wait for.
    fn begin(&self) -> Result<Begun<C::Connection>, ReadSideError> {
        let mut state = self.lock();
        match &*state {
            State::Up { connection, number } => Ok(Begun::Up(connection.clone(), *number)),
            State::Coming { told, .. } => Ok(Begun::Coming(told.clone())),
            State::Down { not_before, why: Some(why), .. } if Instant::now() < *not_before => Err(why.clone()),
            State::Down { failures, .. } => {
                let failures = *failures;
                let (tell, told) = watch::channel(None);
                let connect = Arc::clone(&self.connect);
                let task = tokio::spawn(async move {
                    let late = || ReadSideError::away(Reason::Deadline, "connecting took longer than 5 seconds");
                    let answer = timeout(CONNECTING, connect.connect()).await.unwrap_or_else(|_| Err(late()));
                    tell.send_replace(Some(answer));
                });
                let task = task.abort_handle();
                *state = State::Coming { told: told.clone(), task, failures };
                Ok(Begun::Coming(told))
            }
        }
    }

    /// The first who hears how an attempt ended writes it down.
    fn ended(
        &self,
        told: &watch::Receiver<Option<Result<C::Connection, ReadSideError>>>,
        answer: Result<C::Connection, ReadSideError>,
    ) -> Result<(C::Connection, u64), ReadSideError> {
        let mut state = self.lock();
        match (&*state, answer) {
            (State::Coming { told: current, .. }, Ok(connection)) if current.same_channel(told) => {
                let number = numbers();
                *state = State::Up { connection: connection.clone(), number };
                Ok((connection, number))
            }
            (State::Coming { told: current, failures, .. }, Err(error)) if current.same_channel(told) => {
                let failures = failures.saturating_add(1);
                *state =
                    State::Down { not_before: Instant::now() + pause(failures), failures, why: Some(error.clone()) };
                Err(error)
            }
            (State::Up { connection, number }, Ok(_)) => Ok((connection.clone(), *number)),
            // It has broken since, which its first user will find as well.
            (_, Ok(connection)) => Ok((connection, 0)),
            (_, Err(error)) => Err(error),
        }
    }

    /// Gives up a connection, unless there is another already. The next call may try at once.
    fn drop_connection(&self, number: u64, error: &ReadSideError) {
        let mut state = self.lock();
        if matches!(&*state, State::Up { number: current, .. } if *current == number) {
            *state = State::Down { not_before: Instant::now(), failures: 0, why: Some(error.clone()) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<C::Connection>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Connect> Drop for Link<C> {
    fn drop(&mut self) {
        if let State::Coming { task, .. } = &*self.lock() {
            task.abort();
        }
    }
}

enum Begun<T> {
    Up(T, u64),
    Coming(watch::Receiver<Option<Result<T, ReadSideError>>>),
}

/// A call that failed, and whether its connection is still good.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: ReadSideError,
    pub(crate) keep: bool,
}

impl Failed {
    /// The server answered; only this call failed.
    pub(crate) fn kept(reason: Reason, detail: impl core::fmt::Display) -> Self {
        Self { error: ReadSideError::away(reason, detail), keep: true }
    }

    /// The connection is of no use any more.
    pub(crate) fn broken(reason: Reason, detail: impl core::fmt::Display) -> Self {
        Self { error: ReadSideError::away(reason, detail), keep: false }
    }
}

/// Grows from attempt to attempt.
fn pause(failures: u32) -> Duration {
    let (first, most) = BACK_OFF;
    first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(most)
}

/// A number that no connection had before.
fn numbers() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
