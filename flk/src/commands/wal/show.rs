//! `flk wal show`: one record: where and when it came, and what became of it.

use std::{io, process::ExitCode};

use flk_contract::{Digest, LogId, wire::State};
use flk_log::{
    StoredRecord,
    embedded::{LogReader, PARTITION, TOPIC},
};

use super::{
    entry::{Bodies, Entry},
    pretty,
};
use crate::{
    Failure,
    commands::facts,
    data_dir::{DataDir, age, size},
    output::{self, Align, Cell, Table, style},
};

/// Which record.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A position is written 12, 0/12 (partition and offset) or LOG/pcs.raw/0/12. Exits with 1 if the log
has no such record.

Examples:
  flk wal show --data-dir data 12
  flk wal show --data-dir data --body 0/12")]
pub struct Args {
    #[command(flatten)]
    dir: DataDir,
    /// Its position
    position: String,
    /// Also the body; it is what an agent sent, and may be sensitive
    #[arg(long)]
    body: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the record.
///
/// # Errors
/// A position of another log, a record that is not there, a log that can not be read.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let reader = args.dir.open()?;
    let offset = offset_of(&args.position, reader.id()).map_err(Failure::mistake)?;
    let Some(stored) = reader.read(offset)? else { return Err(absent(&reader, offset)) };
    output::print(|out| {
        if args.json {
            return output::json_line(out, &Entry::of(&stored, Bodies::asked(args.body)));
        }
        words(out, &stored)?;
        if args.body { pretty::write(out, &stored.record.body) } else { Ok(()) }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The offset of a position in this log.
fn offset_of(text: &str, log: &LogId) -> Result<i64, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (place, partition, offset) = match parts[..] {
        [offset] => (None, None, offset),
        [partition, offset] => (None, Some(partition), offset),
        [log, topic, partition, offset] => (Some((log, topic)), Some(partition), offset),
        _ => return Err(format!("{text} is no position; write 12, 0/12 or {log}/{TOPIC}/0/12")),
    };
    if let Some((other, topic)) = place {
        if other != log.as_str() {
            return Err(format!("{text} is a position of the log {other}, and this is the log {log}"));
        }
        if topic != TOPIC {
            return Err(format!("{text} is a position of the topic {topic}, and this log has only {TOPIC}"));
        }
    }
    if let Some(partition) = partition
        && partition.parse() != Ok(PARTITION)
    {
        return Err(format!(
            "{text} is a position of partition {partition}, and this log has only partition {PARTITION}"
        ));
    }
    match offset.parse() {
        Ok(offset @ 0..) => Ok(offset),
        _ => Err(format!("{text} is no position: {offset} is no offset; write 12, 0/12 or {log}/{TOPIC}/0/12")),
    }
}

fn absent(reader: &LogReader, offset: i64) -> Failure {
    let kept = match (reader.first(), reader.next()) {
        (Ok(Some(first)), Ok(next)) => format!("it keeps {first} to {}", next - 1),
        (Ok(None), _) => "it is empty".to_owned(),
        (Err(error), _) | (_, Err(error)) => return error.into(),
    };
    Failure::failed(format!("the log has no record at offset {offset}: {kept}"))
}

fn words(out: &mut dyn io::Write, stored: &StoredRecord) -> io::Result<()> {
    let StoredRecord { origin, record, decision } = stored;
    let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
    let mut row = |name: &str, cell: Cell| table.row([Cell::new(name, style::DIM), cell]);
    let at = &origin.position;
    row("position", format!("{}/{}/{}/{}", at.log, at.topic, at.partition, at.offset).into());
    row("log time", format!("{}, {}", origin.appended_at, age(origin.appended_at)).into());
    if let Some(decision) = decision {
        let colour = match decision.state {
            State::Settled => style::GOOD,
            State::Duplicate | State::Pending => style::PLAIN,
            State::Conflict | State::Refused => style::WARN,
        };
        row("state", Cell::new(decision.state.as_str(), colour));
        row("code", decision.code.as_str().into());
        if let Some(by) = decision.settled_by.filter(|by| *by != at.offset) {
            row("settled by", format!("{PARTITION}/{by}").into());
        }
        let verdict = &decision.verdict;
        if verdict.code != decision.code {
            row("its verdict", verdict.code.as_str().into());
        }
        if !verdict.reason.is_empty() {
            row("reason", verdict.reason.as_str().into());
        }
        if let Some(facts) = &verdict.facts {
            facts::rows(facts, &mut row);
        }
    }
    let beside = [("claimed tenant", &record.tenant), ("request", &record.request_id), ("trace", &record.traceparent)];
    for (name, text) in beside {
        if let Some(text) = text {
            row(name, text.as_str().into());
        }
    }
    row("body", format!("{}, SHA-256 {}", size(record.body.len() as u64), Digest::of(&record.body)).into());
    table.write(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_an_offset_of_this_log() {
        let log = LogId::new("abc");
        for good in ["12", "0/12", "abc/pcs.raw/0/12"] {
            assert_eq!(offset_of(good, &log), Ok(12), "{good}");
        }
        for (wrong, why) in [
            ("xyz/pcs.raw/0/12", "the log xyz, and this is the log abc"),
            ("abc/pcs.results/0/12", "only pcs.raw"),
            ("1/12", "only partition 0"),
            ("0/12/3", "no position"),
            ("-1", "no offset"),
            ("", "no offset"),
            ("abc/pcs.raw/0/x", "no offset"),
        ] {
            let error = offset_of(wrong, &log).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
