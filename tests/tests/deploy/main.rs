//! What operators deploy, checked without an engine: `compose.yml` against the settings that the program has and the
//! rules that it keeps, the file tree of the image, and the roles over real servers in the very environment of
//! `compose.yml`. That it is a Compose file at all is checked by `scripts/check-deploy`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]

mod compose;
mod file;
mod image;
mod running;
