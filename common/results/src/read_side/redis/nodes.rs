//! Which server has which partition.
//!
//! Without a cluster it is the one that the settings name. In a cluster that one says MOVED and
//! where to, which is kept for the partition until it says so again or can not be reached. Then the
//! one of the settings is asked again; and where that is the one that can not be reached, any other
//! that is known, for it may be the very one that has failed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::RedisError;
use tokio::time::Instant;

use super::{
    RedisSettings,
    connection::{Server, Servers},
};
use crate::read_side::{BadSetting, ReadSideError, Reason, link::Link};

/// Servers that are remembered although no partition is known to be theirs: with what their links
/// know of failures, and to ask them where the others are.
const SPARE_MAX: usize = 64;

/// The connections to one server: who reads does not wait behind a batch that is written.
pub(super) struct Node {
    host: String,
    pub(super) reads: Link<Server>,
    pub(super) writes: Link<Server>,
    /// Whether it drops keys, and when it said so.
    pub(super) drops: Mutex<Option<(Instant, bool)>>,
}

pub(super) struct Nodes {
    servers: Servers,
    deadline: core::time::Duration,
    partitions: usize,
    first: Arc<Node>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    nodes: BTreeMap<(String, u16), Arc<Node>>,
    of_partition: HashMap<u32, Arc<Node>>,
    turn: usize,
}

impl Nodes {
    pub(super) fn new(settings: &RedisSettings, partitions: usize) -> Result<Self, BadSetting> {
        let servers = Servers::new(settings)?;
        let (host, port) = servers.place();
        let first = node(&servers, settings.deadline, &host, port)
            .map_err(|why| BadSetting(format!("Redis can not be used as it is set up: {why}")))?;
        Ok(Self { servers, deadline: settings.deadline, partitions, first, found: Mutex::default() })
    }

    /// The server of a partition, as far as is known.
    pub(super) fn of(&self, partition: u32) -> Arc<Node> {
        self.lock().of_partition.get(&partition).map_or_else(|| Arc::clone(&self.first), Arc::clone)
    }

    /// All servers that partitions are known to be at.
    pub(super) fn all(&self) -> Vec<Arc<Node>> {
        let found = self.lock();
        let mut all = Vec::new();
        if found.of_partition.len() < self.partitions {
            all.push(Arc::clone(&self.first));
        }
        for node in found.of_partition.values() {
            if !all.iter().any(|known| Arc::ptr_eq(known, node)) {
                all.push(Arc::clone(node));
            }
        }
        all
    }

    /// A server said that another has this partition.
    pub(super) fn moved(&self, partition: u32, by: &Node, host: &str, port: u16) -> Result<Arc<Node>, ReadSideError> {
        let host = if host.is_empty() { &by.host } else { host };
        let mut found = self.lock();
        let known = found.nodes.get(&(host.to_owned(), port)).map(Arc::clone);
        let to = match known {
            Some(known) => known,
            None => {
                let new = node(&self.servers, self.deadline, host, port)
                    .map_err(|why| ReadSideError::away(Reason::Unreachable, why))?;
                let Found { nodes, of_partition, .. } = &mut *found;
                if nodes.len() >= SPARE_MAX {
                    nodes.retain(|_, node| of_partition.values().any(|used| Arc::ptr_eq(used, node)));
                }
                nodes.insert((host.to_owned(), port), Arc::clone(&new));
                new
            }
        };
        found.of_partition.insert(partition, Arc::clone(&to));
        Ok(to)
    }

    /// The server that was asked about a partition is of no use: the next call asks another.
    pub(super) fn lost(&self, partition: u32, asked: &Arc<Node>) {
        let mut found = self.lock();
        match found.of_partition.get(&partition) {
            Some(of) if Arc::ptr_eq(of, asked) => {
                found.of_partition.remove(&partition);
            }
            // Somebody else has found out already.
            Some(_) => {}
            None => {
                found.turn = found.turn.wrapping_add(1);
                let turn = found.turn.checked_rem(found.nodes.len());
                if let Some(other) = turn.and_then(|turn| found.nodes.values().nth(turn)).map(Arc::clone) {
                    found.of_partition.insert(partition, other);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn node(servers: &Servers, deadline: core::time::Duration, host: &str, port: u16) -> Result<Arc<Node>, RedisError> {
    let link = || servers.at(host, port).map(|server| Link::new(server, deadline));
    Ok(Arc::new(Node { host: host.to_owned(), reads: link()?, writes: link()?, drops: Mutex::default() }))
}
