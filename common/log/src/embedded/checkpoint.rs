//! Moving what is committed out of SQLite's write-ahead file into the log's file, beside the writer.
//!
//! SQLite does that inside a commit by default, every so many pages, and that commit then takes a
//! hundred times as long as the others: whoever waits for it pays for all. Here a thread with a
//! connection of its own does nearly all of it while commits go on; the writer is asked for the
//! little that is left, because only when everything has been moved does the write-ahead file
//! begin anew instead of growing.
//!
//! Durability does not depend on any of this: a commit stands in the write-ahead file, synced.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;

use super::schema;

/// Bytes committed after which the thread moves them.
const STEP_BYTES: usize = 4 * 1024 * 1024;
/// Pages in the write-ahead file from which on the writer is asked to complete a checkpoint.
const ANEW_PAGES: i64 = 8_192;
/// Bytes committed since the write-ahead file last began anew at which the writer waits for that: the
/// disk takes more than can be moved on it.
const MOST_BYTES: usize = 48 * 1024 * 1024;
/// What a row takes beside its body, roughly.
pub(super) const ROW_BYTES: usize = 700;

/// The thread, for the writer that it works beside. Dropping it ends it.
pub(super) struct Checkpointer {
    kick: Option<flume::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The write-ahead file is long, and all but its last pages have been moved.
    nearly: Arc<AtomicBool>,
    /// Held by whoever moves: SQLite turns the second one away.
    moving: Arc<Mutex<()>>,
    /// Bytes committed since the thread was last asked.
    since_asked: usize,
    /// Bytes committed since the write-ahead file last began anew.
    since_anew: usize,
}

impl Checkpointer {
    /// Starts the thread for the log in this file.
    pub(super) fn start(path: &Path) -> std::io::Result<Self> {
        // One that waits is enough: it will see all that has been committed by then.
        let (kick, kicks) = flume::bounded(1);
        let nearly = Arc::new(AtomicBool::new(false));
        let moving = Arc::new(Mutex::new(()));
        let mover = Mover { path: path.to_owned(), conn: None, nearly: nearly.clone(), moving: moving.clone() };
        let thread = std::thread::Builder::new().name("log-checkpoint".into()).spawn(move || mover.run(&kicks))?;
        Ok(Self { kick: Some(kick), thread: Some(thread), nearly, moving, since_asked: 0, since_anew: 0 })
    }

