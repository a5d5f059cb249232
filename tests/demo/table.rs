//! What everything came to.

use std::{collections::BTreeMap, fmt};

use flk_tests::{Traffic, audit::Audit, traffic::Kind};

/// The records of one kind.
#[derive(Debug, Default)]
struct Row {
    /// In pcs.raw: more than were sent, where an answer was lost and the record came again.
    records: usize,
    /// Of each outcome.
    states: BTreeMap<&'static str, usize>,
    /// With one outcome, and one that this kind may have.
    right: usize,
}

/// The table, and what must be true beside it.
#[derive(Debug)]
pub(crate) struct Table {
    rows: BTreeMap<Kind, Row>,
    results: usize,
    told: usize,
    again: u64,
    faults: Vec<String>,
}

impl Table {
    /// From what clients were told, what is on the topics, and how that differs from what is served.
    pub(crate) fn of(traffic: &Traffic, audit: &Audit, differs: &[String]) -> Self {
        let mut rows: BTreeMap<Kind, Row> = BTreeMap::new();
        let mut faults: Vec<String> = audit.faults.iter().chain(differs).cloned().collect();
        faults.extend(audit.against(traffic));
        for outcome in &audit.outcomes {
            let Some(kind) = traffic.kind_of(&outcome.body) else {
                faults.push(format!("nobody sent the record at {:?}", outcome.place));
                continue;
            };
            let row = rows.entry(kind).or_default();
            row.records += 1;
            *row.states.entry(outcome.state).or_default() += 1;
            row.right += usize::from(kind.may_be(outcome.state, &outcome.code));
        }
        let told = traffic.told();
        Self { rows, results: audit.results.len(), told: told.len(), again: traffic.sent_again(), faults }
    }

    /// Whether every record has one outcome and every id one result.
    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty() && !self.rows.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STATES: [&str; 4] = ["settled", "duplicate", "conflict", "refused"];
        write!(f, "{:28}{:>9}", "record", "in pcs.raw")?;
        STATES.iter().try_for_each(|state| write!(f, "{state:>11}"))?;
        writeln!(f, "   one outcome, as the contract says")?;
        for (kind, row) in &self.rows {
            write!(f, "{:28}{:>10}", kind.label(), row.records)?;
            STATES.iter().try_for_each(|state| write!(f, "{:>11}", row.states.get(state).copied().unwrap_or(0)))?;
            writeln!(f, "   {} of {}", row.right, row.records)?;
        }
        let records: usize = self.rows.values().map(|row| row.records).sum();
        let settled: usize = self.rows.values().filter_map(|row| row.states.get("settled")).sum();
        writeln!(
            f,
            "\nrecords in pcs.raw: {records}; ids settled: {settled}; results in pcs.results: {}",
            self.results
        )?;
        writeln!(f, "ids that clients were told by HTTP: {}, each the same whenever it was asked for", self.told)?;
        writeln!(f, "submissions without a final answer (killed, 503), and sent again: {}", self.again)?;
        self.faults.iter().take(20).try_for_each(|fault| writeln!(f, "wrong: {fault}"))?;
        if self.is_good() {
            write!(f, "every record has one outcome, and every id one result: on the topics, as told and as served")
        } else {
            write!(f, "{} things are not as the contract says", self.faults.len())
        }
    }
}
