//! The two GETs: each answer of the read side, and what became of each record.

use core::time::Duration;

use flk_contract::{Code, LogTime, Settled, Tenant, limits::WINDOW, wire::State};
use flk_ingest::{Away, Pipeline as _};
use flk_servers::{Redis, RedisOptions, Stop};
use serde_json::json;

use crate::{
    records::{good, signed, signed_with},
    world::{Raw, Setup, World},
};

async fn state(world: &World, raw: &Raw) -> Result<Option<(State, Option<Code>, Option<flk_contract::Origin>)>, Away> {
    let position = &raw.origin.position;
    let body = world.router.record(position.partition, position.offset).await?;
    Ok(body.map(|body| {
        assert_eq!(body.wal, raw.origin);
        let result = body.result;
        if let Some(result) = &result {
            assert_eq!(result.accepted, matches!(body.state, State::Settled | State::Duplicate | State::Conflict));
        }
        (body.state, body.code, result.and_then(|result| result.origin))
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_found_missing_incomplete_or_out_of_reach() {
    let redis = Redis::start(&RedisOptions::default()).unwrap();
    let mut setup = Setup::shared("results");
    setup.redis = redis.url();
    let mut world = setup.start().await;
    let (_waiting, raw) = world.submitted(&good("a")).await;
    let settled = world.settles(&raw);
    let (tenant, id) = (settled.facts.tenant.clone(), settled.facts.pcs_id.clone());
    let incomplete = |found: Result<Option<Settled>, Away>| {
        assert!(matches!(found, Err(Away::Incomplete(_))), "{found:?}");
    };

    incomplete(world.router.result(&tenant, &id).await);
    world.mark(0).await;
    assert_eq!(world.router.result(&tenant, &id).await, Ok(None));
    world.publish(&settled).await;
    assert_eq!(world.router.result(&tenant, &id).await, Ok(Some(settled.clone())));
    let other = Tenant::new("other").unwrap();
    assert_eq!(world.router.result(&other, &id).await, Ok(None));
    assert_eq!(world.router.result(&tenant, "no id").await, Ok(None));
    redis.flush().unwrap();
    incomplete(world.router.result(&tenant, &id).await);

    redis.stop(Stop::Kill).unwrap();
    let away = world.router.result(&tenant, &id).await;
    assert!(matches!(away, Err(Away::Unavailable(_))), "{away:?}");
    assert!(world.seen.read_errors() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_record_is_told_from_its_bytes_and_its_ids_result() {
    let redis = Redis::start(&RedisOptions::default()).unwrap();
    let mut setup = Setup::shared("records");
    setup.redis = redis.url();
    let mut world = setup.start().await;
    world.mark(0).await;
    let (_w, own) = world.submitted(&good("a")).await;
    assert_eq!(state(&world, &own).await, Ok(Some((State::Pending, None, None))));
    let settled = world.settles(&own);
    world.publish(&settled).await;
    let origin = Some(own.origin.clone());
    assert_eq!(state(&world, &own).await, Ok(Some((State::Settled, Some(Code::Ok), origin.clone()))));

    let (_w, again) = world.submitted(&signed("a", json!({"attempt": 2}))).await;
    assert_eq!(state(&world, &again).await, Ok(Some((State::Duplicate, Some(Code::Ok), origin.clone()))));
    let (_w, other) = world.submitted(&signed("a", json!({"coh_star": 0.43}))).await;
    assert_eq!(state(&world, &other).await, Ok(Some((State::Conflict, Some(Code::Conflict), origin))));
    let (_w, broken) = world.submitted("{").await;
    assert_eq!(state(&world, &broken).await, Ok(Some((State::Refused, Some(Code::Malformed), None))));
    let (_w, forged) = world.submitted(&signed_with("unknown", "a", json!({}))).await;
    assert_eq!(state(&world, &forged).await, Ok(Some((State::Refused, Some(Code::BadSignature), None))));
    let (_w, mistaken) = world.submitted(&signed("a", json!({"D_hat": 2.5}))).await;
    assert_eq!(state(&world, &mistaken).await, Ok(Some((State::Refused, Some(Code::DHatOutOfTolerance), None))));
    let body = world.router.record(mistaken.origin.position.partition, mistaken.origin.position.offset).await;
    assert!(body.unwrap().unwrap().result.is_some(), "what was judged is told");
    let large = signed("large", json!({"filler": "x".repeat(100_000)}));
    let (_w, large) = world.submitted(&large).await;
    assert_eq!(state(&world, &large).await, Ok(Some((State::Pending, None, None))));

    // Nothing lies there.
    for (partition, offset) in [(0, 1_000_000), (1, -1), (-1, 0), (7, 0), (i32::MAX, i64::MAX)] {
        assert_eq!(world.router.record(partition, offset).await, Ok(None), "{partition} {offset}");
    }

    // What is refused needs no read side; of all else nothing can be told without it.
    redis.flush().unwrap();
    let incomplete = state(&world, &own).await;
    assert!(matches!(incomplete, Err(Away::Incomplete(_))), "{incomplete:?}");
    redis.stop(Stop::Kill).unwrap();
    let away = state(&world, &own).await;
    assert!(matches!(away, Err(Away::Unavailable(_))), "{away:?}");
    assert_eq!(state(&world, &broken).await, Ok(Some((State::Refused, Some(Code::Malformed), None))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_window_is_over_is_not_called_pending() {
    let mut setup = Setup::shared("over");
    setup.options.keep = WINDOW / 2;
    let mut world = setup.start().await;
    world.mark(0).await;
    let (_w, raw) = world.submitted(&good("a")).await;
    let (_w, broken) = world.submitted("{").await;
    let minute = Duration::from_secs(60);
    world.clock.by(WINDOW / 2 - minute);
    assert_eq!(state(&world, &raw).await, Ok(Some((State::Pending, None, None))));
    world.clock.by(WINDOW / 2 + minute);
    assert_eq!(state(&world, &raw).await, Ok(None), "its result may have been there");
    assert_eq!(state(&world, &broken).await, Ok(Some((State::Refused, Some(Code::Malformed), None))));

    // A result of the id's next window says nothing about a record of this one.
    let mut next = world.settles(&raw);
    next.origin.position.offset += 1000;
    next.origin.appended_at = LogTime::from_millis(raw.origin.appended_at.millis()).after(WINDOW);
    world.publish(&next).await;
    assert_eq!(state(&world, &raw).await, Ok(None));
}
