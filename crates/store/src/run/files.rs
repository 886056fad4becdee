//! Names in a run's folder.

/// The settings, resolved.
pub const CONFIG: &str = "config.toml";
/// What else the run was started with.
pub const RUN: &str = "run.json";
/// A line for each update and each evaluation.
pub const METRICS: &str = "metrics.jsonl";
/// Pictures that could not be read.
pub const SKIPPED: &str = "skipped.jsonl";
/// What a run has to say.
pub const LOG: &str = "log.txt";
/// Folder of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// Folder of the weights for other programs.
pub const EXPORT: &str = "export";
/// Folder of batches whose loss or gradient was no number.
pub const DIVERGED: &str = "diverged";
