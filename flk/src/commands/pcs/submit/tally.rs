//! What the answers came to: each by itself, and all together.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    client::{End, Sent},
    documents::Place,
};
use crate::{
    http,
    output::{self, Align, Cell, Table, grouped, style},
};

/// What became of a document, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// The service stands by it.
    Accepted,
    /// Another content stands for its id.
    Conflict,
    /// The service said no: malformed, unauthentic, or judged and refused.
    Refused,
    /// There is no final answer.
    Failed,
    /// It was not sent, so the service knows nothing of it.
    Unsent,
}

/// One document's answer, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    source: String,
    line: Option<u64>,
    pub(super) outcome: Outcome,
    status: Option<u16>,
    code: Option<String>,
    escalated: bool,
    duplicate: bool,
    attempts: u32,
    pub(super) detail: Option<String>,
    /// The service's own words.
    answer: Option<Box<RawValue>>,
}

/// The parts of an answer that are counted: a result's, or a problem's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    code: Option<String>,
    accepted: Option<bool>,
    escalated: bool,
    duplicate: bool,
    conflict: bool,
    state: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
}

impl Line {
    pub(super) fn of(place: &Place, sent: Sent) -> Self {
        let mut line = Self {
            source: place.source.to_string(),
            line: place.line,
            outcome: Outcome::Failed,
            status: None,
            code: None,
            escalated: false,
            duplicate: false,
            attempts: sent.attempts,
            detail: None,
            answer: None,
        };
        match sent.end {
            End::Silence { why } => line.detail = Some(why),
            End::Answer { status, body } => line.answered(status, &body, None),
            End::Unavailable { status, body, why } => line.answered(status, &body, Some(why)),
        }
        line
    }

    /// A document that is larger than a record may be: not sent.
    pub(super) fn too_large(place: &Place, bytes: u64) -> Self {
        let most = flk_contract::limits::BODY_BYTES_MAX;
        Self {
            outcome: Outcome::Unsent,
            detail: Some(format!("not sent: it has {bytes} bytes, and a record has at most {most} (1 MiB)")),
            ..Self::of(place, Sent { attempts: 0, end: End::Silence { why: String::new() } })
        }
    }

    fn answered(&mut self, status: u16, body: &[u8], unavailable: Option<String>) {
        let told: Told = serde_json::from_slice(body).unwrap_or_default();
        self.status = Some(status);
        self.answer = serde_json::from_slice(body).ok();
        self.escalated = told.escalated;
        self.duplicate = told.duplicate;
        self.outcome = match (status, told.accepted) {
            _ if unavailable.is_some() => Outcome::Failed,
            _ if told.conflict => Outcome::Conflict,
            (200 | 202, Some(true)) => Outcome::Accepted,
            (200 | 202, Some(false)) => Outcome::Refused,
            (400..=499, _) => Outcome::Refused,
            _ => Outcome::Failed,
        };
        let said = told.detail.or(told.reason).filter(|said| !said.is_empty());
        self.detail = match (said, unavailable) {
            (Some(said), Some(why)) => Some(format!("{said} ({why})")),
            (said, why) => said.or(why),
        };
        if self.detail.is_none() && self.outcome == Outcome::Failed {
            self.detail = Some(match told.state {
                Some(_) => "the service has not judged it yet".to_owned(),
                None => "the answer is not one of a PCS service; is the endpoint right?".to_owned(),
            });
        }
        self.code = told.code.or(told.state);
    }

    /// One line for a person: what was not accepted, and why.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let place = self.line.map_or_else(|| self.source.clone(), |line| format!("{}:{line}", self.source));
        write!(out, "{}{}{:#}", style::BAD, output::printable(&place), style::BAD)?;
        if let Some(status) = self.status {
            write!(out, " {status}")?;
        }
        if let Some(code) = &self.code {
            write!(out, " {}", output::printable(code))?;
        }
        if self.outcome == Outcome::Conflict {
            write!(out, " conflict: another content stands for this id")?;
        } else if let Some(detail) = &self.detail {
            write!(out, ": {}", output::printable(detail))?;
        }
        writeln!(out)
    }
}

/// What is left of the input when sending stops.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Left {
    pub(super) documents: u64,
    /// There may be more: the input could not be read to its end, or not in time.
    pub(super) unread: bool,
}

/// All of it, counted.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    documents: u64,
    accepted: u64,
    escalated: u64,
    duplicate: u64,
    conflict: u64,
    refused: u64,
    failed: u64,
    /// Too large, or still in the input when sending stopped.
    unsent: u64,
    /// The input was not read to its end: there may be more that was not sent.
    unread: bool,
    retries: u64,
    seconds: f64,
    /// Why nothing more was sent before the end of the input.
    stopped: Option<String>,
    by: Vec<By>,
    #[serde(skip)]
    counts: BTreeMap<(Option<u16>, Option<String>), u64>,
}

