//! The verdict's words and what each means (the table of contract section 4).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Digest, Form, Nano, Tenant, signals::Regime};

/// The machine-readable reason of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Check 1: not a well-formed record.
    Malformed,
    /// Check 2: not authentic.
    BadSignature,
    /// Check 3: the id is not derived from its parts.
    PcsIdMismatch,
    /// Check 4: schema or version unknown.
    SchemaMismatch,
    /// Check 5: D̂ can not be recomputed.
    DHatUnavailable,
    /// Check 6: claimed and recomputed D̂ are more than 0.15 apart.
    DHatOutOfTolerance,
    /// Check 7: coh★ is not in 0 to 1.05.
    CoherenceOutOfBounds,
    /// Check 8: the regime is not the derived one.
    RegimeMismatch,
    /// Check 9: claimed and recomputed budget are more than 0.01 apart.
    BudgetDeviation,
    /// Check 10: the agent says that it worked degraded.
    Degraded,
    /// All checks hold.
    Ok,
    /// Judging itself failed.
    Internal,
    /// Settlement (section 5): another content for an id that stands.
    Conflict,
    /// Settlement (section 5): reached settlement 14 days or more after its log time.
    TooOld,
}

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The HTTP status.
    pub status: u16,
    /// The record is accepted; `None` where it was never judged.
    pub accepted: Option<bool>,
    /// A person should look.
    pub escalated: bool,
    /// It may settle its id.
    pub settles: bool,
}

impl Code {
    /// Every code: counters start at 0 for each.
    pub const ALL: [Self; 14] = [
        Self::Malformed,
        Self::BadSignature,
        Self::PcsIdMismatch,
        Self::SchemaMismatch,
        Self::DHatUnavailable,
        Self::DHatOutOfTolerance,
        Self::CoherenceOutOfBounds,
        Self::RegimeMismatch,
        Self::BudgetDeviation,
        Self::Degraded,
        Self::Ok,
        Self::Internal,
        Self::Conflict,
        Self::TooOld,
    ];

    /// The word on the wire, in the log and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::PcsIdMismatch => "pcs_id_mismatch",
            Self::SchemaMismatch => "schema_mismatch",
            Self::DHatUnavailable => "d_hat_unavailable",
            Self::DHatOutOfTolerance => "d_hat_out_of_tolerance",
            Self::CoherenceOutOfBounds => "coherence_out_of_bounds",
            Self::RegimeMismatch => "regime_mismatch",
            Self::BudgetDeviation => "budget_deviation",
            Self::Degraded => "degraded",
            Self::Ok => "ok",
            Self::Internal => "internal",
            Self::Conflict => "conflict",
            Self::TooOld => "too_old",
        }
    }

    /// The code of a word; `None` if there is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// The table of contract section 4. A conflict's answer is the stored result's; what stands
    /// here for it and for `too_old` is what the record itself came to: refused, for a person to see.
    pub const fn meaning(self) -> Meaning {
        const fn never_judged(status: u16) -> Meaning {
            Meaning { status, accepted: None, escalated: false, settles: false }
        }
        match self {
            Self::Malformed => never_judged(400),
            Self::BadSignature => never_judged(401),
            Self::Internal => never_judged(500),
            Self::PcsIdMismatch
            | Self::SchemaMismatch
            | Self::DHatUnavailable
            | Self::DHatOutOfTolerance
            | Self::CoherenceOutOfBounds
            | Self::Conflict
            | Self::TooOld => Meaning { status: 202, accepted: Some(false), escalated: true, settles: false },
            Self::RegimeMismatch | Self::BudgetDeviation | Self::Degraded => {
                Meaning { status: 202, accepted: Some(true), escalated: true, settles: true }
            }
            Self::Ok => Meaning { status: 200, accepted: Some(true), escalated: false, settles: true },
        }
    }
}

impl core::fmt::Display for Code {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of an authentic record: who signed it, what it claims, what was recomputed.
/// Fields that were not reached are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Tenant of the key that verified it.
    pub tenant: Tenant,
    /// As claimed; derived once check 3 holds.
    pub pcs_id: Arc<str>,
    /// The claimed D̂, rounded.
    pub d_hat: Nano,
    /// Reached by check 5.
    pub recomputed_d_hat: Option<Nano>,
    /// Reached by check 8; derived.
    pub regime: Option<Regime>,
    /// Reached by check 9.
    pub recomputed_budget: Option<Nano>,
    /// SHA-256 of the canonical payload.
    pub payload_sha256: Digest,
    /// SHA-256 of the canonical content.
    pub content_sha256: Digest,
    /// Which key held; `None` with signing off.
    pub key_id: Option<Arc<str>>,
    /// What the signature covers; `None` with signing off.
    pub signed: Option<Form>,
}

/// What judging a record came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The first check that failed, or `Ok`.
    pub code: Code,
    /// For people; empty for `Ok`. Quotes nothing of the body.
    pub reason: String,
    /// `None` for what is malformed, unauthentic or failed inside.
    pub facts: Option<Facts>,
}

impl Verdict {
    /// A record that judging itself failed on: refused, and said so.
    pub fn internal() -> Self {
        Self {
            code: Code::Internal,
            reason: "judging this record failed inside the service; it is in the log, please report its position"
                .into(),
            facts: None,
        }
    }

    /// The facts, if the record may settle its id: authentic, accepted, with a derived id.
    pub fn candidate(&self) -> Option<&Facts> {
        self.facts.as_ref().filter(|_| self.code.meaning().settles)
    }
}

/// The reason of a code, as far as facts tell it: the one place for words that are made again from
/// what is stored.
pub fn reason(code: Code, facts: &Facts) -> String {
    let or_none = |value: Option<Nano>| value.map_or_else(|| "none".into(), |value| value.to_string());
    match code {
        Code::Ok => String::new(),
        Code::PcsIdMismatch => {
            "pcs_id is not the lower-case hex SHA-256 of merkle_root|epoch|shard_id; derive it from these".into()
        }
        Code::SchemaMismatch => "schema must be fractal-lba-kakeya and version 0.x".into(),
        Code::DHatOutOfTolerance => format!(
            "claimed D_hat {} and recomputed {} are more than 0.15 apart",
            facts.d_hat,
            or_none(facts.recomputed_d_hat)
        ),
        Code::CoherenceOutOfBounds => "coh_star must be from 0 to 1.05".into(),
        Code::RegimeMismatch => format!(
            "the claimed regime is not the one that D_hat and coh_star make: {}",
            facts.regime.map_or("none", Regime::as_str)
        ),
        Code::BudgetDeviation => {
            format!("the claimed budget is more than 0.01 from the recomputed {}", or_none(facts.recomputed_budget))
        }
        Code::Degraded => "the agent says that it worked degraded (ft.degraded)".into(),
        Code::TooOld => "the record reached settlement 14 days or more after its log time".into(),
        Code::Conflict => "another content stands for this id".into(),
        Code::DHatUnavailable => {
            "D_hat can not be recomputed: scales above 0, each with 0 < N_j < 2^53, two of them 1e-9 apart in log2"
                .into()
        }
        Code::Malformed | Code::BadSignature | Code::Internal => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_read_back() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
        }
        assert_eq!(Code::parse("other"), None);
    }

    #[test]
    fn every_judged_202_is_escalated_and_only_accepted_records_settle() {
        for code in Code::ALL {
            let meaning = code.meaning();
            assert_eq!(meaning.escalated, meaning.status == 202, "{code}");
            assert!(!meaning.settles || meaning.accepted == Some(true), "{code}");
        }
    }
}
