//! Small file systems that can be filled, and made read-only.

use std::{path::Path, process::Command};

use tempfile::TempDir;

/// A tmpfs, unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs(TempDir);

impl Tmpfs {
    /// Mounts one of that size.
    ///
    /// # Panics
    /// Where it may not be mounted.
    pub fn mount(size: &str) -> Self {
        let dir = TempDir::new().unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "flk-test"], dir.path());
        Self(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// From now on nothing can be written to it.
    ///
    /// # Panics
    /// Where that can not be done: also while a file is open for writing.
    pub fn read_only(&self) {
        mount(&["-o", "remount,ro"], self.path());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still hold a file.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn mount(args: &[&str], at: &Path) {
    let mounted = Command::new("mount").args(args).arg(at).output();
    let output = mounted.unwrap_or_else(|error| panic!("mount is needed for the fault tests: {error}"));
    assert!(
        output.status.success(),
        "a small tmpfs can not be mounted ({}): run `make e2e`, which arranges for it or says what is missing",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}
