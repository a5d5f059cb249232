//! Which server has which partition.
//!
//! Without a cluster it is the one that the settings name. In a cluster that one says MOVED and
//! where to, which is kept for the partition until it says so again or can not be reached.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    RedisSettings,
    connection::{Server, Servers},
};
use crate::read_side::{BadSetting, ReadSideError, Reason, link::Link};

/// The connections to one server: who reads does not wait behind a batch that is written.
pub(super) struct Node {
    pub(super) reads: Link<Server>,
    pub(super) writes: Link<Server>,
}

pub(super) struct Nodes {
    servers: Servers,
    first: Arc<Node>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    nodes: HashMap<(String, u16), Arc<Node>>,
    of_partition: HashMap<u32, Arc<Node>>,
}

impl Nodes {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, BadSetting> {
        let servers = Servers::new(settings)?;
        let node = || Ok(Node { reads: Link::new(servers.first()?), writes: Link::new(servers.first()?) });
        let first = node().map_err(|why: redis::RedisError| BadSetting(format!("Redis can not be used: {why}")))?;
        Ok(Self { first: Arc::new(first), found: Mutex::default(), servers })
    }

    /// The server of a partition, as far as is known.
    pub(super) fn of(&self, partition: u32) -> Arc<Node> {
        self.lock().of_partition.get(&partition).map_or_else(|| Arc::clone(&self.first), Arc::clone)
    }

    /// All servers that are known.
    pub(super) fn all(&self) -> Vec<Arc<Node>> {
        let found = self.lock();
        let mut all = vec![Arc::clone(&self.first)];
        for node in found.of_partition.values() {
            if !all.iter().any(|known| Arc::ptr_eq(known, node)) {
                all.push(Arc::clone(node));
            }
        }
        all
    }

    /// A server said that another has this partition.
    pub(super) fn moved(&self, partition: u32, host: &str, port: u16) -> Result<Arc<Node>, ReadSideError> {
        let mut found = self.lock();
        let known = found.nodes.get(&(host.to_owned(), port)).map(Arc::clone);
        let node = match known {
            Some(node) => node,
            None => {
                let server =
                    || self.servers.at(host, port).map_err(|why| ReadSideError::away(Reason::Unreachable, why));
                let node = Arc::new(Node { reads: Link::new(server()?), writes: Link::new(server()?) });
                found.nodes.insert((host.to_owned(), port), Arc::clone(&node));
                node
            }
        };
        found.of_partition.insert(partition, Arc::clone(&node));
        Ok(node)
    }

    /// The server of a partition could not be used: the first one is asked again where it is.
    pub(super) fn lost(&self, partition: u32) {
        let mut found = self.lock();
        found.of_partition.remove(&partition);
        // Servers that nobody is sent to are let go.
        let Found { nodes, of_partition } = &mut *found;
        nodes.retain(|_, node| of_partition.values().any(|used| Arc::ptr_eq(used, node)));
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
