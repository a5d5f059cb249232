//! HTTP as contract section 6 says it: admission, the calls, their answers, OpenAPI, and the server
//! underneath.
//!
//! [`app()`](app()) is a router over a [`Pipeline`], and [`serve()`](serve()) serves a router on a
//! bound listener until told to stop. This room knows requests and answers; it must never know which
//! log, index or broker is behind the pipeline, nor decide what a record is worth. Behind the feature
//! `kafka`, `router` is the pipeline over Kafka: apart from HTTP, which reaches it by the port alone.

mod admission;
mod answer;
mod app;
mod auth;
mod body;
mod incoming;
mod limits;
mod line;
pub mod openapi;
mod operate;
pub mod pipeline;
pub mod prefer;
mod read;
pub mod refusal;
mod route;
#[cfg(feature = "kafka")]
pub mod router;
mod server;
mod submit;

pub use app::{app, operate_app};
pub use auth::MetricsAuth;
pub use limits::Limits;
pub use pipeline::{Away, Pipeline, Submission};
pub use route::Route;
pub use server::{Drained, Stop, serve};
