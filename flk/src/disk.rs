//! How much the data directory takes, and how much is left where it is.

use core::{convert::Infallible, time::Duration};
use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use flk_service::Metrics;
use tokio_util::sync::CancellationToken;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Looks every few seconds, until it is stopped.
pub(crate) async fn watch(dir: PathBuf, metrics: Arc<Metrics>, stop: CancellationToken) -> Result<(), Infallible> {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        let (dir, metrics) = (dir.clone(), metrics.clone());
        // Walks the directory: not on a thread that answers requests.
        let looked = tokio::task::spawn_blocking(move || look(&dir, &metrics)).await;
        if let Ok(Err(error)) = looked {
            tracing::debug!(%error, "the disk of the data directory can not be looked at");
        }
    }
}

fn look(dir: &Path, metrics: &Metrics) -> io::Result<()> {
    metrics.disk_used_bytes.set(i64::try_from(used(dir)?).unwrap_or(i64::MAX));
    let disk = rustix::fs::statvfs(dir)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    metrics.disk_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
    Ok(())
}

/// Bytes that all files below take on the disk: the index's journal is mostly a hole. A file that
/// goes away meanwhile takes none.
fn used(dir: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let Ok(entry) = entry else { continue };
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => sum += used(&entry.path()).unwrap_or(0),
            Ok(meta) => sum += meta.blocks() * 512,
            Err(_) => {}
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_takes_no_space() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::File::create(dir.path().join("hole")).unwrap().set_len(1 << 30).unwrap();
        std::fs::create_dir(dir.path().join("below")).unwrap();
        std::fs::write(dir.path().join("below/data"), vec![7; 100_000]).unwrap();
        let used = used(dir.path()).unwrap();
        assert!((100_000..1_000_000).contains(&used), "{used}");
    }
}