#[derive(Debug, Clone, Serialize)]
struct By {
    status: Option<u16>,
    code: Option<String>,
    count: u64,
}

impl Tally {
    pub(super) fn add(&mut self, line: &Line) {
        self.documents += 1;
        self.escalated += u64::from(line.escalated);
        self.duplicate += u64::from(line.duplicate && line.outcome == Outcome::Accepted);
        self.retries += u64::from(line.attempts.saturating_sub(1));
        *match line.outcome {
            Outcome::Accepted => &mut self.accepted,
            Outcome::Conflict => &mut self.conflict,
            Outcome::Refused => &mut self.refused,
            Outcome::Failed => &mut self.failed,
            Outcome::Unsent => {
                // There is no answer to count.
                self.unsent += 1;
                return;
            }
        } += 1;
        *self.counts.entry((line.status, line.code.clone())).or_default() += 1;
    }

    /// What was still in the input when sending stopped.
    pub(super) fn add_unsent(&mut self, left: Left) {
        self.documents += left.documents;
        self.unsent += left.documents;
        self.unread |= left.unread;
    }

    pub(super) fn finish(&mut self, took: Duration, stopped: Option<String>) {
        let by = |((status, code), count): (&(Option<u16>, Option<String>), &u64)| By {
            status: *status,
            code: code.clone(),
            count: *count,
        };
        self.by = self.counts.iter().map(by).collect();
        self.seconds = (took.as_secs_f64() * 1e3).round() / 1e3;
        self.stopped = stopped;
    }

    pub(super) fn documents(&self) -> u64 {
        self.documents
    }

    /// Whether there was something to send, and the service stands by all of it.
    pub(super) fn all_accepted(&self) -> bool {
        self.documents > 0 && self.accepted == self.documents && self.stopped.is_none()
    }

    /// How it goes, in one line.
    pub(super) fn progress(&self) -> String {
        let answered = self.documents - self.unsent;
        let mut text = format!("{} answered, {} accepted", grouped(answered), grouped(self.accepted));
        let others = [
            (self.conflict, "in conflict"),
            (self.refused, "refused"),
            (self.failed, "failed"),
            (self.unsent, "not sent"),
        ];
        for (count, word) in others {
            if count > 0 {
                text += &format!(", {} {word}", grouped(count));
            }
        }
        text
    }

    /// The summary for a person.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new([("status", Align::Left), ("code", Align::Left), ("documents", Align::Right)]);
        for By { status, code, count } in &self.by {
            let colour = match status {
                Some(200) => style::GOOD,
                Some(202) => style::WARN,
                _ => style::BAD,
            };
            let status = status.map_or_else(|| "none".to_owned(), http::reason);
            table.row([Cell::new(status, colour), code.clone().unwrap_or_default().into(), grouped(*count).into()]);
        }
        if !table.is_empty() {
            table.write(out)?;
            writeln!(out)?;
        }
        let mut totals = Table::new([("", Align::Left), ("", Align::Right), ("", Align::Left)]);
        let mut total = |word: &str, count: u64, bad: bool, more: String| {
            let colour = if bad && count > 0 { style::BAD } else { style::PLAIN };
            totals.row([Cell::new(word, colour), Cell::new(grouped(count), colour), Cell::new(more, style::DIM)]);
        };
        let among = match self.duplicate {
            0 => String::new(),
            n => format!("{} of them duplicates of a settled record", grouped(n)),
        };
        total("accepted", self.accepted, false, among);
        total("escalated", self.escalated, false, "a person should look; accepted or refused".to_owned());
        total("in conflict", self.conflict, true, "another content stands for the id".to_owned());
        total("refused", self.refused, true, "malformed, unauthentic, or judged and not accepted".to_owned());
        total("failed", self.failed, true, "no final answer; sending again is always safe".to_owned());
        if self.unsent > 0 || self.unread {
            let more = if self.unread {
                "at least: the input was not read to its end"
            } else {
                "too large, or left when sending stopped"
            };
            total("not sent", self.unsent, true, more.to_owned());
        }
        totals.write(out)?;
        let retries = if self.retries == 1 { "retry" } else { "retries" };
        writeln!(
            out,
            "\n{} documents in {:.1} s, {} {retries}",
            grouped(self.documents),
            self.seconds,
            grouped(self.retries)
        )?;
        self.stopped
            .as_ref()
            .map_or(Ok(()), |why| writeln!(out, "{}stopped{:#}: {}", style::BAD, style::BAD, output::printable(why)))
    }
}
