//! What a pre-training or fine-tuning run is made of.

use fcmae_data::{
    Amount, DataError, Depth, Fill, Grouping, Labels, Limits, LoaderOptions, Mix, Normalization,
    Opening, Pages, PixelFormat, RandAugment, RandomErasing, RandomResizedCrop, Transform,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mask::MaskConfig;
use super::model::{DecoderConfig, ModelConfig, check_image};
use super::settings::Settings;
use super::training::{OnNan, OptimConfig, SaveConfig, not_negative, range, without_effect};
use crate::engine::backend::Precision;
use crate::engine::device::Device;
use crate::error::ConfigError;

/// How pictures become batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Height and width of the network's input in pixels: multiples of the patch side (8 × `model.stem_stride`), at most
    /// 16384 each, and at most 67108864 pixels (8192 × 8192) in all. In fine-tuning, `[0, 0]` takes the size of the
    /// weights, or 224 × 224 from scratch.
    pub image_size: [usize; 2],
    /// Random resized crop: smallest and largest share of the picture's area.
    pub crop_scale: [f64; 2],
    /// Probability of a horizontal flip.
    pub flip: f64,
    /// Depth of the pictures: `eight` bits with 1 or 3 channels, or `deep`, float32 with any number of channels.
    #[schemars(with = "String")]
    pub depth: Depth,
    /// Mean of each channel, for values from 0 to 1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, for values from 0 to 1.
    pub std: Vec<f32>,
    /// Threads that decode and augment ahead; 0 uses the training thread.
    pub workers: usize,
    /// Whether training decodes large JPEG files at half, a quarter or an eighth of their size if no crop needs more
    /// pixels.
    pub reduced_decode: bool,
    /// Memory for decoded pictures in MiB, so that small sets are decoded only once.
    pub cache_mib: usize,
    /// Largest share of pictures that may be unreadable or missing. Beyond it the run stops.
    pub max_bad_fraction: f64,
    /// Fine-tuning: groups of pictures that are held out together or not at all, such as those of a patient, a site
    /// or a film. A regular expression that finds a group's name in each picture's path, such as `film[0-9]+`. If it
    /// has parentheses, the name is what they match. Empty if each picture is independent. With `--held-out`, no
    /// group may be on both sides.
    pub group: String,
    /// The same as `data.group`, but from a column of lists and Parquet files, such as `patient`; empty for none. A
    /// picture with an empty cell is independent.
    pub group_column: String,
    /// Pages of TIFF files that count as pictures: the `first`, or `all`, each as a picture of its own, for the
    /// slices and time points of microscopy. The third page of `film.tif` is called `film.tif#3`. Reduced copies and masks
    /// do not count. The pages of a file are held out together or not at all.
    #[schemars(with = "String")]
    pub pages: Pages,
    /// Largest number of pixels. Larger pictures are left out. It also limits their memory: 512 MiB for 100 million
    /// pixels, four bytes per value for deep ones.
    pub max_pixels: u64,
    /// Value for NaN, infinity, and what a TIFF file declares as no data. `refuse` leaves out pictures with NaN and
    /// makes declared values 0. `mean` takes the mean of the channel's other values in the picture. A number is taken
    /// as it is; for 8-bit pictures it is from 0 to 1.
    #[schemars(with = "String")]
    pub fill: Fill,
    /// Column of labels in lists and Parquet files; empty for the one with a usual name, such as `label` or `class`.
    pub label_column: String,
    /// Column of pictures in Parquet files, or of their paths in lists; empty for the one with a usual name, such as
    /// `image` or `path`.
    pub image_column: String,
}

impl Default for DataConfig {
    fn default() -> Self {
        let Normalization { mean, std } = Normalization::imagenet_rgb();
        Self {
            image_size: [224, 224],
            crop_scale: [0.2, 1.0],
            flip: 0.5,
            depth: Depth::Eight,
            mean,
            std,
            workers: 1,
            reduced_decode: true,
            cache_mib: 1024,
            max_bad_fraction: 0.1,
            group: String::new(),
            group_column: String::new(),
            pages: Pages::First,
            max_pixels: Limits::default().pixels,
            fill: Fill::Refuse,
            label_column: String::new(),
            image_column: String::new(),
        }
    }
}

