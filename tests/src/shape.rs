//! In which shape the service runs. What is promised is the same in each, and so are the tests of it.

use std::sync::OnceLock;

/// How the service is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One process on a log in its data directory.
    Embedded,
    /// One process with all roles, over Kafka and Redis.
    Kafka,
    /// Each role a process of its own, over Kafka and Redis.
    Roles,
}

impl Shape {
    /// The shape that `FLK_SHAPE` names (`embedded`, `kafka`, `roles`); embedded where it names none.
    ///
    /// # Panics
    /// Where it names something else.
    pub fn of_this_run() -> Self {
        static SHAPE: OnceLock<Shape> = OnceLock::new();
        *SHAPE.get_or_init(|| match std::env::var("FLK_SHAPE").as_deref() {
            Err(_) | Ok("" | "embedded") => Self::Embedded,
            Ok("kafka") => Self::Kafka,
            Ok("roles") => Self::Roles,
            Ok(other) => panic!("FLK_SHAPE is embedded, kafka or roles; {other:?} is none of them"),
        })
    }

    /// What `DEDUP_BACKEND` is called there.
    pub const fn backend(self) -> &'static str {
        match self {
            Self::Embedded => "memory",
            Self::Kafka | Self::Roles => "redis",
        }
    }

    /// The roles of its processes. The first one answers requests.
    pub(crate) const fn roles(self) -> &'static [Role] {
        match self {
            Self::Embedded | Self::Kafka => &[Role::Serve],
            Self::Roles => &[Role::Ingest, Role::Verifier, Role::Sink],
        }
    }
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Serve,
    /// Answers requests.
    Ingest,
    /// Judges records.
    Verifier,
    /// Settles them.
    Sink,
}

impl Role {
    /// The command that starts it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Ingest => "ingest",
            Self::Verifier => "verifier",
            Self::Sink => "dedup-sink",
        }
    }

    /// Whether it keeps something in a directory.
    pub(crate) const fn has_directory(self) -> bool {
        matches!(self, Self::Serve | Self::Sink)
    }
}
