//! Tests of how rings are found, on made-up crates; and that the project's crates have none.
#![allow(clippy::unwrap_used)]

mod made_up;
mod project;
