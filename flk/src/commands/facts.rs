//! What a verdict found out about a record, in words: the same for a record and for a result.

use flk_contract::{Facts, Nano, signals::Regime};

use crate::output::Cell;

/// Hands each fact to `row`, with its name. A check that was not reached has found out nothing.
pub(super) fn rows(facts: &Facts, row: &mut impl FnMut(&str, Cell)) {
    let recomputed = |n: Option<Nano>| n.map_or_else(|| "not recomputed".to_owned(), |n| format!("{n} recomputed"));
    row("pcs_id", (&*facts.pcs_id).into());
    row("tenant", facts.tenant.as_str().into());
    row("D_hat", format!("{} claimed, {}", facts.d_hat, recomputed(facts.recomputed_d_hat)).into());
    row("budget", recomputed(facts.recomputed_budget).into());
    let derived = |regime: Regime| format!("{} derived", regime.as_str());
    row("regime", facts.regime.map_or_else(|| "not derived".to_owned(), derived).into());
    row("payload_sha256", facts.payload_sha256.to_string().into());
    row("content_sha256", facts.content_sha256.to_string().into());
    let signed = match (&facts.key_id, facts.signed) {
        (Some(key), Some(form)) => format!("{form}, with the key {key}"),
        _ => "not checked: signing was off".to_owned(),
    };
    row("signed", signed.into());
}

#[cfg(test)]
mod tests {
    use flk_contract::{Digest, Form, Tenant};

    use super::*;

    fn told(facts: &Facts) -> Vec<(String, Cell)> {
        let mut told = Vec::new();
        rows(facts, &mut |name, cell| told.push((name.to_owned(), cell)));
        told
    }

    #[test]
    fn what_was_not_reached_is_said_so_and_what_was_is_told() {
        let mut facts = Facts {
            tenant: Tenant::default_tenant(),
            pcs_id: "id".into(),
            d_hat: Nano::from_units(1_500_000_000),
            recomputed_d_hat: Some(Nano::from_units(1_000_000_000)),
            regime: None,
            recomputed_budget: None,
            payload_sha256: Digest::of(b"p"),
            content_sha256: Digest::of(b"c"),
            key_id: None,
            signed: None,
        };
        let row = |name: &str, text: &str| (name.to_owned(), Cell::from(text));
        let found = told(&facts);
        for expected in [
            row("D_hat", "1.5 claimed, 1.0 recomputed"),
            row("budget", "not recomputed"),
            row("regime", "not derived"),
            row("signed", "not checked: signing was off"),
        ] {
            assert!(found.contains(&expected), "{expected:?} in {found:?}");
        }
        (facts.regime, facts.key_id, facts.signed) = (Some(Regime::Mixed), Some("k1".into()), Some(Form::Content));
        let found = told(&facts);
        for expected in [row("regime", "mixed derived"), row("signed", "content, with the key k1")] {
            assert!(found.contains(&expected), "{expected:?} in {found:?}");
        }
    }
}
