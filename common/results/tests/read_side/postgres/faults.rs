//! Postgres away, hanging, crashed, read-only, without its tables, of another release.

use std::time::Duration;

use flk_contract::{LogTime, Tenant};
use flk_results::{
    Entry,
    read_side::{
        Access, Batch, Lookup, PostgresReadSide, PostgresSettings, ReadSide, Reason,
        conformance::{PARTITION, entry, id_of, subject},
    },
};
use flk_servers::{Direction, Postgres, Proxy, Stop};

use super::Schema;
use crate::support::{
    Sink, away, fails_at_once_and_recovers, find, gives_up_in_time_and_recovers, join, published, until,
};

const DEADLINE: Duration = Duration::from_millis(500);

fn side(url: &str, access: Access) -> PostgresReadSide {
    PostgresReadSide::new(subject(), &PostgresSettings::new(url, access)).unwrap()
}

/// Now, of this machine; the server's is the same.
fn now() -> LogTime {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    LogTime::from_millis(since.as_millis().try_into().unwrap())
}

#[tokio::test]
async fn while_it_is_away_calls_fail_at_once() {
    let postgres = Postgres::start(&[]).unwrap();
    let way = Proxy::start(postgres.addr()).unwrap();
    let side = side(&postgres.url_at(way.addr()), Access::Publish);
    let mut sink = Sink::new(now());
    sink.go_on(&side, 20).await.unwrap();
    let go = || {
        way.refuse().unwrap();
        way.cut();
    };
    fails_at_once_and_recovers(&side, &mut sink, go, || way.accept().unwrap()).await;
    assert_eq!(way.connections(), 2, "one to read, one to write this partition");
    // Stopped and started, it is the same.
    let (stop, start) = (|| postgres.stop(Stop::Term).unwrap(), || postgres.start_again().unwrap());
    fails_at_once_and_recovers(&side, &mut sink, stop, start).await;
}

#[tokio::test]
async fn while_it_hangs_calls_end_in_time() {
    let postgres = Postgres::start(&[]).unwrap();
    let way = Proxy::start(postgres.addr()).unwrap();
    let side = side(&postgres.url_at(way.addr()), Access::Publish);
    let mut sink = Sink::new(now());
    sink.go_on(&side, 20).await.unwrap();
    for direction in [Direction::ToServer, Direction::ToClient] {
        gives_up_in_time_and_recovers(&side, DEADLINE, &mut sink, || way.stall(direction), || way.resume()).await;
    }
    let (pause, resume) = (|| postgres.pause().unwrap(), || postgres.resume().unwrap());
    gives_up_in_time_and_recovers(&side, DEADLINE, &mut sink, pause, resume).await;
    until("sessions that were given up are closed", async || way.connections() == 2).await;
}

/// Commits do not wait for the disk: the last ones may be gone, results and marker together.
#[tokio::test]
async fn after_a_crash_it_is_behind_at_the_worst_and_brought_back() {
    let postgres = Postgres::start(&[]).unwrap();
    let side = side(&postgres.url(), Access::Publish);
    let mut sink = Sink::new(now());
    for _ in 0..20 {
        sink.go_on(&side, 10).await.unwrap();
    }
    postgres.stop(Stop::Kill).unwrap();
    postgres.start_again().unwrap();
    until("it answers", async || sink.idle(&side).await.is_ok()).await;
    let next = sink.idle(&side).await.unwrap().next;
    for n in 0..next {
        assert_eq!(find(&side, n).await, Ok(Lookup::Hit(Box::new(sink.settled(n)))), "{n} is before {next}");
    }
    assert_eq!(sink.heal(&side).await, Ok(published(200, true)));
    sink.assert_all(&side).await;
}

