//! Replay over Kafka: what lies in pcs.raw is driven once more, or each settled result is compared with
//! what its own record comes to.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    process::ExitCode,
    sync::Arc,
};

use flk_contract::{Code, LogId, LogTime, Origin, Position, Settled, Verdict, verdict, wire::State};
use flk_log::{
    StoredRecord,
    kafka::{AskError, Connection, Scan, Scanned, Topics, offset_at},
    topic::{Refused, ResultEntry, Topic},
};
use flk_verifier::{Verifier, role::Redrive};
use serde::Serialize;

use super::{
    judging::{Judge, Signature},
    report::{Difference, End, Kind, Sum},
    verify::KEY_UNKNOWN,
};
use crate::{
    Failure,
    data_dir::count,
    output::{self, Align, Table, grouped},
};

/// Records that are read at a time.
const BATCH: usize = 2_000;
/// How long Kafka may give nothing.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Most refused records of one run: their places are kept in memory.
const REFUSED_MAX: usize = 5_000_000;

/// The log, and what of it.
pub(super) struct Kafka {
    pub(super) connection: Connection,
    pub(super) topics: Topics,
    pub(super) log: LogId,
    pub(super) from: Option<LogTime>,
    pub(super) to: Option<LogTime>,
}

/// Which records are driven.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    pub(super) dry_run: bool,
    pub(super) refused: bool,
    pub(super) code: Option<Code>,
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::failed(error)
    }
}

impl Kafka {
    fn within(&self, at: LogTime) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }

    fn partitions(&self, topic: Topic) -> impl Iterator<Item = i32> + use<> {
        0..i32::try_from(self.topics.partitions_of(topic).get()).unwrap_or(i32::MAX)
    }

    fn name(&self, topic: Topic) -> &Arc<str> {
        self.topics.names.of(topic)
    }

    /// Gives every record of a partition of a topic from an offset on, until it is told that it is enough.
    fn each(
        &self,
        topic: Topic,
        partition: i32,
        from: i64,
        mut take: impl FnMut(Scanned) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut scan = Scan::open(&self.connection, self.name(topic), partition, from)?;
        loop {
            let records = scan.read(BATCH, DEADLINE)?;
            if records.is_empty() {
                return Ok(());
            }
            for record in records {
                if !take(record)? {
                    return Ok(());
                }
            }
        }
    }

    /// Drives what is selected once more, or says what that would come to.
    pub(super) fn drive(&self, selection: Selection, verifier: Verifier, json: bool) -> Result<ExitCode, Failure> {
        let redrive = Redrive::new(&self.connection, &self.topics, self.log.clone(), verifier)?;
        let mut driven = Driven::default();
        let mut one = |partition: i32, record: &Scanned| -> Result<(), Failure> {
            let code = if selection.dry_run {
                redrive.look(partition, record)
            } else {
                redrive.drive(partition, record, DEADLINE).map_err(Failure::failed)?
            };
            driven.add(code, record);
            Ok(())
        };
        if selection.refused {
            for (partition, offsets) in self.refused(selection.code)? {
                let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { continue };
                self.each(Topic::Raw, partition, *first, |record| {
                    if offsets.contains(&record.offset) {
                        one(partition, &record)?;
                    }
                    Ok(record.offset < *last)
                })?;
            }
        } else {
            for partition in self.partitions(Topic::Raw) {
                let from = self
                    .from
                    .map_or(Ok(0), |from| offset_at(&self.connection, self.name(Topic::Raw), partition, from))?;
                self.each(Topic::Raw, partition, from, |record| {
                    let Some(at) = record.time else { return Ok(true) };
                    if self.to.is_some_and(|to| at >= to) {
                        return Ok(false);
                    }
                    one(partition, &record)?;
                    Ok(true)
                })?;
            }
        }
        if !selection.dry_run {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(Failure::failed)?;
            runtime.block_on(redrive.finish(DEADLINE)).map_err(Failure::failed)?;
        }
        output::print(|out| driven.write(out, selection.dry_run, json))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The places in pcs.raw of what was refused, by partition. Conflicts are not among them: judged again,
    /// they would only be conflicts again.
    fn refused(&self, code: Option<Code>) -> Result<BTreeMap<i32, BTreeSet<i64>>, Failure> {
        let mut places: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
        let mut number = 0_usize;
        for partition in self.partitions(Topic::Refused) {
            self.each(Topic::Refused, partition, 0, |record| {
                let Some(value) = &record.value else { return Ok(true) };
                // What is none of ours is passed over.
                let Ok(refused) = Refused::decode(record.schema.as_deref(), value) else { return Ok(true) };
                let Origin { position: Position { log, topic, partition, offset }, appended_at } = refused.origin;
                let ours = (&log, &topic) == (&self.log, self.name(Topic::Raw));
                let asked = refused.state == State::Refused && code.is_none_or(|code| code == refused.code);
                if ours && asked && self.within(appended_at) && places.entry(partition).or_default().insert(offset) {
                    number += 1;
                }
                if number > REFUSED_MAX {
                    return Err(Failure::mistake(format!(
                        "more than {} records were refused; say a shorter time with --from-time and --to-time",
                        grouped(REFUSED_MAX as u64)
                    )));
                }
                Ok(true)
            })?;
        }
        Ok(places)
    }

    /// Judges the own record of each settled result again, and lists what is different.
    pub(super) fn verify(&self, judge: &Judge, json: bool) -> Result<ExitCode, Failure> {
        let mut sum = Sum { partitions: true, ..Sum::default() };
        for partition in self.partitions(Topic::Results) {
            // Of several results of an id the one that was settled last stands; an older one may still be there.
            let mut last: HashMap<Box<[u8]>, ResultEntry> = HashMap::new();
            self.each(Topic::Results, partition, 0, |record| {
                let (Some(key), Some(value)) = (&record.key, &record.value) else { return Ok(true) };
                match ResultEntry::decode(record.schema.as_deref(), value) {
                    Ok(entry) => {
                        let before = last.get(&**key).map(|before| before.verified.offset);
                        if before.is_none_or(|before| before <= entry.verified.offset) {
                            last.insert(Box::from(&**key), entry);
                        }
                        Ok(true)
                    }
                    Err(error) => differ(
                        &mut sum,
                        Difference {
                            partition,
                            offset: record.offset,
                            kind: Kind::Damage,
                            field: "record",
                            stored: "this record of pcs.results".into(),
                            now: error.to_string(),
                        },
                        json,
                    )
                    .map(|()| true),
                }
            })?;
            let mut origins: BTreeMap<i32, BTreeMap<i64, Settled>> = BTreeMap::new();
            for ResultEntry { settled, .. } in last.into_values() {
                let Position { log, topic, partition, offset } = &settled.origin.position;
                let ours = (log, topic) == (&self.log, self.name(Topic::Raw));
                if ours && self.within(settled.origin.appended_at) {
                    origins.entry(*partition).or_default().insert(*offset, settled);
                }
            }
            for (raw, settled) in origins {
                self.compare(raw, settled, judge, &mut sum, json)?;
            }
        }
        output::print(|out| if json { sum.write_json(out) } else { sum.write(out) })?;
        Ok(match sum.end() {
            End::Same => ExitCode::SUCCESS,
            End::Differs => ExitCode::FAILURE,
            End::KeyUnknown => ExitCode::from(KEY_UNKNOWN),
        })
    }

    /// Compares results whose records lie in one partition of pcs.raw.
    fn compare(
        &self,
        partition: i32,
        mut settled: BTreeMap<i64, Settled>,
        judge: &Judge,
        sum: &mut Sum,
        json: bool,
    ) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (settled.keys().next().copied(), settled.keys().next_back().copied()) else {
            return Ok(());
        };
        self.each(Topic::Raw, partition, first, |record| {
            let offset = record.offset;
            if let Some(Settled { code, facts, origin }) = settled.remove(&offset) {
                let stored = StoredRecord {
                    origin: origin.clone(),
                    record: record.headers.into_record(record.value.unwrap_or_default()),
                    decision: None,
                };
                sum.looked_at.add(offset);
                sum.settled += 1;
                if record.time != Some(origin.appended_at) {
                    let time = record.time.map_or_else(|| "none".to_owned(), |time| time.to_string());
                    let stored = origin.appended_at.to_string();
                    let difference =
                        Difference { partition, offset, kind: Kind::Verdict, field: "appended_at", stored, now: time };
                    differ(sum, difference, json)?;
                }
                let reason = verdict::reason(code, &facts);
                let again = judge.again(&stored, &Verdict { code, reason, facts: Some(facts) });
                match again.signature {
                    Signature::Checked => {}
                    Signature::KeyUnknown(tenant, key) => {
                        sum.unknown_keys.entry((tenant, key)).or_default().add(offset);
                    }
                    Signature::WasOff => sum.signing_was_off.add(offset),
                }
                for (field, stored, now) in again.differences {
                    differ(sum, Difference { partition, offset, kind: Kind::Verdict, field, stored, now }, json)?;
                }
            }
            Ok(offset < last)
        })?;
        sum.not_kept += settled.len() as u64;
        Ok(())
    }
}

