//! The table of `docs/kafka.md` is true: each user can do what it says, and nothing else.

use core::{num::NonZeroU32, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use flk_log::{
    Log, NewRecord,
    kafka::{
        Admin, Connection, Consumer, KafkaLog, LogOptions, Outgoing, Producer, ProducerOptions, Settings, Tail,
        TailOptions, Topics,
    },
    topic::Topic,
};
use flk_servers::{Kafka, Tool};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseRecord, Producer as _, ThreadedProducer},
};

use crate::{
    security::{login, secured_for},
    support::{self, Member, SOON, quick},
};

/// What the topics and groups of this test begin with: the script has to say it too.
const PREFIX: &str = "eu.";
const PASSWORD: &str = "secret-1";
/// Who is refused is told so; who is not answered at all has waited for this long.
const PATIENCE: Duration = Duration::from_secs(20);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A line of the table: which user may do what to each topic, and of which groups it may be a member.
#[derive(Debug)]
struct Line {
    user: String,
    may: BTreeMap<String, BTreeSet<String>>,
    groups: BTreeSet<String>,
}

/// The table, as people read it.
fn table() -> Vec<Line> {
    let text = std::fs::read_to_string(root().join("docs/kafka.md")).unwrap();
    let mut lines =
        text.lines().skip_while(|line| !line.starts_with("| user |")).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let words =
        |cell: &String| cell.split(", ").filter(|word| *word != "–").map(str::to_owned).collect::<BTreeSet<_>>();
    let header = cells(lines.next().unwrap());
    let topics = &header[1..6];
    assert_eq!(topics, Topic::ALL.map(|topic| topic.name().to_owned()));
    assert_eq!(header[6], "groups");
    lines
        .skip(1)
        .map(|line| {
            let cells = cells(line);
            let may = topics.iter().cloned().zip(cells[1..6].iter().map(words)).collect();
            Line { user: cells[0].clone(), may, groups: words(&cells[6]) }
        })
        .collect()
}

/// What `scripts/kafka-acls` prints, granted.
fn grant(kafka: &Kafka, user: &str) {
    let output =
        Command::new(root().join("scripts/kafka-acls")).args([user, &format!("User:{user}"), PREFIX]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    for line in lines.lines() {
        let mut args = vec!["--add"];
        args.extend(line.split(' '));
        kafka.tool(Tool::Acls, &args).unwrap();
    }
}

/// A user of the broker, with nothing of ours in between.
struct Somebody<'a> {
    config: ClientConfig,
    user: &'a str,
}

fn refused(error: &KafkaError) -> bool {
    is_refusal(error.rdkafka_error_code())
}

fn is_refusal(code: Option<Code>) -> bool {
    matches!(
        code,
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed)
    )
}

impl<'a> Somebody<'a> {
    fn new(kafka: &Kafka, user: &'a str) -> Self {
        let connection = Connection::new(&login(kafka, "SCRAM-SHA-512", user, PASSWORD)).unwrap();
        Self { config: connection.config(), user }
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        let mut config = self.config.clone();
        config.set("group.id", group).set("enable.auto.commit", "false").create().unwrap()
    }

    /// Whether what was tried was allowed; neither is a failure of the test.
    fn allowed<T>(&self, what: &str, tried: Result<T, KafkaError>) -> bool {
        match tried {
            Ok(_) => true,
            Err(error) if refused(&error) => false,
            Err(error) => panic!("{} tried to {what}: {error}", self.user),
        }
    }

    fn can_write(&self, topic: &str) -> bool {
        let mut config = self.config.clone();
        let timeout = PATIENCE.as_millis().to_string();
        let producer: ThreadedProducer<Outcomes> =
            config.set("message.timeout.ms", timeout).create_with_context(Outcomes::default()).unwrap();
        let record = BaseRecord::<[u8], [u8]>::to(topic).partition(0).key(b"k").payload(b"x");
        let queued = producer.send(record).map_err(|(error, _)| error);
        let tried = queued.and_then(|()| {
            producer.flush(PATIENCE)?;
            producer.context().0.lock().unwrap().take().expect("an outcome")
        });
        self.allowed(&format!("write {topic}"), tried)
    }

