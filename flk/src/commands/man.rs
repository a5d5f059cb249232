//! `flk man`: the manual pages, made from the definition of the command line.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::{Failure, cli::Cli, output};

/// Where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flk man | man -l -
  flk man --out /usr/local/share/man/man1")]
pub struct Args {
    /// Write a page for each subcommand into this directory (made if missing), instead of
    /// printing the first page
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the page, or writes all of them.
///
/// # Errors
/// Where that can not be done.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.out {
        None => {
            let mut page = Vec::new();
            Man::new(Cli::command()).render(&mut page).map_err(Failure::output)?;
            output::print(|out| out.write_all(&page))?;
        }
        Some(directory) => {
            fs::create_dir_all(&directory).and_then(|()| clap_mangen::generate_to(Cli::command(), &directory)).map_err(
                |error| Failure::failed(format!("the pages can not be written to {}: {error}", directory.display())),
            )?
        }
    }
    Ok(ExitCode::SUCCESS)
}
