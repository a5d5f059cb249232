//! The PCS contract, v0.1: what goes over the wire and what must come back, as pure functions.
//!
//! One room a rule: [`record`] parses (section 1), [`canonical`] and [`signature`] say what is
//! signed and whether a signature holds (section 2), [`signals`] recomputes (section 3),
//! [`judge()`](judge()) gives the verdict (section 4), [`settle()`](settle()) decides who wins an id
//! (section 5), and [`wire`] is what everybody is told.
//!
//! Nothing in here reads a clock, a file, a socket or an environment variable, logs, locks or
//! awaits: the same bytes judged at the same log time under the same keys give the same verdict,
//! in the service, in a replay months later and in a simulation. Whoever needs the time passes it.

pub mod canonical;
mod json;
mod judge;
pub mod keys;
pub mod limits;
pub mod number;
pub mod partition;
pub mod position;
pub mod record;
pub mod settle;
pub mod signals;
pub mod signature;
pub mod tenant;
pub mod verdict;
pub mod wire;

pub use canonical::Digest;
pub use judge::{Check, Finding, Recomputed, SCHEMA, VERSION, explain, judge, pcs_id};
pub use keys::{Key, Keyring};
pub use number::Nano;
pub use partition::partition;
pub use position::{LogId, LogTime, Origin, Position};
pub use record::{Malformed, Record};
pub use settle::{Outcome, Settled, settle};
pub use signature::{Form, Signing};
pub use tenant::Tenant;
pub use verdict::{Code, Facts, Verdict};

/// The contract's version, as results carry it.
pub const CONTRACT: &str = "0.1";
