//! The service's own log: lines for people or JSON for machines, on standard error.
//!
//! Lines are handed to a thread of their own through a bounded queue. Where whoever reads them is
//! too slow, lines are dropped and counted: logging is never what requests wait for.
//!
//! No body, signature or key is ever logged. This room sees to the one place where that could
//! happen by accident: the message of a panic may quote what was being read, so only messages that
//! are constants of the program are told, together with the place.

use core::{fmt, str::FromStr};
use std::{
    io::{self, IsTerminal as _},
    panic,
};

use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt as lines, fmt::MakeWriter, layer::SubscriberExt as _, registry::Registry,
};

/// Lines that wait for their reader at the most: a second or so of a busy service, in a few MiB.
const LINES: usize = 8192;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// [`Format::Text`] on a terminal, else [`Format::Json`].
    #[default]
    Auto,
    /// One line a message, for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which lines are written: a level, and levels for parts of the program.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    targets: Targets,
    text: String,
}

/// What no filter can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be off, error, warn, info, debug or trace, also for a part as in info,flk_ingest=debug")]
pub struct NotAFilter;

impl FromStr for Filter {
    type Err = NotAFilter;

    /// A comma list of `LEVEL` and `TARGET=LEVEL`. Stricter than [`Targets`], which takes a
    /// misspelt level for the name of a target.
    fn from_str(text: &str) -> Result<Self, NotAFilter> {
        let level = |word: &str| match word {
            "off" => Ok(LevelFilter::OFF),
            "error" => Ok(LevelFilter::ERROR),
            "warn" => Ok(LevelFilter::WARN),
            "info" => Ok(LevelFilter::INFO),
            "debug" => Ok(LevelFilter::DEBUG),
            "trace" => Ok(LevelFilter::TRACE),
            _ => Err(NotAFilter),
        };
        let lower = text.to_ascii_lowercase();
        let mut targets = Targets::new();
        let mut default = None;
        for part in lower.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((target, word)) if is_target(target.trim()) => {
                    targets = targets.with_target(target.trim(), level(word.trim())?);
                }
                Some(_) => return Err(NotAFilter),
                None if default.is_none() => default = Some(level(part)?),
                None => return Err(NotAFilter),
            }
        }
        Ok(Self { targets: targets.with_default(default.unwrap_or(LevelFilter::INFO)), text: lower })
    }
}

fn is_target(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'))
}

