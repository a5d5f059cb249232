//! The compact form of settled results.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use core::num::NonZeroU32;
use std::sync::Arc;

use flk_contract::{Code, Digest, Facts, Form, LogId, LogTime, Nano, Settled, Tenant, signals::Regime};
use flk_results::{
    Entry, Place,
    codec::{self, IdKey, NotSettled, Undecodable},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn place() -> Place {
    let partitions = NonZeroU32::MIN.saturating_add(47);
    let log = LogId::new("a log");
    Place { log, topic: "pcs.verified".into(), partition: 7, partitions, origins: "pcs.raw".into() }
}

fn nano() -> impl Strategy<Value = Nano> {
    prop_oneof![
        any::<i128>().prop_map(Nano::from_units),
        (-9_000_000_000_i128..9_000_000_000).prop_map(Nano::from_units),
        Just(Nano::from_f64(-0.0).unwrap()),
        Just(Nano::from_units(0)),
    ]
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 0..5_000_000_i64]
}

fn settled() -> impl Strategy<Value = Settled> {
    let code = select(vec![Code::Ok, Code::RegimeMismatch, Code::BudgetDeviation, Code::Degraded]);
    let regime = option::of(select(Regime::ALL.to_vec()));
    let signed = option::of(select(vec![Form::Payload, Form::Content]));
    let names = ("[A-Za-z0-9._-]{1,64}", any::<[u8; 32]>(), option::of(".{0,40}"));
    let digests = (any::<[u8; 32]>(), any::<[u8; 32]>());
    let numbers = (nano(), option::of(nano()), option::of(nano()));
    let partition = prop_oneof![any::<i32>(), 0..48];
    let at = (partition, offset(), prop_oneof![any::<i64>(), 0..2_000_000_000_000_i64]);
    (code, regime, signed, names, digests, numbers, at).prop_map(
        |(code, regime, signed, (tenant, id, key_id), (payload, content), numbers, (partition, offset, time))| {
            Settled {
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
                origin: place().origin(partition, offset, LogTime::from_millis(time)),
            }
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    (offset(), settled()).prop_map(|(offset, settled)| Entry { offset, settled })
}

fn decode(value: &[u8]) -> Result<Entry, Undecodable> {
    codec::decode_entry(&place(), Tenant::default_tenant(), "0".repeat(64).into(), value)
}

/// What a settled result of the service looks like.
fn typical() -> Settled {
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
            key_id: Some("0123456789abcdef".into()),
            signed: Some(Form::Content),
        },
        origin: place().origin(40, 123_456_789, LogTime::from_millis(1_767_225_600_000)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_result_survives_a_round_trip(settled in settled()) {
        let mut value = Vec::new();
        codec::encode(&settled, &mut value).unwrap();
        let Place { log, origins, .. } = place();
        let Facts { tenant, pcs_id, .. } = &settled.facts;
        prop_assert_eq!(codec::decode(&log, &origins, tenant.clone(), pcs_id.clone(), &value).unwrap(), settled);
    }

    #[test]
    fn an_entry_survives_a_round_trip(entry in entry()) {
        let mut value = Vec::new();
        codec::encode_entry(&entry, &mut value).unwrap();
        let key = IdKey::new(&entry.settled.facts.tenant, &entry.settled.facts.pcs_id).unwrap();
        let (tenant, pcs_id) = IdKey::parse(key.as_bytes()).unwrap();
        prop_assert_eq!(codec::entry_offset(&value), Ok(entry.offset));
        prop_assert_eq!(codec::decode_entry(&place(), tenant, pcs_id, &value).unwrap(), entry);
    }

    #[test]
    fn any_bytes_are_decoded_without_panic_and_have_one_form(mut value in vec(any::<u8>(), 0..200), version: bool) {
        if version && value.len() > 1 {
            (value[0], value[1]) = (0, codec::VERSION);
        }
        let _ = (codec::entry_offset(&value), IdKey::parse(&value));
        if let Ok(entry) = decode(&value) {
            let mut again = Vec::new();
            codec::encode_entry(&entry, &mut again).unwrap();
            prop_assert_eq!(again, value);
        }
    }

    #[test]
    fn a_changed_value_decodes_to_itself_or_not_at_all(entry in entry(), at: prop::sample::Index, to: u8, keep: prop::sample::Index) {
        let mut value = Vec::new();
        codec::encode_entry(&entry, &mut value).unwrap();
        let at = at.index(value.len());
        value[at] = to;
        value.truncate(keep.index(value.len()).max(value.len() / 2) + 1);
        if let Ok(entry) = decode(&value) {
            let mut again = Vec::new();
            codec::encode_entry(&entry, &mut again).unwrap();
            prop_assert_eq!(again, value);
        }
    }
}

#[test]
fn a_typical_value_is_small() {
    let (settled, mut value) = (typical(), Vec::new());
    codec::encode(&settled, &mut value).unwrap();
    let key = IdKey::new(&settled.facts.tenant, &settled.facts.pcs_id).unwrap();
    assert_eq!((value.len(), key.as_bytes().len()), (109, 40));
    for (offset, more) in [(123_456_789, 1), (2_345_678, 4)] {
        let mut value = Vec::new();
        codec::encode_entry(&Entry { offset, settled: settled.clone() }, &mut value).unwrap();
        assert_eq!(value.len(), 109 + more, "followed at {offset}");
    }
}

#[test]
fn ids_that_are_not_derived_have_no_key() {
    let key = |id: &str| IdKey::new(&Tenant::default_tenant(), id);
    assert!(key(&"0f".repeat(32)).is_some());
    for id in ["", "0", &"0f".repeat(31), &"0f".repeat(33), &"0F".repeat(32), &"0g".repeat(32), &"é".repeat(32)] {
        assert_eq!(key(id), None, "{id}");
    }
}

#[test]
fn keys_of_different_tenants_and_ids_differ() {
    let id = |n: u8| Digest([n; 32]).to_string();
    let tenants = ["a", "ab", "b", &"x".repeat(64)];
    let keys: std::collections::HashSet<_> = tenants
        .iter()
        .flat_map(|tenant| {
            (0..3).map(|n| IdKey::new(&Tenant::new(tenant).unwrap(), &id(n)).unwrap().as_bytes().to_vec())
        })
        .collect();
    assert_eq!(keys.len(), 12);
}

#[test]
fn codes_that_settle_nothing_are_not_stored() {
    for code in Code::ALL {
        let (settled, mut value) = (Settled { code, ..typical() }, Vec::new());
        match codec::encode(&settled, &mut value) {
            Ok(()) => assert!(code.meaning().settles, "{code}"),
            Err(NotSettled(said)) => {
                assert_eq!(said, code);
                assert!(!code.meaning().settles && value.is_empty(), "{code}");
            }
        }
    }
}

#[test]
fn values_of_another_version_are_named_as_such() {
    let mut value = Vec::new();
    codec::encode_entry(&Entry { offset: 123_456_789, settled: typical() }, &mut value).unwrap();
    value[1] = 9;
    assert_eq!(decode(&value), Err(Undecodable::Version(9)));
    assert_eq!(codec::entry_offset(&value), Err(Undecodable::Version(9)));
}
