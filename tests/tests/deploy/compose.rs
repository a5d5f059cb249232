//! The rules that `compose.yml` keeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use flk_service::settings::{
    Role, TopicsOnly, Which as _,
    definitions::{self, Definition, Kind},
};
use flk_tests::{root, setup::run};
use tempfile::TempDir;

use crate::file::{Compose, SECRETS, Service, make_secrets, text};

/// What a service of the program may be told.
fn has(service: Service<'_>, setting: &Definition) -> bool {
    match service.list("command")[..] {
        ["topics", "apply"] => TopicsOnly::has(setting),
        [command] => {
            let role = Role::ALL.into_iter().find(|role| role.command() == command);
            role.unwrap_or_else(|| panic!("{}: no command {command}", service.name)).has(setting)
        }
        ref other => panic!("{}: {other:?} is no command that this knows", service.name),
    }
}

#[test]
fn every_setting_is_one_that_its_role_has() {
    let compose = Compose::read();
    let mut commands = BTreeSet::new();
    for service in compose.services().filter(|service| service.is_flk()) {
        commands.extend(service.list("command"));
        for name in service.environment().into_keys() {
            let bare = name.strip_suffix("_FILE").unwrap_or(name);
            let setting = definitions::ALL.iter().find(|setting| [name, bare].contains(&setting.name));
            let setting = setting.unwrap_or_else(|| panic!("{}: there is no setting {name}", service.name));
            assert!(has(service, setting), "{}: {name} changes nothing there", service.name);
        }
    }
    assert_eq!(commands, BTreeSet::from(["topics", "apply", "ingest", "verifier", "dedup-sink"]));
}

#[test]
fn each_role_finds_nothing_to_change_in_its_settings() {
    let compose = Compose::read();
    let directory = TempDir::new().unwrap();
    let _ = make_secrets(directory.path());
    let here = format!("{}/", directory.path().display());
    for role in [Role::Ingest, Role::Verifier, Role::Sink] {
        let environment = compose.service(role.command()).environment();
        let environment: Vec<_> =
            environment.into_iter().map(|(name, value)| (name, value.replace(SECRETS, &here))).collect();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = run(&["config", "--role", role.command()], &environment);
        assert!(output.status.success(), "{role:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_holds_for_the_topics_is_the_same_for_every_process() {
    let compose = Compose::read();
    let layout = |service: Service<'_>| -> BTreeMap<String, String> {
        let environment = service.environment().into_iter().filter(|(name, _)| name.starts_with("KAFKA_"));
        environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let applied = layout(compose.service("topics"));
    assert!(applied.len() > 5, "{applied:?}");
    for service in compose.services().filter(|service| service.is_flk()) {
        assert_eq!(layout(service), applied, "{}", service.name);
    }
}

#[test]
fn no_secret_has_a_value() {
    let compose = Compose::read();
    let declared = compose.part("secrets");
    let mut used = BTreeSet::new();
    for service in compose.services() {
        let secrets = service.list("secrets");
        for (name, value) in service.environment() {
            let ours = definitions::ALL.iter().any(|setting| setting.name == name && setting.kind == Kind::Secret);
            let sounds = ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL"].iter().any(|word| name.contains(word));
            if name.ends_with("_FILE") {
                let secret = value.strip_prefix(SECRETS).unwrap_or_else(|| panic!("{}: {name}: {value}", service.name));
                assert!(secrets.contains(&secret), "{}: {name}: it does not get {secret}", service.name);
            } else {
                assert!(!ours && !sounds, "{}: {name} has a value; give it as a file", service.name);
                assert!(!value.contains('@') || name == "KAFKA_CONTROLLER_QUORUM_VOTERS", "{}: {name}", service.name);
            }
        }
        for word in service.list("command") {
            assert!(
                !["pass", "secret"].iter().any(|bad| word.to_lowercase().replace(SECRETS, "").contains(bad)),
                "{word}"
            );
        }
        used.extend(secrets);
    }
    assert_eq!(
        used,
        declared.keys().map(String::as_str).collect(),
        "what is declared is used, and what is used declared"
    );

    // And they are where git and the image's builder do not look.
    for (name, secret) in declared {
        let secret = secret.as_object().unwrap();
        let keys: Vec<_> = secret.keys().collect();
        assert_eq!(keys, ["file"], "{name}");
        assert_eq!(secret["file"], format!("./deploy/compose/secrets/{name}"));
    }
    assert!(text("deploy/compose/.gitignore").lines().any(|line| line == "/secrets/"));
    let ignored = text(".dockerignore");
    let last = ignored.lines().rfind(|line| line.trim_start_matches('!').starts_with("deploy"));
    assert_eq!(last, Some("deploy/compose"), "what is said last holds");
}

#[test]
fn the_secrets_are_made_once_and_each_service_can_read_them_and_no_other_user() {
    let directory = TempDir::new().unwrap();
    let secrets = directory.path().join("secrets");
    let said = make_secrets(&secrets);
    let read = || -> BTreeMap<String, String> {
        let files = fs::read_dir(&secrets).unwrap().map(Result::unwrap);
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())).collect()
    };
    let made = read();
    let compose = Compose::read();
    assert!(made.keys().eq(compose.part("secrets").keys().collect::<BTreeSet<_>>()), "{:?}", made.keys());

    assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o700);
    for (name, secret) in &made {
        assert_eq!(fs::metadata(secrets.join(name)).unwrap().permissions().mode() & 0o777, 0o644, "{name}");
        assert!(!said.contains(secret), "{name} is said");
        if name != "redis-users" {
            assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        }
    }
    let different: BTreeSet<_> = made.values().collect();
    assert_eq!(different.len(), made.len());
    for user in ["sink", "reader"] {
        let password = &made[&format!("redis-{user}")];
        assert!(made["redis-users"].contains(&format!("user {user} on >{password} ")), "{user}");
    }
    // A password for everybody is none: what may be done without one is to ask for life.
    assert!(made["redis-users"].contains("user default on nopass resetkeys resetchannels -@all +ping\n"));

    fs::remove_file(secrets.join("grafana-admin")).unwrap();
    let said = make_secrets(&secrets);
    assert_eq!(said.lines().count(), 1, "{said}");
    let again = read();
    assert!(made.iter().all(|(name, secret)| (again[name] == *secret) == (name != "grafana-admin")));
}

