//! `flk replay --dry-run`: what re-driving a range would send again, and what would come of it.

use std::{collections::BTreeMap, io, process::ExitCode};

use flk_contract::{Code, LogTime, wire::State};
use flk_log::{
    StoredRecord,
    embedded::{LogReader, Scan},
};
use serde::Serialize;

use super::{Range, judging::Judge};
use crate::{
    Failure, clock,
    data_dir::{Progress, count, size},
    output::{self, Align, Table, grouped},
};

/// Which records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    pub(super) range: Range,
    pub(super) code: Option<Code>,
}

/// Counts them. With a judge only refused ones, and judged as they would be if they came now.
pub(super) fn run(
    reader: &LogReader,
    selection: Selection,
    judge: Option<Judge>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let Selection { range, code } = selection;
    let refused = judge.is_some();
    let scan = Scan { from: range.from, to: range.to, state: refused.then_some(State::Refused), code };
    let now = clock::now();
    let mut count = Count::default();
    let progress = Progress::new("reading", range.from, range.to.min(reader.next()?));
    reader.scan(&scan, |record| {
        progress.at(record.origin.position.offset);
        count.add(&record, judge.as_ref().map(|judge| judge.today(&record, now).code));
        Ok::<_, Failure>(true)
    })?;
    drop(progress);
    output::print(|out| if json { count.write_json(out, refused) } else { count.write(out, refused) })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Default)]
struct Count {
    records: u64,
    bytes: u64,
    first: Option<(i64, LogTime)>,
    last: Option<(i64, LogTime)>,
    /// By state and code then, and by code now where that was asked.
    groups: BTreeMap<(&'static str, &'static str, Option<&'static str>), (u64, u64)>,
    accepted: u64,
}

impl Count {
    fn add(&mut self, record: &StoredRecord, now: Option<Code>) {
        let Some(decision) = &record.decision else { return };
        let place = (record.origin.position.offset, record.origin.appended_at);
        self.first.get_or_insert(place);
        self.last = Some(place);
        let bytes = record.record.body.len() as u64;
        let key = (decision.state.as_str(), decision.code.as_str(), now.map(Code::as_str));
        let group = self.groups.entry(key).or_default();
        group.0 += 1;
        group.1 += bytes;
        self.records += 1;
        self.bytes += bytes;
        self.accepted += u64::from(now.is_some_and(|code| code.meaning().settles));
    }

    fn write(&self, out: &mut dyn io::Write, refused: bool) -> io::Result<()> {
        let (Some((first, from)), Some((last, to))) = (self.first, self.last) else {
            return writeln!(out, "no such records");
        };
        writeln!(
            out,
            "{}, {}: from 0/{first} at {from} to 0/{last} at {to}; nothing was changed",
            count(self.records, "record"),
            size(self.bytes)
        )?;
        let now = if refused { "now" } else { "" };
        let mut table = Table::new([
            ("state", Align::Left),
            ("code", Align::Left),
            (now, Align::Left),
            ("records", Align::Right),
            ("bodies", Align::Right),
        ]);
        for ((state, code, now), (records, bytes)) in &self.groups {
            let now = now.unwrap_or_default();
            table.row([(*state).into(), (*code).into(), now.into(), grouped(*records).into(), size(*bytes).into()]);
        }
        table.write(out)?;
        if refused {
            writeln!(
                out,
                "{} of them would now be accepted, under the keys of this environment",
                grouped(self.accepted)
            )?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut dyn io::Write, refused: bool) -> io::Result<()> {
        #[derive(Serialize)]
        struct Json {
            records: u64,
            body_bytes: u64,
            first: Option<Place>,
            last: Option<Place>,
            /// Null unless refused records were asked for.
            accepted_now: Option<u64>,
            by_code: Vec<Group>,
        }
        #[derive(Serialize)]
        struct Place {
            offset: i64,
            appended_at: LogTime,
        }
        #[derive(Serialize)]
        struct Group {
            state: &'static str,
            code: &'static str,
            code_now: Option<&'static str>,
            records: u64,
            body_bytes: u64,
        }
        let place = |place: Option<(i64, LogTime)>| place.map(|(offset, appended_at)| Place { offset, appended_at });
        let groups = self.groups.iter().map(|((state, code, code_now), (records, body_bytes))| Group {
            state,
            code,
            code_now: *code_now,
            records: *records,
            body_bytes: *body_bytes,
        });
        let json = Json {
            records: self.records,
            body_bytes: self.bytes,
            first: place(self.first),
            last: place(self.last),
            accepted_now: refused.then_some(self.accepted),
            by_code: groups.collect(),
        };
        output::json_line(out, &json)
    }
}
