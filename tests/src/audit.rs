//! What is on the topics in the end, checked from the topics alone: every record has one outcome, every id one result,
//! and the winner is the first accepted record of its id in its partition of pcs.verified.
//!
//! A rule of its own making, on purpose: it shares no code with what settles records.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    num::NonZeroU32,
    time::Duration,
};

use flk_contract::{Tenant, partition};
use flk_log::topic::Topic;
use serde_json::Value;

use crate::{
    Client, Service, Stand, Traffic,
    kafka::{self, Consumed},
    stand::PARTITIONS,
    until_or,
};

/// A place in pcs.raw.
pub type Place = (i32, i64);

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where it is in pcs.raw.
    pub place: Place,
    /// Its body.
    pub body: Vec<u8>,
    /// `settled`, `duplicate`, `conflict`, `refused` or `pending`.
    pub state: &'static str,
    /// The verdict's code, or `conflict`; empty while it is pending.
    pub code: String,
    /// Tenant, slash, id; of accepted records only.
    pub key: Option<String>,
}

/// What is on the topics.
#[derive(Debug, Default)]
pub struct Audit {
    /// What became of each record of pcs.raw, in its order.
    pub outcomes: Vec<Outcome>,
    /// The result of each key in pcs.results: what is served for it.
    pub results: BTreeMap<String, Value>,
    /// What must not be, in sentences.
    pub faults: Vec<String>,
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} records, {} results, {:?}", self.outcomes.len(), self.results.len(), self.states())?;
        self.faults.iter().take(20).try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}

fn place_of(origin: &Value) -> Place {
    let number = |field: &str| origin[field].as_i64().unwrap_or_else(|| panic!("no {field} in {origin}"));
    (i32::try_from(number("partition")).unwrap(), number("offset"))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The result without what says where it was verified.
fn result_of(value: &Value) -> Value {
    let mut result = value.clone();
    result.as_object_mut().map(|fields| fields.remove("verified"));
    result
}

/// What a key's record in pcs.verified or pcs.results says.
struct Keyed {
    key: String,
    value: Value,
    bytes: Vec<u8>,
}

impl Audit {
    /// Reads all topics, each to its end of this moment.
    ///
    /// # Panics
    /// Where they can not be read.
    pub fn of(stand: &Stand) -> Self {
        // In the order against the stream: whatever a topic has, those before it have as well.
        let [results, refused, verified, raw] =
            [Topic::Results, Topic::Refused, Topic::Verified, Topic::Raw].map(|topic| kafka::read(stand, topic));
        Self::over(raw, verified, refused, results)
    }

    /// Of what was read from the topics, each partition in order.
    ///
    /// # Panics
    /// Where a value is not what its topic's schema says.
    pub fn over(raw: Vec<Consumed>, verified: Vec<Consumed>, refused: Vec<Consumed>, results: Vec<Consumed>) -> Self {
        let mut audit = Self::default();
        let results = audit.keyed("pcs.results", results);
        let verified = audit.keyed("pcs.verified", verified);
        let refused: Vec<Value> = refused.iter().map(Consumed::json).collect();

        audit.one_result_an_id(results);
        audit.first_in_its_partition_wins(&verified);
        audit.one_outcome_a_record(raw, &verified, &refused);
        audit
    }

    /// The records of a keyed topic: each in the partition of its key.
    fn keyed(&mut self, topic: &str, records: Vec<Consumed>) -> Vec<Keyed> {
        let partitions = NonZeroU32::new(PARTITIONS).expect("there are some");
        let mut all = Vec::new();
        for record in records {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            let value = record.json();
            let tenant = Tenant::new(text(&value, "tenant")).unwrap();
            let expected = partition(&tenant, text(&value, "pcs_id"), partitions);
            if i64::from(expected) != i64::from(record.partition) {
                self.faults.push(format!("{topic}: {key} is in partition {}, not {expected}", record.partition));
            }
            all.push(Keyed { key, value, bytes: record.value });
        }
        all
    }

    fn one_result_an_id(&mut self, results: Vec<Keyed>) {
        let mut bytes: HashMap<String, Vec<u8>> = HashMap::new();
        for Keyed { key, value, bytes: these } in results {
            let first = bytes.entry(key.clone()).or_insert_with(|| these.clone());
            if *first != these {
                let (first, other) = (String::from_utf8_lossy(first), String::from_utf8_lossy(&these));
                self.faults.push(format!("{key} has two results: {first} and {other}"));
            }
            self.results.insert(key, value);
        }
    }

    fn first_in_its_partition_wins(&mut self, verified: &[Keyed]) {
        let mut winners = BTreeMap::new();
        for Keyed { key, value, .. } in verified {
            winners.entry(key).or_insert(value);
        }
        for (key, winner) in winners {
            match self.results.get(key) {
                Some(result) if result_of(result) == *winner => {}
                Some(result) => self.faults.push(format!("{key}: {winner} came first, and the result is {result}")),
                None => {}
            }
        }
    }

    fn one_outcome_a_record(&mut self, raw: Vec<Consumed>, verified: &[Keyed], refused: &[Value]) {
        let mut accepted: HashMap<Place, &Keyed> = HashMap::new();
        for record in verified {
            let place = place_of(&record.value["origin"]);
            let first = *accepted.entry(place).or_insert(record);
            if first.bytes != record.bytes {
                self.faults.push(format!("the record at {place:?} was verified in two ways"));
            }
        }
        let mut kept: HashMap<Place, BTreeSet<(&str, &str)>> = HashMap::new();
        for record in refused {
            let place = place_of(&record["origin"]);
            kept.entry(place).or_default().insert((text(record, "state"), text(record, "code")));
        }
        for record in raw {
            let place = (record.partition, record.offset);
            let kept = kept.get(&place).into_iter().flatten().copied().collect::<Vec<_>>();
            let accepted = accepted.get(&place).copied();
            let (state, code) = match self.state(place, accepted, &kept) {
                Ok(state) => state,
                Err(fault) => {
                    self.faults.push(fault);
                    ("pending", String::new())
                }
            };
            let key = accepted.map(|accepted| accepted.key.clone());
            self.outcomes.push(Outcome { place, body: record.value, state, code, key });
        }
    }

    /// The one outcome of a record, or why it has not one.
    fn state(
        &self,
        place: Place,
        accepted: Option<&Keyed>,
        kept: &[(&str, &str)],
    ) -> Result<(&'static str, String), String> {
        let Some(accepted) = accepted else {
            return match kept {
                [] => Ok(("pending", String::new())),
                [("refused", code)] => Ok(("refused", (*code).to_owned())),
                other => Err(format!("the record at {place:?} has more than one outcome: {other:?}")),
            };
        };
        let Some(result) = self.results.get(&accepted.key) else { return Ok(("pending", String::new())) };
        let code = text(&accepted.value, "code").to_owned();
        let settled = place_of(&result["origin"]) == place;
        let same = result["content_sha256"] == accepted.value["content_sha256"];
        match (settled, same, kept) {
            (true, true, []) => Ok(("settled", code)),
            (false, true, []) => Ok(("duplicate", code)),
            (false, false, [("conflict", _)]) => Ok(("conflict", "conflict".to_owned())),
            (false, false, []) => Ok(("pending", String::new())),
            (_, _, kept) => Err(format!("the accepted record at {place:?} is also in pcs.refused: {kept:?}")),
        }
    }

    /// How many records of each state there are.
    pub fn states(&self) -> BTreeMap<&'static str, usize> {
        let mut states = BTreeMap::new();
        for outcome in &self.outcomes {
            *states.entry(outcome.state).or_insert(0) += 1;
        }
        states
    }

    /// Whether every record has an outcome.
    pub fn is_complete(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.state != "pending")
    }

    /// What clients were told that is not on the topics, and what became of records that must not: in sentences.
    pub fn against(&self, traffic: &Traffic) -> Vec<String> {
        let mut faults = traffic.wrong();
        for outcome in &self.outcomes {
            let Outcome { place, state, code, .. } = outcome;
            match traffic.kind_of(&outcome.body) {
                // A probe of the test's own.
                None => {}
                Some(kind) if kind.may_be(state, code) => {}
                Some(kind) => faults.push(format!("{}: the record at {place:?} is {state} {code}", kind.label())),
            }
        }
        for (id, result) in &traffic.told() {
            // Keys of the environment belong to this tenant.
            let stored = self.results.get(&format!("default/{id}"));
            if stored.map(result_of).as_ref() != Some(result) {
                faults.push(format!("{id} was told {result}, and pcs.results has {stored:?}"));
            }
        }
        faults
    }

    /// The outcome of the record with this body: of the first one, where several have it.
    pub fn of_body(&self, body: &[u8]) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.body == body)
    }
}

