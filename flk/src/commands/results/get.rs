//! `flk results get`: what stands for an id.

use std::{io, process::ExitCode};

use flk_contract::{LogTime, Settled, Tenant, limits::WINDOW, settle::stands, wire::ResultBody};
use serde::Serialize;

use super::row::colour;
use crate::{
    Failure, clock,
    commands::facts,
    data_dir::{DataDir, age},
    output::{self, Align, Cell, Table, style},
};

/// Which id.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exits with 1 if nothing stands for the id: it was never settled, or 14 days have passed since.
There is no index of ids beside the log for others than the service: records are looked at from the
newest back, which takes a while in a large log. GET /v1/pcs/ID asks a running service.

With --json: {\"state\": \"settled\", \"expired\" or \"none\", \"stands_until\", \"result\"}.")]
pub struct Args {
    #[command(flatten)]
    dir: DataDir,
    /// The id (pcs_id): 64 lower-case hexadecimal digits
    #[arg(value_name = "ID", value_parser = id)]
    pcs_id: String,
    /// Whose id it is
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = Tenant::new)]
    tenant: Tenant,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn id(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(text.to_owned());
    }
    Err("only ids of 64 lower-case hexadecimal digits are ever settled".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Settled,
    Expired,
    None,
}

#[derive(Debug, Serialize)]
struct Json {
    state: Standing,
    stands_until: Option<LogTime>,
    result: Option<ResultBody>,
}

/// Prints it.
///
/// # Errors
/// A log that is not there or can not be read; nothing that stands is no error, but exit code 1.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let settled = args.dir.open()?.last_settled(&args.tenant, &args.pcs_id)?;
    let until = settled.as_ref().map(|settled| settled.origin.appended_at.after(WINDOW));
    let state = match &settled {
        None => Standing::None,
        Some(settled) if stands(settled.origin.appended_at, clock::now()) => Standing::Settled,
        Some(_) => Standing::Expired,
    };
    output::print(|out| {
        if args.json {
            let result = settled.as_ref().map(ResultBody::settled);
            return output::json_line(out, &Json { state, stands_until: until, result });
        }
        match (&settled, until) {
            (Some(settled), Some(until)) => words(out, settled, state, until),
            _ => writeln!(out, "nothing is settled for this id in the tenant {}", args.tenant),
        }
    })?;
    Ok(if state == Standing::Settled { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn words(out: &mut dyn io::Write, settled: &Settled, state: Standing, until: LogTime) -> io::Result<()> {
    let body = ResultBody::settled(settled);
    let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
    let mut row = |name: &str, cell: Cell| table.row([Cell::new(name, style::DIM), cell]);
    let at = &settled.origin;
    row(
        "state",
        match state {
            Standing::Settled => Cell::new(format!("settled; stands until {until}"), style::GOOD),
            _ => Cell::new(format!("expired at {until}; the id may be settled anew"), style::WARN),
        },
    );
    row("code", Cell::new(format!("{} ({})", body.code, body.status), colour(body.code)));
    if !body.reason.is_empty() {
        row("reason", body.reason.as_str().into());
    }
    facts::rows(&settled.facts, &mut row);
    row("settled", format!("{}, {}", at.appended_at, age(at.appended_at)).into());
    let place = &at.position;
    row("origin", format!("{}/{}/{}/{}", place.log, place.topic, place.partition, place.offset).into());
    table.write(out)
}