/// Pictures of what a network in pre-training makes of hidden patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FiguresConfig {
    /// Epochs between reconstructions; 0 for none.
    pub every_epochs: u64,
    /// Pictures to show, evenly spaced over the set; always the same ones with the same masks.
    pub pictures: usize,
}

impl Default for FiguresConfig {
    fn default() -> Self {
        Self { every_epochs: 20, pictures: 6 }
    }
}

/// A look, on the way, at labelled pictures (`--watch`): how well the encoder's frozen features separate their classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchConfig {
    /// Epochs between measurements. 0 means 20 measurements over the run, or fewer if they would read more than one
    /// watched picture for every 20 trained on.
    pub every_epochs: u64,
    /// Largest number of watched pictures, at least 4: the same share of each class, and the same pictures in every
    /// run. Half are learned from, half are tested.
    pub pictures: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { every_epochs: 0, pictures: 2000 }
    }
}

impl WatchConfig {
    fn check(&self) -> Result<(), ConfigError> {
        range("watch.pictures", self.pictures >= 4, self.pictures, "at least 4")
    }
}

/// A pre-training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Seed of all randomness in the run.
    pub seed: u64,
    /// Device: `cpu`, `cuda` (the first GPU), `cuda:1` and so on, or `auto`, which currently means the processor. It
    /// may change when a run is resumed. Results on different devices differ by rounding.
    pub device: String,
    /// Number type of features: `bf16`, `f32`, or `auto` for the best that the device supports. The processor only
    /// supports `f32`.
    pub precision: Precision,
    /// Whether to refuse a run that, by an estimate, needs more memory than is free.
    pub check_memory: bool,
    /// The encoder.
    pub model: ModelConfig,
    /// The decoder.
    pub decoder: DecoderConfig,
    /// Masking and target.
    pub mask: MaskConfig,
    /// Starting from weights (`--from`).
    pub start: StartConfig,
    /// The starting weights as a frozen teacher.
    pub teacher: TeacherConfig,
    /// Pictures.
    pub data: DataConfig,
    /// Optimizer and schedule.
    pub optim: OptimConfig,
    /// Checkpoints.
    pub save: SaveConfig,
    /// Reconstructions.
    pub figures: FiguresConfig,
    /// Measurements on labelled pictures during pre-training (`--watch`).
    pub watch: WatchConfig,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            device: Device::default_name(),
            precision: Precision::Auto,
            check_memory: true,
            model: ModelConfig::default(),
            decoder: DecoderConfig::default(),
            mask: MaskConfig::default(),
            start: StartConfig::default(),
            teacher: TeacherConfig::default(),
            data: DataConfig::default(),
            optim: OptimConfig {
                epochs: 200,
                warmup_epochs: 10.0,
                batch: 64,
                accumulation: 1,
                base_lr: 6e-4,
                min_lr: 0.0,
                weight_decay: 0.05,
                beta1: 0.9,
                beta2: 0.95,
                eps: 1e-8,
                clip_norm: 0.0,
                on_nan: OnNan::Stop,
            },
            save: SaveConfig::default(),
            figures: FiguresConfig::default(),
            watch: WatchConfig::default(),
        }
    }
}

/// What a pre-training that begins from weights adds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartConfig {
    /// Channels of the pictures, if the weights (`--from`) were trained with another number. The stem is adapted. 0
    /// keeps those of the weights. From scratch, use `model.channels`.
    pub channels: usize,
}

impl StartConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let channels = self.channels;
        range("start.channels", channels <= 64, channels, "0 (those of the weights) to 64")
    }
}

/// Continued pre-training with the weights that it began from as a teacher (arXiv 2302.04476).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeacherConfig {
    /// Weight of the teacher's term in the loss, beside that of the pixels; 0 for none. The term is the mean over visible
    /// patches of 1 − cos between two features: those of the last stage, after a linear projection, and those that the
    /// frozen weights of `--from` give for the whole picture. A step takes up to twice as long.
    pub weight: f64,
}

