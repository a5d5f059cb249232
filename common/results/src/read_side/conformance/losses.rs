//! A store that lost what it had, one that was another log's, batches that are none, and long histories.

use flk_contract::{Code, LogId, LogTime, Tenant};

use super::{Fixture, PARTITION, Trial, entry, id_of, must, published, subject};
use crate::{
    Entry,
    read_side::{Batch, ENTRIES_MAX, MemoryReadSide, MemoryStore, ReadSide, ReadSideError, Subject},
};

/// An idle partition sends an empty batch every few seconds.
pub async fn a_loss_is_noticed_by_an_empty_batch_and_mended_from_the_start(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let entries: Vec<_> = (0..6).map(|n| trial.nth(n)).collect();
    assert_eq!(trial.complete(0, 6, &entries).await, published(6, true));
    for _ in 0..2 {
        fixture.lose().await;
        trial.assert_miss(2, false).await;
        assert_eq!(trial.complete(6, 6, &[]).await, published(0, false));
        trial.assert_miss(2, false).await;
        assert_eq!(trial.publish(0, 4, 6, &entries[..4]).await, published(4, false));
        trial.assert_hit(2, &entries[2]).await;
        trial.assert_miss(5, false).await;
        assert_eq!(trial.complete(4, 6, &entries[4..]).await, published(6, true));
        trial.assert_hit(5, &entries[5]).await;
        trial.assert_miss(6, true).await;
    }
}

/// Positions of different logs never compare equal, and two topics of one log (whose names begin
/// otherwise) have each their own: neither its marker nor its results are ours.
pub async fn another_log_or_topic_is_another_store(fixture: &impl Fixture) {
    let log = Subject { log: LogId::new("another log"), ..subject() };
    let topic = Subject { topic: "staging.pcs.raw".into(), ..subject() };
    for about in [log, topic] {
        let one = Trial::new(fixture).await;
        let theirs = [one.entry(1, 1), one.entry(2, 2)];
        assert_eq!(one.complete(0, 10, &theirs).await, published(10, true));

        let other = Trial::about(fixture, about).await;
        other.assert_miss(1, false).await;
        assert_eq!(other.complete(10, 10, &[]).await, published(0, false));
        other.assert_miss(1, false).await;
        let ours = other.entry(1, 3);
        assert_eq!(other.complete(0, 10, core::slice::from_ref(&ours)).await, published(10, true));
        other.assert_hit(1, &ours).await;
        other.assert_miss(2, true).await;

        // And back: what was there before is not what is there now.
        one.assert_miss(1, false).await;
        assert_eq!(one.complete(10, 10, &[]).await, published(0, false));
        one.assert_miss(1, false).await;
        fixture.lose().await;
    }
}

/// A batch is taken whole or not at all.
pub async fn what_does_not_belong_is_refused_and_nothing_is_set(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let good = |offset| trial.nth(offset);
    let at = good(1).settled.origin.appended_at;
    assert_eq!(trial.complete(0, 5, &[good(1)]).await, published(5, true));

    let mut bad: Vec<Entry> = Vec::new();
    bad.push(entry(&Subject { log: LogId::new("another log"), ..subject() }, PARTITION, 100, 6, at));
    bad.push(entry(&Subject { topic: "pcs.verified".into(), ..subject() }, PARTITION, 100, 6, at));
    bad.push(entry(&subject(), PARTITION + 1, 100, 6, at));
    let mut refused = good(6);
    refused.settled.code = Code::Conflict;
    bad.push(refused);
    let id = id_of(&trial.subject, &Tenant::default_tenant(), PARTITION, 6);
    for id in ["6", &id.to_uppercase()] {
        let mut underived = good(6);
        underived.settled.facts.pcs_id = id.into();
        bad.push(underived);
    }
    bad.extend([good(4), good(9)]);
    for bad in bad {
        for entries in [[good(7), bad.clone()], [bad.clone(), good(7)]] {
            refuses(&trial, PARTITION, (5, 9, 9), &entries).await;
        }
    }
    refuses(&trial, PARTITION, (5, 9, 9), &[good(7), good(7)]).await;
    let many: Vec<_> = (5..).take(ENTRIES_MAX + 1).map(good).collect();
    refuses(&trial, PARTITION, (5, 9000, 9000), &many).await;
    for bounds in [(-1, 9, 9), (6, 5, 9), (5, 9, 8), (5, 6, i64::MAX)] {
        refuses(&trial, PARTITION, bounds, &[]).await;
    }
    refuses(&trial, 3, (0, 0, 0), &[]).await;

    assert_eq!(trial.complete(5, 5, &[]).await, published(5, true));
    trial.assert_hit(1, &good(1)).await;
    for id in [6, 7, 100] {
        trial.assert_miss(id, true).await;
    }
}

async fn refuses<S: ReadSide>(trial: &Trial<S>, partition: u32, (from, to, end): (i64, i64, i64), entries: &[Entry]) {
    let told = trial.side.publish(&Batch { partition, from, to, end, entries }).await;
    assert!(matches!(told, Err(ReadSideError::Refused(_))), "{told:?} for {from}, {to}, {end}: {entries:?}");
}

/// A few hundred steps of every kind, on few ids and short ranges, by writers that know more or less.
pub async fn any_history_says_what_memory_says(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let memory = MemoryStore::default();
    memory.set_now(trial.began);
    let model = MemoryReadSide::new(subject(), memory.clone());
    let at: LogTime = trial.entry(1, 1).settled.origin.appended_at;
    let mut seed = 11_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    // What each offset settled, the same for all writers; how far each of them has come.
    let mut settled: Vec<Option<Entry>> = Vec::new();
    let mut writers = [0_i64; 3];
    for step in 0..300 {
        if random(60) == 0 {
            fixture.lose().await;
            memory.lose();
        }
        let writer = random(3) as usize;
        let end = (writers[writer] + random(4) as i64).min(settled.len() as i64 + 3);
        while (settled.len() as i64) < end {
            let offset = settled.len() as i64;
            settled.push((random(3) > 0).then(|| entry(&trial.subject, PARTITION, random(12), offset, at)));
        }
        writers[writer] = writers[writer].max(end);
        let end = writers[writer];
        let from = if random(3) == 0 { end } else { random(end.unsigned_abs() + 1) as i64 };
        let to = from + random((end - from).unsigned_abs() + 1) as i64;
        let entries: Vec<_> = settled[from as usize..to as usize].iter().flatten().cloned().collect();
        let batch = Batch { partition: PARTITION, from, to, end, entries: &entries };
        let expected = must("publish in memory", model.publish(&batch).await);
        assert_eq!(must("publish", trial.side.publish(&batch).await), expected, "step {step}: {from}, {to}, {end}");
        for id in [random(12), random(12)] {
            let id = id_of(&trial.subject, &Tenant::default_tenant(), PARTITION, id);
            let expected = must("read in memory", model.read(&Tenant::default_tenant(), &id).await);
            let told = must("read", trial.side.read(&Tenant::default_tenant(), &id).await);
            assert_eq!(told, expected, "after step {step}");
        }
    }
}
