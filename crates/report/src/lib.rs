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
#![forbid(unsafe_code)]

mod data;
mod embedded;
pub mod error;
mod evaluation;
pub mod experiment;
mod files;
mod findings;
mod metrics;
mod page;
pub mod paired;
pub mod plots;
#[cfg(test)]
mod run_fixture;
mod run_folder;
mod settings;

pub use error::ReportError;
pub use evaluation::interval;
pub use experiment::Experiment;
pub use page::{Trials, compare};
pub use paired::Paired;
pub use run_folder::Report;
