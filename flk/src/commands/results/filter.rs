//! Which settled results are asked for.

use flk_contract::{Code, Record, Settled, Tenant, wire::State};
use flk_log::{
    StoredRecord,
    embedded::{LogReader, Scan},
};

use crate::{
    Failure,
    data_dir::{self, When},
};

/// What results have to be to be shown.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Filter {
    /// Only of this shard (read out of the records)
    #[arg(long, value_name = "ID", help_heading = FILTERS)]
    shard: Option<String>,
    /// Only settled since: RFC 3339, a day, or how long ago (2h)
    #[arg(long, value_name = "TIME", help_heading = FILTERS)]
    since: Option<When>,
    /// Only of this code: ok, regime_mismatch, budget_deviation or degraded
    #[arg(long, value_parser = settled_code, help_heading = FILTERS)]
    code: Option<Code>,
    /// Only of this tenant
    #[arg(long, value_name = "NAME", value_parser = Tenant::new, help_heading = FILTERS)]
    tenant: Option<Tenant>,
}

const FILTERS: &str = "Filters";

fn settled_code(word: &str) -> Result<Code, String> {
    let code = data_dir::code(word)?;
    if code.meaning().settles {
        return Ok(code);
    }
    Err(format!("a record with the code {word} settles nothing; flk wal dump --code {word} shows such records"))
}

/// A settled result, and whose events it is about.
pub(super) struct Found {
    pub(super) settled: Settled,
    /// `None` where the body does not say, which a settled one does.
    pub(super) shard: Option<(String, i64)>,
}

impl Filter {
    /// The records to look at, up to and not including `to`.
    pub(super) fn scan(&self, reader: &LogReader, to: i64) -> Result<Scan, Failure> {
        let from = self.since.map_or(Ok(0), |since| since.offset(reader))?;
        Ok(Scan { from, to, state: Some(State::Settled), code: self.code })
    }

    /// The record's result, if it is wanted.
    pub(super) fn result(&self, record: &StoredRecord) -> Option<Settled> {
        let settled = record.settled()?;
        if self.tenant.as_ref().is_some_and(|tenant| *tenant != settled.facts.tenant) {
            return None;
        }
        // Only the body says the shard, and reading bodies is most of the work: only where asked for.
        if let Some(wanted) = &self.shard
            && shard_of(record).is_none_or(|(shard, _)| shard != *wanted)
        {
            return None;
        }
        Some(settled)
    }

    /// The record's result for a person to see, if it is wanted.
    pub(super) fn found(&self, record: &StoredRecord) -> Option<Found> {
        self.result(record).map(|settled| Found { settled, shard: shard_of(record) })
    }

    /// The last `limit` results before `to`, oldest first.
    pub(super) fn last(&self, reader: &LogReader, to: i64, limit: usize) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        reader.scan_newest_first(&self.scan(reader, to)?, |record| {
            found.extend(self.found(&record));
            Ok::<_, Failure>(found.len() < limit)
        })?;
        found.reverse();
        Ok(found)
    }
}

fn shard_of(record: &StoredRecord) -> Option<(String, i64)> {
    Record::parse(&record.record.body).ok().map(|parsed| (parsed.shard_id.into_owned(), parsed.epoch))
}
