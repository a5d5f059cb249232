//! The embedded log has one partition, whose first offset is 1 (contract section 6). Kafka's first is 0, and which
//! partition a record comes to is the producer's choice.

use flk_tests::{Pcs, Setup, log};

#[test]
fn records_are_numbered_from_1_in_one_partition_without_a_gap() {
    let service = Setup::hmac().start();
    for n in 1..=5 {
        let answer = service.submit(if n % 2 == 0 { b"{".to_vec() } else { Pcs::fresh().body() });
        let wal = answer.field("wal");
        assert_eq!((&wal["topic"], &wal["partition"], &wal["offset"]), (&"pcs.raw".into(), &0.into(), &n.into()));
    }
    let offsets: Vec<i64> = log::records(service.data()).iter().map(|record| record.origin.position.offset).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5]);
    for place in ["0/0", "0/6", "1/1"] {
        assert_eq!(service.get(&format!("/v1/records/{place}")).expect(404).code(), "no_such_record", "{place}");
    }
}