    fn can_read(&self, topic: &str) -> bool {
        let consumer = self.consumer("of-no-account");
        // A topic that may not even be known is waited for in silence.
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        if metadata.topics()[0].error().is_some_and(|error| is_refusal(Some(error.into()))) {
            return false;
        }
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&place).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(_)) => return true,
                Some(Err(error)) if error.rdkafka_error_code() == Some(Code::TopicAuthorizationFailed) => return false,
                // Of its group nobody asks anything.
                other => assert!(Instant::now() < until, "{} tried to read {topic}: {other:?}", self.user),
            }
        }
    }

    /// What a member of a group has to be allowed: that it finds the group, and commits.
    fn can_be_of(&self, group: &str, topic: &str) -> bool {
        let consumer = self.consumer(group);
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, 0, Offset::Offset(0)).unwrap();
        consumer.assign(&place).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let committed = consumer.committed_offsets(place.clone(), Duration::from_millis(300));
            if committed.is_ok() {
                return self.allowed(&format!("commit for {group}"), consumer.commit(&place, CommitMode::Sync));
            }
            while let Some(polled) = consumer.poll(Duration::ZERO) {
                if polled.is_err_and(|error| error.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed)) {
                    return false;
                }
            }
            assert!(Instant::now() < until, "{} tried to be of {group}: {committed:?}", self.user);
        }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config.create().unwrap()
    }

    async fn can_see(&self, topic: &str) -> bool {
        let described = self.admin().describe_configs(&[ResourceSpecifier::Topic(topic)], &options()).await.unwrap();
        match described.into_iter().next().unwrap() {
            Ok(resource) => !resource.entries.is_empty(),
            Err(code) if is_refusal(Some(code)) => false,
            Err(code) => panic!("{} tried to see {topic}: {code}", self.user),
        }
    }

    /// Makes the topic, which is there.
    async fn can_make(&self, topic: &str) -> bool {
        let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
        match &self.admin().create_topics([&new], &options()).await.unwrap()[0] {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => true,
            Err((_, code)) if is_refusal(Some(*code)) => false,
            Err((_, code)) => panic!("{} tried to make {topic}: {code}", self.user),
        }
    }

    /// Sets something of a topic to the user's own number; whether that happens is seen later.
    async fn set(&self, topic: &str) {
        let number = self.number();
        let alter = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(SET, &number);
        self.admin().alter_configs([&alter], &options()).await.unwrap();
    }

    fn number(&self) -> String {
        self.user.bytes().fold(1000_u64, |number, byte| number * 7 + u64::from(byte)).to_string()
    }

    /// What nobody may.
    async fn can_harm(&self, topic: &str) -> bool {
        let admin = self.admin();
        let more = NewPartitions::new(topic, 9);
        let grown = admin.create_partitions([&more], &options().validate_only(true)).await.unwrap().remove(0);
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, 0, Offset::Offset(1)).unwrap();
        let cut = admin.delete_records(&place, &options()).await;
        let cut = cut.and_then(|cut| cut.elements()[0].error());
        let deleted = admin.delete_topics(&[topic], &options()).await.unwrap().remove(0);
        let codes = [grown.map(drop).map_err(|(_, code)| code), deleted.map(drop).map_err(|(_, code)| code)];
        let harmless = |code: &Result<(), Code>| is_refusal(code.err());
        !(codes.iter().all(harmless) && cut.as_ref().is_err_and(refused))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// The last outcome of a producer.
#[derive(Default)]
struct Outcomes(std::sync::Mutex<Option<Result<(), KafkaError>>>);

impl rdkafka::ClientContext for Outcomes {}

impl rdkafka::producer::ProducerContext for Outcomes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::producer::DeliveryResult<'_>, (): ()) {
        *self.0.lock().unwrap() = Some(result.as_ref().map(drop).map_err(|(error, _)| error.clone()));
    }
}

/// The topics whose setting has this value, once all is heard that was set before.
async fn set_to(kafka: &Kafka, topics: &[String], value: &str) -> Vec<bool> {
    let all = Somebody { config: Connection::plain(&kafka.bootstrap(), "").unwrap().config(), user: "all" };
    let admin = all.admin();
    let is = async |topic: &str| {
        let resource = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()).await.unwrap().remove(0);
        resource.unwrap().entry_map().get(SET).is_some_and(|entry| entry.value.as_deref() == Some(value))
    };
    let alter = AlterConfig::new(ResourceSpecifier::Topic(LAST)).set(SET, value);
    admin.alter_configs([&alter], &options()).await.unwrap();
    support::until("it is heard", async || is(LAST).await.then_some(()).ok_or(())).await;
    let mut set = Vec::new();
    for topic in topics {
        set.push(is(topic).await);
    }
    set
}

/// A setting that nothing here depends on.
const SET: &str = "flush.ms";
/// A topic whose settings are changed after all others.
const LAST: &str = "last";

