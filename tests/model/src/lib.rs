//! A model check of settling over Kafka and Redis: one partition, every interleaving within bounds.
//!
//! The design says that sinks may meet, die, fall back and come back as zombies, and that nobody hears two
//! results of an id for it. This crate looks for a counter-example: [`steps`] is what can happen, [`rules`]
//! what the design asks for, [`invariants`] what must then hold in every state, [`finish`] what must come
//! once faults stop, and [`search`] looks at all states that a [`world`] of a few records, instants and
//! faults has; [`walk`] goes far into one of many. What a record is to its id, the real [`flk_contract::settle()`] says.
//!
//! It knows nothing of brokers, sockets, threads or files, and nothing of how the sink is written: it is the
//! design that is examined here. `docs/model.md` says what is covered and what is not.

pub mod few;
pub mod fingerprint;
pub mod finish;
pub mod invariants;
pub mod rules;
pub mod scenarios;
pub mod search;
pub mod state;
pub mod steps;
mod trace;
pub mod walk;
pub mod world;
