//! What is told of a settled result is all of it: it can be read back, exactly.

use std::sync::Arc;

use flk_contract::{
    Code, Digest, Facts, Form, Keyring, LogId, LogTime, Nano, Origin, Position, Settled, Signing, Tenant, judge,
    signals::Regime,
    verdict,
    wire::{NotSettled, ResultBody},
};
use proptest::{option, prelude::*, sample::select};

use crate::{
    cases,
    draft::{Draft, Pen, honest},
};

/// The last time that can be written: the end of the year 9999.
const LAST: i64 = 253_402_300_799_999;

/// Numbers as claims and computations give them: rounded from a double.
fn nano() -> impl Strategy<Value = Nano> {
    let double = prop_oneof![any::<f64>(), -10.0..10.0_f64, -1e15..1e15_f64, Just(0.0), Just(-0.0), Just(-4e-10)];
    double.prop_filter_map("below 1e15", Nano::from_f64)
}

fn origin() -> impl Strategy<Value = Origin> {
    let time = prop_oneof![0..=LAST, Just(0), Just(LAST), 1_767_225_600_000..1_767_325_600_000_i64];
    let place = (".{1,24}", "[A-Za-z0-9._-]{1,24}", any::<i32>(), any::<i64>());
    (place, time).prop_map(|((log, topic, partition, offset), time)| Origin {
        position: Position { log: LogId::new(&log), topic: topic.into(), partition, offset },
        appended_at: LogTime::from_millis(time),
    })
}

/// Every code that settles, with every combination of facts: also those that no check leaves so.
fn settled() -> impl Strategy<Value = Settled> {
    let codes: Vec<Code> = Code::ALL.into_iter().filter(|code| code.meaning().settles).collect();
    assert_eq!(codes.len(), 4);
    let words = (
        select(codes),
        option::of(select(Regime::ALL.to_vec())),
        option::of(select(vec![Form::Payload, Form::Content])),
    );
    let names = ("[A-Za-z0-9._-]{1,64}", any::<[u8; 32]>(), option::of("[!-~]{1,64}"));
    let numbers = (nano(), option::of(nano()), option::of(nano()));
    let digests = (any::<[u8; 32]>(), any::<[u8; 32]>());
    (words, names, numbers, digests, origin()).prop_map(
        |((code, regime, signed), (tenant, id, key_id), numbers, (payload, content), origin)| Settled {
            code,
            facts: Facts {
                tenant: Tenant::new(&tenant).unwrap(),
                pcs_id: Digest(id).to_string().into(),
                d_hat: numbers.0,
                recomputed_d_hat: numbers.1,
                regime,
                recomputed_budget: numbers.2,
                payload_sha256: Digest(payload),
                content_sha256: Digest(content),
                key_id: key_id.map(Arc::from),
                signed,
            },
            origin,
        },
    )
}

fn through_json(body: &ResultBody) -> ResultBody {
    serde_json::from_slice(&serde_json::to_vec(body).unwrap()).unwrap()
}

fn judged(draft: &Draft) -> (Code, Facts) {
    let body = draft.body(None, Pen::PLAIN);
    let verdict = judge(body.as_bytes(), LogTime::default(), None, Signing::Off, &Keyring::default());
    (verdict.code, verdict.candidate().unwrap().clone())
}

proptest! {
    #![proptest_config(cases(4))]

    #[test]
    fn a_settled_result_is_read_back_exactly(settled in settled()) {
        let body = ResultBody::settled(&settled);
        prop_assert_eq!(&body.clone().into_settled().unwrap(), &settled);
        prop_assert_eq!(body.clone().into_facts(), settled.facts.clone());
        let told = through_json(&body);
        prop_assert_eq!(&told, &body);
        prop_assert_eq!(told.into_settled().unwrap(), settled);
    }

    /// The same for what judging makes, for each code that it settles with.
    #[test]
    fn a_record_that_was_judged_is_read_back_exactly(draft in honest(), origin in origin()) {
        let other = if draft.regime == "mixed" { "sticky" } else { "mixed" };
        let off = if draft.budget < 500_000_000 { 20_000_000 } else { -20_000_000 };
        for (code, draft) in [
            (Code::Ok, draft.clone()),
            (Code::RegimeMismatch, Draft { regime: other.to_owned(), ..draft.clone() }),
            (Code::BudgetDeviation, Draft { budget: draft.budget + off, ..draft.clone() }),
            (Code::Degraded, Draft { degraded: Some(true), ..draft.clone() }),
        ] {
            let (given, facts) = judged(&draft);
            prop_assert_eq!(given, code);
            let settled = Settled { code, facts, origin: origin.clone() };
            prop_assert_eq!(through_json(&ResultBody::settled(&settled)).into_settled().unwrap(), settled);
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_settled_result(settled in settled(), id in "[0-9a-fA-F]{0,70}") {
        let body = ResultBody::settled(&settled);
        for code in Code::ALL.into_iter().filter(|code| !code.meaning().settles) {
            let other = ResultBody { code, ..body.clone() };
            prop_assert_eq!(other.into_settled(), Err(NotSettled::Code(code)));
        }
        let contradicts = |field| Err(NotSettled::Contradiction(field, settled.code));
        let status = ResultBody { status: 402 - body.status, ..body.clone() };
        prop_assert_eq!(status.into_settled(), contradicts("status"));
        let accepted = ResultBody { accepted: false, ..body.clone() };
        prop_assert_eq!(accepted.into_settled(), contradicts("accepted"));
        let escalated = ResultBody { escalated: !body.escalated, ..body.clone() };
        prop_assert_eq!(escalated.into_settled(), contradicts("escalated"));
        let contract = ResultBody { contract: "0.2".to_owned(), ..body.clone() };
        prop_assert_eq!(contract.into_settled(), Err(NotSettled::Contract));
        let nowhere = ResultBody { origin: None, ..body.clone() };
        prop_assert_eq!(nowhere.into_settled(), Err(NotSettled::NoOrigin));
        let derived = id.len() == 64 && !id.bytes().any(|b| b.is_ascii_uppercase());
        let named = ResultBody { pcs_id: id.into(), ..body.clone() };
        prop_assert_eq!(named.into_settled().is_ok(), derived);
    }

    /// The words of a reason may change from one version to the next; what was written stays readable.
    #[test]
    fn a_reason_in_other_words_changes_nothing(settled in settled(), reason in ".{0,40}") {
        let body = ResultBody { reason, ..ResultBody::settled(&settled) };
        let read = body.into_settled().unwrap();
        prop_assert_eq!(verdict::reason(read.code, &read.facts), ResultBody::settled(&settled).reason);
        prop_assert_eq!(read, settled);
    }
}