impl TeacherConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let weight = self.weight;
        not_negative("teacher.weight", weight)
    }
}

/// A fine-tuning run, or a supervised one from scratch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Seed of all randomness in the run.
    pub seed: u64,
    /// Device: `cpu`, `cuda` (the first GPU), `cuda:1` and so on, or `auto`, which currently means the processor. It
    /// may change when a run is resumed. Results on different devices differ by rounding.
    pub device: String,
    /// Number type of features: `bf16`, `f32`, or `auto` for the best that the device supports. The processor only
    /// supports `f32`.
    pub precision: Precision,
    /// Whether to refuse a run that, by an estimate, needs more memory than is free.
    pub check_memory: bool,
    /// With `--from`, the network is that of the weights.
    pub model: ModelConfig,
    /// Pictures.
    pub data: DataConfig,
    /// Optimizer and schedule.
    pub optim: OptimConfig,
    /// Fine-tuning only.
    pub finetune: FinetuneOptions,
    /// Checkpoints.
    pub save: SaveConfig,
}

/// What fine-tuning adds to the optimizer and schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinetuneOptions {
    /// Share of the pictures held out to measure the accuracy; 0 for none. Not used with `--held-out`.
    pub held_out: f64,
    /// Labels to use of the pictures that are not held out: a number up to 1 is a share of each class, such as 0.1; a
    /// larger one is a number of pictures over all classes, such as 500.
    pub labels: f64,
    /// Whether every class is seen equally often. Cannot be combined with `finetune.class_weights`, since rare
    /// classes would count twice.
    pub balanced: bool,
    /// Weight of a class in the loss: `none` (all pictures alike), `balanced` (all classes alike), or `sqrt`, which
    /// lies between these two.
    pub class_weights: ClassWeights,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// Drop path's rate at the last block.
    pub drop_path: f64,
    /// Factor on the learning rate from each layer to the one before it; 1 for none.
    pub layer_decay: f64,
    /// Decay of the moving average of the weights, which is evaluated and exported; 0 for none.
    pub ema: f64,
    /// Whether the average follows the weights closely at first, for short runs: after n updates it keeps (1 + n) /
    /// (10 + n) of itself, until that exceeds `finetune.ema`.
    pub ema_warmup: bool,
    /// RandAugment as timm writes it, such as `rand-m9-mstd0.5-inc1`; empty for none.
    pub rand_augment: String,
    /// Probability of filling a box of the picture with noise (random erasing); 0 for none.
    pub erasing: f64,
    /// α of mixup, which blends pictures and labels of a batch in pairs; 0 for none.
    pub mixup: f64,
    /// α of cutmix, which pastes a box of one picture into another; 0 for none. With both, each batch gets one or the
    /// other.
    pub cutmix: f64,
    /// Standard deviation of the new head's weights.
    pub head_std: f64,
    /// GRN of the encoder, compared with the weights: `keep`, `drop` or `add`.
    pub grn: GrnChange,
    /// Channels of the pictures, if the weights were trained with another number. The stem is adapted. 0 keeps those
    /// of the weights. From scratch, use `model.channels`.
    pub channels: usize,
    /// Frozen parts of the encoder, from the input on: 1 for the stem and the first stage, 2 for the second stage
    /// too, up to 4 for the whole encoder, so that only the head learns (linear probing); 0 for none.
    pub freeze: usize,
    /// Epochs between evaluations on the held-out pictures.
    pub evaluate_every: u64,
    /// Training ends after this many evaluations in a row without a better top-1 accuracy; 0 for never.
    pub patience: u64,
}

/// What becomes of GRN between pre-training and fine-tuning (ConvNeXt V2, the ablation of GRN's role in
/// each).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrnChange {
    /// Same as in the weights (the published choice).
    #[default]
    Keep,
    /// Fine-tune weights with GRN without it: V1 blocks with a layer scale of 1.
    Drop,
    /// Fine-tune weights without GRN with it: V2 blocks that start as the pre-trained function.
    Add,
}

