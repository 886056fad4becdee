//! How much memory a step takes, to tell beforehand what cannot fit: a system that runs out of it
//! ends the process without a word.

use fcmae_cuda::work::Element;
use fcmae_data::{Depth, RandomErasing};
use fcmae_kernels::block;
use fcmae_words::terminal::mib;

use crate::config::{
    DataConfig, DecoderConfig, FinetuneConfig, MaskConfig, ModelConfig, OptimConfig,
    PretrainConfig, Settings,
};
use crate::engine::backend::Backend;
use crate::engine::machine;
use crate::engine::module;
use crate::engine::ops;
use crate::engine::parameters::Layout;
use crate::engine::tensor::Tensor;
use crate::error::{ConfigError, Error, Remedy, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::flops;
use crate::network::mask::Mask;
use crate::network::model::{Classifier, DropPath, Encoder};

/// What the program takes before it has a network, and small change.
const PROCESS: u64 = 20 << 20;
/// What a run takes on the processor beside its steps: the list of its pictures, threads that load, logs, figures.
const RUN: u64 = 10 << 20;
/// What products and kernels take on a card beside the results, once the card is open.
const ON_CARD: u64 = 96 << 20;

/// Memory in bytes: a fixed part, and one for each image of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Program, weights and, in training, gradients and moments.
    pub fixed: u64,
    /// Features of one image.
    pub per_image: u64,
}

impl Memory {
    /// With `batch` images at a time.
    pub fn with(&self, batch: usize) -> u64 {
        self.fixed.saturating_add(self.per_image.saturating_mul(batch as u64))
    }

    /// The batch and accumulation that make the same update of `update` images, where `free` bytes of
    /// memory are free: the largest batch that leaves three tenths of them for the pictures that are
    /// loaded ahead or kept, and for everybody else. A batch of one where not even that fits.
    pub fn fitting_batch(&self, update: usize, free: u64) -> (usize, usize) {
        self.largest_batch(update, free / 10 * 7)
    }

    fn largest_batch(&self, update: usize, bytes: u64) -> (usize, usize) {
        let most = bytes.saturating_sub(self.fixed) / self.per_image.max(1);
        let most = update.min(usize::try_from(most).unwrap_or(usize::MAX));
        let batch = (1..=most).rev().find(|&batch| update.is_multiple_of(batch)).unwrap_or(1);
        (batch, update / batch)
    }

    /// From the bytes of results at a batch's size, and those of `arenas` arenas; on a card with features of this
    /// element, else on the processor.
    fn of(
        features: Option<Element>,
        layout: &Layout,
        arenas: u64,
        results: impl Fn(usize) -> Result<u64, ConfigError>,
    ) -> Result<Self, ConfigError> {
        // What a plan adds for each image is the same from a few images on, but for rounding.
        let (few, more) = (results(FEW)?, results(2 * FEW)?);
        // Weights that products read are there once more.
        let rounded = if features == Some(Element::Bf16) { layout.bytes() / 2 } else { 0 };
        let per_image = more.saturating_sub(few).div_ceil(FEW as u64);
        let fixed = arenas
            .saturating_mul(layout.bytes())
            .saturating_add(rounded)
            .saturating_add(if features.is_some() { ON_CARD } else { PROCESS })
            .saturating_add(few.saturating_sub((FEW as u64).saturating_mul(per_image)));
        Ok(Self { fixed, per_image })
    }

