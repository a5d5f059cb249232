//! Answers: taken for the own record only, early or in time; lost ones are read back.

use std::sync::Arc;

use flk_contract::{Code, Settled, limits::WINDOW, wire::State};
use flk_ingest::{
    Pipeline as _,
    router::{Answered, KafkaPipeline, Options, Parts, Source, Unwatched},
};
use flk_log::{
    AppendError, NewRecord,
    kafka::Connection,
    topic::{Reply, ReplyId, Topic},
};
use flk_servers::{Direction, Kafka, KafkaOptions, Listeners};
use serde_json::json;

use crate::{
    records::{good, id, signed, signed_with},
    world::{SOON, Setup, World, until, within},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_for_the_own_record_only() {
    let mut world = Setup::shared("forged").start().await;
    let (mut waiting, raw) = world.submitted(&good("own")).await;
    assert_eq!(raw.headers.reply.unwrap().partition, 1, "the one that was chosen");
    assert_ne!(raw.reply_id(), ReplyId([0; 16]));
    let (asked, topic) = (raw.reply_id(), Topic::Replies);

    // Somebody has seen the id, or the place, or neither.
    let (other, other_raw) = world.submitted(&signed("own", json!({"coh_star": 0.43}))).await;
    assert_ne!(other_raw.reply_id(), asked, "each request has its own");
    let forged = world.decide(&other_raw, None);
    world.answer(asked, &other_raw.origin, &forged).await;
    world.answer(ReplyId([9; 16]), &raw.origin, &forged).await;
    let right = Reply::encode(&forged, &raw.origin, asked).unwrap();
    world.produce(topic, 1, "pcs.replies/2", &right).await;
    world.produce(topic, 1, topic.schema(), &right[..right.len() / 2]).await;
    world.produce(topic, 1, topic.schema(), b"").await;
    // It would be right, and is not in this instance's partition.
    world.produce(topic, 0, topic.schema(), &right).await;
    let seen = world.seen.clone();
    until("all of it has come by", async || {
        let counts = (seen.replies(Answered::Elsewhere), seen.replies(Answered::Nobody), seen.undecodable());
        if counts == (1, 1, 3) { Ok(()) } else { Err(counts) }
    })
    .await;
    waiting.hears_nothing();

    let decided = world.decide(&raw, None);
    world.answer(asked, &raw.origin, &decided).await;
    assert_eq!(*waiting.told().await, decided);
    // At least once: a second one finds nobody.
    world.answer(asked, &raw.origin, &decided).await;
    world.answer(other_raw.reply_id(), &other_raw.origin, &world.decide(&other_raw, Some(&world.settles(&raw)))).await;
    let told = other.told().await;
    assert_eq!((told.state, told.code), (State::Conflict, Code::Conflict));
    assert_eq!(told.standing.as_deref(), Some(&world.settles(&raw)));
    until("nobody waits", async || if world.router.waiting() == 0 { Ok(()) } else { Err(world.router.waiting()) })
        .await;
    assert_eq!((seen.verdicts(Source::Reply), seen.verdicts(Source::ReadBack), seen.waiting()), (2, 0, 0));
    assert_eq!(world.stop().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_quicker_than_the_brokers_word_is_kept_until_the_place_is_known() {
    let options = KafkaOptions { listeners: Listeners::Proxied, ..KafkaOptions::default() };
    let kafka = Kafka::start(&options).unwrap();
    let mut setup = Setup::on(Connection::plain(&kafka.bootstrap(), "").unwrap());
    setup.log = Some(Connection::plain(&kafka.proxied_bootstrap().unwrap(), "").unwrap());
    let mut world = setup.start().await;
    let (first, raw) = world.submitted(&good("first")).await;
    world.answer(raw.reply_id(), &raw.origin, &world.decide(&raw, None)).await;
    first.told().await;

    // It arrives, and the broker's word does not.
    kafka.proxy(0).unwrap().stall(Direction::ToClient);
    let submission = world.submit(&good("quick")).await.unwrap();
    let raw = world.raw().await;
    let decided = world.decide(&raw, None);
    let mut elsewhere = raw.origin.clone();
    elsewhere.position.offset += 1;
    world.answer(raw.reply_id(), &elsewhere, &decided).await;
    world.answer(raw.reply_id(), &raw.origin, &decided).await;
    let kept = async || match world.seen.replies(Answered::Kept) {
        2 => Ok(()),
        other => Err(other),
    };
    until("both are kept", kept).await;
    kafka.proxy(0).unwrap().resume();
    let appended = within("it is durable", submission.ticket.durable()).await.unwrap();
    assert_eq!(appended.origin, raw.origin);
    assert_eq!(*within("it is told", submission.reply.unwrap()).await.unwrap(), decided);
    assert_eq!((world.seen.replies(Answered::Taken), world.seen.replies(Answered::Elsewhere)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_leaves_nothing_behind_and_the_ticket_still_resolves() {
    let mut world = Setup::shared("gone").reading_back().start().await;
    let submission = world.submit(&good("impatient")).await.unwrap();
    drop(submission.reply);
    let appended = within("it is durable", submission.ticket.durable()).await.unwrap();
    let raw = world.raw().await;
    assert_eq!(raw.origin, appended.origin);
    // Nobody keeps anything of whoever has gone altogether, and his record is there.
    drop(world.submit(&good("gone")).await.unwrap());
    assert_eq!(world.raw().await.body, good("gone").as_bytes());
    // Nor of somebody who waited for a while.
    let (waiting, _) = world.submitted(&good("waited")).await;
    drop(waiting);
    until("nobody waits", async || if world.router.waiting() == 0 { Ok(()) } else { Err(world.router.waiting()) })
        .await;
    world.answer(raw.reply_id(), &raw.origin, &world.decide(&raw, None)).await;
    until("it comes too late", async || match world.seen.replies(Answered::Nobody) {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(world.stop().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_waiters_than_there_may_be() {
    let mut setup = Setup::shared("bounded");
    setup.options = Options { waiters: 2, ..setup.options };
    let mut world = setup.start().await;
    let (first, first_raw) = world.submitted(&good("a")).await;
    let (second, _) = world.submitted(&good("b")).await;
    assert!(matches!(world.submit(&good("c")).await, Err(AppendError::Full)));
    world.answer(first_raw.reply_id(), &first_raw.origin, &world.decide(&first_raw, None)).await;
    first.told().await;
    until("there is room", async || if world.router.waiting() == 1 { Ok(()) } else { Err(world.router.waiting()) })
        .await;
    let (third, third_raw) = world.submitted(&good("d")).await;
    assert!(matches!(world.submit(&good("e")).await, Err(AppendError::Full)));
    drop(second);
    world.answer(third_raw.reply_id(), &third_raw.origin, &world.decide(&third_raw, None)).await;
    third.told().await;
    until("nobody waits", async || if world.router.waiting() == 0 { Ok(()) } else { Err(world.router.waiting()) })
        .await;
}

/// Waits until so many more looks for lost answers were taken.
async fn looked(world: &World, more: usize) {
    let before = world.seen.looks();
    until("they look", async || match world.seen.looks() {
        looks if looks >= before + more => Ok(()),
        looks => Err(looks),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_loses_no_result() {
    let mut world = Setup::shared("lost").reading_back().start().await;
    world.mark(0).await;
    // Its own result, which its sink has published.
    let (waiting, raw) = world.submitted(&good("own")).await;
    let own = world.settles(&raw);
    world.publish(&own).await;
    let told = waiting.told().await;
    assert_eq!(*told, world.decide(&raw, None));
    assert_eq!((told.state, told.standing.as_deref()), (State::Settled, Some(&own)));

    // The same again, with what no digest covers: a duplicate of it.
    let again = signed("own", json!({"attempt": 2, "sent_at": "2026-01-01T00:00:00Z"}));
    let (waiting, raw) = world.submitted(&again).await;
    assert_eq!(*waiting.told().await, world.decide(&raw, Some(&own)));
    assert_eq!(world.decide(&raw, Some(&own)).state, State::Duplicate);

    // A result that is found after the first look.
    let (waiting, raw) = world.submitted(&good("later")).await;
    looked(&world, 2).await;
    let later = world.settles(&raw);
    world.publish(&later).await;
    assert_eq!(waiting.told().await.standing.as_deref(), Some(&later));
    assert_eq!((world.seen.verdicts(Source::ReadBack), world.seen.verdicts(Source::Reply)), (3, 0));
    assert_eq!(world.stop().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_read_side_does_not_tell_for_certain_is_waited_for() {
    let mut world = Setup::shared("uncertain").reading_back().start().await;
    world.mark(0).await;
    let (first, raw) = world.submitted(&good("own")).await;
    let own = world.settles(&raw);
    world.publish(&own).await;
    first.told().await;

    // Another content: a conflict, as far as this process knows; the verifier may know other keys.
    let (mut conflict, conflict_raw) = world.submitted(&signed("own", json!({"coh_star": 0.43}))).await;
    // Refused, as far as this process knows.
    let (mut refused, refused_raw) = world.submitted(&signed_with("unknown", "own", json!({}))).await;
    // Nothing stands for it.
    let (mut nothing, nothing_raw) = world.submitted(&good("nothing")).await;
    // What stands for its id was settled when its own window was over.
    let (mut expired, expired_raw) = world.submitted(&good("expired")).await;
    let mut next: Settled = world.settles(&expired_raw);
    next.origin.position.offset += 1000;
    next.origin.appended_at = expired_raw.origin.appended_at.after(WINDOW);
    world.publish(&next).await;

    // Each has looked several times.
    looked(&world, 12).await;
    for waiting in [&mut conflict, &mut refused, &mut nothing, &mut expired] {
        waiting.hears_nothing();
    }
    let answers = [
        (conflict, conflict_raw, Some(own.clone()), State::Conflict),
        (refused, refused_raw, Some(own), State::Refused),
        (nothing, nothing_raw, None, State::Settled),
        (expired, expired_raw, None, State::Settled),
    ];
    for (waiting, raw, stored, state) in answers {
        let decided = world.decide(&raw, stored.as_ref());
        assert_eq!(decided.state, state);
        world.answer(raw.reply_id(), &raw.origin, &decided).await;
        assert_eq!(*waiting.told().await, decided);
    }
    assert_eq!((world.seen.verdicts(Source::ReadBack), world.seen.verdicts(Source::Reply)), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_a_time_each_hear_their_own_and_instances_share_a_partition() {
    let setup = Setup::shared("many");
    let mut first = setup.start().await;
    let raws = first.take_raws();
    let first = Arc::new(first);
    let settling = first.settle_all(raws);
    // Another instance, by chance with the same partition of answers.
    let second = KafkaPipeline::start(
        Parts {
            connection: &first.connection,
            topics: &first.topics,
            log: first.log.clone(),
            read_side: first.read_side.clone(),
            verifier: first.verifier.clone(),
            clock: first.clock.clone(),
            watch: Arc::new(Unwatched),
        },
        Options { partition: Some(1), read_back: SOON, ..Options::default() },
    )
    .unwrap();
    let second = Arc::new(second);
    until("the second reads answers", async || {
        let checks = second.readiness();
        if checks.iter().all(|check| check.ok || !check.needed) { Ok(()) } else { Err(checks) }
    })
    .await;
    let mut clients = Vec::new();
    for client in 0..32 {
        let (router, body) = (if client % 2 == 0 { first.router.clone() } else { second.clone() }, client);
        clients.push(tokio::spawn(async move {
            for n in 0..25 {
                // Every fifth is what another client sends too.
                let shard = if n % 5 == 0 { format!("shared-{n}") } else { format!("{body}-{n}") };
                let record = NewRecord { body: good(&shard).into(), ..NewRecord::default() };
                let submission = router.submit(record).await.unwrap();
                let appended = within("it is durable", submission.ticket.durable()).await.unwrap();
                let told = within("it is told", submission.reply.unwrap()).await.unwrap();
                let standing = told.standing.as_ref().unwrap();
                assert_eq!(*standing.facts.pcs_id, id(&good(&shard)));
                assert_eq!(told.state == State::Settled, standing.origin == appended.origin, "{told:?}");
                assert!(matches!(told.state, State::Settled | State::Duplicate));
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!((first.router.waiting(), second.waiting()), (0, 0));
    until("the other's have come by too", async || match first.seen.replies(Answered::Nobody) {
        400.. => Ok(()),
        fewer => Err(fewer),
    })
    .await;
    assert_eq!(first.seen.replies(Answered::Elsewhere), 0);
    settling.abort();
}