fn differ(sum: &mut Sum, difference: Difference, json: bool) -> Result<(), Failure> {
    sum.differences += 1;
    output::print(|out| difference.write(out, json))
}

/// What was driven.
#[derive(Debug, Default)]
struct Driven {
    records: u64,
    bytes: u64,
    sent: u64,
    codes: BTreeMap<&'static str, u64>,
}

impl Driven {
    fn add(&mut self, code: Code, record: &Scanned) {
        self.records += 1;
        self.bytes += record.value.as_ref().map_or(0, |value| value.len() as u64);
        self.sent += u64::from(code.meaning().settles);
        *self.codes.entry(code.as_str()).or_default() += 1;
    }

    fn write(&self, out: &mut dyn io::Write, dry_run: bool, json: bool) -> io::Result<()> {
        #[derive(Serialize)]
        struct Json<'a> {
            dry_run: bool,
            records: u64,
            body_bytes: u64,
            sent: u64,
            by_code: &'a BTreeMap<&'static str, u64>,
        }
        if json {
            let Self { records, bytes, sent, codes } = self;
            let json = Json { dry_run, records: *records, body_bytes: *bytes, sent: *sent, by_code: codes };
            return output::json_line(out, &json);
        }
        let (sent, rest) = (grouped(self.sent), "an id that is settled stays as it is");
        if dry_run {
            writeln!(
                out,
                "{}: {sent} would be sent again; {rest}; nothing was changed",
                count(self.records, "record")
            )?;
        } else {
            writeln!(out, "{}: {sent} sent again; {rest}", count(self.records, "record"))?;
        }
        let mut table = Table::new([("code now", Align::Left), ("records", Align::Right)]);
        for (code, records) in &self.codes {
            table.row([(*code).into(), grouped(*records).into()]);
        }
        table.write(out)
    }
}
