//! The embedded log: one SQLite file, one writer, group commit (design, "Embedded").
//!
//! Bytes, verdict and outcome of a batch are rows of one transaction; nobody hears of a record
//! before its fsync. One process owns the directory; any number may read beside it, with any
//! SQLite tool. What a record means is the [`Decide`]r's business.

mod checkpoint;
mod ending;
mod lock;
mod reader;
mod readers;
mod retention;
mod row;
mod schema;
mod survey;
mod writer;

use core::{future::Future, time::Duration};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Instant,
};

use async_trait::async_trait;
use flk_contract::LogId;

pub use ending::WriterEnd;
pub use reader::{LogReader, Scan, Stat};
pub use retention::{Compacted, Mode, RETENTION_MIN, compact};
pub use survey::{Damage, Surveyed};

use crate::{Append, AppendError, Clock, Decide, Log, ReadError, StoredRecord, Ticket, Watch};
use ending::{End, Ending};
use readers::Readers;
use writer::{Item, State, Writer};

/// The topic that positions of an embedded log carry.
pub const TOPIC: &str = "pcs.raw";
/// The one partition of an embedded log.
pub const PARTITION: i32 = 0;
/// The log's file in its directory.
pub const FILE: &str = "log.db";

/// Why a directory can not be opened as a log. Each is one sentence for whoever started the process.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{dir} is in use by another process{}; stop it, or use another directory", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who has it, as far as the lock file says.
        pid: Option<u32>,
    },
    /// The directory or the file can not be written.
    #[error("{path} can not be written ({error}); give the process a directory that it may write to, with space left")]
    Unwritable {
        /// What was tried.
        path: PathBuf,
        /// What came.
        error: String,
    },
    /// There is no log to read.
    #[error("{0} has no log; name the data directory of a service that has run")]
    Absent(PathBuf),
    /// The file is not a log.
    #[error("{0} is not a log of flk; use another directory, or move the file away")]
    NotALog(PathBuf),
    /// Written by another version.
    #[error(
        "{path} has format {found}, this version reads format {expected}; run the version that wrote it, or use another directory"
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        expected: i64,
    },
    /// What is in the file is not what was written.
    #[error(
        "{path} is damaged ({what}); restore it from a backup, or move it away and start anew: nothing was changed"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        what: String,
    },
}

/// Sizes and times of an embedded log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Records that may wait for the writer.
    pub queue: usize,
    /// How long an append may wait for room in the queue.
    pub wait: Duration,
    /// How long a read may wait for its turn.
    pub read_wait: Duration,
    /// How long records are kept, in log time; at least [`RETENTION_MIN`].
    pub retention: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 4096,
            wait: Duration::from_secs(2),
            read_wait: Duration::from_secs(2),
            retention: Duration::from_secs(16 * 24 * 60 * 60),
        }
    }
}

/// A log in a directory of this machine. Dropping it ends its writer, after what is queued.
pub struct EmbeddedLog {
    id: LogId,
    queue: flume::Sender<Item>,
    wait: Duration,
    state: Arc<Mutex<State>>,
    readers: Readers,
    writer: Option<JoinHandle<()>>,
    end: End,
}

impl EmbeddedLog {
    /// Opens or makes the log in `dir` and starts its writer, which first brings the decider up to
    /// the log's end; until then [`Log::health`] says so and appends are refused. The decider is
    /// made for the log's id and the next offset that it will give.
    ///
    /// # Errors
    /// [`OpenError`], a sentence for the operator.
    pub fn open<D: Decide>(
        dir: &Path,
        options: &Options,
        clock: Arc<dyn Clock>,
        watch: Arc<dyn Watch>,
        decide: impl FnOnce(&LogId, i64) -> Result<D, OpenError>,
    ) -> Result<Self, OpenError> {
        let lock = lock::DirLock::take(dir)?;
        let path = dir.join(FILE);
        let conn = schema::open_to_append(&path)?;
        let id = schema::log_id(&conn, &path)?;
        let end = schema::check_tail(&conn, &path)?;
        checkpoint::move_what_was_left(&conn);
        let decide = decide(&id, end.next)?;
        let (queue, items) = flume::bounded(options.queue.max(1));
        let state = Arc::new(Mutex::new(State::Restoring));
        let checkpointer = checkpoint::Checkpointer::start(&path)
            .map_err(|error| OpenError::Unwritable { path: path.clone(), error: error.to_string() })?;
        let writer = Writer::new(
            path.clone(),
            checkpointer,
            conn,
            lock,
            id.clone(),
            end,
            decide,
            clock,
            watch,
            state.clone(),
            options.retention,
        );
        let (ending, end) = Ending::of(items);
        let writer = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || writer.run(&ending.items))
            .map_err(|error| OpenError::Unwritable { path: path.clone(), error: error.to_string() })?;
        let readers = Readers::new(path, options.read_wait);
        Ok(Self { id, queue, wait: options.wait, state, readers, writer: Some(writer), end })
    }

    /// Resolves when the writer's thread has ended, and how. It lives as long as the log: whoever
    /// owns the log waits for this beside its work, since a log without a writer is none.
    pub fn ended(&self) -> impl Future<Output = WriterEnd> + Send + use<> {
        self.end.wait()
    }

    /// Ends the writer after what is queued, and says whether it did that in order. Blocks.
    pub fn close(self) -> WriterEnd {
        let end = self.end.clone();
        drop(self);
        // A thread that ended told how.
        end.now().unwrap_or(WriterEnd::Panicked)
    }

    /// Whether the decider has been brought up to the log's end.
    pub fn is_restoring(&self) -> bool {
        matches!(*lock_state(&self.state), State::Restoring)
    }
}

fn lock_state(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    // A state is replaced whole: one that a panicking thread left is still one.
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // Whoever closes the file last moves SQLite's own write-ahead file into it, and only a
        // writer can: so the readers go first.
        self.readers.close();
        // Closing the queue lets the writer finish what it has taken, and end.
        let (closed, _) = flume::bounded(1);
        drop(std::mem::replace(&mut self.queue, closed));
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    fn id(&self) -> &LogId {
        &self.id
    }

    async fn append(&self, append: Append) -> Result<Ticket, AppendError> {
        if self.is_restoring() {
            return Err(AppendError::Closed("the index of ids is being restored from the log"));
        }
        let (resolver, ticket) = Ticket::new();
        let item = Item { append, resolver, since: Instant::now() };
        let sent = match self.queue.try_send(item) {
            Ok(()) => Ok(()),
            Err(flume::TrySendError::Disconnected(_)) => Err(AppendError::Closed("its writer has ended")),
            Err(flume::TrySendError::Full(item)) => {
                match tokio::time::timeout(self.wait, self.queue.send_async(item)).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) => Err(AppendError::Closed("its writer has ended")),
                    Err(_) => Err(AppendError::Full),
                }
            }
        };
        // Nobody looks any more at what comes into the queue after its reader's end.
        if sent.is_ok() && self.end.now().is_some() {
            return Err(AppendError::Unknown("the log's writer has ended".into()));
        }
        sent.map(|()| ticket)
    }

    async fn read(&self, partition: i32, offset: i64) -> Result<Option<StoredRecord>, ReadError> {
        if partition != PARTITION {
            return Ok(None);
        }
        self.readers.ask(move |reader| reader.read(offset)).await
    }

    fn health(&self) -> Result<(), Arc<str>> {
        match &*lock_state(&self.state) {
            State::Open => Ok(()),
            State::Restoring => Err("the index of ids is being restored from the log".into()),
            State::Failing(why) => Err(why.clone()),
            State::Ended => Err("the log's writer has ended".into()),
        }
    }
}
