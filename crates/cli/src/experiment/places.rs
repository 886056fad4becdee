//! Where the runs and the pictures of experiments are.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Result;
use fcmae::config::{FinetuneConfig, PretrainConfig};
use fcmae::engine::backend::Precision;
use fcmae_data::source::printable;
use fcmae_store::run::files;

use super::outcome::{self, Kind, Outcome};
use crate::output;

/// Name of the file of a run that holds what it came to.
pub(super) const OUTCOME: &str = "outcome.json";

/// Where runs and pictures are.
pub(super) struct Places {
    /// Folder of the runs.
    pub(super) runs: PathBuf,
    /// Folder of the pictures.
    pub(super) data: PathBuf,
    /// What computes, over what recipes say. It is no part of what a job is: devices differ by rounding.
    pub(super) device: Option<String>,
    /// The number type of features, over what recipes say.
    pub(super) precision: Option<Precision>,
}

impl Places {
    /// A pre-training's settings, with device and precision.
    pub(super) fn pretraining(&self, config: &PretrainConfig) -> PretrainConfig {
        let device = self.device.as_ref().unwrap_or(&config.device).clone();
        let precision = self.precision.unwrap_or(config.precision);
        PretrainConfig { device, precision, ..config.clone() }
    }

    /// A fine-tuning's settings, with device and precision.
    pub(super) fn finetuning(&self, config: &FinetuneConfig) -> FinetuneConfig {
        let device = self.device.as_ref().unwrap_or(&config.device).clone();
        let precision = self.precision.unwrap_or(config.precision);
        FinetuneConfig { device, precision, ..config.clone() }
    }

    /// The folder of a job's run.
    pub(super) fn run(&self, kind: Kind, key: &str) -> PathBuf {
        let kind = match kind {
            Kind::Pretrain => "pretrain",
            Kind::Finetune => "finetune",
            Kind::Diversity => "diversity",
        };
        self.runs.join(format!("{kind}-{key}"))
    }

    /// What a job came to, where its run is here and done.
    pub(super) fn outcome(&self, kind: Kind, key: &str) -> Result<Option<Outcome>> {
        outcome::of_run(&self.run(kind, key).join(OUTCOME))
    }

    /// Removes what would resume fine-tunings that are done: their weights stay in export/, and there may be hundreds
    /// of these.
    pub(super) fn clear_done<'a>(&self, keys: impl IntoIterator<Item = &'a String>) {
        for key in keys {
            let checkpoints = self.run(Kind::Finetune, key).join(files::CHECKPOINTS);
            match fs::remove_dir_all(&checkpoints) {
                Err(error) if error.kind() != ErrorKind::NotFound => output::note(&format!(
                    "{}: no longer needed, and cannot be removed ({error})",
                    printable(&checkpoints)
                )),
                _ => {}
            }
        }
    }

    pub(super) fn pictures(&self, sets: &[String]) -> Vec<PathBuf> {
        sets.iter().map(|set| self.data.join(set)).collect()
    }
}
