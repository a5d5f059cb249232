//! Claims about settings of the shape over Kafka, role by role.

use super::{
    tests::{file, load, load_as, load_with},
    *,
};

const KAFKA: [(&str, &str); 2] = [("KAFKA_BROKERS", "a:9092,b:9092"), ("PCS_HMAC_KEY", "hunter2")];

fn over_kafka(role: Role, env: &[(&str, &str)]) -> Result<Distributed, SettingsError> {
    let env: Vec<_> = KAFKA.iter().chain(env).copied().collect();
    match load_as(role, &[], &env)?.shape {
        Shape::Kafka(roles) => Ok(*roles),
        Shape::Embedded(_) => panic!("there is Kafka"),
    }
}

fn redis(read_side: &ReadSide) -> &Redis {
    match &read_side.store {
        Store::Redis(redis) => redis,
        Store::Postgres { .. } => panic!("it is Redis"),
    }
}

#[test]
fn with_brokers_the_log_is_kafka_and_a_role_has_its_part_of_it() {
    let redis_addr = ("REDIS_ADDR", "r:6379");
    for (role, ingest, verifier, sink) in [
        (Role::Serve, true, true, true),
        (Role::Ingest, true, false, false),
        (Role::Verifier, false, true, false),
        (Role::Sink, false, false, true),
    ] {
        let roles = over_kafka(role, &[redis_addr]).unwrap();
        assert_eq!((roles.ingest.is_some(), roles.verifier.is_some(), roles.sink.is_some()), (ingest, verifier, sink));
        assert_eq!(roles.kafka.layout.partitions.get(), 48);
        if role != Role::Serve {
            let error = load_as(role, &[], &[redis_addr]).unwrap_err();
            assert!(error.to_string().contains("KAFKA_BROKERS is not set"), "{error}");
        }
    }
    let roles = over_kafka(Role::Sink, &[redis_addr, ("WAL_DIR", "d")]).unwrap();
    assert_eq!(roles.sink.unwrap().index_dir, PathBuf::from("d/sink"));
    let roles = over_kafka(Role::Sink, &[redis_addr, ("FLK_INDEX_DIR", "i"), ("FLK_INSTANCE_ID", "s-0")]).unwrap();
    assert_eq!((roles.sink.unwrap().index_dir, roles.instance.as_deref()), (PathBuf::from("i"), Some("s-0")));
}

#[test]
fn one_broker_is_enough_to_say_once() {
    let layout = |env: &[(&str, &str)]| over_kafka(Role::Verifier, env).unwrap().kafka.layout;
    assert_eq!(layout(&[]).min_insync.get(), 2);
    assert_eq!(layout(&[("KAFKA_REPLICATION", "1")]).min_insync.get(), 1);
    assert_eq!(layout(&[("KAFKA_REPLICATION", "5"), ("KAFKA_MIN_INSYNC", "4")]).min_insync.get(), 4);
}

#[test]
fn the_read_side_is_the_one_that_is_named_and_can_be_reached() {
    let read_side = |env: &[(&str, &str)]| over_kafka(Role::Sink, env).map(|roles| roles.sink.unwrap().read_side);
    let refused = |env: &[(&str, &str)], part: &str| {
        let error = read_side(env).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("hunter"), "{error}");
    };
    refused(&[], "redis (the default with Kafka) needs REDIS_ADDR");
    refused(&[("DEDUP_BACKEND", "postgres")], "DEDUP_BACKEND=postgres needs POSTGRES_CONN");
    refused(&[("DEDUP_BACKEND", "embedded")], "must be redis or postgres with Kafka");
    let postgres = read_side(&[("DEDUP_BACKEND", "postgres"), ("POSTGRES_CONN", "host=h password=hunter3")]).unwrap();
    assert!(matches!(&postgres.store, Store::Postgres { connection } if connection.expose().contains("hunter3")));
    assert!(!format!("{postgres:?}").contains("hunter"));

    let addr = ("REDIS_ADDR", "rediss://r:6379/2");
    let password = ("REDIS_PASSWORD", "hunter4@:/");
    let address = |env: &[(&str, &str)]| redis(&read_side(env).unwrap()).address.expose().to_owned();
    assert_eq!(address(&[addr]), "rediss://r:6379/2");
    assert_eq!(address(&[addr, password]), "rediss://:hunter4%40%3A%2F@r:6379/2");
    assert_eq!(address(&[("REDIS_ADDR", "r:1"), password, ("REDIS_USERNAME", "s")]), "redis://s:hunter4%40%3A%2F@r:1");
    refused(&[addr, ("REDIS_USERNAME", "s")], "REDIS_USERNAME is set without REDIS_PASSWORD");
    refused(&[("REDIS_ADDR", "redis://u:hunter5@r"), password], "holds a user or a password already");

    assert_eq!(redis(&read_side(&[addr]).unwrap()).prefix, "flk");
    assert_eq!(redis(&read_side(&[addr, ("KAFKA_TOPIC_PREFIX", "eu.")]).unwrap()).prefix, "flk:eu.");
    assert_eq!(redis(&read_side(&[addr, ("REDIS_PREFIX", "p")]).unwrap()).prefix, "p");
}

