//! The thread that asks what can only be asked by waiting: what is committed, and what is kept.

use core::time::Duration;
use std::sync::Arc;

use flume::Receiver;
use rdkafka::{
    Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::{
    Assigned, ConsumerOptions, Event,
    state::{Hole, Shared},
};
use crate::{
    kafka::{
        admin::AskError,
        connection::{ASK, Asking, Connection, words},
    },
    ledger::{Generation, NextOffset},
};

/// Between two tries.
const RETRY: Duration = Duration::from_millis(200);

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// What the group has committed of a partition that was just assigned, and what is kept of it.
    Committed { partition: i32, generation: Generation },
    /// Whether offsets that did not come were removed, or never were records.
    Hole { partition: i32, generation: Generation, hole: Hole },
}

/// Asks with a client of its own, which is no member of the group: the one that is polls.
pub(super) struct Asker {
    client: BaseConsumer<Asking>,
    topic: Arc<str>,
    questions: Receiver<Question>,
}

impl Asker {
    pub(super) fn new(
        connection: &Connection,
        options: &ConsumerOptions,
        questions: Receiver<Question>,
    ) -> Result<Self, AskError> {
        let mut config = connection.config();
        config.set("group.id", &options.group).set("enable.auto.commit", "false").set_log_level(RDKafkaLogLevel::Emerg);
        let client = config.create_with_context(Asking).map_err(|error| AskError::of(&error))?;
        Ok(Self { client, topic: options.topic.clone(), questions })
    }

    /// Answers until the member has ended.
    pub(super) fn run(&self, shared: &Shared) {
        while !shared.stopped() {
            match self.questions.recv_timeout(RETRY) {
                Ok(question) => self.answer(shared, &question),
                Err(flume::RecvTimeoutError::Timeout) => {}
                Err(flume::RecvTimeoutError::Disconnected) => return,
            }
            // What happens to its connections is queued until somebody takes it.
            while self.client.poll(Duration::ZERO).is_some() {}
        }
    }

    fn answer(&self, shared: &Shared, question: &Question) {
        match *question {
            Question::Committed { partition, generation } => {
                while shared.state().is_asked(partition, generation) && !shared.stopped() {
                    match self.committed(partition, generation) {
                        Ok(assigned) => {
                            // Under the lock: nobody hears of it after it was revoked.
                            let mut state = shared.state();
                            if state.known(assigned) {
                                shared.tell(Event::Assigned(assigned));
                            }
                        }
                        Err(error) => {
                            let what = words(&error);
                            shared.trouble.note(&format!("the group's offset of {} is not known: {what}", self.topic));
                            std::thread::park_timeout(RETRY);
                        }
                    }
                }
            }
            Question::Hole { partition, generation, hole } => {
                let low = self.client.fetch_watermarks(&self.topic, partition, ASK).map(|(low, _)| low);
                let mut state = shared.state();
                if !state.looked(partition, generation) {
                    return;
                }
                // Kept, and not delivered: what ends a transaction, or was aborted. No record is missing.
                if low.is_ok_and(|low| low <= hole.expected) {
                    return;
                }
                let Hole { expected, found } = hole;
                shared.tell(Event::Gap { partition, generation, expected, found });
            }
        }
    }

    fn committed(&self, partition: i32, generation: Generation) -> Result<Assigned, KafkaError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, partition);
        let told = self.client.committed_offsets(asked, ASK)?;
        let element = told.find_partition(&self.topic, partition);
        let committed = match element {
            Some(element) => {
                element.error()?;
                match element.offset() {
                    Offset::Offset(offset) => Some(NextOffset(offset)),
                    _ => None,
                }
            }
            None => None,
        };
        let (low, high) = self.client.fetch_watermarks(&self.topic, partition, ASK)?;
        Ok(Assigned { partition, generation, committed, low, high })
    }
}
