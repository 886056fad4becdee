//! Speed on the CPU: one step of training, prediction or loading, timed, and what it had to compute.
//!
//! A [`Bench`] is made once and then steps as often as it is asked to; everything it needs is ready
//! before the first step, and nothing of it runs between steps. Weights and pixels are random, which
//! changes no time. [`Job::gflop_per_image`] says what work there is,
//! [`matrix_gflops`](crate::engine::machine::matrix_gflops)
//! what the machine could do.

mod photographs;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use fcmae_data::{Labels, Loader, LoaderOptions, PictureSet};
use serde::{Serialize, Serializer};

use crate::config::{
    DecoderConfig, FinetuneConfig, MOST, MaskConfig, MaskRatio, ModelConfig, PretrainConfig, Size,
    check_image, range, visible_count,
};
use crate::engine::backend::Backend;
use crate::engine::module::Network;
use crate::engine::noise::evenly;
use crate::engine::ops;
use crate::engine::parameters::{Layout, Names};
use crate::engine::tensor::Tensor;
use crate::error::{ConfigError, Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::flops;
use crate::network::loss::smoothed;
use crate::network::mask::Mask;
use crate::network::memory;
use crate::network::model::{Classifier, init};
use crate::training::Learner;
use crate::training::optim::{LayerDecay, Outcome};

pub use photographs::write_pictures;

/// Classes of the classifier, as in ImageNet-1K.
pub const CLASSES: usize = 1000;
/// Pictures that the loader hands over at a time.
pub const LOADED_AT_ONCE: usize = 32;

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A step of [`pretrain`](crate::training::pretrain()): mask, forward, loss, backward, AdamW.
    Pretrain,
    /// A step of [`finetune`](crate::training::finetune()), without drop path and moving average.
    Finetune,
    /// The classifier's forward pass, without gradients.
    Predict,
    /// Decoding, random resized crop, flip and normalization of picture files.
    Load,
}

impl Work {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Pretrain, Self::Finetune, Self::Predict, Self::Load];

    /// The name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Finetune => "finetune",
            Self::Predict => "predict",
            Self::Load => "load",
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Work {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|work| work.name() == name).ok_or_else(|| ConfigError::Value {
            key: "work".to_owned(),
            value: name.to_owned(),
            reason: format!("the kinds are {}", Self::ALL.map(Self::name).join(", ")),
        })
    }
}

impl Serialize for Work {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is to be timed.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The kind of step.
    pub work: Work,
    /// The network; [`Work::Load`] has none.
    pub size: Size,
    /// Height and width of the images in pixels.
    pub image: usize,
    /// Images a step; [`Work::Load`] takes as many as there are pictures.
    pub batch: usize,
    /// Share of the patches hidden in pre-training.
    pub mask_ratio: f64,
    /// The decoder of pre-training.
    pub decoder: DecoderConfig,
}

