//! Results of every shape, for ids of a chosen partition.

use flk_contract::{
    Code, Digest, Facts, Form, LogTime, Nano, Origin, Position, Settled, Tenant, partition, signals::Regime,
};

use super::must;
use crate::{Entry, read_side::Subject};

/// The derived id number `id` of a partition: the same for everybody who asks.
pub fn id_of(subject: &Subject, tenant: &Tenant, of: u32, id: u64) -> String {
    let ids = (0_u64..).map(|attempt| Digest::of(format!("{id} {attempt}").as_bytes()).to_string());
    let mut ids = ids.filter(|text| partition(tenant, text, subject.partitions) == of);
    must("an id of the partition", ids.next().ok_or("there is none"))
}

/// What the record at `offset` of a partition of pcs.verified settled, of tenant `default`: a record
/// that came into pcs.raw at `appended_at`. Over a few offsets it takes every shape there is.
pub fn entry(subject: &Subject, of: u32, id: u64, offset: i64, appended_at: LogTime) -> Entry {
    entry_of(&Tenant::default_tenant(), subject, of, id, offset, appended_at)
}

/// The same of any tenant.
pub fn entry_of(tenant: &Tenant, subject: &Subject, of: u32, id: u64, offset: i64, appended_at: LogTime) -> Entry {
    let pick = |n: usize| offset.unsigned_abs() as usize % n;
    let signed = [Some(Form::Content), Some(Form::Payload), None][pick(3)];
    // What has a short form, what fits, what does not fit, and what only looks as if it had the short one.
    let long = "k".repeat(64);
    let key_ids = ["0123456789abcdef", "a-2026", &long, "0123456789ABCDEF", "v", "0123456789abcdefg"];
    let (minus_zero, steepest) =
        (Nano::from_f64(-0.0).unwrap_or_default(), Nano::from_units(53_000_000_000_000_000_000));
    let claimed = [Nano::from_units(1_400_000_000 + i128::from(offset)), minus_zero, steepest];
    let settled = Settled {
        code: [Code::Ok, Code::RegimeMismatch, Code::BudgetDeviation, Code::Degraded][pick(4)],
        facts: Facts {
            tenant: tenant.clone(),
            pcs_id: id_of(subject, tenant, of, id).into(),
            d_hat: claimed[pick(3)],
            recomputed_d_hat: [Some(steepest), Some(Nano::from_units(i128::from(offset))), Some(minus_zero)][pick(3)],
            regime: [None, Some(Regime::Sticky), Some(Regime::Mixed), Some(Regime::NonSticky)][pick(4)],
            recomputed_budget: [Some(Nano::from_units(1_000_000_000)), None, Some(minus_zero)][pick(3)],
            payload_sha256: Digest::of(&offset.to_le_bytes()),
            content_sha256: Digest::of(&id.to_le_bytes()),
            key_id: signed.map(|_| key_ids[pick(key_ids.len())].into()),
            signed,
        },
        origin: Origin {
            position: Position {
                log: subject.log.clone(),
                topic: subject.topic.clone(),
                partition: [0, 47, 999, i32::MAX][pick(4)],
                offset: [i64::MAX, 7 * offset, 0][pick(3)],
            },
            appended_at,
        },
    };
    Entry { offset, settled }
}
