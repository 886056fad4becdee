//! A run while it is being trained: its folder, logs, checkpoints and exports.

mod beginning;
mod saving;
mod taking_up;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fcmae_data::source::printable;
use fcmae_data::{Batch, Loader, LoaderOptions, Mixing, PictureSet, Skipped, Transform};
use fcmae_store::run::schema::{self, Facts, Kind, Line, Origin, Scores, Update};
use fcmae_store::run::{Differing, files};
use fcmae_store::{
    CheckpointStore, ExportName, HostTensor, NamedTensors, Record, Run, safetensors,
};
use fcmae_words::plural;
use image::RgbImage;
use serde_json::{Value, json};

pub(super) use taking_up::short_hash;

use super::events::{BatchReport, EvaluationReport, Event, Flow, StepReport, WatchReport, Work};
use super::plan::Plan;
use super::provenance::{self, Products, Provenance};
use super::records;
use super::resume::{self, Resume, TakenUp};
use super::split::Pictures;
use super::step::{Learner, Restore};
use crate::config::{DataConfig, OnNan, Settings};
use crate::engine::backend::Backend;
use crate::engine::feed::{Feed, Images};
use crate::engine::tensor::Tensor;
use crate::error::{Error, Result};
use crate::inference::evaluate::{Evaluation, telling_top5};
use crate::inference::picture;
use crate::training::optim::Outcome;
use crate::weights::Description;
use crate::weights::export;

/// Whoever is told what happens, and may stop it.
pub(super) type Observer<'a> = &'a mut dyn FnMut(Event<'_>) -> Flow;

/// What a checkpoint's state says of what computed it: see [`provenance`].
const COMPUTED_BY: &str = "computed_by";
const PRODUCTS: &str = "products";
/// And of [the run](Facts::id) that it is of.
const RUN_ID: &str = "run";
/// And the loss of its step, as it is logged.
const LOSS: &str = "loss";

/// The batches of a run, on their way to what computes.
pub(super) type Batches = Loader<PictureSet, Feed>;

/// The open run.
pub(super) struct Session<'a> {
    run: Run,
    kind: Kind,
    checkpoints: CheckpointStore,
    keep: usize,
    observer: Observer<'a>,
    plan: Plan,
    description: Description,
    /// What computes.
    device: String,
    on_nan: OnNan,
    skipped: BTreeSet<PathBuf>,
    /// Updates passed over since the last one that was made.
    passed_over: usize,
    /// Time spent waiting for pictures since the last update.
    waited: Duration,
    /// An update that is not settled yet.
    pending: Option<Pending>,
    /// When the last one was.
    settled: Option<Instant>,
    /// Of the updates so far.
    losses: Vec<f32>,
    /// Of the last update, also where an earlier part of the run made it.
    last_loss: Option<f64>,
    /// Updates made or passed over, of which all is known.
    done: u64,
    /// Whether any update was made since the newest checkpoint, and not only passed over.
    made: bool,
    /// The step of the newest checkpoint.
    saved: Option<u64>,
    /// When that was, or when the run was taken up.
    last_save: Instant,
    save_every: Option<Duration>,
    /// Whether the next update is saved whatever the time.
    save_soon: bool,
    /// When the run's folder was last looked at.
    looked: Instant,
    /// Settings that are other ones from here on.
    changes: Vec<Differing>,
    record: Record,
    /// Hash of `split.csv`, once it is recorded; a pre-training has none.
    split: String,
    /// Whether it was told that pictures were touched.
    told_touched: bool,
    /// What the observer wants.
    flow: Flow,
}

/// An update that was made, or handed to a card.
#[derive(Clone, Copy, Debug)]
struct Pending {
    step: u64,
    images: usize,
    /// When its first batch was asked for.
    since: Instant,
}

/// The evaluations so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evaluations {
    /// The best top-1; `None` before the first.
    pub(super) best: Option<f64>,
    /// The beginning of a hash over the weights that have it, which are in `export/best`; `None` where an earlier
    /// version did not say it.
    pub(super) best_weights: Option<u64>,
    /// Evaluations after the best.
    pub(super) since_best: u64,
    /// Whether the one that follows the last update is still to be made.
    pub(super) due: bool,
}