#[test]
fn every_image_is_pinned() {
    let compose = Compose::read();
    let mut built = BTreeSet::new();
    for service in compose.services() {
        let image = service.text("image");
        let (_, tag) = image.split_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
        if service.is_flk() {
            built.extend(service.value["build"].as_str().map(|_| service.name));
            // And nobody's image of that name is fetched instead.
            let policy = if service.value["build"].is_null() { "never" } else { "build" };
            assert_eq!(service.text("pull_policy"), policy, "{}", service.name);
        } else {
            assert!(tag.split('.').count() >= 3 && tag.contains(|c: char| c.is_ascii_digit()), "{image}: which one?");
        }
    }
    // Once: several builds of one name at a time get in each other's way.
    assert_eq!(built, BTreeSet::from(["topics"]));
    // The Kafka of the tests.
    let pom = text("tests/servers/kafka/pom.xml");
    let (_, version) = pom.split_once("<kafka.version>").unwrap();
    let (version, _) = version.split_once('<').unwrap();
    assert_eq!(compose.service("kafka").text("image"), format!("apache/kafka:{version}"));
}

#[test]
fn nothing_is_published_beyond_this_machine() {
    let compose = Compose::read();
    let mut published = BTreeSet::new();
    for service in compose.services() {
        for port in service.list("ports") {
            assert!(port.starts_with("127.0.0.1:"), "{}: {port}", service.name);
            assert!(published.insert(port.split(':').nth(1).unwrap()), "{}: {port} is taken", service.name);
        }
        assert!(service.value.get("network_mode").is_none(), "{}", service.name);
    }
    assert_eq!(compose.service("redis").list("networks"), ["read-side"]);
    assert_eq!(compose.part("networks")["read-side"]["internal"], true);
    assert_eq!(compose.service("redis").list("ports"), [""; 0]);
}

#[test]
fn every_service_has_few_rights_and_bounds() {
    let compose = Compose::read();
    for service in compose.services() {
        let Service { name, value } = service;
        assert_eq!(value["read_only"], true, "{name}");
        assert_eq!(service.list("cap_drop"), ["ALL"], "{name}");
        assert_eq!(service.list("security_opt"), ["no-new-privileges:true"], "{name}");
        for never in ["privileged", "cap_add", "pid", "ipc", "devices", "container_name"] {
            assert!(value.get(never).is_none(), "{name}: {never}");
        }
        assert!(value["mem_limit"].is_string() && value["pids_limit"].is_u64(), "{name}");
        assert_eq!(value["logging"]["driver"], "local", "{name}: json-file grows for ever");
        if !service.is_one_shot() {
            assert_eq!(service.text("restart"), "unless-stopped", "{name}");
            assert!(!value["healthcheck"]["test"].is_null(), "{name} has no health check");
        }
        if service.is_flk() && !service.is_one_shot() {
            // No longer drain than FLK_DRAIN_DEADLINE, ten seconds for the log, and some to spare.
            assert_eq!(service.text("stop_grace_period"), "40s");
            assert_eq!(
                value["healthcheck"]["test"],
                serde_json::json!(["CMD", "/usr/local/bin/flk", "health", "http://127.0.0.1:8080/readyz"]),
            );
        }
    }
}

