//! The rows over Kafka and Redis: the roles as processes of their own, each against what the client
//! library and the same servers do without any of our work.

mod ceilings;
mod world;

use core::time::Duration;
use std::{path::Path, sync::Arc};

use flk_contract::{Keyring, LogId, Origin, Position, Settled, Signing};
use flk_log::{
    Clock as _, SystemClock,
    topic::{self, Topic, Verified},
};
use tokio::runtime::Runtime;

use self::world::{Filling, Servers, World};
use crate::{Failure, Row, client, client::Requests, last, median, records, say, server::Server};

/// Partitions of the topics, where nothing else is said.
const PARTITIONS: u32 = 6;
/// Records of one measurement of a role.
const RECORDS: i64 = 120_000;
/// How often each is taken; the median counts.
const ROUNDS: usize = 3;
/// How long a latency is measured.
const SPAN: Duration = Duration::from_secs(8);

/// All rows.
pub(crate) fn rows(runtime: &Runtime, dir: &Path) -> Result<Vec<Row>, Failure> {
    let servers = Servers::start()?;
    let mut rows = vec![verifier(runtime, &servers, dir)?];
    rows.extend(sink(runtime, &servers, dir)?);
    rows.push(latency(runtime, &servers, dir)?);
    Ok(rows)
}

/// A role's process in that world.
fn role(world: &World, command: &[&str], dir: &Path) -> Result<Server, Failure> {
    let partitions = world.partitions().to_string();
    let index = dir.join("index").display().to_string();
    let env = [
        ("KAFKA_BROKERS", world.brokers.as_str()),
        ("KAFKA_TOPIC_PREFIX", world.prefix.as_str()),
        ("KAFKA_PARTITIONS", partitions.as_str()),
        ("KAFKA_RAW_PARTITIONS", partitions.as_str()),
        ("KAFKA_REPLIES_PARTITIONS", partitions.as_str()),
        ("KAFKA_REPLICATION", "1"),
        ("KAFKA_MIN_INSYNC", "1"),
        ("REDIS_URL", world.redis.as_str()),
        ("FLK_INDEX_DIR", index.as_str()),
    ];
    Server::start(command, &env, dir)
}

fn verifier(runtime: &Runtime, servers: &Servers, dir: &Path) -> Result<Row, Failure> {
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let world = runtime.block_on(World::new(servers, PARTITIONS))?;
        let raw = |n| (spread(n), None, records::record("kafka", n).into_bytes());
        world.fill(world.name(Topic::Raw), (0..RECORDS).map(raw))?;

        // To a topic of the same make: nobody reads pcs.refused here.
        let relay = ceilings::relay(&world, world.name(Topic::Raw), world.name(Topic::Refused), None)?;
        bare.push(world.pace(world.name(Topic::Refused), RECORDS)?);
        drop(relay);

        let place = dir.join(format!("verifier-{round}"));
        let role = role(&world, &["verifier"], &place)?;
        ours.push(world.pace(world.name(Topic::Verified), RECORDS)?);
        let each = role.processor() / RECORDS as f64 * 1e6;
        say(&format!(
            "round {round}: verifier {:.0}/s ({each:.0} µs of processor each, {:.0} MiB), bare relay {:.0}/s",
            last(&ours),
            role.memory(),
            last(&bare)
        ));
    }
    let (bare, ours) = (median(bare), median(ours));
    Ok(Row {
        what: "verifier role".to_owned(),
        against: format!("a bare relay of the same bytes ({bare:.0}/s)"),
        ratio: ours / bare,
        target: 0.7,
        at_least: true,
    })
}

fn sink(runtime: &Runtime, servers: &Servers, dir: &Path) -> Result<Vec<Row>, Failure> {
    let (mut bare, mut ours, mut read, mut restored) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let world = runtime.block_on(World::new(servers, PARTITIONS))?;
        let log = runtime.block_on(log_id(&world))?;
        let records: Result<Vec<_>, Failure> = (0..RECORDS).map(|n| verified(&world, &log, n)).collect();
        world.fill(world.name(Topic::Verified), records?.into_iter())?;

        // pcs.refused is no less a topic for that.
        let (from, to) = (world.name(Topic::Verified), world.name(Topic::Refused));
        let relay = ceilings::relay(&world, from, to, Some(&world.redis))?;
        bare.push(world.pace(to, RECORDS)?);
        drop(relay);
        servers.redis.flush()?;
        let empty = used(servers)?;

        let place = dir.join(format!("sink-{round}"));
        let mut process = role(&world, &["dedup-sink"], &place)?;
        ours.push(world.pace(world.name(Topic::Results), RECORDS)?);
        process.ready()?;
        let each = process.processor() / RECORDS as f64 * 1e6;
        say(&format!(
            "round {round}: dedup-sink {:.0}/s ({each:.0} µs of processor each, {:.0} MiB), bare relay with SETs {:.0}/s; \
             {:.0} bytes an id in Redis, {:.0} in the index",
            last(&ours),
            process.memory(),
            last(&bare),
            (used(servers)? - empty) / RECORDS as f64,
            size(&place.join("index"))? as f64 / RECORDS as f64,
        ));

        read.push(ceilings::reading(&world, world.name(Topic::Verified), RECORDS)?);
        process.stop();
        std::fs::remove_dir_all(place.join("index"))?;
        let process = role(&world, &["dedup-sink"], &place)?;
        process.ready()?;
        restored.push(restoring(&place, RECORDS)?);
        say(&format!("round {round}: index restored {:.0}/s, bare reading {:.0}/s", last(&restored), last(&read)));
    }
    let (bare, ours, read, restored) = (median(bare), median(ours), median(read), median(restored));
    Ok(vec![
        Row {
            what: "dedup-sink role".to_owned(),
            against: format!("a bare relay that also fills Redis ({bare:.0}/s)"),
            ratio: ours / bare,
            target: 0.6,
            at_least: true,
        },
        Row {
            what: "restore of an index".to_owned(),
            against: format!("reading pcs.verified with a bare consumer ({read:.0}/s)"),
            ratio: restored / read,
            target: 0.5,
            at_least: true,
        },
    ])
}

