//! What a run begins from: random weights, given ones, or, where it goes on, those it began from.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fcmae_data::{Normalization, PixelFormat};
use fcmae_store::run::schema::Origin;
use fcmae_words::plural;

use super::resume::{self, Resume};
use crate::config::{DataConfig, ModelConfig};
use crate::error::{ConfigError, Error, Result};
use crate::weights::Weights;

/// What a network starts from.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Random weights.
    Scratch,
    /// Whatever [`Weights::open`] takes: a run, an export, a checkpoint, a file, `hf:OWNER/NAME`.
    Weights(&'a Path),
    /// The same, read once for all that is asked of it before and by the run.
    Read(&'a StartWeights),
    /// Those that the run began with: for one that goes on.
    Recorded,
}

/// Weights to start from, read when they are first needed, and kept until a run has begun from them.
#[derive(Debug)]
pub struct StartWeights {
    path: PathBuf,
    read: Mutex<Option<Weights>>,
}

impl StartWeights {
    /// Of whatever [`Weights::open`] takes.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), read: Mutex::new(None) }
    }

    /// What `use_them` makes of them.
    ///
    /// # Errors
    /// As [`Weights::open`], and those of `use_them`.
    pub fn with<T>(&self, use_them: impl FnOnce(&Weights) -> Result<T>) -> Result<T> {
        // Whole or none, whatever panicked meanwhile.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let weights = match read.take() {
            Some(weights) => weights,
            None => Weights::open(&self.path)?,
        };
        use_them(read.insert(weights))
    }

    fn take(&self) -> Result<Weights> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner).take();
        read.map_or_else(|| Weights::open(&self.path), Ok)
    }
}

impl Start<'_> {
    /// Where the weights are, as it was given.
    fn path(&self) -> Option<&Path> {
        match self {
            Start::Scratch | Start::Recorded => None,
            Start::Weights(path) => Some(path),
            Start::Read(weights) => Some(&weights.path),
        }
    }

    /// The weights, as `change` makes them.
    pub(super) fn open(
        self,
        change: impl FnOnce(Weights) -> Result<Weights>,
    ) -> Result<Option<Weights>> {
        match self {
            Start::Scratch | Start::Recorded => Ok(None),
            Start::Weights(path) => change(Weights::open(path)?).map(Some),
            Start::Read(weights) => change(weights.take()?).map(Some),
        }
    }
}

/// What a run begins with, or began with.
pub(super) struct Beginning {
    /// `None` for random ones, and where a checkpoint is taken up in their place.
    pub(super) weights: Option<Weights>,
    /// Where they are from; `None` for random ones.
    pub(super) origin: Option<Origin>,
    /// What is to be told of them.
    pub(super) note: Option<String>,
    /// Whether a checkpoint is taken up in their place.
    pub(super) taken_up: bool,
}

/// Where weights are, from any folder.
pub(super) fn place(path: &Path) -> String {
    let here = !path.to_string_lossy().starts_with("hf:");
    let whole = here.then(|| std::path::absolute(path).ok()).flatten();
    whole.as_deref().unwrap_or(path).to_string_lossy().into_owned()
}

impl Beginning {
    /// Of the run in `out`, from weights as `change` makes them.
    ///
    /// # Errors
    /// Weights that cannot be used, or are others than the run that goes on began with.
    pub(super) fn of(
        start: Start<'_>,
        resume: Resume<'_>,
        out: &Path,
        change: impl FnOnce(Weights) -> Result<Weights>,
    ) -> Result<Self> {
        if !resume.goes_on() {
            if let Start::Recorded = start {
                let text = "a new run has no recorded weights: give --from";
                return Err(Error::Unusable(text.to_owned()));
            }
            return Ok(Self::new(start, start.open(change)?));
        }
        let has_checkpoint = !resume::run_checkpoints(out).steps()?.is_empty();
        let recorded = resume::recorded_start(out)?;
        let path = recorded.as_ref().map(|origin| PathBuf::from(&origin.path));
        let taken_up = |note| Self { weights: None, origin: recorded, note, taken_up: true };
        let start = match (start, &path) {
            (Start::Recorded, _) if has_checkpoint => return Ok(taken_up(None)),
            (Start::Recorded, Some(path)) => Start::Weights(path),
            (Start::Recorded, None) => Start::Scratch,
            (start, _) => start,
        };
        match start.open(change) {
            Err(error) if has_checkpoint => {
                let text = format!("{error}; the run goes on from its checkpoint without them");
                Ok(taken_up(Some(text)))
            }
            opened => {
                let begun = Self::new(start, opened?);
                resume::same_start(out, begun.origin.as_ref())?;
                Ok(begun)
            }
        }
    }

    fn new(start: Start<'_>, weights: Option<Weights>) -> Self {
        let origin = start.path().zip(weights.as_ref()).map(|(path, weights)| Origin {
            path: place(path),
            hash: weights.tensors.hash(),
            teacher: None,
        });
        Self { weights, origin, note: None, taken_up: false }
    }
}

/// The network of weights, for pictures of so many channels, or of theirs where that is 0; the pictures' depth, mean and
/// deviation where the settings leave them to the weights.
///
/// # Errors
/// A number of channels that pictures cannot have.
pub(super) fn network_of(
    weights: &Weights,
    channels: usize,
    data: &mut DataConfig,
) -> Result<ModelConfig> {
    let description = &weights.description;
    let (channels, depth) = match channels {
        0 => (description.model.channels, description.depth),
        channels => (channels, data.depth),
    };
    PixelFormat { channels: u32::try_from(channels).unwrap_or(u32::MAX), depth }.check()?;
    data.depth = depth;
    let Normalization { mean, std } = description.normalization_for(channels);
    if !data.has_own_normalization() {
        (data.mean, data.std) = (mean, std);
    }
    Ok(ModelConfig { channels, ..description.model.clone() })
}

/// Refuses a number of `channels` to adapt weights to, the setting `key`, where a run starts from none.
///
/// # Errors
/// [`ConfigError::Value`].
pub(super) fn nothing_to_adapt(
    key: &str,
    channels: usize,
    model: &ModelConfig,
) -> Result<(), ConfigError> {
    if channels == 0 || channels == model.channels {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: key.to_owned(),
        value: channels.to_string(),
        reason: format!(
            "it adapts the weights of --from, and there are none; from scratch, set `model.channels={channels}`"
        ),
    })
}

/// A note on a mean and deviation that follow from those of other channels, as nothing else was said.
pub(super) fn repeated_normalization(weights: &Weights, data: &DataConfig) -> Option<String> {
    let description = &weights.description;
    let channels = data.mean.len();
    let follows = data.normalization() == description.normalization_for(channels);
    (channels != description.model.channels && follows).then(|| {
        format!(
            "mean and deviation for {} are derived from the weights' {}: set `data.mean` and `data.std`, as \
             `fcmae stats` finds them",
            plural(channels, "channel"),
            description.model.channels
        )
    })
}
