//! Figures of training runs: line charts as SVG.
#![forbid(unsafe_code)]

pub mod error;
pub mod plots;

pub use error::ReportError;