/// Waits until every record has its outcome, and gives all of them; nothing is wrong with any.
///
/// # Panics
/// Where a record has none in time, or something must not be.
pub fn settled(stand: &Stand, within: Duration) -> Audit {
    let mut audit = Audit::default();
    let seen = std::cell::RefCell::new(String::new());
    until_or(
        "every record has its outcome",
        within,
        || {
            audit = Audit::of(stand);
            *seen.borrow_mut() = audit.to_string();
            audit.is_complete()
        },
        || seen.borrow().clone(),
    );
    assert!(audit.faults.is_empty(), "{audit}");
    audit
}

/// Asks the service for every record and every result: what differs from the topics, in sentences.
///
/// # Panics
/// Where no answer comes.
pub fn served(service: &Service, audit: &Audit) -> Vec<String> {
    let outcomes = asked_by_several(service, &audit.outcomes, |client, outcome| {
        let (partition, offset) = outcome.place;
        let path = format!("/v1/records/{partition}/{offset}");
        let answer = client.call(&crate::Request::get(&path));
        let told = answer.status == 200;
        let same = told && answer.field("state") == outcome.state && answer.field("code") == outcome.code.as_str();
        (!same).then(|| format!("{path} is {} {} on the topics, and {answer}", outcome.state, outcome.code))
    });
    let results: Vec<_> = audit.results.iter().collect();
    let results = asked_by_several(service, &results, |client, (key, value)| {
        let (tenant, id) = key.split_once('/').unwrap_or_default();
        let request = crate::Request::get(&format!("/v1/pcs/{id}")).header("X-Tenant-Id", tenant);
        let answer = client.call(&request);
        let same = answer.status == 200 && answer.json() == result_of(value);
        (!same).then(|| format!("{key} is {value} in pcs.results, and {answer}"))
    });
    [outcomes, results].concat()
}

/// Several clients ask at a time: there are thousands to ask for, and a single one mostly waits.
fn asked_by_several<T: Sync>(
    service: &Service,
    all: &[T],
    ask: impl Fn(&mut Client, &T) -> Option<String> + Sync,
) -> Vec<String> {
    const CLIENTS: usize = 8;
    let ask = &ask;
    std::thread::scope(|scope| {
        let one = |some| {
            scope.spawn(move || {
                let mut client = service.client();
                <[T]>::iter(some).filter_map(|one| ask(&mut client, one)).collect::<Vec<_>>()
            })
        };
        let asked: Vec<_> = all.chunks(all.len().div_ceil(CLIENTS).max(1)).map(one).collect();
        asked.into_iter().flat_map(|differs| differs.join().unwrap()).collect()
    })
}
