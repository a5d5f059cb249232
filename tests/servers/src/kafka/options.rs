//! What a test may ask of a cluster.

use crate::{Error, Result};

/// How many brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cluster {
    /// One: up in four seconds.
    #[default]
    One,
    /// Three, with Kafka's own topics replicated three times: leaders can move.
    Three,
}

impl Cluster {
    pub(crate) const fn brokers(self) -> u16 {
        match self {
            Self::One => 1,
            Self::Three => 3,
        }
    }
}

/// What happens where a client asks for a topic that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoCreate {
    /// It is refused.
    #[default]
    Refused,
    /// It is created with the broker's defaults, as a broker does whose settings nobody changed.
    Allowed,
}

/// Whether clients can come through proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listeners {
    /// Straight to the brokers.
    #[default]
    Direct,
    /// Also by a listener that is advertised at a [`crate::Proxy`], one in front of each broker.
    Proxied,
}

/// Who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permission {
    /// Everybody everything.
    #[default]
    Everything,
    /// What an ACL allows (Kafka's StandardAuthorizer). Who comes without authentication, and the user `admin`,
    /// may do everything.
    ByAcl,
}

/// A user of the SASL_SSL listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Of the same characters.
    pub password: String,
}

impl User {
    /// A user.
    pub fn new(name: &str, password: &str) -> Self {
        Self { name: name.into(), password: password.into() }
    }

    /// How `format` is told of it, for both SCRAM mechanisms.
    pub(crate) fn scram(&self) -> [String; 2] {
        ["SCRAM-SHA-256", "SCRAM-SHA-512"].map(|how| format!("{how}=[name={},password={}]", self.name, self.password))
    }
}

/// Listeners with authentication: SASL_SSL, and TLS with client certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secure {
    /// Who can log in, by SCRAM and by PLAIN alike. More can be added to a running cluster (SCRAM, by
    /// [`crate::Tool::Configs`]).
    pub users: Vec<User>,
    /// What they may do then.
    pub permission: Permission,
}

/// How a cluster is started; the default is one broker without anything further.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KafkaOptions {
    /// How many brokers.
    pub cluster: Cluster,
    /// Topics that are not there.
    pub topics: AutoCreate,
    /// Whether there is a proxy in front of each broker.
    pub listeners: Listeners,
    /// Listeners with authentication.
    pub secure: Option<Secure>,
    /// Further lines of `server.properties`; they win over this crate's own.
    pub settings: Vec<(String, String)>,
}

impl KafkaOptions {
    /// Names and passwords go into files and arguments with a syntax of their own.
    pub(crate) fn check(&self) -> Result<()> {
        let plain =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let users = self.secure.iter().flat_map(|secure| &secure.users);
        for user in users {
            if !plain(&user.name) || !plain(&user.password) {
                return Err(Error::Use {
                    what: format!("user {:?}", user.name),
                    instead: "choose a name and a password of ASCII letters, digits, '-', '_' and '.'",
                });
            }
        }
        if self.settings.iter().any(|(name, value)| name.contains(['\n', '=', ' ']) || value.contains('\n')) {
            return Err(Error::Use {
                what: "a setting of the broker".into(),
                instead: "give one name and one line of value each",
            });
        }
        Ok(())
    }
}
