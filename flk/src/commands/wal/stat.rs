//! `flk wal stat`: the log in numbers, and whether it is as it was written.

use std::{io, path::Path, process::ExitCode};

use flk_contract::{LogId, LogTime};
use flk_log::embedded::{Damage, LogReader, Stat, Surveyed};
use serde::Serialize;

use crate::{
    Failure,
    data_dir::{DataDir, Progress, age, count, size, span},
    output::{self, Align, Cell, Table, grouped, style},
};

/// Which log, and whether to check it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --check, exits with 1 if anything is damaged. What a record says is judged again by
flk replay --verify.")]
pub struct Args {
    #[command(flatten)]
    dir: DataDir,
    /// Read every record, verify its checksum, and list what is damaged or missing
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the numbers.
///
/// # Errors
/// A log that is not there or can not be read.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (reader, dir) = (args.dir.open()?, args.dir.path()?);
    let check = args.check.then(|| check(&reader)).transpose()?;
    let stat = match reader.stat() {
        Ok(stat) => Some(stat),
        // The check says what is wrong; numbers of such a log can not always be had.
        Err(_) if check.as_ref().is_some_and(|check| !check.damage.is_empty()) => None,
        Err(error) => return Err(error.into()),
    };
    let sound = check.as_ref().is_none_or(|check| check.damage.is_empty());
    output::print(|out| {
        if args.json {
            return output::json_line(out, &Json::of(reader.id(), &dir, stat.as_ref(), check.as_ref()));
        }
        if let Some(stat) = &stat {
            numbers(out, stat, &dir)?;
        }
        check.as_ref().map_or(Ok(()), |check| check.write(out))
    })?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What reading every record found.
#[derive(Debug, Serialize)]
struct Check {
    sound_records: u64,
    damage: Vec<Damaged>,
}

#[derive(Debug, Serialize)]
struct Damaged {
    from: i64,
    to: i64,
    what: String,
}

fn check(reader: &LogReader) -> Result<Check, Failure> {
    let mut check = Check { sound_records: 0, damage: Vec::new() };
    let progress = Progress::new("checking", 0, reader.next().unwrap_or(0));
    reader.survey(0, i64::MAX, |found| {
        match found {
            Surveyed::Record(record) => {
                check.sound_records += 1;
                progress.at(record.origin.position.offset);
            }
            Surveyed::Damage(Damage { from, to, what }) => check.damage.push(Damaged { from, to, what }),
        }
        Ok::<_, Failure>(true)
    })?;
    Ok(check)
}

impl Check {
    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        if self.damage.is_empty() {
            let (good, read) = (style::GOOD, count(self.sound_records, "record"));
            return writeln!(out, "\n{good}sound{good:#}: {read} read, every checksum holds");
        }
        let bad = style::BAD;
        writeln!(out, "\n{bad}damaged{bad:#}: {} sound, these are not:", count(self.sound_records, "record"))?;
        let mut table = Table::new([("offsets", Align::Right), ("what", Align::Left)]);
        for Damaged { from, to, what } in &self.damage {
            let offsets = if from == to { from.to_string() } else { format!("{from} to {to}") };
            table.row([offsets.into(), what.as_str().into()]);
        }
        table.write(out)
    }
}

fn numbers(out: &mut dyn io::Write, stat: &Stat, dir: &Path) -> io::Result<()> {
    let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
    let mut row = |name: &str, text: String| table.row([Cell::new(name, style::DIM), text.into()]);
    row("log", stat.log.to_string());
    row("directory", dir.display().to_string());
    let kept = stat.first.map_or_else(String::new, |first| format!(", offsets {first} to {}", stat.next - 1));
    row("records", format!("{}{kept}; the next is {}", grouped(stat.records), stat.next));
    if let Some((oldest, newest)) = stat.times {
        row("oldest", format!("{oldest}, {}", age(oldest)));
        row("newest", format!("{newest}, {}", age(newest)));
        let millis = newest.millis().saturating_sub(oldest.millis()).unsigned_abs();
        row("covers", span(std::time::Duration::from_millis(millis)));
    }
    row("bodies", size(stat.body_bytes));
    row("log.db", format!("{}, of which {} are free", size(stat.file_bytes), size(stat.free_bytes)));
    row("log.db-wal", size(stat.wal_file_bytes));
    table.write(out)?;
    if stat.by_code.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table =
        Table::new([("state", Align::Left), ("code", Align::Left), ("records", Align::Right), ("share", Align::Right)]);
    for (state, code, records) in &stat.by_code {
        let share = *records as f64 / stat.records.max(1) as f64 * 100.0;
        table.row([
            state.as_str().into(),
            code.as_str().into(),
            grouped(*records).into(),
            format!("{share:.1} %").into(),
        ]);
    }
    table.write(out)
}

#[derive(Debug, Serialize)]
struct Json<'a> {
    log: &'a LogId,
    directory: String,
    #[serde(flatten)]
    numbers: Option<Numbers<'a>>,
    check: Option<&'a Check>,
}

#[derive(Debug, Serialize)]
struct Numbers<'a> {
    records: u64,
    first: Option<i64>,
    next: i64,
    oldest: Option<LogTime>,
    newest: Option<LogTime>,
    body_bytes: u64,
    file_bytes: u64,
    wal_file_bytes: u64,
    free_bytes: u64,
    by_code: Vec<ByCode<'a>>,
}

#[derive(Debug, Serialize)]
struct ByCode<'a> {
    state: &'a str,
    code: &'a str,
    records: u64,
}

impl<'a> Json<'a> {
    fn of(log: &'a LogId, dir: &Path, stat: Option<&'a Stat>, check: Option<&'a Check>) -> Self {
        Self { log, directory: dir.display().to_string(), numbers: stat.map(Numbers::of), check }
    }
}

impl<'a> Numbers<'a> {
    fn of(stat: &'a Stat) -> Self {
        let by_code = stat.by_code.iter().map(|(state, code, records)| ByCode { state, code, records: *records });
        Self {
            records: stat.records,
            first: stat.first,
            next: stat.next,
            oldest: stat.times.map(|(oldest, _)| oldest),
            newest: stat.times.map(|(_, newest)| newest),
            body_bytes: stat.body_bytes,
            file_bytes: stat.file_bytes,
            wal_file_bytes: stat.wal_file_bytes,
            free_bytes: stat.free_bytes,
            by_code: by_code.collect(),
        }
    }
}
