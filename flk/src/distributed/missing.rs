//! What a build without Kafka says instead.

use flk_service::{
    lifecycle::{Exit, StopSignals},
    settings::Distributed,
};

use crate::{Failure, service::Begun};

/// One sentence, and how to get what is missing.
pub(super) fn failure() -> Failure {
    Failure::mistake(
        "this build of flk has no Kafka in it; take a release, or build it with `cargo build -p flk --features kafka` \
         (OpenSSL's headers are needed: Debian's libssl-dev and pkg-config)",
    )
}

/// Nothing that there could be.
pub(crate) enum Checked {}

impl Checked {
    pub(crate) fn new(_: &Distributed) -> Result<Self, Failure> {
        Err(failure())
    }
}

pub(crate) fn check(_: &Distributed) -> Result<(), Failure> {
    Err(failure())
}

pub(crate) async fn run(checked: Checked, _: Begun, _: impl StopSignals) -> Result<Exit, Failure> {
    match checked {}
}

/// Kafka's topics, of which this build knows nothing.
pub(crate) mod topics {
    use flk_service::settings::Kafka;
    use serde_json::Value;

    use crate::Failure;

    pub(crate) struct Found {
        pub(crate) done: Vec<String>,
        pub(crate) differences: Vec<Value>,
    }

    pub(crate) fn apply(_: &Kafka) -> Result<Found, Failure> {
        Err(super::failure())
    }

    pub(crate) fn check(_: &Kafka) -> Result<Found, Failure> {
        Err(super::failure())
    }
}
