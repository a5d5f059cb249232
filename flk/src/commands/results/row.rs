//! Results for people.

use std::io;

use anstyle::Style;
use flk_contract::Code;

use super::filter::Found;
use crate::output::{self, Align, Cell, Table, style};

/// Longest name of a shard in a table; longer ones are cut.
const SHARD_MAX: usize = 32;

/// Results under headings.
pub(super) fn table(out: &mut dyn io::Write, results: &[Found]) -> io::Result<()> {
    let mut table = Table::new([
        ("offset", Align::Right),
        ("settled", Align::Left),
        ("code", Align::Left),
        ("D_hat", Align::Right),
        ("shard", Align::Left),
        ("epoch", Align::Right),
        ("tenant", Align::Left),
        ("pcs_id", Align::Left),
    ]);
    for found in results {
        let settled = &found.settled;
        let (shard, epoch) = shard_of(found);
        table.row([
            settled.origin.position.offset.to_string().into(),
            settled.origin.appended_at.to_string().into(),
            Cell::new(settled.code.as_str(), colour(settled.code)),
            settled.facts.d_hat.to_string().into(),
            shard.into(),
            epoch.into(),
            settled.facts.tenant.as_str().into(),
            (&*settled.facts.pcs_id).into(),
        ]);
    }
    table.write(out)
}

/// A result as one line, whatever comes before and after it.
pub(super) fn line(out: &mut dyn io::Write, found: &Found) -> io::Result<()> {
    let settled = &found.settled;
    let (shard, epoch) = shard_of(found);
    let (code, colour) = (settled.code.as_str(), colour(settled.code));
    writeln!(
        out,
        "{}  {:>8}  {colour}{code:<16}{colour:#}  {}  {}/{epoch}",
        settled.origin.appended_at,
        settled.origin.position.offset,
        settled.facts.pcs_id,
        output::printable(&shard)
    )
}

pub(super) fn colour(code: Code) -> Style {
    if code.meaning().escalated { style::WARN } else { style::GOOD }
}

fn shard_of(found: &Found) -> (String, String) {
    let Some((shard, epoch)) = &found.shard else { return ("?".into(), "?".into()) };
    let mut short: String = shard.chars().take(SHARD_MAX).collect();
    if short.len() < shard.len() {
        short.push('…');
    }
    (short, epoch.to_string())
}
