//! The single writer: takes as many records as wait, decides them in order, commits them as one
//! transaction, and only then lets anybody hear of it.

use core::time::Duration;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};

use flk_contract::{LogId, Origin};
use rusqlite::{Connection, TransactionBehavior, ffi::ErrorCode};

use super::{
    OpenError, TOPIC,
    checkpoint::{self, Checkpointer},
    lock::DirLock,
    lock_state,
    reader::LogReader,
    retention, row,
    schema::{self, End},
};
use crate::{Append, AppendError, Appended, Clock, Decide, Decided, Resolver, Watch, watch::Commit};

/// Most records of one transaction.
const BATCH_RECORDS: usize = 512;
/// Bytes of bodies at which a transaction takes no more records.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Rows read at a time while the decider is brought up to the log's end.
const RESTORE_ROWS: usize = 2_000;
/// How often retention looks whether there is something to remove, when there was nothing.
const RETENTION_IDLE: Duration = Duration::from_secs(30);
/// The pause between two small steps of retention.
const RETENTION_BUSY: Duration = Duration::from_millis(20);
/// First and longest pause between attempts to write a failing log that nobody appends to.
const TRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// First and longest pause between attempts to open a failing log again.
const REOPEN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// One record that waits for the writer.
pub(super) struct Item {
    pub(super) append: Append,
    pub(super) resolver: Resolver,
    pub(super) since: Instant,
}

/// How the writer is, for whoever asks.
pub(super) enum State {
    /// The decider is being brought up to the log's end.
    Restoring,
    /// Records are taken.
    Open,
    /// The last attempt to write failed; the next record is another attempt.
    Failing(Arc<str>),
    /// No more records are taken.
    Ended,
}

pub(super) struct Writer<D> {
    path: PathBuf,
    // Before the connection: the last one that is closed moves what is left, and has to be alone.
    checkpointer: Checkpointer,
    /// `None` after a failure, until the file has been opened again.
    conn: Option<Connection>,
    /// A commit failed at its fsync, so that what is in the file may not be on the disk.
    unsynced: bool,
    _lock: DirLock,
    id: LogId,
    topic: Arc<str>,
    end: End,
    decide: D,
    clock: Arc<dyn Clock>,
    watch: Arc<dyn Watch>,
    state: Arc<Mutex<State>>,
    retention: Duration,
    insert: String,
}

/// Where in a transaction it went wrong: only at the commit is the outcome open.
enum Failure {
    Before(Arc<str>),
    AtCommit(Arc<str>),
}

impl Failure {
    fn of_commit(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // No space for the commit: it was never written.
            Some(ErrorCode::DiskFull) => Self::Before(error.to_string().into()),
            _ => Self::AtCommit(error.to_string().into()),
        }
    }
}

impl<D: Decide> Writer<D> {
    #[expect(clippy::too_many_arguments, reason = "the parts of a writer, handed over once")]
    pub(super) fn new(
        path: PathBuf,
        checkpointer: Checkpointer,
        conn: Connection,
        lock: DirLock,
        id: LogId,
        end: End,
        decide: D,
        clock: Arc<dyn Clock>,
        watch: Arc<dyn Watch>,
        state: Arc<Mutex<State>>,
        retention: Duration,
    ) -> Self {
        let (topic, insert) = (TOPIC.into(), row::insert_sql());
        Self {
            path,
            checkpointer,
            conn: Some(conn),
            unsynced: false,
            _lock: lock,
            id,
            topic,
            end,
            decide,
            clock,
            watch,
            state,
            retention,
            insert,
        }
    }

    /// Works until every sender of the queue is gone.
    pub(super) fn run(mut self, items: &flume::Receiver<Item>) {
        self.restore_until_done(items);
        let mut retain_at = Instant::now();
        let mut pause = TRY.0;
        let mut try_at = None;
        loop {
            let until = try_at.map_or(retain_at, |at: Instant| at.min(retain_at));
            match items.recv_deadline(until) {
                Ok(first) => {
                    let batch = gather(first, items);
                    if self.append(batch, items.len()) {
                        pause = TRY.0;
                    }
                }
                Err(flume::RecvTimeoutError::Timeout) => {}
                Err(flume::RecvTimeoutError::Disconnected) => break,
            }
            // Whoever balances load sends nothing to a log that says that it fails, so it has to
            // find out by itself that it can be written again; ever more slowly, until a record is.
            if try_at.is_some_and(|at| Instant::now() >= at) {
                self.try_to_write();
                try_at = None;
            }
            // Also between batches: a busy log needs its retention most.
            if Instant::now() >= retain_at {
                if self.is_well() {
                    match self.reopen_if_needed() {
                        Ok(()) => self.set_open(),
                        Err(why) => self.set(State::Failing(why)),
                    }
                }
                let more = self.retain();
                retain_at = Instant::now() + if more { RETENTION_BUSY } else { RETENTION_IDLE };
            }
            // Whatever it was that failed: the next attempt has its time before anybody waits.
            if !self.is_well() {
                try_at.get_or_insert_with(|| {
                    let at = Instant::now() + pause;
                    pause = (pause * 2).min(TRY.1);
                    at
                });
            }
        }
    }

