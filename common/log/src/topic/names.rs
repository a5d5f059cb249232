//! What the topics are called in one cluster: a prefix, so that several installations can share it.

use std::sync::Arc;

use super::Topic;

/// Kafka's bound on a topic's name, in bytes.
const NAME_BYTES_MAX: usize = 249;
/// The longest prefix: the longest name of ours still fits.
const PREFIX_BYTES_MAX: usize = NAME_BYTES_MAX - Topic::Verified.name().len();

/// A prefix that makes no names of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    /// Too long.
    #[error("a prefix of topics has at most {PREFIX_BYTES_MAX} bytes, and one of {0} came; choose a shorter one")]
    TooLong(usize),
    /// Kafka takes another alphabet.
    #[error("a prefix of topics is made of A-Z a-z 0-9 . _ -, and `{0}` came; leave it out")]
    Character(char),
}

/// The names of the five topics in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicNames([Arc<str>; 5]);

impl TopicNames {
    /// The names with a prefix, which may be empty.
    ///
    /// # Errors
    /// [`BadPrefix`] for what Kafka takes in no name.
    pub fn new(prefix: &str) -> Result<Self, BadPrefix> {
        if prefix.len() > PREFIX_BYTES_MAX {
            return Err(BadPrefix::TooLong(prefix.len()));
        }
        let word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(other) = prefix.chars().find(|c| !word(c)) {
            return Err(BadPrefix::Character(other));
        }
        Ok(Self(Topic::ALL.map(|topic| [prefix, topic.name()].concat().into())))
    }

    /// The name of one.
    pub fn of(&self, topic: Topic) -> &Arc<str> {
        // `Topic::ALL` is in the order of its declaration.
        &self.0[topic as usize]
    }

    /// The topic of a name; `None` if it is none of these.
    pub fn topic(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| **self.of(*topic) == *name)
    }
}

impl Default for TopicNames {
    /// The names without a prefix.
    fn default() -> Self {
        Self(Topic::ALL.map(|topic| topic.name().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_its_name_behind_the_prefix() {
        let names = TopicNames::new("eu-1.").unwrap();
        for (at, topic) in Topic::ALL.into_iter().enumerate() {
            assert_eq!(topic as usize, at);
            assert_eq!(**names.of(topic), format!("eu-1.{}", topic.name()));
            assert_eq!(names.topic(names.of(topic)), Some(topic));
            assert_eq!(names.topic(topic.name()), None);
        }
        assert_eq!(TopicNames::new(""), Ok(TopicNames::default()));
    }

    #[test]
    fn a_prefix_is_what_kafka_takes_in_a_name() {
        let longest = "x".repeat(PREFIX_BYTES_MAX);
        let names = TopicNames::new(&longest).unwrap();
        assert_eq!(Topic::ALL.map(|topic| names.of(topic).len()).into_iter().max(), Some(NAME_BYTES_MAX));
        assert_eq!(TopicNames::new(&format!("{longest}x")), Err(BadPrefix::TooLong(longest.len() + 1)));
        for (bad, character) in [("a b", ' '), ("a/b", '/'), ("ü", 'ü'), ("a,", ',')] {
            assert_eq!(TopicNames::new(bad), Err(BadPrefix::Character(character)));
        }
    }
}
