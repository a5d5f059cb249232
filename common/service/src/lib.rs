//! What every role needs to run, and nothing about records: metrics, settings, telemetry,
//! lifecycle, readiness, limits of the process.
//!
//! This room knows no log, no index, no HTTP framework and no verdict; it is what those are
//! started, watched and stopped with.

pub mod health;
pub mod lifecycle;
pub mod limits;
pub mod metrics;
pub mod settings;
pub mod telemetry;

pub use metrics::Metrics;
pub use settings::Settings;