impl Evaluations {
    /// As a checkpoint's state has them.
    fn of(state: &serde_json::Value) -> Self {
        Self {
            best: state.get("best_top1").and_then(serde_json::Value::as_f64),
            best_weights: state.get("best_weights").and_then(serde_json::Value::as_u64),
            since_best: state["evaluations_since_best"].as_u64().unwrap_or(0),
            due: state["evaluation_due"].as_bool().unwrap_or(false),
        }
    }

    /// Whether this top-1 is the best so far.
    pub(super) fn is_better(&self, top1: f64) -> bool {
        self.best.is_none_or(|best| top1 > best)
    }

    /// Takes in the one that was due. `weights`: of those that it is the best of so far.
    pub(super) fn take(&mut self, top1: f64, weights: Option<u64>) {
        *self = if self.is_better(top1) {
            Self { best: Some(top1), best_weights: weights, since_best: 0, due: false }
        } else {
            Self { since_best: self.since_best + 1, due: false, ..*self }
        };
    }
}

/// Updates that may be passed over in a row: more is no bad batch, it is a network gone astray.
const MOST_PASSED_OVER: usize = 5;

/// What a run is recorded as, and how it goes.
pub(super) struct RunSpec<'a, T> {
    /// What it is for.
    pub(super) kind: Kind,
    pub(super) config: &'a T,
    /// What computes.
    pub(super) device: String,
    /// All pictures that were found.
    pub(super) pictures: &'a PictureSet,
    /// Of them, and of those that are held out of other places: with the files' sizes, and without.
    pub(super) fingerprints: [String; 2],
    /// The weights that it begins with.
    pub(super) start: Option<Origin>,
    pub(super) plan: Plan,
    pub(super) description: Description,
}

impl<'a> Session<'a> {
    /// Creates the run's folder, or takes it up again.
    pub(super) fn open<T: Settings>(
        out: &Path,
        resume: Resume<'_>,
        spec: RunSpec<'_, T>,
        observer: Observer<'a>,
    ) -> Result<Self> {
        let RunSpec { kind, config, device, pictures, fingerprints, start, plan, description } =
            spec;
        let [data, names] = fingerprints;
        let facts = Facts {
            data,
            names: Some(names),
            start,
            id: (!resume.goes_on()).then(records::new_id),
            kind,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            weights: json!(description),
        };
        let mut record = Record { config: config.to_toml(), facts: json!(facts) };
        let TakenUp { run, changes, note } = match resume {
            Resume::No => {
                TakenUp { run: Run::create(out, &record)?, changes: Vec::new(), note: None }
            }
            Resume::Yes { changing } => resume::take_up::<T>(out, &mut record, changing, pictures)?,
        };
        let checkpoints = run.checkpoints().keep(config.save().keep);
        let mut session = Self {
            run,
            kind,
            checkpoints,
            keep: config.save().keep,
            observer,
            plan,
            description,
            device,
            on_nan: config.optim().on_nan,
            skipped: BTreeSet::new(),
            passed_over: 0,
            waited: Duration::ZERO,
            pending: None,
            settled: None,
            losses: Vec::new(),
            last_loss: None,
            done: 0,
            made: false,
            saved: None,
            last_save: Instant::now(),
            save_every: config.save().every(),
            save_soon: false,
            looked: Instant::now(),
            changes,
            record,
            split: String::new(),
            told_touched: false,
            flow: Flow::Continue,
        };
        note.iter().try_for_each(|note| session.note(note))?;
        Ok(session)
    }

    /// Its course.
    pub(super) fn plan(&self) -> Plan {
        self.plan
    }

    /// What its weights are of.
    pub(super) fn description(&self) -> &Description {
        &self.description
    }

    pub(super) fn tell(&mut self, event: Event<'_>) {
        match (self.observer)(event) {
            Flow::Continue => {}
            flow => self.flow = flow,
        }
    }

    pub(super) fn note(&mut self, text: &str) -> Result<()> {
        self.run.log().text(text)?;
        self.tell(Event::Note(text));
        Ok(())
    }

    /// Whether the observer asked to stop.
    pub(super) fn stopped(&self) -> bool {
        self.flow != Flow::Continue
    }

    /// Tells that a batch is done; whether the rest of the work is to be left.
    pub(super) fn should_stop_after(&mut self, work: Work, done: u64, all: u64) -> bool {
        if done < all {
            self.tell(Event::Batch(&BatchReport { work, done, all }));
        }
        done < all && self.stopped()
    }

