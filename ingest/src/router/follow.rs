//! One record from its submission to its verdict.
//!
//! A task for each, owned by the router: a client may go away at any time, and the record's ticket still
//! resolves. What is kept for an answer goes as soon as nobody waits for it any more, and the body as soon
//! as it is known whose id it is.

use core::{pin::pin, time::Duration};
use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use flk_contract::{Origin, Settled, Verdict, verdict, wire::State};
use flk_log::{Decided, Resolver, Ticket};
use flk_results::read_side::Lookup;
use tokio::sync::oneshot;

use super::{
    Inner,
    became::became,
    options::{Answered, Source},
    waiters::Waiting,
};

/// A record on its way.
pub(super) struct Following {
    /// The log's own word on it.
    pub(super) ticket: Ticket,
    /// What the client was handed for it.
    pub(super) resolver: Resolver,
    /// Where its verdict goes.
    pub(super) tell: oneshot::Sender<Arc<Decided>>,
    pub(super) waiting: Waiting,
    pub(super) answer: oneshot::Receiver<Arc<Decided>>,
    pub(super) body: Bytes,
    pub(super) tenant: Option<String>,
}

impl Following {
    pub(super) async fn follow(self, router: Arc<Inner>) {
        let Self { ticket, resolver, mut tell, waiting, answer, body, tenant } = self;
        let mut durable = pin!(ticket.durable());
        let (appended, held) = tokio::select! {
            biased;
            appended = &mut durable => (appended, Some((waiting, answer, body))),
            () = tell.closed() => {
                drop((waiting, answer, body));
                (durable.await, None)
            }
        };
        let origin = match &appended {
            Ok(appended) => appended.origin.clone(),
            Err(_) => {
                drop(held);
                return resolver.resolve(appended);
            }
        };
        router.verdicts.appended(Instant::now(), origin.appended_at);
        let begun = Instant::now();
        resolver.resolve(appended);
        let Some((waiting, answer, body)) = held else { return };
        for answered in waiting.placed(&origin.position) {
            if answered == Answered::Elsewhere {
                tracing::warn!("an answer is for another record than the one that waits under its id");
            }
            router.watch.on_reply(answered);
        }
        let verdict = tokio::select! {
            biased;
            () = tell.closed() => None,
            Ok(decided) = answer => Some((decided, Source::Reply)),
            decided = router.read_back(&origin, body, tenant) => Some((decided, Source::ReadBack)),
        };
        drop(waiting);
        if let Some((decided, source)) = verdict {
            router.watch.on_verdict(source, begun.elapsed());
            // Whoever went away just now is not told.
            let _ = tell.send(decided);
        }
    }
}

impl Inner {
    /// The verdict of a record whose answer does not come, as soon as the read side tells it: its own
    /// result, or the one of another record that says the same. Nothing else is told from there. That
    /// somebody else's result says something else may be a conflict, and the record may as well be one
    /// that is refused: only its verifier knows, which may have other keys.
    async fn read_back(&self, origin: &Origin, body: Bytes, tenant: Option<String>) -> Arc<Decided> {
        tokio::time::sleep(self.options.read_back).await;
        let verdict = self.judge(body, origin.appended_at, tenant).await;
        let Some(facts) = verdict.candidate() else { return core::future::pending().await };
        let mut pause = self.options.read_back.max(Duration::from_millis(10));
        loop {
            // Where too many look, this one skips its turn.
            if let Ok(_turn) = self.read_backs.try_acquire() {
                self.watch.on_look();
                match self.read_side.read(&facts.tenant, &facts.pcs_id).await {
                    Ok(Lookup::Hit(found)) => match became(origin, &facts.content_sha256, &found) {
                        Some(State::Settled) => {
                            self.verdicts.found();
                            let reason = verdict::reason(found.code, &found.facts);
                            let own = Verdict { code: found.code, reason, facts: Some(found.facts.clone()) };
                            return decided(own, State::Settled, *found);
                        }
                        Some(State::Duplicate) => return decided(verdict, State::Duplicate, *found),
                        _ => {}
                    },
                    Ok(Lookup::Miss { .. }) => {}
                    Err(error) => {
                        tracing::debug!(%error, "a lost answer can not be read back");
                        self.watch.on_read_error();
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.options.read_back_pause);
        }
    }
}

fn decided(verdict: Verdict, state: State, standing: Settled) -> Arc<Decided> {
    let code = verdict.code;
    Arc::new(Decided { verdict, state, code, standing: Some(Arc::new(standing)) })
}
