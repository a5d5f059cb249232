//! How a client of Kafka is set up: brokers, security, what they all have in common.

use core::{fmt, time::Duration};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};
use zeroize::Zeroizing;

use crate::topic::TopicNames;

/// What an operator says about Kafka, as it comes from the environment; [`Connection::new`] checks it.
///
/// Beside each field: the name of its setting, without the `_FILE` that a secret may have.
#[derive(Default, Clone)]
pub struct Settings {
    /// `KAFKA_BROKERS`: `HOST:PORT`, several with commas.
    pub brokers: String,
    /// `KAFKA_SECURITY_PROTOCOL`: PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL.
    pub security_protocol: Option<String>,
    /// `KAFKA_SASL_MECHANISM`: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (default).
    pub sasl_mechanism: Option<String>,
    /// `KAFKA_SASL_USERNAME`.
    pub sasl_username: Option<String>,
    /// `KAFKA_SASL_PASSWORD`.
    pub sasl_password: Option<Zeroizing<String>>,
    /// `KAFKA_SSL_CA`: whom to trust; a path, or PEM text. Without it: whom the system trusts.
    pub ssl_ca: Option<String>,
    /// `KAFKA_SSL_CERT`: the client's own certificate; a path, or PEM text.
    pub ssl_cert: Option<String>,
    /// `KAFKA_SSL_KEY`: its key; a path, or PEM text.
    pub ssl_key: Option<Zeroizing<String>>,
    /// `KAFKA_TOPIC_PREFIX`: put before each topic's name, and before the names of groups.
    pub topic_prefix: String,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("security_protocol", &self.security_protocol)
            .field("sasl_mechanism", &self.sasl_mechanism)
            .field("sasl_username", &self.sasl_username)
            .field("sasl_password", &self.sasl_password.as_ref().map(|_| "***"))
            .field("ssl_ca", &self.ssl_ca)
            .field("ssl_cert", &self.ssl_cert)
            .field("ssl_key", &self.ssl_key.as_ref().map(|_| "***"))
            .field("topic_prefix", &self.topic_prefix)
            .finish()
    }
}

/// A setting that can not be used: one sentence for whoever started the process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct Invalid {
    /// The setting.
    pub name: &'static str,
    /// What is wrong with it, and what to do.
    pub what: String,
}

fn invalid(name: &'static str, what: impl Into<String>) -> Invalid {
    Invalid { name, what: what.into() }
}

/// How to reach Kafka: checked settings. Cheap to clone; every client of a process is made from one.
#[derive(Clone)]
pub struct Connection {
    brokers: String,
    names: TopicNames,
    prefix: String,
    // Names and values as librdkafka knows them.
    security: Vec<(&'static str, Zeroizing<String>)>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No value: a password or a key may be among them.
        let security: Vec<_> = self.security.iter().map(|(name, _)| name).collect();
        f.debug_struct("Connection")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("security", &security)
            .finish()
    }
}

impl Connection {
    /// To these brokers without authentication or encryption: for a local broker, and for tests.
    ///
    /// # Errors
    /// Where the list or the prefix is not one.
    pub fn plain(brokers: &str, prefix: &str) -> Result<Self, Invalid> {
        Self::new(&Settings { brokers: brokers.into(), topic_prefix: prefix.into(), ..Settings::default() })
    }

