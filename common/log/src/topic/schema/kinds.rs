//! What fields are: kinds of JSON Schemas, each with a name and a sentence for people.
//!
//! Only keywords that mean the same in draft 7 and in 2020-12, so that the AsyncAPI document can hold the
//! same schemas.

use flk_contract::{Form, signals::Regime};

use super::Shared;
use crate::topic::json::{Field, Node};

pub(super) const ANY: &str = "";
pub(super) const DIGEST: &str = "^[0-9a-f]{64}$";
pub(super) const ID: &str = "^[0-9a-f]{32}$";
pub(super) const TENANT: &str = "^[A-Za-z0-9._-]{1,64}$";
pub(super) const REQUEST_ID: &str = "^[A-Za-z0-9._-]{1,64}$";
pub(super) const PARTITION: &str = "^[0-9]{1,10}$";
pub(super) const TRACEPARENT: &str = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$";

/// An object of fields that are always there, and others.
pub(in crate::topic) fn object(required: Vec<Field>, optional: Vec<Field>) -> Node {
    let names = required.iter().map(|(name, _)| Node::Text(name.clone())).collect();
    Node::object([
        ("type", "object".into()),
        ("required", Node::List(names)),
        ("properties", Node::Object(required.into_iter().chain(optional).collect())),
    ])
}

fn kind(name: &'static str, about: &'static str, of: &'static str) -> Field {
    (name.into(), Node::object([("description", about.into()), ("type", of.into())]))
}

fn also((name, node): Field, keyword: &'static str, value: impl Into<Node>) -> Field {
    (name, node.with(keyword, value))
}

pub(super) fn text(name: &'static str, about: &'static str, at_most: Option<usize>) -> Field {
    pattern(name, about, ANY, at_most)
}

pub(super) fn pattern(name: &'static str, about: &'static str, pattern: &'static str, at_most: Option<usize>) -> Field {
    let mut field = kind(name, about, "string");
    if pattern != ANY {
        field = also(field, "pattern", pattern);
    }
    match at_most {
        Some(at_most) => also(field, "maxLength", at_most),
        None => field,
    }
}

pub(super) fn digest(name: &'static str, about: &'static str) -> Field {
    pattern(name, about, DIGEST, None)
}

pub(super) fn tenant(name: &'static str, about: &'static str) -> Field {
    pattern(name, about, TENANT, None)
}

pub(super) fn date_time(name: &'static str, about: &'static str) -> Field {
    also(kind(name, about, "string"), "format", "date-time")
}

pub(super) fn number(name: &'static str, about: &'static str) -> Field {
    kind(name, about, "number")
}

pub(super) fn boolean(name: &'static str, about: &'static str) -> Field {
    kind(name, about, "boolean")
}

pub(super) fn integer(name: &'static str, about: &'static str, at_least: Option<i64>, at_most: Option<i64>) -> Field {
    let mut field = kind(name, about, "integer");
    if let Some(at_least) = at_least {
        field = also(field, "minimum", at_least);
    }
    match at_most {
        Some(at_most) => also(field, "maximum", at_most),
        None => field,
    }
}

/// Just that value.
pub(super) fn exactly(name: &'static str, about: &'static str, value: impl Into<Node>) -> Field {
    (name.into(), Node::object([("description", about.into()), ("const", value.into())]))
}

/// One of some values, all of one type.
pub(super) fn one_of(name: &'static str, about: &'static str, values: Vec<Node>, of: &'static str) -> Field {
    also(kind(name, about, of), "enum", values)
}

pub(super) fn words(name: &'static str, about: &'static str, words: impl IntoIterator<Item = &'static str>) -> Field {
    one_of(name, about, words.into_iter().map(Node::from).collect(), "string")
}

pub(super) fn word_or_null(
    name: &'static str,
    about: &'static str,
    words: impl IntoIterator<Item = &'static str>,
) -> Field {
    let values = words.into_iter().map(Node::from).chain([Node::Null]).collect();
    let types = Node::texts(["string", "null"]);
    (name.into(), Node::object([("description", about.into()), ("type", types), ("enum", Node::List(values))]))
}

/// What is defined once, and said of a field with a sentence of its own.
pub(super) fn reference(name: &'static str, about: &'static str, to: Shared) -> Field {
    let to = Node::object([("$ref", format!("#/$defs/{}", to.name()).into())]);
    (name.into(), Node::object([("description", about.into()), ("allOf", vec![to].into())]))
}

/// The same field, which may be null.
pub(super) fn either_null((name, node): Field) -> Field {
    let Node::Object(fields) = node else { return (name, node) };
    let nullable = fields.into_iter().map(|(keyword, value)| match (&*keyword, value) {
        ("type", Node::Text(of)) => (keyword, Node::List(vec![Node::Text(of), "null".into()])),
        ("allOf", Node::List(mut any)) => {
            any.push(Node::object([("type", "null".into())]));
            ("anyOf".into(), Node::List(any))
        }
        (_, value) => (keyword, value),
    });
    (name, Node::Object(nullable.collect()))
}

pub(super) fn regimes() -> [&'static str; 3] {
    Regime::ALL.map(Regime::as_str)
}

pub(super) fn forms() -> [&'static str; 2] {
    [Form::Payload, Form::Content].map(Form::as_str)
}
