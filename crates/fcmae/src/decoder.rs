//! The decoder: visible features and a mask token on the grid, one block, predicted pixels.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use fcmae_kernels::Sites;

use crate::config::{BlockKind, DecoderConfig, GrnConfig, ModelConfig};
use crate::mask::Mask;
use crate::model::Block;
use crate::model::layers::Linear;
use crate::ops;

/// Predicts the pixels of masked patches from the encoder's visible features.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Stands at every masked place of the grid, `[width]`.
    pub mask_token: Param<Tensor<1>>,
    /// Encoder features to the decoder's width.
    pub proj: Linear,
    /// Dense blocks on the grid of patches.
    pub blocks: Vec<Block>,
    /// Width to patch² · channels.
    pub pred: Linear,
}

impl Decoder {
    /// With zero weights until [`init::initialize`](crate::model::init::initialize).
    pub fn new(model: &ModelConfig, config: &DecoderConfig, device: &Device) -> Self {
        let values = model.patch() * model.patch() * model.channels;
        // V2 blocks whatever the encoder's: what is compared is the encoder.
        let block = |_| Block::new(config.width, BlockKind::V2, GrnConfig::default(), device);
        Self {
            mask_token: Param::from_tensor(Tensor::zeros([config.width], device)),
            proj: Linear::new(model.features(), config.width, device),
            blocks: (0..config.depth).map(block).collect(),
            pred: Linear::new(config.width, values, device),
        }
    }

    /// Predictions at the masked patches: features `[N, V, C]` of the visible patches to
    /// `[N·M, patch²·channels]`, in the order of [`Mask::masked`].
    pub fn forward(&self, visible: Tensor<3>, mask: &Mask) -> Tensor<2> {
        let [images, patches, _] = visible.dims();
        let [height, width] = mask.grid();
        let sites = Sites::Grid { height, width };
        let projected = self.proj.forward(visible);
        let channels = projected.dims()[2];
        let rows = projected.reshape([images * patches, channels]);
        // The token is one more row, from which every masked cell is filled.
        let rows = Tensor::cat(vec![rows, self.mask_token.val().reshape([1, channels])], 0);
        let sources = mask.cell_sources((images * patches) as u32);
        let mut x = ops::select_rows(rows, sources).reshape([images, mask.patches(), channels]);
        for block in &self.blocks {
            x = block.forward(x, &sites, None);
        }
        let grid = x.reshape([images * mask.patches(), channels]);
        self.pred.forward(ops::select_rows(grid, mask.masked_rows()))
    }
}
