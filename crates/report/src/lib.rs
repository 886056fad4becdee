//! How a training run went, as one HTML file that needs nothing else: no network, no script, no file
//! beside it.
//!
//! ```text
//! RUN/ ── config.toml, run.json ──────────┐
//!         metrics.jsonl (thinned) ────────┤
//!         data.json, environment.json ────┼─▶ Report ──┬─▶ to_html ─▶ RUN/report.html
//!         evaluation.json, skipped.jsonl ─┤            ├─▶ compare ─▶ one page of several runs
//!         figures/*.png ──────────────────┘            └─▶ Trials ──▶ one page of two ways to train
//! ```
//! Modules: `run_folder` reads a run, with `settings`, `metrics`, `data`, `evaluation`, `embedded` and
//! `files` for what is in it; `findings` says in words what to look at; `page` writes HTML; [`plots`]
//! draws charts, for the page and for everybody; [`paired`] says whether one classifier is better than
//! another; [`experiment`] holds many such comparisons, as a table, a page and a figure; [`error`]: what can go wrong.
//! Beside runs: a [`Gallery`] of rows of small pictures, and a [`Map`] on which those that are alike lie together.
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
mod thumbnail;

pub use error::ReportError;
pub use evaluation::interval;
pub use experiment::Experiment;
pub use head::{Fact, Head};
pub use map::{COLOURED, Map, Spot};
pub use page::{Card, Gallery, Strip, Trials, compare};
pub use paired::Paired;
pub use run_folder::Report;
pub use thumbnail::Thumbnail;