    /// With the pictures that are loaded, or sent to a card, ahead of their step, and those of the step.
    ///
    /// `erased` is the probability that a box of a picture is replaced by noise, which is sent too.
    fn fed(self, backend: &Backend, data: &DataConfig, channels: usize, erased: f64) -> Self {
        let options = data.train_options(1, 0);
        let values = data.image_size.iter().fold(channels, |all, &side| all.saturating_mul(side));
        let bytes = match backend {
            // Normalized already; threads load ahead, where there are any.
            Backend::Cpu => {
                let ahead = if options.workers > 0 { options.prefetch } else { 0 };
                ((ahead + 1) * size_of::<f32>()) as f64
            }
            Backend::Card(_) => {
                let value = match data.depth {
                    Depth::Eight => size_of::<u8>(),
                    Depth::Deep => size_of::<f32>(),
                };
                // Those that are loaded ahead, and those that are taken.
                let sent = options.prefetch + 1;
                let noise = erased * RandomErasing::new().area.1 * size_of::<f32>() as f64;
                // What is sent takes up to a quarter more, so that its memory is of few sizes.
                1.25 * sent as f64 * (value as f64 + noise) + size_of::<f32>() as f64
            }
        };
        let bytes = (values as f64 * bytes) as u64;
        Self { per_image: self.per_image.saturating_add(bytes), ..self }
    }

    fn with_fixed(self, bytes: u64) -> Self {
        Self { fixed: self.fixed.saturating_add(bytes), ..self }
    }

    /// With what a run takes on the processor beside its steps, and `copies` of `layout`: what a save, a figure, an
    /// evaluation and an export hold of weights and moments beside those that are trained.
    fn copied(self, backend: &Backend, layout: &Layout, copies: u64) -> Self {
        // A card's memory holds none of it.
        let Backend::Cpu = backend else { return self };
        self.with_fixed(copies.saturating_mul(layout.bytes()).saturating_add(RUN))
    }

    /// With what threads work in, for the backward passes of blocks of these sites and channels: each
    /// thread keeps as much as the widest took, and the weights are laid out anew.
    fn in_training(self, blocks: impl Iterator<Item = [usize; 2]>) -> Self {
        let threads = rayon::current_num_threads();
        let values = |[sites, channels]: [usize; 2]| {
            let weights = block::hidden_width(channels).saturating_mul(2 * channels);
            let scratch = block::thread_scratch(FEW * threads, sites, channels);
            scratch.saturating_mul(threads).saturating_add(weights)
        };
        let scratch = blocks.map(values).max().unwrap_or(0).saturating_mul(size_of::<f32>());
        self.with_fixed(scratch as u64)
    }
}

/// Sites of an image and channels of each stage's blocks.
fn stages(model: &ModelConfig, patches: usize) -> impl Iterator<Item = [usize; 2]> {
    flops::stages(model, patches).map(|(sites, width, _)| [sites, width])
}

/// A batch large enough that what each image adds shows.
const FEW: usize = 16;

/// The memory of a pre-training step on images of this height and width, one of `parts` to an update.
///
/// # Errors
/// An image that cannot be cut into patches, or a mask that leaves none.
pub(crate) fn pretraining(
    backend: &Backend,
    model: &ModelConfig,
    decoder: &DecoderConfig,
    masking: &MaskConfig,
    [height, width]: [usize; 2],
    parts: usize,
    taught: bool,
) -> Result<Memory, ConfigError> {
    let grid = model.patch_grid(height, width)?;
    let build = |names: &mut _| {
        let network = Autoencoder::new(names, model, decoder).encoding(masking.encoder);
        network.taught(names, model, taught)
    };
    let patches = grid[0] * grid[1];
    let encoder = stages(model, masking.encoded_patches(patches)?);
    // Weights, gradients and two moments.
    let features = backend.features();
    let memory = Memory::of(features, &Layout::of(build).1, 4, |batch| {
        let indices: Vec<u32> = (0..batch as u32).collect();
        let mask = Mask::random(grid, masking.ratio.bounds()[0], 0, 0, &indices)?;
        let images = [batch, height, width, model.channels];
        let plan =
            module::training_plan(features, build, images, parts > 1, |network, pass, images| {
                if !taught {
                    return network.loss(pass, images, &mask, masking.norm_pix_loss);
                }
                let features = [batch, patches, model.features()];
                let lesson = Tensor::new(vec![0.0; features.iter().product()], features);
                network.taught_loss(pass, images, &mask, masking.norm_pix_loss, (&lesson, 1.0))
            });
        if !taught {
            return Ok(plan.bytes());
        }
        let teacher = |names: &mut _| Encoder::new(names, model);
        let features = (batch * patches * model.features() * size_of::<f32>()) as u64;
        let lesson =
            module::inference_plan(backend.features(), teacher, images, |encoder, pass, images| {
                encoder.forward_grid(pass, images, None)
            });
        Ok(plan.bytes().saturating_add(lesson.bytes()).saturating_add(features))
    })?;
    let memory = match taught {
        // The teacher's weights, and their matrices once more, in the order of kernels.
        true => memory.with_fixed(2 * Layout::of(|names| Encoder::new(names, model)).1.bytes()),
        false => memory,
    };
    Ok(match backend {
        Backend::Cpu => memory.in_training(encoder.chain([[patches, decoder.width]])),
        Backend::Card(_) => memory,
    })
}