impl Default for Filter {
    fn default() -> Self {
        Self { targets: Targets::new().with_default(Level::INFO), text: "info".to_owned() }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Logging {
    /// How lines look.
    pub format: Format,
    /// Which are written.
    pub filter: Filter,
}

/// Keeps the log going; dropping it writes what still waits (for about a second at the most). Hold
/// it until the end of `main`.
#[derive(Debug)]
#[must_use = "lines are lost once this is dropped"]
pub struct Telemetry {
    _guard: WorkerGuard,
    dropped: ErrorCounter,
}

impl Telemetry {
    /// Counts the lines dropped so far: for [`crate::Metrics::watch_dropped_lines`].
    pub fn dropped_lines(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let dropped = self.dropped.clone();
        move || u64::try_from(dropped.dropped_lines()).unwrap_or(u64::MAX)
    }
}

/// The process logs somewhere already.
#[derive(Debug, thiserror::Error)]
#[error("logging is set up already; it can be once a process")]
pub struct AlreadySetUp;

/// Sets up logging to standard error, for the whole process, and how panics are told.
///
/// # Errors
/// [`AlreadySetUp`].
pub fn init(logging: &Logging) -> Result<Telemetry, AlreadySetUp> {
    let terminal = io::stderr().is_terminal();
    let format = match logging.format {
        Format::Auto if terminal => Format::Text,
        Format::Auto => Format::Json,
        chosen => chosen,
    };
    // https://no-color.org: any value that is not empty.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = terminal && !plain;
    // What waits is written at once, with one call, and flushed: a call a line was a twelfth of the
    // service's processor time.
    let (writer, guard) = queue(io::BufWriter::with_capacity(64 * 1024, io::stderr()), LINES);
    let dropped = writer.error_counter();
    let filter = logging.filter.clone();
    tracing::subscriber::set_global_default(subscriber(format, filter, colours, writer)).map_err(|_| AlreadySetUp)?;
    panic::set_hook(Box::new(tell_panic));
    Ok(Telemetry { _guard: guard, dropped })
}

fn queue(writer: impl io::Write + Send + 'static, lines: usize) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).buffered_lines_limit(lines).thread_name("flk-log").finish(writer)
}

fn subscriber<W>(format: Format, filter: Filter, colours: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = lines::layer().with_writer(writer).with_ansi(colours && format != Format::Json);
    match format {
        Format::Json => Box::new(Registry::default().with(
            // Fields at the top, where every log system finds them without being told.
            layer.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter.targets),
        )),
        Format::Text | Format::Auto => Box::new(Registry::default().with(layer.with_filter(filter.targets))),
    }
}

fn tell_panic(info: &panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let message = message(info.payload());
    tracing::error!(thread = thread.name().unwrap_or("unnamed"), place, message, "panic");
}

/// The message, where it is a constant of the program.
fn message(payload: &(dyn core::any::Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(not told: it may quote a record)")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, filter: &str, colours: bool, log: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(format, filter.parse().unwrap(), colours, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line_with_its_fields_at_the_top_and_never_coloured() {
        let text = written(Format::Json, "info", true, || {
            let span = tracing::info_span!("request", id = "r-1");
            span.in_scope(|| tracing::info!(code = "ok", ms = 3, "answered"));
            tracing::warn!("two\nlines");
        });
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!((&lines[0]["message"], &lines[0]["code"]), (&"answered".into(), &"ok".into()));
        assert_eq!((&lines[0]["level"], &lines[0]["span"]["id"]), (&"INFO".into(), &"r-1".into()));
        assert!(lines[0]["timestamp"].as_str().unwrap().ends_with('Z'), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn text_is_coloured_on_a_terminal_only() {
        let log = || tracing::info!(code = "ok", "answered");
        let text = written(Format::Text, "info", false, log);
        assert!(text.contains("INFO") && text.contains("answered") && !text.contains('\u{1b}'), "{text}");
        assert!(written(Format::Text, "info", true, log).contains('\u{1b}'));
    }

    #[test]
    fn levels_hold_for_all_or_for_a_part() {
        let log = || {
            tracing::debug!(target: "flk_ingest::server", "fine print");
            tracing::debug!(target: "flk_log", "other print");
            tracing::info!("news");
        };
        let told = |filter| {
            let text = written(Format::Text, filter, false, log);
            ["fine print", "other print", "news"].map(|message| text.contains(message))
        };
        assert_eq!(told("info"), [false, false, true]);
        assert_eq!(told("DEBUG"), [true, true, true]);
        assert_eq!(told("warn, flk_ingest=debug"), [true, false, false]);
        assert_eq!(told("flk_ingest=debug"), [true, false, true]);
        assert_eq!(told("off"), [false, false, false]);
    }

    #[test]
    fn a_misspelt_level_is_refused_instead_of_taken_for_a_target() {
        for bad in ["", "inof", "info,", "flk=loud", "=debug", "info,debug", "a b=info", "info;debug"] {
            assert_eq!(bad.parse::<Filter>(), Err(NotAFilter), "{bad}");
        }
        assert_eq!("Info,flk_log=TRACE".parse::<Filter>().unwrap().to_string(), "info,flk_log=trace");
        assert_eq!(Filter::default(), "info".parse().unwrap());
    }

    #[test]
    fn lines_are_dropped_and_counted_where_the_reader_is_too_slow() {
        // A reader that takes nothing for as long as the test holds its lock.
        let page = Page::default();
        let hold = page.0.lock().unwrap();
        let (writer, guard) = queue(page.clone(), 4);
        let telemetry = Telemetry { dropped: writer.error_counter(), _guard: guard };
        let subscriber = subscriber(Format::Text, Filter::default(), false, writer);
        tracing::subscriber::with_default(subscriber, || (0..100).for_each(|n| tracing::info!(n, "line")));
        let dropped = telemetry.dropped_lines()();
        assert!((90..=96).contains(&dropped), "{dropped}");
        drop(hold);
        drop(telemetry);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count() as u64, 100 - dropped, "what was taken is written");
    }

    #[test]
    fn a_panic_tells_its_message_only_where_that_is_a_constant() {
        assert_eq!(message(&"index out of order"), "index out of order");
        let told = message(&format!("byte 3 is inside {}", "a body"));
        assert!(!told.contains("body"), "{told}");
    }
}
