//! What one id costs in Redis' memory.

use flk_contract::{Code, Digest, Facts, Form, LogTime, Nano, Origin, Position, Settled, Tenant, signals::Regime};
use flk_results::{
    Entry,
    read_side::{
        Batch, ENTRIES_MAX, ReadSide,
        conformance::{PARTITION, id_of, subject},
    },
};

use super::Server;
use crate::support::published;

/// The target of the design.
const BYTES_MAX: usize = 320;

/// Ids that are measured.
const IDS: usize = 100_000;

/// What the service settles, with a key id as keys have by default.
fn typical(n: usize, at: LogTime) -> Entry {
    let (about, tenant) = (subject(), Tenant::default_tenant());
    let units = |least: i128| Nano::from_units(least + i128::try_from(n * 7919 % 900_000_000).unwrap());
    let facts = Facts {
        pcs_id: id_of(&about, &tenant, PARTITION, n as u64).into(),
        tenant,
        d_hat: units(1_000_000_000),
        recomputed_d_hat: Some(units(1_000_000_001)),
        regime: Some(Regime::Mixed),
        recomputed_budget: Some(units(10_000_000)),
        payload_sha256: Digest::of(&n.to_le_bytes()),
        content_sha256: Digest::of(&n.to_be_bytes()),
        key_id: Some("0123456789abcdef".into()),
        signed: Some(Form::Content),
    };
    // Months after the beginning, in one of 48 partitions.
    let offset = 5_000_000_000 + i64::try_from(n).unwrap();
    let position = Position { log: about.log, topic: about.topic, partition: i32::try_from(n % 48).unwrap(), offset };
    let settled = Settled { code: Code::Ok, facts, origin: Origin { position, appended_at: at } };
    Entry { offset: i64::try_from(n).unwrap(), settled }
}

#[tokio::test]
async fn an_id_takes_no_more_than_it_may() {
    let server = Server::start();
    let side = Server::side(&server.0.url());
    let at = server.time();
    let used = || {
        let info = server.0.call(&["INFO", "memory"]).unwrap().text();
        let dataset = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        dataset.trim().parse::<usize>().unwrap()
    };
    // What a server and its connections take without any.
    let probe = Batch { partition: PARTITION, from: 0, to: 0, end: 0, entries: &[] };
    side.publish(&probe).await.unwrap();
    let empty = used();
    let mut from = 0;
    while from < IDS {
        let to = IDS.min(from + ENTRIES_MAX);
        let entries: Vec<_> = (from..to).map(|n| typical(n, at)).collect();
        let [first, last] = [from, to].map(|n| i64::try_from(n).unwrap());
        let batch = Batch { partition: PARTITION, from: first, to: last, end: last, entries: &entries };
        assert_eq!(side.publish(&batch).await, Ok(published(last, true)));
        from = to;
    }
    let each = (used() - empty) / IDS;
    println!("Redis: {each} bytes an id, of {IDS} ids");
    assert!(each <= BYTES_MAX, "{each} bytes an id");
}