    /// To be told of every commit, by whoever made it, on the connection that made it.
    pub(super) fn committed(&mut self, conn: &Connection, bytes: usize) {
        self.since_asked += bytes;
        self.since_anew += bytes;
        let turn = if self.since_anew >= MOST_BYTES {
            Some(self.moving.lock().unwrap_or_else(PoisonError::into_inner))
        } else if self.nearly.load(Ordering::Relaxed) {
            self.moving.try_lock().ok()
        } else {
            None
        };
        if let Some(_turn) = turn {
            // Nobody else writes, so this moves all that is left, and the next commit begins anew.
            // What goes wrong here goes wrong again there, and is said there.
            let _ = checkpoint(conn);
            self.nearly.store(false, Ordering::Relaxed);
            (self.since_asked, self.since_anew) = (0, 0);
        } else if self.since_asked >= STEP_BYTES
            && let Some(kick) = &self.kick
            && kick.try_send(()).is_ok()
        {
            self.since_asked = 0;
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.kick = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Mover {
    path: PathBuf,
    /// Opened when there is something to do; anew after a failure.
    conn: Option<Connection>,
    nearly: Arc<AtomicBool>,
    moving: Arc<Mutex<()>>,
}

impl Mover {
    fn run(mut self, kicks: &flume::Receiver<()>) {
        let mut said = false;
        while kicks.recv().is_ok() {
            let moving = self.moving.clone();
            let turn = moving.lock().unwrap_or_else(PoisonError::into_inner);
            let stepped = self.step();
            drop(turn);
            match stepped {
                Ok(Moved { pages, left }) => {
                    said = false;
                    if pages >= ANEW_PAGES && left < pages / 2 {
                        self.nearly.store(true, Ordering::Relaxed);
                    }
                }
                Err(error) => {
                    self.conn = None;
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%error, "the log's write-ahead file can not be moved into the log, and grows; trying again with the next records");
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Result<Moved, String> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(schema::open_to_append(&self.path).map_err(|error| error.to_string())?),
        };
        checkpoint(conn).map_err(|error| error.to_string())
    }
}

/// What is in the write-ahead file, and how much of it is still to be moved, in pages.
struct Moved {
    pages: i64,
    left: i64,
}

/// Moves what a process before this one left. That may have ended after a sync that failed: what it
/// had written may be read, and not be on the disk, and a power loss would take what is committed
/// behind it, too. Moving writes it anew. Best effort: a full disk has no room for it, and is no
/// reason not to start.
pub(super) fn move_what_was_left(conn: &Connection) {
    if let Err(error) = checkpoint(conn) {
        tracing::warn!(%error, "what is in the log's write-ahead file can not be moved into the log; trying again with the next records");
    }
}

/// Moves everything, for whoever goes on only then: what is in the write-ahead file may not be on the
/// disk. Waits for readers, but not for long.
pub(super) fn move_all(conn: &Connection) -> Result<(), String> {
    let told = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    match told.map_err(|error| error.to_string())? {
        false => Ok(()),
        true => Err("somebody reads an earlier state of the log, or moves its write-ahead file, which has to be \
                     moved whole after a sync that failed; end what reads the log's file for so long"
            .into()),
    }
}

/// Moves what no reader needs any more, and waits for nobody.
fn checkpoint(conn: &Connection) -> rusqlite::Result<Moved> {
    let mut checkpoint = conn.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
    checkpoint.query_row([], |row| {
        let (pages, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(Moved { pages, left: pages - moved })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_has_been_moved_only_when_no_reader_keeps_any_of_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let (writer, reader) = (schema::open_to_append(&path).unwrap(), schema::open_to_read(&path).unwrap());
        writer.busy_timeout(core::time::Duration::ZERO).unwrap();
        let write = || writer.execute("INSERT INTO meta VALUES (hex(randomblob(8)), '')", []).unwrap();
        write();
        reader.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
        write();
        let told = move_all(&writer).unwrap_err();
        assert!(told.contains("reads an earlier state"), "{told}");
        assert!(checkpoint(&writer).unwrap().left > 0);
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(move_all(&writer), Ok(()));
        assert_eq!(checkpoint(&writer).unwrap().pages, 0);
    }

    #[test]
    fn what_could_not_be_moved_is_moved_with_what_comes_next() {
        let dir = tempfile::tempdir().unwrap();
        let (there, aside) = (dir.path().join("there"), dir.path().join("aside"));
        std::fs::create_dir(&there).unwrap();
        let path = there.join("log.db");
        let writer = schema::open_to_append(&path).unwrap();
        writer.execute("INSERT INTO meta VALUES ('a', hex(zeroblob(100000)))", []).unwrap();
        let mut checkpointer = Checkpointer::start(&path).unwrap();
        // Its file can not be opened for now.
        std::fs::rename(&there, &aside).unwrap();
        checkpointer.committed(&writer, STEP_BYTES);
        let kick = checkpointer.kick.clone().unwrap();
        // The first that waits has been taken when there is room for another, and tried when there is for one more.
        for _ in 0..2 {
            kick.send(()).unwrap();
        }
        let moved = || std::fs::metadata(aside.join("log.db")).unwrap().len() > 100_000;
        assert!(!moved());
        std::fs::rename(&aside, &there).unwrap();
        checkpointer.since_asked = STEP_BYTES;
        checkpointer.committed(&writer, 0);
        drop(kick);
        drop(checkpointer);
        assert!(std::fs::metadata(&path).unwrap().len() > 100_000, "the thread ends with what it was asked for");
    }

    #[test]
    fn whoever_finds_another_at_it_has_moved_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let mut checkpointer = Checkpointer::start(&path).unwrap();
        let writer = schema::open_to_append(&path).unwrap();
        let moving = checkpointer.moving.clone();
        let turn = moving.lock().unwrap();
        writer.execute("INSERT INTO meta VALUES ('a', '')", []).unwrap();
        checkpointer.nearly.store(true, Ordering::Relaxed);
        // Nobody waits for the other below the most that the file may take.
        checkpointer.committed(&writer, 1);
        assert_eq!((checkpointer.since_anew, checkpointer.nearly.load(Ordering::Relaxed)), (1, true));
        drop(turn);
        checkpointer.committed(&writer, 1);
        assert_eq!((checkpointer.since_anew, checkpointer.nearly.load(Ordering::Relaxed)), (0, false));
        let moved = checkpoint(&writer).unwrap();
        assert!(moved.pages > 0 && moved.left == 0, "all of it has been moved");
    }
}
