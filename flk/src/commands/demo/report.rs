//! What was sent, told, and found after the crash.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde_json::Value;

use super::{plan::Record, service};
use crate::output::{Align, Cell, Table, style};

/// One answer.
pub(super) struct Told {
    pub(super) record: Record,
    pub(super) status: u16,
    pub(super) answer: Value,
}

impl Told {
    /// Whether it is what the contract says.
    fn as_expected(&self) -> bool {
        let expected = self.record.expected;
        let flag = |name: &str| self.answer.get(name).and_then(Value::as_bool);
        let judged = self.status < 400;
        self.status == expected.status
            && self.answer.get("code").and_then(Value::as_str) == Some(expected.code)
            && (!judged || flag("conflict") == Some(expected.conflict))
            && (!judged || expected.duplicate.is_none() || flag("duplicate") == expected.duplicate)
    }

    /// Where the record is, if it was told.
    fn place(&self) -> Option<(i64, i64)> {
        let wal = self.answer.get("wal")?;
        Some((wal.get("partition")?.as_i64()?, wal.get("offset")?.as_i64()?))
    }
}

/// The whole run.
#[derive(Default)]
pub(super) struct Report {
    pub(super) told: Vec<Told>,
    /// Cut off by the crash, and sent again.
    pub(super) unanswered: usize,
    /// Never answered, though the service ran.
    pub(super) lost: Vec<&'static str>,
    pub(super) replay: bool,
    /// By label: found as told.
    found: BTreeMap<&'static str, usize>,
    /// Told a result that is not there, or is another.
    changed: Vec<String>,
}

impl Report {
    /// Asks the service for everything that it told: every position, and every settled result.
    pub(super) fn look(&mut self, url: &str) {
        let client = service::client();
        for told in &self.told {
            match found(&client, url, told) {
                Ok(()) => *self.found.entry(told.record.label).or_default() += 1,
                Err(why) => self.changed.push(format!("{}: {why}", told.record.label)),
            }
        }
    }

    /// Whether all is as the contract says.
    pub(super) fn is_good(&self) -> bool {
        self.lost.is_empty() && self.changed.is_empty() && self.replay && self.told.iter().all(Told::as_expected)
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new([
            ("record", Align::Left),
            ("sent", Align::Right),
            ("answered", Align::Left),
            ("as the contract says", Align::Right),
            ("found after the crash", Align::Right),
        ]);
        let mut labels: Vec<&'static str> = Vec::new();
        for told in &self.told {
            if !labels.contains(&told.record.label) {
                labels.push(told.record.label);
            }
        }
        labels.sort_by_key(|label| self.told.iter().position(|told| told.record.label == *label));
        for label in labels {
            let of_it: Vec<&Told> = self.told.iter().filter(|told| told.record.label == label).collect();
            let good = of_it.iter().filter(|told| told.as_expected()).count();
            let found = self.found.get(label).copied().unwrap_or(0);
            let expected = of_it.first().map(|told| told.record.expected);
            let answer = expected.map_or_else(String::new, |expected| {
                let extra = if expected.conflict {
                    ", duplicate, conflict"
                } else if expected.duplicate == Some(true) {
                    ", duplicate"
                } else {
                    ""
                };
                format!("{} {}{extra}", expected.status, expected.code)
            });
            let count = |n: usize| {
                let style = if n == of_it.len() { style::GOOD } else { style::BAD };
                Cell::new(format!("{n} of {}", of_it.len()), style)
            };
            table.row([label.into(), of_it.len().to_string().into(), answer.into(), count(good), count(found)]);
        }
        table.write(out)?;
        writeln!(out)?;
        writeln!(out, "cut off by SIGKILL and sent again: {}", self.unanswered)?;
        let yes = |good: bool| if good { "yes" } else { "no" };
        writeln!(out, "judged the same again from the log alone: {}", yes(self.replay))?;
        for told in self.told.iter().filter(|told| !told.as_expected()) {
            writeln!(out, "not as the contract says: {}: {} {}", told.record.label, told.status, told.answer)?;
        }
        for what in &self.changed {
            writeln!(out, "not found as it was told: {what}")?;
        }
        for label in &self.lost {
            writeln!(out, "not answered though the service ran: {label}")?;
        }
        let (style, words) = if self.is_good() {
            (style::GOOD, "all is as the contract says; nothing told was lost or changed")
        } else {
            (style::BAD, "something is not as the contract says")
        };
        writeln!(out, "{style}{words}{style:#}")
    }
}

/// Looks one answer up: its record by position, and its id's settled result.
fn found(client: &ureq::Agent, url: &str, told: &Told) -> Result<(), String> {
    let (partition, offset) = told.place().ok_or("the answer says no position")?;
    let at = format!("{url}/v1/records/{partition}/{offset}");
    let Some((200, record)) = service::get(client, &at) else { return Err(format!("no record at {offset}")) };
    let origin = told.answer.get("origin").filter(|origin| !origin.is_null());
    let state = record.get("state").and_then(Value::as_str).unwrap_or_default();
    let flag = |name: &str| told.answer.get(name).and_then(Value::as_bool) == Some(true);
    let expected = match (origin, flag("conflict"), flag("duplicate")) {
        (None, _, _) => "refused",
        (_, true, _) => "conflict",
        (_, _, true) => "duplicate",
        _ => "settled",
    };
    if state != expected {
        return Err(format!("the record at {offset} is {state}, told was {expected}"));
    }
    if origin.is_none() {
        return Ok(());
    }
    let id = told.answer.get("pcs_id").and_then(Value::as_str).unwrap_or_default();
    let Some((200, result)) = service::get(client, &format!("{url}/v1/pcs/{id}")) else {
        return Err(format!("no result of {id}"));
    };
    // The answer is the result, and three things about the request alone.
    let same = result
        .as_object()
        .is_some_and(|result| result.iter().all(|(name, value)| told.answer.get(name) == Some(value)));
    if same { Ok(()) } else { Err(format!("the result of {id} is another one")) }
}
