//! What the roles show of their work, as metrics (contract section 8: by role), and what of it an operator
//! is told.

use core::time::Duration;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use flk_contract::{Code, Tenant};
use flk_dedup_sink::role::{self as sink, Settling};
use flk_ingest::router::{self, Answered, Source};
use flk_log::topic::Topic;
use flk_results::read_side::{ReadSide, ReadSideError, Reason};
use flk_service::{
    Metrics,
    metrics::{Op, OverKafka, State},
};
use flk_verifier::role as verifier;

use super::timed::Timed;

/// How often progress of a restore is said.
const PROGRESS: Duration = Duration::from_secs(2);

/// Turns what the roles show into metrics. All roles of a process share one.
pub(super) struct RoleMetrics {
    metrics: Arc<Metrics>,
    over: Arc<OverKafka>,
    restoring: Mutex<HashMap<i32, Instant>>,
}

/// What the read side does not take.
const REFUSED: &str = "refused";
/// What could not be read, for a GET or for a lost answer; why is in the read side's own check.
const READING: &str = "reading";

impl RoleMetrics {
    /// Into these; whatever can happen starts at 0.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let over = metrics.over_kafka();
        for topic in Topic::ALL {
            over.gaps.with_label_values(&[topic.name()]);
        }
        for topic in [Topic::Verified, Topic::Results, Topic::Refused] {
            over.produced.with_label_values(&[topic.name()]);
            over.retries.with_label_values(&[topic.name()]);
        }
        for stage in [JUDGED, SETTLED] {
            over.stage.with_label_values(&[stage]);
        }
        for reason in Reason::ALL.map(Reason::as_str).into_iter().chain([REFUSED, READING]) {
            over.read_side_errors.with_label_values(&[reason]);
        }
        for answered in [Answered::Taken, Answered::Kept, Answered::Elsewhere, Answered::Nobody] {
            over.replies.with_label_values(&[by(answered)]);
        }
        over.replies.with_label_values(&[UNREADABLE]);
        for source in [Source::Reply, Source::ReadBack] {
            over.verdict.with_label_values(&[of(source)]);
        }
        Self { metrics, over, restoring: Mutex::default() }
    }

    /// The same read side, timed.
    pub(super) fn timed(&self, read_side: Arc<dyn ReadSide>) -> Arc<dyn ReadSide> {
        Arc::new(Timed { inner: read_side, metrics: self.metrics.clone() })
    }

    fn gap(&self, topic: Topic, expected: i64, found: i64) {
        let lost = u64::try_from(found.saturating_sub(expected)).unwrap_or(0);
        self.over.gaps.with_label_values(&[topic.name()]).inc_by(lost);
    }

    fn produced(&self, topic: Topic) {
        self.over.produced.with_label_values(&[topic.name()]).inc();
    }

    fn retried(&self, topic: Topic) {
        self.over.retries.with_label_values(&[topic.name()]).inc();
    }

    fn stage(&self, stage: &str, took: Duration) {
        self.over.stage.with_label_values(&[stage]).observe(took.as_secs_f64());
    }

    /// Whether a partition's progress is to be said now; the first time it always is.
    fn is_due(&self, partition: i32) -> bool {
        let mut restoring = self.restoring.lock().unwrap_or_else(PoisonError::into_inner);
        let due = restoring.get(&partition).is_none_or(|said| said.elapsed() >= PROGRESS);
        if due {
            restoring.insert(partition, Instant::now());
        }
        due
    }
}

const JUDGED: &str = "judged";
const SETTLED: &str = "settled";
const UNREADABLE: &str = "unreadable";

fn by(answered: Answered) -> &'static str {
    match answered {
        Answered::Taken => "taken",
        Answered::Kept => "kept",
        Answered::Elsewhere => "elsewhere",
        Answered::Nobody => "nobody",
    }
}

fn of(source: Source) -> &'static str {
    match source {
        Source::Reply => "reply",
        Source::ReadBack => "read_back",
    }
}

impl flk_log::watch::Watch for RoleMetrics {
    fn on_append(&self, took: Duration) {
        self.metrics.log_append_seconds.observe(took.as_secs_f64());
    }
}

impl verifier::Watch for RoleMetrics {
    /// What is accepted is counted by whoever settles it; what is refused ends here.
    fn on_judged(&self, code: Code, tenant: Option<&Tenant>, took: Duration) {
        self.metrics.verdict(code);
        if let Some(tenant) = tenant {
            self.metrics.count_tenant(tenant);
        }
        self.stage(JUDGED, took);
        if code == Code::BadSignature {
            self.metrics.signature_err.inc();
        }
        let meaning = code.meaning();
        if meaning.accepted != Some(true) {
            self.metrics.outcome(State::Refused);
            if meaning.escalated {
                self.metrics.escalated.inc();
            }
        }
    }

