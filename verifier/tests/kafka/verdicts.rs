//! What becomes of records, whoever wrote them.

use std::collections::BTreeMap;

use flk_contract::{Code, wire::State};
use flk_log::topic::{Reply, ReplyId, Topic};

use crate::{
    vectors,
    world::{World, signed},
};

/// The answers, by the place that they are for: where they went, and what they say.
async fn replies(world: &World) -> BTreeMap<(i32, i64), Vec<(i32, Reply)>> {
    let mut replies: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (partition, record) in world.read(Topic::Replies).await {
        let reply = Reply::decode(record.schema.as_deref(), record.value.as_deref().unwrap()).unwrap();
        assert_eq!((&record.key, record.schema.as_deref()), (&None, Some(b"pcs.replies/1".as_slice())));
        let place = (reply.wal.position.partition, reply.wal.position.offset);
        replies.entry(place).or_default().push((partition, reply));
    }
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn each_body_of_the_vectors_goes_once_where_its_verdict_says_and_who_is_refused_is_told() {
    let world = World::shared("vectors", 3, signed()).await;
    let role = world.role();
    let mut sent = BTreeMap::new();
    for (n, body) in (0_u8..).zip(vectors::all()) {
        let (id, request) = (ReplyId([n; 16]), format!("r-{n}"));
        let reply_id = id.to_string();
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let headers: [(&str, &[u8]); 5] = [
            ("schema", b"pcs.raw/1"),
            ("request-id", request.as_bytes()),
            ("reply-to", b"2"),
            ("reply-id", reply_id.as_bytes()),
            ("traceparent", trace.as_bytes()),
        ];
        let placed = world.produce(i32::from(n) % 3, None, &headers, &body.bytes).await;
        sent.insert((placed.partition, placed.offset), (id, body));
    }
    let times = world.is_complete(&sent.keys().copied().collect::<Vec<_>>()).await;
    role.is_ready().await;
    let seen = role.seen.clone();
    role.drain().await.unwrap();
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert_eq!((seen.judged(), seen.produced(), seen.gaps()), (sent.len(), sent.len(), 0));

    let (outcomes, replies) = (world.outcomes().await, replies(&world).await);
    let raw = world.read(Topic::Raw).await;
    for (partition, record) in &raw {
        let place = (*partition, record.offset);
        let (id, body) = &sent[&place];
        assert_eq!(world.judge(record).unwrap().code, body.code, "{}", body.name);
        let topic = if body.settles { Topic::Verified } else { Topic::Refused };
        assert_eq!(outcomes[&place][0].topic, topic, "{}", body.name);
        assert_eq!(outcomes[&place][0].record.headers.request_id, record.headers.request_id, "{}", body.name);
        // Who may settle is answered when that is known.
        let told = replies.get(&place).map(Vec::as_slice).unwrap_or_default();
        if body.settles {
            assert!(told.is_empty(), "{}", body.name);
            assert_eq!(outcomes[&place][0].record.headers.reply, record.headers.reply, "{}", body.name);
            continue;
        }
        let [(2, reply)] = told else { panic!("{}: {told:?}", body.name) };
        assert_eq!((reply.reply_id, &reply.wal), (*id, &world.origin(place, record).unwrap()), "{}", body.name);
        assert_eq!((reply.decided.state, reply.decided.code), (State::Refused, body.code), "{}", body.name);
        assert_eq!(reply.decided.verdict, world.judge(record).unwrap(), "{}", body.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_producer_needs_no_headers_and_forged_ones_harm_nobody() {
    let world = World::shared("forged", 2, signed()).await;
    let role = world.role();
    let bodies = vectors::all();
    let body = |code: Code| bodies.iter().find(|body| body.code == code).unwrap().bytes.as_slice();
    let (good, bad) = (body(Code::Ok), body(Code::BadSignature));
    let id = ReplyId([0xab; 16]).to_string();
    let id = id.as_bytes();
    let long = [b'x'; 4096];

    let mut silent = Vec::new();
    for value in [good, bad, b"", b"{", &long] {
        silent.push(world.produce(0, None, &[], value).await);
        silent.push(world.produce(1, Some(&long), &[("other", b"\xff"), ("schema", b"pcs.raw/99")], value).await);
    }
    let forged: [&[u8]; 10] =
        [b"2", b"7", b"-1", b"2147483647", b"2147483648", b"99999999999999999999", b"0x1", b"01", b"", b"\xff\xfe"];
    for to in forged {
        silent.push(world.produce(0, None, &[("reply-to", to), ("reply-id", id)], bad).await);
    }
    for reply_id in [&b"ab"[..], b"", &long, b"ABABABABABABABABABABABABABABABAB", b"\xff"] {
        silent.push(world.produce(1, None, &[("reply-to", b"1"), ("reply-id", reply_id)], b"{").await);
    }
    let twice = [("reply-to", &b"1"[..]), ("reply-to", b"1"), ("reply-id", id)];
    silent.push(world.produce(1, None, &twice, b"{").await);
    for (name, value) in [("tenant", &long[..]), ("tenant", b"\xff"), ("request-id", &long), ("traceparent", &long)] {
        silent.push(world.produce(0, None, &[(name, value)], good).await);
    }
    let told = world.produce(1, None, &[("reply-to", b"1"), ("reply-id", id)], b"{").await;

    let mut sent: Vec<_> = silent.iter().map(|placed| (placed.partition, placed.offset)).collect();
    sent.push((told.partition, told.offset));
    let times = world.is_complete(&sent).await;
    role.is_ready().await;
    // Good ones that name a tenant of which they are not are not authentic.
    assert_eq!(role.seen.judged_as(Code::Ok), 2 + 2);
    role.drain().await.unwrap();
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    let replies = replies(&world).await;
    assert_eq!(replies.keys().copied().collect::<Vec<_>>(), [(told.partition, told.offset)]);
}
