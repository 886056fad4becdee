//! The encoder with a classification head.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::block::DropPath;
use super::encoder::Encoder;
use super::layers::{LayerNorm, Linear};
use crate::config::ModelConfig;

/// Mean over sites, layer norm, linear.
#[derive(Module, Debug)]
pub struct Head {
    /// Over the pooled features.
    pub norm: LayerNorm,
    /// Features to classes.
    pub fc: Linear,
}

/// ConvNeXt for classification.
#[derive(Module, Debug)]
pub struct Classifier {
    /// Everything before the pooling.
    pub encoder: Encoder,
    /// Pooling, norm and the linear layer.
    pub head: Head,
}

impl Classifier {
    /// With zero weights until [`init::initialize`](super::init::initialize).
    pub fn new(config: &ModelConfig, classes: usize, device: &Device) -> Self {
        let head = Head {
            norm: LayerNorm::new(config.features(), device),
            fc: Linear::new(config.features(), classes, device),
        };
        Self { encoder: Encoder::new(config, device), head }
    }

    /// The same with parts of the encoder, from the pixels on, that training leaves as they are: 1 is
    /// the stem and the first stage, 4 the whole encoder.
    pub fn freeze(self, parts: usize) -> Self {
        if parts == 0 {
            return self;
        }
        let Encoder { stem, stages } = self.encoder;
        let stages = stages.into_iter().enumerate();
        let stages = stages.map(|(i, stage)| if i < parts { stage.no_grad() } else { stage });
        let encoder = Encoder { stem: stem.no_grad(), stages: stages.collect() };
        Self { encoder, ..self }
    }

    /// Logits: `[N, H, W, channels]` to `[N, classes]`.
    pub fn forward(&self, images: Tensor<4>, drop: Option<&DropPath>) -> Tensor<2> {
        self.head.fc.forward(self.head_input(images, drop))
    }

    /// One vector an image, `[N, H, W, channels]` to `[N, C]`: what the head's linear layer sees.
    pub fn embed(&self, images: Tensor<4>) -> Tensor<2> {
        self.head_input(images, None)
    }

    fn head_input(&self, images: Tensor<4>, drop: Option<&DropPath>) -> Tensor<2> {
        self.head.norm.forward(pool(self.encoder.forward_grid(images, drop)))
    }

    /// How many classes the head tells apart.
    pub fn classes(&self) -> usize {
        self.head.fc.bias.dims()[0]
    }
}

/// The mean over sites: `[N, S, C]` to `[N, C]`.
pub fn pool(features: Tensor<3>) -> Tensor<2> {
    let [images, _, channels] = features.dims();
    features.mean_dim(1).reshape([images, channels])
}
