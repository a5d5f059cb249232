//! `flk completions`: a completion script, made from the definition of the command line.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::{Failure, cli::Cli, output};

/// Which shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flk completions bash > /etc/bash_completion.d/flk
  flk completions zsh > \"${fpath[1]}/_flk\"
  flk completions fish > ~/.config/fish/completions/flk.fish")]
pub struct Args {
    /// The shell to complete in
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Where it can not be printed.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "flk", &mut script);
    output::print(|out| out.write_all(&script))?;
    Ok(ExitCode::SUCCESS)
}