    fn is_well(&self) -> bool {
        matches!(*lock_state(&self.state), State::Open)
    }

    /// Writes what is there already, as a record would be written.
    fn try_to_write(&mut self) {
        let wrote = self.reopen_if_needed().map_err(Failure::Before).and_then(|()| match &self.conn {
            Some(conn) => {
                let same = "UPDATE meta SET value = value WHERE key = 'log_id'";
                conn.execute(same, []).map(drop).map_err(|error| Failure::of_commit(&error))
            }
            None => Err(Failure::Before("it is not open".into())),
        });
        match wrote {
            Ok(()) => self.set_open(),
            Err(failure) => drop(self.recover(failure)),
        }
    }

    fn set(&self, state: State) {
        *lock_state(&self.state) = state;
    }

    /// Brings the decider up to the log's end. Records are refused meanwhile, so nothing waits;
    /// tries again, ever more slowly, for as long as somebody holds the log.
    fn restore_until_done(&mut self, items: &flume::Receiver<Item>) {
        let mut pause = REOPEN.0;
        while let Err(why) = self.decide.mend(self.end.next).and_then(|()| self.restore()) {
            tracing::error!(why = &*why, "the index of ids can not be restored from the log; trying again");
            // Nobody appends yet: an item here or a timeout means go on, a disconnect means end.
            if let Err(flume::RecvTimeoutError::Disconnected) = items.recv_timeout(pause) {
                return;
            }
            pause = (pause * 2).min(REOPEN.1);
        }
        self.set(State::Open);
    }

    fn restore(&mut self) -> Result<(), Arc<str>> {
        if self.decide.next() >= self.end.next {
            return Ok(());
        }
        let reader = LogReader::open_file(&self.path).map_err(|error| error.to_string())?;
        loop {
            let from = self.decide.next();
            let page = reader.settled(from, self.end.next, RESTORE_ROWS).map_err(|error| error.to_string())?;
            let next = page.next.min(self.end.next);
            self.decide.restore(&page.settled, next)?;
            self.watch.on_restore(next, self.end.next);
            if next >= self.end.next {
                return Ok(());
            }
        }
    }

    /// Appends a batch and tells everybody in it, whatever happens; whether it is durable.
    fn append(&mut self, batch: Vec<Item>, queued: usize) -> bool {
        let started = Instant::now();
        let committed = match self.reopen_if_needed() {
            Ok(()) => self.commit(&batch),
            Err(why) => Err(Failure::Before(why)),
        };
        match committed {
            Ok((told, wrote)) => {
                let commit = Commit {
                    records: batch.len(),
                    bytes: batch.iter().map(|item| item.append.record.body.len()).sum(),
                    queued,
                    write: wrote,
                    fsync: started.elapsed().saturating_sub(wrote),
                };
                self.watch.on_commit(&commit);
                let bytes = commit.bytes + commit.records * checkpoint::ROW_BYTES;
                // The rows are durable; ids that the decider has not taken are brought to it from
                // the log before the next batch.
                match self.decide.committed(self.end.next) {
                    Ok(()) => self.set_open(),
                    Err(why) => self.set(State::Failing(why)),
                }
                assert_eq!(told.len(), batch.len(), "every record of a batch is told");
                for (item, told) in batch.into_iter().zip(told) {
                    self.watch.on_append(item.since.elapsed());
                    item.resolver.resolve(Ok(told));
                }
                // Nobody of this batch waits for it any more.
                if let Some(conn) = &self.conn {
                    self.checkpointer.committed(conn, bytes);
                }
                true
            }
            Err(failure) => {
                self.decide.abandoned();
                let error = self.recover(failure);
                self.watch.on_refusal(&error, batch.len());
                for item in batch {
                    item.resolver.resolve(Err(error.clone()));
                }
                false
            }
        }
    }

    fn set_open(&self) {
        let mut state = lock_state(&self.state);
        if let State::Failing(_) | State::Restoring = *state {
            tracing::info!("the log can be written again");
            *state = State::Open;
        }
    }

