//! What a run's files hold, for those who write them and those who read them.
//!
//! Fields are written in the order in which they stand here. Those that an earlier version may not have
//! written, and numbers that may be none (NaN and infinities are `null`), are optional or have a default.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::confusion::Confusion;

/// An update: a line of `metrics.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Share of its time, 0 to 1, that was spent waiting for pictures.
    pub data_wait: Option<f64>,
    /// Epochs done after it.
    pub epoch: f64,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: Option<f64>,
    /// Images trained on in a second, over this update.
    pub images_per_second: Option<f64>,
    /// Mean loss over its images.
    pub loss: Option<f64>,
    /// Learning rate.
    pub lr: f64,
    /// Its number, from 1.
    pub step: u64,
}

/// Updates of a pre-training from random weights below which its features are hardly better than untrained ones. The
/// shortest pre-trainings that docs/results.md measures made about 2,900 (the demo, which it helped) and 3,600 (300
/// photographs, which it did not). A third of that, of which the warm-up is a good part, is no pre-training to judge by.
pub const SHORT_PRETRAINING: u64 = 1_000;
/// Updates that such a pre-training is planned with, at least, as the small recipes are.
pub const USUAL_PRETRAINING: u64 = 4_000;

/// What was measured on held-out pictures: a line of `metrics.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Epochs done before.
    #[serde(serialize_with = "whole")]
    pub epoch: f64,
    /// Mean cross entropy.
    pub held_out_loss: Option<f64>,
    /// Updates made before.
    pub step: u64,
    /// Share of pictures whose class was the most likely one.
    pub top1: f64,
    /// Share of pictures whose class was among the five most likely ones.
    pub top5: Option<f64>,
}

/// How well frozen features separated the classes of watched pictures: a line of `metrics.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// Epochs done before; 0 for the network that the run began with.
    #[serde(serialize_with = "whole")]
    pub epoch: f64,
    /// Share of the tested pictures whose class the vote of weighted nearest neighbours was.
    pub neighbours: f64,
    /// The same of logistic regression; none of too many classes.
    pub probe: Option<f64>,
    /// Updates made before.
    pub step: u64,
    /// Pictures that were tested.
    pub tested: u64,
}

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Of an evaluation.
    Scores(Scores),
    /// Of an update.
    Update(Update),
    /// Of watched pictures.
    Watch(Watch),
}

impl Line {
    /// Updates and epochs by then.
    pub fn place(&self) -> (u64, f64) {
        match *self {
            Self::Scores(Scores { step, epoch, .. })
            | Self::Update(Update { step, epoch, .. })
            | Self::Watch(Watch { step, epoch, .. }) => (step, epoch),
        }
    }
}

/// The columns of a table that follows from `metrics.jsonl`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    /// The table's name.
    pub(super) file: &'static str,
    /// Names of the lines' values. The first is `step`.
    pub(super) names: &'static [&'static str],
    /// A line with any of these is a row of the table.
    pub(super) own: &'static [&'static str],
    /// Whether the table is there without a row too.
    pub(super) always: bool,
}

/// One row for an [`Update`].
pub(super) const UPDATES: Columns = Columns {
    file: "metrics.csv",
    names: &["step", "epoch", "loss", "lr", "images_per_second", "grad_norm", "data_wait"],
    own: &["loss", "lr", "images_per_second", "grad_norm"],
    always: true,
};

/// One row for [`Scores`].
pub(super) const EVALUATIONS: Columns = Columns {
    file: "evaluations.csv",
    names: &["step", "epoch", "top1", "top5", "held_out_loss"],
    own: &["top1", "top5", "held_out_loss"],
    always: true,
};

/// One row for a [`Watch`].
pub(super) const WATCHES: Columns = Columns {
    file: "watch.csv",
    names: &["step", "epoch", "neighbours", "probe", "tested"],
    own: &["neighbours", "probe", "tested"],
    always: false,
};

