//! What each record comes to, by the contract's vectors and by hostile hands.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flk_contract::{Form, Key, Keyring, Signing, Tenant, keys::Window};
use flk_log::topic::ReplyId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::*;

#[derive(Deserialize)]
struct Verdicts {
    hmac_keys: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    pcs: Box<RawValue>,
    code: Code,
    stored: bool,
    content_sha256: Option<String>,
}

#[derive(Deserialize)]
struct Malformed {
    name: String,
    status: u16,
    body_base64: String,
}

fn vectors<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn verdicts() -> Verdicts {
    vectors("verdicts.json")
}

const AT: LogTime = LogTime::from_millis(1_767_225_600_123);

fn court() -> Court {
    let key = |secret: &String| Key::hmac(None, Tenant::default_tenant(), secret.as_bytes(), Window::default());
    let keys = Keyring::new(verdicts().hmac_keys.iter().map(|secret| key(secret).unwrap()).collect()).unwrap();
    let signing = Signing::Required { hmac: true, ed25519: false, scope: Form::Payload };
    Court {
        verifier: Verifier::new(signing, Arc::new(keys)),
        log: LogId::new("a-cluster"),
        raw: "x.pcs.raw".into(),
        partitions: NonZeroU32::new(7).unwrap(),
        replies: NonZeroU32::new(3).unwrap(),
    }
}

fn reply_to(partition: i32) -> Option<ReplyTo> {
    Some(ReplyTo { partition, id: ReplyId([7; 16]) })
}

fn record(body: &[u8]) -> Record {
    let headers = Headers { request_id: Some("r-1".into()), reply: reply_to(2), ..Headers::default() };
    Record {
        partition: 4,
        generation: Generation(9),
        offset: 17,
        time: Some(AT),
        key: None,
        value: Bytes::copy_from_slice(body),
        has_value: true,
        headers,
        schema: None,
    }
}

fn origin() -> Origin {
    let position = Position { log: LogId::new("a-cluster"), topic: "x.pcs.raw".into(), partition: 4, offset: 17 };
    Origin { position, appended_at: AT }
}

/// The value for pcs.refused, and the answer.
fn refused(judged: &Judged) -> (Refused, Option<(i32, Reply)>) {
    assert_eq!(judged.topic(), Some(Topic::Refused));
    let Out::Refused { value, reply } = &judged.out else { panic!("it is refused: {judged:?}") };
    let reply = reply.as_ref().map(|(partition, value)| (*partition, Reply::decode(None, value).unwrap()));
    (Refused::decode(None, value).unwrap(), reply)
}

#[test]
fn each_vector_goes_where_its_verdict_says_with_all_that_was_found() {
    let court = court();
    for case in verdicts().cases {
        let (name, body) = (&case.name, case.pcs.get().as_bytes());
        let judged = court.judge(record(body), AT);
        assert_eq!(judged.code, case.code, "{name}");
        assert_eq!(judged.from, Delivered { partition: 4, generation: Generation(9), offset: 17 }, "{name}");
        assert_eq!(judged.headers, record(body).headers, "{name}");
        let content = if let Out::Verified { partition, key, value } = &judged.out {
            assert!(case.stored, "{name}");
            assert_eq!(judged.topic(), Some(Topic::Verified), "{name}");
            let Settled { code, facts, origin: at } = Verified::decode(None, value).unwrap().settled;
            assert_eq!((code, at), (case.code, origin()), "{name}");
            assert_eq!(*key, format!("default/{}", facts.pcs_id), "{name}");
            let own = flk_contract::partition(&facts.tenant, &facts.pcs_id, court.partitions);
            assert_eq!(u32::try_from(*partition).unwrap(), own, "{name}");
            Some(facts.content_sha256)
        } else {
            assert!(!case.stored, "{name}");
            let (refused, reply) = refused(&judged);
            assert_eq!(
                (refused.state, refused.code, &refused.origin),
                (State::Refused, case.code, &origin()),
                "{name}"
            );
            assert_eq!(refused.body_sha256, Some(flk_contract::Digest::of(body)), "{name}");
            assert_eq!(refused.body_bytes, Some(body.len() as u64), "{name}");
            assert!(!refused.reason.is_empty(), "{name}");
            let (partition, reply) = reply.unwrap();
            assert_eq!((partition, reply.reply_id, reply.wal), (2, ReplyId([7; 16]), origin()), "{name}");
            assert_eq!((reply.decided.code, reply.decided.state), (case.code, State::Refused), "{name}");
            refused.content_sha256
        };
        if let Some(expected) = case.content_sha256 {
            assert_eq!(content.map(|digest| digest.to_string()), Some(expected), "{name}");
        }
    }
}

