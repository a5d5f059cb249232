//! What clients sent and were told, and the rules that hold between that, the log on the disk and
//! what the service says after a crash.

use std::{collections::HashMap, path::Path};

use flk_contract::{Digest, Record, signature::Signed, wire::State};
use flk_log::StoredRecord;
use flk_tests::{Client, Pcs, Request, Response, Rng, Service, log};
use serde_json::{Map, Value};

use crate::clients::Deed;

/// A body on its way.
pub(crate) struct Sent {
    deed: Deed,
    body: Digest,
    content: Option<Digest>,
    pub(crate) pcs: Option<Pcs>,
}

impl Sent {
    pub(crate) fn of(deed: Deed, body: Vec<u8>, pcs: Option<Pcs>) -> (Self, Request) {
        let content = pcs.as_ref().map(|_| Signed::of(&Record::parse(&body).unwrap()).content_sha256);
        let request = Request::submit(body.clone());
        let request = if deed == Deed::Async { request.prefer("respond-async") } else { request };
        (Self { deed, body: Digest::of(&body), content, pcs }, request)
    }
}

/// What a client was told, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    /// Its record settled the id.
    Settled,
    /// Another one had.
    Duplicate,
    /// Another one had, and says something else.
    Conflict,
    /// Nothing was settled.
    Refused,
    /// It is in the log.
    Pending,
}

/// One position that a client was told.
struct Position {
    body: Digest,
    wal: Value,
    told: Told,
    code: String,
    result: Option<Value>,
}

/// Everything that was sent and told, over all rounds.
#[derive(Default)]
pub(crate) struct History {
    /// Bodies that were sent, and how often.
    sent: HashMap<Digest, u64>,
    positions: HashMap<i64, Position>,
    /// The one result of each id, as everybody was told it.
    results: HashMap<String, Value>,
    /// Who settled each id, by the log.
    winners: HashMap<String, i64>,
    ids: Vec<Pcs>,
    unanswered: Vec<Pcs>,
    /// Ids whose results are to be read again after the next restart.
    fresh: Vec<String>,
    counts: HashMap<(Deed, Told), u64>,
    cut: u64,
    checked: i64,
    time: i64,
}

/// The part of an answer that is the same for everybody.
fn result_of(answer: &Value) -> Value {
    let mut fields: Map<String, Value> = answer.as_object().cloned().unwrap_or_default();
    for own in ["duplicate", "conflict", "wal"] {
        fields.remove(own);
    }
    Value::Object(fields)
}

impl History {
    /// Writes an answer down, if it is one that this client may get.
    pub(crate) fn told(&mut self, sent: &Sent, answer: &Response) -> Result<Told, String> {
        let body = answer.json();
        let wrong = |why: &str| Err(format!("{:?}: {why}: {answer}", sent.deed));
        let (duplicate, conflict) = (body["duplicate"] == true, body["conflict"] == true);
        let told = match (answer.status, &body["accepted"]) {
            (202, Value::Null) if body["state"] == "pending" => Told::Pending,
            (200 | 202, Value::Bool(true)) => match (duplicate, conflict) {
                (false, false) => Told::Settled,
                (true, false) => Told::Duplicate,
                (true, true) => Told::Conflict,
                (false, true) => return wrong("a conflict that is no duplicate"),
            },
            (202, Value::Bool(false)) | (400 | 401, Value::Null) => Told::Refused,
            _ => return wrong("an answer that nobody may get"),
        };
        let (status, code) = (answer.status, answer.code());
        let allowed = match sent.deed {
            Deed::Good => told == Told::Settled && (status, code.as_str()) == (200, "ok"),
            Deed::Escalated => told == Told::Settled && (status, code.as_str()) == (202, "regime_mismatch"),
            Deed::Refused => told == Told::Refused && code == "d_hat_out_of_tolerance",
            Deed::Tampered => told == Told::Refused && (status, code.as_str()) == (401, "bad_signature"),
            Deed::Malformed => told == Told::Refused && (status, code.as_str()) == (400, "malformed"),
            Deed::Async => told == Told::Pending,
            Deed::Retry => told == Told::Duplicate,
            Deed::Conflict => told == Told::Conflict,
            Deed::Shared | Deed::Unanswered => matches!(told, Told::Settled | Told::Duplicate | Told::Conflict),
        };
        if !allowed {
            return wrong("not what the contract says");
        }
        let accepted = matches!(told, Told::Settled | Told::Duplicate | Told::Conflict);
        let result = (body["accepted"] != Value::Null).then(|| result_of(&body));
        if let (true, Some(result), Some(content)) = (accepted, &result, sent.content) {
            if conflict != (result["content_sha256"] != content.to_string()) {
                return wrong("a conflict is other content, and nothing else is");
            }
            if (told == Told::Settled) != (body["origin"] == body["wal"]) {
                return wrong("a record that settles is its own origin");
            }
            let id = result["pcs_id"].as_str().unwrap_or_default().to_owned();
            if let Some(before) = self.results.get(&id) {
                if before != result {
                    return Err(format!("two results for one id\nbefore: {before}\nnow: {result}"));
                }
            } else {
                self.results.insert(id.clone(), result.clone());
                self.fresh.push(id);
                self.ids.extend(sent.pcs.clone());
            }
        }
        let Some(offset) = body["wal"]["offset"].as_i64() else { return wrong("no position") };
        let position = Position { body: sent.body, wal: body["wal"].clone(), told, code, result };
        if let Some(before) = self.positions.insert(offset, position) {
            return Err(format!("offset {offset} was told twice, before as {}", before.wal));
        }
        *self.sent.entry(sent.body).or_default() += 1;
        *self.counts.entry((sent.deed, told)).or_default() += 1;
        Ok(told)
    }

