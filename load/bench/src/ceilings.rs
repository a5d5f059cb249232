//! What the machine can do at best, taken in the same run: the HTTP stack without a service, the
//! disk without HTTP, and one fsync.

use core::time::Duration;
use std::{
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::Instant,
};

use rusqlite::Connection;

/// Group-commit appends of the same bytes into a bare SQLite table: so many callers, each handing
/// in its next body when the last is durable; one writer that commits what waits. Records a second.
pub(crate) fn sqlite_appends(
    dir: &Path,
    bodies: &Arc<Vec<String>>,
    callers: usize,
    span: Duration,
) -> rusqlite::Result<f64> {
    let mut conn = Connection::open(dir.join("ceiling.db"))?;
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 2000)?;
    conn.execute_batch("CREATE TABLE record (offset INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)")?;
    let (queue, items) = flume::bounded::<(usize, flume::Sender<()>)>(4096);
    let started = Instant::now();
    let mut threads = Vec::new();
    for caller in 0..callers {
        let (queue, bodies) = (queue.clone(), bodies.clone());
        threads.push(std::thread::spawn(move || {
            let (done, told) = flume::bounded(1);
            let mut n = caller;
            while started.elapsed() < span {
                if queue.send((n % bodies.len(), done.clone())).is_err() || told.recv().is_err() {
                    break;
                }
                n += callers;
            }
        }));
    }
    drop(queue);
    let mut count = 0_usize;
    let mut batch = Vec::new();
    while let Ok(first) = items.recv() {
        batch.push(first);
        while batch.len() < 512 {
            let Ok(item) = items.try_recv() else { break };
            batch.push(item);
        }
        let tx = conn.transaction()?;
        {
            let mut insert = tx.prepare_cached("INSERT INTO record (body) VALUES (?1)")?;
            for (n, _) in &batch {
                insert.execute([bodies.get(*n).map(String::as_bytes)])?;
            }
        }
        tx.commit()?;
        count += batch.len();
        for (_, done) in batch.drain(..) {
            let _ = done.send(());
        }
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    for thread in threads {
        let _ = thread.join();
    }
    Ok(rate)
}

/// The median time of one small append with its fsync.
pub(crate) fn fsync(dir: &Path, times: usize) -> io::Result<Duration> {
    let mut file = std::fs::File::create(dir.join("ceiling.sync"))?;
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(took.get(times / 2).copied().unwrap_or_default())
}