    /// Checks what an operator says. Nothing is connected yet.
    ///
    /// # Errors
    /// The first setting that can not be used, and what to do.
    pub fn new(settings: &Settings) -> Result<Self, Invalid> {
        brokers(&settings.brokers)?;
        let names =
            TopicNames::new(&settings.topic_prefix).map_err(|bad| invalid("KAFKA_TOPIC_PREFIX", bad.to_string()))?;
        let protocol = settings.security_protocol.as_deref().unwrap_or("PLAINTEXT").to_ascii_uppercase();
        let (sasl, tls) = match protocol.as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (false, true),
            "SASL_PLAINTEXT" => (true, false),
            "SASL_SSL" => (true, true),
            other => {
                let what = format!("{other:?} is none; use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL");
                return Err(invalid("KAFKA_SECURITY_PROTOCOL", what));
            }
        };
        let mut security = vec![("security.protocol", Zeroizing::new(protocol))];
        if sasl {
            security.extend(login(settings)?);
        } else if settings.sasl_username.is_some() || settings.sasl_password.is_some() {
            let what = "there is a KAFKA_SASL_USERNAME or _PASSWORD that this protocol does not use; use SASL_SSL, or unset them";
            return Err(invalid("KAFKA_SECURITY_PROTOCOL", what));
        }
        if tls {
            security.extend(encryption(settings)?);
        } else if settings.ssl_ca.is_some() || settings.ssl_cert.is_some() || settings.ssl_key.is_some() {
            let what = "there is a KAFKA_SSL_CA, _CERT or _KEY that this protocol does not use; use SSL or SASL_SSL, or unset them";
            return Err(invalid("KAFKA_SECURITY_PROTOCOL", what));
        }
        Ok(Self { brokers: settings.brokers.clone(), names, prefix: settings.topic_prefix.clone(), security })
    }

    /// What the topics are called there.
    pub fn names(&self) -> &TopicNames {
        &self.names
    }

    /// What a group is called there: with the prefix of the topics.
    pub fn group(&self, role: &str) -> String {
        [&self.prefix, role].concat()
    }

    /// What all clients have in common. The result holds the secrets: it is never printed.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "flk")
            .set("socket.keepalive.enable", "true")
            // Small requests and answers that somebody waits for.
            .set("socket.nagle.disable", "true")
            .set("socket.connection.setup.timeout.ms", "10000")
            // A broker that is back is found within two seconds, whatever the outage took.
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            // Errors are logged by the context, when they change something.
            .set("log.connection.close", "false")
            .set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in &self.security {
            config.set(*name, value.as_str());
        }
        config
    }
}

fn brokers(list: &str) -> Result<(), Invalid> {
    let good = |broker: &str| {
        broker.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|n| n > 0))
    };
    if list.split(',').all(|broker| good(broker.trim())) {
        return Ok(());
    }
    Err(invalid("KAFKA_BROKERS", format!("{list:?} is no list of brokers; give HOST:PORT, several with commas")))
}

type Values = Vec<(&'static str, Zeroizing<String>)>;

fn login(settings: &Settings) -> Result<Values, Invalid> {
    let mechanism = settings.sasl_mechanism.as_deref().unwrap_or("SCRAM-SHA-512").to_ascii_uppercase();
    if !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&mechanism.as_str()) {
        let what = format!("{mechanism:?} is not supported; use SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN");
        return Err(invalid("KAFKA_SASL_MECHANISM", what));
    }
    let (Some(user), Some(password)) = (&settings.sasl_username, &settings.sasl_password) else {
        let what = "the security protocol logs in: set it, and KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE)";
        return Err(invalid("KAFKA_SASL_USERNAME", what));
    };
    Ok(vec![
        ("sasl.mechanism", Zeroizing::new(mechanism)),
        ("sasl.username", Zeroizing::new(user.clone())),
        ("sasl.password", password.clone()),
    ])
}

fn encryption(settings: &Settings) -> Result<Values, Invalid> {
    let mut values = Vec::new();
    if let Some(ca) = &settings.ssl_ca {
        values.push(pem("ssl.ca.location", "ssl.ca.pem", ca));
    }
    match (&settings.ssl_cert, &settings.ssl_key) {
        (Some(cert), Some(key)) => {
            values.push(pem("ssl.certificate.location", "ssl.certificate.pem", cert));
            values.push(pem("ssl.key.location", "ssl.key.pem", key));
        }
        (None, None) => {}
        (Some(_), None) => return Err(invalid("KAFKA_SSL_KEY", "a certificate needs its key: set it as well")),
        (None, Some(_)) => return Err(invalid("KAFKA_SSL_CERT", "a key needs its certificate: set it as well")),
    }
    Ok(values)
}

fn pem(path: &'static str, text: &'static str, value: &str) -> (&'static str, Zeroizing<String>) {
    let name = if value.trim_start().starts_with("-----BEGIN") { text } else { path };
    (name, Zeroizing::new(value.to_owned()))
}

/// Sends librdkafka's log lines to ours.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::warn!(facility, "kafka client: {line}")
        }
        // Brokers that come and go are told by the context and by readiness; here they are a line a second.
        Level::Warning | Level::Notice | Level::Info | Level::Debug => {
            tracing::debug!(facility, "kafka client: {line}");
        }
    }
}

/// A client that only asks: no state but its log lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asking;

impl ClientContext for Asking {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "kafka client: {reason}");
    }
}

impl rdkafka::consumer::ConsumerContext for Asking {}

/// Longest that a call may take which asks brokers something.
pub(super) const ASK: Duration = Duration::from_secs(10);

