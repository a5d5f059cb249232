//! Postgres as tests use it: its data over restarts, its pauses, its end.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{path::Path, process::Command};

use flk_servers::{Postgres, Proxy, Stop};

#[test]
fn what_was_committed_is_still_there_after_a_stop_and_after_a_kill() {
    let postgres = Postgres::start(&[("max_connections", "20")]).unwrap();
    let url = postgres.url();
    assert_eq!(postgres.query("SHOW max_connections").unwrap(), "20");
    postgres.query("CREATE TABLE t (a int, b text)").unwrap();
    for (how, a) in [(Stop::Term, 1), (Stop::Kill, 2)] {
        postgres.query(&format!("INSERT INTO t VALUES ({a}, 'x')")).unwrap();
        postgres.stop(how).unwrap();
        postgres.query("SELECT 1").unwrap_err();
        postgres.start_again().unwrap();
    }
    assert_eq!(postgres.query("SELECT a, b FROM t ORDER BY a").unwrap(), "1|x\n2|x");
    assert_eq!(postgres.url(), url);
}

#[test]
fn its_url_is_one_that_a_client_takes_also_through_a_proxy() {
    let postgres = Postgres::start(&[]).unwrap();
    let proxy = Proxy::start(postgres.addr()).unwrap();
    for url in [postgres.url(), postgres.url_at(proxy.addr())] {
        let ready = |url: &str| {
            let bins = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
            let psql = bins.map(|entry| entry.path().join("bin/psql")).find(|path| path.is_file());
            let mut command = Command::new(psql.unwrap_or_else(|| "psql".into()));
            command.args(["-X", "-A", "-t", "-c", "SELECT 40 + 2", url]).output().unwrap()
        };
        let output = ready(&url);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n", "{output:?}");
        let wrong = url.replacen("pw-", "other-", 1);
        assert!(!ready(&wrong).status.success());
    }
}

#[test]
fn paused_with_its_connections_it_goes_on_and_can_be_stopped() {
    let postgres = Postgres::start(&[]).unwrap();
    std::thread::scope(|scope| {
        let query = scope.spawn(|| postgres.query("SELECT pg_sleep(0.1), 7"));
        postgres.pause().unwrap();
        all_are_stopped(postgres.pid().unwrap());
        postgres.resume().unwrap();
        assert_eq!(query.join().unwrap().unwrap(), "|7");
    });
    for how in [Stop::Kill, Stop::Term] {
        postgres.pause().unwrap();
        postgres.stop(how).unwrap();
        postgres.start_again().unwrap();
    }
    // Dropped while it is paused, it ends too.
    postgres.pause().unwrap();
    let pid = postgres.pid().unwrap();
    drop(postgres);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

/// Checks that neither a process nor one of its children does anything.
fn all_are_stopped(pid: u32) {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for pid in children.split_whitespace().chain([pid.to_string().as_str()]) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        assert!(stat.contains("(postgres) T ") || stat.contains("(postgres) Z "), "{stat}");
    }
}

#[test]
fn one_that_does_not_start_says_why() {
    let error = Postgres::start(&[("max_connections", "many")]).unwrap_err().to_string();
    assert!(error.contains("max_connections"), "{error}");
}
