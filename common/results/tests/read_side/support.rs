//! Waiting for a condition, with a deadline.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

const SOON: Duration = Duration::from_secs(20);

/// Asks until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(claim: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + SOON;
    let asked = async {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        loop {
            again.tick().await;
            if holds().await {
                return;
            }
        }
    };
    timeout_at(deadline, asked).await.unwrap_or_else(|_| panic!("not in {SOON:?}: {claim}"));
}
