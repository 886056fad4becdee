use fcmae_kernels::{KernelError, Sites, depthwise};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::compare::*;
use crate::reference;

/// Features on some sites, and the masked-dense images they stand for.
pub(crate) struct Case {
    pub(crate) sites: Sites,
    pub(crate) images: usize,
    pub(crate) channels: usize,
    pub(crate) x: Vec<f32>,
    pub(crate) grad: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl Case {
    pub(crate) fn new(rng: &mut ChaCha8Rng, sites: Sites, images: usize, channels: usize) -> Self {
        let values = images * sites.sites_per_image() * channels;
        Self {
            sites,
            images,
            channels,
            x: random(rng, values, 1.0),
            grad: random(rng, values, 1.0),
            weight: random(rng, channels * 49, 0.3),
            bias: random(rng, channels, 1.0),
        }
    }

    /// For each site of image `n` its index in the whole image.
    fn places(&self, n: usize) -> Vec<usize> {
        match &self.sites {
            Sites::Grid { height, width } => (0..height * width).collect(),
            Sites::Patches(patches) => {
                let side = patches.side;
                let width = patches.cols * side;
                let mut places = Vec::new();
                for &patch in patches.of_image(n) {
                    let (row, col) = (patch as usize / patches.cols, patch as usize % patches.cols);
                    for y in 0..side {
                        for x in 0..side {
                            places.push((row * side + y) * width + col * side + x);
                        }
                    }
                }
                places
            }
        }
    }

    fn mask(&self, n: usize) -> Vec<bool> {
        let (height, width) = self.sites.extent();
        let mut mask = vec![false; height * width];
        self.places(n).into_iter().for_each(|place| mask[place] = true);
        mask
    }

    /// Image `n` of `values` as the whole image, zeros where masked.
    fn dense(&self, values: &[f32], n: usize) -> Vec<f64> {
        let (height, width) = self.sites.extent();
        let image = self.sites.sites_per_image() * self.channels;
        let mut dense = vec![0.0; height * width * self.channels];
        let values = values[n * image..][..image].chunks_exact(self.channels);
        for (site, place) in values.zip(self.places(n)) {
            dense[place * self.channels..][..self.channels].copy_from_slice(&double(site));
        }
        dense
    }

    /// The sites of the whole image `dense`.
    fn packed(&self, dense: &[f64], n: usize) -> Vec<f64> {
        let sites = self.places(n).into_iter();
        sites.flat_map(|place| dense[place * self.channels..][..self.channels].to_vec()).collect()
    }

    fn check(&self) {
        let Self { sites, images, channels, x, grad, weight, bias } = self;
        let (images, channels) = (*images, *channels);
        let (weight64, bias64) = (double(weight), double(bias));
        let mut out = Vec::new();
        let mut dx = Vec::new();
        let mut dweight = vec![0.0; weight.len()];
        let mut dbias = vec![0.0; channels];
        for n in 0..images {
            let (x, mask) = (self.dense(x, n), self.mask(n));
            let extent = sites.extent();
            let dense = reference::depthwise(&x, &weight64, &bias64, &mask, extent, channels);
            out.extend(self.packed(&dense, n));
            let grad = self.dense(grad, n);
            let gradients =
                reference::depthwise_gradients(&x, &weight64, &grad, &mask, extent, channels);
            dx.extend(self.packed(&gradients.0, n));
            dweight.iter_mut().zip(gradients.1).for_each(|(sum, value)| *sum += value);
            dbias.iter_mut().zip(gradients.2).for_each(|(sum, value)| *sum += value);
        }
        let what = format!("{sites:?}, {images} images, {channels} channels");
        assert_levels(&out, 1e-6, &format!("forward, {what}"), |out| {
            depthwise::forward(x, weight, Some(bias), sites, images, channels, out).unwrap();
        });
        assert_levels(&dx, 1e-6, &format!("input gradient, {what}"), |out| {
            depthwise::backward_input(grad, weight, sites, images, channels, out).unwrap();
        });
        let both: Vec<f64> = dweight.iter().chain(&dbias).copied().collect();
        assert_levels(&both, 1e-6, &format!("weight gradient, {what}"), |out| {
            let (dweight, dbias) = out.split_at_mut(weight.len());
            depthwise::backward_weight(x, grad, sites, images, channels, dweight, Some(dbias))
                .unwrap();
        });
    }
}

/// Patches with a random mask, the same number visible in each image.
pub(crate) fn random_patches(
    rng: &mut ChaCha8Rng,
    (rows, cols, side): (usize, usize, usize),
    per_image: usize,
    images: usize,
) -> Sites {
    let mut visible = Vec::new();
    for _ in 0..images {
        let mut patches: Vec<u32> = (0..(rows * cols) as u32).collect();
        while patches.len() > per_image {
            patches.remove(rng.random_range(0..patches.len()));
        }
        visible.extend(patches);
    }
    Sites::patches(rows, cols, side, per_image, visible).unwrap()
}

#[test]
fn equals_the_reference_on_grids() {
    let rng = &mut generator(1);
    let sizes = [(1, 1), (1, 9), (2, 2), (3, 5), (4, 4), (7, 7), (8, 13), (14, 14), (16, 16)];
    for (index, &(height, width)) in sizes.iter().enumerate() {
        let sites = Sites::grid(height, width).unwrap();
        Case::new(rng, sites, 1 + index % 3, [1, 8, 5, 20][index % 4]).check();
    }
    // One image in many parts, and more images than groups of the weight gradient.
    Case::new(rng, Sites::grid(61, 10).unwrap(), 1, 3).check();
    Case::new(rng, Sites::grid(3, 4).unwrap(), 35, 9).check();
}

#[test]
fn equals_masked_dense_on_patches() {
    let rng = &mut generator(2);
    for side in [1, 2, 3, 4, 8, 16] {
        for (rows, cols) in [(1, 2), (2, 2), (3, 2), (2, 5), (7, 7)] {
            if rows * cols * side * side > 1200 {
                continue;
            }
            for visible in [1, rows * cols * 2 / 5, rows * cols - 1, rows * cols] {
                let images = rng.random_range(1..4);
                let channels = rng.random_range(1..20);
                let sites = random_patches(rng, (rows, cols, side), visible.max(1), images);
                Case::new(rng, sites, images, channels).check();
            }
        }
    }
}

#[test]
fn equals_the_grid_where_every_patch_is_visible() {
    let rng = &mut generator(3);
    let (rows, cols, side, channels) = (3, 4, 4, 12);
    let patches = random_patches(rng, (rows, cols, side), rows * cols, 1);
    let case = Case::new(rng, patches, 1, channels);
    let (height, width) = case.sites.extent();
    let run = |x: &[f32], sites: &Sites| {
        let mut out = vec![f32::NAN; x.len()];
        let bias = Some(case.bias.as_slice());
        depthwise::forward(x, &case.weight, bias, sites, 1, channels, &mut out).unwrap();
        out
    };
    let dense: Vec<f32> = case.dense(&case.x, 0).iter().map(|&v| v as f32).collect();
    let on_grid = double(&run(&dense, &Sites::grid(height, width).unwrap()));
    assert_close(&run(&case.x, &case.sites), &case.packed(&on_grid, 0), 1e-7, "patches and grid");
}

#[test]
fn the_reference_gradients_equal_finite_differences() {
    let rng = &mut generator(4);
    let sites = random_patches(rng, (2, 2, 2), 3, 1);
    let case = Case::new(rng, sites, 1, 2);
    let (x, mask) = (case.dense(&case.x, 0), case.mask(0));
    let (weight, bias) = (double(&case.weight), double(&case.bias));
    let grad = case.dense(&case.grad, 0);
    let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
        dot(&reference::depthwise(x, weight, bias, &mask, (4, 4), 2), &grad)
    };
    let (dx, dweight, dbias) = reference::depthwise_gradients(&x, &weight, &grad, &mask, (4, 4), 2);
    for (found, expected) in [
        (dx, finite_differences(&x, |x| loss(x, &weight, &bias))),
        (dweight, finite_differences(&weight, |weight| loss(&x, weight, &bias))),
        (dbias, finite_differences(&bias, |bias| loss(&x, &weight, bias))),
    ] {
        let found: Vec<f32> = found.iter().map(|&v| v as f32).collect();
        assert_close(&found, &expected, 1e-6, "finite differences");
    }
}

