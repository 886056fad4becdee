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
    /// Whether each picture was named right, in the order of the set: bits, the first the highest of the
    /// first digit.
    #[serde(with = "bits")]
    pub(super) right: Vec<bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) depth: f64,
    pub(super) after_gelu: f64,
    pub(super) after_grn: f64,
}

/// Bits as hexadecimal digits, four in each, and their number before them: `6:a8`.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bits: &[bool], to: S) -> Result<S::Ok, S::Error> {
        let digit = |four: &[bool]| {
            let value = (0..4).fold(0, |value, at| {
                2 * value + u32::from(four.get(at).copied().unwrap_or_default())
            });
            char::from_digit(value, 16).unwrap_or('0')
        };
        let digits: String = bits.chunks(4).map(digit).collect();
        to.serialize_str(&format!("{}:{digits}", bits.len()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<bool>, D::Error> {
        let text = String::deserialize(from)?;
        read(&text).ok_or_else(|| D::Error::custom(format!("{text:.20} is not COUNT:HEX")))
    }

    fn read(text: &str) -> Option<Vec<bool>> {
        let (count, digits) = text.split_once(':')?;
        let count: usize = count.parse().ok()?;
        let mut bits = Vec::with_capacity(4 * digits.len());
        for digit in digits.chars() {
            let value = digit.to_digit(16)?;
            bits.extend((0..4).rev().map(|at| value >> at & 1 == 1));
        }
        (bits.len() == 4 * count.div_ceil(4)).then(|| {
            bits.truncate(count);
            bits
        })
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn test(right: Vec<bool>) -> Test {
        Test { pictures: right.len(), top1: 0.5, top5: 0.5, loss: 1.0, right }
    }

    #[test]
    fn hits_are_written_as_bits_and_read_back() {
        for count in [0, 1, 3, 4, 5, 8, 11] {
            let right: Vec<bool> = (0..count).map(|i| i % 3 == 0).collect();
            let text = serde_json::to_string(&test(right.clone())).unwrap();
            let again: Test = serde_json::from_str(&text).unwrap();
            assert_eq!(again.right, right, "{text}");
        }
        let text =
            serde_json::to_string(&test(vec![true, false, true, false, true, false])).unwrap();
        assert!(text.contains("\"6:a8\""), "{text}");
        for wrong in ["6:a", "6:a80", "x:a8", "6:g8", "a8"] {
            let text = text.replace("6:a8", wrong);
            assert!(serde_json::from_str::<Test>(&text).is_err(), "{wrong}");
        }
    }
}
