//! A pipeline that is there before what it stands on is: start order does not matter, and who asks too
//! early is told what is waited for.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use flk_contract::{LogTime, Settled, Tenant, wire::RecordBody};
use flk_log::{AppendError, Clock, NewRecord};
use flk_service::health::Check;

use crate::{Away, Pipeline, Submission};

/// Answers for a pipeline until it has begun, and then by it.
///
/// Kafka's cluster id has to be known before there is a log, and before the read side knows which results
/// are its own. HTTP is served all the while.
pub struct Eventual {
    begun: OnceLock<Arc<dyn Pipeline>>,
    waits_for: Mutex<Arc<str>>,
    clock: Arc<dyn Clock>,
    also: Box<dyn Fn() -> Vec<Check> + Send + Sync>,
}

impl Eventual {
    /// Nothing has begun. `also` are the checks of whatever else the process does: its phase, and other
    /// roles in it.
    pub fn new(clock: Arc<dyn Clock>, also: impl Fn() -> Vec<Check> + Send + Sync + 'static) -> Self {
        let waits_for = Mutex::new("Kafka has not answered yet".into());
        Self { begun: OnceLock::new(), waits_for, clock, also: Box::new(also) }
    }

    /// Says what is waited for, in words.
    pub fn waits_for(&self, what: impl Into<Arc<str>>) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// It has begun. The first one counts.
    pub fn begin(&self, pipeline: Arc<dyn Pipeline>) {
        let _ = self.begun.set(pipeline);
    }

    fn waited_for(&self) -> Arc<str> {
        self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl core::fmt::Debug for Eventual {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Eventual").field("begun", &self.begun.get().is_some()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Pipeline for Eventual {
    async fn submit(&self, record: NewRecord) -> Result<Submission, AppendError> {
        match self.begun.get() {
            Some(pipeline) => pipeline.submit(record).await,
            None => Err(AppendError::Closed("the service is starting: see /readyz for what it waits for")),
        }
    }

    async fn result(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, Away> {
        match self.begun.get() {
            Some(pipeline) => pipeline.result(tenant, pcs_id).await,
            None => Err(Away::Unavailable(self.waited_for())),
        }
    }

    async fn record(&self, partition: i32, offset: i64) -> Result<Option<RecordBody>, Away> {
        match self.begun.get() {
            Some(pipeline) => pipeline.record(partition, offset).await,
            None => Err(Away::Unavailable(self.waited_for())),
        }
    }

    fn readiness(&self) -> Vec<Check> {
        let mut checks = (self.also)();
        match self.begun.get() {
            Some(pipeline) => checks.extend(pipeline.readiness()),
            None => checks.push(Check::failing("log", self.waited_for()).shared()),
        }
        checks
    }

    fn are_verdicts_late(&self) -> bool {
        self.begun.get().is_some_and(|pipeline| pipeline.are_verdicts_late())
    }

    fn now(&self) -> LogTime {
        self.clock.now()
    }
}
