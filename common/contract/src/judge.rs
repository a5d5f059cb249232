//! The verdict (contract section 4): ten checks in order, the first that fails decides.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::{
    Code, Digest, Facts, Keyring, LogTime, Nano, Record, Signing, Tenant, Verdict,
    signals::{self, NoDHat, Regime},
    signature::{self, Held, Signed},
    verdict,
};

/// The name that `schema` has to be.
pub const SCHEMA: &str = "fractal-lba-kakeya";
/// The version that agents write.
pub const VERSION: &str = "0.1";
/// Claimed and recomputed D̂ may be 0.15 apart.
const D_HAT_TOLERANCE: i128 = 150_000_000;
/// coh★ is at most 1.05.
const COHERENCE_MAX: i128 = 1_050_000_000;
/// Claimed and recomputed budget may be 0.01 apart.
const BUDGET_TOLERANCE: i128 = 10_000_000;

/// Judges one body at its log time. Never panics on any bytes; memory stays proportional to them.
pub fn judge(body: &[u8], at: LogTime, tenant: Option<&str>, signing: Signing, keys: &Keyring) -> Verdict {
    let refuse = |code, reason: String| Verdict { code, reason, facts: None };
    if signing == Signing::Off
        && let Some(Err(error)) = tenant.map(Tenant::new)
    {
        return refuse(Code::Malformed, format!("the tenant named beside the record can not be one: {error}"));
    }
    let record = match Record::parse(body) {
        Ok(record) => record,
        Err(malformed) => return refuse(Code::Malformed, malformed.to_string()),
    };
    let signed = Signed::of(&record);
    let held = match signature::verify(record.sig.as_deref(), &signed, at, tenant, signing, keys) {
        Ok(held) => held,
        Err(error) => return refuse(Code::BadSignature, error.told()),
    };
    let mut recomputed = Recomputed::default();
    let failed = Check::ALL.into_iter().find(|check| !check.holds(&record, &mut recomputed));
    let code = failed.map_or(Code::Ok, Check::code);
    let facts = facts(&record, signed, held, &recomputed);
    let reason = match (code, recomputed.no_d_hat) {
        (Code::DHatUnavailable, Some(why)) => format!("D_hat can not be recomputed: {why}"),
        _ => verdict::reason(code, &facts),
    };
    Verdict { code, reason, facts: Some(facts) }
}

fn facts(record: &Record<'_>, signed: Signed, held: Held, recomputed: &Recomputed) -> Facts {
    Facts {
        tenant: held.tenant,
        pcs_id: Arc::from(record.pcs_id.as_ref()),
        d_hat: record.d_hat,
        recomputed_d_hat: recomputed.d_hat,
        regime: recomputed.regime,
        recomputed_budget: recomputed.budget,
        payload_sha256: signed.payload_sha256,
        content_sha256: signed.content_sha256,
        key_id: held.key_id,
        signed: held.form,
    }
}

/// What the checks have recomputed so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recomputed {
    /// By check 5.
    pub d_hat: Option<Nano>,
    /// By check 5, where D̂ can not be had.
    pub no_d_hat: Option<NoDHat>,
    /// By check 8.
    pub regime: Option<Regime>,
    /// By check 9.
    pub budget: Option<Nano>,
}

/// Checks 3 to 10: what an authentic record has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// 3: `pcs_id` is derived from its parts.
    PcsId,
    /// 4: schema known, version `0.x`.
    Schema,
    /// 5: D̂ can be recomputed.
    DHatAvailable,
    /// 6: the claimed D̂ is within 0.15 of it.
    DHatTolerance,
    /// 7: coh★ is in its bounds.
    Coherence,
    /// 8: the regime is the derived one.
    Regime,
    /// 9: the claimed budget is within 0.01.
    Budget,
    /// 10: not degraded.
    NotDegraded,
}

impl Check {
    /// In the order in which they decide.
    pub const ALL: [Self; 8] = [
        Self::PcsId,
        Self::Schema,
        Self::DHatAvailable,
        Self::DHatTolerance,
        Self::Coherence,
        Self::Regime,
        Self::Budget,
        Self::NotDegraded,
    ];

    /// Its number in contract section 4.
    pub const fn number(self) -> u8 {
        self as u8 + 3
    }

    /// The code of a record that fails it.
    pub const fn code(self) -> Code {
        match self {
            Self::PcsId => Code::PcsIdMismatch,
            Self::Schema => Code::SchemaMismatch,
            Self::DHatAvailable => Code::DHatUnavailable,
            Self::DHatTolerance => Code::DHatOutOfTolerance,
            Self::Coherence => Code::CoherenceOutOfBounds,
            Self::Regime => Code::RegimeMismatch,
            Self::Budget => Code::BudgetDeviation,
            Self::NotDegraded => Code::Degraded,
        }
    }

