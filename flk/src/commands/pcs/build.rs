//! `flk pcs build`: rows become a summary. All of it is the agent's function; in here are only its
//! options, the file and the clock.

use std::{io::BufReader, path::PathBuf, process::ExitCode};

use flk_agent::{BuildError, BuildOptions, Csv, SourceError, build, sign as signing};
use flk_contract::LogTime;

use super::sign::{Form, signer};
use crate::{Failure, clock, commands::keygen::Alg, files};

/// Which data, and how.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The same data and the same signal options give the same signals, root and id on every machine, to
the last digit. The summary is one line of JSON; it is unsigned unless --sign is given.

Examples:
  flk pcs build --in data.csv --shard-id s1 --epoch 0
  zcat big.csv.gz | flk pcs build --in - --shard-id s1 --epoch 1 --out pcs.json
  PCS_HMAC_KEY_FILE=hmac.key flk pcs build --in data.csv --shard-id s1 --epoch 2 --sign hmac")]
pub struct Args {
    /// The data: CSV whose first line names the columns x, y, z and, if there is one, timestamp;
    /// - reads standard input
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Which stream of data this is (1 to 256 bytes)
    #[arg(long, value_name = "NAME")]
    shard_id: String,
    /// Which part of the stream, from 0
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    epoch: i64,
    /// Where the summary goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// When it is sent, RFC 3339 [default: now]; not signed
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    sent_at: Option<String>,

    /// Cells per unit, 1 to 64 different ones; the data should span several cells at the smallest
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2,4,8,16", help_heading = SIGNALS)]
    scales: Vec<u64>,
    /// What the random directions are made of
    #[arg(long, value_name = "N", default_value_t = 7, help_heading = SIGNALS)]
    seed: u32,
    /// How many directions are tried; time grows with them
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = SIGNALS)]
    directions: u32,
    /// How many bins a projection is cut into
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = SIGNALS)]
    bins: u32,
    /// How many bytes of raw data make a leaf of the Merkle tree
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, help_heading = SIGNALS)]
    chunk_bytes: usize,

    /// Sign it too, with a key as flk pcs sign takes it
    #[arg(long, value_name = "ALG", value_enum, help_heading = SIGNATURE)]
    sign: Option<Alg>,
    /// What the signature covers
    #[arg(long, value_enum, default_value_t, requires = "sign", help_heading = SIGNATURE)]
    form: Form,
    /// The file with the key [default: from the environment]
    #[arg(long, value_name = "FILE", requires = "sign", help_heading = SIGNATURE)]
    key_file: Option<PathBuf>,
}

const SIGNALS: &str = "Signals (agents that are to give the same summary need the same)";
const SIGNATURE: &str = "Signature";

fn rfc3339(text: &str) -> Result<String, String> {
    match LogTime::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected a time like 2026-01-01T00:00:00Z".to_owned()),
    }
}

/// Builds and writes.
///
/// # Errors
/// Options out of range, data that can not be read or understood, no key to sign with.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    // The key first: nobody waits for a large file to hear that it is missing.
    let signer = args.sign.map(|alg| signer(alg, args.form, args.key_file.as_deref())).transpose()?;
    let options = BuildOptions {
        shard_id: args.shard_id,
        epoch: args.epoch,
        sent_at: args.sent_at.unwrap_or_else(|| clock::now().to_string()),
        scales: args.scales,
        seed: args.seed,
        directions: args.directions,
        bins: args.bins,
        chunk_bytes: args.chunk_bytes,
    };
    let name = files::shown(&args.input);
    let source = |error: SourceError| Failure::failed(format!("{name}: {error}"));
    let rows = Csv::new(BufReader::new(files::open(&args.input)?)).map_err(source)?;
    let mut pcs = build(rows, &options).map_err(|error| match error {
        BuildError::Option { .. } => Failure::mistake(option_name(&error.to_string())),
        error => Failure::failed(format!("{name}: {error}")),
    })?;
    if let Some(signer) = signer {
        signing::sign(&mut pcs, &signer).map_err(Failure::failed)?;
    }
    let mut line = serde_json::to_vec(&pcs).map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    line.push(b'\n');
    files::write(args.out.as_deref(), &line)?;
    Ok(ExitCode::SUCCESS)
}

/// `chunk_bytes: expected …` as people type it: `--chunk-bytes: expected …`.
fn option_name(sentence: &str) -> String {
    let (name, rest) = sentence.split_once(':').unwrap_or((sentence, ""));
    format!("--{}:{rest}", name.replace('_', "-"))
}
