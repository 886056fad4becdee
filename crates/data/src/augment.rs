//! One picture to one input of the network.

use rand_chacha::rand_core::Rng;

use crate::error::DataError;
use crate::picture::{Picture, PixelFormat};

mod crop;
mod erase;
mod eval;
mod flip;
mod normalize;
mod part;
mod rand_augment;
mod resize;
mod size;

pub use crop::RandomResizedCrop;
pub use erase::{Noise, RandomErasing};
pub use eval::{EvalResize, EvalTransform};
pub use flip::flip_horizontal;
pub use normalize::Normalization;
pub use part::Crop;
pub use rand_augment::{MAX_LEVEL, Operation, RandAugment};
pub use resize::{CropBox, resize, resize_crop};
pub use size::MAX_SIDE;

/// From a decoded picture to the network's input size.
#[derive(Clone, Debug, PartialEq)]
pub enum Transform {
    /// For training: a random crop, resized, perhaps mirrored, and what its options add.
    Train(RandomResizedCrop),
    /// For evaluation and prediction: always the same.
    Eval(EvalTransform),
}

impl Transform {
    /// (height, width) of the result.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Train(train) => (train.height, train.width),
            Self::Eval(eval) => (eval.height, eval.width),
        }
    }

    /// Applies it: a function of the picture and the generator's state alone.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn apply(&self, picture: &Picture, rng: &mut impl Rng) -> Result<Picture, DataError> {
        match self {
            Self::Train(train) => train.apply(picture, rng),
            Self::Eval(eval) => eval.apply(picture),
        }
    }

    /// What is done to the values after normalization, where it is asked for.
    pub fn erasing(&self) -> Option<&RandomErasing> {
        match self {
            Self::Train(train) => train.erasing.as_ref(),
            Self::Eval(_) => None,
        }
    }

    /// Short side from which on a picture has enough pixels, where a reduced copy may be taken.
    pub(crate) fn least_side(&self) -> Option<u32> {
        match self {
            Self::Train(train) => Some(train.least_side()),
            Self::Eval(_) => None,
        }
    }

    /// Checks that the settings fit such pictures.
    pub(crate) fn check_format(&self, format: PixelFormat) -> Result<(), DataError> {
        match self {
            Self::Train(RandomResizedCrop { rand_augment: Some(augment), .. }) => {
                augment.check_format(format)
            }
            _ => Ok(()),
        }
    }

    /// Checks the settings once, before a run.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn check(&self) -> Result<(), DataError> {
        match self {
            Self::Train(train) => train.check(),
            Self::Eval(eval) => eval.check(),
        }
    }
}
