//! Who owns the tasks of a process, and stops them in order.

use core::{fmt::Display, time::Duration};
use std::collections::HashMap;

use tokio::{
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::Instant,
};

use super::{Deadlines, Exit, Lifecycle, Phase, StopSignals};

/// How long a task that was told to give up may take to do so, before it is dropped.
const GRACE: Duration = Duration::from_secs(1);

/// When a task has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It takes requests: it ends once [`Lifecycle::draining`] is cancelled and everybody has been
    /// answered, and at the latest soon after [`Lifecycle::forced`].
    Drained,
    /// It does what requests need: it ends once [`Lifecycle::committing`] is cancelled and its
    /// work is safe.
    Committed,
    /// It has an end of its own, which is no alarm; while stopping, it is waited for like
    /// [`Until::Committed`]. Long ones end at [`Lifecycle::not_ready`].
    ItsOwnEnd,
}

impl Until {
    /// The first phase in which an end is no alarm.
    const fn phase(self) -> Phase {
        match self {
            Self::Drained => Phase::Draining,
            Self::Committed => Phase::Committing,
            Self::ItsOwnEnd => Phase::Serving,
        }
    }

    /// The phase that does not end before the task, or its deadline.
    const fn awaited_in(self) -> Phase {
        match self {
            Self::Drained => Phase::Draining,
            Self::Committed | Self::ItsOwnEnd => Phase::Committing,
        }
    }
}

/// Owns named tasks. One that ends early, fails or panics stops the process, with exit failure:
/// half a service is worse than none, since an orchestrator would not restart it.
#[derive(Debug)]
pub struct Supervisor {
    lifecycle: Lifecycle,
    deadlines: Deadlines,
    tasks: JoinSet<Result<(), String>>,
    running: HashMap<Id, Task>,
    exit: Exit,
    signals: u32,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    until: Until,
    handle: AbortHandle,
}

/// How waiting in a phase ended.
enum Waited {
    Over,
    Deadline,
    SecondSignal,
}

impl Supervisor {
    /// One that owns nothing yet.
    pub fn new(lifecycle: Lifecycle, deadlines: Deadlines) -> Self {
        let (tasks, running) = Default::default();
        Self { lifecycle, deadlines, tasks, running, exit: Exit::Success, signals: 0 }
    }

    /// Starts a task on the current runtime. Its error is logged here, once.
    pub fn spawn<E: Display>(
        &mut self,
        name: &'static str,
        until: Until,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let task = async move { task.await.map_err(|error| error.to_string()) };
        let handle = self.tasks.spawn(task);
        self.running.insert(handle.id(), Task { name, until, handle });
    }

    /// Serves until a signal comes, [`Lifecycle::stop`] is called or a task ends that should not,
    /// and then stops everything in order. A second signal returns at once.
    pub async fn run(mut self, mut signals: impl StopSignals) -> Exit {
        if let Waited::SecondSignal = self.serve(&mut signals).await {
            return Exit::AtOnce;
        }

        self.lifecycle.enter(Phase::NotReady);
        let delay = self.deadlines.drain_delay;
        if let Waited::SecondSignal = self.wait(&mut signals, delay, |_| false).await {
            return Exit::AtOnce;
        }

        for (phase, deadline) in [(Phase::Draining, self.deadlines.drain), (Phase::Committing, self.deadlines.commit)] {
            self.lifecycle.enter(phase);
            let ended = move |this: &Self| this.late(phase).next().is_none();
            match self.wait(&mut signals, deadline, ended).await {
                Waited::Over => continue,
                Waited::SecondSignal => return Exit::AtOnce,
                Waited::Deadline => {}
            }
            self.exit = Exit::Failure;
            let tasks: Vec<_> = self.late(phase).map(|task| task.name).collect();
            tracing::error!(phase = phase.as_str(), ?deadline, ?tasks, "the deadline passed; what is left is given up");
            if phase == Phase::Draining {
                self.lifecycle.force();
                if let Waited::SecondSignal = self.wait(&mut signals, GRACE, ended).await {
                    return Exit::AtOnce;
                }
            }
            // They have had their deadline, and the next phase is not theirs.
            self.late(phase).for_each(|task| task.handle.abort());
        }
        self.lifecycle.enter(Phase::Done);
        self.exit
    }

    /// The tasks that are still there though the phase waits for their end.
    fn late(&self, phase: Phase) -> impl Iterator<Item = &Task> {
        self.running.values().filter(move |task| task.until.awaited_in() <= phase)
    }

    async fn serve(&mut self, signals: &mut impl StopSignals) -> Waited {
        loop {
            tokio::select! {
                biased;
                name = signals.next() => return self.signal(name).unwrap_or(Waited::Over),
                Some(end) = self.tasks.join_next_with_id() => if self.ended(end) { return Waited::Over },
                () = self.lifecycle.asked() => return Waited::Over,
            }
        }
    }

    /// Waits while tasks end, at the most for `deadline`.
    async fn wait(
        &mut self,
        signals: &mut impl StopSignals,
        deadline: Duration,
        over: impl Fn(&Self) -> bool,
    ) -> Waited {
        let deadline = Instant::now() + deadline;
        while !over(self) {
            tokio::select! {
                biased;
                name = signals.next() => if let Some(second) = self.signal(name) { return second },
                Some(end) = self.tasks.join_next_with_id() => { self.ended(end); }
                () = tokio::time::sleep_until(deadline) => return Waited::Deadline,
            }
        }
        Waited::Over
    }

    fn signal(&mut self, name: &'static str) -> Option<Waited> {
        self.signals += 1;
        if self.signals > 1 {
            tracing::warn!(signal = name, "a second signal: leaving at once");
            return Some(Waited::SecondSignal);
        }
        tracing::info!(signal = name, "stopping");
        None
    }

    /// Takes note of a task's end; whether it is an alarm.
    fn ended(&mut self, end: Result<(Id, Result<(), String>), JoinError>) -> bool {
        let (id, problem) = match end {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(error)),
            // The message of a panic may quote a record; where it happened is told by the hook of
            // crate::telemetry.
            Err(error) if error.is_panic() => (error.id(), Some("it panicked".to_owned())),
            Err(error) => (error.id(), Some("it was given up".to_owned())),
        };
        let (task, until) =
            self.running.remove(&id).map_or(("unknown", Until::Committed), |task| (task.name, task.until));
        let early = self.lifecycle.phase() < until.phase();
        match problem {
            Some(error) => tracing::error!(task, error, "a task ended badly; the process stops"),
            None if early => tracing::error!(task, "a task ended early; the process stops"),
            None => {
                tracing::debug!(task, "a task ended");
                return false;
            }
        }
        self.exit = Exit::Failure;
        true
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