    /// No answer came: the record may be in the log or not.
    pub(crate) fn unanswered(&mut self, sent: Sent) {
        *self.sent.entry(sent.body).or_default() += 1;
        self.cut += 1;
        let settles = !matches!(sent.deed, Deed::Refused | Deed::Tampered | Deed::Malformed);
        self.unanswered.extend(sent.pcs.filter(|_| settles));
    }

    /// A record that settled its id, of any client and round.
    pub(crate) fn someones(&self, rng: &mut Rng) -> Option<Pcs> {
        let pcs = rng.choose(&self.ids)?;
        // Which of two contents settled is in the result; this one is sent as it says.
        let content = Signed::of(&Record::parse(&pcs.body()).unwrap()).content_sha256.to_string();
        (self.results[pcs.id()]["content_sha256"] == content).then(|| pcs.clone())
    }

    pub(crate) fn take_unanswered(&mut self, rng: &mut Rng) -> Option<Pcs> {
        let n = self.unanswered.len() as u64;
        (n > 0).then(|| self.unanswered.swap_remove(rng.below(n) as usize))
    }

    /// Ids that were settled, with their records.
    pub(crate) fn settled(&self) -> impl Iterator<Item = &Pcs> {
        self.ids.iter()
    }

    /// The log on the disk against everything that was told; the service does not run. Looks at
    /// what was not looked at before.
    pub(crate) fn check_log(&mut self, dir: &Path) {
        let mut next = self.checked + 1;
        for stored in log::records_from(dir, next) {
            let offset = stored.origin.position.offset;
            assert_eq!(offset, next, "offsets are given without holes and never twice");
            next += 1;
            let time = stored.origin.appended_at.millis();
            assert!(time >= self.time, "offset {offset}: log time went back");
            self.time = time;
            self.check_record(offset, &stored);
        }
        let beyond: Vec<i64> = self.positions.keys().copied().filter(|offset| *offset >= next).collect();
        assert!(beyond.is_empty(), "told, and not in the log: {beyond:?}");
        self.checked = next - 1;
    }

    fn check_record(&mut self, offset: i64, stored: &StoredRecord) {
        let body = Digest::of(&stored.record.body);
        assert!(self.sent.contains_key(&body), "offset {offset} holds a record that nobody sent");
        let decision = stored.decision.as_ref().unwrap();
        if let Some(facts) = decision.verdict.candidate() {
            let winner = match self.winners.get(&*facts.pcs_id) {
                Some(winner) => *winner,
                None => {
                    assert_eq!(decision.state, State::Settled, "offset {offset}: the first of an id settles it");
                    self.winners.insert(facts.pcs_id.to_string(), offset);
                    offset
                }
            };
            assert_eq!(decision.state == State::Settled, winner == offset, "offset {offset}: an id settles once");
            assert_eq!(decision.settled_by, Some(winner), "offset {offset}");
            if let Some(result) = self.results.get(&*facts.pcs_id) {
                assert_eq!(result["origin"]["offset"], winner, "offset {offset}: the result told is the winner's");
            }
        } else {
            assert_eq!((decision.state, decision.settled_by), (State::Refused, None), "offset {offset}");
        }
        let Some(told) = self.positions.get(&offset) else { return };
        assert_eq!(body, told.body, "offset {offset} was told for other bytes");
        assert_eq!(serde_json::to_value(&stored.origin).unwrap(), told.wal, "offset {offset}");
        let state = match told.told {
            Told::Settled => State::Settled,
            Told::Duplicate => State::Duplicate,
            Told::Conflict => State::Conflict,
            Told::Refused => State::Refused,
            Told::Pending => return,
        };
        assert_eq!(decision.state, state, "offset {offset} was told otherwise");
        if state == State::Refused {
            assert_eq!(decision.code.as_str(), told.code, "offset {offset} was told otherwise");
        }
    }

