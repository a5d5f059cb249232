//! What a setting is: its names, its heading, whether it may be shown, what holds without it.

/// Under which heading a setting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Where requests come in, and how long they may take.
    Listening,
    /// Where records and indexes are kept on this machine, and for how long.
    Storage,
    /// How Kafka is reached, and what its topics are called.
    Kafka,
    /// How the topics are laid out.
    Topics,
    /// Where settled results are read back.
    ReadSide,
    /// Which signatures hold.
    Signing,
    /// How much is taken on.
    Admission,
    /// Who may read the metrics.
    Metrics,
    /// The service's own log.
    Logging,
}

impl Group {
    /// Every group, in the order of the help.
    pub const ALL: [Self; 9] = [
        Self::Listening,
        Self::Storage,
        Self::Kafka,
        Self::Topics,
        Self::ReadSide,
        Self::Signing,
        Self::Admission,
        Self::Metrics,
        Self::Logging,
    ];

    /// The heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Listening => "Listening",
            Self::Storage => "Storage",
            Self::Kafka => "Kafka",
            Self::Topics => "Topics of Kafka",
            Self::ReadSide => "Read side",
            Self::Signing => "Signing and keys",
            Self::Admission => "Admission",
            Self::Metrics => "Metrics",
            Self::Logging => "Logging",
        }
    }
}

/// Whether a setting may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It may, and it has a flag of this name.
    Open(&'static str),
    /// It is masked wherever it is shown, and has no flag: every user of a machine sees the
    /// command lines of all.
    Secret,
}

/// What holds where a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value, as if it had been given.
    Value(&'static str),
    /// Something that depends on others, in these words.
    Words(&'static str),
    /// Nothing.
    Unset,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name in the environment; with `_FILE` appended, that of a file that holds it.
    pub name: &'static str,
    /// Whether it may be shown, and its flag.
    pub kind: Kind,
    /// What stands for the value in help.
    pub value: &'static str,
    /// Its heading.
    pub group: Group,
    /// What holds where it is not given.
    pub fallback: Fallback,
    /// What it is, in a line.
    pub what: &'static str,
    /// Why somebody would change it, and how it goes with others.
    pub why: &'static str,
}

impl Definition {
    /// Its flag, without the dashes.
    pub const fn flag(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Open(flag) => Some(flag),
            Kind::Secret => None,
        }
    }

    /// What holds where it is not given, for people.
    pub const fn fallback_text(&self) -> &'static str {
        match self.fallback {
            Fallback::Value(text) | Fallback::Words(text) => text,
            Fallback::Unset => "",
        }
    }
}
