//! Which partition an id belongs to (design: topics pcs.verified and pcs.results).

use core::num::NonZeroU32;

use sha2::{Digest as _, Sha256};

use crate::Tenant;

/// The first eight bytes of SHA-256(tenant "/" `pcs_id`), big-endian, modulo the partition count.
/// Fixed for ever: a count, once chosen, never changes.
pub fn partition(tenant: &Tenant, pcs_id: &str, partitions: NonZeroU32) -> u32 {
    let digest = Sha256::new().chain_update(tenant.as_str()).chain_update("/").chain_update(pcs_id).finalize();
    let head = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    // A remainder of a u32 is a u32.
    (head % u64::from(partitions.get())) as u32
}
