//! Roles with no more than they need, TLS, and settings that can not serve.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use flk_contract::LogTime;
use flk_results::read_side::{
    Access, BadSetting, PostgresReadSide, PostgresSettings, ReadSide, Reason, conformance::subject,
};
use flk_servers::{Authority, Identity, Postgres};

use crate::support::{Sink, away, find, published, until};

fn side(settings: &PostgresSettings) -> Result<PostgresReadSide, BadSetting> {
    PostgresReadSide::new(subject(), settings)
}

fn open(url: &str, access: Access) -> PostgresReadSide {
    side(&PostgresSettings::new(url, access)).unwrap()
}

fn now() -> LogTime {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    LogTime::from_millis(since.as_millis().try_into().unwrap())
}

/// The SQL blocks of docs/read-side.md, by their first words.
fn of_the_page(first: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/read-side.md");
    let page = fs::read_to_string(page).unwrap();
    let block = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    block.into_iter().find(|block| block.starts_with(first)).unwrap_or_else(|| panic!("{first}")).to_owned()
}

fn as_role(postgres: &Postgres, role: &str) -> String {
    format!("postgres://{role}:SECRET@{}/flk", postgres.addr())
}

#[tokio::test]
async fn the_roles_of_the_page_do_what_they_are_for_and_nothing_else() {
    let postgres = Postgres::start(&[]).unwrap();
    postgres.query(&of_the_page("CREATE ROLE flk_sink")).unwrap();
    let publisher = open(&as_role(&postgres, "flk_sink"), Access::Publish);
    let reader = open(&as_role(&postgres, "flk_reader"), Access::Read);
    let mut sink = Sink::new(now());
    assert_eq!(sink.go_on(&publisher, 20).await, Ok(published(20, true)));
    assert_eq!(publisher.expire(10).await, Ok(0));
    assert_eq!((publisher.health().await, reader.health().await), (Ok(vec![]), Ok(vec![])));
    sink.assert_all(&reader).await;

    // A reader that is set up to publish finds the tables there, and may not.
    let (reason, detail) = away(sink.idle(&open(&as_role(&postgres, "flk_reader"), Access::Publish)).await);
    assert!(reason == Reason::Denied && detail.contains("permission denied"), "{detail}");
    for (role, sql) in [
        ("flk_reader", "DELETE FROM flk_results"),
        ("flk_reader", "CREATE TABLE flk.t (a int)"),
        ("flk_sink", "CREATE TABLE public.t (a int)"),
        ("flk_sink", "CREATE ROLE other"),
    ] {
        let (client, connection) =
            tokio_postgres::connect(&as_role(&postgres, role), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {sql}");
    }
}

#[tokio::test]
async fn where_the_tables_belong_to_somebody_else_a_sink_may_do_with_less() {
    let postgres = Postgres::start(&[]).unwrap();
    postgres.query(&of_the_page("CREATE ROLE flk_sink")).unwrap();
    let publisher = open(&as_role(&postgres, "flk_sink"), Access::Publish);
    Sink::new(now()).idle(&publisher).await.unwrap();
    postgres.query(&of_the_page("CREATE ROLE flk_small_sink")).unwrap();
    let small = open(&as_role(&postgres, "flk_small_sink"), Access::Publish);
    let mut sink = Sink::new(now());
    assert_eq!(sink.go_on(&small, 20).await, Ok(published(20, true)));
    assert_eq!(sink.go_on(&small, 20).await, Ok(published(40, true)));
    assert_eq!(small.expire(10).await, Ok(0));
    sink.assert_all(&small).await;
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_not_repeated() {
    let postgres = Postgres::start(&[]).unwrap();
    for user in ["flk:wrong-word", "nobody:wrong-word", "flk"] {
        let side = open(&format!("postgres://{user}@{}/flk", postgres.addr()), Access::Publish);
        for _ in 0..2 {
            let (reason, detail) = away(find(&side, 1).await);
            // Without a password it is the client that does not know what to say.
            assert!(reason == Reason::Denied || user == "flk", "{user}: {reason:?}: {detail}");
            assert!(!detail.contains("wrong-word") && !detail.is_empty(), "{detail}");
        }
    }
    let side = open(&postgres.url().replace("/flk", "/no_such_database"), Access::Publish);
    let (reason, detail) = away(find(&side, 1).await);
    assert!(detail.contains("no_such_database"), "{reason:?}: {detail}");
}

/// A server with TLS, and a role `secure` that only gets in over TLS and with a certificate of its own.
struct Secure {
    postgres: Postgres,
    authority: Authority,
    _dir: tempfile::TempDir,
}

impl Secure {
    async fn start() -> Self {
        let postgres = Postgres::start(&[]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path()).unwrap();
        let Identity { cert, key } = authority.server("postgres").unwrap();
        let data = PathBuf::from(postgres.query("SHOW data_directory").unwrap());
        for (from, to) in [(&*cert, "server.crt"), (&*key, "server.key"), (authority.ca(), "root.crt")] {
            belongs(&fs::read(from).unwrap(), &data.join(to), &data);
        }
        let rules = "hostssl all secure 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n\
                     host all secure 127.0.0.1/32 reject\n\
                     host all all 127.0.0.1/32 scram-sha-256\n";
        belongs(rules.as_bytes(), &data.join("pg_hba.conf"), &data);
        for setting in
            ["ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'", "ssl_ca_file = 'root.crt'", "ssl = on"]
        {
            postgres.query(&format!("ALTER SYSTEM SET {setting}")).unwrap();
        }
        postgres.query("CREATE ROLE secure LOGIN SUPERUSER PASSWORD 'SECRET'").unwrap();
        postgres.query("SELECT pg_reload_conf()").unwrap();
        until("TLS is on", async || postgres.query("SHOW ssl").unwrap() == "on").await;
        Self { postgres, authority, _dir: dir }
    }

    fn settings(&self, user: &str, ca: Option<&Path>, client: Option<&Identity>) -> PostgresSettings {
        let url = format!("postgres://{user}:SECRET@{}/flk", self.postgres.addr());
        PostgresSettings {
            ca: ca.map(|path| fs::read(path).unwrap()),
            client_certificate: client
                .map(|client| (fs::read(&client.cert).unwrap(), fs::read_to_string(&client.key).unwrap())),
            ..PostgresSettings::new(url, Access::Publish)
        }
    }
}

/// Writes a file of the server's own user, which nobody else may read.
fn belongs(bytes: &[u8], to: &Path, like: &Path) {
    let owner = fs::metadata(like).unwrap();
    fs::write(to, bytes).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
    chown(to, Some(owner.uid()), Some(owner.gid())).unwrap();
}

#[tokio::test]
async fn over_tls_it_trusts_the_authority_that_it_is_told_to_and_shows_who_it_is() {
    let secure = Secure::start().await;
    let ca = secure.authority.ca();
    let client = secure.authority.client("secure").unwrap();
    let mut sink = Sink::new(now());
    let settings = secure.settings("secure", Some(ca), Some(&client));
    let publisher = side(&settings).unwrap();
    assert_eq!(sink.go_on(&publisher, 10).await, Ok(published(10, true)));
    sink.assert_all(&publisher).await;
    // The same by the words of libpq.
    let [ca_file, cert, key] =
        [ca, &client.cert, &client.key].map(|path| path.display().to_string().replace('/', "%2F"));
    let url = format!("{}?sslmode=verify-full&sslrootcert={ca_file}&sslcert={cert}&sslkey={key}", settings.connection);
    sink.assert_all(&open(&url, Access::Read)).await;

    let other = secure.authority.client("other").unwrap();
    for client in [None, Some(&other)] {
        let (reason, detail) = away(find(&side(&secure.settings("secure", Some(ca), client)).unwrap(), 1).await);
        assert_eq!(reason, Reason::Denied, "{detail}");
    }
    let dir = tempfile::tempdir().unwrap();
    let stranger = Authority::new(dir.path()).unwrap();
    let no_ca = PostgresSettings::new(settings.connection.clone(), Access::Read);
    for settings in [secure.settings("secure", Some(stranger.ca()), Some(&client)), no_ca] {
        let (reason, detail) = away(find(&side(&settings).unwrap(), 1).await);
        assert_eq!(reason, Reason::Unreachable);
        assert!(detail.contains("certificate") && detail.contains("sslrootcert"), "{detail}");
    }
}

#[tokio::test]
async fn who_says_whom_to_trust_is_not_served_without_tls() {
    let postgres = Postgres::start(&[]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = fs::read(Authority::new(dir.path()).unwrap().ca()).unwrap();
    let settings = PostgresSettings { ca: Some(ca), ..PostgresSettings::new(postgres.url(), Access::Publish) };
    let (_, detail) = away(find(&side(&settings).unwrap(), 1).await);
    assert!(detail.contains("TLS"), "{detail}");
}

#[test]
fn settings_that_can_not_serve_say_what_would_without_being_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path()).unwrap();
    let client = authority.client("sink").unwrap();
    let (cert, key) = (fs::read(&client.cert).unwrap(), fs::read_to_string(&client.key).unwrap());
    let other_key = fs::read_to_string(authority.client("other").unwrap().key).unwrap();
    let of = |connection: &str| PostgresSettings::new(connection, Access::Publish);
    let good = || of("postgres://user:pass-word@host/db");
    let cases = [
        (of(""), "names no host"),
        (of("postgres://user:pass-word@host:port/db"), "postgres://USER"),
        (of("postgres://user:pass-word@host/db?unknown=pass-word"), "postgres://USER"),
        (of("http://user:pass-word@host/db"), "postgres://USER"),
        (of("host=host password='pass-word"), "postgres://USER"),
        (of("user=user password=pass-word"), "names no host"),
        (of("host=host sslrootcert=/no/such/file"), "sslrootcert=/no/such/file"),
        (of("host=host sslcert=/no/such/file"), "together"),
        (of("host=host sslcert=/no/such/file sslkey=/no/such/key"), "sslkey=/no/such/key"),
        (PostgresSettings { ca: Some(cert.clone()), ..of("host=host sslmode=disable") }, "sslmode=disable"),
        (PostgresSettings { ca: Some(b"none".to_vec()), ..good() }, "PEM"),
        (PostgresSettings { client_certificate: Some((cert.clone(), "pass-word".into())), ..good() }, "private key"),
        (PostgresSettings { client_certificate: Some((b"none".to_vec(), key)), ..good() }, "PEM"),
        (PostgresSettings { client_certificate: Some((cert, other_key)), ..good() }, "do not serve"),
        (PostgresSettings { deadline: std::time::Duration::ZERO, ..good() }, "deadline"),
    ];
    for (settings, word) in cases {
        let error = side(&settings).err().unwrap_or_else(|| panic!("{} is taken", settings.connection));
        let sentence = error.to_string();
        assert!(sentence.contains(word) && !sentence.contains("pass-word"), "{word}: {sentence}");
    }
    let shown = format!("{:?}", good());
    assert!(!shown.contains("pass-word"), "{shown}");
}