    /// As [`should_stop_after`](Self::should_stop_after), for an update's batches, of which `done` were learned. A card that computes them
    /// is asked about the update before.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub(super) fn should_stop_update<M>(
        &mut self,
        learner: &mut Learner<M>,
        batches: &mut Batches,
        done: u64,
    ) -> Result<bool> {
        let settled = self.settle(learner, batches, done)?;
        let leaves = settled && self.stopped();
        Ok(leaves || self.should_stop_after(Work::Update, done, self.plan.accumulation))
    }

    /// Takes the newest intact checkpoint up, if there is one.
    pub(super) fn restore<M>(&mut self, learner: &mut Learner<M>) -> Result<Option<Evaluations>> {
        let Some(latest) = self.checkpoints.latest()? else {
            self.note("the run ended before its first save: it starts again from its first step")?;
            self.run.truncate_metrics_after(0)?;
            return Ok(None);
        };
        for damaged in &latest.damaged {
            self.note(&format!("{damaged}; resuming from the one before"))?;
        }
        self.check_own(latest.step, &latest.checkpoint.state)?;
        self.check_metrics(latest.step, &latest.checkpoint.state)?;
        let tensors = |name: &str| {
            latest.checkpoint.tensors.get(name).ok_or_else(|| {
                Error::Unusable(format!("the checkpoint of step {} has no {name}", latest.step))
            })
        };
        learner.restore(latest.step, tensors).map_err(|error| match error {
            Restore::Missing(error) => error,
            Restore::Mismatch(mismatch) => Error::Weights {
                path: self.run.path().to_owned(),
                model: self.description.name(),
                mismatch: mismatch.to_string(),
            },
        })?;
        (self.done, self.saved) = (latest.step, Some(latest.step));
        self.last_loss = latest.checkpoint.state[LOSS].as_f64();
        self.go_on_with(learner.network().backend(), &latest.checkpoint.state)?;
        let evaluations =
            self.evaluations_that_count(latest.step, Evaluations::of(&latest.checkpoint.state))?;
        match evaluations.due {
            true => self.run.truncate_metrics_after_update(latest.step)?,
            false => self.run.truncate_metrics_after(latest.step)?,
        };
        self.note_unlogged(latest.step)?;
        Ok(Some(evaluations))
    }

    /// Notes updates before `step` that `metrics.jsonl` does not have.
    fn note_unlogged(&mut self, step: u64) -> Result<()> {
        let Some(([first, last], all)) = records::unlogged(self.run.path(), step) else {
            return Ok(());
        };
        let others = match all - (last + 1 - first) {
            0 => String::new(),
            others => format!(" and of {} more", plural(others, "step")),
        };
        self.note(&format!(
            "metrics of steps {first}–{last}{others} are missing in {}: curves and tables have a gap, but the \
             weights are not affected",
            files::METRICS
        ))
    }

    /// Goes on from a checkpoint of this `state` in the same way, where it was computed by the same, and notes where
    /// not. Those of earlier versions do not say by what.
    fn go_on_with(&mut self, backend: &Backend, state: &Value) -> Result<()> {
        let read = |what: &str| state.get(what).cloned().unwrap_or_default();
        let Ok(before) = serde_json::from_value::<Provenance>(read(COMPUTED_BY)) else {
            return Ok(());
        };
        let now = Provenance::of(backend);
        if before != now {
            let [before, now] = [before, now].map(|of| printable(Path::new(&of.to_string())));
            return self.note(&format!(
                "the checkpoint was computed by {before}, and the run continues on {now}: results may differ \
                 in the last bits"
            ));
        }
        let products = read(PRODUCTS).as_object().cloned().unwrap_or_default();
        let words = |(product, how): (String, Value)| Some((product, how.as_str()?.to_owned()));
        provenance::choose(backend, &products.into_iter().filter_map(words).collect::<Products>());
        Ok(())
    }

    /// Writes weights for other programs and commands.
    pub(super) fn export(
        &self,
        name: ExportName,
        tensors: &NamedTensors,
        about: &str,
    ) -> Result<()> {
        self.export_of(name, tensors, &self.description, about)
    }

    /// The same of other weights than the run's own.
    pub(super) fn export_of(
        &self,
        name: ExportName,
        tensors: &NamedTensors,
        description: &Description,
        about: &str,
    ) -> Result<()> {
        let files = export::run_files(tensors, description, about)?;
        let files: Vec<_> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        self.run.export(name, &files)?;
        Ok(())
    }

    /// Makes an update of `images` images, whose first batch was asked for at `since`, and reports it: where a card
    /// computes, only when it has a batch of the next update, unless `waits` says that something comes before. Whether
    /// the update was made: not where the observer asks to stop when it hears of the last one.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub(super) fn update<M>(
        &mut self,
        learner: &mut Learner<M>,
        batches: &mut Batches,
        scale: impl Fn(&str) -> f64,
        images: usize,
        since: Instant,
        waits: bool,
    ) -> Result<bool> {
        // Still unsettled if every batch of this update was empty.
        if self.settle(learner, batches, self.plan.accumulation)? && self.stopped() {
            return Ok(false);
        }
        let step = learner.updates();
        // From here on nothing is known of the weights until they are heard of.
        self.pending = Some(Pending { step: step + 1, images, since });
        learner.hand_over(self.plan.lr(step), scale)?;
        if waits || !learner.runs_ahead() {
            self.settle(learner, batches, 0)?;
        }
        Ok(true)
    }

    /// Reports the update that was handed over last, where that is still to be done. `taken` batches of the next one
    /// were taken from `batches`.
    ///
    /// # Errors
    /// [`Error::Diverged`]; what a card says; a file that cannot be written.
    pub(super) fn settle<M>(
        &mut self,
        learner: &mut Learner<M>,
        batches: &mut Batches,
        taken: u64,
    ) -> Result<bool> {
        let Some(Pending { step, images, since }) = self.pending else { return Ok(false) };
        let outcome = learner.settle()?;
        self.pending = None;
        self.attempted(outcome, batches, step, taken)?;
        self.done = step;
        self.made |= outcome.made;
        // Of updates that were handed over one after the other, each has the time from the last one's end.
        let since = self.settled.replace(Instant::now()).map_or(since, |last| last.max(since));
        self.losses.push(outcome.loss);
        self.last_loss = Some(outcome.loss.into());
        self.report(step, outcome, images, since)?;
        self.list_skipped(batches.take_skipped())?;
        self.look()?;
        self.note_touched(batches.folder())?;
        Ok(true)
    }

    /// Notes once that a picture was written to since it was listed, and is used.
    fn note_touched(&mut self, set: &PictureSet) -> Result<()> {
        let Some(first) = set.touched().filter(|_| !self.told_touched) else { return Ok(()) };
        self.told_touched = true;
        self.note(&format!(
            "{} (and maybe others) was written since the run began, with the same number of bytes: it is used \
             as it is now",
            printable(first)
        ))
    }

    /// What a batch of the next update came to. Where it failed, the update before is reported first: it was made, and
    /// what became of it may be the reason.
    ///
    /// # Errors
    /// As [`settle`](Self::settle), else that of `result`.
    pub(super) fn settling<T, M>(
        &mut self,
        result: Result<T>,
        learner: &mut Learner<M>,
        batches: &mut Batches,
    ) -> Result<T> {
        if result.is_err() {
            self.settle(learner, batches, 0)?;
        }
        result
    }

    /// Mean loss over the last epoch's updates, or over all of this call if they are fewer; where it made none, over the
    /// last ones that are logged.
    pub(super) fn mean_loss(&self) -> f32 {
        if self.losses.is_empty() {
            return records::logged_loss(self.path(), self.plan.steps_per_epoch);
        }
        let tail = self.losses.len().saturating_sub(self.plan.steps_per_epoch as usize);
        let tail = &self.losses[tail..];
        tail.iter().sum::<f32>() / tail.len().max(1) as f32
    }

    /// Logs an update and tells the observer.
    fn report(
        &mut self,
        step: u64,
        Outcome { loss, norm: grad_norm, .. }: Outcome,
        images: usize,
        since: Instant,
    ) -> Result<()> {
        let seconds = since.elapsed().as_secs_f64().max(1e-9);
        let report = StepReport {
            step,
            steps: self.plan.steps(),
            epoch: self.plan.epoch(step),
            loss,
            lr: self.plan.lr(step - 1),
            grad_norm,
            images_per_second: images as f64 / seconds,
            data_wait: (std::mem::take(&mut self.waited).as_secs_f64() / seconds).min(1.0),
        };
        self.metric(Line::Update(Update {
            step: report.step,
            epoch: report.epoch,
            loss: Some(report.loss.into()),
            lr: report.lr,
            grad_norm: Some(report.grad_norm),
            images_per_second: Some(report.images_per_second),
            data_wait: Some(report.data_wait),
        }))?;
        self.tell(Event::Step(&report));
        Ok(())
    }

    /// Logs an evaluation after `step` updates, keeps it for the run's report, and tells the observer.
    pub(super) fn evaluated(
        &mut self,
        step: u64,
        found: &Evaluation,
        set: &Arc<PictureSet>,
    ) -> Result<EvaluationReport> {
        let report = EvaluationReport {
            step,
            epoch: step / self.plan.steps_per_epoch,
            pictures: found.images,
            top1: found.top1,
            top5: telling_top5(found.top5, found.classes.len()),
            loss: found.loss,
        };
        self.metric(Line::Scores(Scores {
            step: report.step,
            epoch: report.epoch as f64,
            top1: report.top1,
            top5: Some(found.top5),
            held_out_loss: Some(report.loss),
        }))?;
        self.tell(Event::Evaluated(&report));
        let place = (report.step, report.epoch, None);
        records::evaluation(self.run.path(), place, found, set, &self.description)?;
        Ok(report)
    }

    /// Logs the accuracy on the watched pictures, and tells the observer.
    pub(super) fn watched(&mut self, report: &WatchReport) -> Result<()> {
        let WatchReport { step, epoch, tested, scores, .. } = *report;
        self.metric(Line::Watch(schema::Watch {
            epoch: epoch as f64,
            neighbours: scores.neighbours,
            probe: scores.probe,
            step,
            tested: tested as u64,
        }))?;
        self.tell(Event::Watched(report));
        Ok(())
    }

    /// Looks after an update that was made, or was not because its loss or gradient is not a number. Where it
    /// was not, the step's batches are kept in `diverged/step-N` to be looked at, if the settings allow
    /// going on; what comes next then are the batches of the next update after the `taken` first ones.
    ///
    /// # Errors
    /// [`Error::Diverged`] where they don't.
    fn attempted(
        &mut self,
        outcome: Outcome,
        batches: &mut Batches,
        step: u64,
        taken: u64,
    ) -> Result<()> {
        let Outcome { loss, norm, made } = outcome;
        if made {
            self.passed_over = 0;
            return Ok(());
        }
        let (kept, indices) = self.keep_batches(outcome, batches, step - 1)?;
        let files = names(batches, &indices);
        if self.on_nan == OnNan::Stop || self.passed_over == MOST_PASSED_OVER {
            return Err(Error::Diverged { loss, norm, kept, step, files });
        }
        if taken > 0 {
            let (epoch, number) = self.plan.next_batch(step);
            batches.seek(epoch, number + taken);
        }
        self.passed_over += 1;
        self.note(&format!(
            "step {step}: loss {loss}, gradient norm {norm}; the update is skipped, and its pictures are in {}",
            kept.display()
        ))
    }

    /// Writes what the update after `step` updates was made from. The batches are loaded once more,
    /// which gives the same ones: none has to be held until the step is over.
    fn keep_batches(
        &mut self,
        Outcome { loss, norm: grad_norm, .. }: Outcome,
        batches: &mut Batches,
        step: u64,
    ) -> Result<(PathBuf, Vec<u32>)> {
        let (epoch, number) = self.plan.next_batch(step);
        batches.seek(epoch, number);
        let mut tensors = NamedTensors::new();
        let mut indices = Vec::new();
        for part in 0..self.plan.accumulation {
            let Batch { images, labels, indices: of_part, height, width, channels, .. } =
                self.next_batch(batches)?;
            let shape = [of_part.len(), height, width, channels];
            let images = images.tensor(shape, &Mixing::Unmixed)?.on(&Backend::Cpu)?.to_vec();
            tensors.insert(format!("images.{part}"), HostTensor::new(shape, images)?);
            if !labels.is_empty() {
                let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
                let labels = HostTensor::new([labels.len()], labels)?;
                tensors.insert(format!("labels.{part}"), labels);
            }
            indices.extend(of_part);
        }
        let samples = &batches.folder().samples;
        let about = json!({
            "step": step + 1,
            "epoch": epoch,
            "loss": loss.to_string(),
            "grad_norm": grad_norm.to_string(),
            "lr": self.plan.lr(step),
            "pictures": indices
                .iter()
                .map(|&index| printable(&samples[index as usize].path))
                .collect::<Vec<_>>(),
        });
        let files = [
            ("batch.safetensors", safetensors::to_bytes(&tensors, &Default::default())?),
            ("batch.json", format!("{about:#}\n").into_bytes()),
        ];
        let files = files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice()));
        let (folder, removed) = self.run.keep_diverged(step + 1, &files)?;
        if !removed.is_empty() {
            let all = folder.parent().unwrap_or(&folder).display();
            let steps: Vec<_> = removed.iter().map(u64::to_string).collect();
            let steps = steps.join(", ");
            self.note(&format!("{all} keeps only the newest batches; removed: step {steps}"))?;
        }
        Ok((folder, indices))
    }

    /// The run's folder.
    pub(super) fn path(&self) -> &Path {
        self.run.path()
    }

    /// Writes which picture is in which part: `split.csv`.
    pub(super) fn record_split(&mut self, pictures: &Pictures) -> Result<()> {
        let split = pictures.split()?;
        self.split = split.hash();
        Ok(split.write(&self.path().join(files::SPLIT))?)
    }

    /// Writes a picture into `figures/`, and shows it in TensorBoard as `tag`.
    pub(super) fn figure(&self, name: &str, tag: &str, step: u64, sheet: &RgbImage) -> Result<()> {
        let png = picture::drawn_png(sheet)?;
        records::write_bytes(self.path(), &format!("{}/{name}.png", files::FIGURES), &png)?;
        Ok(self.run.picture(tag, step, &png)?)
    }

    /// Adds a line to `metrics.jsonl`.
    pub(super) fn metric(&self, line: Line) -> Result<()> {
        Ok(self.run.metrics().json(&line)?)
    }

    /// The next batch that is part of an update. Batches that are left over at an epoch's end are
    /// passed over. Where too many pictures are bad, all that were found are listed first.
    pub(super) fn next_batch(&mut self, batches: &mut Batches) -> Result<Batch<Images>> {
        loop {
            let since = Instant::now();
            let next = batches.next();
            self.waited += since.elapsed();
            match next {
                Some(Ok(batch)) if self.plan.uses(batch.number) => return Ok(batch),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.list_skipped(batches.take_skipped())?;
                    return Err(error.into());
                }
                None => {
                    let reason = "the pictures ended before the run did".to_owned();
                    return Err(Error::Unusable(reason));
                }
            }
        }
    }

    /// Lists what was left out when the pictures were listed, and tells it by its kinds.
    fn list_left_out(&mut self, all: &PictureSet) -> Result<()> {
        for note in &all.notes {
            self.note(note)?;
        }
        for skip in &all.skipped {
            self.record_skip(skip)?;
        }
        for kind in Skipped::alike(&all.skipped) {
            self.tell(Event::LeftOut(&kind));
        }
        Ok(())
    }

    /// Lists pictures that were left out since the last call.
    pub(super) fn list_skipped(&mut self, skipped: Vec<Skipped>) -> Result<()> {
        for skip in skipped {
            if self.record_skip(&skip)? {
                self.tell(Event::Skipped(&skip));
            }
        }
        Ok(())
    }

    /// Lists a picture, unless it is in the list already; whether it was not.
    fn record_skip(&mut self, skip: &Skipped) -> Result<bool> {
        let new = self.skipped.insert(skip.path.clone());
        if new {
            self.run.skipped().json(skip)?;
        }
        Ok(new)
    }
}

/// Batches of `set` for networks on `backend`.
pub(super) fn batches(
    backend: &Backend,
    set: &Arc<PictureSet>,
    transform: Transform,
    data: &DataConfig,
    options: &LoaderOptions,
) -> Result<Batches> {
    let normalization = data.normalization();
    let feed = Feed::new(backend, &normalization)?;
    Ok(Loader::delivering(Arc::clone(set), transform, normalization, options, feed)?)
}

/// A batch's images as a tensor `[N, H, W, channels]`, where it is computed.
pub(super) fn images(batch: Batch<Images>, mixing: &Mixing) -> Result<Tensor> {
    let shape = [batch.len(), batch.height, batch.width, batch.channels];
    batch.images.tensor(shape, mixing)
}

/// The names of a batch's pictures, for a message.
pub(super) fn names(batches: &Batches, indices: &[u32]) -> String {
    let folder = batches.folder();
    let name = |&index: &u32| printable(&folder.samples[index as usize].path);
    let shown: Vec<_> = indices.iter().take(8).map(name).collect();
    let more = indices.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &rest
}
