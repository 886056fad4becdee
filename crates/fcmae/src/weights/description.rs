//! What weights are of.

use fcmae_data::{Depth, EvalResize, EvalTransform, Normalization, PixelFormat};
use serde::{Deserialize, Serialize, Serializer};

use super::adapt;
use crate::config::{BlockKind, DataConfig, DecoderConfig, MaskConfig, ModelConfig};

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
    /// Height and width in pixels that the network was trained at.
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
}

/// 0.485 for what in float64 would be 0.48500001430511475.
pub(crate) fn decimals(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| v.to_string().parse().unwrap_or(f64::from(*v))).collect()
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
        }
    }

    /// How pixels become the network's input.
    pub fn normalization(&self) -> Normalization {
        Normalization { mean: self.mean.clone(), std: self.std.clone() }
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