/// Somebody holds the marker's row: a session in psql with a transaction that was forgotten.
#[tokio::test]
async fn a_row_that_is_locked_ends_in_time_and_does_not_hinder_readers() {
    let schema = Schema::new().await;
    let side = side(&schema.url(), Access::Publish);
    let mut sink = Sink::new(now());
    sink.go_on(&side, 20).await.unwrap();
    let client = schema.client().await;
    client.batch_execute("BEGIN; SELECT * FROM flk_markers FOR UPDATE").await.unwrap();
    for _ in 0..3 {
        assert_eq!(away(sink.idle(&side).await).0, Reason::Deadline);
        sink.assert_all(&side).await;
    }
    client.batch_execute("ROLLBACK").await.unwrap();
    until("it is written again", async || sink.idle(&side).await == Ok(published(20, true))).await;
}

#[tokio::test]
async fn writers_of_one_partition_wait_for_each_other_in_any_isolation() {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let schema = Schema::new().await;
        let url = format!("{}%20-cdefault_transaction_isolation%3D{}", schema.url(), isolation.replace(' ', "%5C%20"));
        let mut sink = Sink::new(now());
        sink.settle(200);
        let sides: Vec<_> = (0..4).map(|_| side(&url, Access::Publish)).collect();
        for side in &sides {
            sink.idle(side).await.unwrap();
        }
        let sink = &sink;
        let writing = sides.iter().map(async |side| {
            for from in (0..200).step_by(10) {
                let told = sink.send(side, from, from + 10).await.unwrap();
                assert!(told.next >= from + 10, "{isolation}: {told:?}");
            }
        });
        join(writing).await;
        sink.assert_all(&sides[0]).await;
    }
}

#[tokio::test]
async fn one_that_takes_no_writes_is_a_replica_to_writers() {
    let schema = Schema::new().await;
    let url = schema.url();
    let mut sink = Sink::new(now());
    sink.go_on(&side(&url, Access::Publish), 3).await.unwrap();
    let read_only = side(&format!("{url}%20-cdefault_transaction_read_only%3Don"), Access::Publish);
    for _ in 0..3 {
        assert_eq!(away(sink.idle(&read_only).await).0, Reason::Replica);
    }
}

#[tokio::test]
async fn a_schema_of_a_newer_release_is_refused_in_words() {
    let schema = Schema::new().await;
    let mut sink = Sink::new(now());
    sink.go_on(&side(&schema.url(), Access::Publish), 3).await.unwrap();
    schema.sql("INSERT INTO flk_schema VALUES (99)").await;
    for access in [Access::Publish, Access::Read] {
        let (reason, detail) = away(find(&side(&schema.url(), access), 1).await);
        assert_eq!(reason, Reason::Setup);
        assert!(detail.contains("version 99") && detail.contains("update"), "{detail}");
    }
}

#[tokio::test]
async fn readers_wait_in_words_for_the_tables_and_read_when_there_are_some() {
    let schema = Schema::new().await;
    let reader = side(&schema.url(), Access::Read);
    let (reason, detail) = away(find(&reader, 1).await);
    assert_eq!(reason, Reason::Setup);
    assert!(detail.contains("dedup-sink"), "{detail}");
    let mut sink = Sink::new(now());
    sink.go_on(&side(&schema.url(), Access::Publish), 3).await.unwrap();
    until("it reads", async || find(&reader, 1).await.is_ok()).await;
    sink.assert_all(&reader).await;
    // Who was set up to read does nothing else.
    for answer in [sink.idle(&reader).await.map(|_| 0), reader.expire(1).await] {
        let (reason, detail) = away(answer);
        assert!(reason == Reason::Setup && detail.contains("set up to read"), "{detail}");
    }
}

