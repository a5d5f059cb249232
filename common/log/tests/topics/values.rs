//! Values are read back exactly, and nothing else is read.

use flk_contract::{Code, Settled, verdict, wire::State};
use flk_log::{
    Decided,
    topic::{
        self, RECORD_BYTES_MAX, Refused, Reply, ReplyId, ResultEntry, Topic, Undecodable, Unencodable, VALUE_BYTES_MAX,
        Verified,
    },
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use crate::{any, real};

const _: () = assert!(VALUE_BYTES_MAX < RECORD_BYTES_MAX / 2, "there is room for headers");

/// What schema a record of a topic says it has.
pub(crate) fn said(topic: Topic) -> Option<&'static [u8]> {
    Some(topic.schema().as_bytes())
}

/// Fields of a later version of the same schema, in every object of a value.
fn with_more(value: &mut Value, more: &Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| with_more(value, more));
            fields.insert("a_later_field".to_owned(), more.clone());
        }
        Value::Array(values) => values.iter_mut().for_each(|value| with_more(value, more)),
        _ => {}
    }
}

fn later(value: &[u8], more: &Value) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(value).unwrap();
    with_more(&mut value, more);
    serde_json::to_vec(&value).unwrap()
}

fn more() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), Just(json!(7)), Just(json!(["x", {"y": [null]}])), Just(json!({"verified": 1}))]
}

