//! Stem, four stages, and how features go through them on a grid or on visible patches.

use fcmae_kernels::Sites;

use super::block::{Block, DropPath, Hidden};
use super::layers::{LayerNorm, WindowConv};
use crate::config::ModelConfig;
use crate::engine::parameters::Names;
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;

/// A convolution of stride 4 (or 2, or 1) on the pixels, then layer norm.
#[derive(Clone, Debug)]
pub struct Stem {
    /// Kernel and stride are the stem stride.
    pub conv: WindowConv,
    /// Over channels.
    pub norm: LayerNorm,
}

/// Layer norm, then a convolution of kernel and stride 2.
#[derive(Clone, Debug)]
pub struct Downsample {
    /// Over channels.
    pub norm: LayerNorm,
    /// Halves the sites in each direction.
    pub conv: WindowConv,
}

/// A downsampling (but in the first stage) and blocks of one width.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Absent in the first stage.
    pub downsample: Option<Downsample>,
    /// All of one width.
    pub blocks: Vec<Block>,
}

/// ConvNeXt without a head.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Pixels to the first features.
    pub stem: Stem,
    /// The four stages.
    pub stages: Vec<Stage>,
}

/// Features as `P` rectangles of `height × width` sites: one of the whole image on a grid, one for
/// each visible patch on patches.
fn rectangles(x: Tensor, sites: &Sites) -> Tensor {
    let [images, _, channels] = x.dims();
    match sites {
        Sites::Grid { height, width } => x.reshape([images, *height, *width, channels]),
        Sites::Patches(p) => x.reshape([images * p.per_image, p.side, p.side, channels]),
    }
}

impl Encoder {
    /// Of a resolved configuration.
    pub fn new(names: &mut Names, config: &ModelConfig) -> Self {
        let widths = config.widths;
        let stem = names.within("stem", |names| Stem {
            conv: names.within("0", |names| {
                WindowConv::new(names, config.channels, widths[0], config.stem_stride)
            }),
            norm: names.within("1", |names| LayerNorm::new(names, widths[0])),
        });
        let mut stage = |i: usize| {
            names.within(format!("stages.{i}"), |names| Stage {
                downsample: (i > 0).then(|| Downsample::new(names, widths[i - 1], widths[i])),
                blocks: (0..config.depths[i])
                    .map(|block| {
                        names.within(format!("blocks.{block}"), |names| {
                            Block::new(names, widths[i], config.block, config.grn)
                        })
                    })
                    .collect(),
            })
        };
        let stages = (0..4).map(&mut stage).collect();
        Self { stem, stages }
    }

    /// Which part of the encoder, counted from the pixels, the parameter of this name belongs to: 0 for
    /// the stem and the first stage, 3 for the last stage. `None` for what is not in the encoder.
    pub fn part(name: &str) -> Option<usize> {
        let mut parts = name.split('.');
        match parts.next()? {
            "stem" => Some(0),
            "stages" => parts.next()?.parse().ok(),
            _ => None,
        }
    }

    /// The last stage's features of whole images, `[N, H, W, channels]` to `[N, S, C]`.
    pub fn forward_grid(
        &self,
        pass: &mut Pass<'_>,
        images: Tensor,
        drop: Option<&DropPath>,
    ) -> Tensor {
        let sites = self.grid(&images);
        self.forward(pass, images, sites, drop, |_, _, _| ())
    }

    /// The four stages' features of whole images `[N, H, W, channels]`, each `[N, H/s, W/s, C]`;
    /// `s` is 1, 2, 4 and 8 times the stem stride.
    pub fn maps(&self, pass: &mut Pass<'_>, images: Tensor) -> [Tensor; 4] {
        let sites = self.grid(&images);
        let mut maps = [const { None }; 4];
        self.forward(pass, images, sites, None, |stage, x, sites| {
            maps[stage] = Some(rectangles(x.clone(), sites));
        });
        maps.map(|map| map.expect("an encoder has four stages"))
    }

