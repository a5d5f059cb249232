//! What a build says that has no Kafka in it, and what help shows in every build.

use crate::run::flk;

#[cfg(not(feature = "kafka"))]
#[test]
fn a_build_without_kafka_says_so_and_how_to_get_one_with_it() {
    for typed in [
        &["ingest"][..],
        &["verifier"],
        &["dedup-sink"],
        &["topics", "check"],
        &["serve", "--kafka", "a:9092", "--redis", "r:6379"],
        &["config", "--kafka", "a:9092", "--redis", "r:6379"],
    ] {
        let sentence = flk(typed).env("PCS_SIGN_ALG", "none").ran().sentence(2);
        assert!(sentence.starts_with("this build of flk has no Kafka in it"), "{typed:?}: {sentence}");
        assert!(sentence.contains("--features kafka"), "{typed:?}: {sentence}");
    }
}

#[test]
fn only_commands_that_know_kafka_offer_its_settings() {
    for (typed, has) in [
        (&["serve"][..], true),
        (&["verifier"], true),
        (&["topics", "apply"], true),
        (&["wal", "stat"], false),
        (&["replay"], true),
        (&["pcs", "submit"], false),
    ] {
        let help = flk(typed.iter().chain([&"--help"])).ran().ok();
        assert_eq!(help.contains("KAFKA_BROKERS"), has, "{typed:?}: {help}");
    }
    let verifier = flk(["verifier", "--help"]).ran().ok();
    assert!(!verifier.contains("REDIS_ADDR") && !verifier.contains("WAL_DIR"), "{verifier}");
}
