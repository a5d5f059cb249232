//! The directory of an index: who owns it, what it holds, and removing it.
//!
//! Three names in it are ours, and nothing else is ever read, written or removed:
//! `index.lock` (one process at a time), `index.format` (format version and log, readable by
//! people, there before the database is) and `index.db` (the database).

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use flk_contract::LogId;

use super::OpenError;

/// The version of everything below the directory: keys, values, keyspaces.
pub(super) const FORMAT: u32 = 2;

const LOCK: &str = "index.lock";
const MARKER: &str = "index.format";
const MARKER_NEW: &str = "index.format.new";
const DATABASE: &str = "index.db";

/// A directory that this process owns for as long as it keeps this.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    // Unlocked when closed; also when the process dies.
    _lock: File,
}

/// What the directory holds, as far as its marker says.
pub(super) enum Held {
    Nothing,
    Ours,
}

impl Directory {
    /// Makes the directory if need be, and owns it.
    pub(super) fn own(path: &Path) -> Result<Self, OpenError> {
        let unavailable = |why: io::Error| OpenError::unavailable(path, &why);
        fs::create_dir_all(path).map_err(unavailable)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(unavailable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(why)) => Err(unavailable(why)),
        }
    }

    /// Where the database is.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Whether what the directory holds is an index of this format and log.
    pub(super) fn held(&self, log: &LogId) -> Result<Held, OpenError> {
        let unavailable = |why: io::Error| OpenError::unavailable(&self.path, &why);
        let found = match fs::read(self.path.join(MARKER)) {
            Ok(found) => found,
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                // The marker is durable before the database is begun: the one without the other
                // was not left behind by a crash.
                return if self.database().try_exists().map_err(unavailable)? {
                    Err(OpenError::Damaged(format!("{MARKER} is missing beside {DATABASE}")))
                } else {
                    Ok(Held::Nothing)
                };
            }
            Err(why) => return Err(unavailable(why)),
        };
        if found == marker(log).as_bytes() {
            return Ok(Held::Ours);
        }
        let text = String::from_utf8_lossy(&found);
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        match (line("format "), line("log ")) {
            (Some(found), _) if found != FORMAT.to_string() => Err(OpenError::OtherFormat { found }),
            (Some(_), Some(found)) if found != shown(log) => Err(OpenError::OtherLog { found, expected: shown(log) }),
            _ => Err(OpenError::Damaged(format!("{MARKER} can not be read"))),
        }
    }

    /// Says durably what the directory will hold.
    pub(super) fn mark(&self, log: &LogId) -> Result<(), OpenError> {
        let mark = || {
            let new = self.path.join(MARKER_NEW);
            let mut file = File::create(&new)?;
            file.write_all(marker(log).as_bytes())?;
            file.sync_all()?;
            fs::rename(new, self.path.join(MARKER))?;
            File::open(&self.path)?.sync_all()
        };
        mark().map_err(|why| OpenError::unavailable(&self.path, &why))
    }

    /// Removes the index that the directory holds, whatever state it is in.
    pub(super) fn clear(&self) -> Result<(), OpenError> {
        let database = self.database();
        // The database first: while a part of it is left, the marker says so.
        let removed = match fs::symlink_metadata(&database) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&database),
            Ok(_) => fs::remove_file(&database),
            Err(why) => Err(why),
        };
        absent(removed)
            .and_then(|()| absent(fs::remove_file(self.path.join(MARKER))))
            .map_err(|why| OpenError::unavailable(&self.path, &why))
    }
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|why| if why.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(why) })
}

fn marker(log: &LogId) -> String {
    format!(
        "index of settled ids, derived from a log: may be removed while no service runs\nformat {FORMAT}\nlog {}\n",
        shown(log)
    )
}

/// A log's id on one line, whatever it is made of.
fn shown(log: &LogId) -> String {
    log.as_str().escape_default().to_string()
}
