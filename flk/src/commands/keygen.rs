//! `flk keygen`: a signing key from the system's random numbers, alone or with the files
//! that deploy it.
//!
//! What a key is, and what its id is, are the contract's: the key made here is read back by the
//! function that a service reads its keys with.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use clap::ValueEnum;
use flk_contract::{
    Key, Tenant,
    keys::{Algorithm, Window},
    signature,
};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    Failure,
    files::{self, Access, NewFile},
    output::{self, Align, Cell, Table, style},
};

mod bundle;

/// Which key, and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --out the key is printed as environment lines. With --out it goes into files, those with
secrets readable by their owner only, and nothing secret is printed.

Examples:
  flk keygen --alg ed25519 --out keys/2026-07
  (umask 077; flk keygen --alg hmac > agent.env)
  flk keygen --alg ed25519 --json")]
pub struct Args {
    /// What the key is for: ed25519 (agents sign, services can only verify) or hmac (one secret
    /// for both)
    #[arg(long, value_enum)]
    alg: Alg,
    /// Write into this directory (made with mode 0700 if missing); nothing is ever overwritten
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The key's id in a keys file: 1 to 64 printable ASCII characters [default: derived from the
    /// key]
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// Whose key it is, in a keys file
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = Tenant::new)]
    tenant: Tenant,
    /// Print JSON, and no advice
    #[arg(long)]
    json: bool,
}

/// The algorithms of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Alg {
    /// A pair: the agent has the private key, the service the public one
    Ed25519,
    /// A secret that agent and service share
    Hmac,
}

impl Alg {
    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => Algorithm::Ed25519.as_str(),
            Self::Hmac => Algorithm::Hmac.as_str(),
        }
    }
}

/// A key as it was made.
enum Material {
    /// Base64 of the 32-byte seed, and of the public key.
    Ed25519 { private: Zeroizing<String>, public: String },
    /// Text of which the UTF-8 bytes are the key.
    Hmac { secret: Zeroizing<String> },
}

struct Generated {
    material: Material,
    id: String,
    /// The id that it has where it comes from the environment.
    derived_id: String,
    tenant: Tenant,
}

impl Generated {
    fn alg(&self) -> Alg {
        match self.material {
            Material::Ed25519 { .. } => Alg::Ed25519,
            Material::Hmac { .. } => Alg::Hmac,
        }
    }
}

/// Makes the key, and prints it or writes its files.
///
/// # Errors
/// A key id that can not be one, a file that is there already, a directory that can not be written.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let key = generate(args.alg, args.kid.as_deref(), args.tenant)?;
    match args.out {
        Some(directory) => {
            let files = bundle::files(&key);
            files::create_all(&directory, &files)?;
            output::print(|out| written(out, &key, &directory, &files, args.json))?;
        }
        None => output::print(|out| if args.json { output::json_line(out, &secrets(&key)) } else { lines(out, &key) })?,
    }
    if !args.json {
        output::note(|err| advice(err, &key));
    }
    Ok(ExitCode::SUCCESS)
}

fn generate(alg: Alg, kid: Option<&str>, tenant: Tenant) -> Result<Generated, Failure> {
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(random.as_mut_slice())
        .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
    let material = match alg {
        Alg::Ed25519 => Material::Ed25519 {
            private: Zeroizing::new(STANDARD.encode(random.as_slice())),
            public: signature::ed25519_public(&random),
        },
        Alg::Hmac => Material::Hmac { secret: Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice())) },
    };
    let named = |id| {
        let key = match &material {
            Material::Ed25519 { public, .. } => Key::ed25519(id, tenant.clone(), public, Window::default()),
            Material::Hmac { secret } => Key::hmac(id, tenant.clone(), secret.as_bytes(), Window::default()),
        };
        key.map(|key| key.id().to_string()).map_err(Failure::mistake)
    };
    Ok(Generated { id: named(kid)?, derived_id: named(None)?, material, tenant })
}

/// A key for a program: the names of a keys file, and the private part beside them.
#[derive(Serialize)]
struct Secrets<'a> {
    alg: &'static str,
    id: &'a str,
    tenant: &'a Tenant,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
}

