//! What weights are of.

use fcmae_data::{
    Advice, Depth, EvalResize, EvalTransform, Fill, Limits, Normalization, Pages, PixelFormat,
};
use serde::{Deserialize, Serialize, Serializer};

use super::adapt;
use crate::config::{
    BlockKind, DataConfig, DecoderConfig, MaskConfig, ModelConfig, is_mean_of_pixels,
    is_std_of_pixels,
};

/// All that is needed to use weights, beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The encoder.
    pub model: ModelConfig,
    /// The decoder and masking, where the weights are of a whole autoencoder.
    pub decoder: Option<(DecoderConfig, MaskConfig)>,
    /// Class names in the order of the logits; empty without a head.
    pub classes: Vec<String>,
    /// Whether the classes are called 0, 1 and so on for want of names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nameless: bool,
    /// Height and width of the network's input in pixels.
    pub image_size: [usize; 2],
    /// How a picture is brought to that size in evaluation; `None` for the published way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<EvalResize>,
    /// How fine the values of its pictures are.
    #[serde(default, skip_serializing_if = "is_eight")]
    pub depth: Depth,
    /// Mean of each channel.
    #[serde(serialize_with = "short_decimals")]
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    #[serde(serialize_with = "short_decimals")]
    pub std: Vec<f32>,
    /// The most pixels of a picture.
    #[serde(default = "usual_pixels", skip_serializing_if = "are_usual")]
    pub max_pixels: u64,
    /// Which pages of a file are pictures.
    #[serde(default, skip_serializing_if = "is_first")]
    pub pages: Pages,
    /// How invalid values are filled.
    #[serde(default, skip_serializing_if = "is_refuse")]
    pub fill: Fill,
}

/// What is done to the values of a deep picture's file before anything else. Weights don't say of which kind
/// their files were.
pub(crate) const DEEP_VALUES: &str = "divide unsigned whole numbers by the largest that their kind holds (65535 for 16 bits, 255 for 8), and \
     leave signed numbers and floats as they are";

/// 0.485 for what in float64 would be 0.48500001430511475.
pub(crate) fn decimals(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| v.to_string().parse().unwrap_or(f64::from(*v))).collect()
}

fn usual_pixels() -> u64 {
    Limits::default().pixels
}

fn are_usual(pixels: &u64) -> bool {
    *pixels == usual_pixels()
}

fn is_first(pages: &Pages) -> bool {
    *pages == Pages::First
}

fn is_refuse(fill: &Fill) -> bool {
    *fill == Fill::Refuse
}

fn is_eight(depth: &Depth) -> bool {
    *depth == Depth::Eight
}

fn short_decimals<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    decimals(values).serialize(serializer)
}

impl Description {
    /// Of a network trained with these settings.
    pub fn new(model: &ModelConfig, data: &DataConfig) -> Self {
        Self {
            model: model.clone(),
            decoder: None,
            classes: Vec::new(),
            nameless: false,
            image_size: data.image_size,
            resize: None,
            depth: data.depth,
            mean: data.mean.clone(),
            std: data.std.clone(),
            max_pixels: data.max_pixels,
            pages: data.pages,
            fill: data.fill,
        }
    }

    /// Makes the size of the pictures the nearest that can be cut into patches: other programs cut off what is
    /// left. A sentence for the user where it was another.
    pub(super) fn fit_image(&mut self) -> Option<String> {
        let patch = self.model.patch();
        let given = self.image_size;
        let nearest = |side: usize| {
            let below = side / patch;
            let up = side % patch > patch / 2;
            (below + usize::from(up)).max(1).saturating_mul(patch)
        };
        self.image_size = given.map(|side| match side % patch {
            0 => side,
            _ => nearest(side),
        });
        let [height, width] = self.image_size;
        (self.image_size != given).then(|| {
            format!(
                "its pictures are of {}×{} pixels, which cannot be cut into patches of {patch}×{patch}: \
                 {height}×{width} is used",
                given[0], given[1]
            )
        })
    }

    /// Checks what a file says beside the encoder and the size of its pictures, before any of it is
    /// built.
    ///
    /// # Errors
    /// What cannot be, in words that follow the file's name.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some((decoder, _)) = &self.decoder {
            decoder.check().map_err(|error| error.to_string())?;
        }
        let channels = self.model.channels;
        if [self.mean.len(), self.std.len()] != [channels; 2] {
            return Err(format!(
                "its description has the mean {:?} and the deviation {:?}, and pictures of {channels} \
                 channels: give one number of each for each channel",
                self.mean, self.std
            ));
        }
        let sound = self.mean.iter().all(|&mean| is_mean_of_pixels(mean))
            && self.std.iter().all(|&std| is_std_of_pixels(std));
        if self.depth == Depth::Eight && !sound {
            return Err(format!(
                "its description has the mean {:?} and the deviation {:?}, but pixels go from 0 to 1: divide \
                 values of 0 to 255 by 255",
                self.mean, self.std
            ));
        }
        Ok(())
    }

    /// How pixels become the network's input.
    pub fn normalization(&self) -> Normalization {
        Normalization { mean: self.mean.clone(), std: self.std.clone() }
    }

    /// What pictures may cost that the weights are used on, and how their invalid values are filled. Messages advise
    /// nothing about settings, which are the weights'.
    pub fn limits(&self) -> Limits {
        let advice = Advice::Pictures;
        Limits { fill: self.fill, advice, ..Limits::of_pixels(self.max_pixels) }
    }

    /// What its pictures are decoded to.
    pub fn format(&self) -> PixelFormat {
        PixelFormat { channels: self.model.channels as u32, depth: self.depth }
    }

    /// The same for pictures of another number of channels: the averages for one, else the channels'
    /// values one after the other again and again.
    pub fn normalization_for(&self, channels: usize) -> Normalization {
        match channels == self.model.channels {
            true => self.normalization(),
            false => adapt::normalization(&self.normalization(), channels),
        }
    }

    /// How a picture becomes one of the network's size in evaluation.
    pub fn transform(&self) -> EvalTransform {
        let [height, width] = self.image_size.map(|side| side as u32);
        let published = EvalTransform::new(height, width);
        EvalTransform { resize: self.resize.unwrap_or(published.resize), ..published }
    }

    /// What the network is called: timm's name, or `convnextv2_custom` for other depths and widths.
    pub fn name(&self) -> String {
        format!("{}_{}", self.family(), self.model.size)
    }

    /// `convnext` or `convnextv2`.
    pub(crate) fn family(&self) -> &'static str {
        match self.model.block {
            BlockKind::V1 => "convnext",
            BlockKind::V2 => "convnextv2",
        }
    }
}
