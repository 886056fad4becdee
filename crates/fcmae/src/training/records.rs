//! What a run writes beside its metrics, for people and for the report: its pictures, the machine it
//! ran on, the last evaluation with its worst mistakes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fcmae_data::source::printable;
use fcmae_data::{PictureSet, Split};
use fcmae_store::run::files;
use fcmae_store::run::schema::{
    self, Class, Data, Environment, Features, Line, StepFeatures, Watched,
};
use fcmae_store::{Record, durable};
use fcmae_words::plural;
use serde::Serialize;

use super::events::EvaluationReport;
use super::split::Pictures;
use crate::engine::machine;
use crate::error::Result;
use crate::inference::Preparation;
use crate::inference::evaluate::{Evaluation, telling_top5};
use crate::inference::picture;
use crate::weights::Description;

/// What each picture is for, and what was noticed of some: `data.json`. `split`: the hash of `split.csv`.
pub(super) fn data(pictures: &Pictures, split: &str, remarks: &[String]) -> Data {
    let Pictures { all, training, held_out, .. } = pictures;
    let apart = pictures.apart();
    let in_training = training.class_counts();
    let held_out = held_out.as_deref();
    let kept_aside = held_out.map_or(vec![0; in_training.len()], PictureSet::class_counts);
    let counts = in_training.into_iter().zip(kept_aside);
    let classes = training.classes.iter().zip(counts).map(|(name, (training, held_out))| Class {
        name: name.clone(),
        training: training as u64,
        held_out: held_out as u64,
    });
    let aside = held_out.map_or(0, PictureSet::len);
    Data {
        roots: all.roots.iter().map(|root| printable(root)).collect(),
        held_out_roots: apart
            .map_or(Vec::new(), |set| set.roots.iter().map(|root| printable(root)).collect()),
        pictures: training.len() as u64,
        held_out: aside as u64,
        unused: (all.len() - training.len() - if apart.is_some() { 0 } else { aside }) as u64,
        split: split.to_owned(),
        classes: classes.collect(),
        skipped: all.skipped.len() as u64,
        passed_over: all.passed_over as u64,
        empty_classes: all.empty_classes.clone(),
        remarks: remarks.to_vec(),
        watched: pictures.watched.clone(),
    }
}

/// Writes anew what `data.json` says of watched pictures.
pub(super) fn rewrite_watched(run: &Path, watched: &Watched) -> Result<()> {
    match fcmae_store::run::data(run) {
        Ok(Some(data)) => write(run, files::DATA, &Data { watched: Some(watched.clone()), ..data }),
        // The report and a resume say if it is damaged: no reason to end a run that needs it no more.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// The error that a run is resumed with other pictures, in words instead of their hashes.
pub(super) fn told_pictures(
    error: fcmae_store::Error,
    run: &Path,
    set: &PictureSet,
) -> fcmae_store::Error {
    let fcmae_store::Error::OtherSettings { path, mut diff } = error else { return error };
    let is_hash = |line: &String| line[1..].starts_with(" run.data = ");
    let count = diff.len();
    diff.retain(|line| !is_hash(line));
    if diff.len() < count {
        let had = fcmae_store::run::data(run).ok().flatten().map(|data| {
            // Pictures of their own are none of the set.
            let aside = if data.held_out_roots.is_empty() { data.held_out } else { 0 };
            (data.pictures + aside + data.unused) as usize
        });
        diff.extend(other_pictures(had, run, set));
    }
    fcmae_store::Error::OtherSettings { path, diff }
}

fn other_pictures(had: Option<usize>, run: &Path, set: &PictureSet) -> [String; 2] {
    // Fine-tunings record each picture.
    let split = Split::read(&run.join(files::SPLIT)).ok();
    let (more, fewer) = split.map(|split| split.changes(set)).unwrap_or_default();
    let newest = || (0..set.len()).max_by_key(|&index| set.samples[index].modified);
    let example = |names: &[String]| names.first().map(|name| format!(", for example {name}"));
    let has = set.len();
    let change = match had {
        Some(had) if has > had => {
            let newest =
                || newest().map(|index| format!(", for example {}", printable(&set.path(index))));
            format!(": {} more{}", has - had, example(&more).or_else(newest).unwrap_or_default())
        }
        Some(had) if has < had => {
            format!(": {} fewer{}", had - has, example(&fewer).unwrap_or_default())
        }
        _ => {
            let example = example(&more).or_else(|| example(&fewer)).unwrap_or_default();
            let others = match more.is_empty() && fewer.is_empty() {
                true => ", or the pictures of --held-out differ",
                false => "",
            };
            format!(", some with another name, size or label{example}{others}")
        }
    };
    let had = had.map_or("other pictures".to_owned(), |had| plural(had, "picture"));
    [format!("- {had}"), format!("+ {}{change}", plural(has, "picture"))]
}

/// The time, also where a clock that has lost it says an earlier one than can be written.
fn now() -> SystemTime {
    SystemTime::now().max(SystemTime::UNIX_EPOCH)
}

/// A name for a new run that no other one has: when it began, and a number.
pub(super) fn new_id() -> String {
    let now = now();
    // The keys are random; time and process are for a system that has nothing random.
    let number = RandomState::new().hash_one((now, std::process::id()));
    format!("{}-{number:016x}", humantime::format_rfc3339_seconds(now))
}

/// This machine, of which `device` computes: `environment.json`.
pub(super) fn environment(device: &str) -> Environment {
    let arguments = std::env::args_os().map(|argument| printable(Path::new(&argument)));
    Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: humantime::format_rfc3339_seconds(now()).to_string(),
        command: arguments.collect::<Vec<_>>().join(" "),
        machine: machine::here(rayon::current_num_threads()),
        device: device.to_owned(),
        memory_bytes: machine::total_memory(),
    }
}

/// Which pictures a run was tested on, other than those that it held out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// What they are called, such as the path of their folder.
    pub pictures: String,
    /// How many of them the run was trained on; `None` where that cannot be told.
    pub trained_on: Option<usize>,
    /// Which weights of the run, as a path in it, where that is known: `export/best`.
    weights: Option<String>,
}