    /// The sites of the first stage for whole images `[N, H, W, channels]`.
    ///
    /// # Panics
    /// For an empty batch, or images of other channels than the network's or with sides that are not whole patches.
    pub fn grid(&self, images: &Tensor) -> Sites {
        let [count, height, width, channels] = images.dims();
        assert!(count > 0, "a batch of 0 images: it has 1 at least");
        let (stride, expected) = (self.stem.conv.stride(), self.stem.conv.inputs());
        assert_eq!(channels, expected, "images of {channels} channels, a network of {expected}");
        let patch = 8 * stride;
        let whole = |side: usize| side > 0 && side.is_multiple_of(patch);
        assert!(
            whole(height) && whole(width),
            "images of {height}×{width} pixels (height × width): sides must be multiples of {patch}"
        );
        Sites::Grid { height: height / stride, width: width / stride }
    }

    /// The last stage's features, `[N, S, C]`.
    ///
    /// `pixels [P, h, w, channels]` holds the images (on a grid) or their visible patches, image
    /// after image; `sites` says where the first stage's sites lie. `each_stage` sees every stage's
    /// output as it comes, with its number and sites.
    pub fn forward(
        &self,
        pass: &mut Pass<'_>,
        pixels: Tensor,
        sites: Sites,
        drop: Option<&DropPath>,
        mut each_stage: impl FnMut(usize, &Tensor, &Sites),
    ) -> Tensor {
        let mut position = 0;
        let mut sites = sites;
        let mut x = self.stem(pass, pixels, &sites);
        for (i, stage) in self.stages.iter().enumerate() {
            (x, sites) = stage.downsample(pass, x, sites);
            for block in &stage.blocks {
                x = block.forward(pass, x, &sites, drop.map(|drop| drop.scale(position)));
                position += 1;
            }
            each_stage(i, &x, &sites);
        }
        x
    }

    /// As [`forward`](Self::forward), showing `each_block` the 4C features inside every block.
    pub fn forward_hidden(
        &self,
        pass: &mut Pass<'_>,
        pixels: Tensor,
        sites: Sites,
        mut each_block: impl FnMut(usize, Hidden),
    ) -> Tensor {
        let mut position = 0;
        let mut sites = sites;
        let mut x = self.stem(pass, pixels, &sites);
        for stage in &self.stages {
            (x, sites) = stage.downsample(pass, x, sites);
            for block in &stage.blocks {
                let (y, hidden) = block.forward_with_hidden(pass, x, &sites);
                each_block(position, hidden);
                x = y;
                position += 1;
            }
        }
        x
    }

    fn stem(&self, pass: &mut Pass<'_>, pixels: Tensor, sites: &Sites) -> Tensor {
        let x = self.stem.conv.forward(pass, pixels);
        let [rectangles, height, width, channels] = x.dims();
        let count = sites.sites_per_image();
        let images = rectangles * height * width / count;
        self.stem.norm.forward(pass, x.reshape([images, count, channels]))
    }
}

impl Downsample {
    fn new(names: &mut Names, inputs: usize, outputs: usize) -> Self {
        names.within("downsample", |names| Self {
            norm: names.within("0", |names| LayerNorm::new(names, inputs)),
            conv: names.within("1", |names| WindowConv::new(names, inputs, outputs, 2)),
        })
    }
}

impl Stage {
    fn downsample(&self, pass: &mut Pass<'_>, x: Tensor, sites: Sites) -> (Tensor, Sites) {
        let Some(downsample) = &self.downsample else { return (x, sites) };
        let images = x.shape()[0];
        let x = downsample.conv.forward_normed(pass, rectangles(x, &sites), &downsample.norm);
        let channels = x.shape().last();
        let sites = sites
            .halve()
            .expect("a patch is 8 sites wide in the first stage, so three halvings are whole");
        (x.reshape([images, sites.sites_per_image(), channels]), sites)
    }
}
