//! pcs.results: one settled result an id; what analytics consume, and what a lost index is loaded from.

use flk_contract::{Settled, wire::ResultBody};
use serde::{Deserialize, Serialize};

use super::{Topic, Undecodable, Unencodable, verified::body, write};

/// Where in pcs.verified the record lies that settled an id. Of several results of one id, the one with
/// the greatest offset is the one that was settled last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VerifiedAt {
    /// The partition of pcs.verified, and of pcs.results.
    pub partition: i32,
    /// The offset in pcs.verified.
    pub offset: i64,
}

/// A settled result, and which record of pcs.verified settled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultEntry {
    /// The result.
    pub settled: Settled,
    /// The record that settled it.
    pub verified: VerifiedAt,
}

#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    result: ResultBody,
    verified: VerifiedAt,
}

/// What is beside the result. Read by itself: the result and the rest in one would have to be buffered
/// field by field, and a lost index is loaded from millions of these.
#[derive(Deserialize)]
struct Beside {
    verified: VerifiedAt,
}

impl ResultEntry {
    /// Writes the value.
    ///
    /// # Errors
    /// [`Unencodable::NotSettled`] for a code that settles nothing.
    pub fn encode(settled: &Settled, verified: VerifiedAt) -> Result<Vec<u8>, Unencodable> {
        write(&Written { result: body(settled)?, verified })
    }

    /// Reads a value, of a record that says it has that schema.
    ///
    /// # Errors
    /// [`Undecodable`]; reading again says the same.
    pub fn decode(schema: Option<&[u8]>, value: &[u8]) -> Result<Self, Undecodable> {
        let Beside { verified } = Topic::Results.read(schema, value)?;
        let result: ResultBody = Topic::Results.read(schema, value)?;
        Ok(Self { settled: result.into_settled()?, verified })
    }
}
