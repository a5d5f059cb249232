//! `flk topics`: made as they have to be, checked, never repartitioned.

use flk_servers::{shared, unique};

use crate::run::{environment, flk};

#[test]
fn topics_are_made_once_and_then_are_as_they_have_to_be() {
    let env = environment(&shared::kafka().unwrap(), &unique("topics"));
    let missing = flk(&["topics", "check"], &env);
    assert_eq!(missing.code, Some(1), "{}{}", missing.stdout, missing.stderr);
    assert_eq!(missing.stdout.lines().count(), 5, "{}", missing.stdout);
    assert!(missing.stdout.lines().all(|line| line.contains("`flk topics apply` creates it")), "{}", missing.stdout);

    let made = flk(&["topics", "apply", "--json"], &env);
    assert_eq!((made.code, &made.json()["ok"]), (Some(0), &true.into()), "{}{}", made.stdout, made.stderr);
    assert_eq!(made.json()["done"].as_array().unwrap().len(), 5);
    for (args, said) in [
        (["topics", "apply"], "all five topics are as they have to be\n"),
        (["topics", "check"], "all five topics are as they have to be\n"),
    ] {
        let well = flk(&args, &env);
        assert_eq!((well.code, well.stdout.as_str()), (Some(0), said), "{}", well.stderr);
    }
}

#[test]
fn what_differs_is_listed_put_right_where_that_can_be_and_partitions_never_are() {
    let env = environment(&shared::kafka().unwrap(), &unique("differs"));
    assert_eq!(flk(&["topics", "apply"], &env).code, Some(0));
    let more = [&env[..], &[("KAFKA_PARTITIONS", "3".to_owned())]].concat();
    for args in [["topics", "check", "--json"], ["topics", "apply", "--json"]] {
        let ran = flk(&args, &more);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        let differences = ran.json()["differences"].as_array().unwrap().clone();
        assert_eq!(differences.len(), 2, "{differences:?}");
        for difference in differences {
            assert_eq!(difference["can_be_applied"], false);
            assert!(difference["difference"].as_str().unwrap().contains("counts are never changed"), "{difference}");
        }
    }
}

#[test]
fn a_kafka_that_does_not_answer_is_said_in_a_sentence() {
    let ran = flk(&["topics", "check"], &environment("127.0.0.1:9", ""));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("flk: Kafka at 127.0.0.1:9: "), "{}", ran.stderr);
}

#[test]
fn a_setting_that_can_not_be_is_refused_by_its_name() {
    for (name, value, part) in [
        ("KAFKA_BROKERS", "nowhere", "is no list of brokers"),
        ("KAFKA_TOPIC_PREFIX", "a b", "leave it out"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "SASL_SSL"),
        ("KAFKA_SASL_PASSWORD", "hunter2", "that this protocol does not use"),
        ("KAFKA_MIN_INSYNC", "2", "at most KAFKA_REPLICATION"),
    ] {
        let env = [environment("127.0.0.1:9", ""), vec![(name, value.to_owned())]].concat();
        let ran = flk(&["topics", "check"], &env);
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(part) && !ran.stderr.contains("hunter"), "{name}: {}", ran.stderr);
    }
}
