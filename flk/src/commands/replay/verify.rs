//! `flk replay --verify`: every record of a log judged and settled once more, from the log alone.

use std::process::ExitCode;

use flk_contract::wire::State;
use flk_log::{
    Decision, StoredRecord,
    embedded::{Damage, LogReader, Surveyed},
};

use super::{
    Range,
    fold::{Expected, Fold, Says},
    judging::{Judge, Signature},
    report::{Difference, End, Kind, Sum},
};
use crate::{Failure, data_dir::Progress, output};

/// Exit code where everything that could be judged comes to the same, but a key was missing.
pub(super) const KEY_UNKNOWN: u8 = 3;

/// Verifies the records of a range.
pub(super) fn run(reader: &LogReader, range: Range, judge: Judge, json: bool) -> Result<ExitCode, Failure> {
    let mut verification = Verification {
        judge,
        fold: Fold::default(),
        sum: Sum::default(),
        progress: Progress::new("judging", range.from, range.to.min(reader.next().unwrap_or(range.to))),
        from: range.from,
        json,
    };
    // Who won an id is only known to who has seen it all: the fold begins at the head.
    reader.survey(0, range.to, |found| verification.take(found).map(|()| true))?;
    let Verification { sum, progress, .. } = verification;
    drop(progress);
    output::print(|out| if json { sum.write_json(out) } else { sum.write(out) })?;
    Ok(match sum.end() {
        End::Same => ExitCode::SUCCESS,
        End::Differs => ExitCode::FAILURE,
        End::KeyUnknown => ExitCode::from(KEY_UNKNOWN),
    })
}

struct Verification {
    judge: Judge,
    fold: Fold,
    sum: Sum,
    progress: Progress,
    from: i64,
    json: bool,
}

impl Verification {
    fn take(&mut self, found: Surveyed) -> Result<(), Failure> {
        match found {
            Surveyed::Record(record) => self.record(&record),
            Surveyed::Damage(Damage { from, to, what }) => {
                self.fold.skip(from, to);
                if to < self.from {
                    return Ok(());
                }
                let stored = if from == to { "this record".to_owned() } else { format!("records {from} to {to}") };
                self.differ(Difference {
                    partition: 0,
                    offset: from,
                    kind: Kind::Damage,
                    field: "record",
                    stored,
                    now: what,
                })
            }
        }
    }

    fn record(&mut self, stored: &StoredRecord) -> Result<(), Failure> {
        let offset = stored.origin.position.offset;
        // A log that keeps no decisions has nothing to compare with; an embedded one always does.
        let Some(decision) = &stored.decision else { return Ok(()) };
        let says = self.fold.step(&stored.origin, decision);
        if offset < self.from {
            return Ok(());
        }
        self.progress.at(offset);
        self.sum.looked_at.add(offset);
        self.sum.settled += u64::from(decision.state == State::Settled);
        let again = self.judge.again(stored, &decision.verdict);
        self.sum.authentic_now += u64::from(again.authentic_now);
        match again.signature {
            Signature::Checked => {}
            Signature::KeyUnknown(tenant, key) => self.sum.unknown_keys.entry((tenant, key)).or_default().add(offset),
            Signature::WasOff => self.sum.signing_was_off.add(offset),
        }
        for (field, stored, now) in again.differences {
            self.differ(Difference { partition: 0, offset, kind: Kind::Verdict, field, stored, now })?;
        }
        match says {
            Says::Same => Ok(()),
            Says::Unknown => {
                self.sum.winner_not_kept += 1;
                Ok(())
            }
            Says::Other(expected) => self.settlement(offset, decision, expected),
        }
    }

    fn settlement(&mut self, offset: i64, decision: &Decision, expected: Expected) -> Result<(), Failure> {
        let Decision { state, code, settled_by, .. } = decision;
        let by = |offset: Option<i64>| offset.map_or_else(|| "none".to_owned(), |offset| format!("0/{offset}"));
        let fields = [
            ("state", state.as_str().to_owned(), expected.state.as_str().to_owned()),
            ("code", code.as_str().to_owned(), expected.code.as_str().to_owned()),
            ("settled_by", by(*settled_by), by(expected.settled_by)),
        ];
        for (field, stored, now) in fields {
            if stored != now {
                self.differ(Difference { partition: 0, offset, kind: Kind::Settlement, field, stored, now })?;
            }
        }
        Ok(())
    }

    fn differ(&mut self, difference: Difference) -> Result<(), Failure> {
        self.sum.differences += 1;
        self.progress.print(|out| difference.write(out, self.json))
    }
}
