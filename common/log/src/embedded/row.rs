//! One record as one row, and back.

use flk_contract::{
    Code, Digest, Facts, Form, LogId, LogTime, Nano, Origin, Position, Tenant, Verdict, signals::Regime, wire::State,
};
use rusqlite::{CachedStatement, Row, params, types::ValueRef};

use super::{PARTITION, TOPIC};
use crate::{Decided, Decision, NewRecord, ReadError, StoredRecord};

/// Columns in the order in which they are written and read.
pub(super) const COLUMNS: &str = "offset, appended_at, state, code, verdict, reason, settled_by, tenant, pcs_id, d_hat, \
     recomputed_d_hat, recomputed_budget, regime, payload_sha256, content_sha256, key_id, signed, claimed_tenant, \
     request_id, traceparent, body, checksum";

/// The statement that [`write()`] fills in.
pub(super) fn insert_sql() -> String {
    let places: Vec<String> = (1..=22).map(|n| format!("?{n}")).collect();
    format!("INSERT INTO record ({COLUMNS}) VALUES ({})", places.join(", "))
}

/// A position of this log.
pub(super) fn position(log: &LogId, topic: &std::sync::Arc<str>, offset: i64) -> Position {
    Position { log: log.clone(), topic: topic.clone(), partition: PARTITION, offset }
}

/// Writes one row.
pub(super) fn write(
    insert: &mut CachedStatement<'_>,
    origin: &Origin,
    record: &NewRecord,
    decided: &Decided,
) -> rusqlite::Result<()> {
    let facts = decided.verdict.facts.as_ref();
    let row = Columns {
        offset: origin.position.offset,
        appended_at: origin.appended_at.millis(),
        state: decided.state.as_str(),
        code: decided.code.as_str(),
        verdict: decided.verdict.code.as_str(),
        reason: Some(decided.verdict.reason.as_str()).filter(|reason| !reason.is_empty()),
        settled_by: decided.standing.as_ref().map(|standing| standing.origin.position.offset),
        tenant: facts.map(|facts| facts.tenant.as_str()),
        pcs_id: facts.map(|facts| facts.pcs_id.as_ref()),
        d_hat: facts.map(|facts| facts.d_hat.to_string()),
        recomputed_d_hat: facts.and_then(|facts| facts.recomputed_d_hat).map(|n| n.to_string()),
        recomputed_budget: facts.and_then(|facts| facts.recomputed_budget).map(|n| n.to_string()),
        regime: facts.and_then(|facts| facts.regime).map(Regime::as_str),
        payload_sha256: facts.map(|facts| facts.payload_sha256.as_bytes().as_slice()),
        content_sha256: facts.map(|facts| facts.content_sha256.as_bytes().as_slice()),
        key_id: facts.and_then(|facts| facts.key_id.as_deref()),
        signed: facts.and_then(|facts| facts.signed).map(Form::as_str),
        claimed_tenant: record.tenant.as_deref(),
        request_id: record.request_id.as_deref(),
        traceparent: record.traceparent.as_deref(),
        body: &record.body,
    };
    insert.execute(params![
        row.offset,
        row.appended_at,
        row.state,
        row.code,
        row.verdict,
        row.reason,
        row.settled_by,
        row.tenant,
        row.pcs_id,
        row.d_hat,
        row.recomputed_d_hat,
        row.recomputed_budget,
        row.regime,
        row.payload_sha256,
        row.content_sha256,
        row.key_id,
        row.signed,
        row.claimed_tenant,
        row.request_id,
        row.traceparent,
        row.body,
        row.checksum(),
    ])?;
    Ok(())
}

/// Reads one row of [`COLUMNS`] and checks it.
pub(super) fn read(row: &Row<'_>, log: &LogId) -> Result<StoredRecord, ReadError> {
    let offset: i64 = row.get(0).map_err(|error| unavailable(&error))?;
    let damaged = |what| ReadError::Damaged { offset, what };
    let text = |n: usize| match row.get_ref(n) {
        Ok(ValueRef::Text(text)) => core::str::from_utf8(text).map(Some).map_err(|_| damaged("a column is not UTF-8")),
        Ok(ValueRef::Null) => Ok(None),
        Ok(_) => Err(damaged("a column has another type")),
        Err(error) => Err(unavailable(&error)),
    };
    let number = |n: usize| row.get::<_, Option<i64>>(n).map_err(|error| unavailable(&error));
    let blob = |n: usize| match row.get_ref(n) {
        Ok(ValueRef::Blob(bytes)) => Ok(Some(bytes)),
        Ok(ValueRef::Null) => Ok(None),
        Ok(_) => Err(damaged("a column has another type")),
        Err(error) => Err(unavailable(&error)),
    };
    let must = |n: usize| text(n)?.ok_or(damaged("a column is empty"));
    let columns = Columns {
        offset,
        appended_at: number(1)?.ok_or(damaged("a column is empty"))?,
        state: must(2)?,
        code: must(3)?,
        verdict: must(4)?,
        reason: text(5)?,
        settled_by: number(6)?,
        tenant: text(7)?,
        pcs_id: text(8)?,
        d_hat: text(9)?.map(str::to_owned),
        recomputed_d_hat: text(10)?.map(str::to_owned),
        recomputed_budget: text(11)?.map(str::to_owned),
        regime: text(12)?,
        payload_sha256: blob(13)?,
        content_sha256: blob(14)?,
        key_id: text(15)?,
        signed: text(16)?,
        claimed_tenant: text(17)?,
        request_id: text(18)?,
        traceparent: text(19)?,
        body: blob(20)?.ok_or(damaged("a column is empty"))?,
    };
    if number(21)? != Some(columns.checksum()) {
        return Err(damaged("its checksum does not hold"));
    }
    // From here on everything is as it was written; what does not read is of another version.
    columns.stored(log).ok_or(damaged("it holds a word that this version does not know"))
}

