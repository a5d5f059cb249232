//! Servers end with the process that started them, however it ends, and are shared within it.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use flk_servers::{Redis, RedisOptions, Stop, shared, unique};

fn start(servers: &[&str]) -> (Child, Vec<String>) {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_flk-servers"))
        .args(servers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(holder.stdout.take().unwrap());
    let lines = servers.iter().map(|_| {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended: {:?}", holder.try_wait());
        line.trim_end().to_owned()
    });
    let lines = lines.collect();
    (holder, lines)
}

/// The processes that were started by `pid`, and theirs.
fn descendants(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = text.split_whitespace().map(|pid| pid.parse().unwrap());
    children.flat_map(|child: u32| [vec![child], descendants(child)].concat()).collect()
}

fn gone(pids: &[u32]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let alive = |pid: &&u32| Path::new(&format!("/proc/{pid}")).exists();
    while let Some(pid) = pids.iter().find(alive) {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        assert!(Instant::now() < deadline, "{name:?} still runs");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn directories(pids: &[u32]) -> Vec<std::path::PathBuf> {
    let arguments = pids.iter().flat_map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        text.split('\0').map(str::to_owned).collect::<Vec<_>>()
    });
    // The watchdog's last argument is the directory.
    arguments
        .filter(|text| text.contains("/flk-test-"))
        .map(Into::into)
        .filter(|path: &std::path::PathBuf| path.is_dir())
        .collect()
}

#[test]
fn servers_end_with_a_process_that_is_killed_and_their_directories_go() {
    let (mut holder, lines) = start(&["redis", "postgres", "kafka"]);
    assert!(lines[0].starts_with("FLK_TEST_REDIS=redis://127.0.0.1:"), "{lines:?}");
    assert!(lines[1].starts_with("FLK_TEST_POSTGRES=postgres://flk:"), "{lines:?}");
    assert!(lines[2].starts_with("FLK_TEST_KAFKA=127.0.0.1:"), "{lines:?}");
    let pids = descendants(holder.id());
    let directories = directories(&pids);
    assert!(directories.len() >= 3, "{directories:?}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    gone(&pids);
    let left: Vec<_> = directories.iter().filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_command_ends_its_servers_with_its_input() {
    let (mut holder, _) = start(&["redis"]);
    let pids = descendants(holder.id());
    assert_eq!(pids.len(), 2, "the server and its watchdog");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    gone(&pids);
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let redis = std::thread::spawn(|| Redis::start(&RedisOptions::default())).join().unwrap().unwrap();
    redis.call(&["PING"]).unwrap();
}

#[test]
fn a_dropped_server_is_gone_with_its_directory() {
    let redis = Redis::start(&RedisOptions::default()).unwrap();
    let (pid, log) = (redis.pid().unwrap(), redis.log().to_owned());
    assert!(log.is_file());
    drop(redis);
    gone(&[pid]);
    assert!(!log.parent().unwrap().exists());
}

#[test]
fn what_makes_no_sense_in_a_state_is_refused() {
    let redis = Redis::start(&RedisOptions::default()).unwrap();
    assert!(redis.start_again().unwrap_err().to_string().contains("stop it first"));
    redis.stop(Stop::Kill).unwrap();
    assert!(redis.stop(Stop::Kill).unwrap_err().to_string().contains("start it first"));
    assert!(redis.pause().unwrap_err().to_string().contains("start it first"));
    assert!(redis.tls_url().unwrap_err().to_string().contains("RedisTls"));
}

#[test]
fn all_tests_of_a_binary_get_the_same_shared_servers() {
    assert_eq!(shared::redis().unwrap(), shared::redis().unwrap());
    assert_eq!(shared::postgres().unwrap(), shared::postgres().unwrap());
    assert_ne!(unique("topic"), unique("topic"));
}