proptest! {
    #[test]
    fn a_verified_record_is_read_back(settled in any::settled(), more in more()) {
        let value = Verified::encode(&settled).unwrap();
        let read = Verified::decode(said(Topic::Verified), &value).unwrap();
        prop_assert_eq!(&read.settled, &settled);
        let verdict = read.verdict();
        prop_assert_eq!(verdict.candidate(), Some(&settled.facts));
        prop_assert_eq!(verdict.reason, verdict::reason(settled.code, &settled.facts));
        prop_assert_eq!(Verified::decode(None, &later(&value, &more)).unwrap(), read);
    }

    #[test]
    fn a_result_is_read_back(settled in any::settled(), verified in any::verified_at(), more in more()) {
        let value = ResultEntry::encode(&settled, verified).unwrap();
        let read = ResultEntry::decode(said(Topic::Results), &value).unwrap();
        prop_assert_eq!(ResultEntry::decode(None, &later(&value, &more)).unwrap(), read.clone());
        prop_assert_eq!(read, ResultEntry { settled: settled.clone(), verified });
        // The same result, and one thing more: whoever reads pcs.verified can read this.
        prop_assert_eq!(Verified::decode(None, &value).unwrap().settled, settled);
    }

    #[test]
    fn a_reply_is_read_back(decided in any::decided(), wal in any::origin(), id: [u8; 16], more in more()) {
        let value = Reply::encode(&decided, &wal, ReplyId(id)).unwrap();
        let read = Reply::decode(said(Topic::Replies), &value).unwrap();
        prop_assert_eq!(Reply::decode(None, &later(&value, &more)).unwrap(), read.clone());
        prop_assert_eq!(read, Reply { reply_id: ReplyId(id), wal, decided });
    }

    #[test]
    fn what_was_refused_is_read_back(
        decided in any::decided(), origin in any::origin(), body in prop::option::of(vec(any::<u8>(), 0..40)), more in more(),
    ) {
        let refused = Refused::of(&decided, &origin, body.as_deref());
        prop_assert_eq!(refused.is_some(), matches!(decided.state, State::Refused | State::Conflict));
        if let Some(refused) = refused {
            let value = refused.encode().unwrap();
            prop_assert_eq!(&Refused::decode(said(Topic::Refused), &value).unwrap(), &refused);
            prop_assert_eq!(&Refused::decode(None, &later(&value, &more)).unwrap(), &refused);
            prop_assert_eq!(&refused.origin, &origin);
            prop_assert_eq!(refused.body_bytes, body.map(|body| body.len() as u64));
            let standing = decided.standing.filter(|_| decided.state == State::Conflict);
            prop_assert_eq!(refused.standing, standing.as_ref().map(|standing| standing.origin.clone()));
            prop_assert_eq!(refused.standing_content_sha256, standing.map(|standing| standing.facts.content_sha256));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_in_few_words(value in vec(any::<u8>(), 0..200), schema in prop::option::of(vec(any::<u8>(), 0..400))) {
        let schema = schema.as_deref();
        let errors = [
            Verified::decode(schema, &value).map(drop),
            ResultEntry::decode(schema, &value).map(drop),
            Refused::decode(schema, &value).map(drop),
            Reply::decode(schema, &value).map(drop),
        ];
        for error in errors {
            prop_assert!(error.unwrap_err().to_string().len() < 1000);
        }
    }

    /// A value of one topic that was cut, or changed in one byte, is that of another result or of none.
    #[test]
    fn a_damaged_value_is_no_panic(decided in any::decided(), wal in any::origin(), at: prop::sample::Index, to: u8) {
        let whole = Reply::encode(&decided, &wal, ReplyId([7; 16])).unwrap();
        let at = at.index(whole.len());
        prop_assert!(Reply::decode(None, &whole[..at]).is_err());
        let mut changed = whole;
        changed[at] = to;
        let _ = Reply::decode(None, &changed);
    }
}

/// A record that says it has another schema is not looked at, whatever its value is.
#[test]
fn another_schema_is_refused() {
    let settled = real::settled();
    let value = Verified::encode(&settled).unwrap();
    for other in ["pcs.verified/2", "pcs.verified/1.1", "pcs.results/1", "pcs.verified", ""] {
        let error = Verified::decode(Some(other.as_bytes()), &value).unwrap_err();
        assert_eq!(error, Undecodable::Schema { topic: Topic::Verified, said: other.to_owned() });
    }
    let endless = "x".repeat(100_000);
    let error = Verified::decode(Some(endless.as_bytes()), &value).unwrap_err().to_string();
    assert!(error.len() < 400, "{error}");
}

#[test]
fn a_value_is_bounded_before_it_is_read() {
    let mut value = Verified::encode(&real::settled()).unwrap();
    value.resize(VALUE_BYTES_MAX, b' ');
    assert!(Verified::decode(None, &value).is_ok());
    value.push(b' ');
    let error = Undecodable::TooLong { topic: Topic::Verified, bytes: VALUE_BYTES_MAX + 1 };
    assert_eq!(Verified::decode(None, &value), Err(error));
}

/// Every field that is echoed is bounded, so everything that is let in can be produced.
#[test]
fn the_longest_fields_there_can_be_are_far_from_the_bound() {
    let escaped = |length| "\u{1}".repeat(length);
    let mut decided = real::refused_by_d_hat();
    let facts = decided.verdict.facts.as_mut().unwrap();
    facts.pcs_id = escaped(128).into();
    facts.key_id = Some("\"".repeat(64).into());
    let mut origin = real::origin(i64::MAX);
    origin.position.topic = "x".repeat(249).into();
    decided.code = Code::TooOld;
    let reply = Reply::encode(&decided, &origin, ReplyId([0; 16])).unwrap();
    let refused = Refused::of(&decided, &origin, None).unwrap().encode().unwrap();
    assert!(reply.len().max(refused.len()) < VALUE_BYTES_MAX / 4, "{} {}", reply.len(), refused.len());
}

#[test]
fn only_what_settles_is_on_the_topics_of_results() {
    let not = Settled { code: Code::DHatOutOfTolerance, ..real::settled() };
    assert_eq!(Verified::encode(&not), Err(Unencodable::NotSettled(not.code)));
    assert_eq!(ResultEntry::encode(&not, real::VERIFIED_AT), Err(Unencodable::NotSettled(not.code)));
}

#[test]
fn a_reply_says_what_became_of_a_record_or_nothing() {
    let settled = real::decided_as_settled();
    let conflict = real::conflict();
    for undecided in [
        Decided { state: State::Pending, ..settled.clone() },
        Decided { standing: None, ..settled.clone() },
        Decided { standing: None, ..conflict },
        Decided { state: State::Refused, ..settled },
        Decided { standing: real::decided_as_settled().standing, ..real::refused_by_signature() },
        Decided { code: Code::TooOld, ..real::refused_by_signature() },
    ] {
        let error = Reply::encode(&undecided, &real::origin(1), ReplyId([0; 16])).unwrap_err();
        assert!(matches!(error, Unencodable::Undecided(_)), "{undecided:?}: {error}");
    }
}

#[test]
fn a_value_that_contradicts_itself_is_refused() {
    let reply = |decided: &Decided| Reply::encode(decided, &real::origin(1), ReplyId([0; 16])).unwrap();
    let changed = |value: &[u8], field: &str, to: Value| {
        let mut value: Value = serde_json::from_slice(value).unwrap();
        value[field] = to;
        serde_json::to_vec(&value).unwrap()
    };
    let settled = reply(&real::decided_as_settled());
    for (value, field, to) in [
        (&settled, "state", json!("pending")),
        (&settled, "state", json!("refused")),
        (&settled, "result", Value::Null),
        (&reply(&real::refused_by_d_hat()), "code", json!("malformed")),
        (&reply(&real::refused_by_signature()), "state", json!("conflict")),
    ] {
        let error = Reply::decode(None, &changed(value, field, to)).unwrap_err();
        assert!(matches!(error, Undecodable::Contradiction(_)), "{field}: {error}");
    }
    let refused = Refused::of(&real::conflict(), &real::origin(1), None).unwrap();
    let value = changed(&refused.encode().unwrap(), "state", json!("settled"));
    assert!(matches!(Refused::decode(None, &value), Err(Undecodable::Contradiction(_))));
    assert!(matches!(Refused { state: State::Settled, ..refused }.encode(), Err(Unencodable::Undecided(_))));
    let verified = changed(&Verified::encode(&real::settled()).unwrap(), "origin", Value::Null);
    assert!(matches!(Verified::decode(None, &verified), Err(Undecodable::NotSettled(_))));
}

#[test]
fn keys_are_tenant_and_id() {
    let settled = real::settled();
    assert_eq!(topic::key(&settled.facts), format!("default/{}", settled.facts.pcs_id));
}
