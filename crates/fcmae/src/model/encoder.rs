//! Stem, four stages, and how features go through them on a grid or on visible patches.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fcmae_kernels::Sites;

use super::block::{Block, DropPath, Hidden};
use super::layers::{LayerNorm, WindowConv};
use crate::config::ModelConfig;

/// A convolution of stride 4 (or 2, or 1) on the pixels, then layer norm.
#[derive(Module, Debug)]
pub struct Stem {
    /// Kernel and stride are the stem stride.
    pub conv: WindowConv,
    /// Over channels.
    pub norm: LayerNorm,
}

/// Layer norm, then a convolution of kernel and stride 2.
#[derive(Module, Debug)]
pub struct Downsample {
    /// Over channels.
    pub norm: LayerNorm,
    /// Halves the sites in each direction.
    pub conv: WindowConv,
}

/// A downsampling (but in the first stage) and blocks of one width.
#[derive(Module, Debug)]
pub struct Stage {
    /// Absent in the first stage.
    pub downsample: Option<Downsample>,
    /// All of one width.
    pub blocks: Vec<Block>,
}

/// ConvNeXt without a head.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Pixels to the first features.
    pub stem: Stem,
    /// The four stages.
    pub stages: Vec<Stage>,
}

/// Features as `P` rectangles of `height × width` sites: one of the whole image on a grid, one for
/// each visible patch on patches.
fn rectangles(x: Tensor<3>, sites: &Sites) -> Tensor<4> {
    let [images, _, channels] = x.dims();
    match sites {
        Sites::Grid { height, width } => x.reshape([images, *height, *width, channels]),
        Sites::Patches(p) => x.reshape([images * p.per_image, p.side, p.side, channels]),
    }
}

impl Encoder {
    /// With zero weights until [`init::initialize`](super::init::initialize); `config` is a
    /// resolved one.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let widths = config.widths;
        let stem = Stem {
            conv: WindowConv::new(config.channels, widths[0], config.stem_stride, device),
            norm: LayerNorm::new(widths[0], device),
        };
        let stages = (0..4)
            .map(|i| Stage {
                downsample: (i > 0).then(|| Downsample {
                    norm: LayerNorm::new(widths[i - 1], device),
                    conv: WindowConv::new(widths[i - 1], widths[i], 2, device),
                }),
                blocks: (0..config.depths[i])
                    .map(|_| Block::new(widths[i], config.block, config.grn, device))
                    .collect(),
            })
            .collect();
        Self { stem, stages }
    }

    /// The last stage's features of whole images, `[N, H, W, channels]` to `[N, S, C]`.
    pub fn forward_grid(&self, images: Tensor<4>, drop: Option<&DropPath>) -> Tensor<3> {
        let sites = self.grid(&images);
        self.forward(images, sites, drop, |_, _, _| ())
    }

    /// The four stages' features of whole images `[N, H, W, channels]`, each `[N, H/s, W/s, C]`;
    /// `s` is 1, 2, 4 and 8 times the stem stride.
    pub fn maps(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut maps = Vec::with_capacity(self.stages.len());
        let sites = self.grid(&images);
        self.forward(images, sites, None, |_, x, sites| maps.push(rectangles(x.clone(), sites)));
        maps
    }

    /// The sites of the first stage for whole images.
    pub fn grid(&self, images: &Tensor<4>) -> Sites {
        let [_, height, width, _] = images.dims();
        let [_, _, stride, _] = self.stem.conv.weight.dims();
        Sites::Grid { height: height / stride, width: width / stride }
    }

    /// The last stage's features, `[N, S, C]`.
    ///
    /// `pixels [P, h, w, channels]` holds the images (on a grid) or their visible patches, image
    /// after image; `sites` says where the first stage's sites lie. `each_stage` sees every stage's
    /// output as it comes, with its number and sites.
    pub fn forward(
        &self,
        pixels: Tensor<4>,
        sites: Sites,
        drop: Option<&DropPath>,
        mut each_stage: impl FnMut(usize, &Tensor<3>, &Sites),
    ) -> Tensor<3> {
        let mut position = 0;
        let mut sites = sites;
        let mut x = self.stem(pixels, &sites);
        for (i, stage) in self.stages.iter().enumerate() {
            (x, sites) = stage.downsample(x, sites);
            for block in &stage.blocks {
                x = block.forward(x, &sites, drop.map(|drop| drop.scale(position)));
                position += 1;
            }
            each_stage(i, &x, &sites);
        }
        x
    }

    /// As [`forward`](Self::forward), showing `each_block` the 4C features inside every block.
    pub fn forward_hidden(
        &self,
        pixels: Tensor<4>,
        sites: Sites,
        mut each_block: impl FnMut(usize, Hidden),
    ) -> Tensor<3> {
        let mut position = 0;
        let mut sites = sites;
        let mut x = self.stem(pixels, &sites);
        for stage in &self.stages {
            (x, sites) = stage.downsample(x, sites);
            for block in &stage.blocks {
                let (y, hidden) = block.forward_with_hidden(x, &sites);
                each_block(position, hidden);
                x = y;
                position += 1;
            }
        }
        x
    }

    fn stem(&self, pixels: Tensor<4>, sites: &Sites) -> Tensor<3> {
        let x = self.stem.conv.forward(pixels);
        let [rectangles, height, width, channels] = x.dims();
        let count = sites.sites_per_image();
        let images = rectangles * height * width / count;
        self.stem.norm.forward(x.reshape([images, count, channels]))
    }
}

impl Stage {
    fn downsample(&self, x: Tensor<3>, sites: Sites) -> (Tensor<3>, Sites) {
        let Some(downsample) = &self.downsample else { return (x, sites) };
        let images = x.dims()[0];
        let x = downsample.conv.forward(rectangles(downsample.norm.forward(x), &sites));
        let channels = x.dims()[3];
        let sites = sites
            .halve()
            .expect("a patch is 8 sites wide in the first stage, so three halvings are whole");
        (x.reshape([images, sites.sites_per_image(), channels]), sites)
    }
}
