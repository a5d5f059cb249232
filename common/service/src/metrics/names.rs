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
