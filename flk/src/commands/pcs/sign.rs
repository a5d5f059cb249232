//! `flk pcs sign`: fills in `sig`, and leaves every other byte as it is.
//!
//! Keys come from the environment or a file, never from the command line, where every user of the
//! machine could read them.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use flk_agent::sign::{SignForm, Signer, sign_bytes};
use zeroize::Zeroizing;

use crate::{Failure, commands::keygen::Alg, environment, files};

const HMAC_KEY: &str = "PCS_HMAC_KEY";
const PRIVATE_KEY: &str = "PCS_ED25519_PRIV_B64";

/// What to sign, and with what.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys:
  hmac     PCS_HMAC_KEY, PCS_HMAC_KEY_FILE or --key-file: the secret as it is, never decoded
  ed25519  PCS_ED25519_PRIV_B64, PCS_ED25519_PRIV_B64_FILE or --key-file: base64 of 32 bytes
  One final line end of a file is dropped. Keys are never taken from the command line.

Examples:
  flk pcs sign --alg ed25519 --key-file keys/ed25519-private.b64 pcs.json > signed.json
  PCS_HMAC_KEY_FILE=hmac.key flk pcs sign --alg hmac --form payload -")]
pub struct Args {
    /// The summary, one JSON object; - reads standard input
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// The algorithm [default: PCS_SIGN_ALG, or else the one whose key is in the environment]
    #[arg(long, value_enum)]
    alg: Option<Alg>,
    /// What the signature covers
    #[arg(long, value_enum, default_value_t)]
    form: Form,
    /// The file with the key [default: from the environment]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Where the signed summary goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Form {
    /// All that is judged: nobody on the way can change it
    #[default]
    Content,
    /// Eight of the fields, for services that do not know the other
    #[value(alias = "payload-digest")]
    Payload,
    /// The same eight without a digest between, hmac only: how other agents sign
    PayloadDirect,
}

impl From<Form> for SignForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Content => Self::Content,
            Form::Payload => Self::PayloadDigest,
            Form::PayloadDirect => Self::PayloadDirect,
        }
    }
}

/// Signs and writes.
///
/// # Errors
/// No key, a key that is none, a summary that no service would take.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let alg = match args.alg {
        Some(alg) => alg,
        None => algorithm(args.key_file.as_deref())?,
    };
    let signer = signer(alg, args.form, args.key_file.as_deref())?;
    let body = files::read(&args.input)?;
    let signed = sign_bytes(&body, &signer)
        .map_err(|error| Failure::failed(format!("{}: {error}", files::shown(&args.input))))?;
    files::write(args.out.as_deref(), &signed)?;
    Ok(ExitCode::SUCCESS)
}

/// The algorithm that the environment names, or else that of the one key that it has.
fn algorithm(key_file: Option<&Path>) -> Result<Alg, Failure> {
    const ALG: &str = "PCS_SIGN_ALG";
    match environment::setting(ALG)?.as_ref().map(|words| words.trim()) {
        Some("hmac") => return Ok(Alg::Hmac),
        Some("ed25519") => return Ok(Alg::Ed25519),
        // A service takes both, and an agent signs with one.
        None | Some("hmac,ed25519" | "ed25519,hmac") => {}
        Some(_) => {
            return Err(Failure::mistake(format!("{ALG} names nothing to sign with: say --alg hmac or --alg ed25519")));
        }
    }
    if key_file.is_some() {
        return Err(Failure::mistake("--key-file needs --alg: hmac or ed25519, what the key is for"));
    }
    match (environment::setting(HMAC_KEY)?, environment::setting(PRIVATE_KEY)?) {
        (Some(_), None) => Ok(Alg::Hmac),
        (None, Some(_)) => Ok(Alg::Ed25519),
        (Some(_), Some(_)) => {
            Err(Failure::mistake(format!("{HMAC_KEY} and {PRIVATE_KEY} are both set; say --alg hmac or --alg ed25519")))
        }
        (None, None) => Err(Failure::mistake(format!(
            "there is no key to sign with: set {HMAC_KEY} or {PRIVATE_KEY} (or either with _FILE), or name --alg and \
             --key-file; flk keygen makes one"
        ))),
    }
}

/// The key of the file or the environment, ready to sign.
pub(super) fn signer(alg: Alg, form: Form, key_file: Option<&Path>) -> Result<Signer, Failure> {
    let name = match alg {
        Alg::Hmac => HMAC_KEY,
        Alg::Ed25519 => PRIVATE_KEY,
    };
    let key = match key_file {
        Some(path) => environment::key_of_file(path)?,
        None => environment::setting(name)?.ok_or_else(|| {
            Failure::mistake(format!(
                "there is no key to sign with: set {name} or {name}_FILE, or name --key-file; flk keygen --alg {} \
                 makes one",
                alg.as_str()
            ))
        })?,
    };
    match alg {
        Alg::Hmac => Signer::hmac(key.as_bytes(), form.into()),
        Alg::Ed25519 => {
            let seed = seed(&key, name, key_file)?;
            Signer::ed25519(&seed, form.into())
        }
    }
    .map_err(Failure::mistake)
}

fn seed(key: &str, name: &str, key_file: Option<&Path>) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let bytes = STANDARD.decode(key.trim()).map(Zeroizing::new).ok();
    bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok()).map(Zeroizing::new).ok_or_else(|| {
        let place = key_file.map_or_else(|| name.to_owned(), |path| path.display().to_string());
        Failure::mistake(format!(
            "{place} is no Ed25519 private key: it is standard base64 of 32 bytes (44 characters), as flk keygen writes it"
        ))
    })
}