/// An error of librdkafka in our words: what its users can act on.
pub(super) fn words(error: &KafkaError) -> String {
    use RDKafkaErrorCode as Code;
    if let KafkaError::ClientCreation(why) = error {
        return unusable(why);
    }
    match error.rdkafka_error_code() {
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve) => {
            "Kafka is out of reach; see that its brokers run and that KAFKA_BROKERS names them".into()
        }
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism) => {
            "Kafka refuses the login; see KAFKA_SASL_USERNAME, _PASSWORD and _MECHANISM".into()
        }
        Some(Code::SSL) => "TLS to Kafka fails; see KAFKA_SSL_CA, _CERT and _KEY, and the brokers' certificates".into(),
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            format!("Kafka does not allow it ({error}); grant this user what its role needs")
        }
        _ => error.to_string(),
    }
}

/// Why there can be no client: by the name of the setting, where one is to blame.
fn unusable(why: &str) -> String {
    let settings = [("ssl.ca.", "KAFKA_SSL_CA"), ("ssl.certificate.", "KAFKA_SSL_CERT"), ("ssl.key.", "KAFKA_SSL_KEY")];
    match settings.iter().find(|(name, _)| why.contains(name)) {
        Some((_, setting)) => {
            format!("{setting} can not be read, or is no PEM; give a file, or the text of one ({why})")
        }
        None => format!("no client of Kafka can be made with these settings: {why}"),
    }
}

/// Why nothing works, where an error says it: with `reason`, the client's own words. What follows upon each
/// such error only says that no broker is to be had.
pub(super) fn explanation(error: &KafkaError, reason: &str) -> Option<String> {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code()? {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::SSL => {
            Some(words(error))
        }
        // A broker that refuses our certificate says so when the handshake is over, for us.
        Code::BrokerTransportFailure if reason.contains(":SSL routines:") => {
            Some(words(&KafkaError::Global(Code::SSL)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { brokers: "a:9092, b:9093".into(), ..Settings::default() }
    }

    fn refused(change: impl FnOnce(&mut Settings)) -> &'static str {
        let mut settings = settings();
        change(&mut settings);
        Connection::new(&settings).unwrap_err().name
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_name_of_its_setting() {
        assert_eq!(refused(|s| s.brokers = String::new()), "KAFKA_BROKERS");
        assert_eq!(refused(|s| s.brokers = "a:9092,b".into()), "KAFKA_BROKERS");
        assert_eq!(refused(|s| s.topic_prefix = "a b".into()), "KAFKA_TOPIC_PREFIX");
        assert_eq!(refused(|s| s.security_protocol = Some("TLS".into())), "KAFKA_SECURITY_PROTOCOL");
        assert_eq!(refused(|s| s.sasl_username = Some("u".into())), "KAFKA_SECURITY_PROTOCOL");
        assert_eq!(refused(|s| s.ssl_ca = Some("ca.pem".into())), "KAFKA_SECURITY_PROTOCOL");
        assert_eq!(refused(|s| s.security_protocol = Some("SASL_SSL".into())), "KAFKA_SASL_USERNAME");
        let sasl = |s: &mut Settings| {
            s.security_protocol = Some("sasl_ssl".into());
            s.sasl_username = Some("u".into());
            s.sasl_password = Some(Zeroizing::new("p".into()));
        };
        assert_eq!(
            refused(|s| {
                sasl(s);
                s.sasl_mechanism = Some("GSSAPI".into());
            }),
            "KAFKA_SASL_MECHANISM"
        );
        assert_eq!(
            refused(|s| {
                sasl(s);
                s.ssl_cert = Some("cert.pem".into());
            }),
            "KAFKA_SSL_KEY"
        );
    }

    #[test]
    fn pem_text_and_paths_are_told_apart_and_no_secret_is_printed() {
        let settings = Settings {
            security_protocol: Some("SASL_SSL".into()),
            sasl_username: Some("u".into()),
            sasl_password: Some(Zeroizing::new("hunter2".into())),
            ssl_ca: Some("/etc/ca.pem".into()),
            ssl_cert: Some("-----BEGIN CERTIFICATE-----\n".into()),
            ssl_key: Some(Zeroizing::new("-----BEGIN PRIVATE KEY-----\nhunter3".into())),
            ..settings()
        };
        let connection = Connection::new(&settings).unwrap();
        let config = connection.config();
        assert_eq!(config.get("ssl.ca.location"), Some("/etc/ca.pem"));
        assert!(config.get("ssl.certificate.pem").is_some());
        assert!(config.get("ssl.key.pem").is_some_and(|key| key.contains("hunter3")));
        assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        let seen = format!("{settings:?} {connection:?}");
        assert!(!seen.contains("hunter"), "{seen}");
    }
}