#[test]
fn who_waits_for_another_waits_for_what_will_be() {
    let compose = Compose::read();
    for service in compose.services() {
        for (on, condition) in service.depends_on() {
            let on = compose.service(on);
            let expected = if on.is_one_shot() { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(condition, expected, "{} on {}", service.name, on.name);
            let optional = |service: Service<'_>| service.value.get("profiles").is_some();
            assert!(!optional(on) || optional(service), "{} waits for what may not be started", service.name);
        }
        if service.is_flk() && !service.is_one_shot() {
            assert!(service.depends_on().any(|(on, _)| on == "topics"), "{}", service.name);
            let asks_redis = service.environment().contains_key("REDIS_ADDR");
            assert_eq!(service.depends_on().any(|(on, _)| on == "redis"), asks_redis, "{}", service.name);
        }
    }
}

#[test]
fn what_is_mounted_is_there_and_what_is_kept_is_in_a_volume() {
    let compose = Compose::read();
    let mut used = BTreeSet::new();
    for service in compose.services() {
        for volume in service.list("volumes") {
            let parts: Vec<_> = volume.split(':').collect();
            if let Some(path) = parts[0].strip_prefix("./") {
                assert!(root().join(path).is_file(), "{}: {path} is not there", service.name);
                assert_eq!(parts.get(2), Some(&"ro"), "{}: {volume}", service.name);
            } else {
                assert!(used.insert(parts[0]), "{} shares {}", service.name, parts[0]);
            }
        }
    }
    assert_eq!(used, compose.part("volumes").keys().map(String::as_str).collect());
    let sink = compose.service("dedup-sink");
    assert!(sink.environment()["FLK_INDEX_DIR"].starts_with("/var/lib/flk/"));
    assert_eq!(sink.list("volumes"), ["index:/var/lib/flk"]);
    assert!(compose.service("kafka").list("volumes").contains(&"kafka:/var/lib/kafka/data"));
    assert_eq!(compose.service("kafka").environment()["KAFKA_LOG_DIRS"], "/var/lib/kafka/data");
}

#[test]
fn kafka_has_a_cluster_id_of_its_own_and_keeps_it_as_long_as_its_volume() {
    let compose = Compose::read();
    let kafka = compose.service("kafka");
    assert_eq!(kafka.list("command"), ["sh", "/kafka-start", "/etc/kafka/docker/run"]);
    assert!(kafka.list("volumes").contains(&"./deploy/compose/kafka-start:/kafka-start:ro"));
    assert!(!kafka.environment().contains_key("CLUSTER_ID"));
    let volume = TempDir::new().unwrap();
    let started = || {
        let mut command = Command::new("sh");
        command.arg(root().join("deploy/compose/kafka-start")).args(["sh", "-c", "printf %s \"$CLUSTER_ID\""]);
        let output = command.env("KAFKA_LOG_DIRS", volume.path()).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (one, other) = (started(), started());
    assert_ne!(one, other);
    assert!([&one, &other].iter().all(|id| id.len() == 22 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    fs::write(volume.path().join("meta.properties"), format!("node.id=1\nversion=1\ncluster.id={one}\n")).unwrap();
    assert_eq!(started(), one);
}

#[test]
fn redis_keeps_every_key_and_listens_to_its_users_only() {
    let compose = Compose::read();
    let command = compose.service("redis").list("command");
    let setting = |name: &str| command.iter().position(|word| *word == name).map(|at| command[at + 1]);
    assert_eq!(setting("--maxmemory-policy"), Some("noeviction"));
    assert_eq!(setting("--aclfile"), Some("/run/secrets/redis-users"));
    // Rewriting its file can take as much again.
    assert_eq!((setting("--maxmemory"), compose.service("redis").text("mem_limit")), (Some("512mb"), "1g"));
    // As its documentation says, word by word.
    let page = text("docs/read-side.md");
    let script = text("deploy/compose/make-secrets");
    for user in ["sink", "reader"] {
        let line = |text: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("user {user} on >"))).unwrap();
            line.split_once(" resetkeys ").unwrap().1.to_owned()
        };
        assert_eq!(line(&script), line(&page), "{user}");
    }
}

#[test]
fn prometheus_asks_every_role() {
    let compose = Compose::read();
    let config: serde_json::Value = serde_saphyr::from_str(&text("deploy/compose/prometheus.yml")).unwrap();
    let jobs = config["scrape_configs"].as_array().unwrap();
    let asked: BTreeSet<_> = jobs
        .iter()
        .map(|job| {
            assert_eq!(job["dns_sd_configs"][0]["port"], 8080);
            assert_eq!(job["dns_sd_configs"][0]["names"][0], job["job_name"]);
            job["job_name"].as_str().unwrap()
        })
        .collect();
    let roles = compose.services().filter(|service| service.is_flk() && !service.is_one_shot());
    assert_eq!(asked, roles.map(|role| role.name).collect());
    let source: serde_json::Value = serde_saphyr::from_str(&text("deploy/compose/grafana/datasource.yml")).unwrap();
    assert_eq!(source["datasources"][0]["url"], "http://prometheus:9090");
    let _: serde_json::Value = serde_saphyr::from_str(&text("deploy/compose/grafana/dashboards.yml")).unwrap();
}