/// The memory of a fine-tuning step on images of this height and width, one of `parts` to an update, with a
/// moving average or without.
///
/// # Errors
/// An image that cannot be cut into patches.
pub(crate) fn finetuning(
    backend: &Backend,
    model: &ModelConfig,
    classes: usize,
    [height, width]: [usize; 2],
    parts: usize,
    averaged: bool,
) -> Result<Memory, ConfigError> {
    let [rows, cols] = model.patch_grid(height, width)?;
    let build = |names: &mut _| Classifier::new(names, model, classes);
    let features = backend.features();
    // On a card an evaluation takes a copy of the average.
    let averages = if features.is_some() { 3 } else { 1 };
    let arenas = 4 + averages * u64::from(averaged);
    let memory = Memory::of(features, &Layout::of(build).1, arenas, |batch| {
        let images = [batch, height, width, model.channels];
        let indices: Vec<u32> = (0..batch as u32).collect();
        // Drop path takes memory in some blocks; which images it drops changes nothing.
        let drop = DropPath::new(0.5, model.total_depth(), 0, 0, &indices);
        let plan =
            module::training_plan(features, build, images, parts > 1, |network, pass, images| {
                let logits = network.forward(pass, images, drop.as_ref());
                ops::cross_entropy(pass, logits, &vec![0.0; batch * classes])
            });
        if features.is_none() {
            return Ok(plan.bytes());
        }
        // On a card an evaluation has memory of its own.
        let evaluation =
            module::inference_plan(features, build, images, |network, pass, images| {
                network.forward(pass, images, None)
            });
        Ok(plan.bytes().saturating_add(evaluation.bytes()))
    })?;
    Ok(match backend {
        Backend::Cpu => memory.in_training(stages(model, rows * cols)),
        Backend::Card(_) => memory,
    })
}

/// The memory of a forward pass without gradients.
///
/// # Errors
/// An image that cannot be cut into patches.
pub(crate) fn prediction(
    backend: &Backend,
    model: &ModelConfig,
    classes: usize,
    [height, width]: [usize; 2],
) -> Result<Memory, ConfigError> {
    model.patch_grid(height, width)?;
    let build = |names: &mut _| Classifier::new(names, model, classes);
    let features = backend.features();
    // Weights; on the processor their matrices once more, in the order of its kernels.
    let arenas = if features.is_some() { 1 } else { 2 };
    Memory::of(features, &Layout::of(build).1, arenas, |batch| {
        let images = [batch, height, width, model.channels];
        let plan = module::inference_plan(features, build, images, |network, pass, images| {
            network.forward(pass, images, None)
        });
        Ok(plan.bytes())
    })
}

/// Settings whose memory can be told beforehand.
pub trait Footprint: Settings {
    /// What training with these settings takes of the backend's memory, without the loader's kept pictures.
    ///
    /// # Errors
    /// An image that cannot be cut into patches, or a mask that leaves none.
    fn memory(&self, backend: &Backend) -> Result<Memory, ConfigError>;