impl Test {
    /// On a whole set, of which the run was trained on so many pictures, where that can be told.
    pub fn on(set: &PictureSet, trained_on: Option<usize>) -> Self {
        let roots: Vec<String> = set.roots.iter().map(|root| printable(root)).collect();
        Self { pictures: roots.join(" and "), trained_on, weights: None }
    }
}

/// How each picture that could be read fared.
fn answers(found: &Evaluation, set: &Arc<PictureSet>) -> schema::Answers {
    let read = |place: usize| found.answers[place].is_some();
    let right = found.right(set).into_iter().enumerate().filter(|(place, _)| read(*place));
    schema::Answers {
        pictures: set.pictures_fingerprint(read),
        right: right.map(|(_, right)| right).collect(),
    }
}

/// Writes `evaluation.json`, and its mistakes' pictures as the network saw them. `of`: which pictures, if they are not
/// those that the run held out.
pub(super) fn evaluation(
    run: &Path,
    (step, epoch, of): (u64, u64, Option<Test>),
    found: &Evaluation,
    set: &Arc<PictureSet>,
    description: &Description,
) -> Result<()> {
    // A test takes the place of what the run held out, whose answers stay.
    let before = of.as_ref().and_then(|_| fcmae_store::run::evaluation(run));
    let held_out_answers = before.and_then(|before| match before.of {
        None => before.answers,
        Some(_) => before.held_out_answers,
    });
    let preparation = Preparation::new(description);
    let mut mistakes = Vec::new();
    for (number, mistake) in found.mistakes.iter().enumerate() {
        // The picture was read a moment ago. If it is gone since, its line stays without one.
        let picture = match preparation.shown(set, mistake.index) {
            Ok(shown) => {
                let name = format!("{}/mistakes/{:02}.png", files::FIGURES, number + 1);
                write_bytes(run, &name, &picture::drawn_png(&shown)?)?;
                Some(name)
            }
            Err(_) => None,
        };
        mistakes.push(schema::Mistake {
            path: mistake.path.clone(),
            truth: mistake.truth.clone(),
            predicted: mistake.predicted.clone(),
            probability: mistake.probability,
            picture,
        });
    }
    let record = schema::Evaluation {
        step,
        epoch: epoch as f64,
        trained_on: of.as_ref().map_or(Some(0), |of| of.trained_on.map(|count| count as u64)),
        weights: of.as_ref().and_then(|of| of.weights.clone()),
        of: of.map(|of| of.pictures),
        images: found.images as u64,
        top1: found.top1,
        top5: Some(found.top5),
        loss: Some(found.loss),
        classes: found.classes.clone(),
        confusion: found.confusion.clone(),
        mistakes,
        answers: Some(answers(found, set)),
        held_out_answers,
    };
    write(run, files::EVALUATION, &record)
}