impl Job {
    /// Checks image size, batch and mask ratio.
    ///
    /// # Errors
    /// An image that is too large or cannot be cut into patches, a batch of no images, a ratio that leaves no
    /// patch visible or none masked.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.work == Work::Load {
            return check_image([self.image; 2], "--image");
        }
        let batch = (1..=MOST).contains(&(self.batch as u64));
        range("batch", batch, self.batch, "1 to 1000000000")?;
        self.visible().map(|_| ())
    }

    /// Patches that the encoder sees, and patches in an image.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn visible(&self) -> Result<[usize; 2], ConfigError> {
        let [rows, cols] = self.model().patch_grid(self.image, self.image)?;
        let patches = rows * cols;
        match self.work {
            Work::Pretrain => Ok([visible_count(patches, self.mask_ratio)?, patches]),
            _ => Ok([patches, patches]),
        }
    }

    /// Operations that one image of a step needs, in 10⁹: convolutions and linear layers, two
    /// operations a multiply-add.
    ///
    /// Only what has to be done counts: the encoder's visible patches, the prediction of masked
    /// ones. A training step is three times the forward pass (the backward pass has the gradients
    /// with respect to inputs and to weights), less the gradient with respect to the pixels. 0 for
    /// [`Work::Load`].
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn gflop_per_image(&self) -> Result<f64, ConfigError> {
        if self.work == Work::Load {
            return Ok(0.0);
        }
        let (model, visible) = (self.model(), self.visible()?);
        let multiply_adds = match self.work {
            Work::Pretrain => flops::autoencoder(&model, &self.decoder, visible).step(),
            Work::Finetune => flops::classifier(&model, CLASSES, visible[1]).step(),
            Work::Predict | Work::Load => flops::classifier(&model, CLASSES, visible[1]).forward,
        };
        Ok(2e-9 * multiply_adds as f64)
    }

    /// Parameters of the network, decoder or head included; 0 for [`Work::Load`].
    pub fn parameters(&self) -> usize {
        let layout = match self.work {
            Work::Load => return 0,
            Work::Pretrain => Layout::of(|names| self.autoencoder(names)).1,
            Work::Finetune | Work::Predict => Layout::of(|names| self.classifier(names)).1,
        };
        layout.count()
    }

    /// About how much memory a step takes in bytes, to tell beforehand what cannot fit.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn memory_estimate(&self, backend: &Backend) -> Result<u64, ConfigError> {
        if self.work == Work::Load {
            return Ok(0);
        }
        let (model, size) = (self.model(), [self.image; 2]);
        let need = match self.work {
            Work::Predict | Work::Load => memory::prediction(backend, &model, CLASSES, size)?,
            Work::Finetune => memory::finetuning(backend, &model, CLASSES, size, 1, false)?,
            Work::Pretrain => {
                let masking = MaskConfig {
                    ratio: MaskRatio::Fixed(self.mask_ratio),
                    ..MaskConfig::default()
                };
                memory::pretraining(backend, &model, &self.decoder, &masking, size, 1, false)?
            }
        };
        Ok(need.with(self.batch))
    }

    fn model(&self) -> ModelConfig {
        ModelConfig::published(self.size)
    }

    fn autoencoder(&self, names: &mut Names) -> Autoencoder {
        Autoencoder::new(names, &self.model(), &self.decoder)
    }

    fn classifier(&self, names: &mut Names) -> Classifier {
        Classifier::new(names, &self.model(), CLASSES)
    }
}

type Step = Box<dyn FnMut() -> Result<()>>;

/// A step that can be made again and again.
pub struct Bench {
    images: usize,
    step: Step,
}

impl Bench {
    /// Steps of a network.
    ///
    /// # Errors
    /// As [`Job::check`]; [`Work::Load`], which is [`load`](Self::load).
    pub fn network(job: &Job, backend: &Backend) -> Result<Self> {
        job.check()?;
        let step = match job.work {
            Work::Pretrain => pretrain(job, backend)?,
            Work::Finetune => finetune(job, backend)?,
            Work::Predict => predict(job, backend)?,
            Work::Load => {
                return Err(Error::Unusable("loading has no network, only pictures".to_owned()));
            }
        };
        Ok(Self { images: job.batch, step })
    }

    /// Steps that load every picture below `folder`, at most `most` of them (evenly spaced), with
    /// as many `workers`, to `image × image` pixels. What is decoded is not kept.
    ///
    /// # Errors
    /// Pictures that cannot be used, an image that is too large.
    pub fn load(folder: &Path, most: usize, image: usize, workers: usize) -> Result<Self> {
        check_image([image; 2], "--image")?;
        let mut folder = PictureSet::open(folder, Labels::Ignored)?;
        let (found, taken) = (folder.len(), folder.len().min(most.max(1)));
        folder.samples = (0..taken).map(|i| folder.samples[i * found / taken].clone()).collect();
        let mut config = PretrainConfig::default().data;
        config.image_size = [image, image];
        // In order and not endless, so that nothing is loaded ahead once a step is done.
        let options = LoaderOptions { workers, ..LoaderOptions::eval(LOADED_AT_ONCE) };
        let mut batches = Loader::new(
            Arc::new(folder),
            config.train_transform(),
            config.normalization(),
            &options,
        )?;
        let mut epoch = 0;
        let step = move || {
            batches.seek(epoch, 0);
            epoch += 1;
            for batch in batches.by_ref() {
                std::hint::black_box(batch?);
            }
            Ok(())
        };
        Ok(Self { images: taken, step: Box::new(step) })
    }