    fn on_produced(&self, topic: Topic) {
        self.produced(topic);
    }

    fn on_retry(&self, topic: Topic) {
        self.retried(topic);
    }

    fn on_lag(&self, partition: i32, lag: Duration) {
        self.over.lag(Topic::Raw.name(), partition, lag);
    }

    fn on_revoked(&self, partition: i32) {
        self.over.revoked(Topic::Raw.name(), partition);
    }

    fn on_gap(&self, _: i32, expected: i64, found: i64) {
        self.gap(Topic::Raw, expected, found);
    }

    fn on_timeless(&self, _: i32) {
        self.over.timeless.inc();
    }
}

impl sink::Watch for RoleMetrics {
    fn on_settled(&self, settling: Settling, code: Code, took: Duration) {
        let Metrics { accepted, escalated, dedup_hits, conflicts, .. } = &*self.metrics;
        self.stage(SETTLED, took);
        match settling {
            Settling::Settled => {
                self.metrics.outcome(State::Settled);
                let meaning = code.meaning();
                if meaning.status == 200 {
                    accepted.inc();
                } else if meaning.escalated {
                    escalated.inc();
                }
            }
            // The same delivery once more.
            Settling::Replay => {}
            Settling::Duplicate => {
                self.metrics.outcome(State::Duplicate);
                dedup_hits.inc();
            }
            Settling::Conflict => {
                self.metrics.outcome(State::Conflict);
                dedup_hits.inc();
                conflicts.inc();
            }
            Settling::TooOld | Settling::Poisoned => {
                self.metrics.outcome(State::Refused);
                if code.meaning().escalated {
                    escalated.inc();
                }
            }
        }
    }

    fn on_folded(&self, took: Duration) {
        self.metrics.dedup_op(Op::Settle, took);
    }

    fn on_indexed(&self, took: Duration) {
        self.metrics.dedup_op(Op::Apply, took);
    }

    fn on_produced(&self, topic: Topic) {
        self.produced(topic);
    }

    fn on_retry(&self, topic: Topic) {
        self.retried(topic);
    }

    fn on_lag(&self, partition: i32, lag: Duration) {
        self.over.lag(Topic::Verified.name(), partition, lag);
    }

    fn on_gap(&self, _: i32, expected: i64, found: i64) {
        self.gap(Topic::Verified, expected, found);
    }

    fn on_loading(&self, partition: i32, next: i64, end: i64) {
        let left = end.saturating_sub(next).max(0);
        self.over.restore_left(partition, left);
        if left > 0 && self.is_due(partition) {
            tracing::info!(partition, next, end, "restoring the index of a partition from pcs.results");
        }
    }

    fn on_restored(&self, partition: i32) {
        self.over.restore_left(partition, 0);
        self.restoring.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    fn on_revoked(&self, partition: i32) {
        self.over.revoked(Topic::Verified.name(), partition);
        self.restoring.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    fn on_published(&self, partition: i32, ready: bool, behind: i64) {
        self.over.read_side(partition, ready, behind);
    }

    fn on_read_side_error(&self, error: &ReadSideError) {
        let reason = match error {
            ReadSideError::Away { reason, .. } => reason.as_str(),
            ReadSideError::Refused(_) => REFUSED,
        };
        self.over.read_side_errors.with_label_values(&[reason]).inc();
    }

    fn on_index_error(&self) {
        self.over.index_errors.inc();
    }
}

impl router::Watch for RoleMetrics {
    fn on_reply(&self, answered: Answered) {
        self.over.replies.with_label_values(&[by(answered)]).inc();
    }

    fn on_undecodable(&self) {
        self.over.replies.with_label_values(&[UNREADABLE]).inc();
    }

    fn on_gap(&self, expected: i64, found: i64) {
        self.gap(Topic::Replies, expected, found);
    }

    fn on_verdict(&self, source: Source, took: Duration) {
        self.over.verdict.with_label_values(&[of(source)]).observe(took.as_secs_f64());
    }

    fn on_look(&self) {
        self.over.read_backs.inc();
    }

    fn on_waiters(&self, waiting: usize) {
        self.over.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn on_read_error(&self) {
        self.over.read_side_errors.with_label_values(&[READING]).inc();
    }
}
