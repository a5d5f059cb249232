//! What a verdict rests on, laid open for a person who asks why.
//!
//! The verdict is [`judge`]'s and nobody else's. The checks beside it are the contract's own, looked
//! at one by one, also beyond the first that fails.

use std::io::{self, Write};

use flk_contract::{
    Check, Code, Digest, Form, Keyring, LogTime, Record, Signing, Tenant, canonical, explain, judge,
    limits::BODY_BYTES_MAX,
    signature::{self, Held, Signed},
};
use serde::Serialize;

use crate::output::{self, Align, Cell, Table, style};

/// The verdict on one body, and why.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    verdict: VerdictLine,
    checks: Vec<CheckLine>,
    signature: Option<SignatureLine>,
    payload: Option<String>,
    payload_sha256: Option<Digest>,
    content: Option<String>,
    content_sha256: Option<Digest>,
    judged_at: LogTime,
}

/// What the service would say.
#[derive(Debug, Serialize)]
struct VerdictLine {
    code: Code,
    status: u16,
    /// Null where the record was never judged.
    accepted: Option<bool>,
    escalated: bool,
    reason: String,
}

/// One check of the contract's section 4.
#[derive(Debug, Serialize)]
struct CheckLine {
    number: u8,
    name: &'static str,
    /// What the record says; null where that can not be known.
    claimed: Option<String>,
    /// What it would have to be, or why it fails.
    expected: Option<String>,
    /// Null where the check was not reached.
    ok: Option<bool>,
}

/// Which signature held.
#[derive(Debug, Serialize)]
struct SignatureLine {
    held: bool,
    form: Option<Form>,
    key_id: Option<String>,
    tenant: Option<Tenant>,
    /// Why none held.
    why: Option<String>,
}

/// What a body is judged by, besides itself.
pub(super) struct Circumstances<'a> {
    pub(super) at: LogTime,
    pub(super) tenant: Option<&'a str>,
    pub(super) signing: Signing,
    pub(super) keys: &'a Keyring,
}

impl Report {
    pub(super) fn of(body: &[u8], by: &Circumstances<'_>) -> Self {
        let verdict = judge(body, by.at, by.tenant, by.signing, by.keys);
        let meaning = verdict.code.meaning();
        let mut report = Self {
            verdict: VerdictLine {
                code: verdict.code,
                status: meaning.status,
                accepted: meaning.accepted,
                escalated: meaning.escalated,
                reason: verdict.reason.clone(),
            },
            checks: Vec::with_capacity(10),
            signature: None,
            payload: None,
            payload_sha256: None,
            content: None,
            content_sha256: None,
            judged_at: by.at,
        };
        let size = format!("{} bytes", body.len());
        match Record::parse(body) {
            // The tenant named beside the record can make it malformed too.
            Ok(record) if verdict.code != Code::Malformed => {
                let bound = format!("one JSON object of at most {BODY_BYTES_MAX} bytes");
                report.check(1, Some(size), Some(bound), Some(true));
                report.look_into(&record, by);
            }
            _ => {
                report.check(1, Some(size), Some(verdict.reason), Some(false));
                (2..=10).for_each(|number| report.check(number, None, None, None));
            }
        }
        report
    }

    fn look_into(&mut self, record: &Record<'_>, by: &Circumstances<'_>) {
        let signed = Signed::of(record);
        let held = signature::verify(record.sig.as_deref(), &signed, by.at, by.tenant, by.signing, by.keys);
        let claimed = match record.sig.as_deref() {
            None => "no sig".to_owned(),
            Some(sig) => format!("a sig of {} characters", sig.len()),
        };
        let (line, expected) = match held {
            Ok(Held { tenant, key_id, form }) => {
                let expected = match (form, &key_id) {
                    (Some(form), Some(id)) => format!("it signs the {form}, key {id}, tenant {tenant}"),
                    _ => "none is asked for (PCS_SIGN_ALG=none)".to_owned(),
                };
                let key_id = key_id.map(|id| id.to_string());
                (SignatureLine { held: true, form, key_id, tenant: Some(tenant), why: None }, expected)
            }
            Err(error) => {
                let why = error.to_string();
                (SignatureLine { held: false, form: None, key_id: None, tenant: None, why: Some(why.clone()) }, why)
            }
        };
        self.check(2, Some(claimed), Some(expected), Some(line.held));
        self.signature = Some(line);
        for finding in explain(record) {
            let number = finding.check.number();
            self.check(number, Some(finding.claimed), Some(finding.expected), Some(finding.held));
        }
        self.content = Some(canonical::content(record));
        self.content_sha256 = Some(signed.content_sha256);
        self.payload_sha256 = Some(signed.payload_sha256);
        self.payload = Some(signed.payload);
    }