/// Tries each cell of a line.
async fn try_all(kafka: &Kafka, line: &Line, groups: &BTreeSet<String>) -> Vec<String> {
    let somebody = Somebody::new(kafka, &line.user);
    let mut wrong = Vec::new();
    let mut check = |what: String, expected: bool, is: bool| {
        if expected != is {
            wrong.push(format!("{}: {what}: the table says {expected}, the broker {is}", line.user));
        }
    };
    let mut readable = format!("{PREFIX}{}", Topic::Raw);
    for (topic, may) in &line.may {
        let name = format!("{PREFIX}{topic}");
        let says = |word: &str| may.contains(word);
        check(format!("write {topic}"), says("write"), somebody.can_write(&name));
        let can_read = somebody.can_read(&name);
        check(format!("read {topic}"), says("read"), can_read);
        if can_read {
            readable.clone_from(&name);
        }
        check(format!("see {topic}"), says("see"), somebody.can_see(&name).await);
        check(format!("make {topic}"), says("set"), somebody.can_make(&name).await);
        somebody.set(&name).await;
        check(format!("harm {topic}"), false, somebody.can_harm(&name).await);
    }
    let names: Vec<_> = line.may.keys().map(|topic| format!("{PREFIX}{topic}")).collect();
    let set = set_to(kafka, &names, &somebody.number()).await;
    for ((topic, may), set) in line.may.iter().zip(set) {
        check(format!("set {topic}"), may.contains("set"), set);
    }
    for group in groups {
        let name = format!("{PREFIX}{}", group.replace('…', "-1"));
        check(format!("be of group {group}"), line.groups.contains(group), somebody.can_be_of(&name, &readable));
    }
    // Without the prefix, and of another name.
    for topic in ["pcs.raw", "eu.pcs.raw-2"] {
        check(format!("make {topic}"), false, somebody.can_make(topic).await);
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_may_do_what_the_table_says_and_nothing_else() {
    let lines = table();
    let users: Vec<_> = lines.iter().map(|line| line.user.clone()).collect();
    assert_eq!(users, ["agent", "ingest", "verifier", "dedup-sink", "serve", "replay", "topics", "analyst"]);
    let kafka = secured_for(users.iter().map(|user| (user.as_str(), PASSWORD)));
    std::thread::scope(|scope| users.iter().for_each(|user| drop(scope.spawn(|| grant(&kafka, user)))));

    let user = |user: &str| {
        let topic_prefix = PREFIX.into();
        Connection::new(&Settings { topic_prefix, ..login(&kafka, "SCRAM-SHA-512", user, PASSWORD) }).unwrap()
    };
    // `flk topics apply` with what it may, then a record on each.
    let topics = support::topics(&user("topics"), 1).await;
    kafka.tool(Tool::Topics, &["--create", "--topic", LAST]).unwrap();
    let all = Connection::plain(&kafka.bootstrap(), PREFIX).unwrap();
    for topic in Topic::ALL {
        put(&all, topic).await;
    }
    let groups: BTreeSet<_> = lines.iter().flat_map(|line| line.groups.clone()).collect();
    assert_eq!(groups.len(), 3, "{groups:?}");
    let mut wrong = Vec::new();
    for line in &lines {
        wrong.extend(try_all(&kafka, line, &groups).await);
    }
    assert_eq!(wrong, [""; 0]);

    // What was set above went away with what was set by hand: put right by who may, and by nobody else.
    let error = topics.apply(&Admin::new(&user("serve")).unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("allow this user AlterConfigs"), "{error}");
    support::topics(&user("topics"), 1).await;
    for (name, role) in [("ingest", Role::Ingest), ("verifier", Role::Verifier), ("dedup-sink", Role::Sink)] {
        works(&user(name), role).await;
        works(&user("serve"), role).await;
    }
}

#[derive(Clone, Copy)]
enum Role {
    Ingest,
    Verifier,
    Sink,
}

/// The clients of a role do all that it does, as this user.
async fn works(connection: &Connection, role: Role) {
    let topics = Topics::single(connection, NonZeroU32::MIN);
    assert_eq!(topics.check(&Admin::new(connection).unwrap()).await.unwrap(), []);
    let (group, reads, writes): (_, _, &[Topic]) = match role {
        Role::Ingest => {
            let log = KafkaLog::open(connection, &topics, &LogOptions::default(), SOON).await.unwrap();
            support::until("the log is ready", async || log.health()).await;
            let ticket = log.append_with(NewRecord::default(), None).await.unwrap();
            let offset = ticket.durable().await.unwrap().origin.position.offset;
            assert!(log.read(0, offset).await.unwrap().is_some());
            let tail = Tail::start(connection, TailOptions::new(topics.names.of(Topic::Replies), 0), |_| ()).unwrap();
            support::until("answers come", async || tail.health()).await;
            return;
        }
        Role::Verifier => ("flk-verifier", Topic::Raw, &[Topic::Verified, Topic::Refused, Topic::Replies]),
        Role::Sink => ("flk-dedup-sink", Topic::Verified, &[Topic::Results, Topic::Refused, Topic::Replies]),
    };
    let mut options = quick(connection, &topics, reads);
    options.group = connection.group(group);
    options.instance = Some("one".into());
    let member = Member { consumer: Consumer::start(connection, options).unwrap() };
    let assigned = member.assigned().await;
    member.consumer.control().read_from(0, assigned.generation, assigned.low);
    let record = member.record().await;
    member.done(&record);
    member.consumer.control().take_no_more();
    member.close().await;

    for topic in writes {
        put(connection, *topic).await;
    }
}

/// A record, keyed as compacted topics ask for.
async fn put(connection: &Connection, topic: Topic) {
    let producer = Producer::new(connection, &ProducerOptions::default()).unwrap();
    let name = connection.names().of(topic);
    let outgoing = Outgoing { topic: name, partition: Some(0), key: Some(b"k"), value: b"{}" };
    producer.produce(outgoing, core::iter::empty::<(&str, &[u8])>()).unwrap().await.unwrap();
}
