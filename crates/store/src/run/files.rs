//! Names in a run's folder.

/// The settings, resolved.
pub const CONFIG: &str = "config.toml";
/// [What else](super::schema::Facts) the run was started with.
pub const RUN: &str = "run.json";
/// A [line](super::schema::Change) for each setting that was changed on the way.
pub const CHANGES: &str = "changes.jsonl";
/// How the run [ended](super::schema::End) the last time.
pub const END: &str = "end.json";
/// A [line](super::schema::Line) for each update and each evaluation.
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
/// The [pictures](super::schema::Data).
pub const DATA: &str = "data.json";
/// Which picture is for what.
pub const SPLIT: &str = "split.csv";
/// The [machine](super::schema::Environment).
pub const ENVIRONMENT: &str = "environment.json";
/// The last [evaluation](super::schema::Evaluation).
pub const EVALUATION: &str = "evaluation.json";
/// The [features](super::schema::Features) inside the network's blocks.
pub const FEATURES: &str = "features.json";
/// Folder of the pictures that a run draws.
pub const FIGURES: &str = "figures";
/// The page.
pub const REPORT: &str = "report.html";
