//! Who may do what, over TLS and without; and settings that can not serve.

use std::fs;

use flk_results::read_side::{ReadSide, ReadSideError, Reason, RedisReadSide, RedisSettings, conformance::subject};
use flk_servers::{Authority, Redis, RedisOptions, RedisTls};

use super::Server;
use crate::support::{Sink, away, find, published, until};

/// As it stands in docs/read-side.md.
const PUBLISHES: [&str; 6] = ["role", "get", "set", "eval", "evalsha", "time"];
const READS: [&str; 2] = ["role", "mget"];

fn user(name: &str, keys: &str, commands: &[&str]) -> String {
    let commands: Vec<_> = commands.iter().map(|command| format!("+{command}")).collect();
    format!("user {name} on >secret-of-{name} resetkeys {keys} resetchannels -@all +info {}", commands.join(" "))
}

fn with_users() -> Server {
    let acl =
        vec!["user default off".to_owned(), user("sink", "~flk:{*", &PUBLISHES), user("reader", "%R~flk:{*", &READS)];
    Server(Redis::start(&RedisOptions { acl, ..RedisOptions::default() }).unwrap().into())
}

fn side_of(server: &Server, user: &str) -> RedisReadSide {
    Server::side(&format!("redis://{user}:secret-of-{user}@{}", server.0.addr()))
}

#[test]
fn the_users_of_the_page_are_the_ones_that_are_tested() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/read-side.md");
    let page = fs::read_to_string(page).unwrap();
    for line in [user("sink", "~flk:{*", &PUBLISHES), user("reader", "%R~flk:{*", &READS)] {
        let line = line.replace(">secret-of-sink", ">SECRET").replace(">secret-of-reader", ">SECRET");
        assert!(page.contains(&line), "docs/read-side.md has not: {line}");
    }
}

#[tokio::test]
async fn a_sink_publishes_and_a_reader_reads_with_nothing_more_than_they_need() {
    let server = with_users();
    let (publisher, reader) = (side_of(&server, "sink"), side_of(&server, "reader"));
    let mut sink = Sink::new(server.time());
    assert_eq!(sink.go_on(&publisher, 10).await, Ok(published(10, true)));
    assert_eq!(publisher.health().await, Ok(vec![]));
    assert_eq!(reader.health().await, Ok(vec![]));
    sink.assert_all(&reader).await;
    let (reason, detail) = away(sink.idle(&reader).await);
    assert!(reason == Reason::Denied && detail.contains("evalsha"), "{detail}");

    // Other keys on the same server are none of their business.
    let url = format!("redis://sink:secret-of-sink@{}", server.0.addr());
    for prefix in ["other", "flk2", "flk:x"] {
        let settings = RedisSettings { prefix: prefix.into(), ..RedisSettings::new(url.as_str()) };
        let other = RedisReadSide::new(subject(), &settings).unwrap();
        assert_eq!(away(sink.idle(&other).await).0, Reason::Denied, "{prefix}");
    }
}