impl GrnChange {
    /// As settings have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::Add => "add",
        }
    }

    /// The error that `finetune.grn` cannot be this.
    pub(crate) fn refused(self, reason: String) -> ConfigError {
        ConfigError::Value { key: "finetune.grn".to_owned(), value: self.name().to_owned(), reason }
    }
}

/// How the pictures of a class count in the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// Every picture alike.
    #[default]
    None,
    /// By 1 / pictures of the class: every class alike.
    Balanced,
    /// By 1 / √(pictures of the class).
    Sqrt,
}

impl ClassWeights {
    /// A weight for each class with `counts` pictures, of mean 1 over the pictures; `None` where all
    /// count alike. A class without pictures has weight 0.
    pub fn weights(self, counts: &[usize]) -> Option<Vec<f64>> {
        let power = match self {
            Self::None => return None,
            Self::Balanced => 1.0,
            Self::Sqrt => 0.5,
        };
        let raw = |&count: &usize| if count == 0 { 0.0 } else { (count as f64).powf(-power) };
        let raw: Vec<f64> = counts.iter().map(raw).collect();
        let sum: f64 = raw.iter().zip(counts).map(|(weight, &count)| weight * count as f64).sum();
        let pictures: usize = counts.iter().sum();
        Some(raw.into_iter().map(|weight| weight * pictures as f64 / sum).collect())
    }
}

impl Default for FinetuneConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            device: Device::default_name(),
            precision: Precision::Auto,
            check_memory: true,
            model: ModelConfig::default(),
            data: DataConfig {
                image_size: [0, 0],
                crop_scale: [0.35, 1.0],
                ..DataConfig::default()
            },
            optim: OptimConfig {
                epochs: 100,
                warmup_epochs: 10.0,
                batch: 32,
                accumulation: 1,
                base_lr: 4e-3,
                min_lr: 1e-6,
                weight_decay: 0.05,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                clip_norm: 0.0,
                on_nan: OnNan::Stop,
            },
            finetune: FinetuneOptions {
                held_out: 0.1,
                labels: 1.0,
                balanced: false,
                class_weights: ClassWeights::None,
                label_smoothing: 0.1,
                drop_path: 0.1,
                layer_decay: 0.9,
                ema: 0.0,
                ema_warmup: false,
                rand_augment: String::new(),
                erasing: 0.0,
                mixup: 0.0,
                cutmix: 0.0,
                head_std: 0.02,
                grn: GrnChange::Keep,
                channels: 0,
                freeze: 0,
                evaluate_every: 5,
                patience: 0,
            },
            save: SaveConfig { every_epochs: 10, ..SaveConfig::default() },
        }
    }
}

/// Whether pixels of 0 to 1 can have this mean.
pub(crate) fn is_mean_of_pixels(mean: f32) -> bool {
    (0.0..=1.0).contains(&mean)
}

/// Whether they can have this deviation: less than a fortieth of a level of 256 is none.
pub(crate) fn is_std_of_pixels(std: f32) -> bool {
    std > 1e-4 && std <= 1.0
}

impl DataConfig {
    /// Random resized crop and flip to the network's size.
    pub fn train_transform(&self) -> Transform {
        Transform::Train(self.random_resized_crop())
    }

    fn random_resized_crop(&self) -> RandomResizedCrop {
        let [height, width] = self.image_size.map(|side| side as u32);
        let scale = (self.crop_scale[0], self.crop_scale[1]);
        RandomResizedCrop { scale, flip: self.flip, ..RandomResizedCrop::new(height, width) }
    }

    /// From 8-bit values to the network's.
    pub fn normalization(&self) -> Normalization {
        Normalization { mean: self.mean.clone(), std: self.std.clone() }
    }