fn secrets(key: &Generated) -> Secrets<'_> {
    let (secret, private_key, public_key) = match &key.material {
        Material::Ed25519 { private, public } => (None, Some(private.as_str()), Some(public.as_str())),
        Material::Hmac { secret } => (Some(secret.as_str()), None, None),
    };
    Secrets { alg: key.alg().as_str(), id: &key.id, tenant: &key.tenant, key: secret, private_key, public_key }
}

/// The key as lines that an environment file takes.
fn lines(out: &mut dyn Write, key: &Generated) -> io::Result<()> {
    writeln!(out, "# {} key, id {}", key.alg().as_str(), key.id)?;
    match &key.material {
        Material::Ed25519 { private, public } => {
            writeln!(out, "PCS_ED25519_PRIV_B64={}", private.as_str())?;
            writeln!(out, "PCS_ED25519_PUB_B64={public}")
        }
        Material::Hmac { secret } => writeln!(out, "PCS_HMAC_KEY={}", secret.as_str()),
    }
}

/// What was written where. Says nothing secret.
fn written(out: &mut dyn Write, key: &Generated, directory: &Path, files: &[NewFile], json: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct File {
        path: String,
        secret: bool,
    }
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(flatten)]
        key: Secrets<'a>,
        directory: &'a str,
        files: Vec<File>,
    }
    let shown = directory.to_string_lossy();
    if json {
        let file = |file: &NewFile| File {
            path: directory.join(file.name).to_string_lossy().into_owned(),
            secret: file.access == Access::Secret,
        };
        let key = Secrets { key: None, private_key: None, ..secrets(key) };
        return output::json_line(out, &Written { key, directory: &shown, files: files.iter().map(file).collect() });
    }
    writeln!(out, "{} key, id {}, in {}", key.alg().as_str(), key.id, output::printable(&shown))?;
    let mut table = Table::new([("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    for file in files {
        let access = match file.access {
            Access::Secret => Cell::new("secret", style::WARN),
            Access::Public => Cell::new("public", style::DIM),
        };
        table.row([access, file.name.into(), Cell::new(bundle::purpose(file.name), style::DIM)]);
    }
    table.write(out)
}

/// Do's and don'ts, for a person.
fn advice(err: &mut dyn Write, key: &Generated) -> io::Result<()> {
    let (dos, donts): (&[&str], &[&str]) = match key.alg() {
        Alg::Ed25519 => (
            &[
                "give the private key to the agent only, the public one to the service.",
                "mount the private key as a file and set PCS_ED25519_PRIV_B64_FILE to its path.",
                "rotate without a gap: add the new public key to PCS_ED25519_PUB_B64 (a comma list), then move the \
                 agents, then drop the old one.",
            ],
            &["put the private key into the service, a repository, a ticket, or a command line."],
        ),
        Alg::Hmac => (
            &[
                "give the secret to agent and service as it is: its text is the key, it is never decoded.",
                "mount it as a file and set PCS_HMAC_KEY_FILE to its path.",
                "rotate without a gap: let the service have PCS_HMAC_KEY_OLD and PCS_HMAC_KEY_NEW, then move the \
                 agents, then drop the old one.",
                "prefer ed25519 where the service should not be able to sign: whoever has this secret can.",
            ],
            &["put the secret into a repository, a ticket, or a command line."],
        ),
    };
    for line in dos {
        writeln!(err, "{}do{:#}     {line}", style::GOOD, style::GOOD)?;
    }
    for line in donts.iter().chain(&["give one key to two tenants: the service refuses to start."]) {
        writeln!(err, "{}don't{:#}  {line}", style::BAD, style::BAD)?;
    }
    if key.id != key.derived_id {
        writeln!(
            err,
            "{}note{:#}   the id {} holds in a keys file (PCS_KEYS_FILE); from the environment the key has the id {}.",
            style::WARN,
            style::WARN,
            key.id,
            key.derived_id
        )?;
    }
    Ok(())
}
