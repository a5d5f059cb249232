//! The roles over a real Kafka and a real Redis, in the environment of `compose.yml`: nothing is different but what the
//! containers would make so (addresses, paths), and the names of topics, since tests share a Kafka.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use flk_contract::signature::HmacForm;
use flk_servers::{Redis, RedisOptions, shared, unique};
use flk_tests::{Client, DEADLINE, Pcs, Request, Sign, flk, until, until_some};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::file::{Compose, SECRETS, Service, make_secrets, text};

/// What stands where containers would.
struct Here {
    directory: TempDir,
    brokers: String,
    redis: Redis,
    prefix: String,
}

impl Here {
    fn new(compose: &Compose) -> Self {
        let directory = TempDir::new().unwrap();
        let secrets = directory.path().join("secrets");
        let _ = make_secrets(&secrets);
        fs::create_dir(directory.path().join("root")).unwrap();
        let acl = fs::read_to_string(secrets.join("redis-users")).unwrap().lines().map(str::to_owned).collect();
        let command = compose.service("redis").list("command");
        let pairs = command[1..].chunks(2).map(|pair| (pair[0].trim_start_matches("--").to_owned(), pair[1]));
        // The test's own Redis has its own file of users, with these in it; and "" is said with quotes in a file.
        let settings = pairs.filter(|(name, _)| name != "aclfile");
        let settings = settings.map(|(name, value)| (name, if value.is_empty() { "\"\"" } else { value }.to_owned()));
        let redis = Redis::start(&RedisOptions { acl, settings: settings.collect(), ..RedisOptions::default() });
        let brokers = shared::kafka().unwrap_or_else(|error| panic!("{error}"));
        Self { directory, brokers, redis: redis.unwrap_or_else(|error| panic!("{error}")), prefix: unique("c") + "." }
    }

    fn secret(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join("secrets").join(name)).unwrap()
    }

    fn command(&self, service: Service<'_>) -> Command {
        let path = |name: &str| format!("{}/", self.directory.path().join(name).display());
        let mut command = Command::new(flk());
        command.current_dir(self.directory.path().join("root"));
        command.env_clear().args(service.list("command")).env("KAFKA_TOPIC_PREFIX", &self.prefix);
        if service.environment().contains_key("REDIS_ADDR") {
            // Else it follows the prefix of the topics, and the users have no rights on such keys.
            command.env("REDIS_PREFIX", "flk");
        }
        for (name, value) in service.environment() {
            let value = match name {
                "KAFKA_BROKERS" => self.brokers.clone(),
                "REDIS_ADDR" => self.redis.addr().to_string(),
                _ => value.replace(SECRETS, &path("secrets")).replace("/var/lib/flk/", &path(service.name)),
            };
            command.env(name, value);
        }
        command.stdin(Stdio::null());
        command
    }
}

/// A role that runs.
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    address: SocketAddr,
}

impl Running {
    fn start(here: &Here, service: Service<'_>) -> Self {
        let log = here.directory.path().join(format!("{}.log", service.name));
        let mut command = here.command(service);
        command.env("FLK_LISTEN", "127.0.0.1:0").stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let address = until_some(&format!("{} listens", service.name), DEADLINE, || {
            let said = said(&log);
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{} ended ({status}): {said}", service.name);
            }
            let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let line = lines.find(|line| line["message"] == "listening")?;
            line["addr"].as_str()?.parse().ok()
        });
        Self { name: service.name.to_owned(), child, log, address }
    }

    fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Until its health check says so.
    fn healthy(&self) {
        let url = format!("http://{}/readyz", self.address);
        let mut probe = Command::new(flk());
        probe.env_clear().args(["health", &url]).stdout(Stdio::null()).stderr(Stdio::null());
        until(&format!("{} is healthy", self.name), DEADLINE, || probe.status().unwrap().success());
    }

    fn metrics(&self) -> String {
        self.client().call(&Request::get("/metrics")).text()
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{} ({status}): {}", self.name, said(&self.log));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(log: &Path) -> String {
    fs::read_to_string(log).unwrap()
}

#[test]
fn the_roles_work_together_in_the_environment_of_the_compose_file() {
    let compose = Compose::read();
    let here = Here::new(&compose);
    // As often as somebody says `up`.
    for _ in 0..2 {
        let output = here.command(compose.service("topics")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let roles: Vec<_> = ["ingest", "verifier", "dedup-sink"]
        .map(|name| Running::start(&here, compose.service(name)))
        .into_iter()
        .inspect(Running::healthy)
        .collect();

    let key = here.secret("pcs-hmac");
    let pcs = Pcs::unique().signed(Sign::Hmac(&key, HmacForm::ContentDigest));
    let mut ingest = roles[0].client();
    let answer = ingest.call(&Request::submit(pcs.body()));
    assert_eq!((answer.status, answer.code().as_str()), (200, "ok"), "{answer}");
    let again = ingest.call(&Request::submit(pcs.body()));
    assert_eq!(again.field("duplicate"), true, "{again}");
    for (what, id, status) in [("its result", pcs.id(), 200), ("that there is none", Pcs::unique().id(), 404)] {
        until(&format!("Redis knows {what}"), DEADLINE, || {
            ingest.call(&Request::get(&format!("/v1/pcs/{id}"))).status == status
        });
    }

    every_panel_shows_what_a_role_exports(&roles);
    for role in roles {
        role.stop();
    }
    // Where they stand may be read-only.
    assert_eq!(fs::read_dir(here.directory.path().join("root")).unwrap().count(), 0);
}

/// A panel that shows nothing says that all is well.
fn every_panel_shows_what_a_role_exports(roles: &[Running]) {
    let exported: Vec<_> = roles.iter().map(|role| (role.name.as_str(), role.metrics())).collect();
    let dashboard: Value = serde_json::from_str(&text("deploy/compose/grafana/flk.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut checked = 0;
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        let query = target["expr"].as_str().unwrap();
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = |word: &&str| ["flk_", "http_", "process_"].iter().any(|prefix| word.starts_with(prefix));
        let metrics: Vec<&str> = words.filter(ours).collect();
        let [metric] = metrics[..] else { panic!("{query}: {metrics:?}") };
        // Of the role that it names, or of any.
        let asked =
            exported.iter().filter(|(role, _)| !query.contains("job=") || query.contains(&format!("job=\"{role}\"")));
        let series = |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with([' ', '{']));
        let series: Vec<&str> = asked.flat_map(|(_, text)| text.lines()).filter(series).collect();
        assert!(!series.is_empty(), "{query}: no role exports {metric}");
        let labels = query.split("by (").skip(1).flat_map(|rest| rest.split(')').next().unwrap().split(','));
        for label in labels.map(str::trim) {
            let has = series.iter().any(|line| line.contains(&format!("{label}=\"")));
            assert!(has, "{query}: {metric} has no label {label}");
        }
        checked += 1;
    }
    assert!(checked > 10, "{checked}");
}