    /// Reads what was told since the last time, and some of what was told before.
    pub(crate) fn check_results(&mut self, service: &Service, rng: &mut Rng) {
        let mut ids = std::mem::take(&mut self.fresh);
        ids.extend((0..100).filter_map(|_| rng.choose(&self.ids)).map(|pcs| pcs.id().to_owned()));
        self.read_results(service, &ids);
        let offsets: Vec<i64> = (0..60).map(|_| 1 + rng.below(self.checked.unsigned_abs().max(1)) as i64).collect();
        self.read_records(service, &offsets);
    }

    /// Reads all that was ever told.
    pub(crate) fn check_all_results(&self, service: &Service) {
        let ids: Vec<String> = self.results.keys().cloned().collect();
        self.read_results(service, &ids);
        let pending = self.positions.iter().filter(|(_, position)| position.told == Told::Pending);
        self.read_records(service, &pending.map(|(offset, _)| *offset).collect::<Vec<_>>());
    }

    fn read_results(&self, service: &Service, ids: &[String]) {
        each(ids, service, |client, id| {
            let read = client.call(&Request::get(&format!("/v1/pcs/{id}"))).expect(200).json();
            assert_eq!(&read, &self.results[id], "the result of {id} is another after the crash");
        });
    }

    fn read_records(&self, service: &Service, offsets: &[i64]) {
        each(offsets, service, |client, offset| {
            let read = client.call(&Request::get(&format!("/v1/records/0/{offset}"))).expect(200).json();
            assert_ne!(read["state"], "pending", "offset {offset}");
            let Some(told) = self.positions.get(offset) else { return };
            assert_eq!(read["wal"], told.wal, "offset {offset}");
            match (&told.result, told.told) {
                (_, Told::Pending) => assert_eq!(read["state"], "settled", "offset {offset}"),
                (Some(result), _) => assert_eq!(&read["result"], result, "offset {offset}"),
                (None, _) => assert_eq!(read["result"], Value::Null, "offset {offset}"),
            }
        });
    }

    /// From now on the log is looked at from its head again.
    pub(crate) fn forget_what_was_checked(&mut self) {
        (self.checked, self.time) = (0, 0);
        self.winners.clear();
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "{} told, {} cut off, {} in the log, {} ids settled",
            self.positions.len(),
            self.cut,
            self.checked,
            self.winners.len()
        )
    }

    /// A history in which nothing happened would be clean too.
    pub(crate) fn has_seen_everything(&self, rounds: u64) {
        assert!(self.cut > 0, "no request was cut off by a crash");
        if rounds < 4 {
            return;
        }
        for wanted in [
            (Deed::Good, Told::Settled),
            (Deed::Escalated, Told::Settled),
            (Deed::Refused, Told::Refused),
            (Deed::Shared, Told::Settled),
            (Deed::Shared, Told::Duplicate),
            (Deed::Shared, Told::Conflict),
            (Deed::Retry, Told::Duplicate),
            (Deed::Conflict, Told::Conflict),
            (Deed::Tampered, Told::Refused),
            (Deed::Malformed, Told::Refused),
            (Deed::Async, Told::Pending),
        ] {
            assert!(self.counts.contains_key(&wanted), "{wanted:?} never happened: {:?}", self.counts);
        }
        assert!(
            self.counts.keys().any(|(deed, _)| *deed == Deed::Unanswered),
            "nobody sent again what a crash left unanswered"
        );
    }
}

/// Asks about many things over a few connections.
fn each<T: Sync>(things: &[T], service: &Service, ask: impl Fn(&mut Client, &T) + Sync) {
    let share = things.len().div_ceil(8).max(1);
    std::thread::scope(|scope| {
        for things in things.chunks(share) {
            let ask = &ask;
            scope.spawn(move || {
                let mut client = service.client();
                things.iter().for_each(|thing| ask(&mut client, thing));
            });
        }
    });
}