/// TensorBoard's tags of what is measured on held-out and on watched pictures. All else is `train/` and its name.
const MEASURED: [(&str, &str); 6] = [
    ("top1", "held_out/top1"),
    ("top5", "held_out/top5"),
    ("held_out_loss", "held_out/loss"),
    ("neighbours", "watch/neighbours"),
    ("probe", "watch/probe"),
    ("tested", "watch/tested"),
];

/// The tag of what is measured on held-out or on watched pictures.
pub(super) fn measured_tag(name: &str) -> Option<&'static str> {
    MEASURED.iter().find(|(known, _)| *known == name).map(|(_, tag)| *tag)
}

/// The pictures of a run: `data.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// Where they were looked for.
    pub roots: Vec<String>,
    /// Where those kept aside were looked for, if elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_out_roots: Vec<String>,
    /// Trained on.
    pub pictures: u64,
    /// Kept aside to watch the accuracy.
    pub held_out: u64,
    /// Neither: those whose labels were not to be used.
    pub unused: u64,
    /// Hash of `split.csv`; empty in runs of earlier versions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub split: String,
    /// By their names, in the order of the network's answers.
    pub classes: Vec<Class>,
    /// Pictures that could not be read.
    pub skipped: u64,
    /// Files that are no pictures.
    pub passed_over: u64,
    /// Folders without a picture.
    pub empty_classes: Vec<String>,
    /// What was noticed when some were looked at before the run began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Labelled pictures that a pre-training is watched with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched: Option<Watched>,
}

/// Labelled pictures that a pre-training is watched with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watched {
    /// Where they are, from any folder.
    pub roots: Vec<String>,
    /// Pictures that are learned from.
    pub fitted: u64,
    /// Others that are tested.
    pub tested: u64,
    /// Their classes.
    pub classes: u64,
    /// Fingerprint of both parts, by names and labels.
    pub names: String,
    /// Since when the run goes on without them, where they cannot be used any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
}

/// Watched pictures that cannot be used any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// Epochs done before.
    pub epoch: u64,
    /// What is wrong with them.
    pub why: String,
}

/// The pictures of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Trained on.
    pub training: u64,
    /// Kept aside.
    pub held_out: u64,
}

/// What the network makes of the pictures kept aside, or of a test: `evaluation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Updates made before.
    #[serde(default)]
    pub step: u64,
    /// Epochs done before.
    #[serde(serialize_with = "whole")]
    pub epoch: f64,
    /// Which pictures, if they are not those that the run held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Of a test, which weights of the run were tested, as a path in it: `export/best`. None of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// How many of those the run was trained on; `None` where that could not be told.
    #[serde(default = "none_of_them", skip_serializing_if = "are_none_of_them")]
    pub trained_on: Option<u64>,
    /// Pictures evaluated.
    pub images: u64,
    /// Share of them whose most likely class is theirs.
    pub top1: f64,
    /// Share of them whose class is among the five most likely ones.
    pub top5: Option<f64>,
    /// Mean cross entropy.
    pub loss: Option<f64>,
    /// Class names.
    pub classes: Vec<String>,
    /// Pictures of each true class (rows) by what they were taken for (columns).
    pub confusion: Confusion,
    /// Mistakes made with most confidence, surest first.
    #[serde(default)]
    pub mistakes: Vec<Mistake>,
    /// How each picture fared; none of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// Of a test, how each picture fared that the run held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_answers: Option<Answers>,
}

/// How each picture of an evaluation fared that could be read: two runs that were asked about the same ones are compared
/// picture by picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// A hash over the pictures' names, classes and sizes.
    pub pictures: String,
    /// Whether each was named right, in the set's order.
    #[serde(with = "super::hits")]
    pub right: Vec<bool>,
}

fn none_of_them() -> Option<u64> {
    Some(0)
}

fn are_none_of_them(count: &Option<u64>) -> bool {
    *count == Some(0)
}

/// A picture taken for something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The picture.
    pub path: String,
    /// Its class.
    pub truth: String,
    /// The class that was taken for the most likely one.
    pub predicted: String,
    /// The probability that was given to that class.
    pub probability: f32,
    /// A small copy of it, from the run's folder.
    pub picture: Option<String>,
}

