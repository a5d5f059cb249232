//! The role over a real Kafka.
