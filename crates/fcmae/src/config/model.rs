//! The network: size, block, channels, classes, stem stride; and the decoder of pre-training.

use fcmae_kernels::grn::{Aggregation, Normalization, Variant};
use fcmae_words::plural;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sizes::Size;
use super::training::{range, without_effect};
use crate::engine::backend::Backend;
use crate::error::ConfigError;

/// The longest side of an image in pixels.
const LONGEST_SIDE: usize = 16_384;

/// The most pixels of an image: 8192 × 8192, of which a step of the smallest network takes tens of GiB.
const MOST_PIXELS: usize = 1 << 26;

/// Refuses an image of a height and width in pixels beyond which nobody trains, and numbers overflow. `setting` is
/// what gave them.
pub(crate) fn check_image(
    [height, width]: [usize; 2],
    setting: &'static str,
) -> Result<(), ConfigError> {
    let sides = [height, width].iter().all(|&side| side <= LONGEST_SIDE);
    if sides && height * width <= MOST_PIXELS {
        return Ok(());
    }
    let (longest, most) = (LONGEST_SIDE, MOST_PIXELS);
    Err(ConfigError::LargeImage { height, width, longest, most, setting })
}

/// Which residual block the network is built from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlockKind {
    /// ConvNeXt V1: no GRN, a learned layer scale after the second linear layer.
    V1,
    /// ConvNeXt V2: GRN after GELU, no layer scale.
    #[default]
    V2,
}

/// How GRN gathers a channel's response over an image's sites (ConvNeXt V2, table 2a).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrnAggregation {
    /// The L2 norm over sites (the published choice).
    #[default]
    L2,
    /// The L1 norm over sites.
    L1,
    /// The mean over sites.
    Average,
}

/// How GRN relates a channel's response to the others' (ConvNeXt V2, table 2b).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrnNormalization {
    /// `G / (mean(G) + eps)` (the published choice).
    #[default]
    Mean,
    /// `(G − mean(G)) / (std(G) + eps)`, the population standard deviation over channels.
    Standardize,
    /// `1 / (sum(G) + eps)`, the same for all channels: channels do not compete.
    Inverse,
    /// `G / (sum(G) + eps)`, as the paper writes the published choice. It differs from `mean` only by a factor and by
    /// epsilon, and is kept for old runs.
    Sum,
}

/// The variants of Global Response Normalization in the paper's ablation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrnConfig {
    /// How GRN gathers the response of a channel.
    pub aggregation: GrnAggregation,
    /// How GRN relates the responses to each other.
    pub normalization: GrnNormalization,
    /// Whether the input is added to the output (`+ x`).
    pub skip: bool,
}

impl GrnConfig {
    /// How kernels call it; `None` is the published form.
    pub fn variant(self) -> Option<Variant> {
        let Self { aggregation, normalization, skip } = self;
        let aggregation = match aggregation {
            GrnAggregation::L2 => Aggregation::L2,
            GrnAggregation::L1 => Aggregation::L1,
            GrnAggregation::Average => Aggregation::Average,
        };
        let normalization = match normalization {
            GrnNormalization::Mean => Normalization::Mean,
            GrnNormalization::Standardize => Normalization::Standardize,
            GrnNormalization::Inverse => Normalization::Inverse,
            GrnNormalization::Sum => Normalization::Sum,
        };
        (self != Self::default()).then_some(Variant { aggregation, normalization, skip })
    }
}

impl Default for GrnConfig {
    fn default() -> Self {
        Self {
            aggregation: GrnAggregation::default(),
            normalization: GrnNormalization::default(),
            skip: true,
        }
    }
}

/// A ConvNeXt encoder; the classifier adds a head with as many outputs as there are classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// A published size: `atto`, `femto`, `pico`, `nano`, `tiny`, `base`, `large` or `huge`; or `custom`.
    pub size: String,
    /// Blocks in each of the four stages; zeros take those of the size.
    pub depths: [usize; 4],
    /// Channels in each of the four stages; zeros take those of the size.
    pub widths: [usize; 4],
    /// The residual block.
    pub block: BlockKind,
    /// The variant of GRN in V2 blocks.
    pub grn: GrnConfig,
    /// Channels of the images.
    pub channels: usize,
    /// Stride and kernel of the stem: 4, 2 or 1. The patch side is 8 times this.
    pub stem_stride: usize,
}

impl Default for ModelConfig {
    fn default() -> Self {
        // Zeros, so that a recipe that names another size alone is whole.
        let mut config = Self::published(Size::Atto);
        (config.depths, config.widths) = ([0; 4], [0; 4]);
        config
    }
}

impl ModelConfig {
    /// ConvNeXt V2 of a published size for RGB images.
    pub fn published(size: Size) -> Self {
        Self {
            size: size.name().to_owned(),
            depths: size.depths(),
            widths: size.widths(),
            block: BlockKind::V2,
            grn: GrnConfig::default(),
            channels: 3,
            stem_stride: 4,
        }
    }

    /// A network of any depths and widths, otherwise as the published ones.
    pub fn custom(depths: [usize; 4], widths: [usize; 4]) -> Self {
        Self { size: "custom".to_owned(), depths, widths, ..Self::default() }
    }

