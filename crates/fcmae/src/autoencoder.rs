//! FCMAE: the encoder on visible patches, the decoder, the loss (ConvNeXt V2, section 3.1).

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::{DecoderConfig, ModelConfig};
use crate::decoder::Decoder;
use crate::loss;
use crate::mask::Mask;
use crate::model::Encoder;
use crate::ops;

/// The masked autoencoder.
#[derive(Module, Debug)]
pub struct Autoencoder {
    /// What is kept after pre-training.
    pub encoder: Encoder,
    /// Dropped after pre-training.
    pub decoder: Decoder,
    #[module(skip)]
    patch: usize,
}

impl Autoencoder {
    /// With zero weights until [`init::initialize`](crate::model::init::initialize); `model` is a
    /// resolved configuration.
    pub fn new(model: &ModelConfig, decoder: &DecoderConfig, device: &Device) -> Self {
        Self {
            encoder: Encoder::new(model, device),
            decoder: Decoder::new(model, decoder, device),
            patch: model.patch(),
        }
    }

    /// Pixels predicted at the masked patches, `[N·M, patch²·channels]`, from `patches
    /// [N·L, patch²·channels]`, of which only the visible ones are read.
    pub fn predict(&self, patches: Tensor<2>, mask: &Mask) -> Tensor<2> {
        let values = patches.dims()[1];
        let visible = ops::select_rows(patches, mask.visible_rows());
        let count = visible.dims()[0];
        let (patch, channels) = (self.patch, values / (self.patch * self.patch));
        let pixels = visible.reshape([count, patch, patch, channels]);
        // A patch is 8 × 8 sites in the first stage, whatever the stem stride.
        let features = self.encoder.forward(pixels, mask.sites(8), None, |_, _, _| ());
        self.decoder.forward(features, mask)
    }

    /// The loss of one batch of images `[N, H, W, channels]`: `[1]`.
    pub fn loss(&self, images: Tensor<4>, mask: &Mask, norm_pix_loss: bool) -> Tensor<1> {
        let patches = loss::patchify(images, self.patch);
        let targets = loss::targets(patches.clone(), mask, norm_pix_loss);
        loss::reconstruction(self.predict(patches, mask), targets)
    }
}