/// The machine, and how the program was called: `environment.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Of fcmae.
    pub version: String,
    /// Date and time, as RFC 3339.
    pub started: String,
    /// The command line.
    pub command: String,
    /// What computes beside a card.
    #[serde(flatten)]
    pub machine: Machine,
    /// What computes.
    pub device: String,
    /// Memory of the machine, where the system tells.
    pub memory_bytes: Option<u64>,
}

/// The machine, as far as it decides speed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the processor; of its architecture where the system doesn't tell.
    pub cpu: String,
    /// Threads that compute.
    pub threads: usize,
    /// Instruction set of the kernels.
    pub simd: String,
    /// Operating system and architecture.
    pub os: String,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Without labels.
    #[serde(rename = "pretrain")]
    Pretraining,
    /// With labels.
    #[serde(rename = "finetune")]
    Finetuning,
}

impl Kind {
    /// The command that makes such a run.
    pub fn command(self) -> &'static str {
        match self {
            Self::Pretraining => "pretrain",
            Self::Finetuning => "finetune",
        }
    }
}

/// What a run was started with beside its settings: `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// Fingerprint of the pictures.
    pub data: String,
    /// The same without their sizes: that of the set, whatever became of single files. Runs of earlier versions
    /// have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
    /// The weights that it began with; none where it began with random ones, and in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Origin>,
    /// A name that no other run has, which its checkpoints bear too: when it was begun, and a random number. Runs of
    /// earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it is for.
    pub kind: Kind,
    /// Of fcmae.
    pub version: String,
    /// What the library says of the weights.
    pub weights: Value,
}

/// Weights that a run began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Where they were, as it was given.
    pub path: String,
    /// A hash over names and values.
    pub hash: String,
    /// The same of the encoder that teaches the run, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
}

/// What is known of the features inside a pre-training's blocks: `features.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// As they were measured first.
    pub first: StepFeatures,
    /// As they were measured last.
    pub last: StepFeatures,
}

/// The features of every block at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepFeatures {
    /// Updates made by then.
    pub step: u64,
    /// Pictures that were averaged over.
    pub images: usize,
    /// Every block, from the first to the last.
    pub blocks: Vec<BlockFeatures>,
}

/// The features inside one block, `[N, S, 4C]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockFeatures {
    /// Such as `stages.2.blocks.5`.
    pub name: String,
    /// Place in the network, from 0 (first block) to 1 (last).
    pub depth: f64,
    /// Channels, 4C.
    pub channels: usize,
    /// The feature distance after GELU, before GRN: the mean cosine distance of two channels' maps, 0 to 1.
    pub after_gelu: f64,
    /// The feature distance after GRN; in V1 the same as after GELU.
    pub after_grn: f64,
    /// The effective rank after GRN, of some sites less their mean; 0 where all are the same.
    pub effective_rank: f64,
    /// Channels that are 0 everywhere, but for a ten-thousandth of what is usual.
    pub dead: usize,
    /// Channels that have one value everywhere, but for a hundredth of it.
    pub saturated: usize,
}

impl BlockFeatures {
    /// Below this distance channels have collapsed: the mean cosine of two is above 0.5.
    pub const COLLAPSED: f64 = 0.25;

    /// The share of channels that are dead or saturated, 0 to 1.
    pub fn idle_share(&self) -> f64 {
        (self.dead + self.saturated) as f64 / self.channels.max(1) as f64
    }

    /// Whether the channels have collapsed onto each other, or most of them tell nothing.
    pub fn has_collapsed(&self) -> bool {
        self.after_grn < Self::COLLAPSED || self.idle_share() > 0.5
    }
}

/// A setting that is another one from a step on: a line of `changes.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Updates made before.
    pub step: u64,
    /// Its name, such as `optim.base_lr`.
    pub setting: String,
    /// Its value before, as JSON.
    pub was: String,
    /// Its value from here on.
    pub is: String,
}

/// How a run ended, or was left, the last time that a process worked on it: `end.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Updates made.
    pub step: u64,
    /// What it came to.
    pub how: Ended,
    /// Why, in words.
    pub reason: String,
}

