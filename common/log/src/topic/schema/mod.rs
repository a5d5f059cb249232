//! JSON Schemas (2020-12) of what is on the topics, made from the code: words from the enumerations that
//! are serialised, bounds from the constants that are enforced.
//!
//! Kept under `schemas/topics`, where a test compares them, and checks what is encoded against them. They
//! say what writers of one version write: readers take more, because later ones may add fields.

mod kinds;
mod record;

use flk_contract::{CONTRACT, Code, limits::PCS_ID_BYTES_MAX, wire::State};

pub(super) use self::kinds::object;
use self::kinds::{
    boolean, date_time, digest, either_null, exactly, integer, number, one_of, reference, tenant, text, word_or_null,
    words,
};
use super::{
    Topic, headers,
    json::{Field, Node},
};

/// The name of the file that a topic's schema is kept in: `pcs.verified.v1.json`.
pub fn file(topic: Topic) -> String {
    format!("{}.json", topic.schema().replace('/', ".v"))
}

/// The schema of a topic's values, as it is kept.
pub fn json(topic: Topic) -> String {
    let Values { title, about, fields, optional, shared } = values(topic);
    let document = Node::object([
        ("$schema", "https://json-schema.org/draft/2020-12/schema".into()),
        ("$id", format!("urn:flk:schema:{}", topic.schema()).into()),
        ("title", title.into()),
        ("description", about.into()),
    ]);
    let document = document.then(object(fields, optional));
    if shared.is_empty() {
        return document.pretty();
    }
    document.with("$defs", Node::Object(shared.iter().map(|shared| shared.definition()).collect())).pretty()
}

/// What is known of a topic's values.
pub(super) struct Values {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    /// Those that are always there.
    pub(super) fields: Vec<Field>,
    pub(super) optional: Vec<Field>,
    /// What they refer to.
    pub(super) shared: &'static [Shared],
}

/// What several schemas have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    Origin,
    Result,
}

impl Shared {
    pub(super) const ALL: [Self; 2] = [Self::Origin, Self::Result];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Origin => "Origin",
            Self::Result => "Result",
        }
    }

    /// Its name and schema.
    pub(super) fn definition(self) -> Field {
        let (about, fields) = match self {
            Self::Origin => ("A record's place, and when it came there.", origin()),
            Self::Result => ("A settled result, or a judged record that settled nothing.", result(Results::All)),
        };
        (self.name().into(), described(about, fields))
    }
}

fn described(about: &'static str, fields: Vec<Field>) -> Node {
    Node::object([("description", about.into())]).then(object(fields, Vec::new()))
}

/// What is known of the values of one topic.
pub(super) fn values(topic: Topic) -> Values {
    let required = |title, about, fields, shared| Values { title, about, fields, optional: Vec::new(), shared };
    match topic {
        Topic::Raw => record::values(),
        Topic::Verified => required(
            "An accepted record",
            "A record that was accepted, and the result that it settles if it is the first of its id.",
            result(Results::Settled),
            &[Shared::Origin],
        ),
        Topic::Results => required(
            "A settled result",
            "The result of one id. Of several for one key the last stands: that of the greatest verified.offset.",
            results(),
            &[Shared::Origin],
        ),
        Topic::Refused => required(
            "A record that settled nothing",
            "A refused record, or one that says something else than the result that stands. The body is in pcs.raw.",
            refused(),
            &[Shared::Origin],
        ),
        Topic::Replies => required(
            "An answer",
            "What became of one record, for the request that waits for it.",
            reply(),
            &[Shared::Origin, Shared::Result],
        ),
    }
}

/// Which results a schema is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Results {
    Settled,
    All,
}

fn origin() -> Vec<Field> {
    vec![
        text("log", "Which log: the id of a Kafka cluster, or of a data directory.", None),
        text("topic", "The topic in it.", None),
        integer("partition", "The partition of the topic.", Some(0), Some(i64::from(i32::MAX))),
        integer("offset", "The offset in the partition.", Some(0), Some(i64::MAX)),
        date_time("appended_at", "Log time, RFC 3339, UTC, milliseconds."),
    ]
}

