//! `flk serve`, `flk ingest`, `flk verifier`, `flk dedup-sink`: a service, or one role of it.

use std::process::ExitCode;

use flk_service::{
    Settings,
    settings::{Everything, Flags, IngestOnly, OfRole, Role, SinkOnly, VerifierOnly},
};

use crate::{Failure, distributed, service};

/// What a role takes.
#[derive(Debug, clap::Args)]
pub struct Args<W: OfRole> {
    #[command(flatten)]
    settings: Flags<W>,
}

/// What `flk serve` takes.
pub type Serve = Args<Everything>;
/// What `flk ingest` takes.
pub type Ingest = Args<IngestOnly>;
/// What `flk verifier` takes.
pub type Verifier = Args<VerifierOnly>;
/// What `flk dedup-sink` takes.
pub type Sink = Args<SinkOnly>;

/// Serves until it is told to stop.
///
/// # Errors
/// [`Failure`] where it can not start, in one sentence.
pub fn run<W: OfRole>(args: Args<W>) -> Result<ExitCode, Failure> {
    if W::ROLE != Role::Serve {
        // Before anything is asked of who can not have it.
        distributed::is_built()?;
    }
    service::run(&Settings::load(&args.settings)?)
}
