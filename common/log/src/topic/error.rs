//! What can go wrong between a value and its type.

use flk_contract::{Code, wire::NotSettled};

use super::{Topic, VALUE_BYTES_MAX};

/// Longest piece of what came that an error quotes, in bytes.
const QUOTED: usize = 160;

/// A value that no record of a topic has: another program wrote it, or another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// The record says that its value has another schema.
    #[error(
        "a record of schema {} was expected, and one of schema `{said}` came; read it with the version that wrote it",
        .topic.schema()
    )]
    Schema {
        /// Whose record was expected.
        topic: Topic,
        /// What the record says, cut to something short.
        said: String,
    },
    /// Longer than any value that is written.
    #[error("a value of {topic} has at most {VALUE_BYTES_MAX} bytes, and one of {bytes} came")]
    TooLong {
        /// Whose value was expected.
        topic: Topic,
        /// How long it is.
        bytes: usize,
    },
    /// Not JSON, or not the JSON of that schema.
    #[error("the value is not one of schema {}: {why}", .topic.schema())]
    Json {
        /// Whose value was expected.
        topic: Topic,
        /// What was expected instead, and where; cut to something short.
        why: String,
    },
    /// A result in it is not a settled one.
    #[error("the value holds a result that never settled: {0}")]
    NotSettled(#[from] NotSettled),
    /// Its fields contradict each other.
    #[error("the value contradicts itself: {0}")]
    Contradiction(&'static str),
}

impl Undecodable {
    pub(super) fn other_schema(topic: Topic, said: &[u8]) -> Self {
        let head = said.get(..QUOTED).unwrap_or(said);
        Self::Schema { topic, said: cut(String::from_utf8_lossy(head).into_owned()) }
    }

    pub(super) fn json(topic: Topic, error: &serde_json::Error) -> Self {
        // It may quote what came, and that may be long.
        Self::Json { topic, why: cut(error.to_string()) }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > QUOTED {
        text.truncate(text.floor_char_boundary(QUOTED));
        text.push('…');
    }
    text
}

/// What no record of a topic says: a fault of the program that asks for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unencodable {
    /// A result whose code settles nothing.
    #[error("a result with code `{0}` settles nothing, so it is on no topic of settled results")]
    NotSettled(Code),
    /// What became of a record is not said in one piece.
    #[error("what became of the record can not be told: {0}")]
    Undecided(&'static str),
    /// A field is longer than any that is let in.
    #[error("a value has at most {VALUE_BYTES_MAX} bytes, and this one would have {0}")]
    TooLong(usize),
    /// It can not be written as JSON.
    #[error("the value can not be written as JSON: {0}")]
    Json(String),
}
