//! A run while it is being trained: its folder, logs, checkpoints and exports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use fcmae_data::{Batch, Loader, Skipped};
use fcmae_store::{Checkpoint, CheckpointStore, ExportName, NamedTensors, Record, Run};
use serde::Serialize;
use serde_json::json;

use super::events::{Event, Flow, StepReport};
use super::plan::Plan;
use crate::config::{SaveConfig, Settings};
use crate::error::{Error, Result};
use crate::export;
use crate::optim::{AdamW, Ema};
use crate::parameters;
use crate::weights::Description;

/// Whoever is told what happens, and may stop it.
pub(super) type Observer<'a> = &'a mut dyn FnMut(Event<'_>) -> Flow;

/// Settings that may change between the parts of a resumed run: they change no number of it.
const MAY_DIFFER: [&str; 4] =
    ["run.version", "config.data.workers", "config.data.cache_mib", "config.save"];

/// What training changes.
pub(super) struct Learner<M> {
    pub(super) model: M,
    pub(super) optimizer: AdamW,
    pub(super) ema: Option<Ema>,
    /// Updates made.
    pub(super) step: u64,
}

/// The open run.
pub(super) struct Session<'a> {
    run: Run,
    checkpoints: CheckpointStore,
    observer: Observer<'a>,
    plan: Plan,
    description: Description,
    skipped: BTreeSet<std::path::PathBuf>,
    stop: bool,
}

/// What a run is recorded as, and how it goes.
pub(super) struct Course<'a, T> {
    /// `pretrain` or `finetune`.
    pub(super) kind: &'static str,
    pub(super) config: &'a T,
    pub(super) save: &'a SaveConfig,
    /// Of the pictures.
    pub(super) fingerprint: String,
    pub(super) plan: Plan,
    pub(super) description: Description,
}

impl<'a> Session<'a> {
    /// Creates the run's folder, or takes it up again.
    pub(super) fn open<T: Settings>(
        out: &Path,
        resume: bool,
        course: Course<'_, T>,
        observer: Observer<'a>,
    ) -> Result<Self> {
        let Course { kind, config, save, fingerprint, plan, description } = course;
        let facts = json!({
            "kind": kind,
            "version": env!("CARGO_PKG_VERSION"),
            "data": fingerprint,
            "weights": description,
        });
        let record = Record { config: config.to_toml(), facts };
        let run = if resume {
            Run::resume(out, &record, &MAY_DIFFER)?
        } else {
            Run::create(out, &record)?
        };
        let checkpoints = run.checkpoints().keep(save.keep);
        Ok(Self {
            run,
            checkpoints,
            observer,
            plan,
            description,
            skipped: BTreeSet::new(),
            stop: false,
        })
    }

    pub(super) fn tell(&mut self, event: Event<'_>) {
        if (self.observer)(event) == Flow::Stop {
            self.stop = true;
        }
    }

    pub(super) fn note(&mut self, text: &str) -> Result<()> {
        self.run.log().text(text)?;
        self.tell(Event::Note(text));
        Ok(())
    }

    /// Whether the observer asked to stop.
    pub(super) fn stopped(&self) -> bool {
        self.stop
    }

    /// Takes the newest intact checkpoint up, if there is one, and returns its `state.json`.
    pub(super) fn restore<M: Module>(
        &mut self,
        learner: &mut Learner<M>,
    ) -> Result<Option<serde_json::Value>> {
        let Some(latest) = self.checkpoints.latest()? else {
            self.run.truncate_metrics_after(0)?;
            return Ok(None);
        };
        for damaged in &latest.damaged {
            self.note(&format!("{damaged}; going on from the one before"))?;
        }
        let tensors = |name: &str| {
            latest.checkpoint.tensors.get(name).ok_or_else(|| {
                Error::Unusable(format!("the checkpoint of step {} has no {name}", latest.step))
            })
        };
        learner.model = parameters::from_host(learner.model.clone(), tensors("model")?).map_err(
            |mismatch| Error::Weights {
                path: self.run.path().to_owned(),
                model: self.description.name(),
                mismatch: mismatch.to_string(),
            },
        )?;
        learner.optimizer.restore(&learner.model, tensors("optimizer")?, latest.step);
        if let Some(ema) = &mut learner.ema {
            ema.restore(tensors("ema")?);
        }
        learner.step = latest.step;
        self.run.truncate_metrics_after(latest.step)?;
        Ok(Some(latest.checkpoint.state))
    }

