//! What reads files from elsewhere, given damaged and hostile ones.
//!
//! ```text
//! fixtures ── corpus ──┐
//! kept inputs ─────────┴─▶ mutator ──▶ repair ──▶ target ──▶ driver: panics, memory, time
//!       ▲                                          │
//!       └────── inputs that were refused anew ─────┘
//! ```
//! - [`targets`]: for each format the function that reads it, the files to begin with and its words;
//! - [`mutator`]: changes to a file that know nothing of its format;
//! - [`mod@repair`]: lengths and checksums made right again, so that changes get behind them;
//! - [`driver`]: runs a target over and over, and says what it must not do.
//!
//! All choices follow from a seed and the number of the execution: what was found is found again.
#![forbid(unsafe_code)]

pub mod corpus;
pub mod driver;
pub mod mutator;
pub mod random;
pub mod repair;
pub mod scratch;
pub mod target;
pub mod targets;

pub use target::{Outcome, Target};
