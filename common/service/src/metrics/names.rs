//! The names of the instruments. Those of [`FIXED`] are the contract's (section 8).

/// Bodies received for judging, whatever becomes of them.
pub const INGEST_TOTAL: &str = "flk_ingest_total";
/// Records whose id had been settled before.
pub const DEDUP_HITS: &str = "flk_dedup_hits";
/// Records judged and accepted.
pub const ACCEPTED: &str = "flk_accepted";
/// Records judged that a person should look at.
pub const ESCALATED: &str = "flk_escalated";
/// Records that were not authentic.
pub const SIGNATURE_ERR: &str = "flk_signature_err";
/// Appends to the log that failed.
pub const WAL_ERRORS: &str = "flk_wal_errors";
/// Answers by status and route.
pub const HTTP_REQUESTS: &str = "http_requests_total";
/// Time from request to answer, by route.
pub const HTTP_DURATION: &str = "http_request_duration_seconds";
/// Time of one operation on the id index.
pub const DEDUP_DURATION: &str = "dedup_operation_duration_seconds";

/// The names that the contract fixes (section 8).
pub const FIXED: [&str; 9] = [
    INGEST_TOTAL,
    DEDUP_HITS,
    ACCEPTED,
    ESCALATED,
    SIGNATURE_ERR,
    WAL_ERRORS,
    HTTP_REQUESTS,
    HTTP_DURATION,
    DEDUP_DURATION,
];

/// Verdicts by code.
pub const VERDICTS: &str = "flk_verdicts_total";
/// What became of records, by state.
pub const OUTCOMES: &str = "flk_outcomes_total";
/// Accepted records with another content than the one that stands.
pub const CONFLICTS: &str = "flk_conflicts_total";
/// Requests being answered now.
pub const REQUESTS_IN_FLIGHT: &str = "flk_requests_in_flight";
/// Bytes of bodies held for requests now.
pub const BYTES_IN_FLIGHT: &str = "flk_bytes_in_flight";
/// Connections open now.
pub const CONNECTIONS: &str = "flk_connections";
/// Requests and connections turned away, by reason.
pub const SHED: &str = "flk_shed_total";
/// Time from append to durable.
pub const LOG_APPEND: &str = "flk_log_append_seconds";
/// Time of one commit that reaches the disk.
pub const LOG_FSYNC: &str = "flk_log_fsync_seconds";
/// Records of one commit.
pub const LOG_BATCH: &str = "flk_log_batch_records";
/// Records that wait for the log's writer.
pub const LOG_QUEUE: &str = "flk_log_queue_depth";
/// Bytes that the data directory takes.
pub const DISK_USED: &str = "flk_disk_used_bytes";
/// Bytes that are free where the data directory is.
pub const DISK_FREE: &str = "flk_disk_free_bytes";
/// What readiness depends on, 1 where it holds.
pub const READY: &str = "flk_ready";
/// Authentic records by tenant.
pub const TENANT_RECORDS: &str = "flk_tenant_records_total";
/// Lines of the service's own log that were dropped.
pub const LOG_LINES_DROPPED: &str = "flk_telemetry_dropped_lines_total";
/// What runs.
pub const BUILD_INFO: &str = "flk_build_info";

/// Records acknowledged by Kafka, by topic.
pub const PRODUCED: &str = "flk_produced_total";
/// Records that Kafka did not acknowledge, and that are produced again, by topic.
pub const PRODUCE_RETRIES: &str = "flk_produce_retries_total";
/// How old the newest record is that was taken up of a partition.
pub const LAG: &str = "flk_lag_seconds";
/// Records that were removed from a topic before they were read.
pub const GAP_RECORDS: &str = "flk_gap_records_total";
/// Records without a log time, which wait for their topic to be put right.
pub const TIMELESS: &str = "flk_timeless_records_total";
/// From a record's append to pcs.raw until a stage was done with it.
pub const STAGE: &str = "flk_stage_seconds";
/// What the index of a partition still lacks while it is restored.
pub const RESTORE_LEFT: &str = "flk_index_restore_left_records";
/// Writes to the index that failed and were tried again.
pub const INDEX_ERRORS: &str = "flk_index_errors_total";
/// How far the read side is behind a partition.
pub const READ_SIDE_BEHIND: &str = "flk_read_side_behind_records";
/// Whether a miss in the read side is a miss, by partition.
pub const READ_SIDE_READY: &str = "flk_read_side_ready";
/// Calls to the read side that came to nothing.
pub const READ_SIDE_ERRORS: &str = "flk_read_side_errors_total";
/// Answers that came by in pcs.replies.
pub const REPLIES: &str = "flk_replies_total";
/// From durable to the client's verdict.
pub const VERDICT_SECONDS: &str = "flk_verdict_seconds";
/// Answers that did not come in time, so that the result was looked for.
pub const READ_BACKS: &str = "flk_read_backs_total";
/// Clients that wait for their place or their verdict.
pub const WAITING: &str = "flk_waiting";