fn latency(runtime: &Runtime, servers: &Servers, dir: &Path) -> Result<Row, Failure> {
    let ask = |world: &World, server: &Server, shard: &str, rate: f64| -> Result<Vec<Duration>, Failure> {
        let count = (rate * SPAN.as_secs_f64() * 1.2) as i64;
        let requests: Arc<Requests> = Requests::posts((0..count).map(|n| records::record(shard, n)));
        let run = runtime.block_on(client::open(server.addr, &requests, rate, SPAN))?;
        crate::check(&run, &format!("the service over {}", world.brokers))?;
        Ok(run.latencies)
    };
    let (mut hops, mut ours) = (Vec::new(), Vec::new());
    let body = records::record("hop", 0);
    for round in 1..=ROUNDS {
        let world = runtime.block_on(World::new(servers, PARTITIONS))?;
        let hop = ceilings::hop(&world, world.name(Topic::Refused), 500.0, SPAN, body.as_bytes())?;
        let server = role(&world, &["serve"], &dir.join(format!("all-{round}")))?;
        server.ready()?;
        ask(&world, &server, "warm", 100.0)?;
        let took = ask(&world, &server, "r500", 500.0)?;
        say(&format!("round {round}: at 500/s {}; a bare hop {}", said(&took), said(&hop)));
        hops.push(at(&hop, 0.5).as_secs_f64());
        ours.push(at(&took, 0.5).as_secs_f64());
        if round == ROUNDS {
            for rate in [100.0, 2000.0] {
                let took = ask(&world, &server, &format!("r{rate}"), rate)?;
                say(&format!("at {rate}/s {}", said(&took)));
            }
            say(&format!("all roles in one process: {:.0} MiB", server.memory()));
        }
    }
    for partitions in [1, 48] {
        let world = runtime.block_on(World::new(servers, partitions))?;
        let server = role(&world, &["serve"], &dir.join(format!("partitions-{partitions}")))?;
        server.ready()?;
        ask(&world, &server, "warm", 100.0)?;
        let took = ask(&world, &server, "r500", 500.0)?;
        say(&format!("with {partitions} partitions, at 500/s {}", said(&took)));
    }
    let (hop, ours) = (median(hops), median(ours));
    Ok(Row {
        what: "HTTP to verdict over Kafka, p50 at 500/s".to_owned(),
        against: format!("one bare hop ({:.2} ms)", hop * 1e3),
        ratio: ours / hop,
        target: 5.0,
        at_least: false,
    })
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

fn said(sorted: &[Duration]) -> String {
    format!("p50 {:?}, p95 {:?}, p99 {:?}", at(sorted, 0.5), at(sorted, 0.95), at(sorted, 0.99))
}

fn spread(n: i64) -> i32 {
    // In runs, as a producer without a key fills its batches.
    (n / 500 % i64::from(PARTITIONS)) as i32
}

async fn log_id(world: &World) -> Result<LogId, Failure> {
    Ok(flk_log::kafka::Admin::new(world.connection())?.cluster_id(Duration::from_secs(20)).await?)
}

/// A record of pcs.verified, as the verifier would make it.
fn verified(world: &World, log: &LogId, n: i64) -> Result<Filling, Failure> {
    let body = records::record("verified", n);
    let keys = Keyring::new(Vec::new())?;
    let now = SystemClock.now();
    let verdict = flk_contract::judge(body.as_bytes(), now, None, Signing::Off, &keys);
    let facts = verdict.facts.ok_or("the bench's own record is refused")?;
    let position = Position {
        log: log.clone(),
        topic: world.topics.names.of(Topic::Raw).clone(),
        partition: spread(n),
        offset: n,
    };
    let settled = Settled { code: verdict.code, facts, origin: Origin { position, appended_at: now } };
    let partition = flk_contract::partition(&settled.facts.tenant, &settled.facts.pcs_id, world.topics.partitions);
    let key = topic::key(&settled.facts);
    Ok((i32::try_from(partition)?, Some(key.into()), Verified::encode(&settled)?))
}

/// Bytes that Redis has in use.
fn used(servers: &Servers) -> Result<f64, Failure> {
    let info = servers.redis.call(&["INFO", "memory"])?.text();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.ok_or("Redis does not say how much memory it has in use")?.trim().parse()?)
}

/// Bytes of all files in a directory.
fn size(dir: &Path) -> Result<u64, Failure> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}

/// Records a second at which the role's log says that an index was restored: from the first word of it to
/// the last, over all partitions.
fn restoring(place: &Path, records: i64) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(place.join("service.log"))?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let of = |line: &serde_json::Value| {
        let fields = line.get("fields").unwrap_or(line);
        let message = fields.get("message")?.as_str()?;
        let time = humantime::parse_rfc3339(line.get("timestamp")?.as_str()?).ok()?;
        Some((message.contains("restor"), time))
    };
    let times: Vec<_> =
        lines.filter_map(|line| of(&line)).filter(|(restoring, _)| *restoring).map(|(_, at)| at).collect();
    let (first, last) = (times.first().ok_or("nothing was restored")?, times.last().ok_or("nothing was restored")?);
    Ok(records as f64 / last.duration_since(*first)?.as_secs_f64())
}
