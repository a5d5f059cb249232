//! The bounds of contract section 1, 2 and 5, in one place. They are constants of v0.1, not settings.

use core::time::Duration;

/// Largest body of a record, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting; the record's own braces are level 1.
pub const DEPTH_MAX: usize = 64;
/// Longest `pcs_id`, in bytes.
pub const PCS_ID_BYTES_MAX: usize = 128;
/// Longest `schema` and `version`, in bytes.
pub const WORD_BYTES_MAX: usize = 32;
/// Longest `shard_id` and `merkle_root`, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Most scales of a record.
pub const SCALES_MAX: usize = 64;
/// Most entries of `N_j`.
pub const N_J_MAX: usize = 256;
/// Magnitude that claimed floats stay below.
pub const FLOAT_MAGNITUDE: f64 = 1e15;
/// Longest name of a tenant, in bytes.
pub const TENANT_BYTES_MAX: usize = 64;
/// Most keys, over all tenants.
pub const KEYS_MAX: usize = 64;
/// How long a settled result stands, in log time.
pub const WINDOW: Duration = Duration::from_secs(14 * 24 * 60 * 60);
