//! What became of the record at one place: read again, judged again, and its id looked up. No index is
//! needed for it, and nothing is remembered.

use flk_contract::{
    Code, Settled, Tenant, Verdict,
    settle::stands,
    wire::{RecordBody, ResultBody, State},
};
use flk_log::{Log as _, StoredRecord};
use flk_results::read_side::Lookup;

use super::{Inner, became::became};
use crate::Away;

impl Inner {
    pub(super) async fn record(&self, partition: i32, offset: i64) -> Result<Option<RecordBody>, Away> {
        let stored = self.log.read(partition, offset).await;
        let stored = stored.map_err(|error| Away::Unavailable(error.to_string().into()))?;
        let Some(StoredRecord { origin, record, .. }) = stored else { return Ok(None) };
        let verdict = self.judge(record.body, origin.appended_at, record.tenant).await;
        let body = |state, code, result| Ok(Some(RecordBody { state, code, wal: origin.clone(), result }));
        let Some(facts) = verdict.candidate() else {
            return body(State::Refused, Some(verdict.code), ResultBody::refused(&verdict));
        };
        let found = self.look_up(&facts.tenant, &facts.pcs_id).await?;
        let told = found.and_then(|found| Some((became(&origin, &facts.content_sha256, &found)?, found)));
        match told {
            Some((state, found)) => body(state, Some(code(state, &verdict, &found)), Some(ResultBody::settled(&found))),
            // It is to be settled, and has not been yet.
            None if stands(origin.appended_at, self.clock.now()) && !self.has_left(origin.appended_at) => {
                body(State::Pending, None, None)
            }
            // Its window is over. What it was to its id went with the id's result; its body goes soon.
            None => Ok(None),
        }
    }

    /// The result last settled for an id; `None` only if there is none for certain.
    pub(super) async fn look_up(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, Away> {
        match self.read_side.read(tenant, pcs_id).await {
            Ok(Lookup::Hit(settled)) => Ok(Some(*settled)),
            Ok(Lookup::Miss { ready: true }) => Ok(None),
            Ok(Lookup::Miss { ready: false }) => {
                Err(Away::Incomplete("the read side is being filled again by the sinks".into()))
            }
            Err(error) => {
                self.watch.on_read_error();
                Err(Away::Unavailable(error.to_string().into()))
            }
        }
    }
}

/// The code that goes with a state.
fn code(state: State, verdict: &Verdict, found: &Settled) -> Code {
    match state {
        State::Conflict => Code::Conflict,
        State::Settled => found.code,
        State::Duplicate | State::Refused | State::Pending => verdict.code,
    }
}
