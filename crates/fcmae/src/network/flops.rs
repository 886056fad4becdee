//! How many multiply-adds a network's convolutions and linear layers need for one image.

use crate::config::{DecoderConfig, ModelConfig};

/// Sites of a patch in the first stage; a quarter of them in each stage after.
pub(crate) const PATCH_SITES: usize = 64;
/// Taps of the depthwise convolution.
const TAPS: usize = 49;

/// Multiply-adds for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MultiplyAdds {
    /// Of the forward pass.
    pub(crate) forward: usize,
    /// The share of the stem in it.
    stem: usize,
}

impl MultiplyAdds {
    /// Of forward and backward pass. Nobody asks for the pixels' gradient.
    pub(crate) fn step(self) -> usize {
        3 * self.forward - self.stem
    }
}

/// The classifier on all `patches`.
pub(crate) fn classifier(model: &ModelConfig, classes: usize, patches: usize) -> MultiplyAdds {
    let encoder = encoder(model, patches);
    MultiplyAdds { forward: encoder.forward + model.features() * classes, ..encoder }
}

/// The masked autoencoder, of whose patches the encoder sees `visible` and the decoder all; only
/// masked ones are predicted.
pub(crate) fn autoencoder(
    model: &ModelConfig,
    decoder: &DecoderConfig,
    [visible, patches]: [usize; 2],
) -> MultiplyAdds {
    let encoder = encoder(model, visible);
    let values = model.patch() * model.patch() * model.channels;
    let projection = visible * model.features() * decoder.width;
    let blocks = decoder.depth * patches * block(decoder.width);
    let prediction = (patches - visible) * decoder.width * values;
    MultiplyAdds { forward: encoder.forward + projection + blocks + prediction, ..encoder }
}

fn encoder(model: &ModelConfig, patches: usize) -> MultiplyAdds {
    let kernel = model.stem_stride * model.stem_stride * model.channels;
    let stem = patches * PATCH_SITES * kernel * model.widths[0];
    let blocks = stages(model, patches).map(|(sites, width, depth)| depth * sites * block(width));
    let narrower = stages(model, patches).map(|(_, width, _)| width);
    let downsamplings = stages(model, patches)
        .skip(1)
        .zip(narrower)
        .map(|((sites, width, _), narrower)| sites * 4 * narrower * width);
    MultiplyAdds { forward: stem + blocks.sum::<usize>() + downsamplings.sum::<usize>(), stem }
}

/// Sites, width and depth of each stage.
pub(crate) fn stages(
    model: &ModelConfig,
    patches: usize,
) -> impl Iterator<Item = (usize, usize, usize)> {
    let sites = [1, 4, 16, 64].map(|fewer| patches * PATCH_SITES / fewer);
    let (widths, depths) = (model.widths, model.depths);
    (0..4).map(move |i| (sites[i], widths[i], depths[i]))
}

/// A block at one site: depthwise, and two linear layers between `width` and four times it.
fn block(width: usize) -> usize {
    TAPS * width + 2 * 4 * width * width
}
