//! Redis as tests use it: its data over restarts, its replica, TLS and users.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use flk_servers::{Direction, Redis, RedisOptions, RedisTls, Reply, Stop};

fn set(redis: &Redis, key: &str, value: &str) {
    assert_eq!(redis.call(&["SET", key, value]).unwrap(), Reply::Simple("OK".into()));
}

fn get(redis: &Redis, key: &str) -> Option<String> {
    match redis.call(&["GET", key]).unwrap() {
        Reply::Bulk(value) => value.map(|value| String::from_utf8(value).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_answered_is_still_there_after_a_stop_and_after_a_kill() {
    let redis = Redis::start(&RedisOptions::default()).unwrap();
    let url = redis.url();
    set(&redis, "a", "1");
    redis.stop(Stop::Term).unwrap();
    redis.call(&["PING"]).unwrap_err();
    redis.start_again().unwrap();
    assert_eq!(get(&redis, "a").as_deref(), Some("1"));
    set(&redis, "b", "2");
    redis.restart().unwrap();
    assert_eq!(get(&redis, "b").as_deref(), Some("2"));
    assert_eq!(redis.url(), url);
}

#[test]
fn flushed_or_restarted_empty_it_knows_nothing() {
    let redis = Redis::start(&RedisOptions::default()).unwrap();
    set(&redis, "a", "1");
    redis.flush().unwrap();
    assert_eq!(get(&redis, "a"), None);
    set(&redis, "a", "1");
    redis.restart_empty().unwrap();
    assert_eq!(get(&redis, "a"), None);
    redis.restart().unwrap();
    assert_eq!(get(&redis, "a"), None);
}

#[test]
fn paused_it_answers_late() {
    let redis = Redis::start(&RedisOptions::default()).unwrap();
    redis.pause().unwrap();
    std::thread::scope(|scope| {
        let late = scope.spawn(|| redis.call(&["PING"]));
        redis.resume().unwrap();
        late.join().unwrap().unwrap();
    });
    redis.pause().unwrap();
    // Its port takes connections, and nobody reads.
    redis.call(&["PING"]).unwrap_err();
    redis.stop(Stop::Term).unwrap();
    redis.start_again().unwrap();
}

#[test]
fn a_replica_follows_and_one_that_lags_has_lost_what_came_last() {
    let primary = Redis::start(&RedisOptions::default()).unwrap();
    set(&primary, "before", "1");
    let replica = primary.replica().unwrap();
    assert_eq!(get(replica.redis(), "before").as_deref(), Some("1"));
    set(&primary, "followed", "1");
    assert_eq!(primary.call(&["WAIT", "1", "4000"]).unwrap(), Reply::Integer(1));
    replica.link().stall(Direction::Both);
    set(&primary, "lost", "1");
    primary.stop(Stop::Kill).unwrap();
    replica.promote().unwrap();
    assert_eq!(get(replica.redis(), "followed").as_deref(), Some("1"));
    assert_eq!(get(replica.redis(), "lost"), None);
    set(replica.redis(), "after", "1");
}

#[test]
fn a_user_may_do_what_its_acl_says_and_the_replica_knows_it_too() {
    let options = RedisOptions {
        acl: vec!["user default off".into(), "user sink on >secret ~flk:* +get +set".into()],
        ..RedisOptions::default()
    };
    let redis = Redis::start(&options).unwrap();
    let replica = redis.replica().unwrap();
    for server in [&redis, replica.redis()] {
        // The commands of this crate go on to work, those of the user are judged by the ACL.
        let dry = |args: &[&str]| server.call(&[&["ACL", "DRYRUN", "sink"], args].concat()).unwrap();
        assert_eq!(dry(&["SET", "flk:1", "v"]), Reply::Simple("OK".into()));
        assert!(dry(&["SET", "other", "v"]).text().contains("permissions"));
        assert!(server.call(&["ACL", "GETUSER", "default"]).unwrap().text().contains("off"));
    }
}

#[test]
fn tls_asks_for_a_certificate_where_it_was_asked_for() {
    let options = RedisOptions { tls: RedisTls::Mutual, ..RedisOptions::default() };
    let redis = Redis::start(&options).unwrap();
    let authority = redis.authority().unwrap();
    let client = authority.client("sink").unwrap();
    let address = redis.tls_url().unwrap().replace("rediss://", "");
    let connect = |more: &[&std::ffi::OsStr]| {
        let output = std::process::Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-connect", &address, "-CAfile"])
            .arg(authority.ca())
            .args(["-verify_ip", "127.0.0.1"])
            .args(more)
            .stdin(ping())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let with = ["-cert".as_ref(), client.cert.as_os_str(), "-key".as_ref(), client.key.as_os_str()];
    assert_eq!(connect(&with), "+PONG\r\n+OK\r\n");
    assert_eq!(connect(&[]), "");
}

/// PING and QUIT, as a file to read from: the server closes, so the client ends.
fn ping() -> std::process::Stdio {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"PING\r\nQUIT\r\n").unwrap();
    reader.into()
}

#[test]
fn a_setting_is_in_force() {
    let options = RedisOptions {
        settings: vec![("maxmemory".into(), "4mb".into()), ("maxmemory-policy".into(), "allkeys-lru".into())],
        ..RedisOptions::default()
    };
    let redis = Redis::start(&options).unwrap();
    assert_eq!(redis.call(&["CONFIG", "GET", "maxmemory"]).unwrap().text(), "maxmemory\n4194304");
}

#[test]
fn one_that_does_not_start_says_why() {
    let options = RedisOptions { settings: vec![("maxmemory".into(), "much".into())], ..RedisOptions::default() };
    let error = Redis::start(&options).unwrap_err().to_string();
    assert!(error.contains("maxmemory"), "{error}");
}
