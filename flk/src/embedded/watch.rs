//! What the log does, as metrics, and what of it an operator is told.

use core::time::Duration;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use flk_log::{
    AppendError,
    watch::{Commit, Watch},
};
use flk_service::Metrics;

/// How often progress of a restore is said.
const PROGRESS: Duration = Duration::from_secs(2);

/// Turns what the log shows into metrics.
pub struct LogMetrics {
    metrics: Arc<Metrics>,
    said: Mutex<Option<Instant>>,
}

impl LogMetrics {
    /// Into these.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, said: Mutex::new(None) }
    }
}

impl Watch for LogMetrics {
    fn on_commit(&self, commit: &Commit) {
        self.metrics.log_fsync_seconds.observe(commit.fsync.as_secs_f64());
        self.metrics.log_batch_records.observe(commit.records as f64);
        self.metrics.log_queue_depth.set(i64::try_from(commit.queued).unwrap_or(i64::MAX));
    }

    fn on_append(&self, took: Duration) {
        self.metrics.log_append_seconds.observe(took.as_secs_f64());
    }

    fn on_refusal(&self, _: &AppendError, _: usize) {
        self.metrics.log_queue_depth.set(0);
    }

    fn on_restore(&self, next: i64, end: i64) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        // A start that has little to do says nothing of it.
        match *said {
            None if next >= end => {}
            Some(_) if next >= end => {
                *said = None;
                tracing::info!(end, "the index of ids has been restored from the log");
            }
            Some(last) if last.elapsed() < PROGRESS => {}
            None | Some(_) => {
                *said = Some(Instant::now());
                tracing::info!(next, end, "restoring the index of ids from the log");
            }
        }
    }

    fn on_removed(&self, records: usize) {
        tracing::debug!(records, "retention removed old records");
    }
}
