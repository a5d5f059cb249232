//! How the log's writer ended, for whoever owns it: in order, or by a panic. However it was, nobody
//! who handed in a record is left waiting.

use std::{future::Future, thread};

use tokio::sync::watch;

use super::writer::Item;

/// How the thread of a log's writer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterEnd {
    /// The log was dropped, and the writer did what was queued.
    Orderly,
    /// It panicked, which is a bug. What was told to be durable is; nothing more can be written
    /// before the log is opened anew.
    Panicked,
}

/// Tells of the end.
#[derive(Clone)]
pub(super) struct End(watch::Receiver<Option<WriterEnd>>);

/// Held by the writer's thread for as long as that lives.
pub(super) struct Ending {
    pub(super) items: flume::Receiver<Item>,
    end: watch::Sender<Option<WriterEnd>>,
}

impl Ending {
    pub(super) fn of(items: flume::Receiver<Item>) -> (Self, End) {
        let (end, ended) = watch::channel(None);
        (Self { items, end }, End(ended))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let end = if thread::panicking() { WriterEnd::Panicked } else { WriterEnd::Orderly };
        // In this order: whoever adds to the queue after it was emptied sees that.
        self.end.send_replace(Some(end));
        // The queue outlives its reader for as long as somebody could send, with all that is in it.
        drop(self.items.drain());
    }
}

impl End {
    pub(super) fn now(&self) -> Option<WriterEnd> {
        *self.0.borrow()
    }

    pub(super) fn wait(&self) -> impl Future<Output = WriterEnd> + Send + use<> {
        let mut end = self.0.clone();
        async move {
            // It is told before its sender goes; were it not, nothing in order would have come.
            let end = end.wait_for(Option::is_some).await.map_or(None, |end| *end);
            end.unwrap_or(WriterEnd::Panicked)
        }
    }
}
