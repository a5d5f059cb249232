//! pcs.verified: accepted records, each with the result that it would settle.

use flk_contract::{Settled, Verdict, verdict, wire::ResultBody};

use super::{Topic, Undecodable, Unencodable, write};

/// An accepted record: the result that it settles if it is the first of its id. The origin is its own
/// place in pcs.raw, with its log time there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it would settle.
    pub settled: Settled,
}

impl Verified {
    /// Writes the value.
    ///
    /// # Errors
    /// [`Unencodable::NotSettled`] for a code that settles nothing: such records go to pcs.refused.
    pub fn encode(settled: &Settled) -> Result<Vec<u8>, Unencodable> {
        write(&body(settled)?)
    }

    /// Reads a value, of a record that says it has that schema.
    ///
    /// # Errors
    /// [`Undecodable`]; reading again says the same.
    pub fn decode(schema: Option<&[u8]>, value: &[u8]) -> Result<Self, Undecodable> {
        let body: ResultBody = Topic::Verified.read(schema, value)?;
        Ok(Self { settled: body.into_settled()? })
    }

    /// The verdict that the record got.
    pub fn verdict(&self) -> Verdict {
        let Settled { code, facts, origin: _ } = &self.settled;
        Verdict { code: *code, reason: verdict::reason(*code, facts), facts: Some(facts.clone()) }
    }
}

/// A settled result as it is told.
pub(super) fn body(settled: &Settled) -> Result<ResultBody, Unencodable> {
    if !settled.code.meaning().settles {
        return Err(Unencodable::NotSettled(settled.code));
    }
    Ok(ResultBody::settled(settled))
}