    /// How a set of pictures is opened. `listing` is told how many files were looked at, and answers whether to
    /// go on.
    pub fn opening<'a>(
        &'a self,
        labels: Labels<'a>,
        listing: Option<&'a mut dyn FnMut(usize) -> bool>,
    ) -> Opening<'a> {
        let named = |column: &'a String| (!column.is_empty()).then_some(column.as_str());
        let (label_column, image_column) = (named(&self.label_column), named(&self.image_column));
        let pages = self.pages;
        Opening { labels, label_column, image_column, group_column: None, pages, listing }
    }

    /// The channels that the settings speak of, where those of the pictures are `adapted` or, where that is 0, the
    /// network's.
    fn channels(&self, model: &ModelConfig, adapted: usize) -> usize {
        match adapted {
            0 => model.channels,
            // Mean and deviation follow from the weights', unless they are given.
            _ if !self.has_own_normalization() => self.mean.len(),
            channels => channels,
        }
    }

    /// How the loader is to feed a training.
    pub fn train_options(&self, batch: usize, seed: u64) -> LoaderOptions {
        LoaderOptions {
            workers: self.workers,
            depth: self.depth,
            reduced_decode: self.reduced_decode,
            cache_bytes: self.cache_mib.saturating_mul(1 << 20),
            max_bad_fraction: self.max_bad_fraction,
            limits: self.limits(),
            ..LoaderOptions::train(batch, seed)
        }
    }

    /// Which pictures belong together.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for a text that is not a regular expression, or a pattern and a column.
    pub fn grouping(&self) -> Result<Option<Grouping>, DataError> {
        if !self.group_column.is_empty() {
            if !self.group.is_empty() {
                return Err(DataError::Parameter {
                    what: "data.group_column",
                    value: self.group_column.clone(),
                    remedy: format!(
                        "data.group ({}) also says which pictures belong together; set only one of them",
                        self.group
                    ),
                });
            }
            return Ok(Some(Grouping::by_column()));
        }
        (!self.group.is_empty()).then(|| Grouping::parse(&self.group)).transpose()
    }

    /// What pictures may cost, and how their invalid values are filled.
    pub fn limits(&self) -> Limits {
        Limits { fill: self.fill, ..Limits::of_pixels(self.max_pixels) }
    }

    /// Whether mean and deviation are others than the defaults.
    pub(crate) fn has_own_normalization(&self) -> bool {
        let default = Self::default();
        (&self.mean, &self.std) != (&default.mean, &default.std)
    }

    /// `adapts`: the setting that says for how many channels weights are adapted.
    fn check(&self, channels: usize, adapts: &str) -> Result<(), ConfigError> {
        check_image(self.image_size, "`data.image_size`")?;
        let [low, high] = self.crop_scale;
        range(
            "data.crop_scale",
            0.0 < low && low <= high && high <= 1.0,
            format!("[{low}, {high}]"),
            "two shares of the area, 0 < smallest ≤ largest ≤ 1",
        )?;
        range("data.flip", (0.0..=1.0).contains(&self.flip), self.flip, "a probability, 0 to 1")?;
        let positive = self.std.iter().all(|&s| s > 0.0 && s.is_finite());
        let per_channel = self.mean.len() == channels && self.std.len() == channels;
        range(
            "data.mean",
            per_channel,
            format!("{:?}", self.mean),
            &format!(
                "{channels} numbers, one for each of `model.channels` (with --from, of `{adapts}`); the same for data.std"
            ),
        )?;
        range("data.std", positive, format!("{:?}", self.std), "positive numbers")?;
        if self.depth == Depth::Eight {
            let unit = "from 0 to 1, like the pixels: divide values of 0 to 255 by 255";
            range(
                "data.mean",
                self.mean.iter().all(|&mean| is_mean_of_pixels(mean)),
                format!("{:?}", self.mean),
                &format!("numbers of 0 to 1, {unit}"),
            )?;
            range(
                "data.std",
                self.std.iter().all(|&std| is_std_of_pixels(std)),
                format!("{:?}", self.std),
                &format!("numbers of 0.0001 to 1, {unit}"),
            )?;
        }
        range("data.workers", self.workers <= 256, self.workers, "at most 256")?;
        let pixels = (1..=1_000_000_000_000).contains(&self.max_pixels);
        range("data.max_pixels", pixels, self.max_pixels, "1 to 1000000000000")?;
        let format = PixelFormat { channels: channels as u32, depth: self.depth };
        range(
            "model.channels",
            format.check().is_ok(),
            channels,
            "1 or 3, or with data.depth=\"deep\" 1 to 64",
        )?;
        self.grouping().map(drop).map_err(|error| match error {
            DataError::Parameter { what, value, remedy } => {
                ConfigError::Value { key: what.to_owned(), value, reason: remedy }
            }
            error => ConfigError::Value {
                key: "data.group".to_owned(),
                value: self.group.clone(),
                reason: error.to_string(),
            },
        })?;
        range(
            "data.max_bad_fraction",
            (0.0..=1.0).contains(&self.max_bad_fraction),
            self.max_bad_fraction,
            "a share, 0 to 1",
        )
    }
}