    /// One transaction: what each record is told, and how long deciding and writing took.
    fn commit(&mut self, batch: &[Item]) -> Result<(Vec<Appended>, Duration), Failure> {
        let started = Instant::now();
        let before = |error: rusqlite::Error| Failure::Before(error.to_string().into());
        let Some(conn) = &mut self.conn else { return Err(Failure::Before("it is not open".into())) };
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(before)?;
        let now = self.clock.now().max(self.end.time);
        let mut told = Vec::with_capacity(batch.len());
        let mut next = self.end.next;
        {
            let mut insert = tx.prepare_cached(&self.insert).map_err(before)?;
            for item in batch {
                let origin = Origin { position: row::position(&self.id, &self.topic, next), appended_at: now };
                let decided: Arc<Decided> = self.decide.decide(&item.append, &origin).map_err(Failure::Before)?;
                row::write(&mut insert, &origin, &item.append.record, &decided).map_err(before)?;
                told.push(Appended { origin, decided: Some(decided) });
                next += 1;
            }
        }
        let wrote = started.elapsed();
        tx.commit().map_err(|error| Failure::of_commit(&error))?;
        self.end = End { next, time: now };
        Ok((told, wrote))
    }

    /// After a failure: closes the file, so that nothing of the failed transaction is left, opens
    /// it again and reads where it ends. What the batch is told depends on where it failed.
    fn recover(&mut self, failure: Failure) -> AppendError {
        let (why, error) = match failure {
            Failure::Before(why) => (why.clone(), AppendError::NotDurable(why)),
            Failure::AtCommit(why) => {
                self.unsynced = true;
                (why.clone(), AppendError::Unknown(why))
            }
        };
        if let State::Open = *lock_state(&self.state) {
            tracing::error!(why = &*why, "the log can not be written; every record is refused until it can");
        }
        self.set(State::Failing(why.clone()));
        self.conn = None;
        let reopened = self.reopen_if_needed();
        self.set(State::Failing(reopened.err().unwrap_or(why)));
        error
    }

    /// Opens again what a failure closed, the file and what the decider stands on. Rows that turn
    /// out to be there after all, and those that the decider has lost, are told to it before
    /// anything else is decided.
    fn reopen_if_needed(&mut self) -> Result<(), Arc<str>> {
        let reopened = if self.conn.is_none() { Some(self.reopen()?) } else { None };
        self.decide.mend(self.end.next)?;
        if self.end.next.saturating_sub(self.decide.next()) > RESTORE_ROWS as i64 {
            // It takes a while: better say so than let everybody wait.
            self.set(State::Restoring);
        }
        self.restore()?;
        if let Some(conn) = reopened {
            self.conn = Some(conn);
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<Connection, Arc<str>> {
        let said = |error: OpenError| Arc::<str>::from(error.to_string());
        let conn = schema::open_to_append(&self.path).map_err(said)?;
        if schema::log_id(&conn, &self.path).map_err(said)? != self.id {
            return Err("the file was replaced by another log; restart the process".into());
        }
        let end = schema::end(&conn).map_err(|error| error.to_string())?;
        if self.unsynced {
            // Everything that is in the file is brought to the disk once more: after a failed fsync
            // the system may have dropped what it had not written. Only then: it takes as much space
            // as has not been moved yet, which a disk that was just full may not have.
            checkpoint::move_all(&conn)?;
            self.unsynced = false;
        }
        self.end = End { next: end.next, time: end.time.max(self.end.time) };
        Ok(conn)
    }

    /// One small step of retention; whether there is more to do.
    fn retain(&mut self) -> bool {
        let Some(conn) = &mut self.conn else { return false };
        // Never on the word of the clock alone: a clock that jumped ahead must not empty the log.
        let cutoff = self.clock.now().min(self.end.time).before(self.retention);
        match retention::step(conn, cutoff) {
            Ok(step) => {
                // What is removed is written too; where nobody appends, nobody else would move it.
                if step.written > 0 {
                    self.checkpointer.committed(conn, step.written);
                }
                if step.removed > 0 {
                    self.watch.on_removed(step.removed);
                }
                let forgetting = step.first.map_or(Ok(false), |first| self.decide.forget_before(first));
                let forgetting = forgetting.unwrap_or_else(|why| {
                    tracing::warn!(why = &*why, "ids whose records are gone stay in the index for now");
                    self.set(State::Failing(why));
                    false
                });
                step.more || forgetting
            }
            Err(error) => {
                tracing::warn!(%error, "retention could not remove old records; trying again later");
                false
            }
        }
    }
}

impl<D> Drop for Writer<D> {
    /// However the writer ends, by a panic too, nobody is told that records are taken.
    fn drop(&mut self) {
        *lock_state(&self.state) = State::Ended;
    }
}

/// As many records as wait, up to the bounds of one transaction.
fn gather(first: Item, items: &flume::Receiver<Item>) -> Vec<Item> {
    let mut bytes = first.append.record.body.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
        let Ok(item) = items.try_recv() else { break };
        bytes += item.append.record.body.len();
        batch.push(item);
    }
    batch
}
