//! What a run writes beside its metrics, for people and for the report: its pictures, the machine it
//! ran on, the last evaluation with its worst mistakes.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fcmae_data::PictureSet;
use fcmae_data::source::printable;
use fcmae_store::durable;
use serde::{Deserialize, Serialize};

use super::pictures::Pictures;
use crate::error::Result;
use crate::evaluate::{Evaluation, Mistake};
use crate::infer::Preparation;
use crate::machine::{self, Machine};
use crate::picture;
use crate::weights::Description;

pub(super) const DATA: &str = "data.json";
pub(super) const ENVIRONMENT: &str = "environment.json";
pub(super) const SPLIT: &str = "split.csv";
const EVALUATION: &str = "evaluation.json";

/// The pictures of a run.
#[derive(Serialize)]
pub(super) struct DataSummary {
    roots: Vec<String>,
    /// Trained on.
    pictures: usize,
    /// Kept aside.
    held_out: usize,
    /// Neither: those whose labels were not to be used.
    unused: usize,
    classes: Vec<ClassSummary>,
    skipped: usize,
    passed_over: usize,
    empty_classes: Vec<String>,
}

#[derive(Serialize)]
struct ClassSummary {
    name: String,
    training: usize,
    held_out: usize,
}

impl DataSummary {
    /// What each picture is for.
    pub(super) fn of(Pictures { all, training, held_out }: &Pictures) -> Self {
        let in_training = training.class_counts();
        let held_out = held_out.as_deref();
        let kept_aside = held_out.map_or(vec![0; in_training.len()], PictureSet::class_counts);
        let counts = in_training.into_iter().zip(kept_aside);
        let classes = training.classes.iter().zip(counts).map(|(name, (training, held_out))| {
            ClassSummary { name: name.clone(), training, held_out }
        });
        let aside = held_out.map_or(0, PictureSet::len);
        Self {
            roots: all.roots.iter().map(|root| printable(root)).collect(),
            pictures: training.len(),
            held_out: aside,
            unused: all.len() - training.len() - aside,
            classes: classes.collect(),
            skipped: all.skipped.len(),
            passed_over: all.passed_over,
            empty_classes: all.empty_classes.clone(),
        }
    }
}

/// The machine, and how the program was called.
#[derive(Serialize)]
pub(super) struct Environment {
    version: &'static str,
    started: String,
    command: String,
    #[serde(flatten)]
    machine: Machine,
    device: String,
    memory_bytes: Option<u64>,
}

impl Environment {
    /// This machine, of which `device` computes.
    pub(super) fn of(device: &str) -> Self {
        let arguments = std::env::args_os().map(|argument| printable(Path::new(&argument)));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            command: arguments.collect::<Vec<_>>().join(" "),
            machine: Machine::here(rayon::current_num_threads()),
            device: device.to_owned(),
            memory_bytes: machine::total_memory(),
        }
    }
}

#[derive(Serialize)]
struct EvaluationRecord<'a> {
    step: u64,
    epoch: u64,
    images: usize,
    top1: f64,
    top5: f64,
    loss: f64,
    classes: &'a [String],
    /// Rows: the true class; columns: the predicted one.
    confusion: &'a [Vec<u64>],
    mistakes: Vec<MistakeRecord<'a>>,
}

#[derive(Serialize)]
struct MistakeRecord<'a> {
    #[serde(flatten)]
    mistake: &'a Mistake,
    /// Relative to the run.
    picture: Option<String>,
}

/// Writes `evaluation.json`, and its mistakes' pictures as the network saw them.
pub(super) fn evaluation(
    run: &Path,
    (step, epoch): (u64, u64),
    found: &Evaluation,
    set: &Arc<PictureSet>,
    description: &Description,
) -> Result<()> {
    let preparation = Preparation::new(description);
    let mut mistakes = Vec::new();
    for (number, mistake) in found.mistakes.iter().enumerate() {
        // The picture was read a moment ago. If it is gone since, its line stays without one.
        let picture = match preparation.shown(set, mistake.index) {
            Ok(shown) => {
                let name = format!("figures/mistakes/{:02}.png", number + 1);
                write_bytes(run, &name, &picture::png(&shown)?)?;
                Some(name)
            }
            Err(_) => None,
        };
        mistakes.push(MistakeRecord { mistake, picture });
    }
    let record = EvaluationRecord {
        step,
        epoch,
        images: found.images,
        top1: found.top1,
        top5: found.top5,
        loss: found.loss,
        classes: &found.classes,
        confusion: &found.confusion,
        mistakes,
    };
    write(run, EVALUATION, &record)
}

/// The same for an evaluation after the run's last step.
pub(crate) fn record_evaluation(
    run: &Path,
    found: &Evaluation,
    set: &Arc<PictureSet>,
    description: &Description,
) -> Result<()> {
    #[derive(Default, Deserialize)]
    struct Place {
        step: u64,
        epoch: f64,
    }
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let place = metrics.lines().rev().find_map(|line| serde_json::from_str::<Place>(line).ok());
    let Place { step, epoch } = place.unwrap_or_default();
    evaluation(run, (step, epoch as u64), found, set, description)
}

/// Writes a file of the run as JSON, whole or not at all.
pub(super) fn write(run: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("plain tables of plain values") + "\n";
    write_bytes(run, name, text.as_bytes())
}

/// Writes a file of the run, whole or not at all, with the folders above it.
pub(super) fn write_bytes(run: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = run.join(name);
    for folder in path
        .ancestors()
        .skip(1)
        .take_while(|folder| *folder != run)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        durable::ensure_folder(folder)?;
    }
    durable::write_file(&path, bytes.len() as u64, |out| out.write_all(bytes))?;
    Ok(())
}