pub(super) fn unavailable(error: &rusqlite::Error) -> ReadError {
    ReadError::Unavailable(error.to_string().into())
}

struct Columns<'a> {
    offset: i64,
    appended_at: i64,
    state: &'a str,
    code: &'a str,
    verdict: &'a str,
    reason: Option<&'a str>,
    settled_by: Option<i64>,
    tenant: Option<&'a str>,
    pcs_id: Option<&'a str>,
    d_hat: Option<String>,
    recomputed_d_hat: Option<String>,
    recomputed_budget: Option<String>,
    regime: Option<&'a str>,
    payload_sha256: Option<&'a [u8]>,
    content_sha256: Option<&'a [u8]>,
    key_id: Option<&'a str>,
    signed: Option<&'a str>,
    claimed_tenant: Option<&'a str>,
    request_id: Option<&'a str>,
    traceparent: Option<&'a str>,
    body: &'a [u8],
}

impl Columns<'_> {
    /// CRC-32 over every column with its length, so that no two rows read the same.
    fn checksum(&self) -> i64 {
        let mut sum = crc32fast::Hasher::new();
        let mut number = |n: Option<i64>| {
            sum.update(&[u8::from(n.is_some())]);
            sum.update(&n.unwrap_or(0).to_le_bytes());
        };
        number(Some(self.offset));
        number(Some(self.appended_at));
        number(self.settled_by);
        let mut bytes = |part: Option<&[u8]>| {
            sum.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            sum.update(part.unwrap_or_default());
        };
        for part in [
            Some(self.state),
            Some(self.code),
            Some(self.verdict),
            self.reason,
            self.tenant,
            self.pcs_id,
            self.d_hat.as_deref(),
            self.recomputed_d_hat.as_deref(),
            self.recomputed_budget.as_deref(),
            self.regime,
            self.key_id,
            self.signed,
            self.claimed_tenant,
            self.request_id,
            self.traceparent,
        ] {
            bytes(part.map(str::as_bytes));
        }
        bytes(self.payload_sha256);
        bytes(self.content_sha256);
        bytes(Some(self.body));
        i64::from(sum.finalize())
    }

    fn stored(&self, log: &LogId) -> Option<StoredRecord> {
        let verdict = Verdict {
            code: Code::parse(self.verdict)?,
            reason: self.reason.unwrap_or_default().to_owned(),
            facts: match self.pcs_id {
                Some(pcs_id) => Some(self.facts(pcs_id)?),
                None => None,
            },
        };
        Some(StoredRecord {
            origin: Origin {
                position: position(log, &TOPIC.into(), self.offset),
                appended_at: LogTime::from_millis(self.appended_at),
            },
            record: NewRecord {
                body: bytes::Bytes::copy_from_slice(self.body),
                tenant: self.claimed_tenant.map(str::to_owned),
                request_id: self.request_id.map(str::to_owned),
                traceparent: self.traceparent.map(str::to_owned),
            },
            decision: Some(Decision {
                state: State::parse(self.state)?,
                code: Code::parse(self.code)?,
                verdict,
                settled_by: self.settled_by,
            }),
        })
    }

    fn facts(&self, pcs_id: &str) -> Option<Facts> {
        // `Some(None)` is a number that was not reached, `None` one that does not read.
        let number = |text: Option<&str>| match text {
            None => Some(None),
            Some(text) => Nano::from_token(text).map(Some),
        };
        let digest = |bytes: Option<&[u8]>| bytes.and_then(|bytes| bytes.try_into().ok()).map(Digest);
        Some(Facts {
            tenant: Tenant::new(self.tenant?).ok()?,
            pcs_id: pcs_id.into(),
            d_hat: Nano::from_token(self.d_hat.as_deref()?)?,
            recomputed_d_hat: number(self.recomputed_d_hat.as_deref())?,
            recomputed_budget: number(self.recomputed_budget.as_deref())?,
            regime: match self.regime {
                None => None,
                Some(word) => Some(Regime::ALL.into_iter().find(|regime| regime.as_str() == word)?),
            },
            payload_sha256: digest(self.payload_sha256)?,
            content_sha256: digest(self.content_sha256)?,
            key_id: self.key_id.map(Into::into),
            signed: match self.signed {
                None => None,
                Some(word) => Some([Form::Payload, Form::Content].into_iter().find(|form| form.as_str() == word)?),
            },
        })
    }
}
