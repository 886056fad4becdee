//! Results as single HTML files that need nothing else: no network, no script, no file beside them.
//!
//! ```text
//! RUN/ ── config.toml, run.json ──────────┐
//!         metrics.jsonl (thinned) ────────┤
//!         data.json, environment.json ────┼─▶ Report ──┬─▶ to_html ─▶ RUN/report.html
//!         evaluation.json, skipped.jsonl ─┤            ├─▶ compare ─▶ one page of several runs
//!         figures/*.png ──────────────────┘            └─▶ Trials ──▶ one page of two ways to train
//! ```
//! [`paired`] decides whether a difference is more than chance:
//!
//! ```
//! use fcmae_report::paired::compare;
//!
//! // For each of two seeds, which of four test pictures were named right.
//! let pretrained = [vec![true, true, true, false], vec![true, true, true, true]];
//! let scratch = [vec![true, false, true, false], vec![true, false, true, true]];
//! let found = compare(&pretrained, &scratch).expect("the same seeds and pictures");
//! assert_eq!(found.mean, 0.25);
//! assert!(!found.is_clear(), "four pictures prove nothing");
//! ```
//!
//! `run_folder` reads a run, with `settings`, `metrics`, `data`, `evaluation`, `embedded` and `files` for its parts.
//! `findings` says in words what needs attention. `page` writes HTML. [`plots`] draws charts. [`experiment`] holds many
//! comparisons, as a table, a page and a figure. A [`Gallery`] shows rows of small pictures, and a [`Map`] places similar
//! ones together. [`error`] is what can go wrong.
#![forbid(unsafe_code)]

mod data;
mod embedded;
pub mod error;
mod evaluation;
pub mod experiment;
mod files;
mod findings;
mod head;
mod map;
mod metrics;
mod page;
pub mod paired;
pub mod plots;
#[cfg(test)]
mod run_fixture;
mod run_folder;
mod settings;
mod spread;
mod thumbnail;

pub use error::ReportError;
pub use evaluation::interval;
pub use experiment::Experiment;
pub use head::{Fact, Head};
pub use map::{COLOURED, Map, Spot};
pub use page::{Card, Gallery, Strip, Trials, compare};
pub use paired::Paired;
pub use run_folder::Report;
pub use spread::mean_and_deviation;
pub use thumbnail::Thumbnail;
