//! A few readers beside the writer, shared by all who ask for single records. One slow read holds
//! up nobody but itself, and however many ask, only a few threads block: the others wait for their
//! turn without one, and not for ever. What is read is not known here.

use core::time::Duration;
use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use super::reader::LogReader;
use crate::ReadError;

/// Reads at a time: more only wait for the same disk.
const READERS: usize = 4;

pub(super) struct Readers {
    turns: Arc<Semaphore>,
    wait: Duration,
    pool: Arc<Pool>,
}

/// Readers are opened when they are first needed, and then kept.
struct Pool {
    path: PathBuf,
    shelf: Mutex<Shelf>,
    returned: Condvar,
}

#[derive(Default)]
struct Shelf {
    idle: Vec<LogReader>,
    lent: usize,
    closed: bool,
}

/// A reader in use. It goes back when this is dropped, unless it may not be sound any more.
struct Lent<'a> {
    pool: &'a Pool,
    reader: Option<LogReader>,
}

impl Readers {
    /// Readers of the log at `path`. Whoever asks waits at most that long for one.
    pub(super) fn new(path: PathBuf, wait: Duration) -> Self {
        let pool = Pool { path, shelf: Mutex::default(), returned: Condvar::new() };
        Self { turns: Arc::new(Semaphore::new(READERS)), wait, pool: Arc::new(pool) }
    }

    /// Asks one of them, on a thread that may block. A question whose asker went away keeps its
    /// turn until it is answered, since its thread is in use that long.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&LogReader) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let turn = match tokio::time::timeout(self.wait, self.turns.clone().acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) => return Err(ReadError::Unavailable("it is being closed".into())),
            Err(_) => {
                let wait = self.wait;
                let why = format!("{READERS} reads are under way, and none of them ended within {wait:?}; ask later");
                return Err(ReadError::Unavailable(why.into()));
            }
        };
        let pool = self.pool.clone();
        let answered = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            pool.ask(question)
        });
        answered.await.unwrap_or_else(|_| Err(ReadError::Unavailable("the read was cut off".into())))
    }

    /// Closes all of them, after the reads that are under way.
    pub(super) fn close(&self) {
        let mut shelf = self.pool.shelf();
        shelf.closed = true;
        shelf.idle.clear();
        while shelf.lent > 0 {
            shelf = self.pool.returned.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Pool {
    fn ask<T>(&self, question: impl FnOnce(&LogReader) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let mut lent = self.lend()?;
        let reader = match lent.reader.take() {
            Some(reader) => reader,
            None => LogReader::open_file(&self.path).map_err(|why| ReadError::Unavailable(why.to_string().into()))?,
        };
        let answer = question(&reader);
        // After a failure the next read opens the file anew.
        if !matches!(answer, Err(ReadError::Unavailable(_))) {
            lent.reader = Some(reader);
        }
        answer
    }

    fn lend(&self) -> Result<Lent<'_>, ReadError> {
        let mut shelf = self.shelf();
        if shelf.closed {
            return Err(ReadError::Unavailable("it is being closed".into()));
        }
        shelf.lent += 1;
        Ok(Lent { pool: self, reader: shelf.idle.pop() })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Each change of it is a single step: one that a panicking thread left is whole.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut shelf = self.pool.shelf();
        match self.reader.take() {
            Some(reader) if !shelf.closed => shelf.idle.push(reader),
            // Closed before it is told that it came back.
            reader => drop(reader),
        }
        shelf.lent -= 1;
        self.pool.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::{
        super::{FILE, schema},
        *,
    };

    const LONG: Duration = Duration::from_secs(30);

    /// The readers of an empty log.
    fn readers(wait: Duration) -> (tempfile::TempDir, Arc<Readers>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        drop(schema::open_or_create(&path).unwrap());
        (dir, Arc::new(Readers::new(path, wait)))
    }

    /// Begins a read that ends when what is returned is dropped.
    async fn slow(readers: &Arc<Readers>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), ReadError>>) {
        let (hold, held) = mpsc::channel();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let readers = readers.clone();
        let reading = tokio::spawn(async move {
            let question = move |_: &LogReader| {
                let _ = begin.send(());
                let _ = held.recv_timeout(LONG);
                Ok(())
            };
            readers.ask(question).await
        });
        begun.await.unwrap();
        (hold, reading)
    }

    #[tokio::test]
    async fn one_slow_read_holds_up_nobody_else() {
        let (_dir, readers) = readers(LONG);
        let (hold, reading) = slow(&readers).await;
        for _ in 0..3 * READERS {
            assert_eq!(readers.ask(LogReader::next).await.unwrap(), 1);
        }
        assert!(!reading.is_finished());
        drop(hold);
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn where_all_reads_are_slow_the_next_is_told_so_in_time_and_takes_no_thread() {
        let (_dir, readers) = readers(Duration::from_millis(20));
        let mut held = Vec::new();
        for _ in 0..READERS {
            held.push(slow(&readers).await);
        }
        let asked = Instant::now();
        let error = readers.ask(|_| -> Result<(), _> { panic!("it has no turn") }).await.unwrap_err();
        assert!(matches!(&error, ReadError::Unavailable(why) if why.contains("under way")), "{error}");
        assert!(asked.elapsed() < LONG / 2);
        for (hold, reading) in held {
            drop(hold);
            reading.await.unwrap().unwrap();
        }
        assert_eq!(readers.ask(LogReader::next).await.unwrap(), 1, "their turns are free again");
    }

    #[tokio::test]
    async fn a_read_whose_asker_went_away_keeps_its_turn_until_it_ends() {
        let (_dir, readers) = readers(Duration::from_millis(20));
        let mut held = Vec::new();
        for _ in 0..READERS {
            let (hold, reading) = slow(&readers).await;
            reading.abort();
            held.push(hold);
        }
        assert!(readers.ask(LogReader::next).await.is_err());
    }

    #[tokio::test]
    async fn readers_are_kept_and_one_that_failed_or_panicked_is_not() {
        let (_dir, readers) = readers(LONG);
        let idle = || readers.pool.shelf().idle.len();
        readers.ask(LogReader::next).await.unwrap();
        readers.ask(LogReader::next).await.unwrap();
        assert_eq!(idle(), 1);
        let damaged = |_: &LogReader| Err::<(), _>(ReadError::Damaged { offset: 1, what: "its checksum" });
        readers.ask(damaged).await.unwrap_err();
        assert_eq!(idle(), 1, "damage is the record's");
        readers.ask(|_| Err::<(), _>(ReadError::Unavailable("an I/O error".into()))).await.unwrap_err();
        assert_eq!(idle(), 0);
        readers.ask(LogReader::next).await.unwrap();
        readers.ask(|_| -> Result<(), _> { panic!("a bug") }).await.unwrap_err();
        assert_eq!((idle(), readers.pool.shelf().lent), (0, 0));
    }

    #[tokio::test]
    async fn closing_waits_for_reads_under_way_and_leaves_none_open() {
        let (_dir, readers) = readers(LONG);
        readers.ask(LogReader::next).await.unwrap();
        let (hold, reading) = slow(&readers).await;
        let closing = readers.clone();
        let closing = tokio::task::spawn_blocking(move || closing.close());
        while !readers.pool.shelf().closed {
            tokio::task::yield_now().await;
        }
        assert!(!closing.is_finished());
        drop(hold);
        tokio::time::timeout(LONG, closing).await.unwrap().unwrap();
        reading.await.unwrap().unwrap();
        assert_eq!(readers.pool.shelf().idle.len(), 0);
        assert!(readers.ask(LogReader::next).await.is_err());
    }
}
