//! Runs the real binary, with nothing of our environment but what is given.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The settings that a run must not inherit.
pub(crate) fn flk(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flk"));
    command.env_clear().env("WAL_DIR", dir).env("PCS_HMAC_KEY", super::made::SECRET).stdin(Stdio::null());
    command
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The lines as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(read).collect()
    }

    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// It failed with one sentence that holds these words.
    #[track_caller]
    pub(crate) fn refuses(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        assert!(self.err.starts_with("flk: ") && self.err.lines().count() == 1, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word}: {self:?}");
        }
    }
}

/// Runs it with these words.
#[track_caller]
pub(crate) fn run(dir: &Path, args: &[&str]) -> Ran {
    Ran::of(flk(dir).args(args).output().unwrap())
}
