//! FCMAE: the encoder on visible patches, the decoder, the loss (ConvNeXt V2, section 3.1); and, for continued
//! pre-training, what a frozen teacher adds to the loss (arXiv 2302.04476).

use crate::config::{DecoderConfig, MaskedEncoder, ModelConfig};
use crate::engine::ops::{self, Filler};
use crate::engine::parameters::Names;
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;
use crate::network::decoder::Decoder;
use crate::network::loss;
use crate::network::mask::Mask;
use crate::network::model::Encoder;
use crate::network::model::layers::Linear;

/// The first part of the projection's names, where there is one.
pub(crate) const PROJECTION: &str = "teacher.projection";

/// The masked autoencoder.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    /// What is kept after pre-training.
    pub encoder: Encoder,
    /// Dropped after pre-training.
    pub decoder: Decoder,
    /// Features to what is compared with a teacher's, `[C, C]`. Dropped after pre-training.
    pub projection: Option<Linear>,
    patch: usize,
    encoding: MaskedEncoder,
}

impl Autoencoder {
    /// With the sparse encoder until [`encoding`](Self::encoding); `model` is a resolved configuration.
    pub fn new(names: &mut Names, model: &ModelConfig, decoder: &DecoderConfig) -> Self {
        Self {
            encoder: Encoder::new(names, model),
            decoder: Decoder::new(names, model, decoder),
            projection: None,
            patch: model.patch(),
            encoding: MaskedEncoder::Sparse,
        }
    }

    /// The same network with this encoder, on the same weights.
    pub fn encoding(self, encoding: MaskedEncoder) -> Self {
        Self { encoding, ..self }
    }

    /// The same network where it is taught by one of the same features: with a projection that is trained.
    pub fn taught(self, names: &mut Names, model: &ModelConfig, is_taught: bool) -> Self {
        if !is_taught {
            return self;
        }
        let features = model.features();
        let projection = names.within(PROJECTION, |names| Linear::new(names, features, features));
        Self { projection: Some(projection), ..self }
    }

    /// Pixels predicted at the masked patches, `[N·M, patch²·channels]`, from `patches
    /// [N·L, patch²·channels]`, of which only the visible ones are read.
    pub fn predict(&self, pass: &mut Pass<'_>, patches: Tensor, mask: &Mask) -> Tensor {
        let features = self.encode(pass, patches, mask);
        self.decoder.forward(pass, features, mask)
    }

    /// The visible patches' features `[N, V, C]`, from all patches `[N·L, patch²·channels]`.
    fn encode(&self, pass: &mut Pass<'_>, patches: Tensor, mask: &Mask) -> Tensor {
        let visible = ops::select_rows(pass, patches, mask.visible_rows(), Filler::None);
        match self.encoding {
            MaskedEncoder::Sparse => self.encode_visible(pass, visible, mask),
            MaskedEncoder::Dense => self.encode_filled(pass, visible, mask),
        }
    }

    /// Visible patches `[N·V, patch²·channels]` to their features `[N, V, C]`, computed at their sites
    /// alone.
    fn encode_visible(&self, pass: &mut Pass<'_>, visible: Tensor, mask: &Mask) -> Tensor {
        let [count, values] = visible.dims();
        let (patch, channels) = (self.patch, values / (self.patch * self.patch));
        let pixels = visible.reshape([count, patch, patch, channels]);
        // A patch is 8 × 8 sites in the first stage, whatever the stem stride.
        self.encoder.forward(pass, pixels, mask.sites(8), None, |_, _, _| ())
    }

    /// As [`encode_visible`](Self::encode_visible), computed on the whole images with zeros in the hidden
    /// patches.
    fn encode_filled(&self, pass: &mut Pass<'_>, visible: Tensor, mask: &Mask) -> Tensor {
        let [count, values] = visible.dims();
        let [rows, cols] = mask.grid();
        let sources = mask.cell_sources(count as u32);
        let filled = ops::select_rows(pass, visible, sources, Filler::Zeros);
        let windows = filled.reshape([mask.images(), rows, cols, values]);
        let images = ops::depth_to_space(pass, windows, self.patch);
        let features = self.encoder.forward_grid(pass, images, None);
        // In the last stage a patch is one site.
        let [images, patches, channels] = features.dims();
        let sites = features.reshape([images * patches, channels]);
        let visible = ops::select_rows(pass, sites, mask.visible_rows(), Filler::None);
        visible.reshape([images, mask.visible_per_image(), channels])
    }

    /// The loss of one batch of images `[N, H, W, channels]`: `[1]`.
    pub fn loss(
        &self,
        pass: &mut Pass<'_>,
        images: Tensor,
        mask: &Mask,
        norm_pix_loss: bool,
    ) -> Tensor {
        let patches = loss::patchify(pass, images, self.patch);
        let targets = loss::targets(pass, patches.clone(), mask, norm_pix_loss);
        let predictions = self.predict(pass, patches, mask);
        ops::mean_squared_difference(pass, predictions, targets)
    }

    /// As [`loss`](Self::loss), and `weight` times the mean over visible patches of 1 − cos between the encoder's
    /// features, projected, and a teacher's of the whole images, `taught [N, L, C]`.
    ///
    /// # Panics
    /// Without a projection (see [`taught`](Self::taught)), or where the teacher's features are others.
    pub fn taught_loss(
        &self,
        pass: &mut Pass<'_>,
        images: Tensor,
        mask: &Mask,
        norm_pix_loss: bool,
        (taught, weight): (&Tensor, f32),
    ) -> Tensor {
        let projection =
            self.projection.as_ref().expect("a network that is taught has a projection");
        let patches = loss::patchify(pass, images, self.patch);
        let targets = loss::targets(pass, patches.clone(), mask, norm_pix_loss);
        let features = self.encode(pass, patches, mask);
        let [images, visible, channels] = features.dims();
        let rows = |tensor: Tensor, patches: usize| tensor.reshape([images * patches, channels]);
        let taught = rows(taught.clone(), mask.patches());
        let taught = ops::select_rows(pass, taught, mask.visible_rows(), Filler::None);
        let projected = projection.forward(pass, rows(features.clone(), visible));
        let apart = ops::cosine_distance(pass, projected, taught, weight);
        let predictions = self.decoder.forward(pass, features, mask);
        let pixels = ops::mean_squared_difference(pass, predictions, targets);
        let sum = |tensor: Tensor| tensor.reshape([1, 1, 1]);
        let both = ops::residual(pass, sum(pixels), sum(apart), Some([weight].into()));
        both.reshape([1])
    }
}
