//! What a job of an experiment came to, and `results.jsonl`, which holds what all came to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use fcmae_data::source::printable;
use fcmae_files::{Limit, if_there};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::output;

/// What a job came to. Everything in a table follows from these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Names the job: a hash of its settings and pictures.
    pub(super) key: String,
    pub(super) job: Kind,
    /// The key of the pre-training that it started from, or that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    /// Settings that are not as by default.
    pub(super) settings: BTreeMap<String, Value>,
    pub(super) trained_on: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tested_on: Vec<String>,
    pub(super) seed: u64,
    #[serde(flatten)]
    pub(super) made: Made,
    /// Seconds that the updates took.
    pub(super) seconds: f64,
    /// Mean training loss over the last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) loss: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) test: Option<Test>,
    /// Feature distance by layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<Layer>,
    /// Why it ended without a result, where another try would end the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Pretrain,
    Finetune,
    Diversity,
}

/// By what program, on what machine, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) version: String,
    /// The program's commit, where the environment variable `FCMAE_COMMIT` told it.
    pub(super) commit: Option<String>,
    pub(super) cpu: String,
    pub(super) simd: String,
    pub(super) threads: usize,
    pub(super) finished: String,
}

/// A classifier's test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Test {
    pub(super) pictures: usize,
    pub(super) top1: f64,
    pub(super) top5: f64,
    pub(super) loss: f64,
    /// Whether each picture was named right, in the order of the set.
    #[serde(with = "fcmae_store::run::hits")]
    pub(super) right: Vec<bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) depth: f64,
    pub(super) after_gelu: f64,
    pub(super) after_grn: f64,
}

/// A line of `results.jsonl`: an outcome and what it is in the experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) variant: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) budget: String,
    pub(super) purpose: Purpose,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Purpose {
    /// For others to start from.
    Start,
    /// To choose settings, on the validation pictures.
    Choice,
    /// To be reported, on the test pictures.
    Result,
}

/// Of `results.jsonl`, a line a job: half a million lines of tests on 1,000 pictures fit.
const RESULTS_LIMIT: Limit = Limit {
    bytes: 1 << 30,
    remedy: "remove the lines of experiments that are no longer asked for",
};

/// Of what a run came to: tests on 100 million pictures fit.
const OUTCOME_LIMIT: Limit = Limit { bytes: 64 << 20, remedy: "it is not an outcome; remove it" };

/// The lines of `results.jsonl`; none where there is no such file.
///
/// # Errors
/// A file that cannot be read, or a line that is no result.
pub(super) fn read(file: &Path) -> Result<Vec<Line>> {
    let text =
        if_there(fcmae_files::text(file, RESULTS_LIMIT)).map_err(output::cannot_read(file))?;
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| {
            format!("{}, line {}: not a result; remove the line", printable(file), number + 1)
        })
    };
    text.unwrap_or_default().lines().enumerate().map(line).collect()
}

/// The outcome that a run's folder holds, if its job is done.
///
/// # Errors
/// A file that cannot be read, or is no outcome.
pub(super) fn of_run(file: &Path) -> Result<Option<Outcome>> {
    let text =
        if_there(fcmae_files::text(file, OUTCOME_LIMIT)).map_err(output::cannot_read(file))?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .with_context(|| format!("{}: not an outcome; remove it", printable(file)))
}

/// Writes `results.jsonl` as a whole.
///
/// # Errors
/// A disk that is full, a folder that cannot be written to.
pub(super) fn write(file: &Path, lines: &[Line]) -> Result<()> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&serde_json::to_string(line)?);
        text.push('\n');
    }
    output::write_file(file, text.as_bytes())
}
