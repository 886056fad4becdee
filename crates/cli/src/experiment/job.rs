//! One job: a normal run, taken up where it was, and what is measured of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use fcmae::config::{DataConfig, OptimConfig, Settings};
use fcmae::engine::backend::Backend;
use fcmae::engine::device::Device;
use fcmae::engine::machine::{self, Machine};
use fcmae::inference::evaluate::Evaluator;
use fcmae::training::{self, Event, Flow, Start, keep_evaluation};
use fcmae_data::source::printable;
use fcmae_data::{DataError, Labels};
use fcmae_store::run::files;
use fcmae_store::run::schema::{Line, Update};
use fcmae_store::{CheckpointStore, Error as StoreError, Record};

use super::outcome::{Kind, Layer, Made, Outcome, Test};
use super::places::{OUTCOME, Places};
use super::plan::{Job, Work};
use crate::output;

/// Pictures that are tested at a time.
const BATCH: usize = 64;

/// How a job ended.
pub(super) enum Ended {
    Done(Box<Outcome>),
    /// It was asked to stop, and is saved.
    Stopped {
        step: u64,
    },
}

/// Makes a job, or goes on with it where it was left. The pre-training that it needs is here.
///
/// # Errors
/// Pictures, settings or folders that cannot be used. A loss that is not a number is an outcome: it would
/// come again.
pub(super) fn make(
    places: &Places,
    job: &Job,
    observer: &mut dyn FnMut(Event<'_>) -> Flow,
) -> Result<Ended> {
    let run = places.run(job.kind(), &job.key);
    let data = places.pictures(&job.trained_on);
    let mut outcome = Outcome::of(job);
    match &job.work {
        Work::Pretrain { config, from } => {
            let config = places.pretraining(config);
            let start = from.as_ref().map(|key| places.run(Kind::Pretrain, key));
            let start = start.as_deref().map_or(Start::Scratch, Start::Weights);
            let ended =
                fcmae::training::pretrain(&config, &data, start, &run, resumes(&run)?, observer);
            match finished(ended.map(|ended| (ended.step, ended.finished)))? {
                Training::Finished => {}
                Training::Stopped(step) => return Ok(Ended::Stopped { step }),
                Training::Failed(why) => outcome.failed = Some(why),
            }
            outcome.measure(&run, &config.optim)?;
        }
        Work::Finetune { config, from } => {
            let config = places.finetuning(config);
            let start = from.as_ref().map(|key| places.run(Kind::Pretrain, key));
            let start = start.as_deref().map_or(Start::Scratch, Start::Weights);
            let ended =
                fcmae::training::finetune(&config, &data, start, &run, resumes(&run)?, observer);
            match finished(ended.map(|ended| (ended.step, ended.finished)))? {
                Training::Finished => {
                    let pictures = places.pictures(&job.tested_on);
                    let backend = config.backend()?;
                    match test(&run, &pictures, &config.data, &backend) {
                        Ok(test) => outcome.test = Some(test),
                        Err(error) if is_diverged(&error) => {
                            outcome.failed = Some(error.to_string());
                        }
                        Err(error) => return Err(error),
                    }
                }
                Training::Stopped(step) => return Ok(Ended::Stopped { step }),
                Training::Failed(why) => outcome.failed = Some(why),
            }
            outcome.measure(&run, &config.optim)?;
        }
        Work::Diversity { of, pictures } => {
            let since = Instant::now();
            let weights = places.run(Kind::Pretrain, of);
            let on = places.pictures(&job.tested_on);
            let device = Device::choose(places.device.as_deref().unwrap_or("auto"))?;
            let backend = Backend::open(device, places.precision.unwrap_or_default())?;
            let found =
                fcmae::inference::diversity::diversity(&weights, &on[0], *pictures, &backend);
            match found.map_err(anyhow::Error::from) {
                Ok(found) => outcome.layers = found.blocks.into_iter().map(Layer::from).collect(),
                Err(error) if is_diverged(&error) => outcome.failed = Some(error.to_string()),
                Err(error) => return Err(error),
            }
            outcome.seconds = since.elapsed().as_secs_f64();
            fs::create_dir_all(&run)
                .with_context(|| format!("cannot create {}", printable(&run)))?;
        }
    }
    if job.kind() != Kind::Diversity {
        // A report that cannot be written is no reason to lose a result.
        let _ = fcmae_report::Report::read(&run).and_then(|page| page.write(&run));
    }
    outcome.made.finished = now();
    output::write_file(&run.join(OUTCOME), output::json(&outcome)?.as_bytes())?;
    Ok(Ended::Done(Box::new(outcome)))
}

impl From<fcmae::inference::diversity::BlockFeatures> for Layer {
    fn from(layer: fcmae::inference::diversity::BlockFeatures) -> Self {
        Self {
            name: layer.name,
            depth: layer.depth,
            after_gelu: layer.after_gelu,
            after_grn: layer.after_grn,
        }
    }
}

impl Outcome {
    /// Of a job of which nothing is known yet.
    pub(super) fn of(job: &Job) -> Self {
        Self {
            key: job.key.clone(),
            job: job.kind(),
            from: job.from().map(str::to_owned),
            settings: job.settings.clone(),
            trained_on: job.trained_on.clone(),
            tested_on: job.tested_on.clone(),
            seed: job.seed,
            made: made(),
            seconds: 0.0,
            loss: None,
            test: None,
            layers: Vec::new(),
            failed: None,
        }
    }
}

enum Training {
    Finished,
    Stopped(u64),
    Failed(String),
}

fn finished(ended: fcmae::Result<(u64, bool)>) -> Result<Training> {
    match ended {
        Ok((_, true)) => Ok(Training::Finished),
        Ok((step, false)) => Ok(Training::Stopped(step)),
        // While pictures are listed.
        Err(fcmae::Error::Data(DataError::Stopped)) => Ok(Training::Stopped(0)),
        Err(error @ (fcmae::Error::Diverged { .. } | fcmae::Error::NoNumbers { .. })) => {
            Ok(Training::Failed(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_diverged(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(fcmae::Error::NoNumbers { .. }))
}

/// Whether there is a run to go on with. A folder that was left before it became a run is removed.
fn resumes(run: &Path) -> Result<bool> {
    match Record::read(run) {
        Ok(_) => return Ok(true),
        Err(StoreError::NotARun { .. }) => {}
        // It may be one, and hold days of work.
        Err(error) => return Err(error.into()),
    }
    if !CheckpointStore::open(run.join(files::CHECKPOINTS)).steps()?.is_empty() {
        bail!(
            "{} has checkpoints and no run.json: put that file back, or remove the folder to train anew",
            printable(run)
        );
    }
    if run.exists() {
        fs::remove_dir_all(run).with_context(|| format!("cannot remove {}", printable(run)))?;
    }
    Ok(false)
}

/// Tests a finished fine-tuning, and keeps what was found in its run.
fn test(run: &Path, pictures: &[PathBuf], data: &DataConfig, backend: &Backend) -> Result<Test> {
    let evaluator = Evaluator::open(run, backend)?;
    // The labels are the classifier's.
    let set = Arc::new(evaluator.labelled_by(pictures, data.opening(Labels::Ignored, None))?);
    let found = evaluator.evaluate(&set, BATCH)?;
    for skipped in &found.skipped {
        let path = printable(&skipped.path);
        output::note(&format!("skipped {path}, which counts as wrong: {}", skipped.reason));
    }
    found.check_missing(data.max_bad_fraction, set.lost)?;
    keep_evaluation(run, &found, &set, evaluator.description(), training::Test::on(&set, Some(0)))?;
    let right = found.right(&set);
    let share = |hits: usize| hits as f64 / right.len().max(1) as f64;
    Ok(Test {
        pictures: right.len(),
        top1: share(right.iter().filter(|&&right| right).count()),
        top5: found.top5 * share(found.images),
        loss: found.loss,
        right,
    })
}

impl Outcome {
    /// Fills in the time and the loss at the end from the run's log, which also knows of the times before
    /// it was last taken up.
    fn measure(&mut self, run: &Path, optim: &OptimConfig) -> Result<()> {
        let path = run.join(files::METRICS);
        let (log, _) = fcmae_files::open(&path).map_err(output::cannot_read(&path))?;
        let mut updates = Vec::<Update>::new();
        for line in BufReader::new(log).split(b'\n') {
            let line = line.with_context(|| format!("cannot read {}", printable(&path)))?;
            if let Ok(Line::Update(update)) = serde_json::from_slice(&line) {
                updates.push(update);
            }
        }
        let images = (optim.batch * optim.accumulation) as f64;
        let rates = updates.iter().filter_map(|update| update.images_per_second);
        self.seconds = rates.filter(|&rate| rate > 0.0).map(|rate| images / rate).sum();
        let end = updates.last().map_or(0.0, |update| update.epoch) - 1.0;
        let last = updates.iter().filter(|update| update.epoch > end);
        let losses: Vec<f64> = last.filter_map(|update| update.loss).collect();
        self.loss = (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64);
        Ok(())
    }
}

fn made() -> Made {
    let Machine { cpu, threads, simd, .. } = machine::here(rayon::current_num_threads());
    Made {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: std::env::var("FCMAE_COMMIT").ok().filter(|commit| !commit.is_empty()),
        cpu,
        simd,
        threads,
        finished: now(),
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now().max(std::time::UNIX_EPOCH))
        .to_string()
}
