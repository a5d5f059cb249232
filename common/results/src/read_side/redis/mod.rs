//! The read side in Redis (7 or newer, or Valkey): alone, or a cluster.
//!
//! What an ACL has to allow, on keys that begin with the prefix and a brace: ROLE, MGET and INFO
//! to read (`%R~flk:{*`); ROLE, INFO, GET, SET, EVAL, EVALSHA and TIME to publish. Nothing else than
//! these keys is touched.

mod connection;
mod info;
mod keys;
mod nodes;

use core::time::Duration;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use async_trait::async_trait;
use flk_contract::{Settled, Tenant};
use redis::{Cmd, Script, Value, aio::MultiplexedConnection};
use tokio::time::Instant;

use self::{
    connection::{Answer, ask, failed},
    info::Info,
    keys::Keys,
    nodes::{Node, Nodes},
};
use super::{
    BadSetting, Batch, Lookup, Published, ReadSide, ReadSideError, Reason, Subject, Warning,
    link::{Failed, Link},
    marker::Marker,
    subject::Admitted,
    value::{self, Decoded, KeyIdName},
};
use crate::codec::IdKey;

/// A script, and the digest that Redis knows it by.
struct Lua {
    code: &'static str,
    digest: LazyLock<Script>,
}

static PUBLISH: Lua =
    Lua { code: include_str!("publish.lua"), digest: LazyLock::new(|| Script::new(include_str!("publish.lua"))) };
static FULL: Lua =
    Lua { code: include_str!("full.lua"), digest: LazyLock::new(|| Script::new(include_str!("full.lua"))) };

/// How often a call is sent on by servers of a cluster before it is given up.
const MOVES_MAX: u32 = 3;

/// How long what a server says about itself is taken to hold.
const INFO_HOLDS: Duration = Duration::from_secs(2);

/// Key ids that are kept apart are remembered; more than these there are only where somebody makes
/// them up, and then they are fetched again.
const KEY_IDS_MAX: usize = 1024;

/// How Redis is reached and used.
#[derive(Clone)]
pub struct RedisSettings {
    /// `HOST:PORT`, or a URL: `redis://` or `rediss://` (TLS), user, password, database.
    pub address: String,
    /// The authority that signed the server's certificate, PEM; the public ones where there is none.
    pub ca: Option<Vec<u8>>,
    /// Certificate and key that the server asks clients for, PEM.
    pub client_certificate: Option<(Vec<u8>, String)>,
    /// What all keys begin with.
    pub prefix: String,
    /// For one call, from its beginning to its answer.
    pub deadline: Duration,
}

impl RedisSettings {
    /// A Redis at `address`, with what is usual.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            ca: None,
            client_certificate: None,
            prefix: "flk".into(),
            deadline: Duration::from_millis(500),
        }
    }
}

impl core::fmt::Debug for RedisSettings {
    /// Without the address, which may hold a password, and without the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { prefix, deadline, .. } = self;
        f.debug_struct("RedisSettings").field("prefix", prefix).field("deadline", deadline).finish_non_exhaustive()
    }
}

/// A read side in Redis. It connects when it is first asked for something.
pub struct RedisReadSide {
    subject: Subject,
    keys: Keys,
    nodes: Nodes,
    source: Box<str>,
    deadline: Duration,
    key_ids: Mutex<HashMap<KeyIdName, Arc<str>>>,
}

impl RedisReadSide {
    /// A read side about `subject`. Nothing is sent yet: Redis may be away.
    ///
    /// # Errors
    /// [`BadSetting`].
    pub fn new(subject: Subject, settings: &RedisSettings) -> Result<Self, BadSetting> {
        if settings.deadline.is_zero() {
            return Err(BadSetting("the deadline of Redis has to be longer than nothing".into()));
        }
        let keys = Keys::new(&settings.prefix, &subject)?;
        let nodes = Nodes::new(settings, subject.partitions.get() as usize)?;
        let source = subject.source().into();
        Ok(Self { subject, keys, nodes, source, deadline: settings.deadline, key_ids: Mutex::default() })
    }

    fn until(&self) -> Instant {
        Instant::now() + self.deadline
    }

