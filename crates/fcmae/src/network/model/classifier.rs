//! The encoder with a classification head.

use fcmae_cuda::CudaError;

use super::block::DropPath;
use super::encoder::Encoder;
use super::layers::{LayerNorm, Linear};
use crate::config::ModelConfig;
use crate::engine::module::Network;
use crate::engine::ops;
use crate::engine::parameters::Names;
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;

/// Mean over sites, layer norm, linear.
#[derive(Clone, Debug)]
pub struct Head {
    /// Over the pooled features.
    pub norm: LayerNorm,
    /// Features to classes.
    pub fc: Linear,
}

/// ConvNeXt for classification.
#[derive(Clone, Debug)]
pub struct Classifier {
    /// Everything before the pooling.
    pub encoder: Encoder,
    /// Pooling, norm and the linear layer.
    pub head: Head,
}

impl Classifier {
    /// For `classes` classes; `config` is a resolved one.
    pub fn new(names: &mut Names, config: &ModelConfig, classes: usize) -> Self {
        let features = config.features();
        Self {
            encoder: Encoder::new(names, config),
            head: names.within("head", |names| Head {
                norm: names.within("norm", |names| LayerNorm::new(names, features)),
                fc: names.within("fc", |names| Linear::new(names, features, classes)),
            }),
        }
    }

    /// Logits: `[N, H, W, channels]` to `[N, classes]`.
    pub fn forward(&self, pass: &mut Pass<'_>, images: Tensor, drop: Option<&DropPath>) -> Tensor {
        let x = self.head_input(pass, images, drop);
        self.head.fc.forward(pass, x)
    }

    fn head_input(&self, pass: &mut Pass<'_>, images: Tensor, drop: Option<&DropPath>) -> Tensor {
        let features = self.encoder.forward_grid(pass, images, drop);
        let pooled = ops::pool(pass, features);
        self.head.norm.forward(pass, pooled)
    }

    /// How many classes the head tells apart.
    pub fn classes(&self) -> usize {
        self.head.fc.bias.shape().last()
    }
}

impl Network<Classifier> {
    /// Logits: `[N, H, W, channels]` to `[N, classes]`.
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// For an empty batch, or images of other channels than the network's or with sides that are not whole patches.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor, CudaError> {
        self.infer(|module, pass| module.forward(pass, images.clone(), None))
    }

    /// One vector an image, `[N, H, W, channels]` to `[N, C]`: what the head's linear layer sees.
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// As [`logits`](Self::logits).
    pub fn embed(&self, images: &Tensor) -> Result<Tensor, CudaError> {
        self.infer(|module, pass| module.head_input(pass, images.clone(), None))
    }
}
