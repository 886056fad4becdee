//! How any network is trained: the optimizer and its schedule, and what is saved meanwhile.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// The optimizer and its schedule: AdamW, linear warm-up, half a cosine, updated per iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimConfig {
    /// Passes over the pictures, 1000000000 at most.
    pub epochs: u64,
    /// Epochs of linear warm-up from 0.
    pub warmup_epochs: f64,
    /// Images in one forward and backward pass, 1000000000 at most.
    pub batch: usize,
    /// Passes whose gradients are averaged into one update, 1000000000 at most.
    pub accumulation: usize,
    /// Learning rate at 256 images per update. The actual rate is `base_lr · batch · accumulation / 256`.
    pub base_lr: f64,
    /// Learning rate at the end of the cosine.
    pub min_lr: f64,
    /// Decoupled weight decay; none on vectors (biases, norms, GRN, the mask token).
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// AdamW's epsilon.
    pub eps: f64,
    /// Largest global norm of the gradient; 0 for no clipping.
    pub clip_norm: f64,
    /// What to do if a loss or gradient is not finite: `stop`, or `skip` the update, at most five times in a row.
    pub on_nan: OnNan,
}

/// What to do about a loss or a gradient that is not a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// End the run. The last checkpoint stays.
    #[default]
    Stop,
    /// Go on without the update.
    Skip,
}

impl OptimConfig {
    /// The learning rate at the top of the schedule.
    pub fn peak_lr(&self) -> f64 {
        self.base_lr * self.batch.saturating_mul(self.accumulation) as f64 / 256.0
    }
}

/// When a run is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveConfig {
    /// Epochs between checkpoints.
    pub every_epochs: u64,
    /// Minutes between checkpoints during long epochs; 0 for none.
    pub every_minutes: f64,
    /// Checkpoints to keep.
    pub keep: usize,
}

impl SaveConfig {
    /// The time between checkpoints.
    pub(crate) fn every(&self) -> Option<Duration> {
        (self.every_minutes > 0.0).then(|| Duration::from_secs_f64(60.0 * self.every_minutes))
    }
}

impl Default for SaveConfig {
    fn default() -> Self {
        Self { every_epochs: 5, every_minutes: 15.0, keep: 2 }
    }
}

/// The most epochs, and images and passes of an update: their products fit 64 bits.
pub(crate) const MOST: u64 = 1_000_000_000;

impl OptimConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            ("optim.epochs", self.epochs),
            ("optim.batch", self.batch as u64),
            ("optim.accumulation", self.accumulation as u64),
        ];
        for (key, count) in counts {
            range(key, (1..=MOST).contains(&count), count, "1 to 1000000000")?;
        }
        not_negative("optim.warmup_epochs", self.warmup_epochs)?;
        let rate = self.base_lr > 0.0 && self.base_lr.is_finite();
        range("optim.base_lr", rate, self.base_lr, "a positive number")?;
        not_negative("optim.min_lr", self.min_lr)?;
        not_negative("optim.weight_decay", self.weight_decay)?;
        range("optim.beta1", (0.0..1.0).contains(&self.beta1), self.beta1, "0 to 1, without 1")?;
        range("optim.beta2", (0.0..1.0).contains(&self.beta2), self.beta2, "0 to 1, without 1")?;
        range("optim.eps", self.eps > 0.0 && self.eps.is_finite(), self.eps, "a positive number")?;
        range("optim.clip_norm", self.clip_norm >= 0.0, self.clip_norm, "0 or more")
    }
}

impl SaveConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        range("save.every_epochs", self.every_epochs > 0, self.every_epochs, "at least 1")?;
        let minutes = (0.0..=1e6).contains(&self.every_minutes);
        range("save.every_minutes", minutes, self.every_minutes, "0 to 1000000")?;
        range("save.keep", self.keep > 0, self.keep, "at least 1")
    }
}

/// A note on the settings that are `given`, if any, and why they have no effect.
pub(super) fn without_effect<const N: usize>(
    given: [(&str, bool); N],
    why: &str,
) -> Option<String> {
    let names = given.into_iter().filter(|&(_, given)| given).map(|(name, _)| format!("`{name}`"));
    let names: Vec<_> = names.collect();
    let have = if names.len() == 1 { "has" } else { "have" };
    (!names.is_empty()).then(|| format!("{} {have} no effect here: {why}", names.join(", ")))
}

pub(crate) fn range(
    key: &'static str,
    ok: bool,
    value: impl ToString,
    range: &str,
) -> Result<(), ConfigError> {
    if ok {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange { key, value: value.to_string(), range: range.to_owned() })
    }
}

/// Refuses what is below 0, or no number.
pub(super) fn not_negative(key: &'static str, value: f64) -> Result<(), ConfigError> {
    range(key, value >= 0.0 && value.is_finite(), value, "0 or more")
}