#[tokio::test]
async fn of_what_they_may_do_nothing_is_too_much() {
    let server = with_users();
    let (publisher, reader) = (side_of(&server, "sink"), side_of(&server, "reader"));
    let mut sink = Sink::new(server.time());
    sink.go_on(&publisher, 10).await.unwrap();
    for command in PUBLISHES {
        server.0.call(&["SCRIPT", "FLUSH"]).unwrap();
        server.0.call(&["ACL", "SETUSER", "sink", &format!("-{command}")]).unwrap();
        let (reason, detail) = away(sink.go_on(&publisher, 1).await);
        assert_eq!(reason, Reason::Denied, "without {command}: {detail}");
        server.0.call(&["ACL", "SETUSER", "sink", &format!("+{command}")]).unwrap();
        sink.heal(&publisher).await.unwrap();
    }
    for command in READS {
        server.0.call(&["ACL", "SETUSER", "reader", &format!("-{command}")]).unwrap();
        let (reason, detail) = away(find(&reader, 1).await);
        assert_eq!(reason, Reason::Denied, "without {command}: {detail}");
        server.0.call(&["ACL", "SETUSER", "reader", &format!("+{command}")]).unwrap();
    }
    sink.assert_all(&reader).await;
    for (name, side) in [("sink", &publisher), ("reader", &reader)] {
        server.0.call(&["ACL", "SETUSER", name, "-info"]).unwrap();
        assert_eq!(away(side.health().await).0, Reason::Denied, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_not_repeated() {
    let server = with_users();
    for user in ["sink:wrong-word", "nobody:wrong-word", ":wrong-word", "sink", ""] {
        let at = if user.is_empty() { "" } else { "@" };
        let side = Server::side(&format!("redis://{user}{at}{}", server.0.addr()));
        for _ in 0..3 {
            let (reason, detail) = away(find(&side, 1).await);
            assert_eq!(reason, Reason::Denied, "{user}: {detail}");
            assert!(!detail.contains("wrong-word"), "{detail}");
        }
    }
}

/// Whoever changes a password has both for a while, and may then cut what came with the old one.
#[tokio::test]
async fn a_user_that_is_cut_off_says_so_and_comes_back() {
    let server = with_users();
    let reader = side_of(&server, "reader");
    let mut sink = Sink::new(server.time());
    sink.go_on(&side_of(&server, "sink"), 3).await.unwrap();
    assert!(find(&reader, 1).await.is_ok());
    server.0.call(&["ACL", "SETUSER", "reader", "off"]).unwrap();
    server.0.call(&["CLIENT", "KILL", "USER", "reader"]).unwrap();
    until("it is denied", async || {
        matches!(find(&reader, 1).await, Err(ReadSideError::Away { reason: Reason::Denied, .. }))
    })
    .await;
    server.0.call(&["ACL", "SETUSER", "reader", "on"]).unwrap();
    until("it is back", async || find(&reader, 1).await.is_ok()).await;
}

#[tokio::test]
async fn a_password_may_have_any_characters() {
    let secret = "a#b?c/d@e:f%g h!\"$&'";
    let acl = vec!["user default off".to_owned(), format!("user u on >{} ~* +@all", secret.replace(' ', "_"))];
    let server = Server(Redis::start(&RedisOptions { acl, ..RedisOptions::default() }).unwrap().into());
    let written: String = secret.replace(' ', "_").bytes().map(|byte| format!("%{byte:02X}")).collect();
    let side = Server::side(&format!("redis://u:{written}@{}", server.0.addr()));
    side.health().await.unwrap();
}

fn tls(address: &str, ca: Option<&Authority>, client: Option<&flk_servers::Identity>) -> RedisReadSide {
    let settings = RedisSettings {
        ca: ca.map(|authority| fs::read(authority.ca()).unwrap()),
        client_certificate: client
            .map(|client| (fs::read(&client.cert).unwrap(), fs::read_to_string(&client.key).unwrap())),
        ..RedisSettings::new(address)
    };
    RedisReadSide::new(subject(), &settings).unwrap()
}

#[tokio::test]
async fn over_tls_it_trusts_the_authority_that_it_is_told_to() {
    let server = Server(Redis::start(&RedisOptions { tls: RedisTls::Server, ..Default::default() }).unwrap().into());
    let url = server.0.tls_url().unwrap();
    let authority = server.0.authority().unwrap();
    let mut sink = Sink::new(server.time());
    let side = tls(&url, Some(authority), None);
    assert_eq!(sink.go_on(&side, 10).await, Ok(published(10, true)));
    sink.assert_all(&side).await;
    // By name as by address.
    let named = tls(&url.replace("127.0.0.1", "localhost"), Some(authority), None);
    sink.assert_all(&named).await;

    let dir = tempfile::tempdir().unwrap();
    let stranger = Authority::new(dir.path()).unwrap();
    for ca in [None, Some(&stranger)] {
        let (reason, detail) = away(find(&tls(&url, ca, None), 1).await);
        assert_eq!(reason, Reason::Unreachable);
        assert!(detail.contains("certificate"), "{detail}");
    }
    // Without TLS to the port that has it, and the other way round.
    let plain = Server::side(&url.replace("rediss:", "redis:"));
    let (reason, detail) = away(find(&plain, 1).await);
    assert!(matches!(reason, Reason::Unreachable | Reason::Fault | Reason::Deadline), "{detail}");
    let (reason, detail) =
        away(find(&tls(&server.0.url().replace("redis:", "rediss:"), Some(authority), None), 1).await);
    assert!(matches!(reason, Reason::Unreachable | Reason::Deadline), "{detail}");
}

#[tokio::test]
async fn who_is_asked_for_a_certificate_shows_it() {
    let server = Server(Redis::start(&RedisOptions { tls: RedisTls::Mutual, ..Default::default() }).unwrap().into());
    let url = server.0.tls_url().unwrap();
    let authority = server.0.authority().unwrap();
    let client = authority.client("sink").unwrap();
    let mut sink = Sink::new(server.time());
    let side = tls(&url, Some(authority), Some(&client));
    assert_eq!(sink.go_on(&side, 3).await, Ok(published(3, true)));
    sink.assert_all(&side).await;
    let dir = tempfile::tempdir().unwrap();
    let stranger = Authority::new(dir.path()).unwrap().client("sink").unwrap();
    for client in [None, Some(&stranger)] {
        let (reason, detail) = away(find(&tls(&url, Some(authority), client), 1).await);
        assert_eq!(reason, Reason::Unreachable, "{detail}");
    }
}

fn bad(settings: &RedisSettings) -> String {
    RedisReadSide::new(subject(), settings).err().unwrap_or_else(|| panic!("{} is taken", settings.address)).to_string()
}

#[test]
fn an_address_that_is_none_is_refused_without_being_repeated() {
    let cases = [
        "",
        "://",
        "redis://",
        "redis://:pass-word@",
        "redis://user:pass-word@host:port",
        "redis://user:pass-word@host:99999",
        "redis://user:pass-word@host/database",
        "redis://user:6379/pass-word@host",
        "redis://user:6379?pass-word@host",
        "redis://user:6379#pass-word@host",
        "rediss://user:pass-word@host:6379/#insecure",
        "http://user:pass-word@host:6379",
        "unix:///pass-word",
        "redis+unix:///pass-word",
        "redis://user:pass-word@0.0.0.0:6379",
        "user:pass-word@host:6379 ,other",
    ];
    for address in cases {
        let sentence = bad(&RedisSettings::new(address));
        assert!(sentence.contains("HOST:PORT") && !sentence.contains("pass-word"), "{address}: {sentence}");
    }
    for address in ["host", "host:6379", "user:pass-word@host:6379", " redis://host/3 ", "valkeys://[::1]:7000"] {
        let side = RedisReadSide::new(subject(), &RedisSettings::new(address));
        assert!(side.is_ok(), "{address}: {:?}", side.err());
    }
    let shown = format!("{:?}", RedisSettings::new("redis://user:pass-word@host"));
    assert!(!shown.contains("pass-word"), "{shown}");
}

#[test]
fn other_settings_that_can_not_serve_say_what_would() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path()).unwrap();
    let client = authority.client("sink").unwrap();
    let (cert, key) = (fs::read(&client.cert).unwrap(), fs::read_to_string(&client.key).unwrap());
    let other_key = fs::read_to_string(authority.client("other").unwrap().key).unwrap();
    let secure = || RedisSettings::new("rediss://host");
    let cases = [
        (RedisSettings { prefix: String::new(), ..secure() }, "prefix"),
        (RedisSettings { prefix: "a b".into(), ..secure() }, "prefix"),
        (RedisSettings { prefix: "{0}".into(), ..secure() }, "prefix"),
        (RedisSettings { prefix: "p".repeat(33), ..secure() }, "prefix"),
        (RedisSettings { deadline: std::time::Duration::ZERO, ..secure() }, "deadline"),
        (RedisSettings { ca: Some(cert.clone()), ..RedisSettings::new("host") }, "rediss://"),
        (RedisSettings { ca: Some(Vec::new()), ..secure() }, "PEM"),
        (RedisSettings { ca: Some(b"no PEM".to_vec()), ..secure() }, "PEM"),
        (RedisSettings { client_certificate: Some((b"none".to_vec(), key.clone())), ..secure() }, "client certificate"),
        (RedisSettings { client_certificate: Some((cert.clone(), "pass-word".into())), ..secure() }, "private key"),
        (RedisSettings { client_certificate: Some((cert, other_key.clone())), ..secure() }, "do not serve"),
    ];
    for (settings, word) in cases {
        let sentence = bad(&settings);
        assert!(sentence.contains(word), "{word}: {sentence}");
        assert!(!sentence.contains("pass-word") && !sentence.contains(&other_key), "{sentence}");
    }
}
