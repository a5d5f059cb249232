//! Logging in, encryption, and what a user may not do: said in words that help.

use core::{num::NonZeroU32, time::Duration};

use flk_log::{
    AppendError, Log, NewRecord,
    kafka::{Admin, Connection, KafkaLog, LogOptions, Producer, ProducerOptions, Settings, Topics, TopicsWatch},
};
use flk_servers::{Authority, Kafka, KafkaOptions, Permission, Secure, Tool, User};
use zeroize::Zeroizing;

use crate::support::{self, SOON};

/// A broker with users, of whom each may do what an ACL says.
pub(crate) fn secured_for<'a>(users: impl Iterator<Item = (&'a str, &'a str)>) -> Kafka {
    let users = users.map(|(name, password)| User::new(name, password)).collect();
    let secure = Some(Secure { users, permission: Permission::ByAcl });
    Kafka::start(&KafkaOptions { secure, ..KafkaOptions::default() }).unwrap()
}

fn secured() -> Kafka {
    secured_for([("ingest", "secret-1"), ("nobody", "secret-2")].into_iter())
}

pub(crate) fn login(kafka: &Kafka, mechanism: &str, user: &str, password: &str) -> Settings {
    Settings {
        brokers: kafka.sasl_bootstrap().unwrap(),
        security_protocol: Some("SASL_SSL".into()),
        sasl_mechanism: Some(mechanism.into()),
        sasl_username: Some(user.into()),
        sasl_password: Some(Zeroizing::new(password.into())),
        ssl_ca: Some(kafka.ca().unwrap().display().to_string()),
        ..Settings::default()
    }
}

/// By certificates.
fn mutual(kafka: &Kafka, ca: String, client: Option<(String, String)>) -> Settings {
    let (cert, key) = client.unzip();
    Settings {
        brokers: kafka.mtls_bootstrap().unwrap(),
        security_protocol: Some("SSL".into()),
        ssl_ca: Some(ca),
        ssl_cert: cert,
        ssl_key: key.map(Zeroizing::new),
        ..Settings::default()
    }
}

async fn reach(settings: &Settings) -> Result<(), String> {
    let admin = Admin::new(&Connection::new(settings).unwrap()).map_err(|error| error.to_string())?;
    admin.cluster_id(Duration::from_secs(5)).await.map(drop).map_err(|error| error.to_string())
}

