//! What can go wrong in the library, each with the value at fault and the remedy.

use std::path::PathBuf;

use fcmae_words::plural;
use thiserror::Error;

/// A configuration that cannot be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No published size has this name.
    #[error(
        "unknown model size `{name}`; the sizes are {known}, or `custom` with depths and widths"
    )]
    UnknownSize {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A value outside its range.
    #[error("`{key}` is {value}, but must be {range}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        range: String,
    },
    /// An image side that is not a multiple of the patch side.
    #[error(
        "an image of {height}×{width} pixels cannot be cut into patches of {patch}×{patch}: make both \
         sides multiples of {patch}, or choose a smaller `model.stem_stride` (now {stem_stride}; the \
         patch side is 8 times it)"
    )]
    ImageSize {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// Side of a patch in pixels.
        patch: usize,
        /// The stem stride that gives this patch side.
        stem_stride: usize,
    },
    /// An image of more pixels than a network is given.
    #[error(
        "an image of {height}×{width} pixels is too large: make its sides at most {longest} pixels, and its \
         area at most {most} ({setting})"
    )]
    LargeImage {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// The longest side in pixels.
        longest: usize,
        /// The most pixels in all.
        most: usize,
        /// What gave height and width.
        setting: &'static str,
    },
    /// A mask ratio that leaves nothing visible, or nothing masked.
    #[error(
        "a mask ratio of {ratio} on {} leaves {visible} visible and {masked} masked; both must be at \
         least 1: change `mask.ratio`, use larger images (`data.image_size`) or a smaller \
         `model.stem_stride`",
        plural(.patches, "patch")
    )]
    Mask {
        /// The ratio asked for.
        ratio: f64,
        /// Patches in an image.
        patches: usize,
        /// How many would be visible.
        visible: usize,
        /// How many would be masked.
        masked: usize,
    },
    /// A key that no setting has.
    #[error("unknown setting `{key}`{nearest}")]
    UnknownKey {
        /// The key given.
        key: String,
        /// ` (did you mean …?)`, or nothing.
        nearest: String,
    },
    /// A value that the setting cannot take.
    #[error("`{key}` cannot be `{value}`: {reason}")]
    Value {
        /// The key given.
        key: String,
        /// The value given.
        value: String,
        /// What is expected.
        reason: String,
    },
    /// A recipe that is not TOML, or does not fit the settings.
    #[error("{origin}: {reason}")]
    Recipe {
        /// The file, or `--set`.
        origin: String,
        /// What the parser says.
        reason: String,
    },
}

/// The batch that would fit into memory, where one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// Pictures at a time, and batches to an update of the same size.
    pub batch: Option<[usize; 2]>,
}

impl std::fmt::Display for Remedy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some([batch, accumulation]) = self.batch else { return Ok(()) };
        write!(
            f,
            "set `optim.batch={batch}` with `optim.accumulation={accumulation}`, which makes the same updates; \
             or "
        )
    }
}

/// Any error of the library.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A network whose answers are no numbers.
    #[error(
        "the network's answers for {picture} are not finite: its weights have diverged; train it again with a \
         lower `optim.base_lr`, or with `optim.clip_norm=1.0`"
    )]
    NoNumbers {
        /// The first picture of which that was seen.
        picture: String,
    },
    /// A graphics card that cannot compute, or no longer.
    #[error(transparent)]
    Cuda(#[from] fcmae_cuda::CudaError),
    /// Vectors of pictures that nothing can be told from.
    #[error(transparent)]
    Vectors(#[from] fcmae_vectors::VectorError),
    /// A configuration that cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The pictures.
    #[error(transparent)]
    Data(#[from] fcmae_data::DataError),
    /// Files of a run, checkpoints, weights.
    #[error(transparent)]
    Store(#[from] fcmae_store::Error),
    /// Weights by their name on the Hugging Face Hub.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] fcmae_hub::Error),
    /// Weights that are not this network's.
    #[error("{path}: these weights do not fit {model}: {mismatch}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The network they were to fill.
        model: String,
        /// Every missing, unexpected and wrongly shaped name.
        mismatch: String,
    },
    /// A loss or a gradient that is not a number.
    #[error(
        "the loss became {loss} and the gradient's norm {norm} at step {step}; no weight was changed. Go on with \
         --resume and a lower `optim.base_lr`, `optim.clip_norm=1.0` or `optim.on_nan=skip`, or look at the \
         pictures of this step, kept in {}: {files}", kept.display()
    )]
    Diverged {
        /// The loss.
        loss: f32,
        /// The norm of all gradients together.
        norm: f64,
        /// The folder with the step's batches.
        kept: PathBuf,
        /// The step.
        step: u64,
        /// The pictures in the batch.
        files: String,
    },
    /// A step that the machine has no memory for.
    #[error(
        "a run of these settings takes about {} MiB of memory, and {} MiB are free: {remedy}choose smaller \
         images (`data.image_size`) or a smaller network (`model.size`); to start anyway, add \
         `--set check_memory=false`", needed >> 20, free >> 20
    )]
    Memory {
        /// Bytes that a step takes, estimated.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// What would fit.
        remedy: Remedy,
    },
    /// Anything that reads or writes a file outside a run.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A state the command cannot start from.
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    /// Whether it is of one picture alone, so that others may still be used. Any other is of what reads or computes
    /// them all.
    pub fn is_of_picture(&self) -> bool {
        matches!(self, Self::NoNumbers { .. } | Self::Data(fcmae_data::DataError::Picture { .. }))
    }
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