    fn holds(self, record: &Record<'_>, recomputed: &mut Recomputed) -> bool {
        match self {
            Self::PcsId => *record.pcs_id == *pcs_id(&record.merkle_root, record.epoch, &record.shard_id),
            Self::Schema => record.schema == SCHEMA && version_is_known(&record.version),
            Self::DHatAvailable => match signals::d_hat(record) {
                Ok(d_hat) => {
                    recomputed.d_hat = Some(d_hat);
                    true
                }
                Err(why) => {
                    recomputed.no_d_hat = Some(why);
                    false
                }
            },
            Self::DHatTolerance => recomputed.d_hat.is_some_and(|d_hat| apart(record.d_hat, d_hat) <= D_HAT_TOLERANCE),
            Self::Coherence => (0..=COHERENCE_MAX).contains(&record.coh_star.units()),
            Self::Regime => {
                let derived = signals::regime(record.d_hat, record.coh_star);
                recomputed.regime = Some(derived);
                record.regime == derived.as_str()
            }
            Self::Budget => {
                let budget = signals::budget(record.d_hat, record.coh_star, record.r);
                recomputed.budget = Some(budget);
                apart(record.budget, budget) <= BUDGET_TOLERANCE
            }
            Self::NotDegraded => !record.degraded,
        }
    }
}

fn apart(a: Nano, b: Nano) -> i128 {
    (a.units() - b.units()).abs()
}

/// `0.` and numbers: `0.1`, `0.2`, `0.1.7`; not `0`, not `1.0`.
fn version_is_known(version: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    version.strip_prefix("0.").is_some_and(|rest| rest.split('.').all(number))
}

/// The id that a record must have: lower-case hex SHA-256 of `merkle_root|epoch|shard_id`.
pub fn pcs_id(merkle_root: &str, epoch: i64, shard_id: &str) -> String {
    let mut buffer = itoa::Buffer::new();
    let parts = [merkle_root, "|", buffer.format(epoch), "|", shard_id];
    let digest = parts.iter().fold(Sha256::new(), Sha256::chain_update).finalize();
    Digest(digest.into()).to_string()
}

/// One check looked at by itself, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// Whether it holds.
    pub held: bool,
    /// What the record says.
    pub claimed: String,
    /// What it would have to be.
    pub expected: String,
}

/// Looks at checks 3 to 10 one by one, also beyond the first that fails: what [`judge`] decides by,
/// laid open for a person who asks why.
pub fn explain(record: &Record<'_>) -> Vec<Finding> {
    let mut recomputed = Recomputed::default();
    let mut findings = Vec::with_capacity(Check::ALL.len());
    for check in Check::ALL {
        let held = check.holds(record, &mut recomputed);
        let d_hat = || recomputed.d_hat.map_or_else(|| "none".to_owned(), |d_hat| d_hat.to_string());
        let (claimed, expected) = match check {
            Check::PcsId => (record.pcs_id.to_string(), pcs_id(&record.merkle_root, record.epoch, &record.shard_id)),
            Check::Schema => (format!("{} {}", record.schema, record.version), format!("{SCHEMA} 0.x")),
            Check::DHatAvailable => (
                format!("{} scales, {} entries in N_j", record.scales.len(), record.n_j.len()),
                recomputed.no_d_hat.map_or_else(|| format!("recomputed D_hat {}", d_hat()), |why| why.to_string()),
            ),
            Check::DHatTolerance => (record.d_hat.to_string(), format!("{} ± 0.15", d_hat())),
            Check::Coherence => (record.coh_star.to_string(), "0 to 1.05".to_owned()),
            Check::Regime => (record.regime.to_string(), recomputed.regime.map_or("none", Regime::as_str).to_owned()),
            Check::Budget => (
                record.budget.to_string(),
                recomputed.budget.map_or_else(|| "none".to_owned(), |budget| format!("{budget} ± 0.01")),
            ),
            Check::NotDegraded => (format!("degraded: {}", record.degraded), "degraded: false".to_owned()),
        };
        findings.push(Finding { check, held, claimed, expected });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_zero_and_numbers() {
        for good in ["0.1", "0.2", "0.1.7", "0.10"] {
            assert!(version_is_known(good), "{good}");
        }
        for bad in ["0", "0.", "1.0", "0.1.", "0..1", "0.x", "00.1", " 0.1"] {
            assert!(!version_is_known(bad), "{bad}");
        }
    }

    #[test]
    fn checks_have_the_numbers_of_the_contract() {
        assert_eq!(Check::ALL.map(Check::number), [3, 4, 5, 6, 7, 8, 9, 10]);
    }
}
