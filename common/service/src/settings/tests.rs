//! Claims about every rule between settings, with an environment that is no process's.

use clap::Parser;

use super::*;

const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const PUBLIC_2: &str = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
/// A point of small order: anybody could sign for it.
const WEAK: &str = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[derive(Debug, Parser)]
struct Serve {
    #[command(flatten)]
    raw: Raw,
}

pub(super) fn load_with(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    load_as(Role::Serve, flags, env)
}

pub(super) fn load_as(role: Role, flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let raw = Serve::try_parse_from(["serve"].iter().chain(flags)).unwrap().raw;
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
    Settings::load_from(role, &raw, env)
}

fn embedded(settings: &Settings) -> &Embedded {
    match &settings.shape {
        Shape::Embedded(embedded) => embedded,
        Shape::Kafka(_) => panic!("there is no Kafka"),
    }
}

pub(super) fn load(env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    load_with(&[], env)
}

/// The sentence about settings that are refused; it names the setting that it is about.
fn refused(env: &[(&str, &str)]) -> String {
    let error = load(env).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&error.setting), "{text} does not name {}", error.setting);
    assert!(!text.contains('\n') && text.len() < 600, "{text}");
    text
}

fn assert_refused(env: &[(&str, &str)], parts: &[&str]) {
    let text = refused(env);
    for part in parts {
        assert!(text.contains(part), "{part} in: {text}");
    }
}

fn keys(settings: &Settings) -> Vec<(String, &'static str)> {
    settings.signatures().unwrap().keys.iter().map(|key| (key.tenant().to_string(), key.algorithm().as_str())).collect()
}

