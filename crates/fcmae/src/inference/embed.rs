//! Features of whole pictures: one vector each, or the maps of every stage for a network on top.

use fcmae_cuda::CudaError;

use crate::config::ModelConfig;
use crate::engine::module::Network;
use crate::engine::ops;
use crate::engine::parameters::Names;
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;
use crate::error::Result;
use crate::network::model::Encoder;
use crate::network::model::layers::LayerNorm;
use crate::weights::Weights;

/// An encoder, and the head's norm where there is one.
#[derive(Clone, Debug)]
pub struct Backbone {
    /// The four stages.
    pub encoder: Encoder,
    /// Over the pooled features; absent in weights that were pre-trained only.
    pub norm: Option<LayerNorm>,
}

impl Backbone {
    fn new(names: &mut Names, config: &ModelConfig, with_norm: bool) -> Self {
        Self {
            encoder: Encoder::new(names, config),
            norm: with_norm.then(|| {
                names.within("head.norm", |names| LayerNorm::new(names, config.features()))
            }),
        }
    }

    /// One vector an image: `[N, H, W, channels]` to `[N, C]`. The mean over the last stage's sites,
    /// and the head's norm of it where there is one, as timm gives it before the classes.
    pub fn forward(&self, pass: &mut Pass<'_>, images: Tensor) -> Tensor {
        let features = self.encoder.forward_grid(pass, images, None);
        let pooled = ops::pool(pass, features);
        match &self.norm {
            Some(norm) => norm.forward(pass, pooled),
            None => pooled,
        }
    }
}

impl Network<Backbone> {
    /// With these weights; decoder and classes are left out.
    ///
    /// # Errors
    /// Weights that lack a part of the encoder, or are of another network.
    pub fn open(weights: &Weights) -> Result<Self> {
        let with_norm = weights.tensors.get("head.norm.weight").is_some();
        weights.check_encoder()?;
        let model = &weights.description.model;
        let mut network = Self::new(|names| Backbone::new(names, model, with_norm));
        weights.fill_backbone(network.weights_mut())?;
        Ok(network)
    }

    /// The four stages' features of images `[N, H, W, channels]`, each `[N, H/s, W/s, C]` with the
    /// strides `s` of 4, 8, 16 and 32 pixels (for the published stem stride of 4), before any norm.
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// As [`Encoder::grid`].
    pub fn maps(&self, images: &Tensor) -> Result<[Tensor; 4], CudaError> {
        self.infer_all(|backbone, pass| backbone.encoder.maps(pass, images.clone()))
    }

    /// One vector an image: see [`Backbone::forward`].
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// As [`Encoder::grid`].
    pub fn embed(&self, images: &Tensor) -> Result<Tensor, CudaError> {
        self.infer(|backbone, pass| backbone.forward(pass, images.clone()))
    }
}
