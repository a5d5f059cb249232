//! JSON for people to read: fields stay in the order in which they are written down. (The map of
//! `serde_json` sorts them, or does not, depending on which other crates are in the build.)

use std::borrow::Cow;

use serde::{Serialize, Serializer};

/// A document, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(i64),
    Text(Cow<'static, str>),
    List(Vec<Self>),
    Object(Vec<Field>),
}

/// One field of an object.
pub(super) type Field = (Cow<'static, str>, Node);

impl Node {
    /// An object of these fields, in that order.
    pub(super) fn object<const N: usize>(fields: [(&'static str, Self); N]) -> Self {
        Self::Object(fields.into_iter().map(|(name, node)| (name.into(), node)).collect())
    }

    /// A list of texts.
    pub(super) fn texts(texts: impl IntoIterator<Item = &'static str>) -> Self {
        Self::List(texts.into_iter().map(Self::from).collect())
    }

    /// The same object with one field more, at its end. Any other node stays as it is.
    #[must_use]
    pub(super) fn with(mut self, name: impl Into<Cow<'static, str>>, node: impl Into<Self>) -> Self {
        if let Self::Object(fields) = &mut self {
            fields.push((name.into(), node.into()));
        }
        self
    }

    /// The same object with the fields of another behind its own. Any other node stays as it is.
    #[must_use]
    pub(super) fn then(mut self, other: Self) -> Self {
        if let (Self::Object(fields), Self::Object(more)) = (&mut self, other) {
            fields.extend(more);
        }
        self
    }

    /// The document as it is served and committed.
    pub(super) fn pretty(&self) -> String {
        // A document of texts and numbers always serialises.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(nodes) => serializer.collect_seq(nodes),
            Self::Object(fields) => serializer.collect_map(fields.iter().map(|(name, node)| (name, node))),
        }
    }
}

impl From<&'static str> for Node {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<bool> for Node {
    fn from(it: bool) -> Self {
        Self::Bool(it)
    }
}

impl From<i64> for Node {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<usize> for Node {
    fn from(number: usize) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Vec<Self>> for Node {
    fn from(nodes: Vec<Self>) -> Self {
        Self::List(nodes)
    }
}
