//! What a verification found: each difference as it is met, and the sum of it.

use std::{collections::BTreeMap, io, sync::Arc};

use flk_contract::Tenant;
use serde::Serialize;

use crate::{
    data_dir::count,
    output::{self, Align, Cell, Table, grouped, style},
};

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Judged again, it comes to something else.
    Verdict,
    /// In its place among the others, something else has to become of it.
    Settlement,
    /// It is not as it was written, or not there.
    Damage,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// Its partition: 0 in an embedded log.
    pub(super) partition: i32,
    /// Offset of the record; the first, where there are several.
    pub(super) offset: i64,
    pub(super) kind: Kind,
    pub(super) field: &'static str,
    pub(super) stored: String,
    pub(super) now: String,
}

impl Difference {
    pub(super) fn write(&self, out: &mut dyn io::Write, json: bool) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            difference: &'a Difference,
        }
        if json {
            return output::json_line(out, &Line { difference: self });
        }
        let Self { partition, offset, kind, field, stored, now } = self;
        let (bad, kind) = (
            style::BAD,
            match kind {
                Kind::Verdict => "verdict",
                Kind::Settlement => "settlement",
                Kind::Damage => "damage",
            },
        );
        let (stored, now) = (output::printable(stored), output::printable(now));
        match self.kind {
            Kind::Damage => writeln!(out, "{bad}{partition}/{offset}{bad:#}  {kind}  {stored}: {now}"),
            _ => writeln!(out, "{bad}{partition}/{offset}{bad:#}  {kind}  {field}: stored {stored}, now {now}"),
        }
    }
}

/// Records that have something in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    pub(super) records: u64,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Span {
    pub(super) fn add(&mut self, offset: i64) {
        if self.records == 0 {
            self.first = offset;
        }
        self.records += 1;
        self.last = offset;
    }

    fn words(self, partitions: bool) -> String {
        let records = count(self.records, "record");
        match self.records {
            // Offsets of several partitions say nothing together.
            _ if partitions => records,
            1 => format!("{records}, 0/{}", self.first),
            _ => format!("{records}, from 0/{} to 0/{}", self.first, self.last),
        }
    }
}

/// How it came out, as the exit code tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// Everything comes to the same.
    Same,
    /// Something does not.
    Differs,
    /// What could be judged comes to the same; not every signature could.
    KeyUnknown,
}

/// The sum of a verification.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    pub(super) looked_at: Span,
    pub(super) settled: u64,
    pub(super) differences: u64,
    pub(super) unknown_keys: BTreeMap<(Tenant, Arc<str>), Span>,
    pub(super) signing_was_off: Span,
    pub(super) winner_not_kept: u64,
    pub(super) authentic_now: u64,
    /// Results whose own record retention has removed.
    pub(super) not_kept: u64,
    /// They lie in several partitions.
    pub(super) partitions: bool,
}

impl Sum {
    pub(super) fn end(&self) -> End {
        if self.differences > 0 {
            End::Differs
        } else if self.signing_was_off.records > 0 || !self.unknown_keys.is_empty() {
            End::KeyUnknown
        } else {
            End::Same
        }
    }

    pub(super) fn write_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            summary: Json<'a>,
        }
        #[derive(Serialize)]
        struct Json<'a> {
            result: End,
            records: u64,
            settled: u64,
            differences: u64,
            unknown_keys: Vec<UnknownKey<'a>>,
            signing_was_off: u64,
            winner_not_kept: u64,
            authentic_now: u64,
            not_kept: u64,
        }
        #[derive(Serialize)]
        struct UnknownKey<'a> {
            tenant: &'a Tenant,
            key_id: &'a str,
            #[serde(flatten)]
            span: Span,
        }
        let unknown = self.unknown_keys.iter();
        let summary = Json {
            result: self.end(),
            records: self.looked_at.records,
            settled: self.settled,
            differences: self.differences,
            unknown_keys: unknown.map(|((tenant, key_id), span)| UnknownKey { tenant, key_id, span: *span }).collect(),
            signing_was_off: self.signing_was_off.records,
            winner_not_kept: self.winner_not_kept,
            authentic_now: self.authentic_now,
            not_kept: self.not_kept,
        };
        output::json_line(out, &Line { summary })
    }

    pub(super) fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
        let mut row = |name: &str, cell: Cell| table.row([Cell::new(name, style::DIM), cell]);
        let looked_at =
            if self.looked_at.records == 0 { "no record".to_owned() } else { self.looked_at.words(self.partitions) };
        row("judged again", looked_at.into());
        row("of these, settled results", grouped(self.settled).into());
        let bad = if self.differences > 0 { style::BAD } else { style::GOOD };
        row("differences", Cell::new(grouped(self.differences), bad));
        for ((tenant, key), span) in &self.unknown_keys {
            let text = format!(
                "{key} of the tenant {tenant}: {}; all but the signature was checked",
                span.words(self.partitions)
            );
            row("key unknown", Cell::new(text, style::WARN));
        }
        if self.signing_was_off.records > 0 {
            let text = format!("{}; all but the signature was checked", self.signing_was_off.words(self.partitions));
            row("signing was off", Cell::new(text, style::WARN));
        }
        if self.winner_not_kept > 0 {
            let records = count(self.winner_not_kept, "duplicate or conflicting record");
            let text = format!("{records}: the record that settled the id is not kept");
            row("not compared", text.into());
        }
        if self.not_kept > 0 {
            let records = count(self.not_kept, "settled result");
            row("not kept", format!("{records}: the record that it was judged from has been removed").into());
        }
        if self.authentic_now > 0 {
            let text =
                format!("{} that were refused then (flk replay --dry-run --refused)", grouped(self.authentic_now));
            row("authentic by now", text.into());
        }
        table.write(out)?;
        match self.end() {
            End::Same => writeln!(out, "{0}the same{0:#}: the log says what its records come to", style::GOOD),
            End::Differs => writeln!(out, "{0}not the same{0:#}", style::BAD),
            End::KeyUnknown => writeln!(
                out,
                "{0}the same, as far as could be judged{0:#}: give the keys that were in force then to judge the rest",
                style::WARN
            ),
        }
    }
}
