//! The compact value: what it keeps, how long it is, and that no bytes break it.

use std::sync::Arc;

use flk_contract::{
    Code, Digest, Facts, Form, LogId, LogTime, Nano, Origin, Position, Settled, Tenant, signals::Regime,
};
use flk_results::{
    codec::{NotSettled, Undecodable},
    read_side::{
        Subject,
        conformance::subject,
        value::{self, Decoded, Stored, VALUE_BYTES_MAX},
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// What the steepest of records has: counts below 2^53 over scales that are 1e-9 apart in log2.
const STEEPEST: i128 = 53_000_000_000_000_000_000;
/// How far a claim may be from what is recomputed.
const TOLERANCE: i128 = 150_000_000;
/// The last millisecond of the year 9999.
const LAST: i64 = 253_402_300_799_999;

fn slope(beyond: i128) -> impl Strategy<Value = Nano> {
    let most = STEEPEST + beyond;
    prop_oneof![
        (-most..=most).prop_map(Nano::from_units),
        select(vec![-most, most]).prop_map(Nano::from_units),
        (0..3_000_000_000_i128).prop_map(Nano::from_units),
        Just(Nano::from_f64(-0.0).unwrap()),
    ]
}

fn key_id() -> impl Strategy<Value = Option<Arc<str>>> {
    let id = prop_oneof!["[0-9a-f]{16}", "[0-9a-fA-F]{14,18}", "[!-~]{1,64}", "[!-~]{64}"];
    option::of(id.prop_map(Arc::from))
}

/// Any result that a judge lets settle.
fn settled() -> impl Strategy<Value = Settled> {
    let code = select(vec![Code::Ok, Code::RegimeMismatch, Code::BudgetDeviation, Code::Degraded]);
    let regime = option::of(select(Regime::ALL.to_vec()));
    let signed = option::of(select(vec![Form::Payload, Form::Content]));
    let names = ("[A-Za-z0-9._-]{1,64}", any::<[u8; 32]>(), key_id());
    let digests = (any::<[u8; 32]>(), any::<[u8; 32]>());
    let budget = prop_oneof![0..=1_000_000_000_i128, Just(1_000_000_000)];
    let numbers = (slope(TOLERANCE), option::of(slope(0)), option::of(budget.prop_map(Nano::from_units)));
    let partition = prop_oneof![0..48_i32, 0..=i32::MAX, Just(i32::MAX)];
    let offset = prop_oneof![0..5_000_000_i64, 0..=i64::MAX, Just(i64::MAX)];
    let at = (partition, offset, prop_oneof![0..=LAST, Just(LAST)]);
    (code, regime, signed, names, digests, numbers, at).prop_map(
        |(code, regime, signed, (tenant, id, key_id), (payload, content), numbers, (partition, offset, time))| {
            let Subject { log, topic, .. } = subject();
            let facts = Facts {
                tenant: Tenant::new(&tenant).unwrap(),
                pcs_id: Digest(id).to_string().into(),
                d_hat: numbers.0,
                recomputed_d_hat: numbers.1,
                regime,
                recomputed_budget: numbers.2,
                payload_sha256: Digest(payload),
                content_sha256: Digest(content),
                key_id,
                signed,
            };
            let position = Position { log, topic, partition, offset };
            Settled { code, facts, origin: Origin { position, appended_at: LogTime::from_millis(time) } }
        },
    )
}

fn decode(of: &Settled, value: &[u8]) -> Result<Decoded, Undecodable> {
    value::decode(&subject(), of.facts.tenant.clone(), of.facts.pcs_id.clone(), value)
}

/// What is decoded, written again: it has to be the same bytes.
fn again(decoded: Decoded) -> Option<Vec<u8>> {
    match decoded {
        Decoded::Settled(settled) => Some(value::encode(&settled).unwrap().value),
        // Its bytes name the key id, which is elsewhere.
        Decoded::Apart(..) | Decoded::OfAnother => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_result_survives_a_round_trip_and_is_never_long(settled in settled()) {
        let Stored { value, key_id } = value::encode(&settled).unwrap();
        prop_assert!(value.len() <= VALUE_BYTES_MAX, "{} bytes", value.len());
        let back = match decode(&settled, &value).unwrap() {
            Decoded::Settled(back) => {
                prop_assert_eq!(key_id, None);
                back
            }
            Decoded::Apart(name, mut back) => {
                let (stored_as, text) = key_id.unwrap();
                prop_assert_eq!((name, stored_as), (value::name(&text), value::name(&text)));
                prop_assert!(text.len() > 2, "a short one is not kept apart: {}", text);
                back.facts.key_id = Some(text);
                back
            }
            Decoded::OfAnother => panic!("it is of this one"),
        };
        prop_assert_eq!(*back, settled);
    }

    #[test]
    fn any_bytes_are_decoded_without_panic_and_have_one_form(settled in settled(), mut bytes in vec(any::<u8>(), 0..200), keep in 0..8_usize) {
        // Random bytes alone hardly come beyond the mark.
        let good = value::encode(&settled).unwrap().value;
        let keep = keep.min(bytes.len());
        bytes[..keep].copy_from_slice(&good[..keep]);
        if let Ok(Some(written)) = decode(&settled, &bytes).map(again) {
            prop_assert_eq!(written, bytes);
        }
    }

    #[test]
    fn a_changed_value_decodes_to_itself_or_not_at_all(settled in settled(), at: prop::sample::Index, to: u8, keep: prop::sample::Index) {
        let mut bytes = value::encode(&settled).unwrap().value;
        let at = at.index(bytes.len());
        bytes[at] = to;
        bytes.truncate(keep.index(bytes.len()).max(bytes.len() / 2) + 1);
        if let Ok(Some(written)) = decode(&settled, &bytes).map(again) {
            prop_assert_eq!(written, bytes);
        }
    }
}

fn typical(key_id: &str) -> Settled {
    let Subject { log, topic, .. } = subject();
    let position = Position { log, topic, partition: 40, offset: 5_123_456_789 };
    Settled {
        code: Code::Ok,
        facts: Facts {
            tenant: Tenant::default_tenant(),
            pcs_id: Digest::of(b"id").to_string().into(),
            d_hat: Nano::from_units(1_412_345_678),
            recomputed_d_hat: Some(Nano::from_units(1_412_345_671)),
            regime: Some(Regime::Sticky),
            recomputed_budget: Some(Nano::from_units(412_345_678)),
            payload_sha256: Digest::of(b"payload"),
            content_sha256: Digest::of(b"content"),
            key_id: Some(key_id.into()),
            signed: Some(Form::Content),
        },
        origin: Origin { position, appended_at: LogTime::from_millis(1_767_225_600_000) },
    }
}

/// Stored values are read by releases to come.
#[test]
fn the_form_is_fixed() {
    let Stored { value, key_id } = value::encode(&typical("0123456789abcdef")).unwrap();
    let digest = |text: &[u8]| Digest::of(text).to_string();
    let mark = digest(b"the log\0pcs.raw");
    let expected = [
        "01",
        &mark[..8],
        "010123456789abcdef",
        "022403",
        &digest(b"payload"),
        &digest(b"content"),
        "50aafc8d962680a0d5edee66",
        "9cbdf5c20a8ebdf5c20a9c959f8903",
    ]
    .concat();
    assert_eq!((hex::encode(value), key_id), (expected, None));
}

#[test]
fn key_ids_take_what_they_need() {
    let forms = [
        ("0123456789abcdef", 108, false),
        ("0123456789ABCDEF", 117, false),
        ("v", 102, false),
        ("a key id of 27 bytes.......", 128, false),
        ("a key id of 28 bytes........", 108, true),
    ];
    for (key_id, bytes, apart) in forms {
        let settled = typical(key_id);
        let stored = value::encode(&settled).unwrap();
        assert_eq!((stored.value.len(), stored.key_id.is_some()), (bytes, apart), "{key_id}");
    }
}

#[test]
fn what_is_of_another_log_or_topic_is_not_taken_for_ours() {
    let settled = typical("v");
    let value = value::encode(&settled).unwrap().value;
    let Facts { tenant, pcs_id, .. } = &settled.facts;
    for of in [
        Subject { log: LogId::new("another log"), ..subject() },
        Subject { topic: "staging.pcs.raw".into(), ..subject() },
        Subject { log: LogId::new("the log\0pcs"), topic: "raw".into(), ..subject() },
    ] {
        assert_eq!(value::decode(&of, tenant.clone(), pcs_id.clone(), &value), Ok(Decoded::OfAnother), "{of:?}");
    }
    let more = Subject { partitions: 48.try_into().unwrap(), ..subject() };
    assert!(matches!(value::decode(&more, tenant.clone(), pcs_id.clone(), &value), Ok(Decoded::Settled(_))));
}

#[test]
fn what_is_written_otherwise_is_refused_by_name() {
    let settled = typical("v");
    let good = value::encode(&settled).unwrap().value;
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        decode(&settled, &bytes)
    };
    assert_eq!(with(0, 9), Err(Undecodable::Version(9)));
    assert_eq!(with(5, 7), Err(Undecodable::Flags), "another form of key id");
    assert_eq!(with(7, 0xff), Err(Undecodable::KeyId));
    assert_eq!(with(8, 9), Err(Undecodable::Version(9)), "of the form of the index");
    for len in 0..good.len() {
        assert!(decode(&settled, &good[..len]).is_err(), "{len} bytes of {}", good.len());
    }
    assert_eq!(decode(&settled, &[&*good, b"x"].concat()), Err(Undecodable::Long));
    // A key id in the long form that has a short one.
    let head = &good[..5];
    let rest = &good[8..];
    let long = [head, &[2, 16], b"0123456789abcdef", rest].concat();
    assert_eq!(decode(&settled, &long), Err(Undecodable::Flags));
    let refused = Settled { code: Code::Conflict, ..settled };
    assert_eq!(value::encode(&refused), Err(NotSettled(Code::Conflict)));
}
