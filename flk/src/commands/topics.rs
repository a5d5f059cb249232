//! `flk topics`: makes Kafka's topics as they have to be, or says how they differ.

use std::process::ExitCode;

use flk_service::settings::{self, Flags, TopicsOnly};
use serde_json::json;

use crate::{
    Failure,
    distributed::{
        self,
        topics::{self, Found},
    },
    output::{self, style},
};

/// What to do with the topics.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
The five topics are pcs.raw, pcs.verified, pcs.results, pcs.refused and pcs.replies, behind the
prefix. Numbers of partitions are chosen when they are created, and never changed.

Examples:
  flk topics apply --kafka localhost:9092 --replication 1
  flk topics check --kafka localhost:9092 --replication 1 --json"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create topics that are missing, and set what is set otherwise
    Apply(Asked),
    /// List what differs, a sentence each; exit with 1 if anything does
    Check(Asked),
}

#[derive(Debug, clap::Args)]
struct Asked {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Flags<TopicsOnly>,
}

/// Does it.
///
/// # Errors
/// [`Failure`], where Kafka does not answer, and where something differs in the end.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    distributed::is_built()?;
    let (asked, found) = match &args.command {
        Command::Apply(asked) => (asked, topics::apply(&settings::kafka(&asked.settings)?)?),
        Command::Check(asked) => (asked, topics::check(&settings::kafka(&asked.settings)?)?),
    };
    let Found { done, differences } = found;
    let ok = differences.is_empty();
    if asked.json {
        output::print(|out| output::json_line(out, &json!({ "ok": ok, "done": done, "differences": differences })))?;
    } else {
        output::print(|out| {
            for sentence in &done {
                writeln!(out, "{}", output::printable(sentence))?;
            }
            for difference in &differences {
                let sentence = difference["difference"].as_str().unwrap_or_default();
                writeln!(out, "{}differs{:#}  {}", style::BAD, style::BAD, output::printable(sentence))?;
            }
            if ok && done.is_empty() {
                writeln!(out, "all five topics are as they have to be")?;
            }
            Ok(())
        })?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
