//! Features of whole pictures: one vector each, or the maps of every stage for a network on top.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::error::Result;
use crate::model::Encoder;
use crate::model::classifier::pool;
use crate::model::layers::LayerNorm;
use crate::weights::Weights;

/// An encoder, and the head's norm where there is one.
#[derive(Module, Debug)]
pub struct Backbone {
    /// The four stages.
    pub encoder: Encoder,
    /// Absent in weights that were pre-trained only.
    pub head: Option<EmbeddingHead>,
}

/// A head without its classes.
#[derive(Module, Debug)]
pub struct EmbeddingHead {
    /// Over the pooled features.
    pub norm: LayerNorm,
}

impl Backbone {
    /// With zero weights, to be filled.
    pub(crate) fn new(config: &ModelConfig, with_norm: bool, device: &Device) -> Self {
        let norm = || EmbeddingHead { norm: LayerNorm::new(config.features(), device) };
        Self { encoder: Encoder::new(config, device), head: with_norm.then(norm) }
    }

    /// With these weights, without autodiff; decoder and classes are left out.
    ///
    /// # Errors
    /// Weights that lack a part of the encoder, or are of another network.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let with_norm = weights.tensors.get("head.norm.weight").is_some();
        weights.fill_backbone(Self::new(&weights.description.model, with_norm, device))
    }

    /// The four stages' features of images `[N, H, W, channels]`, each `[N, H/s, W/s, C]` with the
    /// strides `s` of 4, 8, 16 and 32 pixels (for the published stem stride of 4), before any norm.
    pub fn maps(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        self.encoder.maps(images)
    }

    /// One vector an image: `[N, H, W, channels]` to `[N, C]`. The mean over the last stage's sites,
    /// and the head's norm of it where there is one, as timm gives it before the classes.
    pub fn embed(&self, images: Tensor<4>) -> Tensor<2> {
        let pooled = pool(self.encoder.forward_grid(images, None));
        match &self.head {
            Some(head) => head.norm.forward(pooled),
            None => pooled,
        }
    }
}