#[test]
fn what_is_malformed_is_refused_and_nothing_of_it_is_told() {
    for case in vectors::<Vec<Malformed>>("malformed.json") {
        let body = STANDARD.decode(&case.body_base64).unwrap();
        let judged = court().judge(record(&body), AT);
        if case.status != 400 {
            assert_eq!(judged.topic(), Some(Topic::Verified), "{}", case.name);
            continue;
        }
        let (refused, reply) = refused(&judged);
        assert_eq!((judged.code, refused.code), (Code::Malformed, Code::Malformed), "{}", case.name);
        let told = (refused.pcs_id, refused.tenant, refused.content_sha256, refused.key_id);
        assert_eq!(told, (None, None, None, None), "{}", case.name);
        assert_eq!(reply.unwrap().1.decided.verdict.facts, None, "{}", case.name);
    }
}

fn accepted() -> Record {
    record(verdicts().cases[0].pcs.get().as_bytes())
}

#[test]
fn the_tenant_that_is_named_beside_a_record_has_to_be_its_own() {
    for (tenant, code) in [("default", Code::Ok), ("other", Code::BadSignature), ("", Code::BadSignature)] {
        let mut record = accepted();
        record.headers.tenant = Some(tenant.into());
        assert_eq!(court().judge(record, AT).code, code, "{tenant:?}");
    }
}

#[test]
fn no_answer_goes_to_a_partition_that_is_not_there() {
    for (partition, is_there) in [(0, true), (2, true), (3, false), (i32::MAX, false), (-1, false), (i32::MIN, false)] {
        let mut record = record(b"{");
        record.headers.reply = reply_to(partition);
        let told = refused(&court().judge(record, AT)).1.map(|(partition, _)| partition);
        assert_eq!(told, is_there.then_some(partition), "{partition}");
    }
    let mut silent = record(b"{");
    silent.headers.reply = None;
    assert!(refused(&court().judge(silent, AT)).1.is_none());
}

#[test]
fn a_record_without_a_log_time_is_refused_unjudged_and_says_what_to_do() {
    let (refused, reply) = refused(&court().refuse_timeless(accepted()));
    assert_eq!((refused.state, refused.code, refused.pcs_id), (State::Refused, Code::Internal, None));
    assert!(refused.reason.contains("send it again"), "{}", refused.reason);
    assert_eq!(refused.origin.position, origin().position);
    assert_eq!(refused.body_sha256, Some(flk_contract::Digest::of(&accepted().value)));
    assert_eq!(reply.unwrap().1.decided.code, Code::Internal);
}

#[test]
fn a_record_that_makes_judging_panic_is_refused_and_the_next_one_is_judged() {
    let court = court();
    let (code, out) = court.or_internal(&accepted(), AT, || panic!("a fault of ours"));
    let judged = Judged { from: Delivered::of(&accepted()), code, tenant: None, headers: Headers::default(), out };
    let (refused, reply) = refused(&judged);
    assert_eq!((refused.code, refused.body_sha256, refused.origin), (Code::Internal, None, origin()));
    assert!(reply.is_some(), "whoever waits is told");
    assert_eq!(court.judge(accepted(), AT).code, Code::Ok);
}

#[test]
fn what_was_found_and_can_not_be_written_is_refused_all_the_same() {
    let court = court();
    // No judged record has an id as long as that.
    let verdict = court.verifier.judge(&accepted().value, AT, None);
    let mut facts = verdict.facts.clone().unwrap();
    facts.pcs_id = "x".repeat(topic::VALUE_BYTES_MAX).into();
    for code in [Code::Ok, Code::PcsIdMismatch] {
        let verdict = Verdict { code, reason: String::new(), facts: Some(facts.clone()) };
        assert!(court.verified(&verdict, &origin()).is_none());
        let (code, out) = court.refused(verdict, &origin(), Some(b"x"), reply_to(1));
        let judged = Judged { from: Delivered::of(&accepted()), code, tenant: None, headers: Headers::default(), out };
        let (refused, reply) = refused(&judged);
        assert_eq!((code, refused.code, refused.pcs_id), (Code::Internal, Code::Internal, None));
        assert!(reply.is_some());
    }
}
