//! `flk results export`: all results for other tools, one at a time, however many there are.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::ValueEnum;
use flk_contract::{Code, Digest, Form, LogTime, Nano, Tenant, signals::Regime, wire::ResultBody};
use flk_log::embedded::LogReader;
use serde::Serialize;

use super::filter::Filter;
use crate::{
    Failure,
    data_dir::{DataDir, Progress, count, stream},
    output,
};

/// Which results, as what, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    dir: DataDir,
    #[command(flatten)]
    filter: Filter,
    /// As what
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Where to; never overwritten, and there only once it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The same as --format ndjson
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// What results are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// One JSON object a line, as GET /v1/pcs/ID answers
    #[default]
    Ndjson,
    /// All fields under a line of headings; the origin's are origin_log, origin_offset and so on
    Csv,
}

/// Writes them.
///
/// # Errors
/// A log that is not there or can not be read, a file that is there already or can not be written.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let reader = args.dir.open()?;
    match &args.out {
        None => stream(|out| args.write(&reader, out).map(drop))?,
        Some(path) => {
            let written = to_file(path, |out| args.write(&reader, out))?;
            output::note(|err| writeln!(err, "{} in {}", count(written, "result"), path.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// Writes what is settled now; how many.
    fn write(&self, reader: &LogReader, out: &mut dyn Write) -> Result<u64, Failure> {
        let scan = self.filter.scan(reader, reader.next()?)?;
        let progress = match self.out {
            Some(_) => Progress::new("exporting", scan.from, scan.to),
            None => Progress::beside_output("exporting", scan.from, scan.to),
        };
        let mut written = 0;
        let mut writer = match self.format {
            Format::Ndjson => Writer::Ndjson(out),
            Format::Csv => Writer::Csv(Box::new(csv::WriterBuilder::new().has_headers(false).from_writer(out))),
        };
        writer.begin().map_err(Failure::output)?;
        reader.scan(&scan, |record| {
            progress.at(record.origin.position.offset);
            if let Some(settled) = self.filter.result(&record) {
                writer.write(&ResultBody::settled(&settled)).map_err(Failure::output)?;
                written += 1;
            }
            Ok::<_, Failure>(true)
        })?;
        writer.end().map_err(Failure::output)?;
        Ok(written)
    }
}

/// Writes a file beside its place and puts it there when it is whole.
fn to_file<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T, Failure>) -> Result<T, Failure> {
    let refuse = |error: io::Error| Failure::mistake(format!("{} can not be written: {error}", path.display()));
    if fs::symlink_metadata(path).is_ok() {
        return Err(Failure::mistake(format!(
            "{} is there already and is not overwritten; name another file",
            path.display()
        )));
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = BufWriter::new(File::create(&part).map_err(refuse)?);
    let done = write(&mut file).and_then(|value| {
        let file = file.into_inner().map_err(|error| Failure::output(error.into_error()))?;
        file.sync_all().map_err(Failure::output)?;
        fs::rename(&part, path).map_err(refuse)?;
        Ok(value)
    });
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

enum Writer<'w> {
    Ndjson(&'w mut dyn Write),
    Csv(Box<csv::Writer<&'w mut dyn Write>>),
}

impl Writer<'_> {
    fn begin(&mut self) -> io::Result<()> {
        match self {
            Self::Ndjson(_) => Ok(()),
            // Written by hand, so that they are there also where no result is.
            Self::Csv(csv) => csv.write_record(Row::NAMES).map_err(plain),
        }
    }

    fn write(&mut self, result: &ResultBody) -> io::Result<()> {
        match self {
            Self::Ndjson(out) => output::json_line(out, result),
            Self::Csv(csv) => csv.serialize(Row::of(result)).map_err(plain),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Ndjson(_) => Ok(()),
            Self::Csv(csv) => csv.flush(),
        }
    }
}

/// The writer's own error, so that a reader that went away is known as one.
fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A result as a line of CSV, in the order of [`Row::NAMES`].
#[derive(Debug, Serialize)]
struct Row<'a> {
    pcs_id: &'a str,
    tenant: &'a Tenant,
    status: u16,
    accepted: bool,
    escalated: bool,
    code: Code,
    reason: &'a str,
    d_hat: Nano,
    recomputed_d_hat: Option<Nano>,
    recomputed_budget: Option<Nano>,
    regime: Option<Regime>,
    payload_sha256: Digest,
    content_sha256: Digest,
    key_id: &'a Option<Arc<str>>,
    signed: Option<Form>,
    contract: &'a str,
    origin_log: Option<&'a str>,
    origin_topic: Option<&'a str>,
    origin_partition: Option<i32>,
    origin_offset: Option<i64>,
    origin_appended_at: Option<LogTime>,
}

impl<'a> Row<'a> {
    const NAMES: [&'static str; 21] = [
        "pcs_id",
        "tenant",
        "status",
        "accepted",
        "escalated",
        "code",
        "reason",
        "D_hat",
        "recomputed_D_hat",
        "recomputed_budget",
        "regime",
        "payload_sha256",
        "content_sha256",
        "key_id",
        "signed",
        "contract",
        "origin_log",
        "origin_topic",
        "origin_partition",
        "origin_offset",
        "origin_appended_at",
    ];

    fn of(result: &'a ResultBody) -> Self {
        let position = result.origin.as_ref().map(|origin| &origin.position);
        Self {
            pcs_id: &result.pcs_id,
            tenant: &result.tenant,
            status: result.status,
            accepted: result.accepted,
            escalated: result.escalated,
            code: result.code,
            reason: &result.reason,
            d_hat: result.d_hat,
            recomputed_d_hat: result.recomputed_d_hat,
            recomputed_budget: result.recomputed_budget,
            regime: result.regime,
            payload_sha256: result.payload_sha256,
            content_sha256: result.content_sha256,
            key_id: &result.key_id,
            signed: result.signed,
            contract: &result.contract,
            origin_log: position.map(|position| position.log.as_str()),
            origin_topic: position.map(|position| &*position.topic),
            origin_partition: position.map(|position| position.partition),
            origin_offset: position.map(|position| position.offset),
            origin_appended_at: result.origin.as_ref().map(|origin| origin.appended_at),
        }
    }
}