    /// How pictures are loaded.
    fn data(&self) -> &DataConfig;

    /// Whether settings that would take more memory than is free are refused.
    fn checks_memory(&self) -> bool;

    /// The optimizer's settings, to change them.
    fn optim_mut(&mut self) -> &mut OptimConfig;
}

impl Footprint for PretrainConfig {
    fn memory(&self, backend: &Backend) -> Result<Memory, ConfigError> {
        let Self { model, decoder, mask, data, optim, .. } = self;
        let parts = optim.accumulation;
        let taught = self.teacher.weight > 0.0;
        let memory = pretraining(backend, model, decoder, mask, data.image_size, parts, taught)?;
        let (_, layout) = Layout::of(|names| {
            Autoencoder::new(names, model, decoder).taught(names, model, taught)
        });
        // Of an export: the network's copy, its values by name, these by another program's names, the file. Of a
        // figure: its network, as it is and laid out for inference, beside what the save before it leaves.
        let copies = 4 + u64::from(self.figures.every_epochs > 0);
        Ok(memory.fed(backend, data, model.channels, 0.0).copied(backend, &layout, copies))
    }

    fn data(&self) -> &DataConfig {
        &self.data
    }

    fn checks_memory(&self) -> bool {
        self.check_memory
    }

    fn optim_mut(&mut self) -> &mut OptimConfig {
        &mut self.optim
    }
}

impl Footprint for FinetuneConfig {
    fn memory(&self, backend: &Backend) -> Result<Memory, ConfigError> {
        let Self { model, data, optim, .. } = self;
        let (parts, averaged) = (optim.accumulation, self.finetune.ema > 0.0);
        let memory = finetuning(backend, model, 1, data.image_size, parts, averaged)?;
        let (_, layout) = Layout::of(|names| Classifier::new(names, model, 1));
        let memory = memory.fed(backend, data, model.channels, self.finetune.erasing);
        // And what the evaluation before it has laid out, and the save between two exports leaves; of an average,
        // one more.
        Ok(memory.copied(backend, &layout, 6 + u64::from(averaged)))
    }

    fn data(&self) -> &DataConfig {
        &self.data
    }

    fn checks_memory(&self) -> bool {
        self.check_memory
    }

    fn optim_mut(&mut self) -> &mut OptimConfig {
        &mut self.optim
    }
}

/// What follows for a run from the memory there is.
pub(crate) struct MemoryCheck {
    /// Bytes of decoded pictures that may be kept: as many as the settings say, or what the run leaves.
    pub(crate) kept: usize,
    /// What is to be told where the memory may not be enough.
    pub(crate) note: Option<String>,
}

/// Refuses settings that would take more memory than there can be, unless they say not to.
///
/// # Errors
/// [`Error::Memory`] with the batch that would fit and the accumulation that keeps the updates the
/// same, where one does.
pub(crate) fn check(config: &impl Footprint, backend: &Backend) -> Result<MemoryCheck> {
    let kept = config.data().train_options(1, 0).cache_bytes;
    let (memory, optim) = (config.memory(backend)?, config.optim());
    let needed = memory.with(optim.batch);
    if config.checks_memory()
        && let Some(free) = backend.memory_at_most()
        && needed > free
    {
        let update = optim.batch.saturating_mul(optim.accumulation);
        let (batch, accumulation) = memory.fitting_batch(update, free);
        let fits = memory.with(batch) <= free && batch < optim.batch;
        let remedy = Remedy { batch: fits.then_some([batch, accumulation]) };
        return Err(Error::Memory { needed, free, remedy });
    }
    // Pictures are kept in the machine's memory, whatever computes.
    let taken = if matches!(backend, Backend::Cpu) { needed } else { 0 };
    let kept = machine::available_memory().map_or(kept, |free| {
        let left = free.saturating_sub(taken) / 10 * 9;
        kept.min(usize::try_from(left).unwrap_or(usize::MAX))
    });
    // Only the processor takes the run's memory from these.
    let left = machine::addresses_left().filter(|_| matches!(backend, Backend::Cpu));
    let scarce = left.filter(|&left| needed > left && config.checks_memory());
    let note = scarce.map(|free| scarcity(needed, free));
    Ok(MemoryCheck { kept, note })
}

