//! Features of whole pictures: one vector each, or the maps of every stage for a network on top.

use std::fmt;
use std::str::FromStr;

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

/// Which features stand for a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// The mean over the last stage's sites, with the head's norm of it where the weights have one: what timm gives
    /// before the classes. `[C]`, of the last stage's width.
    Pooled,
    /// The mean over the sites of a stage, 0 to 3, before any norm. `[C]`, of its width.
    Stage(usize),
}

impl Features {
    /// The names that [`from_str`](FromStr::from_str) takes.
    pub const NAMES: [&'static str; 5] = ["pooled", "stage1", "stage2", "stage3", "stage4"];

    /// Values of a vector.
    pub fn width(self, model: &ModelConfig) -> usize {
        match self {
            Self::Pooled => model.features(),
            Self::Stage(stage) => model.widths[stage],
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pooled => f.write_str("pooled"),
            Self::Stage(stage) => write!(f, "stage{}", stage + 1),
        }
    }
}

impl FromStr for Features {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match Self::NAMES.iter().position(|known| *known == name) {
            Some(0) => Ok(Self::Pooled),
            Some(place) => Ok(Self::Stage(place - 1)),
            None => Err(format!("use one of {}", Self::NAMES.join(", "))),
        }
    }
}

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
        let pooled = pooled(&self.encoder, pass, images);
        match &self.norm {
            Some(norm) => norm.forward(pass, pooled),
            None => pooled,
        }
    }
}

/// The mean over the last stage's sites: `[N, H, W, channels]` to `[N, C]`.
pub(super) fn pooled(encoder: &Encoder, pass: &mut Pass<'_>, images: Tensor) -> Tensor {
    let features = encoder.forward_grid(pass, images, None);
    ops::pool(pass, features)
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

    /// The features of one stage, 0 to 3, of images `[N, H, W, channels]`: `[N, H/s, W/s, C]`, as [`maps`](Self::maps)
    /// has it.
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// As [`Encoder::grid`]; if there is no such stage.
    pub fn patches(&self, images: &Tensor, stage: usize) -> Result<Tensor, CudaError> {
        self.infer(|backbone, pass| backbone.encoder.maps(pass, images.clone())[stage].clone())
    }

    /// One vector an image, `[N, H, W, channels]` to `[N, C]`: see [`Features`].
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// As [`Encoder::grid`].
    pub fn vectors(&self, images: &Tensor, features: Features) -> Result<Tensor, CudaError> {
        let Features::Stage(stage) = features else { return self.embed(images) };
        self.infer(|backbone, pass| {
            let maps = backbone.encoder.maps(pass, images.clone());
            let [count, height, width, channels] = maps[stage].dims();
            let sites = maps[stage].clone().reshape([count, height * width, channels]);
            ops::pool(pass, sites)
        })
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