/// What the work on a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// All is done.
    Finished,
    /// It was asked to stop.
    Stopped,
    /// An error.
    Failed,
}

impl Facts {
    /// The name of [`weights`](Self::weights).
    pub const WEIGHTS: &str = "weights";
    /// The name of [`id`](Self::id).
    pub const ID: &str = "id";

    /// Reads them. A text that is missing is `unknown`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(facts: &Value) -> Result<Self, String> {
        let kind = &facts["kind"];
        let kind = Kind::deserialize(kind)
            .map_err(|_| format!("`kind` is {kind}, but must be \"pretrain\" or \"finetune\""))?;
        let [data, version] = [&facts["data"], &facts["version"]].map(text);
        Ok(Self {
            data,
            names: facts["names"].as_str().map(str::to_owned),
            start: Origin::deserialize(&facts["start"]).ok(),
            id: facts[Self::ID].as_str().map(str::to_owned),
            kind,
            version,
            weights: facts[Self::WEIGHTS].clone(),
        })
    }

    /// The network's size, such as `atto`.
    pub fn size(&self) -> String {
        text(&self.weights["model"]["size"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("unknown").to_owned()
}

/// A number without a fraction, written without a point.
fn whole<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(*value as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    const UPDATE: &str = concat!(
        r#"{"data_wait":0.5,"epoch":1.0,"grad_norm":null,"images_per_second":31.25,"#,
        r#""loss":0.10000000149011612,"lr":1e-9,"step":3}"#
    );
    const SCORES: &str = r#"{"epoch":1,"held_out_loss":2.5,"step":3,"top1":0.5,"top5":1.0}"#;
    const WATCH: &str = r#"{"epoch":1,"neighbours":0.5,"probe":0.75,"step":3,"tested":8}"#;

    #[test]
    fn lines_are_told_apart_and_written_as_they_were() {
        let line = |text| serde_json::from_str::<Line>(text).unwrap();
        assert!(matches!(line(UPDATE), Line::Update(update) if update.grad_norm.is_none()));
        assert!(matches!(line(SCORES), Line::Scores(scores) if scores.epoch == 1.0));
        assert!(matches!(line(WATCH), Line::Watch(watch) if watch.probe == Some(0.75)));
        for text in [UPDATE, SCORES, WATCH] {
            assert_eq!(serde_json::to_string(&line(text)).unwrap(), text);
            assert_eq!(line(text).place(), (3, 1.0));
        }
        let infinite = Update { grad_norm: Some(f64::INFINITY), ..first_update() };
        assert_eq!(serde_json::to_string(&infinite).unwrap(), UPDATE);
    }

    #[test]
    fn lines_of_earlier_versions_lack_some_values() {
        let line = r#"{"epoch":0.5,"loss":1.0,"lr":0.1,"step":3}"#;
        let Line::Update(update) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
        assert_eq!((update.loss, update.grad_norm, update.data_wait), (Some(1.0), None, None));
        for neither in [r#"{"epoch":1,"step":3}"#, r#"{"epoch":1,"loss":1.0,"lr":0.1}"#, "[1]"] {
            assert!(serde_json::from_str::<Line>(neither).is_err(), "{neither}");
        }
    }

    /// A column for each value, and a tag of its own for each that is measured on held-out or watched pictures.
    #[test]
    fn tables_have_the_values_of_lines() {
        let lines = [(UPDATE, UPDATES), (SCORES, EVALUATIONS), (WATCH, WATCHES)];
        for (line, Columns { names, own, .. }) in lines {
            let line: Value = serde_json::from_str(line).unwrap();
            let values: BTreeSet<_> =
                line.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(values, names.iter().copied().collect());
            assert!(own.iter().all(|name| names.contains(name)));
        }
        let tagged = |name: &&&str| measured_tag(name).is_some();
        assert_eq!(UPDATES.names.iter().filter(tagged).count(), 0);
        for measured in [EVALUATIONS, WATCHES] {
            assert!(measured.names.iter().filter(tagged).eq(measured.own));
        }
    }

    fn first_update() -> Update {
        serde_json::from_str(UPDATE).unwrap()
    }
}