#[test]
fn certificates_for_redis_are_paths_or_pem() {
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nhunter6\n-----END CERTIFICATE-----\n";
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "ca.pem", PEM);
    let addr = ("REDIS_ADDR", "rediss://r:6379");
    for ca in [PEM, path.as_str()] {
        let env = [addr, ("REDIS_TLS_CA", ca), ("REDIS_TLS_CERT", ca), ("REDIS_TLS_KEY", ca)];
        let sink = over_kafka(Role::Sink, &env).unwrap().sink.unwrap();
        let (certificate, key) = redis(&sink.read_side).certificate.as_ref().unwrap();
        assert!(certificate.contains("hunter6") && key.expose().contains("hunter6"));
        assert!(redis(&sink.read_side).ca.as_ref().unwrap().contains("hunter6"));
    }
    let refused = |env: &[(&str, &str)]| {
        let env: Vec<_> = [addr].iter().chain(env).copied().collect();
        over_kafka(Role::Sink, &env).unwrap_err().to_string()
    };
    assert!(refused(&[("REDIS_TLS_CERT", PEM)]).contains("REDIS_TLS_CERT is set without REDIS_TLS_KEY"));
    assert!(refused(&[("REDIS_TLS_CA", "/no/ca.pem")]).contains("REDIS_TLS_CA names the file \"/no/ca.pem\""));
    let no_key = refused(&[("REDIS_TLS_CERT", PEM), ("REDIS_TLS_KEY", "hunter7")]);
    assert!(no_key.starts_with("REDIS_TLS_KEY names a file, which can not be read"), "{no_key}");
}

#[test]
fn what_changes_nothing_is_refused_as_a_flag_and_said_in_an_environment() {
    let key = ("PCS_HMAC_KEY", "s");
    let error = load_with(&["--redis", "r:1"], &[key]).unwrap_err().to_string();
    assert!(error.starts_with("--redis (REDIS_ADDR) belongs to the shape over Kafka"), "{error}");
    let error = load_with(&["--retention", "20d", "--kafka", "a:1"], &[key, ("REDIS_ADDR", "r:1")]).unwrap_err();
    assert!(error.to_string().contains("belongs to the embedded log"), "{error}");
    let error = load_as(Role::Verifier, &["--redis", "r:1"], &KAFKA).unwrap_err().to_string();
    assert_eq!(error, "--redis (REDIS_ADDR) is no setting of flk verifier; leave it out");

    let settings = load(&[key, ("REDIS_ADDR", "r:1"), ("FLK_INDEX_DIR", "i")]).unwrap();
    assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
    let settings = load(&[KAFKA[0], key, ("REDIS_ADDR", "r:1"), ("FLK_RETENTION", "20d")]).unwrap();
    assert!(settings.warnings[0].starts_with("FLK_RETENTION is set, and"), "{:?}", settings.warnings);
}

#[test]
fn each_role_shows_what_it_has_and_no_secret() {
    let env = [
        ("KAFKA_SASL_PASSWORD", "hunter3"),
        ("KAFKA_SSL_KEY", "hunter4"),
        ("REDIS_ADDR", "redis://u:hunter5@r:1"),
        ("POSTGRES_CONN", "hunter6"),
        ("KAFKA_TOPIC_PREFIX", "eu."),
    ];
    let env: Vec<_> = KAFKA.iter().chain(&env).copied().collect();
    for role in Role::ALL {
        let settings = load_as(role, &[], &env).unwrap();
        let table = settings.table();
        let names: Vec<_> = table.settings.iter().map(|row| row.name).collect();
        let expected = definitions::ALL.iter().filter(|setting| role.has(setting));
        assert_eq!(names, expected.map(|setting| setting.name).collect::<Vec<_>>(), "{role:?}");
        assert_eq!(table.keys.is_empty(), role == Role::Sink, "{role:?}");
        let value = |name: &str| table.settings.iter().find(|row| row.name == name).map(|row| row.value.as_str());
        if role == Role::Serve {
            assert_eq!((value("REDIS_ADDR"), value("KAFKA_SSL_KEY")), (Some("redis://u:***@r:1"), Some("***")));
            assert_eq!((value("REDIS_PREFIX"), value("KAFKA_MIN_INSYNC")), (Some("flk:eu."), Some("2")));
            assert_eq!((value("DEDUP_BACKEND"), value("FLK_INDEX_DIR")), (Some("redis"), Some("data/sink")));
        }
        for shown in [table.to_string(), table.to_json(), format!("{settings:?}"), format!("{settings:#?}")] {
            assert!(!shown.contains("hunter"), "{shown}");
        }
    }
}