/// What is said of a run that has room by the memory that the process has, and not by the addresses that it has taken.
fn scarcity(needed: u64, free: u64) -> String {
    format!(
        "the run takes about {}, and the limit on address space (`ulimit -v`) leaves {} beside what threads \
         have reserved: if it runs out of memory, raise that limit, or use smaller batches or fewer threads \
         (`RAYON_NUM_THREADS`)",
        mib(needed),
        mib(free)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::MaskedEncoder;

    #[test]
    fn the_largest_batch_keeps_the_update() {
        let memory = Memory { fixed: 100, per_image: 10 };
        assert_eq!(memory.largest_batch(64, 100 + 640), (64, 1));
        assert_eq!(memory.largest_batch(64, 100 + 639), (32, 2));
        assert_eq!(memory.largest_batch(60, 100 + 170), (15, 4));
        assert_eq!(memory.largest_batch(64, 50), (1, 64));
    }

    #[test]
    fn a_step_of_twice_the_area_takes_twice_the_features() {
        let model = ModelConfig::default().resolve().unwrap();
        let per_image =
            |size| finetuning(&Backend::Cpu, &model, 1, size, 1, false).unwrap().per_image as f64;
        let ratio = per_image([224, 448]) / per_image([224, 224]);
        assert!((ratio - 2.0).abs() < 0.05, "{ratio}");
    }

    #[test]
    fn the_dense_encoder_takes_memory_for_hidden_patches_too() {
        let mut config = PretrainConfig::default();
        config.model = config.model.resolve().unwrap();
        let per_image =
            |config: &PretrainConfig| config.memory(&Backend::Cpu).unwrap().per_image as f64;
        let sparse = per_image(&config);
        config.mask.encoder = MaskedEncoder::Dense;
        // 49 patches against 19, beside the decoder, which is the same.
        let ratio = per_image(&config) / sparse;
        assert!(1.8 < ratio && ratio < 49.0 / 19.0, "{ratio}");
    }

    #[test]
    fn pictures_that_are_loaded_ahead_and_figures_take_memory() {
        let mut config = PretrainConfig::default();
        config.model = config.model.resolve().unwrap();
        config.data.image_size = [64, 96];
        let memory = |config: &PretrainConfig| config.memory(&Backend::Cpu).unwrap();
        let with = memory(&config);
        let picture = 4 * 3 * 64 * 96;
        let ahead = config.data.train_options(1, 0).prefetch as u64;
        config.data.workers = 0;
        assert_eq!(with.per_image - memory(&config).per_image, ahead * picture);
        let (_, layout) =
            Layout::of(|names| Autoencoder::new(names, &config.model, &config.decoder));
        config.figures.every_epochs = 0;
        assert_eq!(with.fixed - memory(&config).fixed, layout.bytes());
    }

    #[test]
    fn pictures_are_kept_within_what_is_free_where_nothing_is_refused_too() {
        let mut config = PretrainConfig { check_memory: false, ..PretrainConfig::default() };
        config.model = config.model.resolve().unwrap();
        config.data.cache_mib = 1 << 40;
        let kept = check(&config, &Backend::Cpu).unwrap().kept;
        let most = machine::total_memory().unwrap_or(u64::MAX);
        assert!(kept as u64 <= most, "{kept} of {most}");
        // What takes more than there is may begin, and keeps none.
        config.optim.batch = 1 << 30;
        let room = check(&config, &Backend::Cpu).unwrap();
        assert_eq!((room.kept, room.note), (0, None));
        config.check_memory = true;
        assert!(matches!(check(&config, &Backend::Cpu), Err(Error::Memory { .. })));
    }
}
