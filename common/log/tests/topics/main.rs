//! What is on the topics: values and headers are read back exactly, as their schemas say, by this version
//! and by those to come.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod any;
mod headers;
mod real;
mod samples;
mod schemas;
mod values;
mod walk;
