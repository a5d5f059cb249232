//! As much of Kafka's protocol as it takes to see who is there: one request, Metadata version 4.

use std::{
    fmt::Debug,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::{Error, Result};

/// A broker that answers at all does so at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// No cluster of a test says more.
const LONGEST_ANSWER: usize = 16 << 20;

/// What a broker knows of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster's id.
    pub cluster: Option<String>,
    /// The brokers that are alive, as far as the one knows that was asked.
    pub brokers: Vec<Node>,
    /// The partitions of the topic that was asked for, by index; none where it is not there.
    pub partitions: Vec<Partition>,
}

/// A broker, as advertised on the listener that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: i32,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: i32,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// The broker that leads it, where one does. [`crate::Kafka`]'s brokers have the numbers 0, 1 and 2.
    pub leader: Option<i32>,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them that have all of it.
    pub in_sync: Vec<i32>,
}

impl Partition {
    pub(super) fn is_whole(&self) -> bool {
        self.leader.is_some() && self.in_sync.len() == self.replicas.len()
    }
}

/// Asks one broker.
pub(super) fn metadata(addr: impl ToSocketAddrs + Debug, topic: Option<&str>) -> Result<Metadata> {
    let body = ask(&addr, &request(topic)).map_err(Error::io(|| format!("Kafka at {addr:?}")))?;
    Reader(&body).metadata().ok_or_else(|| Error::Answer {
        from: format!("Kafka at {addr:?}"),
        expected: "a Metadata answer of version 4",
        came: format!("{} bytes that are none", body.len()),
    })
}

fn ask(addr: &impl ToSocketAddrs, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let addr = addr.to_socket_addrs()?.next().ok_or_else(|| std::io::Error::other("the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_ANSWER {
        return Err(std::io::Error::other(format!("an answer of {length} bytes: this is not Kafka")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// Key 3, version 4; no client id; a list of topics; topics are not created by being asked for.
fn request(topic: Option<&str>) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 4, 0, 0, 0, 1, 0xff, 0xff];
    body.extend(u32::from(topic.is_some()).to_be_bytes());
    if let Some(topic) = topic {
        // Kafka's names have at most 249 bytes.
        body.extend(u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend(topic.as_bytes());
    }
    body.push(0);
    let mut request = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    request.extend(body);
    request
}

/// What is left of an answer.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn metadata(&mut self) -> Option<Metadata> {
        let _correlation = self.int32()?;
        let _throttled = self.int32()?;
        let brokers = self.list(|reader| {
            let node = Node { id: reader.int32()?, host: reader.string()??, port: reader.int32()? };
            let _rack = reader.string()?;
            Some(node)
        })?;
        let cluster = self.string()?;
        let _controller = self.int32()?;
        let topics = self.list(|reader| {
            let _error = reader.int16()?;
            let _name = reader.string()??;
            let _internal = reader.bytes::<1>()?;
            reader.list(Self::partition)
        })?;
        let mut partitions: Vec<Partition> = topics.into_iter().flatten().collect();
        partitions.sort_by_key(|partition| partition.index);
        self.0.is_empty().then_some(Metadata { cluster, brokers, partitions })
    }

    fn partition(&mut self) -> Option<Partition> {
        let _error = self.int16()?;
        let (index, leader) = (self.int32()?, self.int32()?);
        let (replicas, in_sync) = (self.list(Self::int32)?, self.list(Self::int32)?);
        Some(Partition { index, leader: (leader >= 0).then_some(leader), replicas, in_sync })
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn int16(&mut self) -> Option<i16> {
        self.bytes().map(i16::from_be_bytes)
    }

    fn int32(&mut self) -> Option<i32> {
        self.bytes().map(i32::from_be_bytes)
    }

    /// The inner `None` is Kafka's null.
    fn string(&mut self) -> Option<Option<String>> {
        let Ok(length) = usize::try_from(self.int16()?) else { return Some(None) };
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(String::from_utf8(bytes.to_vec()).ok()?))
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.int32()?;
        (0..count).map(|_| each(self)).collect()
    }
}
