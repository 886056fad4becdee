//! The decoder: visible features and a mask token on the grid, one block, predicted pixels.

use fcmae_kernels::Sites;

use crate::config::{BlockKind, DecoderConfig, GrnConfig, ModelConfig};
use crate::engine::ops::{self, Filler};
use crate::engine::parameters::{Names, Parameter};
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;
use crate::network::mask::Mask;
use crate::network::model::Block;
use crate::network::model::layers::Linear;

/// Predicts the pixels of masked patches from the encoder's visible features.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Stands at every masked place of the grid, `[width]`.
    pub mask_token: Parameter,
    /// Encoder features to the decoder's width.
    pub proj: Linear,
    /// Dense blocks on the grid of patches.
    pub blocks: Vec<Block>,
    /// Width to patch² · channels.
    pub pred: Linear,
}

impl Decoder {
    /// For the encoder that `model`, a resolved configuration, describes.
    pub fn new(names: &mut Names, model: &ModelConfig, config: &DecoderConfig) -> Self {
        let (features, width) = (model.features(), config.width);
        let values = model.patch() * model.patch() * model.channels;
        names.within("decoder", |names| Self {
            mask_token: names.parameter("mask_token", [width]),
            proj: names.within("proj", |names| Linear::new(names, features, width)),
            // V2 blocks whatever the encoder's: what is compared is the encoder.
            blocks: (0..config.depth)
                .map(|block| {
                    names.within(format!("blocks.{block}"), |names| {
                        Block::new(names, width, BlockKind::V2, GrnConfig::default())
                    })
                })
                .collect(),
            pred: names.within("pred", |names| Linear::new(names, width, values)),
        })
    }

    /// Predictions at the masked patches: features `[N, V, C]` of the visible patches to
    /// `[N·M, patch²·channels]`, in the order of [`Mask::masked`].
    pub fn forward(&self, pass: &mut Pass<'_>, visible: Tensor, mask: &Mask) -> Tensor {
        let [images, patches, _] = visible.dims();
        let [height, width] = mask.grid();
        let sites = Sites::Grid { height, width };
        let x = self.proj.forward(pass, visible);
        let channels = x.shape().last();
        let x = x.reshape([images * patches, channels]);
        // The token fills every masked cell.
        let sources = mask.cell_sources((images * patches) as u32);
        let x = ops::select_rows(pass, x, sources, Filler::Parameter(self.mask_token));
        let mut x = x.reshape([images, mask.patches(), channels]);
        for block in &self.blocks {
            x = block.forward(pass, x, &sites, None);
        }
        let x = x.reshape([images * mask.patches(), channels]);
        let x = ops::select_rows(pass, x, mask.masked_rows(), Filler::None);
        self.pred.forward(pass, x)
    }
}