impl FinetuneConfig {
    /// Random resized crop and flip to the network's size, and what the settings add.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for a text that is no RandAugment.
    pub fn train_transform(&self) -> Result<Transform, DataError> {
        let erasing = self.finetune.erasing;
        let erasing =
            (erasing > 0.0).then(|| RandomErasing { probability: erasing, ..RandomErasing::new() });
        let rand_augment = self.rand_augment()?;
        let crop = self.data.random_resized_crop();
        Ok(Transform::Train(RandomResizedCrop { rand_augment, erasing, ..crop }))
    }

    fn rand_augment(&self) -> Result<Option<RandAugment>, DataError> {
        let text = self.finetune.rand_augment.as_str();
        let parse = || RandAugment::parse(text, &self.data.normalization());
        (!text.is_empty()).then(parse).transpose()
    }

    /// Says of settings that none of a new run's numbers depends on.
    pub(crate) fn settings_without_effect(&self, holds_out: bool) -> Vec<String> {
        let waits = [("finetune.patience", self.finetune.patience > 0 && !holds_out)];
        let held_out = without_effect(waits, "no picture is held out, so nothing is evaluated");
        held_out.into_iter().chain(self.model.settings_without_effect()).collect()
    }

    /// How many of the pictures to train on are used.
    pub fn labels(&self) -> Amount {
        match self.finetune.labels {
            share if share <= 1.0 => Amount::Fraction(share),
            count => Amount::Count(count as usize),
        }
    }

    /// How a batch is mixed, and its labels smoothed.
    pub fn mix(&self) -> Mix {
        let FinetuneOptions { mixup, cutmix, label_smoothing, .. } = self.finetune;
        Mix { mixup, cutmix, smoothing: label_smoothing, ..Mix::new() }
    }
}

impl PretrainConfig {
    /// Says of settings that none of a new run's numbers depends on.
    pub(crate) fn settings_without_effect(&self, watched: bool) -> Vec<String> {
        let none = WatchConfig::default();
        let DataConfig { label_column, group, group_column, .. } = &self.data;
        let of_labels = [
            ("watch.every_epochs", self.watch.every_epochs != none.every_epochs),
            ("watch.pictures", self.watch.pictures != none.pictures),
            ("data.label_column", !label_column.is_empty()),
            ("data.group", !group.is_empty()),
            ("data.group_column", !group_column.is_empty()),
        ];
        let of_labels = of_labels.map(|(name, given)| (name, given && !watched));
        let labels = without_effect(of_labels, "pre-training uses labels only with --watch");
        labels.into_iter().chain(self.model.settings_without_effect()).collect()
    }
}

impl Settings for PretrainConfig {
    fn resolve(mut self) -> Result<Self, ConfigError> {
        Device::check_name(&self.device)?;
        self.model = self.model.resolve()?;
        let channels = self.data.channels(&self.model, self.start.channels);
        self.data.check(channels, "start.channels")?;
        self.optim.check()?;
        self.save.check()?;
        self.decoder.check()?;
        let shown = self.figures.pictures;
        range("figures.pictures", (1..=64).contains(&shown), shown, "1 to 64")?;
        let [height, width] = self.data.image_size;
        let [rows, cols] = self.model.patch_grid(height, width)?;
        self.mask.ratio.check(rows * cols)?;
        self.start.check()?;
        self.teacher.check()?;
        self.watch.check()?;
        Ok(self)
    }