    /// Asks the server of a partition, wherever that is; says who answered.
    async fn ask(
        &self,
        until: Instant,
        partition: u32,
        link: impl Fn(&Node) -> &Link<connection::Server> + Send + Sync,
        question: Question,
    ) -> Result<(Value, Arc<Node>), Asked> {
        let mut node = self.nodes.of(partition);
        for _ in 0..=MOVES_MAX {
            let question = question.clone();
            let answer = link(&node).call(until, |connection| question.ask(connection)).await;
            match answer {
                Ok(Answer::Is(value)) => return Ok((value, node)),
                Ok(Answer::Full(why)) => return Err(Asked::Full(why)),
                Ok(Answer::Moved { host, port }) => node = self.nodes.moved(partition, &node, &host, port)?,
                // The fallback itself was not known: it is never.
                Ok(Answer::NoScript) => return Err(no_answer().into()),
                Err(error) => {
                    if let ReadSideError::Away {
                        reason: Reason::Unreachable | Reason::Deadline | Reason::Replica,
                        ..
                    } = error
                    {
                        self.nodes.lost(partition, &node);
                    }
                    return Err(error.into());
                }
            }
        }
        self.nodes.lost(partition, &node);
        let error = "the servers of the Redis cluster sent this call on and on; it may be moving slots";
        Err(ReadSideError::away(Reason::Unreachable, error).into())
    }

    async fn read_keys(
        &self,
        until: Instant,
        partition: u32,
        keys: &[&[u8]],
    ) -> Result<(Vec<Option<Vec<u8>>>, Arc<Node>), ReadSideError> {
        let mut command = redis::cmd("MGET");
        for key in keys {
            command.arg(*key);
        }
        let answer = self.ask(until, partition, |node| &node.reads, Question::Command(command)).await;
        let (answer, node) = answer.map_err(Asked::error)?;
        let Value::Array(values) = answer else { return Err(no_answer()) };
        let values = values.into_iter().map(|value| match value {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            _ => Err(no_answer()),
        });
        Ok((values.collect::<Result<_, _>>()?, node))
    }

