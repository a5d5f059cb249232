//! One process owns a data directory.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use super::OpenError;

const FILE: &str = "lock";

/// Held as long as the process writes; the system lets go of it when the process dies, however.
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Makes the directory where it is missing, and takes it.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let unwritable =
            |error: std::io::Error| OpenError::Unwritable { path: dir.to_owned(), error: error.to_string() };
        // Records are in there: where the directory is made here, it is its owner's alone.
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unwritable)?;
        let path = dir.join(FILE);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = (&file).take(32).read_to_string(&mut text);
                return Err(OpenError::InUse { dir: dir.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        // The lock is what counts; the number is for the sentence that a second process prints.
        let noted =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        noted.map_err(unwritable)?;
        Ok(Self { _file: file })
    }
}
