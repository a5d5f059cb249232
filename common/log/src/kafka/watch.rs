//! Whether the topics are as they have to be, looked at again and again: what readiness says of Kafka.

use core::time::Duration;
use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use flume::{Receiver, RecvTimeoutError, Sender};

use super::{
    admin::{Admin, AskError},
    connection::Connection,
    topics::Topics,
};

/// Between two looks while all is well.
const WELL: Duration = Duration::from_secs(5);
/// Between two looks while something is not.
const ILL: Duration = Duration::from_millis(500);

type State = Arc<Mutex<Result<(), Arc<str>>>>;

/// Looks at the topics on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct TopicsWatch {
    state: State,
    // Dropped, it ends the thread.
    wake: Sender<()>,
}

impl TopicsWatch {
    /// Begins to look. Until the first answer its health is that there is none yet.
    ///
    /// # Errors
    /// Where the settings make no client, or the system gives no thread.
    pub fn start(connection: &Connection, topics: &Topics) -> Result<Self, AskError> {
        Self::start_with(connection, topics, || ())
    }

    /// The same, with something else to do at each look.
    pub(super) fn start_with(
        connection: &Connection,
        topics: &Topics,
        tend: impl Fn() + Send + 'static,
    ) -> Result<Self, AskError> {
        let cannot = |error: std::io::Error| AskError(format!("no thread to watch Kafka with: {error}").into());
        let admin = Admin::new(connection)?;
        let topics = topics.clone();
        let state: State = Arc::new(Mutex::new(Err("Kafka has not answered yet".into())));
        // Room for one: to be woken twice is to be woken.
        let (wake, woken) = flume::bounded(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(cannot)?;
        let look = { state.clone() };
        let run = move || watch(&admin, &topics, &look, &woken, &runtime, &tend);
        thread::Builder::new().name("kafka-watch".into()).spawn(run).map_err(cannot)?;
        Ok(Self { state, wake })
    }

    /// `Ok` while Kafka answers and each topic is as it has to be.
    ///
    /// # Errors
    /// What is not, in words.
    pub fn health(&self) -> Result<(), Arc<str>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something was seen that a look would have to explain: not well until the next one, which is now.
    pub fn doubt(&self, why: &str) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Err(why.into());
        let _ = self.wake.try_send(());
    }
}

fn watch(
    admin: &Admin,
    topics: &Topics,
    state: &State,
    woken: &Receiver<()>,
    runtime: &tokio::runtime::Runtime,
    tend: &dyn Fn(),
) {
    loop {
        let now = runtime.block_on(look(admin, topics));
        let pause = if now.is_ok() { WELL } else { ILL };
        let before = core::mem::replace(&mut *state.lock().unwrap_or_else(PoisonError::into_inner), now.clone());
        match (&before, &now) {
            (_, Ok(())) if before.is_err() => tracing::info!("Kafka answers, and its topics are as they have to be"),
            (Err(before), Err(now)) if before == now => {}
            (_, Err(now)) => tracing::warn!("Kafka is not ready: {now}"),
            (_, Ok(())) => {}
        }
        tend();
        match woken.recv_timeout(pause) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

async fn look(admin: &Admin, topics: &Topics) -> Result<(), Arc<str>> {
    let differences = topics.check(admin).await.map_err(|AskError(why)| why)?;
    let Some(first) = differences.first() else { return Ok(()) };
    let more = differences.len() - 1;
    let more = if more == 0 { String::new() } else { format!(" (and {more} more: see `flk topics check`)") };
    Err(format!("{first}{more}").into())
}
