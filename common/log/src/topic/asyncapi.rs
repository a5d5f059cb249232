//! The AsyncAPI 3.0 document of the five topics: who writes and who reads them, with the same schemas as
//! under `schemas/topics`.
//!
//! Kept as `schemas/asyncapi.json`, where a test compares it. Draft 7 of JSON Schema is what AsyncAPI
//! knows; the schemas use nothing that 2020-12 reads otherwise.

use super::{
    RECORD_BYTES_MAX, Topic,
    json::{Field, Node},
    schema::{self, Shared, Values},
};

const BINDING: &str = "0.5.0";

/// Whether a role writes a topic or reads it.
#[derive(Clone, Copy)]
enum Action {
    Send,
    Receive,
}

/// Who does what, for which reason.
const OPERATIONS: [(&str, Action, Topic, &str); 12] = [
    ("ingestSendsRaw", Action::Send, Topic::Raw, "A body that was submitted by HTTP becomes durable, as it came."),
    ("ingestReceivesReply", Action::Receive, Topic::Replies, "Waiting requests are answered."),
    (
        "verifierReceivesRaw",
        Action::Receive,
        Topic::Raw,
        "Each record is judged, also what agents produced themselves.",
    ),
    ("verifierSendsVerified", Action::Send, Topic::Verified, "Accepted records, in the partition of their id."),
    ("verifierSendsRefused", Action::Send, Topic::Refused, "Records that settle nothing."),
    ("verifierSendsReply", Action::Send, Topic::Replies, "Whoever waits for a refused record hears it."),
    ("dedupSinkReceivesVerified", Action::Receive, Topic::Verified, "The first accepted record of an id settles it."),
    ("dedupSinkSendsResult", Action::Send, Topic::Results, "What was settled."),
    ("dedupSinkReceivesResult", Action::Receive, Topic::Results, "An index that was lost is loaded."),
    ("dedupSinkSendsRefused", Action::Send, Topic::Refused, "Conflicts, and what reached settlement too late."),
    (
        "dedupSinkSendsReply",
        Action::Send,
        Topic::Replies,
        "Whoever waits for an accepted record hears what became of it.",
    ),
    (
        "replayReceivesRefused",
        Action::Receive,
        Topic::Refused,
        "Refused records are sent through once more, when asked.",
    ),
];

/// The document as it is kept.
pub fn json() -> String {
    let info = Node::object([
        ("title", "flk topics".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        (
            "description",
            "What is on the Kafka topics of flk. Names may have a prefix (KAFKA_TOPIC_PREFIX), the same for all. \
             Within one version of a schema fields are only added: ignore those that you do not know. Real values \
             are under schemas/topics/samples."
                .into(),
        ),
        ("license", Node::object([("name", "Apache-2.0".into())])),
    ]);
    let each = |of: fn(Topic) -> Field| Node::Object(Topic::ALL.into_iter().map(of).collect());
    let schemas = Topic::ALL.map(payload).into_iter().chain(Shared::ALL.map(Shared::definition)).map(rooted);
    let components = Node::object([("messages", each(message)), ("schemas", Node::Object(schemas.collect()))]);
    Node::object([
        ("asyncapi", "3.0.0".into()),
        ("info", info),
        ("defaultContentType", "application/json".into()),
        ("channels", each(channel)),
        ("operations", Node::Object(OPERATIONS.into_iter().map(operation).collect())),
        ("components", components),
    ])
    .pretty()
}

/// What a topic is called in the document, and its values.
const fn names(topic: Topic) -> (&'static str, &'static str) {
    match topic {
        Topic::Raw => ("raw", "Record"),
        Topic::Verified => ("verified", "VerifiedRecord"),
        Topic::Results => ("results", "SettledResult"),
        Topic::Refused => ("refused", "RefusedRecord"),
        Topic::Replies => ("replies", "Reply"),
    }
}

fn reference(to: String) -> Node {
    Node::object([("$ref", to.into())])
}

fn channel(topic: Topic) -> Field {
    let (name, _) = names(topic);
    let millis = i64::try_from(topic.retention().as_millis()).unwrap_or(i64::MAX);
    let configuration = Node::object([
        ("cleanup.policy", Node::texts(topic.cleanup().iter().copied())),
        ("retention.ms", millis.into()),
        ("max.message.bytes", RECORD_BYTES_MAX.into()),
    ]);
    let kafka = Node::object([("topicConfiguration", configuration), ("bindingVersion", BINDING.into())]);
    let partition = match topic {
        Topic::Verified | Topic::Results => {
            " The partition is the first eight bytes of SHA-256 of the key, big-endian, modulo the partition count, \
             the same count for pcs.verified and pcs.results."
        }
        Topic::Replies => " The partition is the one that the asking instance reads.",
        Topic::Raw | Topic::Refused => " Any partition.",
    };
    let timed = if topic.is_timed_by_broker() { " message.timestamp.type is LogAppendTime." } else { "" };
    let channel = Node::object([
        ("address", topic.name().into()),
        ("title", schema::values(topic).title.into()),
        ("description", format!("{}{partition}{timed}", schema::values(topic).about).into()),
        ("messages", Node::Object(vec![(name.into(), reference(format!("#/components/messages/{name}")))])),
        ("bindings", Node::object([("kafka", kafka)])),
    ]);
    (name.into(), channel)
}

fn operation((id, action, topic, summary): (&'static str, Action, Topic, &'static str)) -> Field {
    let (name, _) = names(topic);
    let action = match action {
        Action::Send => "send",
        Action::Receive => "receive",
    };
    let operation = Node::object([
        ("action", action.into()),
        ("channel", reference(format!("#/channels/{name}"))),
        ("summary", summary.into()),
        ("messages", vec![reference(format!("#/channels/{name}/messages/{name}"))].into()),
    ]);
    (id.into(), operation)
}

fn message(topic: Topic) -> Field {
    let (name, payload) = names(topic);
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    for (header, always) in schema::headers(topic) {
        if always { &mut required } else { &mut optional }.push(header);
    }
    let mut kafka = Node::object([("bindingVersion", BINDING.into())]);
    if topic.is_keyed() {
        let key = Node::object([
            ("description", "The tenant, a slash, the id.".into()),
            ("type", "string".into()),
            ("pattern", "^[A-Za-z0-9._-]{1,64}/[0-9a-f]{64}$".into()),
        ]);
        kafka = Node::object([("key", key)]).then(kafka);
    }
    let message = Node::object([
        ("name", topic.schema().into()),
        ("title", schema::values(topic).title.into()),
        ("contentType", "application/json".into()),
        ("headers", schema::object(required, optional)),
        ("payload", reference(format!("#/components/schemas/{payload}"))),
        ("bindings", Node::object([("kafka", kafka)])),
    ]);
    (name.into(), message)
}

fn payload(topic: Topic) -> Field {
    let Values { title, about, fields, optional, shared: _ } = schema::values(topic);
    let head = Node::object([("title", title.into()), ("description", about.into())]);
    (names(topic).1.into(), head.then(schema::object(fields, optional)))
}

/// The same schema, referring to what is beside it in this document.
fn rooted((name, node): Field) -> Field {
    let node = match node {
        Node::Text(text) if name == "$ref" => Node::Text(text.replace("#/$defs/", "#/components/schemas/").into()),
        Node::List(nodes) => Node::List(nodes.into_iter().map(|node| rooted(("".into(), node)).1).collect()),
        Node::Object(fields) => Node::Object(fields.into_iter().map(rooted).collect()),
        node => node,
    };
    (name, node)
}