const LOGIN: &str = "Kafka refuses the login; see KAFKA_SASL_USERNAME, _PASSWORD and _MECHANISM";
const TLS: &str = "TLS to Kafka fails; see KAFKA_SSL_CA, _CERT and _KEY, and the brokers' certificates";

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_log_in_works() {
    let kafka = secured();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        reach(&login(&kafka, mechanism, "ingest", "secret-1")).await.unwrap();
    }
    // Certificates, as files and as text.
    let identity = kafka.client("ingest").unwrap();
    let text = |path| std::fs::read_to_string(path).unwrap();
    let ca = kafka.ca().unwrap();
    let [ca_path, cert, key] = [ca, &identity.cert, &identity.key].map(|path| path.display().to_string());
    reach(&mutual(&kafka, ca_path, Some((cert, key)))).await.unwrap();
    reach(&mutual(&kafka, text(ca), Some((text(&identity.cert), text(&identity.key))))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_is_told_why_by_every_client() {
    let kafka = secured();
    let stranger = Authority::new(&kafka.file("stranger", "").unwrap().with_file_name("strangers")).unwrap();
    let path = |path: &std::path::Path| path.display().to_string();
    let good = login(&kafka, "SCRAM-SHA-512", "ingest", "secret-1");
    let ca = path(kafka.ca().unwrap());
    let unknown = stranger.client("ingest").unwrap();
    let cases = [
        ("a wrong password", login(&kafka, "SCRAM-SHA-512", "ingest", "secret-2"), LOGIN),
        ("nobody of that name", login(&kafka, "PLAIN", "somebody", "secret-1"), LOGIN),
        ("another authority", Settings { ssl_ca: Some(path(stranger.ca())), ..good.clone() }, TLS),
        ("whom the system trusts", Settings { ssl_ca: None, ..good.clone() }, TLS),
        ("no certificate", mutual(&kafka, ca.clone(), None), TLS),
        ("a certificate of a stranger", mutual(&kafka, ca, Some((path(&unknown.cert), path(&unknown.key)))), TLS),
    ];
    for (case, settings, expected) in cases {
        assert_eq!(reach(&settings).await.unwrap_err(), expected, "{case}");
        let connection = Connection::new(&settings).unwrap();
        let topics = Topics::single(&connection, NonZeroU32::MIN);
        let producer = Producer::new(&connection, &ProducerOptions::default()).unwrap();
        let watch = TopicsWatch::start(&connection, &topics).unwrap();
        for (who, health) in [
            ("the producer", &(|| producer.health()) as &dyn Fn() -> Result<(), std::sync::Arc<str>>),
            ("readiness", &|| watch.health()),
        ] {
            support::until(&format!("{case}: {who} says why"), async || match health() {
                Err(why) if *why == *expected => Ok(()),
                other => Err(other),
            })
            .await;
        }
    }
    let nowhere = Settings { ssl_ca: Some("/no/such/file.pem".into()), ..good };
    let error = Admin::new(&Connection::new(&nowhere).unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("KAFKA_SSL_CA can not be read"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_said_and_an_authorisation_that_is_lost_stops_appends() {
    let kafka = secured();
    let admin = Connection::plain(&kafka.bootstrap(), "").unwrap();
    support::topics(&admin, 1).await;
    let grant = |how: &str, operation: &str| {
        let principal = ["--allow-principal", "User:ingest", "--operation", operation, "--topic", "pcs."];
        kafka.tool(Tool::Acls, &[&[how, "--force", "--resource-pattern-type", "prefixed"], &principal[..]].concat())
    };

    let nobody = Connection::new(&login(&kafka, "PLAIN", "nobody", "secret-2")).unwrap();
    let topics = Topics::single(&nobody, NonZeroU32::MIN);
    let differences = topics.check(&Admin::new(&nobody).unwrap()).await.unwrap();
    assert!(differences[0].to_string().contains("may not be seen"), "{}", differences[0]);

    let connection = Connection::new(&login(&kafka, "SCRAM-SHA-512", "ingest", "secret-1")).unwrap();
    grant("--add", "Describe").unwrap();
    support::until("the topics are seen, and not how they are set", async || {
        let differences = topics.check(&Admin::new(&connection).unwrap()).await.unwrap();
        if differences.iter().all(|it| it.to_string().contains("allow this user DescribeConfigs")) {
            Ok(())
        } else {
            Err(differences)
        }
    })
    .await;
    for operation in ["DescribeConfigs", "Write", "Read"] {
        grant("--add", operation).unwrap();
    }
    let mut options = LogOptions::default();
    options.producer.timeout = Duration::from_secs(5);
    let log = KafkaLog::open(&connection, &topics, &options, SOON).await.unwrap();
    support::until("it is ready", async || log.health()).await;
    let append = async || match log.append_with(NewRecord::default(), None).await {
        Ok(ticket) => ticket.durable().await,
        Err(error) => Err(error),
    };
    let origin = support::until("it may be written", append).await.origin;
    // To read one record no group is joined, so no group is asked for.
    assert!(log.read(0, origin.position.offset).await.unwrap().is_some());

    grant("--remove", "Write").unwrap();
    let error = support::until("it may not be written", async || match append().await {
        Err(error @ AppendError::Unknown(_)) => Ok(error),
        other => Err(other),
    })
    .await;
    assert!(error.to_string().contains("grant this user"), "{error}");
    grant("--add", "Write").unwrap();
    support::until("it may be written again, without a restart", append).await;
}