    /// Says of settings that no number of the network depends on.
    pub(super) fn settings_without_effect(&self) -> Option<String> {
        let variant = self.block == BlockKind::V1 && self.grn != GrnConfig::default();
        without_effect([("model.grn", variant)], "blocks of `model.block=\"v1\"` have no GRN")
    }

    /// Fills in depths and widths from a named size and checks every value.
    ///
    /// # Errors
    /// An unknown size, a stem stride other than 4, 2 or 1, or a depth, width or channel count
    /// that is zero or beyond what any network of this family needs.
    pub fn resolve(mut self) -> Result<Self, ConfigError> {
        if self.size != "custom" {
            let size: Size = self.size.parse()?;
            self.size = size.name().to_owned();
            for (key, given, own) in [
                ("model.depths", &mut self.depths, size.depths()),
                ("model.widths", &mut self.widths, size.widths()),
            ] {
                if *given != [0; 4] && *given != own {
                    return Err(ConfigError::Value {
                        key: key.to_owned(),
                        value: format!("{given:?}"),
                        reason: format!(
                            "{size} has {own:?}; set `model.size = \"custom\"` for other numbers"
                        ),
                    });
                }
                *given = own;
            }
        }
        let within = |key, value: usize, most| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange {
                    key,
                    value: value.to_string(),
                    range: format!("1 to {most}"),
                })
            }
        };
        for depth in self.depths {
            within("model.depths", depth, 1_000)?;
        }
        for width in self.widths {
            within("model.widths", width, 65_536)?;
        }
        within("model.channels", self.channels, 1_024)?;
        if ![1, 2, 4].contains(&self.stem_stride) {
            return Err(ConfigError::OutOfRange {
                key: "model.stem_stride",
                value: self.stem_stride.to_string(),
                range: "4, 2 or 1".to_owned(),
            });
        }
        Ok(self)
    }

    /// The side in pixels of a patch, which is one cell of the last stage: the total stride.
    pub fn patch(&self) -> usize {
        8 * self.stem_stride
    }

    /// Channels of the last stage.
    pub fn features(&self) -> usize {
        self.widths[3]
    }

    /// Blocks in all stages.
    pub fn total_depth(&self) -> usize {
        self.depths.iter().sum()
    }

    /// The grid of patches that an image of `height` × `width` pixels is cut into.
    ///
    /// # Errors
    /// A side that is zero or not a multiple of the patch side; an image of more than 16384 pixels along a
    /// side, or 8192 × 8192 in all.
    pub fn patch_grid(&self, height: usize, width: usize) -> Result<[usize; 2], ConfigError> {
        check_image([height, width], "`data.image_size`")?;
        let patch = self.patch();
        let whole = |side: usize| side > 0 && side.is_multiple_of(patch);
        if !whole(height) || !whole(width) {
            return Err(ConfigError::ImageSize {
                height,
                width,
                patch,
                stem_stride: self.stem_stride,
            });
        }
        Ok([height / patch, width / patch])
    }

    /// Refuses a network, with its decoder where it has one, that `backend` does not compute.
    ///
    /// # Errors
    /// On a card, variants of GRN, and widths that are no multiple of 8.
    pub fn check_on(
        &self,
        backend: &Backend,
        decoder: Option<&DecoderConfig>,
    ) -> Result<(), ConfigError> {
        /// Values of bfloat16 that one instruction loads.
        const WHOLE: usize = 8;
        if let Backend::Cpu = backend {
            return Ok(());
        }
        let refused = |key: &str, value: String, reason: &str| {
            let (key, reason) = (key.to_owned(), format!("{reason}: use `--device cpu`"));
            Err(ConfigError::Value { key, value, reason })
        };
        if self.block == BlockKind::V2 && self.grn != GrnConfig::default() {
            let value = format!("{:?}", self.grn);
            return refused("model.grn", value, "variants of GRN only run on the processor");
        }
        let whole = |width: &usize| width.is_multiple_of(WHOLE);
        let reason = "widths of networks on a GPU are multiples of 8";
        if !self.widths.iter().all(whole) {
            return refused("model.widths", format!("{:?}", self.widths), reason);
        }
        match decoder {
            Some(decoder) if !whole(&decoder.width) => {
                refused("decoder.width", decoder.width.to_string(), reason)
            }
            _ => Ok(()),
        }
    }
}

/// The decoder of the masked autoencoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
}

impl DecoderConfig {
    /// What it is, as `a decoder of 1 block, 256 channels wide`.
    pub fn in_words(&self) -> String {
        let Self { width, depth } = self;
        format!("a decoder of {}, {width} channels wide", plural(*depth, "block"))
    }

    /// Checks what a network is built from.
    ///
    /// # Errors
    /// A width of zero, or a width or depth beyond what any network of this family needs.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Self { width, depth } = *self;
        range("decoder.width", (1..=65_536).contains(&width), width, "1 to 65536")?;
        range("decoder.depth", depth <= 1_000, depth, "at most 1000")
    }
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self { width: 512, depth: 1 }
    }
}
