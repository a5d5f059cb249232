//! Settings of a service whose log is in a directory: over Kafka there is no such directory, no retention of ours, and
//! another read side.

use flk_tests::{Pcs, Setup, log};

#[test]
fn the_data_directory_may_come_from_the_environment_and_from_a_file() {
    // Where no flag names one.
    let setup = Setup::hmac().env("FLK_LISTEN", "127.0.0.1").env("PORT", "0");
    let dir = setup.data().with_file_name("of-the-environment");
    let plain = setup.env("WAL_DIR", &dir);
    let file = plain.file("WAL_DIR", format!("{}\n", dir.display()));
    let filed = plain.clone().without("WAL_DIR").env("WAL_DIR_FILE", file);
    for setup in [plain.clone(), filed] {
        let mut service = setup.without_flags().start();
        let _ = service.submit(Pcs::fresh()).expect(200);
        assert!(service.terminate().success());
    }
    assert_eq!(log::records(&dir).len(), 2);
}

#[test]
fn a_setting_that_makes_no_sense_without_servers_is_named_in_one_sentence() {
    for (setup, words) in [
        (Setup::hmac().env("DEDUP_BACKEND", "redis"), &["DEDUP_BACKEND", "redis"][..]),
        (Setup::hmac().env("FLK_RETENTION", "1d"), &["FLK_RETENTION", "14"]),
    ] {
        setup.refused().with(words);
    }
}
