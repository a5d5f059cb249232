//! What the client calls back, on the polling thread.

use std::sync::Arc;

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::{Event, lookup::Question, poll::store, state::Shared};
use crate::kafka::connection::{log, words};

pub(super) struct Context(pub(super) Arc<Shared>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.0.failure.tell(&format!("the consumer can not go on: {reason}"));
        } else {
            self.0.trouble.note_error(&error, reason);
        }
    }
}

impl ConsumerContext for Context {
    /// The group is answered at once, and nothing is read of a new partition: the client is given its
    /// place when the role has said where that is.
    fn rebalance(&self, client: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let shared = &self.0;
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let answered = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let answered = client.incremental_assign(&TopicPartitionList::new());
                let mut state = shared.state();
                state.joined = true;
                for partition in partitions {
                    let generation = state.assigned_now(partition);
                    // Nobody asks where the member has ended.
                    let _ = shared.questions.send(Question::Committed { partition, generation });
                }
                answered
            }
            _ => {
                // What is done up to now is committed on the way.
                store(client, shared);
                let mut read = TopicPartitionList::new();
                let mut state = shared.state();
                for partition in partitions {
                    let Some((generation, is_read)) = state.revoked(partition) else { continue };
                    if is_read {
                        read.add_partition(&shared.topic, partition);
                    }
                    shared.tell(Event::Revoked { partition, generation });
                }
                drop(state);
                client.incremental_unassign(&read)
            }
        };
        if let Err(error) = answered {
            shared.failure.tell(&format!("the group's assignment could not be taken ({}); start again", words(&error)));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        use RDKafkaErrorCode as Code;
        match result.as_ref().map_err(KafkaError::rdkafka_error_code) {
            Ok(()) | Err(Some(Code::NoOffset)) => {}
            // The group moves, or its coordinator does: what is stored is committed next time, or by
            // whoever has the partition then.
            Err(Some(
                Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::RebalanceInProgress
                | Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::State
                | Code::WaitingForCoordinator,
            )) => tracing::debug!(?result, "offsets are not committed yet"),
            Err(_) => {
                if let Err(error) = result {
                    self.0.trouble.note(&format!("offsets are not committed: {}", words(&error)));
                }
            }
        }
    }
}
