//! Settled results: the derived index of ids, and the conformance suite that every index passes.

mod port;

pub use port::{Index, ResultsError};
