//! How commands reach the log of a data directory, also while a service runs on it; and what they
//! share about it: places and times on the command line, sizes and ages in words.

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use flk_contract::{Code, LogTime};
use flk_log::{
    ReadError,
    embedded::{LogReader, OpenError},
};
use flk_service::settings::{self, DataDirOnly, Flags};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{Failure, clock, output};

/// Which data directory.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DataDir {
    #[command(flatten)]
    flags: Flags<DataDirOnly>,
}

impl DataDir {
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        settings::data_dir(&self.flags).map_err(Failure::mistake)
    }

    /// Its log, to read.
    pub(crate) fn open(&self) -> Result<LogReader, Failure> {
        LogReader::open(&self.path()?).map_err(refused)
    }
}

/// Why a log can not be opened: mostly the operator's to change, but not where the file is damaged.
pub(crate) fn refused(error: OpenError) -> Failure {
    match error {
        OpenError::Damaged { .. } => Failure::failed(error),
        other => Failure::mistake(other),
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { .. } => {
                Self::failed(format!("{error}; flk wal stat --check lists all damage, and --from goes on after it"))
            }
            ReadError::Unavailable(_) => {
                Self::failed(format!("{error}; if that stays so, flk wal stat --check says what of it can be read"))
            }
        }
    }
}

/// A time on the command line: RFC 3339, a day, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    At(LogTime),
    Ago(Duration),
}

impl When {
    pub(crate) fn time(self) -> LogTime {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => clock::now().before(ago),
        }
    }

    /// The offset of the first record at or after it.
    pub(crate) fn offset(self, reader: &LogReader) -> Result<i64, Failure> {
        Ok(reader.offset_at(self.time())?)
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = humantime::parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        LogTime::parse(text).or_else(|_| LogTime::parse(&format!("{text}T00:00:00Z"))).map(Self::At).map_err(|_| {
            "a time is RFC 3339 (2026-01-31T12:00:00Z), a day (2026-01-31) or how long ago (2h)".to_owned()
        })
    }
}

/// A place in the log on the command line: an offset or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Offset(i64),
    Time(When),
}

impl Bound {
    pub(crate) fn offset(self, reader: &LogReader) -> Result<i64, Failure> {
        match self {
            Self::Offset(offset) => Ok(offset),
            Self::Time(when) => when.offset(reader),
        }
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
            _ => When::from_str(text).map(Self::Time).map_err(|why| format!("neither an offset nor a time: {why}")),
        }
    }
}

/// Reads a code on the command line.
pub(crate) fn code(word: &str) -> Result<Code, String> {
    Code::parse(word).ok_or_else(|| format!("a code is one of {}", Code::ALL.map(Code::as_str).join(", ")))
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        // 1023.95 would be shown as 1024.0.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// So many of something, which makes its plural with an s.
pub(crate) fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", output::grouped(n), if n == 1 { "" } else { "s" })
}

/// How long, in its two greatest units.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(length, _)| seconds >= *length).unwrap_or(units.len() - 1);
    let mut left = seconds;
    let mut parts = Vec::with_capacity(2);
    for (length, name) in units.iter().skip(first).take(2) {
        let count = left / length;
        left %= length;
        if count > 0 || parts.is_empty() {
            parts.push(format!("{count} {name}"));
        }
    }
    parts.join(" ")
}

/// How long before now a time is, in words.
pub(crate) fn age(time: LogTime) -> String {
    let millis = clock::now().millis().saturating_sub(time.millis());
    let away = span(Duration::from_millis(millis.unsigned_abs()));
    if millis < 0 { format!("in {away}") } else { format!("{away} ago") }
}

/// Writes to standard output while the log is read.
pub(crate) fn stream<T>(work: impl FnOnce(&mut dyn Write) -> Result<T, Failure>) -> Result<T, Failure> {
    let mut done = None;
    let flushed = output::print(|out| {
        done = Some(work(out));
        Ok(())
    });
    // What went wrong first is what to say.
    match done {
        Some(Ok(value)) => flushed.map(|()| value),
        Some(Err(failure)) => Err(failure),
        None => Err(Failure::output(io::ErrorKind::WriteZero.into())),
    }
}

/// How far a long scan has come, for a person at a terminal; nothing for anybody else.
pub(crate) struct Progress {
    bar: ProgressBar,
    from: i64,
}

impl Progress {
    /// Of a scan of these offsets, `what` in a word.
    pub(crate) fn new(what: &'static str, from: i64, to: i64) -> Self {
        let length = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        // Where lines go to the same terminal, they are the progress.
        if !io::stderr().is_terminal() || length == 0 {
            return Self { bar: ProgressBar::hidden(), from };
        }
        let bar = ProgressBar::new(length).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}") {
            bar.set_style(style);
        }
        Self { bar, from }
    }

    /// Of a scan that prints as it goes: nothing where that goes to a terminal too.
    pub(crate) fn beside_output(what: &'static str, from: i64, to: i64) -> Self {
        if io::stdout().is_terminal() { Self { bar: ProgressBar::hidden(), from } } else { Self::new(what, from, to) }
    }

    /// The record at that offset has been looked at.
    pub(crate) fn at(&self, offset: i64) {
        self.bar.set_position(u64::try_from(offset.saturating_sub(self.from)).unwrap_or(0));
    }

    /// Prints with the bar out of the way.
    pub(crate) fn print(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        self.bar.suspend(|| output::print(write))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_read_at_a_glance() {
        let sizes = [0, 1023, 1024, 1_048_575, 1_048_576, 5_500_000_000, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 MiB", "5.1 GiB", "16777216.0 TiB"]);
        let spans = [0, 59, 60, 61, 3_600, 3_659, 86_400 * 13 + 3_600 * 4 + 59].map(|n| span(Duration::from_secs(n)));
        assert_eq!(spans, ["0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 h", "13 d 4 h"]);
    }

    #[test]
    fn places_are_offsets_days_times_or_how_long_ago() {
        let at = |millis| Bound::Time(When::At(LogTime::from_millis(millis)));
        assert_eq!("12".parse(), Ok(Bound::Offset(12)));
        assert_eq!("2h".parse(), Ok(Bound::Time(When::Ago(Duration::from_secs(7_200)))));
        assert_eq!("2026-01-01".parse(), Ok(at(1_767_225_600_000)));
        assert_eq!("2026-01-01T00:00:00.007Z".parse(), Ok(at(1_767_225_600_007)));
        for wrong in ["", "-1", "yesterday", "2026-1", "2026-13-01", "12/3"] {
            assert!(wrong.parse::<Bound>().is_err(), "{wrong}");
        }
        // A duration needs its unit, so that an offset is never taken for one.
        assert!("12".parse::<When>().is_err());
    }
}
