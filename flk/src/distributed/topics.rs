//! Kafka's topics, made and checked for the command line.

use flk_log::kafka::{Applied, AskError, Difference};
use flk_service::settings;
use serde_json::{Value, json};

use super::connect;
use crate::Failure;

/// What a look at the topics came to, in sentences.
pub(crate) struct Found {
    /// What was changed.
    pub(crate) done: Vec<String>,
    /// What differs.
    pub(crate) differences: Vec<Value>,
}

/// Creates topics and sets what is set otherwise.
///
/// # Errors
/// Where a setting has to be changed, or Kafka does not answer or allow it.
pub(crate) fn apply(kafka: &settings::Kafka) -> Result<Found, Failure> {
    ask(kafka, async |topics, admin| {
        let Applied { done, left } = topics.apply(admin).await?;
        Ok(Found { done, differences: left.iter().map(told).collect() })
    })
}

/// Says how they differ.
///
/// # Errors
/// Where a setting has to be changed, or Kafka does not answer.
pub(crate) fn check(kafka: &settings::Kafka) -> Result<Found, Failure> {
    ask(kafka, async |topics, admin| {
        let differences = topics.check(admin).await?;
        Ok(Found { done: Vec::new(), differences: differences.iter().map(told).collect() })
    })
}

fn ask(
    kafka: &settings::Kafka,
    question: impl AsyncFnOnce(&flk_log::kafka::Topics, &flk_log::kafka::Admin) -> Result<Found, AskError>,
) -> Result<Found, Failure> {
    let connection = connect::connection(kafka)?;
    let topics = connect::topics(&connection, &kafka.layout);
    let admin = connect::admin(&connection)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime can not be started: {error}")))?;
    let answer = runtime.block_on(question(&topics, &admin));
    runtime.shutdown_background();
    answer.map_err(|error| Failure::failed(format!("Kafka at {}: {error}", kafka.brokers)))
}

fn told(difference: &Difference) -> Value {
    json!({
        "topic": &*difference.topic,
        "difference": difference.to_string(),
        "can_be_applied": difference.can_be_applied(),
    })
}
