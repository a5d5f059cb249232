//! One connection to a server, shared by all who ask: made when it is needed, again when it broke,
//! never more often than its back-off says, and never waited for beyond a caller's deadline.
//!
//! While the server is away a call fails at once, with what the last attempt said; nothing queues
//! up. An attempt goes on when the caller who began it has given up: a handshake that takes longer
//! than one call's deadline must come to its end some time. That a connection can be made says
//! little: a server that hangs takes connections too, and so does a replica. So only an answer ends
//! the back-off.

#[cfg(test)]
mod tests;

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

/// How long callers wait for an attempt after one that failed: a server that is back has answered
/// by then, and one that is still away costs them no more.
const RECONNECTING: Duration = Duration::from_millis(100);

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
    deadline: Duration,
    state: Mutex<State<C::Connection>>,
}

type Told<T> = watch::Receiver<Option<Result<T, ReadSideError>>>;

/// `failures` are attempts and connections in a row that ended without an answer to anybody.
enum State<T> {
    /// None yet, or not any more.
    Down { not_before: Instant, failures: u32, why: Option<ReadSideError> },
    /// Somebody asked for it; the task ends with the link. Until when it is waited for, and what is
    /// said then; without a limit, as long as a caller can.
    Coming { told: Told<T>, task: AbortHandle, failures: u32, limit: Option<(Instant, ReadSideError)> },
    /// It is there. The number tells it from those before; `failures` are none once it has answered.
    Up { connection: T, number: u64, failures: Option<u32> },
}

impl<C: Connect> Link<C> {
    /// A link whose callers have that long for one call; it is said in errors only.
    pub(crate) fn new(connect: C, deadline: Duration) -> Self {
        let state = State::Down { not_before: Instant::now(), failures: 0, why: None };
        Self { connect: Arc::new(connect), deadline, state: Mutex::new(state) }
    }

    /// Calls `ask` with the connection, all of it before `until`. An error that says so, or a call
    /// that is late, ends the connection: what is still under way on it is not waited for by anybody.
    pub(crate) async fn call<T, F>(
        &self,
        until: Instant,
        ask: impl FnOnce(C::Connection) -> F + Send,
    ) -> Result<T, ReadSideError>
    where
        F: Future<Output = Result<T, Failed>> + Send,
    {
        let late = |what: &str| {
            let detail = format!("there was no {what} within {} ms", self.deadline.as_millis());
            ReadSideError::away(Reason::Deadline, detail)
        };
        let connected = timeout_at(until, self.connected()).await;
        let (connection, number) = connected.map_err(|_| late("connection"))??;
        let failed = match timeout_at(until, ask(connection)).await {
            Ok(Ok(answer)) => {
                self.answered(number);
                return Ok(answer);
            }
            Ok(Err(failed)) => failed,
            Err(_) => Failed { error: late("answer"), keep: false },
        };
        if failed.keep {
            self.answered(number);
        } else {
            self.drop_connection(number, &failed.error);
        }
        Err(failed.error)
    }

    async fn connected(&self) -> Result<(C::Connection, u64), ReadSideError> {
        let (mut told, limit) = match self.begin()? {
            Begun::Up(connection, number) => return Ok((connection, number)),
            Begun::Coming { told, limit } => (told, limit),
        };
        let answer = {
            let told = told.wait_for(Option::is_some);
            match limit {
                None => told.await,
                Some((until, why)) => timeout_at(until, told).await.map_err(|_| why)?,
            }
            // An error: its task was ended without an answer.
            .map(|answer| answer.clone())
            .unwrap_or_default()
        };
        let answer =
            answer.unwrap_or_else(|| Err(ReadSideError::away(Reason::Unreachable, "connecting was broken off")));
        self.ended(&told, answer)
    }

    /// What there is to wait for.
    fn begin(&self) -> Result<Begun<C::Connection>, ReadSideError> {
        let mut state = self.lock();
        let now = Instant::now();
        let (failures, why) = match &*state {
            State::Up { connection, number, .. } => return Ok(Begun::Up(connection.clone(), *number)),
            State::Coming { told, limit, .. } => return Ok(Begun::Coming { told: told.clone(), limit: limit.clone() }),
            State::Down { not_before, why: Some(why), .. } if now < *not_before => return Err(why.clone()),
            State::Down { failures, why, .. } => (*failures, why.clone()),
        };
        let (tell, told) = watch::channel(None);
        let connect = Arc::clone(&self.connect);
        let task = tokio::spawn(async move {
            let late = || {
                let detail = format!("there was no connection within {} s", CONNECTING.as_secs());
                ReadSideError::away(Reason::Deadline, detail)
            };
            let answer = timeout(CONNECTING, connect.connect()).await.unwrap_or_else(|_| Err(late()));
            tell.send_replace(Some(answer));
        });
        let limit = why.filter(|_| failures > 0).map(|why| (now + RECONNECTING, why));
        *state = State::Coming { told: told.clone(), task: task.abort_handle(), failures, limit: limit.clone() };
        Ok(Begun::Coming { told, limit })
    }

    /// The first who hears how an attempt ended writes it down.
    fn ended(
        &self,
        told: &Told<C::Connection>,
        answer: Result<C::Connection, ReadSideError>,
    ) -> Result<(C::Connection, u64), ReadSideError> {
        let mut state = self.lock();
        match (&*state, answer) {
            (State::Coming { told: current, failures, .. }, Ok(connection)) if current.same_channel(told) => {
                let (number, failures) = (numbers(), *failures);
                *state = State::Up { connection: connection.clone(), number, failures: Some(failures) };
                Ok((connection, number))
            }
            (State::Coming { told: current, failures, .. }, Err(error)) if current.same_channel(told) => {
                *state = State::down(Some(*failures), &error);
                Err(error)
            }
            (State::Up { connection, number, .. }, Ok(_)) => Ok((connection.clone(), *number)),
            // It has broken since, which its first user will find as well.
            (_, Ok(connection)) => Ok((connection, 0)),
            (_, Err(error)) => Err(error),
        }
    }

    /// A connection is as good as it seemed.
    fn answered(&self, number: u64) {
        if let State::Up { number: current, failures, .. } = &mut *self.lock()
            && *current == number
        {
            *failures = None;
        }
    }

    /// Gives up a connection, unless there is another already. One that has worked may be made
    /// again at once.
    fn drop_connection(&self, number: u64, error: &ReadSideError) {
        let mut state = self.lock();
        if let State::Up { number: current, failures, .. } = &*state
            && *current == number
        {
            *state = State::down(*failures, error);
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

impl<T> State<T> {
    /// After so many failures and one more; after none, where what worked has broken.
    fn down(failures: Option<u32>, why: &ReadSideError) -> Self {
        let failures = failures.map_or(0, |failures| failures.saturating_add(1));
        Self::Down { not_before: Instant::now() + pause(failures), failures, why: Some(why.clone()) }
    }
}

enum Begun<T> {
    Up(T, u64),
    Coming { told: Told<T>, limit: Option<(Instant, ReadSideError)> },
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

/// Grows from failure to failure.
fn pause(failures: u32) -> Duration {
    let (first, most) = BACK_OFF;
    let times = failures.checked_sub(1).map_or(0, |doublings| 1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
    first.saturating_mul(times).min(most)
}

/// A number that no connection had before.
fn numbers() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
