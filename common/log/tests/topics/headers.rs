//! Headers are read back, and what cannot be one is left out.

use std::borrow::Cow;

use bytes::Bytes;
use flk_contract::Tenant;
use flk_log::{
    NewRecord,
    topic::{Headers, ReplyId, ReplyTo, Topic, headers},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn parse(pairs: &[(&str, &[u8])]) -> Headers {
    Headers::parse(pairs.iter().copied())
}

fn read(pairs: &[(&'static str, Cow<'_, [u8]>)]) -> Headers {
    Headers::parse(pairs.iter().map(|(name, value)| (*name, &**value)))
}

fn some() -> impl Strategy<Value = Headers> {
    let reply = (0..=i32::MAX, any::<[u8; 16]>()).prop_map(|(partition, id)| ReplyTo { partition, id: ReplyId(id) });
    let tenant = prop_oneof!["[A-Za-z0-9._-]{1,64}", "[a-z,]{0,65}", Just("\u{fffd}".to_owned())];
    let traceparent = (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>())
        .prop_filter("not all zero", |(trace, parent, _)| *trace != [0; 16] && *parent != [0; 8])
        .prop_map(|(trace, parent, flags)| {
            let (trace, parent) = (u128::from_be_bytes(trace), u64::from_be_bytes(parent));
            format!("00-{trace:032x}-{parent:016x}-{flags:02x}")
        });
    (option::of("[A-Za-z0-9._-]{1,64}"), option::of(reply), option::of(tenant), option::of(traceparent))
        .prop_map(|(request_id, reply, tenant, traceparent)| Headers { request_id, reply, tenant, traceparent })
}

proptest! {
    #[test]
    fn headers_are_read_back_as_far_as_the_topic_carries_them(all in some()) {
        for topic in Topic::ALL {
            let written = all.encode(topic);
            let pairs = || written.iter().map(|(name, value)| (*name, &**value));
            prop_assert_eq!(headers::schema_of(pairs()), Some(topic.schema().as_bytes()));
            prop_assert_eq!(topic.admit(headers::schema_of(pairs())), Ok(()));
            let names: Vec<_> = written.iter().map(|(name, _)| *name).collect();
            prop_assert!(names.iter().all(|name| headers::carried(topic).contains(name)), "{:?}", names);
            prop_assert!(pairs().map(|(name, value)| name.len() + value.len()).sum::<usize>() < 1024);
            let carries = |name| headers::carried(topic).contains(&name);
            let expected = Headers {
                request_id: all.request_id.clone().filter(|_| carries(headers::REQUEST_ID)),
                reply: all.reply.filter(|_| carries(headers::REPLY_ID)),
                tenant: all.tenant.clone().filter(|_| carries(headers::TENANT)),
                traceparent: all.traceparent.clone().filter(|_| carries(headers::TRACEPARENT)),
            };
            prop_assert_eq!(read(&written), expected);
        }
    }

    #[test]
    fn a_record_is_read_back_with_its_headers(all in some(), body in vec(any::<u8>(), 0..40)) {
        let record = all.clone().into_record(Bytes::from(body));
        prop_assert_eq!(Headers::of(&record, all.reply), all.clone());
        let NewRecord { body, .. } = record.clone();
        prop_assert_eq!(read(&all.encode(Topic::Raw)).into_record(body), record);
    }

    /// Whoever may produce to pcs.raw can write anything: what is read of it is bounded, is what it says,
    /// and stays the same when it is carried on.
    #[test]
    fn anything_can_be_there(
        pairs in vec((select(vec!["schema", "request-id", "reply-to", "reply-id", "tenant", "traceparent", "other"]),
            prop_oneof![vec(any::<u8>(), 0..200), "[0-9a-f]{32}".prop_map(String::into_bytes), "[0-9]{1,12}".prop_map(String::into_bytes)]), 0..8),
    ) {
        let found = Headers::parse(pairs.iter().map(|(name, value)| (*name, value.as_slice())));
        prop_assert!(found.request_id.as_ref().is_none_or(|id| (1..=64).contains(&id.len()) && id.is_ascii()));
        prop_assert!(found.reply.is_none_or(|to| to.partition >= 0));
        prop_assert!(found.tenant.as_ref().is_none_or(|tenant| tenant.len() <= 68));
        prop_assert_eq!(found.tenant.is_some(), pairs.iter().any(|(name, _)| *name == "tenant"));
        prop_assert_eq!(read(&found.encode(Topic::Raw)), found);
    }
}

#[test]
fn what_can_not_be_what_it_says_is_left_out() {
    let nothing = Headers::default();
    for id in ["", "a b", "<script>", &"x".repeat(65), "\u{e9}"] {
        assert_eq!(parse(&[("request-id", id.as_bytes())]), nothing, "{id}");
    }
    for bad in ["", "x", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", &format!("{TRACEPARENT}-x")] {
        assert_eq!(parse(&[("traceparent", bad.as_bytes())]), nothing, "{bad}");
    }
    assert_eq!(parse(&[("traceparent", TRACEPARENT.as_bytes())]).traceparent.as_deref(), Some(TRACEPARENT));
    // Names are read as they are written.
    assert_eq!(parse(&[("Request-Id", b"a"), ("REPLY-TO", b"1")]), nothing);
}

#[test]
fn an_answer_goes_where_both_headers_say() {
    let id = "00112233445566778899aabbccddeeff";
    let reply = |to: &str, id: &str| parse(&[("reply-to", to.as_bytes()), ("reply-id", id.as_bytes())]).reply;
    let found = reply("7", id).unwrap();
    assert_eq!((found.partition, found.id.to_string()), (7, id.to_owned()));
    assert_eq!(reply("0", &"0".repeat(32)), Some(ReplyTo { partition: 0, id: ReplyId([0; 16]) }));
    assert_eq!(reply("2147483647", id).unwrap().partition, i32::MAX);
    for to in ["", "-1", "+1", "01", "2147483648", " 1", "1.0", "\u{661}"] {
        assert_eq!(reply(to, id), None, "{to}");
    }
    for other in ["", &id[1..], &format!("{id}0"), &id.to_uppercase(), &"g".repeat(32), &"\u{e9}".repeat(16)] {
        assert_eq!(reply("7", other), None, "{other}");
    }
    assert_eq!(parse(&[("reply-id", id.as_bytes())]).reply, None);
    assert_eq!(parse(&[("reply-to", b"7")]).reply, None);
    let twice = parse(&[("reply-to", b"7"), ("reply-id", id.as_bytes()), ("reply-to", b"7")]);
    assert_eq!(twice.reply, None);
}

/// As for `X-Tenant-Id`: a claim that can be no tenant's is a claim all the same. To leave it out would let
/// a record in under any key.
#[test]
fn a_claimed_tenant_is_kept_and_never_becomes_another() {
    let claimed = |values: &[&[u8]]| {
        let pairs: Vec<_> = values.iter().map(|value| ("tenant", *value)).collect();
        parse(&pairs).tenant
    };
    assert_eq!(claimed(&[]), None);
    assert_eq!(claimed(&[b"team-a"]).as_deref(), Some("team-a"));
    assert_eq!(claimed(&[b""]).as_deref(), Some(""));
    let name = [b'a'; 64];
    assert!(Tenant::new(&claimed(&[&name]).unwrap()).is_ok());
    let longer = [name.as_slice(), b"a"].concat();
    let with_a_letter = [name.as_slice(), "\u{e9}".as_bytes()].concat();
    let endless = [b'a'; 4000];
    for none in [
        &[b"a".as_slice(), b"b"][..],
        &[b"a", b"a"],
        &[b"", b"a"],
        &[&longer],
        &[&with_a_letter],
        &[&endless],
        &[b"\xff"],
    ] {
        let claimed = claimed(none).unwrap();
        assert!(Tenant::new(&claimed).is_err() && claimed.len() <= 68, "{claimed}");
    }
}

#[test]
fn of_several_schemas_the_last_counts() {
    let pairs: [(&str, &[u8]); 3] = [("schema", b"pcs.verified/9"), ("other", b"x"), ("schema", b"pcs.verified/1")];
    assert_eq!(headers::schema_of(pairs), Some(b"pcs.verified/1".as_slice()));
    assert_eq!(headers::schema_of([]), None);
}
