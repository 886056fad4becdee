//! FCMAE: the encoder on visible patches, the decoder, the loss (ConvNeXt V2, section 3.1).

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::{DecoderConfig, MaskedEncoder, ModelConfig};
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
    #[module(skip)]
    encoding: MaskedEncoder,
}

impl Autoencoder {
    /// With zero weights until [`init::initialize`](crate::model::init::initialize), and with the sparse
    /// encoder until [`encoding`](Self::encoding); `model` is a resolved configuration.
    pub fn new(model: &ModelConfig, decoder: &DecoderConfig, device: &Device) -> Self {
        Self {
            encoder: Encoder::new(model, device),
            decoder: Decoder::new(model, decoder, device),
            patch: model.patch(),
            encoding: MaskedEncoder::Sparse,
        }
    }

    /// The same network with this encoder, on the same weights.
    pub fn encoding(self, encoding: MaskedEncoder) -> Self {
        Self { encoding, ..self }
    }

    /// Pixels predicted at the masked patches, `[N·M, patch²·channels]`, from `patches
    /// [N·L, patch²·channels]`, of which only the visible ones are read.
    pub fn predict(&self, patches: Tensor<2>, mask: &Mask) -> Tensor<2> {
        let visible = ops::select_rows(patches, mask.visible_rows());
        let features = match self.encoding {
            MaskedEncoder::Sparse => self.encode_visible(visible, mask),
            MaskedEncoder::Dense => self.encode_filled(visible, mask),
        };
        self.decoder.forward(features, mask)
    }

    /// Visible patches `[N·V, patch²·channels]` to their features `[N, V, C]`, computed at their sites
    /// alone.
    fn encode_visible(&self, visible: Tensor<2>, mask: &Mask) -> Tensor<3> {
        let [count, values] = visible.dims();
        let (patch, channels) = (self.patch, values / (self.patch * self.patch));
        let pixels = visible.reshape([count, patch, patch, channels]);
        // A patch is 8 × 8 sites in the first stage, whatever the stem stride.
        self.encoder.forward(pixels, mask.sites(8), None, |_, _, _| ())
    }

    /// As [`encode_visible`](Self::encode_visible), computed on the whole images with zeros in the hidden
    /// patches.
    fn encode_filled(&self, visible: Tensor<2>, mask: &Mask) -> Tensor<3> {
        let [count, values] = visible.dims();
        let [rows, cols] = mask.grid();
        // The zeros are one more row, from which every hidden patch is filled.
        let zeros = Tensor::zeros([1, values], &visible.device());
        let filled =
            ops::select_rows(Tensor::cat(vec![visible, zeros], 0), mask.cell_sources(count as u32));
        let windows = filled.reshape([mask.images(), rows, cols, values]);
        let features = self.encoder.forward_grid(ops::depth_to_space(windows, self.patch), None);
        // In the last stage a patch is one site.
        let [images, patches, channels] = features.dims();
        let sites = features.reshape([images * patches, channels]);
        let visible = ops::select_rows(sites, mask.visible_rows());
        visible.reshape([images, mask.visible_per_image(), channels])
    }

    /// The loss of one batch of images `[N, H, W, channels]`: `[1]`.
    pub fn loss(&self, images: Tensor<4>, mask: &Mask, norm_pix_loss: bool) -> Tensor<1> {
        let patches = loss::patchify(images, self.patch);
        let targets = loss::targets(patches.clone(), mask, norm_pix_loss);
        loss::reconstruction(self.predict(patches, mask), targets)
    }
}