    fn device(&self) -> Result<Device, ConfigError> {
        Device::choose(&self.device)
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn optim(&self) -> &OptimConfig {
        &self.optim
    }

    fn save(&self) -> &SaveConfig {
        &self.save
    }
}

impl FinetuneOptions {
    fn check(&self) -> Result<(), ConfigError> {
        let options = self;
        range(
            "finetune.held_out",
            (0.0..1.0).contains(&options.held_out),
            options.held_out,
            "0 to 1, without 1",
        )?;
        range(
            "finetune.labels",
            options.labels > 0.0 && (options.labels <= 1.0 || options.labels.fract() == 0.0),
            options.labels,
            "a share above 0, to 1, or a whole number of pictures",
        )?;
        range(
            "finetune.label_smoothing",
            (0.0..1.0).contains(&options.label_smoothing),
            options.label_smoothing,
            "0 to 1, without 1",
        )?;
        range(
            "finetune.drop_path",
            (0.0..1.0).contains(&options.drop_path),
            options.drop_path,
            "0 to 1, without 1",
        )?;
        range(
            "finetune.layer_decay",
            options.layer_decay > 0.0 && options.layer_decay <= 1.0,
            options.layer_decay,
            "above 0, to 1",
        )?;
        range(
            "finetune.channels",
            options.channels <= 64,
            options.channels,
            "0 (those of the weights) to 64",
        )?;
        range(
            "finetune.freeze",
            options.freeze <= 4,
            options.freeze,
            "0 (nothing) to 4 (the encoder)",
        )?;
        range("finetune.ema", (0.0..1.0).contains(&options.ema), options.ema, "0 to 1, without 1")?;
        not_negative("finetune.head_std", options.head_std)?;
        range(
            "finetune.erasing",
            (0.0..=1.0).contains(&options.erasing),
            options.erasing,
            "0 to 1",
        )?;
        range(
            "finetune.evaluate_every",
            options.evaluate_every > 0,
            options.evaluate_every,
            "at least 1",
        )
    }
}

impl Settings for FinetuneConfig {
    fn resolve(mut self) -> Result<Self, ConfigError> {
        Device::check_name(&self.device)?;
        self.model = self.model.resolve()?;
        let channels = self.data.channels(&self.model, self.finetune.channels);
        self.data.check(channels, "finetune.channels")?;
        self.optim.check()?;
        self.save.check()?;
        let options = &self.finetune;
        options.check()?;
        // The rest is checked where it is defined.
        let refused = |key: &str, value: String, error: DataError| ConfigError::Value {
            key: key.to_owned(),
            value,
            reason: error.to_string(),
        };
        let (mixup, cutmix) = (options.mixup, options.cutmix);
        let mixup_alone = Mix { cutmix: 0.0, ..self.mix() }.check();
        mixup_alone.map_err(|error| refused("finetune.mixup", mixup.to_string(), error))?;
        let both = self.mix().check();
        both.map_err(|error| refused("finetune.cutmix", cutmix.to_string(), error))?;
        if let Err(error) = self.rand_augment() {
            return Err(refused("finetune.rand_augment", options.rand_augment.clone(), error));
        }
        Ok(self)
    }

    fn check_new(&self) -> Result<(), ConfigError> {
        let FinetuneOptions { balanced, class_weights, .. } = self.finetune;
        if balanced && class_weights != ClassWeights::None {
            return Err(ConfigError::Value {
                key: "finetune.class_weights".to_owned(),
                value: format!("{class_weights:?}").to_lowercase(),
                reason: "`finetune.balanced` already shows all classes equally often, so rare ones would count \
                    twice: set only one of the two"
                    .to_owned(),
            });
        }
        Ok(())
    }

    fn device(&self) -> Result<Device, ConfigError> {
        Device::choose(&self.device)
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn optim(&self) -> &OptimConfig {
        &self.optim
    }

    fn save(&self) -> &SaveConfig {
        &self.save
    }
}
