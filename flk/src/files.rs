//! Files that come and go whole: inputs (`-` is standard input), outputs, and sets of new files of
//! which either all are written or none.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::{Failure, output};

/// What `-` and a path are called in messages.
pub(crate) fn shown(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Whether a path stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Sees that an input is there and can be one, without opening it: a pipe is opened once.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    if is_stdin(path) {
        return Ok(());
    }
    match fs::metadata(path) {
        Ok(data) if data.is_dir() => {
            Err(Failure::mistake(format!("{} is a directory; name a file, or - for standard input", path.display())))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Opens an input.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    check(path)?;
    if is_stdin(path) {
        return Ok(Box::new(io::stdin()));
    }
    fs::File::open(path).map(|file| Box::new(file) as _).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::mistake(format!("{} can not be read: {error}", path.display()))
}

/// Reads an input to its end.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    open(path)?
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::failed(format!("{} can not be read to its end: {error}", shown(path))))?;
    Ok(bytes)
}

/// Writes an output: to a file, or to standard output where there is none.
pub(crate) fn write(path: Option<&Path>, bytes: &[u8]) -> Result<(), Failure> {
    match path {
        None => output::print(|out| out.write_all(bytes)),
        Some(path) => fs::write(path, bytes)
            .map_err(|error| Failure::failed(format!("{} can not be written: {error}", path.display()))),
    }
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner: 0600.
    Secret,
    /// Everybody: 0644, less what the umask takes.
    Public,
}

/// A file to be.
pub(crate) struct NewFile {
    pub(crate) name: &'static str,
    pub(crate) access: Access,
    pub(crate) text: zeroize::Zeroizing<String>,
}

/// Writes new files into a directory, which is made (0700) if it is missing. Nothing is ever
/// overwritten: if one of them is there already, none is written. What can not be finished is
/// taken away again.
pub(crate) fn create_all(directory: &Path, files: &[NewFile]) -> Result<(), Failure> {
    for file in files {
        let path = directory.join(file.name);
        // Not `exists`, which follows a link to nowhere and says no.
        if fs::symlink_metadata(&path).is_ok() {
            return Err(taken(&path));
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| Failure::mistake(format!("the directory {} can not be made: {error}", directory.display())))?;
    let mut made = Vec::with_capacity(files.len());
    let result = files.iter().try_for_each(|file| create(directory.join(file.name), file, &mut made));
    if result.is_err() {
        for path in made {
            let _ = fs::remove_file(path);
        }
    }
    result
}

fn create(path: PathBuf, file: &NewFile, made: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let mode = match file.access {
        Access::Secret => 0o600,
        Access::Public => 0o644,
    };
    let mut opened = match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
        Ok(opened) => opened,
        // Somebody was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(taken(&path)),
        Err(error) => return Err(Failure::mistake(format!("{} can not be written: {error}", path.display()))),
    };
    made.push(path.clone());
    opened
        .write_all(file.text.as_bytes())
        .and_then(|()| opened.sync_all())
        .map_err(|error| Failure::failed(format!("{} can not be written: {error}", path.display())))
}

fn taken(path: &Path) -> Failure {
    Failure::mistake(format!(
        "{} is there already and nothing is ever overwritten, so nothing was written; name another directory",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &'static str) -> NewFile {
        NewFile { name, access: Access::Secret, text: zeroize::Zeroizing::new("text".to_owned()) }
    }

    #[test]
    fn what_can_not_be_finished_is_taken_away_again() {
        let directory = tempfile::tempdir().unwrap();
        // The second can not be made: its directory is missing.
        let error = create_all(directory.path(), &[file("a"), file("no/b")]).unwrap_err();
        assert!(matches!(error, Failure::Mistake(_)), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_to_nowhere_is_there_too() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("b")).unwrap();
        let error = create_all(directory.path(), &[file("a"), file("b")]).unwrap_err();
        assert!(error.to_string().contains("nothing was written"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