    fn check(&mut self, number: u8, claimed: Option<String>, expected: Option<String>, ok: Option<bool>) {
        self.checks.push(CheckLine { number, name: name(number), claimed, expected, ok });
    }

    pub(super) fn accepted(&self) -> bool {
        self.verdict.accepted == Some(true)
    }

    /// The report for a person.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new([
            ("", Align::Right),
            ("check", Align::Left),
            ("", Align::Left),
            ("claimed", Align::Left),
            ("recomputed or expected", Align::Left),
        ]);
        for check in &self.checks {
            let word = match check.ok {
                Some(true) => Cell::new("ok", style::GOOD),
                Some(false) => Cell::new("FAIL", style::BAD),
                None => Cell::new("-", style::DIM),
            };
            let claimed = check.claimed.as_deref().map_or_else(|| "not reached".to_owned(), shortened);
            let expected = check.expected.as_deref().unwrap_or_default();
            // An id that is the right one need not be compared by eye; the wrong one follows below.
            let expected = if check.number == PCS_ID { shortened(expected) } else { expected.to_owned() };
            table.row([check.number.to_string().into(), check.name.into(), word, claimed.into(), expected.into()]);
        }
        table.write(out)?;
        writeln!(out)?;
        if let Some(id) = self.checks.iter().find(|check| check.number == PCS_ID && check.ok == Some(false)) {
            let mut ids = Table::new([("", Align::Left), ("", Align::Left)]);
            for (name, text) in [("pcs_id claimed", &id.claimed), ("pcs_id expected", &id.expected)] {
                ids.row([Cell::new(name, style::BOLD), text.clone().unwrap_or_default().into()]);
            }
            ids.write(out)?;
            writeln!(out)?;
        }
        let mut digests = Table::new([("", Align::Left), ("", Align::Left)]);
        let mut digest = |name: &str, text: Option<&String>, sha256: Option<Digest>| {
            if let (Some(text), Some(sha256)) = (text, sha256) {
                digests.row([Cell::new(name, style::BOLD), text.as_str().into()]);
                digests.row([Cell::new("sha256", style::DIM), sha256.to_string().into()]);
            }
        };
        digest("payload", self.payload.as_ref(), self.payload_sha256);
        digest("content", self.content.as_ref(), self.content_sha256);
        if !digests.is_empty() {
            digests.write(out)?;
            writeln!(out)?;
        }
        let VerdictLine { code, status, accepted, escalated, reason } = &self.verdict;
        let (word, colour) = match (accepted, escalated) {
            (Some(true), false) => ("accepted", style::GOOD),
            (Some(true), true) => ("accepted, escalated", style::WARN),
            (Some(false), _) => ("refused, escalated", style::BAD),
            (None, _) => ("not judged", style::BAD),
        };
        writeln!(out, "{}verdict{:#}  {colour}{code}{colour:#}: {status}, {word}", style::BOLD, style::BOLD)?;
        if !reason.is_empty() {
            writeln!(out, "{}reason{:#}   {}", style::BOLD, style::BOLD, output::printable(reason))?;
        }
        Ok(())
    }
}

/// The number of the check whose two sides are digests.
const PCS_ID: u8 = Check::PcsId.number();

/// What a check asks, in a few words.
fn name(number: u8) -> &'static str {
    let Some(check) = Check::ALL.into_iter().find(|check| check.number() == number) else {
        return if number == 1 { "well-formed record" } else { "authentic" };
    };
    match check {
        Check::PcsId => "pcs_id derived from its parts",
        Check::Schema => "schema and version known",
        Check::DHatAvailable => "D_hat can be recomputed",
        Check::DHatTolerance => "D_hat within its tolerance",
        Check::Coherence => "coh_star within its bounds",
        Check::Regime => "regime is the derived one",
        Check::Budget => "budget within its tolerance",
        Check::NotDegraded => "not degraded",
    }
}

/// Beginning and end of a text that is too long for a table.
fn shortened(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= 40 {
        return text.to_owned();
    }
    match (chars.first_chunk::<8>(), chars.last_chunk::<8>()) {
        (Some(first), Some(last)) => format!("{}…{}", String::from_iter(first), String::from_iter(last)),
        _ => text.to_owned(),
    }
}