/// Writes what a run's weights, its best ones or else its last, were found to do into the run, for its report:
/// `evaluation.json`, and the most confident mistakes' pictures from `set`, of which `test` says what it is.
///
/// # Errors
/// A `run` that is no run's folder, or cannot be written to.
pub fn keep_evaluation(
    run: &Path,
    found: &Evaluation,
    set: &Arc<PictureSet>,
    description: &Description,
    mut test: Test,
) -> Result<()> {
    Record::read(run)?;
    // Those that every command takes of a run.
    let weights = fcmae_store::weights::resolve(run)?.model;
    let folder = weights.parent().and_then(|folder| folder.strip_prefix(run).ok());
    test.weights = folder.map(printable);
    let last = logged(run).last();
    let (step, epoch) = last.map_or((0, 0.0), |line| line.place());
    evaluation(run, (step, epoch as u64, Some(test)), found, set, description)
}

/// The lines of `metrics.jsonl` that can be read.
fn logged(run: &Path) -> impl Iterator<Item = Line> {
    let metrics = fcmae_files::open(&run.join(files::METRICS)).ok();
    let lines = metrics
        .into_iter()
        .flat_map(|(metrics, _)| BufReader::new(metrics).split(b'\n').map_while(io::Result::ok));
    lines.filter_map(|line| serde_json::from_slice::<Line>(&line).ok())
}

/// The mean of the last `count` losses that are logged; NaN where there are none.
pub(super) fn logged_loss(run: &Path, count: u64) -> f32 {
    let losses: Vec<f64> = updates(run).filter_map(|update| update.loss).collect();
    let tail = &losses[losses.len().saturating_sub(count as usize)..];
    (tail.iter().sum::<f64>() / tail.len() as f64) as f32
}

/// The update that was logged last.
pub(super) fn last_update(run: &Path) -> Option<schema::Update> {
    updates(run).last()
}

/// The steps up to this one of which no update is logged: the first stretch of them, and how many there are in all.
pub(super) fn unlogged(run: &Path, step: u64) -> Option<([u64; 2], u64)> {
    let mut steps: Vec<u64> = updates(run).map(|update| update.step).collect();
    steps.retain(|&logged| (1..=step).contains(&logged));
    steps.sort_unstable();
    steps.dedup();
    let all = step - steps.len() as u64;
    let before =
        steps.iter().zip(1..).take_while(|&(&logged, expected)| logged == expected).count();
    let end = steps.get(before).map_or(step, |next| next - 1);
    (all > 0).then_some(([before as u64 + 1, end], all))
}

/// The updates that are logged.
pub(super) fn updates(run: &Path) -> impl Iterator<Item = schema::Update> {
    logged(run).filter_map(|line| match line {
        Line::Update(update) => Some(update),
        Line::Scores(_) | Line::Watch(_) => None,
    })
}

/// What was logged of watched pictures.
pub(super) fn watched(run: &Path) -> Vec<schema::Watch> {
    let watches = |line| match line {
        Line::Watch(watch) => Some(watch),
        Line::Update(_) | Line::Scores(_) => None,
    };
    logged(run).filter_map(watches).collect()
}

/// The evaluations that are logged.
pub(super) fn scores(run: &Path) -> impl Iterator<Item = schema::Scores> {
    logged(run).filter_map(|line| match line {
        Line::Scores(scores) => Some(scores),
        Line::Update(_) | Line::Watch(_) => None,
    })
}

/// The evaluation that was made last, no later than after `step` updates.
pub(super) fn last_evaluation(run: &Path, step: u64) -> Option<EvaluationReport> {
    let last = scores(run).filter(|scores| scores.step <= step).last()?;
    // The file may be of other pictures: `evaluate --report` writes it too.
    let of_it = |found: &schema::Evaluation| (found.step, found.top1) == (last.step, last.top1);
    let found = fcmae_store::run::evaluation(run).filter(of_it).map(|found| found.images);
    let data = fcmae_store::run::data(run).ok().flatten();
    let pictures = found.or_else(|| data.as_ref().map(|data| data.held_out))?;
    let classes = data.map_or(usize::MAX, |data| data.classes.len());
    Some(EvaluationReport {
        step: last.step,
        epoch: last.epoch as u64,
        pictures: pictures as usize,
        top1: last.top1,
        top5: last.top5.and_then(|top5| telling_top5(top5, classes)),
        loss: last.held_out_loss.unwrap_or(f64::NAN),
    })
}

/// Records features that were measured, beside those that were measured first.
pub(super) fn features(run: &Path, last: StepFeatures) -> Result<()> {
    // A run that was taken up at an earlier step may have measured later ones.
    let first = fcmae_store::run::features(run).map(|features| features.first);
    let first = first.filter(|first| first.step < last.step).unwrap_or_else(|| last.clone());
    write(run, files::FEATURES, &Features { first, last })
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
