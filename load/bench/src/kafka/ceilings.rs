//! What the client library and the brokers can do at best: one hop, a relay, a relay that also fills
//! Redis, and reading.

use core::time::Duration;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use flk_log::topic::RECORD_BYTES_MAX;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::ToBytes,
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

use super::world::World;
use crate::Failure;

type Bare = ThreadedProducer<DefaultProducerContext>;

/// As the roles produce.
fn producer(config: &ClientConfig) -> Result<Bare, Failure> {
    let mut config = config.clone();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("compression.type", "lz4")
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set("queue.buffering.max.messages", "20000")
        .set("queue.buffering.max.kbytes", "32768");
    Ok(config.create()?)
}

fn send<K: ToBytes + ?Sized>(producer: &Bare, mut record: BaseRecord<'_, K, [u8]>) -> Result<(), Failure> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// A consumer of all partitions of a topic, from the beginning.
fn consumer(world: &World, topic: &str, offset: Offset) -> Result<BaseConsumer, Failure> {
    let mut config = world.connection().config();
    config.set("group.id", "bare").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..world.partitions() {
        all.add_partition_offset(topic, partition, offset)?;
    }
    consumer.assign(&all)?;
    Ok(consumer)
}

/// Something that works until it is dropped.
pub(crate) struct Working {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A bare relay: every record of one topic to another, same key, same partition, same bytes. With a Redis,
/// it also sets as many bytes as a settled result takes there, pipelined.
pub(crate) fn relay(world: &World, from: &str, to: &str, redis: Option<&str>) -> Result<Working, Failure> {
    const BATCH: usize = 500;
    let (consumer, producer) = (consumer(world, from, Offset::Beginning)?, producer(&world.connection().config())?);
    let mut redis = redis.map(|url| redis::Client::open(url)?.get_connection()).transpose()?;
    let (to, stop) = (to.to_owned(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let mut work = move || -> Result<(), Failure> {
        let (mut pipe, mut held) = (redis::pipe(), 0);
        while !stopped.load(Ordering::Relaxed) {
            let came = consumer.poll(Duration::from_millis(5)).transpose()?;
            if let Some(message) = &came {
                let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
                send(&producer, BaseRecord::to(&to).partition(message.partition()).key(key).payload(value))?;
                if redis.is_some() {
                    pipe.set(key, value.get(..100).unwrap_or(value)).ignore();
                    held += 1;
                }
            }
            if held >= BATCH || (came.is_none() && held > 0) {
                if let Some(redis) = &mut redis {
                    let () = pipe.query(redis)?;
                }
                pipe.clear();
                held = 0;
            }
        }
        Ok(producer.flush(Duration::from_secs(10))?)
    };
    let thread = std::thread::Builder::new().spawn(move || {
        if let Err(error) = work() {
            crate::say(&format!("the bare relay failed: {error}"));
        }
    })?;
    Ok(Working { stop, thread: Some(thread) })
}

/// Records a second that a bare consumer reads out of a topic.
pub(crate) fn reading(world: &World, topic: &str, total: i64) -> Result<f64, Failure> {
    let consumer = consumer(world, topic, Offset::Beginning)?;
    let deadline = Instant::now() + Duration::from_secs(120);
    let (mut count, mut since) = (0_i64, None);
    while count < total {
        if consumer.poll(Duration::from_millis(100)).transpose()?.is_some() {
            count += 1;
            since.get_or_insert_with(Instant::now);
        } else if Instant::now() > deadline {
            return Err(format!("{count} records of {total} were read").into());
        }
    }
    Ok(count as f64 / since.unwrap_or(deadline).elapsed().as_secs_f64())
}

/// The latencies, sorted, of one hop at so many records a second: produced, acknowledged by nobody's leave,
/// consumed.
pub(crate) fn hop(
    world: &World,
    topic: &str,
    rate: f64,
    span: Duration,
    value: &[u8],
) -> Result<Vec<Duration>, Failure> {
    let consumer = consumer(world, topic, Offset::End)?;
    let producer = producer(&world.connection().config())?;
    // One first, until it comes: reading from the end can miss what is produced at once.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        send(&producer, BaseRecord::to(topic).key(&[0_u8][..]).payload(&b"first"[..]))?;
        if consumer.poll(Duration::from_millis(200)).transpose()?.is_some() {
            break;
        }
        if Instant::now() > deadline {
            return Err("nothing comes through a bare hop".into());
        }
    }
    while consumer.poll(Duration::from_millis(300)).transpose()?.is_some() {}
    let total = (rate * span.as_secs_f64()) as u64;
    let started = Instant::now();
    let due = move |n: u64| started + Duration::from_secs_f64(n as f64 / rate);
    let value = value.to_vec();
    let topic = topic.to_owned();
    let sending = std::thread::spawn(move || -> Result<(), String> {
        for n in 0..total {
            std::thread::sleep(due(n).saturating_duration_since(Instant::now()));
            let key = n.to_be_bytes();
            let record = BaseRecord::to(&topic).key(&key[..]).payload(&value[..]);
            send(&producer, record).map_err(|error| error.to_string())?;
        }
        producer.flush(Duration::from_secs(10)).map_err(|error| error.to_string())
    });
    let mut took = Vec::new();
    let deadline = started + span * 2 + Duration::from_secs(10);
    while (took.len() as u64) < total && Instant::now() < deadline {
        if let Some(message) = consumer.poll(Duration::from_millis(100)).transpose()?
            && let Some(n) = message.key().and_then(|key| key.try_into().ok()).map(u64::from_be_bytes)
        {
            took.push(due(n).elapsed());
        }
    }
    sending.join().map_err(|_| "the sending thread panicked")??;
    took.sort_unstable();
    Ok(took)
}