fn result(of: Results) -> Vec<Field> {
    let codes = Code::ALL.into_iter().filter(|code| match of {
        Results::Settled => code.meaning().settles,
        Results::All => code.meaning().accepted.is_some(),
    });
    let settled = of == Results::Settled;
    let id = if settled { kinds::DIGEST } else { kinds::ANY };
    vec![
        kinds::pattern("pcs_id", "The id; derived once check 3 holds.", id, (!settled).then_some(PCS_ID_BYTES_MAX)),
        tenant("tenant", "Tenant of the key that verified the record."),
        one_of("status", "HTTP status of the verdict.", vec![Node::Integer(200), Node::Integer(202)], "integer"),
        if settled {
            exactly("accepted", "The record is accepted.", true)
        } else {
            boolean("accepted", "Whether the record is accepted.")
        },
        boolean("escalated", "Whether a person should look."),
        words("code", "The machine-readable reason.", codes.map(Code::as_str)),
        text("reason", "The reason for people; empty for `ok`.", None),
        number("D_hat", "The claimed D̂, rounded to nine decimals."),
        either_null(number("recomputed_D_hat", "D̂ as recomputed from scales and N_j.")),
        either_null(number("recomputed_budget", "The budget as recomputed from the claimed signals.")),
        word_or_null("regime", "The derived regime.", kinds::regimes()),
        digest("payload_sha256", "SHA-256 of the canonical payload."),
        digest("content_sha256", "SHA-256 of the canonical content."),
        either_null(text("key_id", "The key that verified the record; null with signing off.", Some(64))),
        word_or_null("signed", "What the signature covers; null with signing off.", kinds::forms()),
        exactly("contract", "The contract's version.", CONTRACT),
        if settled {
            reference("origin", "The record in pcs.raw.", Shared::Origin)
        } else {
            either_null(reference("origin", "The record that settled the id; null for a refused one.", Shared::Origin))
        },
    ]
}

fn results() -> Vec<Field> {
    let partition = integer("partition", "The partition of both topics.", Some(0), Some(i64::from(i32::MAX)));
    let place = vec![partition, integer("offset", "The offset in pcs.verified.", Some(0), Some(i64::MAX))];
    let mut fields = result(Results::Settled);
    fields.push(("verified".into(), described("The record of pcs.verified that settled the id.", place)));
    fields
}

fn refused() -> Vec<Field> {
    let states = [State::Refused, State::Conflict].map(State::as_str);
    let codes = Code::ALL.into_iter().filter(|code| !code.meaning().settles).map(Code::as_str);
    vec![
        words("state", "What became of the record.", states),
        words("code", "The verdict's code, `conflict` or `too_old`.", codes),
        text("reason", "The reason for people. Quotes nothing of the body.", None),
        either_null(text("pcs_id", "As claimed; null for what is malformed or not authentic.", Some(PCS_ID_BYTES_MAX))),
        either_null(tenant("tenant", "Tenant of the key that verified the record.")),
        either_null(digest("payload_sha256", "SHA-256 of the canonical payload.")),
        either_null(digest("content_sha256", "SHA-256 of the canonical content.")),
        either_null(digest("body_sha256", "SHA-256 of the body; null for conflict and too_old.")),
        either_null(integer("body_bytes", "How long the body is; null for conflict and too_old.", Some(0), None)),
        either_null(text("key_id", "The key that verified the record.", Some(64))),
        word_or_null("signed", "What the signature covers.", kinds::forms()),
        reference("origin", "The record in pcs.raw: its body is there.", Shared::Origin),
        either_null(reference("standing", "The record whose result stands; null unless conflict.", Shared::Origin)),
        either_null(digest("standing_content_sha256", "The content of that result: what the conflict is with.")),
    ]
}

fn reply() -> Vec<Field> {
    let states = State::ALL.into_iter().filter(|state| *state != State::Pending).map(State::as_str);
    vec![
        kinds::pattern("reply_id", "What the answer is recognised by: the record's reply-id.", kinds::ID, None),
        reference("wal", "The record in pcs.raw.", Shared::Origin),
        words("state", "What became of it.", states),
        words("code", "The verdict's code, `conflict` or `too_old`.", Code::ALL.map(Code::as_str)),
        text("reason", "The reason for people.", None),
        either_null(reference(
            "result",
            "The result that stands, or the judged refusal; null for what was never judged.",
            Shared::Result,
        )),
        either_null(reference(
            "judged",
            "The record's own verdict where it is another than that of the result, else null.",
            Shared::Result,
        )),
    ]
}

/// The schemas of the headers that a topic's records carry, and whether each is always there.
pub(super) fn headers(topic: Topic) -> Vec<(Field, bool)> {
    let header = |name: &'static str| match name {
        headers::SCHEMA => exactly(name, "The schema of the value.", topic.schema()),
        headers::REQUEST_ID => kinds::pattern(name, "Names the request in log lines.", kinds::REQUEST_ID, None),
        headers::REPLY_TO => kinds::pattern(name, "The partition of pcs.replies to answer on.", kinds::PARTITION, None),
        headers::REPLY_ID => kinds::pattern(name, "What the answer is recognised by.", kinds::ID, None),
        headers::TENANT => text(name, "The tenant that the record is said to belong to, as X-Tenant-Id.", None),
        _ => kinds::pattern(name, "W3C trace context.", kinds::TRACEPARENT, None),
    };
    let always = |name: &str| name == headers::SCHEMA && topic != Topic::Raw;
    headers::carried(topic).iter().map(|name| (header(name), always(name))).collect()
}