#[test]
fn refuses_wrong_lengths_and_sites() {
    let sites = Sites::grid(2, 2).unwrap();
    let mut out = [0.0; 8];
    let mut forward = |x: &[f32], weight: &[f32], sites: &Sites, images| {
        depthwise::forward(x, weight, None, sites, images, 2, &mut out)
    };
    assert_eq!(forward(&[0.0; 8], &[0.0; 98], &sites, 1), Ok(()));
    let error = forward(&[0.0; 7], &[0.0; 98], &sites, 1).unwrap_err();
    let message = "depthwise::forward: `x` has 7 values but the shapes ask for 8";
    assert_eq!(error.to_string(), message);
    assert!(forward(&[0.0; 8], &[0.0; 50], &sites, 1).is_err());
    assert!(matches!(forward(&[], &[0.0; 98], &sites, 0), Err(KernelError::Zero { .. })));
    let Ok(Sites::Patches(mut patches)) = Sites::patches(2, 2, 1, 2, vec![0, 3]) else { panic!() };
    let two = forward(&[0.0; 8], &[0.0; 98], &Sites::Patches(patches.clone()), 2);
    assert_eq!(two, Err(KernelError::Images { images: 2, patches: 1 }));
    patches.visible = vec![0, 9].into();
    let outside = forward(&[0.0; 4], &[0.0; 98], &Sites::Patches(patches), 1);
    assert!(matches!(outside, Err(KernelError::PatchOutside { patch: 9, .. })));
}
