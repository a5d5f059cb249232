//! `flk pcs verify`: judges a summary as the service would, without one, and shows every check.

use std::{path::PathBuf, process::ExitCode};

use flk_contract::{LogTime, Tenant};
use flk_service::settings::{Flags, Judging, JudgingOnly};

use self::report::{Circumstances, Report};
use crate::{Failure, clock, files, output};

mod report;

/// What to judge, and when.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys and what is asked of signatures come from the service's environment: PCS_SIGN_ALG,
PCS_SIGN_SCOPE, PCS_HMAC_KEY (and _OLD, _NEW, PCS_HMAC_KEYS), PCS_ED25519_PUB_B64, PCS_KEYS_FILE;
each also with _FILE. With PCS_SIGN_ALG=none all but the signature is checked.

Exits with 0 if the record is accepted (escalated or not), with 1 if it is refused, not authentic
or malformed.

Examples:
  PCS_HMAC_KEY_FILE=hmac.key flk pcs verify pcs.json
  PCS_SIGN_ALG=ed25519 PCS_ED25519_PUB_B64_FILE=keys/ed25519-public.b64 flk pcs verify --json -")]
pub struct Args {
    /// The record, as it would be sent; - reads standard input
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// The log time at which keys have to be valid, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = LogTime::parse)]
    at: Option<LogTime>,
    /// The tenant named beside the record (X-Tenant-Id) [default: none]
    #[arg(long, value_name = "NAME", value_parser = Tenant::new)]
    tenant: Option<Tenant>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Judges and explains.
///
/// # Errors
/// Settings that a service would not start with, a file that can not be read.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Judging { signing, keys, .. } = Judging::load(&Flags::<JudgingOnly>::default())?;
    let body = files::read(&args.input)?;
    let by = Circumstances {
        at: args.at.unwrap_or_else(clock::now),
        tenant: args.tenant.as_ref().map(Tenant::as_str),
        signing,
        keys: &keys,
    };
    let report = Report::of(&body, &by);
    output::print(|out| if args.json { output::json_line(out, &report) } else { report.write(out) })?;
    Ok(if report.accepted() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
