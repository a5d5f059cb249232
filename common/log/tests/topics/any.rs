//! Anything that can become of a record.

use std::sync::Arc;

use flk_contract::{
    Code, Digest, Facts, Form, LogId, LogTime, Nano, Origin, Position, Settled, Tenant, Verdict,
    limits::PCS_ID_BYTES_MAX, signals::Regime, verdict, wire::State,
};
use flk_log::{Decided, topic::VerifiedAt};
use proptest::{option, prelude::*, sample::select};

/// The last time that can be written: the end of the year 9999.
const LAST: i64 = 253_402_300_799_999;

fn nano() -> impl Strategy<Value = Nano> {
    let double = prop_oneof![any::<f64>(), -10.0..10.0_f64, Just(0.0), Just(-0.0)];
    double.prop_filter_map("below 1e15", Nano::from_f64)
}

pub(crate) fn origin() -> impl Strategy<Value = Origin> {
    let time = prop_oneof![0..=LAST, Just(0), Just(LAST), 1_767_225_600_000..1_767_325_600_000_i64];
    let place = ("[A-Za-z0-9_-]{22}", "[a-z0-9.]{0,8}", 0..=i32::MAX, prop_oneof![0..=i64::MAX, Just(i64::MAX)]);
    (place, time).prop_map(|((log, prefix, partition, offset), time)| Origin {
        position: Position { log: LogId::new(&log), topic: format!("{prefix}pcs.raw").into(), partition, offset },
        appended_at: LogTime::from_millis(time),
    })
}

fn facts(pcs_id: impl Strategy<Value = String>) -> impl Strategy<Value = Facts> {
    let words = (option::of(select(Regime::ALL.to_vec())), option::of(select(vec![Form::Payload, Form::Content])));
    let names = ("[A-Za-z0-9._-]{1,64}", pcs_id, option::of("[!-~]{1,64}"));
    let numbers = (nano(), option::of(nano()), option::of(nano()));
    (words, names, numbers, any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(
        |((regime, signed), (tenant, pcs_id, key_id), numbers, payload, content)| Facts {
            tenant: Tenant::new(&tenant).unwrap(),
            pcs_id: pcs_id.into(),
            d_hat: numbers.0,
            recomputed_d_hat: numbers.1,
            regime,
            recomputed_budget: numbers.2,
            payload_sha256: Digest(payload),
            content_sha256: Digest(content),
            key_id: key_id.map(Arc::from),
            signed,
        },
    )
}

fn derived() -> impl Strategy<Value = String> {
    any::<[u8; 32]>().prop_map(|id| Digest(id).to_string())
}

/// As claimed: any text of at most 128 bytes, also one that needs escapes.
fn claimed() -> impl Strategy<Value = String> {
    let cut = |mut text: String| {
        text.truncate(text.floor_char_boundary(PCS_ID_BYTES_MAX));
        text
    };
    prop_oneof![derived(), ".{0,128}".prop_map(cut), "[\\x00-\\x1f]{0,128}".prop_map(String::from)]
}

fn codes(of: fn(Code) -> bool) -> impl Strategy<Value = Code> {
    select(Code::ALL.into_iter().filter(|code| of(*code)).collect::<Vec<_>>())
}

pub(crate) fn settled() -> impl Strategy<Value = Settled> {
    (codes(|code| code.meaning().settles), facts(derived()), origin()).prop_map(|(code, facts, origin)| Settled {
        code,
        facts,
        origin,
    })
}

pub(crate) fn verified_at() -> impl Strategy<Value = VerifiedAt> {
    (0..=i32::MAX, 0..=i64::MAX).prop_map(|(partition, offset)| VerifiedAt { partition, offset })
}

fn own(code: Code, facts: Facts) -> Verdict {
    Verdict { code, reason: verdict::reason(code, &facts), facts: Some(facts) }
}

/// A record that settled, met again under the same keys or others; a duplicate and a conflict.
fn stands() -> impl Strategy<Value = Decided> {
    let state = select(vec![State::Settled, State::Duplicate, State::Conflict]);
    let again = option::of((codes(|code| code.meaning().settles), facts(derived())));
    (state, settled(), again).prop_map(|(state, standing, again)| {
        let (code, facts) = again.unwrap_or_else(|| (standing.code, standing.facts.clone()));
        Decided {
            verdict: own(code, facts),
            state,
            code: if state == State::Conflict { Code::Conflict } else { code },
            standing: Some(Arc::new(standing)),
        }
    })
}

/// A record that was refused: judged, never judged, or too late.
fn refused() -> impl Strategy<Value = Decided> {
    let told = |verdict: Verdict| Decided { state: State::Refused, code: verdict.code, verdict, standing: None };
    let judged = |code: Code| code.meaning().accepted == Some(false) && !matches!(code, Code::Conflict | Code::TooOld);
    let judged = (codes(judged), facts(claimed()), ".{0,80}")
        .prop_map(move |(code, facts, reason)| told(Verdict { code, reason, facts: Some(facts) }));
    let never = (codes(|code| code.meaning().accepted.is_none()), ".{0,80}")
        .prop_map(move |(code, reason)| told(Verdict { code, reason, facts: None }));
    let late = (codes(|code| code.meaning().settles), facts(derived()))
        .prop_map(move |(code, facts)| Decided { code: Code::TooOld, ..told(own(code, facts)) });
    prop_oneof![judged, never, late]
}

pub(crate) fn decided() -> impl Strategy<Value = Decided> {
    prop_oneof![stands(), refused()]
}
