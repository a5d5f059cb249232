//! What the roles over Kafka count and measure. Labels are words of enums, names of topics without their
//! prefix, and partitions of this process alone: a partition that goes takes its series with it.

use core::time::Duration;

use prometheus::{GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Build, SECONDS, names};

/// Instruments of the roles over Kafka.
#[derive(Debug)]
pub struct OverKafka {
    /// `flk_produced_total{topic}`
    pub produced: IntCounterVec,
    /// `flk_produce_retries_total{topic}`
    pub retries: IntCounterVec,
    lag: GaugeVec,
    /// `flk_gap_records_total{topic}`
    pub gaps: IntCounterVec,
    /// `flk_timeless_records_total`
    pub timeless: IntCounter,
    /// `flk_stage_seconds{stage}`
    pub stage: HistogramVec,
    restore_left: IntGaugeVec,
    /// `flk_index_errors_total`
    pub index_errors: IntCounter,
    read_side_behind: IntGaugeVec,
    read_side_ready: IntGaugeVec,
    /// `flk_read_side_errors_total{reason}`
    pub read_side_errors: IntCounterVec,
    /// `flk_replies_total{answered}`
    pub replies: IntCounterVec,
    /// `flk_verdict_seconds{source}`
    pub verdict: HistogramVec,
    /// `flk_read_backs_total`
    pub read_backs: IntCounter,
    /// `flk_waiting`
    pub waiting: IntGauge,
}

impl OverKafka {
    pub(super) fn new(build: &Build) -> Self {
        Self {
            produced: build.counters(names::PRODUCED, "Records acknowledged by Kafka, by topic.", &["topic"]),
            retries: build.counters(
                names::PRODUCE_RETRIES,
                "Records that Kafka did not acknowledge and that are produced again, by topic.",
                &["topic"],
            ),
            lag: build.levels(
                names::LAG,
                "How old the newest record is that was taken up of a partition of this process; 0 where all has been.",
                &["topic", "partition"],
            ),
            gaps: build.counters(
                names::GAP_RECORDS,
                "Records that were removed from a topic before they were read: retention is too short.",
                &["topic"],
            ),
            timeless: build.counter(names::TIMELESS, "Records without a log time: their topic keeps another time."),
            stage: build.histograms(
                names::STAGE,
                "From a record's append to pcs.raw until a stage was done with it.",
                &SECONDS,
                &["stage"],
            ),
            restore_left: build.gauges(
                names::RESTORE_LEFT,
                "Records of pcs.results that the index of a partition still lacks; there while it is restored.",
                &["partition"],
            ),
            index_errors: build.counter(names::INDEX_ERRORS, "Writes to the index that failed and were tried again."),
            read_side_behind: build.gauges(
                names::READ_SIDE_BEHIND,
                "Offsets that the read side is behind a partition.",
                &["partition"],
            ),
            read_side_ready: build.gauges(
                names::READ_SIDE_READY,
                "1 where a miss in the read side is a miss, by partition.",
                &["partition"],
            ),
            read_side_errors: build.counters(
                names::READ_SIDE_ERRORS,
                "Calls to the read side that came to nothing, by the kind of trouble.",
                &["reason"],
            ),
            replies: build.counters(
                names::REPLIES,
                "Answers that came by in this instance's partition of pcs.replies, by who took them.",
                &["answered"],
            ),
            verdict: build.histograms(
                names::VERDICT_SECONDS,
                "From durable to the client's verdict, by how it came.",
                &SECONDS,
                &["source"],
            ),
            read_backs: build.counter(
                names::READ_BACKS,
                "Answers that did not come in time, so that the result was looked for in the read side.",
            ),
            waiting: build.gauge(names::WAITING, "Clients that wait for their place or their verdict."),
        }
    }

    /// How old the newest record is that was taken up of a partition.
    pub fn lag(&self, topic: &'static str, partition: i32, lag: Duration) {
        self.lag.with_label_values(&[topic, &partition.to_string()]).set(lag.as_secs_f64());
    }

    /// How much of a partition's index is still to be restored; nothing once it is there.
    pub fn restore_left(&self, partition: i32, left: i64) {
        let partition = partition.to_string();
        if left > 0 {
            self.restore_left.with_label_values(&[&partition]).set(left);
        } else {
            forget(&self.restore_left, &partition);
        }
    }

    /// Where the read side is with a partition.
    pub fn read_side(&self, partition: i32, ready: bool, behind: i64) {
        let partition = partition.to_string();
        self.read_side_behind.with_label_values(&[&partition]).set(behind);
        self.read_side_ready.with_label_values(&[&partition]).set(i64::from(ready));
    }

    /// A partition has gone to another process: what is said of it is said there.
    pub fn revoked(&self, topic: &'static str, partition: i32) {
        let partition = partition.to_string();
        // Without a series there is none to remove.
        let _ = self.lag.remove_label_values(&[topic, &partition]);
        if topic == SETTLED_FROM {
            for gauge in [&self.restore_left, &self.read_side_behind, &self.read_side_ready] {
                forget(gauge, &partition);
            }
        }
    }
}

/// The topic whose partitions have indexes.
const SETTLED_FROM: &str = "pcs.verified";

fn forget(gauge: &IntGaugeVec, partition: &str) {
    let _ = gauge.remove_label_values(&[partition]);
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn a_partition_that_goes_takes_its_series_with_it() {
        let metrics = Metrics::new();
        assert!(!metrics.render().contains(names::WAITING), "a service without Kafka does not show it");
        let over = metrics.over_kafka();
        over.lag("pcs.raw", 3, Duration::from_millis(1500));
        over.lag("pcs.verified", 3, Duration::ZERO);
        over.restore_left(3, 7);
        over.read_side(3, false, 9);
        let text = metrics.over_kafka().waiting.get().to_string() + &metrics.render();
        for line in [
            "flk_lag_seconds{partition=\"3\",topic=\"pcs.raw\"} 1.5",
            "flk_index_restore_left_records{partition=\"3\"} 7",
            "flk_read_side_behind_records{partition=\"3\"} 9",
            "flk_read_side_ready{partition=\"3\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        over.restore_left(3, 0);
        assert!(!metrics.render().contains("flk_index_restore_left_records{"));
        over.revoked("pcs.verified", 3);
        let text = metrics.render();
        assert!(text.contains("topic=\"pcs.raw\"") && !text.contains("topic=\"pcs.verified\""), "{text}");
        assert!(!text.contains("flk_read_side_behind_records{"), "{text}");
        over.revoked("pcs.verified", 3);
    }
}
