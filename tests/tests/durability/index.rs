//! What may happen to the index of ids between two runs. It is derived: none of this may be
//! noticed by anybody, except in the time that a start takes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use flk_tests::{Rng, Setup, record::USUAL};
use tempfile::TempDir;

use crate::history::History;

/// The index's directory in the data directory.
const INDEX: &str = "index";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Somebody deletes it.
    Deleted,
    /// Bytes of its files change.
    Damaged,
    /// It is that of another log, which settled the same ids otherwise.
    OfAnotherLog,
    /// It is put back to an older state, as an incomplete restore of a backup would.
    Older,
}

impl Mishap {
    pub(crate) const ALL: [Self; 4] = [Self::Deleted, Self::Damaged, Self::OfAnotherLog, Self::Older];
}

/// Where an older copy is kept.
#[derive(Default)]
pub(crate) struct Shelf(Option<TempDir>);

impl Shelf {
    /// Keeps a copy of the index, now and then.
    pub(crate) fn keep(&mut self, data: &Path, round: u64) {
        if round % 8 == 4 {
            let copy = TempDir::new().unwrap();
            copy_all(&data.join(INDEX), &copy.path().join(INDEX));
            self.0 = Some(copy);
        }
    }

    pub(crate) fn befall(&self, mishap: Mishap, data: &Path, history: &History, rng: &mut Rng) {
        let index = data.join(INDEX);
        match mishap {
            Mishap::Deleted => fs::remove_dir_all(&index).unwrap(),
            Mishap::Damaged => damage(&index, rng),
            Mishap::OfAnotherLog => {
                let other = of_another_log(history);
                fs::remove_dir_all(&index).unwrap();
                copy_all(&other.path().join(INDEX), &index);
            }
            Mishap::Older => {
                let Some(copy) = &self.0 else { return };
                fs::remove_dir_all(&index).unwrap();
                copy_all(&copy.path().join(INDEX), &index);
            }
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn damage(index: &Path, rng: &mut Rng) {
    // Mostly not the file that says what the rest is: that one is looked at first, and would save
    // everything else from being read.
    let all = files(index);
    let is_format = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "format");
    let (format, rest): (Vec<_>, Vec<_>) = all.iter().partition(is_format);
    let written = |path: &&PathBuf| fs::metadata(path).is_ok_and(|meta| meta.len() > 0);
    let rest: Vec<&PathBuf> = rest.into_iter().filter(written).collect();
    let path = if rng.below(8) == 0 { rng.choose(&format) } else { rng.choose(&rest) };
    let path = path.expect("the index has files");
    let mut bytes = fs::read(path).unwrap();
    // What was written is at the front of files that are made larger beforehand.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(end as u64) as usize;
        bytes[at] ^= 1 << rng.below(8);
    }
    if rng.below(4) == 0 {
        bytes.truncate(rng.below(end as u64) as usize);
    }
    fs::write(path, &bytes).unwrap();
}

/// A data directory in which the same ids were settled with other content.
fn of_another_log(history: &History) -> TempDir {
    let kept = TempDir::new().unwrap();
    let mut other = Setup::hmac().dir(kept.path()).start();
    let mut client = other.client();
    for pcs in history.settled().take(60) {
        let pcs = pcs.clone().with("r", 0.4999).signed(USUAL);
        assert_eq!(client.call(&flk_tests::Request::submit(pcs)).field("accepted"), true);
    }
    assert!(other.terminate().success());
    kept
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