pub(super) fn file(dir: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_key_is_all_that_has_to_be_set() {
    let settings = load(&[("PCS_HMAC_KEY", "testsecret")]).unwrap();
    let Embedded { data_dir, retention, queue, admission, signatures } = embedded(&settings);
    assert_eq!((data_dir, retention), (&PathBuf::from("data"), &Duration::from_secs(16 * 86_400)));
    let scope = flk_contract::Form::Payload;
    assert_eq!(signatures.signing, Signing::Required { hmac: true, ed25519: false, scope });
    let Admission { token_rate, connections, requests, bytes, body_read } = *admission;
    assert_eq!((token_rate, connections, requests, bytes), (1000, 16_384, 4096, 64 << 20));
    let Process { listen, header_read, deadlines, metrics_auth, logging } = &settings.process;
    assert_eq!(listen.to_string(), "0.0.0.0:8080");
    assert_eq!((*header_read, body_read), (Duration::from_secs(30), Duration::from_secs(30)));
    assert_eq!((*queue, *deadlines), (4096, Deadlines::default()));
    assert_eq!(*logging, Logging::default());
    assert!(metrics_auth.is_none() && settings.warnings.is_empty());
    assert_eq!(keys(&settings), [("default".to_owned(), "hmac")]);
}

#[test]
fn every_setting_has_a_row_and_every_default_holds() {
    let settings = load(&[("PCS_SIGN_ALG", "none")]).unwrap();
    let names: Vec<_> = settings.table().settings.iter().map(|row| row.name).collect();
    assert_eq!(names, definitions::ALL.iter().map(|setting| setting.name).collect::<Vec<_>>());
}

#[test]
fn the_address_and_the_port_combine() {
    for (flags, env, expected) in [
        (&[][..], &[("PORT", "81")][..], "0.0.0.0:81"),
        (&["--port", "82"], &[("PORT", "81")], "0.0.0.0:82"),
        (&["--listen", "127.0.0.1"], &[("PORT", "81")], "127.0.0.1:81"),
        (&["--listen", "127.0.0.1:0"], &[("PORT", "81")], "127.0.0.1:0"),
        (&[], &[("FLK_LISTEN", "[::1]:9"), ("PORT", "81")], "[::1]:9"),
    ] {
        let env: Vec<_> = env.iter().copied().chain([("PCS_SIGN_ALG", "none")]).collect();
        assert_eq!(load_with(flags, &env).unwrap().process.listen.to_string(), expected);
    }
    assert_refused(&[("FLK_LISTEN", "localhost:80")], &["FLK_LISTEN is \"localhost:80\"", "127.0.0.1:8080"]);
    let error = load_with(&["--listen", "x"], &[]).unwrap_err().to_string();
    assert!(error.starts_with("--listen is \"x\", but must be"), "{error}");
}

#[test]
fn signing_without_a_key_is_refused_and_says_what_to_set() {
    let needs = "PCS_SIGN_ALG=hmac needs a key: set PCS_HMAC_KEY (or PCS_HMAC_KEY_FILE)";
    assert_refused(&[("PCS_SIGN_ALG", "hmac")], &[needs, "or PCS_SIGN_ALG=none to take unsigned records"]);
    assert_refused(&[], &["PCS_SIGN_ALG=hmac (the default) needs a key: set PCS_HMAC_KEY"]);
    assert_refused(&[("PCS_HMAC_KEY", "")], &["needs a key"]);
    assert_refused(&[("PCS_SIGN_ALG", "ed25519")], &["PCS_SIGN_ALG=ed25519 needs a key: set PCS_ED25519_PUB_B64 (or"]);
    assert_refused(
        &[("PCS_ED25519_PUB_B64", PUBLIC)],
        &["set PCS_HMAC_KEY", "or PCS_SIGN_ALG=ed25519, for which there is a key"],
    );
    for (name, value, missing) in
        [("PCS_HMAC_KEY", "s", "set PCS_ED25519_PUB_B64"), ("PCS_ED25519_PUB_B64", PUBLIC, "set PCS_HMAC_KEY")]
    {
        assert_refused(&[("PCS_SIGN_ALG", "hmac,ed25519"), (name, value)], &["PCS_SIGN_ALG=hmac,ed25519", missing]);
    }
}

#[test]
fn unsigned_records_have_to_be_said_and_are_warned_about() {
    let settings = load(&[("PCS_SIGN_ALG", "none")]).unwrap();
    assert_eq!(embedded(&settings).signatures.signing, Signing::Off);
    assert!(
        settings.warnings[0].starts_with("PCS_SIGN_ALG=none: records are taken unsigned"),
        "{:?}",
        settings.warnings
    );
    let settings = load(&[("PCS_SIGN_ALG", "none"), ("PCS_HMAC_KEY", "s")]).unwrap();
    assert!(settings.warnings[1].contains("keys that are set are not used"), "{:?}", settings.warnings);
    assert_refused(&[("PCS_SIGN_ALG", "none,hmac"), ("PCS_HMAC_KEY", "s")], &["PCS_SIGN_ALG is", "must not name none"]);
    assert_refused(&[("PCS_SIGN_ALG", "md5")], &["PCS_SIGN_ALG is \"md5\"", "hmac, ed25519"]);
}

#[test]
fn keys_of_an_algorithm_that_is_not_taken_are_warned_about() {
    let settings = load(&[("PCS_HMAC_KEY", "s"), ("PCS_ED25519_PUB_B64", PUBLIC)]).unwrap();
    assert_eq!(settings.warnings.len(), 1);
    assert!(settings.warnings[0].contains("ed25519 keys that are set are not used"), "{:?}", settings.warnings);
}

#[test]
fn keys_come_from_every_setting_together() {
    let dir = tempfile::tempdir().unwrap();
    let keys_file = file(&dir, "keys.json", r#"{"keys": [{"id": "k", "tenant": "a", "alg": "hmac", "key": "s9"}]}"#);
    let settings = load(&[
        ("PCS_SIGN_ALG", "hmac,ed25519"),
        ("PCS_SIGN_SCOPE", "content"),
        ("PCS_HMAC_KEY", "s1"),
        ("PCS_HMAC_KEY_OLD_FILE", &file(&dir, "old", "s2\n")),
        ("PCS_HMAC_KEY_NEW", "s3"),
        ("PCS_HMAC_KEYS", "s4,s5,s1"),
        ("PCS_ED25519_PUB_B64", &format!("{PUBLIC}, {PUBLIC_2}")),
        ("PCS_KEYS_FILE", &keys_file),
    ])
    .unwrap();
    let of = |tenant, algorithm| keys(&settings).iter().filter(|key| key.0 == tenant && key.1 == algorithm).count();
    assert_eq!((of("default", "hmac"), of("default", "ed25519"), of("a", "hmac")), (5, 2, 1));
    assert_eq!(
        embedded(&settings).signatures.signing,
        Signing::Required { hmac: true, ed25519: true, scope: flk_contract::Form::Content }
    );
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn a_list_with_an_element_that_is_no_key_is_refused_by_its_number() {
    let hmac = |list| refused(&[("PCS_HMAC_KEYS", list)]);
    assert_eq!(hmac("a,,b"), "PCS_HMAC_KEYS has an empty element 2; remove the spare comma");
    assert_eq!(hmac("a,"), "PCS_HMAC_KEYS has an empty element 2; remove the spare comma");
    assert!(hmac("a, hunter2").contains("white space around element 2"));
    assert!(!hmac("a, hunter2").contains("hunter2"));
    let ed25519 = |list: &str| refused(&[("PCS_SIGN_ALG", "ed25519"), ("PCS_ED25519_PUB_B64", list)]);
    assert!(ed25519(&format!("{PUBLIC},")).contains("empty element 2"));
    assert!(ed25519(&format!("{PUBLIC},abc")).contains("element 2 that is refused: an Ed25519 public key is"));
    assert!(
        ed25519(WEAK).contains("PCS_ED25519_PUB_B64 has an element 1 that is refused: the Ed25519 public key is weak")
    );
    let dir = tempfile::tempdir().unwrap();
    let text = refused(&[("PCS_SIGN_ALG", "ed25519"), ("PCS_ED25519_PUB_B64_FILE", &file(&dir, "public", "x"))]);
    assert!(text.starts_with("PCS_ED25519_PUB_B64_FILE has an element 1"), "{text}");
}

#[test]
fn the_same_key_under_two_tenants_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keys_file = file(&dir, "keys.json", r#"{"keys": [{"tenant": "a", "alg": "hmac", "key": "same"}]}"#);
    assert_refused(
        &[("PCS_HMAC_KEY", "same"), ("PCS_KEYS_FILE", &keys_file)],
        &["PCS_KEYS_FILE", "the same key is given to the tenants default and a"],
    );
}

#[test]
fn a_keys_file_that_can_not_serve_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no").to_str().unwrap().to_owned();
    assert_refused(&[("PCS_KEYS_FILE", &missing)], &["PCS_KEYS_FILE names the file", &missing, "can not be read"]);
    let bad = file(&dir, "bad.json", r#"{"keys": [{"id": "k7", "tenant": "a", "alg": "hmac"}]}"#);
    assert_refused(&[("PCS_KEYS_FILE", &bad)], &["PCS_KEYS_FILE names", "key 1 (\"k7\") is refused"]);
    let keys: Vec<_> = (0..65).map(|n| format!("s{n}")).collect();
    assert_refused(&[("PCS_HMAC_KEYS", &keys.join(","))], &["PCS_HMAC_KEYS", "at most 64 keys"]);
}

#[test]
fn the_metrics_password_goes_with_its_user() {
    let key = ("PCS_HMAC_KEY", "s");
    assert_refused(&[key, ("METRICS_PASS", "hunter2")], &["METRICS_PASS is set without METRICS_USER"]);
    assert_refused(&[key, ("METRICS_USER", "u")], &["METRICS_USER is set without METRICS_PASS"]);
    assert_refused(&[key, ("METRICS_USER", "u:v"), ("METRICS_PASS", "p")], &["METRICS_USER is \"u:v\"", "no colon"]);
    let auth = load(&[key, ("METRICS_USER", "u"), ("METRICS_PASS", "p")]).unwrap().process.metrics_auth.unwrap();
    assert_eq!((auth.user.as_str(), auth.password.expose()), ("u", "p"));
}

#[test]
fn a_value_that_is_none_is_refused_by_what_it_must_be() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value, part) in [
        ("PORT", "http", "0 to 65535"),
        ("TOKEN_RATE", "-1", "0 is no limit"),
        ("PCS_SIGN_SCOPE", "all", "payload or content"),
        ("DEDUP_BACKEND", "redis", "set KAFKA_BROKERS"),
        ("DEDUP_BACKEND", "postgres", "set KAFKA_BROKERS"),
        ("DEDUP_BACKEND", "oracle", "redis or postgres"),
        ("KAFKA_PARTITIONS", "0", "from 1 to"),
        ("KAFKA_REPLICATION", "many", "from 1 to"),
        ("KAFKA_MIN_INSYNC", "4", "at most KAFKA_REPLICATION (3)"),
        ("FLK_REPLIES_PARTITION", "-1", "counted from 0"),
        ("FLK_INSTANCE_ID", "a b", "A-Z a-z 0-9"),
        ("FLK_INDEX_DIR", " ", "path of a directory"),
        ("FLK_HOT_WINDOW", "15d", "to 14days"),
        ("WAL_DIR", " ", "path of a directory"),
        ("FLK_RETENTION", "13d", "at least 14d"),
        ("FLK_MAX_CONNECTIONS", "0", "from 1 to"),
        ("FLK_MAX_REQUESTS", "0", "from 1 to"),
        ("FLK_MAX_BYTES", "1KiB", "1MiB"),
        ("FLK_QUEUE_LENGTH", "0", "from 1 to"),
        ("FLK_HEADER_TIMEOUT", "0s", "from 100ms to 1h"),
        ("FLK_BODY_TIMEOUT", "30", "its unit"),
        ("FLK_DRAIN_DELAY", "2h", "from 0s to 1h"),
        ("FLK_DRAIN_DEADLINE", "0s", "from 100ms to 1h"),
        ("LOG_FORMAT", "xml", "json or text"),
        ("LOG_LEVEL", "loud", "off, error, warn"),
    ] {
        assert_refused(&[("PCS_HMAC_KEY", "s"), (name, value)], &[&format!("{name} is {value:?}, but must be"), part]);
        let named = format!("{name}_FILE");
        let path = file(&dir, "value", value);
        assert_refused(&[("PCS_HMAC_KEY", "s"), (&named, &path)], &[&format!("{named} is {value:?}, but must be")]);
        assert_refused(&[("PCS_HMAC_KEY", "s"), (name, value), (&named, &path)], &[name, &named, "both set"]);
    }
}

#[test]
fn what_is_in_force_is_shown_with_its_source_and_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let keys_file = file(
        &dir,
        "k.json",
        r#"{"keys": [{"id": "k7", "tenant": "a", "alg": "hmac", "key": "hunter3", "not_after": "2027-01-01T00:00:00Z"}]}"#,
    );
    let env = [
        ("PCS_HMAC_KEY", "hunter2"),
        ("PCS_HMAC_KEYS", "hunter4,hunter5"),
        ("METRICS_USER", "u"),
        ("METRICS_PASS_FILE", &file(&dir, "pass", "hunter6")),
        ("PCS_KEYS_FILE", &keys_file),
        ("TOKEN_RATE", "5"),
    ];
    let settings = load_with(&["--port", "81"], &env).unwrap();
    let table = settings.table();
    let row = |name: &str| {
        let row = table.settings.iter().find(|row| row.name == name).unwrap();
        (row.value.as_str(), row.source)
    };
    assert_eq!(row("FLK_LISTEN"), ("0.0.0.0:81", Source::Default));
    assert_eq!(row("PORT"), ("81", Source::Flag));
    assert_eq!(row("TOKEN_RATE"), ("5", Source::Env));
    assert_eq!(row("PCS_HMAC_KEY"), ("***", Source::Env));
    assert_eq!(row("PCS_HMAC_KEY_OLD"), ("", Source::Default));
    assert_eq!(row("METRICS_PASS"), ("***", Source::File));
    assert_eq!(row("LOG_FORMAT"), ("text on a terminal, else json", Source::Default));
    let text = table.to_string();
    for line in
        ["Listening\n  FLK_LISTEN", "key k7 of tenant a, hmac, before 2027-01-01T00:00:00.000Z\n", "--token-rate\n"]
    {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&table.to_json()).unwrap();
    assert_eq!(json["settings"].as_array().unwrap().len(), definitions::ALL.len());
    assert_eq!(json["settings"][1]["flag"], "--port");
    assert_eq!((&json["keys"].as_array().unwrap().len(), &json["keys"][3]["tenant"]), (&4, &"a".into()));
    for shown in [text, table.to_json(), format!("{settings:?}"), format!("{settings:#?}")] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
}

#[test]
fn a_command_that_judges_a_log_again_needs_its_directory_and_keys_only() {
    #[derive(Debug, Parser)]
    struct Replay {
        #[command(flatten)]
        flags: Flags<JudgingOnly>,
    }
    let flags = Replay::try_parse_from(["replay", "--data-dir", "d"]).unwrap().flags;
    let env = [("PCS_HMAC_KEY", "s"), ("PORT", "not a port")];
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
    let judging = Judging::load_from(&flags, env).unwrap();
    assert_eq!((judging.data_dir, judging.keys.iter().count()), (PathBuf::from("d"), 1));
}

#[test]
fn the_reference_has_a_line_for_every_setting() {
    let text = reference_markdown();
    for setting in definitions::ALL {
        let line = text.lines().find(|line| line.starts_with(&format!("| `{}` |", setting.name))).unwrap();
        assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
        assert!(line.contains(setting.what) && line.contains(setting.why), "{line}");
    }
    assert!(text.ends_with(".\n") && !text.contains("\n\n\n"));
}
