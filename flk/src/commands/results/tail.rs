//! `flk results tail`: the last results, and new ones as they come.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use flk_contract::wire::ResultBody;
use flk_log::embedded::{FILE, LogReader};

use super::{
    filter::{Filter, Found},
    row,
};
use crate::{Failure, data_dir::DataDir, output};

/// How often the log is asked for more.
const INTERVAL: Duration = Duration::from_millis(200);

/// Which results, and whether to wait for more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --follow it goes on until it is interrupted, also while the service restarts. Results are
printed when they are durable, at most 200 ms later.")]
pub struct Args {
    #[command(flatten)]
    dir: DataDir,
    #[command(flatten)]
    filter: Filter,
    /// How many of the last results to begin with
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    lines: u32,
    /// Print new results as they come
    #[arg(long, short)]
    follow: bool,
    /// Print NDJSON, one result a line
    #[arg(long)]
    json: bool,
}

/// Prints them.
///
/// # Errors
/// A log that is not there or can not be read, or is taken away meanwhile.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let reader = args.dir.open()?;
    let file = File::of(&args.dir.path()?)?;
    // What is settled after this is new; what was settled before is among the last.
    let mut next = reader.next()?;
    if args.lines > 0 {
        args.print(&args.filter.last(&reader, next, args.lines as usize)?)?;
    }
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let end = reader.next()?;
        if end > next {
            args.print_new(&reader, next, end)?;
            next = end;
        } else {
            file.check()?;
            thread::sleep(INTERVAL);
        }
    }
}

impl Args {
    fn print(&self, results: &[Found]) -> Result<(), Failure> {
        output::print(|out| {
            results.iter().try_for_each(|found| {
                if self.json {
                    output::json_line(out, &ResultBody::settled(&found.settled))
                } else {
                    row::line(out, found)
                }
            })
        })
    }

    /// What was settled from `from` on and before `to`, a little at a time, each at once.
    fn print_new(&self, reader: &LogReader, from: i64, to: i64) -> Result<(), Failure> {
        const AT_A_TIME: usize = 200;
        let mut scan = self.filter.scan(reader, to)?;
        scan.from = scan.from.max(from);
        let mut found = Vec::new();
        reader.scan(&scan, |record| {
            found.extend(self.filter.found(&record));
            if found.len() >= AT_A_TIME {
                self.print(&found)?;
                found.clear();
            }
            Ok::<_, Failure>(true)
        })?;
        self.print(&found)
    }
}

/// The log's file, to notice that another has taken its place: what is open is then read for ever,
/// and nothing new comes.
struct File {
    path: PathBuf,
    id: (u64, u64),
}

impl File {
    fn of(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let id = Self::id(&path)?;
        Ok(Self { path, id })
    }

    fn id(path: &Path) -> Result<(u64, u64), Failure> {
        let found = fs::metadata(path);
        let found =
            found.map_err(|error| Failure::failed(format!("{} is not there any more: {error}", path.display())))?;
        Ok((found.dev(), found.ino()))
    }

    fn check(&self) -> Result<(), Failure> {
        if Self::id(&self.path)? == self.id {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "{} was replaced by another file; start again to follow that one",
            self.path.display()
        )))
    }
}
