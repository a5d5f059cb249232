//! dedup-sink
