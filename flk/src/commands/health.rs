//! `flk health`: one GET with a deadline, for probes in images that have no shell and no curl.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{Failure, http, output};

/// Whom to ask, and for how long.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exits with 0 if the answer has a status of 200 to 299 within the time, else with 1. Redirects are
not followed, and no proxy is used.

Examples:
  flk health http://127.0.0.1:8080
  flk health --timeout 500ms 'http://127.0.0.1:8080/readyz?scope=local'")]
pub struct Args {
    /// The address; without a path, /health is asked for
    url: String,
    /// How long to wait for the whole answer
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Asks, and says in one line what came.
///
/// # Errors
/// Where the answer is no, or there is none.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let url = http::url(&args.url, "/health").map_err(Failure::failed)?;
    let asked = Instant::now();
    let answer = http::agent(args.timeout, 1, http::Via::Direct)
        .get(&url)
        .call()
        .map_err(|error| Failure::failed(format!("{url}: no answer: {error}")))?;
    let status = answer.status();
    let said = format!("{url}: {} ({} ms)", http::reason(status.as_u16()), asked.elapsed().as_millis());
    if !status.is_success() {
        return Err(Failure::failed(said));
    }
    output::print(|out| writeln!(out, "{said}"))?;
    Ok(ExitCode::SUCCESS)
}