    /// What a server says about itself.
    async fn info(&self, until: Instant, node: &Node) -> Result<Info, ReadSideError> {
        let text = node.reads.call(until, |mut connection| async move {
            let info: redis::RedisResult<String> = redis::cmd("INFO").query_async(&mut connection).await;
            info.map_err(|why| failed(&why))
        });
        let info = Info::read(&text.await?);
        *node.drops.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), info.drops()));
        Ok(info)
    }

    /// Whether a server may have dropped what it was given: then nothing is known by a miss.
    async fn drops(&self, until: Instant, node: &Node) -> Result<bool, ReadSideError> {
        let known = *node.drops.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some((at, drops)) if at.elapsed() < INFO_HOLDS => Ok(drops),
            _ => self.info(until, node).await.map(|info| info.drops()),
        }
    }

    /// A key id that is kept apart: put it into the result.
    async fn with_key_id(
        &self,
        until: Instant,
        partition: u32,
        name: KeyIdName,
        mut settled: Box<Settled>,
    ) -> Result<Lookup, ReadSideError> {
        let known = self.remembered().get(&name).cloned();
        let key_id = match known {
            Some(key_id) => key_id,
            None => {
                let key = self.keys.key_id(partition, &name);
                let (fetched, _) = self.read_keys(until, partition, &[&key]).await?;
                let text = fetched.into_iter().next().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
                let Some(text) = text.filter(|text| value::name(text) == name) else {
                    let detail = "a result's key id is not there any more: does Redis evict keys?";
                    return Err(ReadSideError::away(Reason::Fault, detail));
                };
                let key_id: Arc<str> = text.into();
                let mut remembered = self.remembered();
                if remembered.len() >= KEY_IDS_MAX {
                    remembered.clear();
                }
                remembered.insert(name, Arc::clone(&key_id));
                key_id
            }
        };
        settled.facts.key_id = Some(key_id);
        Ok(Lookup::Hit(settled))
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<KeyIdName, Arc<str>>> {
        self.key_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publishing(&self, batch: &Batch<'_>, admitted: &[Admitted]) -> Question {
        let partition = batch.partition;
        let mut keys = vec![self.keys.marker(partition).to_vec()];
        let mut args = vec![self.source.as_bytes().to_vec()];
        let number = |number: i64| number.to_string().into_bytes();
        args.extend([batch.from, batch.to, batch.end, admitted.len() as i64].map(number));
        for Admitted { offset, key, expires, stored } in admitted {
            keys.push(self.keys.value(partition, key));
            args.extend([number(*offset), number(*expires), stored.value.clone()]);
        }
        let apart: BTreeMap<_, _> = admitted.iter().filter_map(|entry| entry.stored.key_id.as_ref()).cloned().collect();
        for (name, key_id) in &apart {
            keys.push(self.keys.key_id(partition, name));
            args.push(key_id.as_bytes().to_vec());
        }
        Question::Script { script: &PUBLISH, keys: keys.into(), args: args.into() }
    }
}

#[async_trait]
impl ReadSide for RedisReadSide {
    async fn publish(&self, batch: &Batch<'_>) -> Result<Published, ReadSideError> {
        let admitted = self.subject.admit(batch)?;
        let question = self.publishing(batch, &admitted);
        let until = self.until();
        match self.ask(until, batch.partition, |node| &node.writes, question).await {
            Ok((answer, _)) => marker_of(&answer).map(Marker::published),
            Err(Asked::Away(error)) => Err(error),
            Err(Asked::Full(why)) => {
                let keys = vec![self.keys.marker(batch.partition).to_vec()];
                let args = vec![self.source.as_bytes().to_vec(), batch.end.to_string().into_bytes()];
                let question = Question::Script { script: &FULL, keys: keys.into(), args: args.into() };
                // Where that fails too, whoever publishes next tries again.
                let _ = self.ask(until, batch.partition, |node| &node.writes, question).await;
                Err(Asked::Full(why).error())
            }
        }
    }

    async fn read(&self, tenant: &Tenant, pcs_id: &str) -> Result<Lookup, ReadSideError> {
        // Such an id never settles, whatever Redis knows.
        let Some(id) = IdKey::new(tenant, pcs_id) else { return Ok(Lookup::Miss { ready: true }) };
        let partition = self.subject.partition(tenant, pcs_id);
        let keys = [&self.keys.value(partition, &id), self.keys.marker(partition)];
        let until = self.until();
        let (found, node) = self.read_keys(until, partition, &keys).await?;
        let [stored, marker]: [Option<Vec<u8>>; 2] = found.try_into().map_err(|_| no_answer())?;
        if let Some(stored) = stored {
            match value::decode(&self.subject, tenant.clone(), pcs_id.into(), &stored) {
                Ok(Decoded::Settled(settled)) => return Ok(Lookup::Hit(settled)),
                Ok(Decoded::Apart(name, settled)) => return self.with_key_id(until, partition, name, settled).await,
                Ok(Decoded::OfAnother) => {}
                Err(why) => {
                    let detail = format!("a stored result can not be read: {why}; is everybody of one version?");
                    return Err(ReadSideError::away(Reason::Setup, detail));
                }
            }
        }
        let marker = marker.and_then(|text| keys::marker(&text, &self.source));
        let complete = marker.is_some_and(|marker| marker.published().ready);
        Ok(Lookup::Miss { ready: complete && !self.drops(until, &node).await? })
    }

    /// Redis expires by itself.
    async fn expire(&self, _limit: u32) -> Result<u64, ReadSideError> {
        Ok(0)
    }

    async fn health(&self) -> Result<Vec<Warning>, ReadSideError> {
        let until = self.until();
        let mut warnings = Vec::new();
        for node in self.nodes.all() {
            let info = self.info(until, &node).await?;
            if !info.primary {
                return Err(ReadSideError::away(Reason::Replica, "who answers is a replica; the primary is needed"));
            }
            for warning in info.warnings() {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
        Ok(warnings)
    }
}

/// What a server is asked; a script by its digest first.
#[derive(Clone)]
enum Question {
    Command(Cmd),
    Script { script: &'static Lua, keys: Arc<[Vec<u8>]>, args: Arc<[Vec<u8>]> },
}

impl Question {
    async fn ask(self, mut connection: MultiplexedConnection) -> Result<Answer<Value>, Failed> {
        match self {
            Self::Command(command) => ask(&mut connection, command).await,
            Self::Script { script, keys, args } => {
                let call = |command: &str, what: &str| {
                    let mut command = redis::cmd(command);
                    command.arg(what).arg(keys.len()).arg(&*keys).arg(&*args);
                    command
                };
                match ask(&mut connection, call("EVALSHA", script.digest.get_hash())).await? {
                    // EVAL makes it known again.
                    Answer::NoScript => ask(&mut connection, call("EVAL", script.code)).await,
                    answer => Ok(answer),
                }
            }
        }
    }
}

/// Why there is no answer.
enum Asked {
    Away(ReadSideError),
    Full(String),
}

impl Asked {
    fn error(self) -> ReadSideError {
        match self {
            Self::Away(error) => error,
            Self::Full(why) => ReadSideError::away(Reason::Full, format!("Redis has no room: {why}")),
        }
    }
}

impl From<ReadSideError> for Asked {
    fn from(error: ReadSideError) -> Self {
        Self::Away(error)
    }
}

fn marker_of(answer: &Value) -> Result<Marker, ReadSideError> {
    match answer {
        Value::Array(numbers) => match **numbers {
            [Value::Int(next), Value::Int(goal)] => Ok(Marker { next, goal }),
            _ => Err(no_answer()),
        },
        _ => Err(no_answer()),
    }
}

fn no_answer() -> ReadSideError {
    ReadSideError::away(Reason::Fault, "Redis answered with what is no answer")
}
