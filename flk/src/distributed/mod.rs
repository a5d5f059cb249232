//! The shape over Kafka: ingest, verifier and sink, each a process of its own or all in one. What they do is
//! in their crates; here they get their settings, their port, and their place in the life of the process.
//!
//! Start order does not matter: a process listens at once, says by `/readyz` that it waits for Kafka, and
//! starts its roles when the cluster has said which log it is. Only builds with the feature `kafka` have any
//! of this; the others say so.

#[cfg(feature = "kafka")]
pub(crate) mod connect;
#[cfg(not(feature = "kafka"))]
mod missing;
#[cfg(feature = "kafka")]
mod roles;
#[cfg(feature = "kafka")]
mod run;
#[cfg(feature = "kafka")]
mod timed;
#[cfg(feature = "kafka")]
pub(crate) mod topics;
#[cfg(feature = "kafka")]
mod watch;

#[cfg(feature = "kafka")]
pub(crate) use self::{
    connect::{Checked, check},
    run::run,
};
#[cfg(not(feature = "kafka"))]
pub(crate) use missing::{Checked, check, run, topics};

use crate::Failure;

/// Whether this build has Kafka in it.
///
/// # Errors
/// What to do where it has not.
#[cfg_attr(feature = "kafka", allow(clippy::unnecessary_wraps, reason = "other builds have an error"))]
pub(crate) fn is_built() -> Result<(), Failure> {
    #[cfg(not(feature = "kafka"))]
    return Err(missing::failure());
    #[cfg(feature = "kafka")]
    Ok(())
}