    /// Saves all that a resumed run needs. Order, augmentation, masks, drop path and schedule
    /// follow from the step and the settings.
    pub(super) fn save<M: Module>(
        &mut self,
        learner: &Learner<M>,
        best: Option<f64>,
    ) -> Result<()> {
        let mut tensors = BTreeMap::from([
            ("model".to_owned(), parameters::to_host(&learner.model)),
            ("optimizer".to_owned(), learner.optimizer.state()),
        ]);
        if let Some(ema) = &learner.ema {
            let averaged = parameters::to_host(&ema.apply(learner.model.clone()));
            tensors.insert("ema".to_owned(), averaged);
        }
        let (epoch, batch) = self.plan.next_batch(learner.step);
        let state = json!({
            "step": learner.step,
            "next_epoch": epoch,
            "next_batch": batch,
            "best_top1": best,
        });
        // What is logged up to here must be there when the checkpoint is.
        self.run.metrics().sync()?;
        let saved = self.checkpoints.save(learner.step, &Checkpoint { tensors, state })?;
        for error in &saved.not_removed {
            self.note(&format!("an old checkpoint stays: {error}"))?;
        }
        self.tell(Event::Saved { step: learner.step, path: &saved.folder });
        Ok(())
    }

    /// Writes weights for other programs and commands.
    pub(super) fn export(
        &self,
        name: ExportName,
        tensors: &NamedTensors,
        about: &str,
    ) -> Result<()> {
        let files = export::run_files(tensors, &self.description, about)?;
        let files: Vec<_> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        self.run.export(name, &files)?;
        Ok(())
    }

    /// Logs an update and tells the observer.
    pub(super) fn report(
        &mut self,
        step: u64,
        loss: f32,
        images: usize,
        since: Instant,
    ) -> Result<()> {
        let report = StepReport {
            step,
            steps: self.plan.steps(),
            epoch: self.plan.epoch(step),
            loss,
            lr: self.plan.lr(step - 1),
            images_per_second: images as f64 / since.elapsed().as_secs_f64().max(1e-9),
        };
        self.metric(json!({
            "step": report.step,
            "epoch": report.epoch,
            "loss": report.loss,
            "lr": report.lr,
            "images_per_second": report.images_per_second,
        }))?;
        self.tell(Event::Step(&report));
        Ok(())
    }

    /// Adds a line to `metrics.jsonl`.
    pub(super) fn metric(&self, line: impl Serialize) -> Result<()> {
        Ok(self.run.metrics().json(&line)?)
    }

    /// The next batch that is part of an update. Batches that are left over at an epoch's end are
    /// passed over. Where too many pictures are bad, all that were found are listed first.
    pub(super) fn next_batch(&mut self, batches: &mut Loader) -> Result<Batch> {
        loop {
            match batches.next() {
                Some(Ok(batch)) if self.plan.uses(batch.number) => return Ok(batch),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.list_skipped(batches.skipped())?;
                    return Err(error.into());
                }
                None => {
                    let reason = "the pictures ended before the run did".to_owned();
                    return Err(Error::Unusable(reason));
                }
            }
        }
    }

    /// Lists pictures that were left out since the last call.
    pub(super) fn list_skipped(&mut self, skipped: Vec<Skipped>) -> Result<()> {
        for skip in skipped {
            if self.skipped.insert(skip.path.clone()) {
                self.run.skipped().json(&skip)?;
                self.tell(Event::Skipped(&skip));
            }
        }
        Ok(())
    }
}

/// A batch's images as a tensor `[N, H, W, channels]`, without gradient.
pub(crate) fn images(batch: Batch, device: &Device) -> Tensor<4> {
    let shape = [batch.indices.len(), batch.height, batch.width, batch.channels];
    Tensor::from_data(TensorData::new(batch.images, shape), device)
}

/// The names of a batch's pictures, for a message.
pub(super) fn names(batches: &Loader, indices: &[u32]) -> String {
    let folder = batches.folder();
    let name = |&index: &u32| fcmae_data::source::printable(&folder.samples[index as usize].path);
    let shown: Vec<_> = indices.iter().take(8).map(name).collect();
    let more = indices.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &rest
}