#[tokio::test]
async fn tables_that_are_dropped_while_it_runs_are_made_anew() {
    let schema = Schema::new().await;
    let side = side(&schema.url(), Access::Publish);
    let mut sink = Sink::new(now());
    sink.go_on(&side, 20).await.unwrap();
    // A part of them is not mended behind somebody's back.
    schema.sql("DROP TABLE flk_results").await;
    until("it says what to do", async || {
        let (reason, detail) = away(sink.heal(&side).await.and(find(&side, 1).await));
        reason == Reason::Setup && detail.contains("drop flk_schema, flk_markers")
    })
    .await;
    schema.sql("DROP TABLE flk_schema, flk_markers; DROP FUNCTION flk_publish").await;
    until("it is written again", async || sink.heal(&side).await == Ok(published(20, true))).await;
    until("it is read again", async || find(&side, 1).await.is_ok()).await;
    sink.assert_all(&side).await;
}

/// Times that Postgres does not have, and the longest of everything: a partition never stands still
/// for one record.
#[tokio::test]
async fn no_result_stops_a_partition() {
    let schema = Schema::new().await;
    let side = side(&schema.url(), Access::Publish);
    let times = [i64::MIN, -1, 0, i64::MAX / 1000, i64::MAX - 1, i64::MAX];
    let entries: Vec<_> = (0..).zip(times).map(|(n, at)| at_time(n, LogTime::from_millis(at))).collect();
    let batch = Batch { partition: PARTITION, from: 0, to: 6, end: 6, entries: &entries };
    assert_eq!(side.publish(&batch).await, Ok(published(6, true)));
    for n in 3..6 {
        let tenant = Tenant::default_tenant();
        let found = side.read(&tenant, &id_of(&subject(), &tenant, PARTITION, n)).await;
        assert_eq!(found, Ok(Lookup::Hit(Box::new(entries[n as usize].settled.clone()))));
    }
}

fn at_time(n: u64, at: LogTime) -> Entry {
    entry(&subject(), PARTITION, n, n as i64, at)
}

/// What people see who want SQL.
#[tokio::test]
async fn columns_say_what_the_result_says() {
    let schema = Schema::new().await;
    let side = side(&schema.url(), Access::Publish);
    let mut sink = Sink::new(now());
    sink.go_on(&side, 12).await.unwrap();
    let sql = "SELECT pcs_id, code, d_hat::text, recomputed_d_hat::text, regime, payload_sha256, key_id, signed, \
               origin_offset, extract(epoch FROM appended_at)::text, verified_offset, \
               extract(epoch FROM expires_at - appended_at)::bigint FROM flk_results ORDER BY verified_offset";
    let rows = schema.client().await.query(sql, &[]).await.unwrap();
    assert_eq!(rows.len(), 12);
    for (n, row) in (0..).zip(&rows) {
        let settled = sink.settled(n);
        let facts = &settled.facts;
        assert_eq!(row.get::<_, &str>(0), &*facts.pcs_id);
        assert_eq!(row.get::<_, &str>(1), settled.code.as_str());
        let number = |column: usize| row.get::<_, Option<String>>(column).map(|text| text.parse::<f64>().unwrap());
        let of = |nano: flk_contract::Nano| nano.to_string().parse::<f64>().unwrap();
        assert_eq!(number(2), Some(of(facts.d_hat)));
        assert_eq!(number(3), facts.recomputed_d_hat.map(of));
        assert_eq!(row.get::<_, Option<&str>>(4), facts.regime.map(flk_contract::signals::Regime::as_str));
        assert_eq!(row.get::<_, &str>(5), facts.payload_sha256.to_string());
        assert_eq!(row.get::<_, Option<&str>>(6), facts.key_id.as_deref());
        assert_eq!(row.get::<_, Option<&str>>(7), facts.signed.map(flk_contract::Form::as_str));
        assert_eq!(row.get::<_, i64>(8), settled.origin.position.offset);
        let millis = settled.origin.appended_at.millis();
        assert_eq!(row.get::<_, &str>(9), format!("{}.{:03}000", millis / 1000, millis % 1000));
        assert_eq!(row.get::<_, i64>(10), n);
        assert_eq!(row.get::<_, i64>(11), 14 * 24 * 3600);
    }
}