    /// Images of one step.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Makes one step; its seconds.
    ///
    /// # Errors
    /// Too many pictures that cannot be used, or a loss that is not a number.
    pub fn step(&mut self) -> Result<f64> {
        let since = Instant::now();
        (self.step)()?;
        Ok(since.elapsed().as_secs_f64())
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("images", &self.images).finish_non_exhaustive()
    }
}

/// As the loop of [`train::pretrain`](crate::training::pretrain()), from a batch on.
fn pretrain(job: &Job, backend: &Backend) -> Result<Step> {
    let config = PretrainConfig::default();
    let grid = job.model().patch_grid(job.image, job.image)?;
    let (ratio, seed) = (job.mask_ratio, config.seed);
    let indices: Vec<u32> = (0..job.batch as u32).collect();
    let pixels = random_images(job).on(backend)?;
    let network = quickly_initialized(|names| job.autoencoder(names));
    let mut learner = Learner::new(network, &config.optim).on(backend)?;
    let mut epoch = 0;
    Ok(Box::new(move || {
        let mask = Mask::random(grid, ratio, seed, epoch, &indices)?;
        epoch += 1;
        learner.accumulate(1.0, |network, pass| {
            network.loss(pass, pixels.clone(), &mask, config.mask.norm_pix_loss)
        })?;
        finite(learner.update(LEARNING_RATE, |_| 1.0)?)
    }))
}

/// As the loop of [`train::finetune`](crate::training::finetune()), from a batch on.
fn finetune(job: &Job, backend: &Backend) -> Result<Step> {
    let config = FinetuneConfig::default();
    let labels: Vec<u32> = (0..job.batch).map(|i| (i * 37 % CLASSES) as u32).collect();
    let targets = smoothed(&labels, CLASSES, config.finetune.label_smoothing);
    let pixels = random_images(job).on(backend)?;
    let layers = LayerDecay::new(config.finetune.layer_decay, &job.model());
    let network = quickly_initialized(|names| job.classifier(names));
    let mut learner = Learner::new(network, &config.optim).on(backend)?;
    Ok(Box::new(move || {
        learner.accumulate(1.0, |network, pass| {
            let logits = network.forward(pass, pixels.clone(), None);
            ops::cross_entropy(pass, logits, &targets)
        })?;
        finite(learner.update(LEARNING_RATE, |name| layers.scale(name))?)
    }))
}

fn predict(job: &Job, backend: &Backend) -> Result<Step> {
    let pixels = random_images(job).on(backend)?;
    let network = quickly_initialized(|names| job.classifier(names)).on(backend)?;
    Ok(Box::new(move || {
        std::hint::black_box(network.logits(&pixels)?.to_vec());
        Ok(())
    }))
}

/// Small enough that random pixels and labels do no harm, however many steps are made.
const LEARNING_RATE: f64 = 1e-5;

fn finite(Outcome { loss, .. }: Outcome) -> Result<()> {
    if loss.is_finite() {
        Ok(())
    } else {
        Err(Error::Unusable(format!("the loss became {loss}, so that the time means nothing")))
    }
}

/// `[batch, image, image, 3]`, even numbers of mean 0 and deviation 1.
fn random_images(job: &Job) -> Tensor {
    let shape = [job.batch, job.image, job.image, job.model().channels];
    Tensor::new(evenly(1, 1.0).take(shape.iter().product()).collect(), shape)
}

/// Every weight filled with even numbers of the published standard deviation:
/// [`init::initialize`] takes longer for the largest network than its steps.
fn quickly_initialized<M>(build: impl FnOnce(&mut Names) -> M) -> Network<M> {
    let mut network = Network::new(build);
    let layout = Arc::clone(network.layout());
    let matrices = layout.by_name().filter(|(_, parameter)| parameter.shape().len() > 1);
    let weights = network.weights_mut();
    for (number, (_, parameter)) in matrices.enumerate() {
        let values = weights.get_mut(parameter).iter_mut();
        let numbers = evenly(3 + number as u64, init::WEIGHT_STD as f32);
        values.zip(numbers).for_each(|(value, number)| *value = number);
    }
    network
}

#[cfg(test)]
mod tests;
