//! Logging in, encryption, and what a user may not do: said in words that help.

use core::{num::NonZeroU32, time::Duration};

use flk_log::{
    AppendError, Log, NewRecord,
    kafka::{Admin, Connection, KafkaLog, LogOptions, Settings, Topics},
};
use flk_servers::{Kafka, KafkaOptions, Permission, Secure, Tool, User};
use zeroize::Zeroizing;

use crate::support::{self, SOON};

fn secured() -> Kafka {
    let users = vec![User::new("ingest", "secret-1"), User::new("nobody", "secret-2"), User::new("admin", "secret-3")];
    let secure = Some(Secure { users, permission: Permission::ByAcl });
    Kafka::start(&KafkaOptions { secure, ..KafkaOptions::default() }).unwrap()
}

fn login(kafka: &Kafka, mechanism: &str, user: &str, password: &str) -> Settings {
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

async fn reach(settings: &Settings) -> Result<(), String> {
    let admin = Admin::new(&Connection::new(settings).unwrap()).map_err(|error| error.to_string())?;
    admin.cluster_id(Duration::from_secs(10)).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_log_in_works_and_a_wrong_one_is_out_of_reach() {
    let kafka = secured();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        reach(&login(&kafka, mechanism, "ingest", "secret-1")).await.unwrap();
    }
    let mut wrong = login(&kafka, "SCRAM-SHA-512", "ingest", "secret-2");
    let error = Admin::new(&Connection::new(&wrong).unwrap()).unwrap().cluster_id(Duration::from_secs(2)).await;
    assert!(!error.unwrap_err().to_string().contains("secret"));
    // Nobody vouches for a broker whose authority is not known.
    wrong = login(&kafka, "SCRAM-SHA-512", "ingest", "secret-1");
    wrong.ssl_ca = None;
    let error = Admin::new(&Connection::new(&wrong).unwrap()).unwrap().cluster_id(Duration::from_secs(2)).await;
    error.unwrap_err();
    wrong.ssl_ca = Some("/no/such/file.pem".into());
    let error = Admin::new(&Connection::new(&wrong).unwrap()).unwrap_err().to_string();
    assert!(error.contains("/no/such/file.pem") || error.contains("ssl.ca.location"), "{error}");

    // Certificates, as files and as text.
    let identity = kafka.client("ingest").unwrap();
    let text = |path| std::fs::read_to_string(path).unwrap();
    let mutual = |ca, cert, key| Settings {
        brokers: kafka.mtls_bootstrap().unwrap(),
        security_protocol: Some("SSL".into()),
        ssl_ca: Some(ca),
        ssl_cert: Some(cert),
        ssl_key: Some(Zeroizing::new(key)),
        ..Settings::default()
    };
    let ca = kafka.ca().unwrap();
    let paths = [ca, &identity.cert, &identity.key].map(|path| path.display().to_string());
    let [ca_path, cert, key] = paths;
    reach(&mutual(ca_path, cert, key)).await.unwrap();
    reach(&mutual(text(ca), text(&identity.cert), text(&identity.key))).await.unwrap();
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
