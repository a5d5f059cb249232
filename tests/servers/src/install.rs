//! Where the servers' programs are on this machine, or how to get them there.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Result};

/// Where Debian keeps programs that a login shell of a user does not find.
const MORE_PATH: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A program by its name, in PATH and beside it.
pub(crate) fn program(name: &'static str, how: &'static str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_PATH.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Missing { what: format!("{name} (looked for in PATH)"), how })
}

/// The Java to run Kafka with.
pub(crate) fn java() -> Result<PathBuf> {
    let home =
        std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join("bin/java"));
    home.filter(|java| java.is_file())
        .map_or_else(|| program("java", "install a JDK of version 17 or newer (Debian: openjdk-17-jdk-headless)"), Ok)
}

/// The directory with Kafka's jars.
///
/// They lie in the build directory, and a test binary runs from within it, wherever it is.
pub(crate) fn kafka_libs() -> Result<PathBuf> {
    let named = std::env::var_os("FLK_KAFKA_LIBS").map(PathBuf::from);
    let exe = std::env::current_exe().unwrap_or_default();
    let built = exe.ancestors().map(|dir| dir.join("kafka-libs"));
    let root = root().join("target/kafka-libs");
    named.into_iter().chain(built).chain([root.clone()]).find(|dir| has_kafka(dir)).ok_or_else(|| Error::Missing {
        what: format!("Kafka (its jars; looked for in FLK_KAFKA_LIBS and {})", root.display()),
        how: "install Maven and run `scripts/setup servers`, which copies what tests/servers/kafka/pom.xml names",
    })
}

fn has_kafka(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("kafka_2.13-"))
}

/// The directory with Postgres' programs, of the newest version where there are several.
///
/// Debian keeps them out of PATH, one directory a version.
pub(crate) fn postgres_bin() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/initdb").is_file() && path.join("bin/postgres").is_file())
        .max_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    if let Some(newest) = newest {
        return Ok(newest.join("bin"));
    }
    let initdb = program("initdb", "install Debian's package postgresql")?;
    Ok(initdb.parent().map_or_else(PathBuf::new, Path::to_owned))
}

/// User and group as which a server runs that refuses to be root: Postgres' own, where there is one.
pub(crate) fn unprivileged() -> Result<(u32, u32)> {
    ["postgres", "nobody"].iter().find_map(|name| Some((id("-u", name)?, id("-g", name)?))).ok_or_else(|| {
        Error::Missing {
            what: "a user as which Postgres can run (postgres or nobody)".into(),
            how: "install Debian's package postgresql",
        }
    })
}

fn id(what: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([what, name]).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map_or_else(PathBuf::new, Path::to_owned)
}

/// A file of `tests/servers`.
pub(crate) fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
