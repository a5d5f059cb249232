//! The entries of a batch as columns: one array a column, one round trip a batch.

use std::collections::HashMap;

use flk_contract::{Nano, wire::ResultBody};
use tokio_postgres::types::ToSql;

use crate::read_side::{Batch, Subject, subject::Admitted};

/// The last millisecond of the year 9999.
const LAST: i64 = 253_402_300_799_999;

/// The parameters of the function `flk_publish`, in its order.
pub(super) struct Rows {
    partition: i32,
    source: String,
    log: String,
    topic: String,
    from: i64,
    to: i64,
    end: i64,
    offsets: Vec<i64>,
    expiries: Vec<i64>,
    values: Vec<Vec<u8>>,
    tenants: Vec<String>,
    ids: Vec<String>,
    statuses: Vec<i16>,
    accepted: Vec<bool>,
    escalated: Vec<bool>,
    codes: Vec<&'static str>,
    d_hats: Vec<String>,
    recomputed: Vec<Option<String>>,
    budgets: Vec<Option<String>>,
    regimes: Vec<Option<&'static str>>,
    payloads: Vec<String>,
    contents: Vec<String>,
    key_ids: Vec<Option<String>>,
    signed: Vec<Option<&'static str>>,
    origin_partitions: Vec<i32>,
    origin_offsets: Vec<i64>,
    appended: Vec<i64>,
}

impl Rows {
    /// The rows of a batch that was admitted. Of two results of one id the last one: one statement
    /// does not touch a row twice.
    pub(super) fn new(subject: &Subject, source: &str, batch: &Batch<'_>, admitted: &[Admitted]) -> Self {
        let last: HashMap<_, _> = admitted.iter().map(|entry| (entry.key, entry.offset)).collect();
        let entries = batch.entries.iter().zip(admitted);
        let entries: Vec<_> = entries.filter(|(_, row)| last.get(&row.key) == Some(&row.offset)).collect();
        let bodies: Vec<_> = entries.iter().map(|(entry, _)| ResultBody::settled(&entry.settled)).collect();

        fn rows<T, R>(of: &[T], column: impl Fn(&T) -> R) -> Vec<R> {
            of.iter().map(column).collect()
        }
        // Postgres' times end before ours; the compact form has what was.
        let at = |millis: i64| millis.clamp(0, LAST);
        let number = |number: Option<Nano>| number.map(|number| number.to_string());
        let position = |entry: &crate::Entry| entry.settled.origin.position.clone();
        Self {
            partition: batch.partition.cast_signed(),
            source: source.to_owned(),
            log: subject.log.as_str().to_owned(),
            topic: (*subject.topic).to_owned(),
            from: batch.from,
            to: batch.to,
            end: batch.end,
            offsets: rows(&entries, |(_, row)| row.offset),
            expiries: rows(&entries, |(_, row)| at(row.expires)),
            values: rows(&entries, |(_, row)| row.stored.value.clone()),
            tenants: rows(&bodies, |body| body.tenant.as_str().to_owned()),
            ids: rows(&bodies, |body| (*body.pcs_id).to_owned()),
            statuses: rows(&bodies, |body| body.status.cast_signed()),
            accepted: rows(&bodies, |body| body.accepted),
            escalated: rows(&bodies, |body| body.escalated),
            codes: rows(&bodies, |body| body.code.as_str()),
            d_hats: rows(&bodies, |body| body.d_hat.to_string()),
            recomputed: rows(&bodies, |body| number(body.recomputed_d_hat)),
            budgets: rows(&bodies, |body| number(body.recomputed_budget)),
            regimes: rows(&bodies, |body| body.regime.map(flk_contract::signals::Regime::as_str)),
            payloads: rows(&bodies, |body| body.payload_sha256.to_string()),
            contents: rows(&bodies, |body| body.content_sha256.to_string()),
            key_ids: rows(&bodies, |body| body.key_id.as_deref().map(str::to_owned)),
            signed: rows(&bodies, |body| body.signed.map(flk_contract::Form::as_str)),
            origin_partitions: rows(&entries, |(entry, _)| position(entry).partition),
            origin_offsets: rows(&entries, |(entry, _)| position(entry).offset),
            appended: rows(&entries, |(entry, _)| at(entry.settled.origin.appended_at.millis())),
        }
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 27] {
        [
            &self.partition,
            &self.source,
            &self.log,
            &self.topic,
            &self.from,
            &self.to,
            &self.end,
            &self.offsets,
            &self.expiries,
            &self.values,
            &self.tenants,
            &self.ids,
            &self.statuses,
            &self.accepted,
            &self.escalated,
            &self.codes,
            &self.d_hats,
            &self.recomputed,
            &self.budgets,
            &self.regimes,
            &self.payloads,
            &self.contents,
            &self.key_ids,
            &self.signed,
            &self.origin_partitions,
            &self.origin_offsets,
            &self.appended,
        ]
    }
}
