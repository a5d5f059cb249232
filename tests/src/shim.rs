//! Faults of the system: small C libraries that stand in front of the system's own (`LD_PRELOAD`),
//! and do what a file tells them to.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{DEADLINE, root, until};

/// A library and the file that says what it does.
#[derive(Debug)]
pub struct Shim {
    library: PathBuf,
    control: PathBuf,
    _dir: TempDir,
}

impl Shim {
    /// Compiles one of `tests/shim`.
    ///
    /// # Panics
    /// Where there is no C compiler.
    pub fn compile(name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let (library, control) = (dir.path().join(format!("{name}.so")), dir.path().join("control"));
        let source = root().join("tests/shim").join(format!("{name}.c"));
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output();
        let output = compiled.unwrap_or_else(|error| {
            panic!("a C compiler (cc) is needed to make the system fail on purpose: {error}; install build-essential")
        });
        assert!(output.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
        Self { library, control, _dir: dir }
    }

    /// For `LD_PRELOAD`.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// For `FLK_SHIM`: the file that the library reads.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// Says what to do from now on; whole at once.
    ///
    /// # Panics
    /// Where it can not be written.
    pub fn say(&self, what: &str) {
        let new = self.control.with_extension("new");
        fs::write(&new, what).unwrap();
        fs::rename(&new, &self.control).unwrap();
    }

    /// Says to stall, and waits until `cause` has made something do so.
    ///
    /// # Panics
    /// Where nothing does.
    pub fn stall(&self, cause: impl FnOnce()) {
        let mut stalled = self.control.clone().into_os_string();
        stalled.push(".stalled");
        let stalled = PathBuf::from(stalled);
        let _ = fs::remove_file(&stalled);
        self.say("stall");
        cause();
        until("the disk is waited for", DEADLINE, || stalled.exists());
    }

    /// Says to do as the system does.
    pub fn rest(&self) {
        let _ = fs::remove_file(&self.control);
    }
}
