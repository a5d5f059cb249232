//! Whether the read side can be read, asked in the background: readiness only says what was found.

use core::{fmt::Write as _, time::Duration};
use std::sync::{Arc, Mutex, PoisonError};

use flk_results::read_side::ReadSide;
use flk_service::health::Check;
use tokio::time::timeout;

/// The name of its check.
const NAME: &str = "read_side";
/// Between two questions while all is well.
const WELL: Duration = Duration::from_secs(5);
/// The shortest pause after a question without a good answer; each is twice the one before, up to [`WELL`].
const ILL: Duration = Duration::from_millis(250);

/// What was found last: what should be changed though all works, or why it does not.
#[derive(Debug)]
pub(super) struct ReadSideHealth(Mutex<Result<Arc<str>, Arc<str>>>);

impl ReadSideHealth {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Err("the read side has not answered yet".into())))
    }

    /// Not needed: without it GETs are not answered, and every POST is.
    pub(super) fn check(&self) -> Check {
        let check = match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Ok(warnings) => Check::ok(NAME).saying(warnings),
            Err(why) => Check::failing(NAME, why),
        };
        check.optional().shared()
    }

    /// Asks again and again, each time at most so long.
    pub(super) async fn ask(&self, read_side: &dyn ReadSide, deadline: Duration) {
        let mut pause = ILL;
        loop {
            let answer = match timeout(deadline, read_side.health()).await {
                Ok(Ok(warnings)) => Ok(warnings),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("the read side did not say within {deadline:?} how it is")),
            };
            let now = answer.map_err(Arc::from).map(|warnings| {
                let mut text = String::new();
                for warning in warnings {
                    let _ = write!(text, "{}{warning}", if text.is_empty() { "" } else { "; " });
                }
                Arc::from(text)
            });
            let well = now.is_ok();
            self.note(now);
            tokio::time::sleep(if well { WELL } else { pause }).await;
            pause = if well { ILL } else { (pause * 2).min(WELL) };
        }
    }

    /// One line for each change, not for each answer.
    fn note(&self, now: Result<Arc<str>, Arc<str>>) {
        let before = core::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), now.clone());
        if before == now {
            return;
        }
        match now {
            Err(why) => tracing::warn!("settled results can not be read: {why}"),
            Ok(warnings) if !warnings.is_empty() => tracing::warn!("the read side answers, and: {warnings}"),
            Ok(_) => tracing::info!("the read side answers"),
        }
    }
}
