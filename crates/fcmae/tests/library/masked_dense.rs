//! The sparse encoder equals its masked-dense form: dense convolutions, features multiplied by the
//! visibility before the depthwise convolution and after it, GRN's norm over visible sites.

mod reference;

use burn::tensor::{Device, Tensor, TensorData};
use fcmae::config::{BlockKind, ModelConfig, Size};
use fcmae::loss::patchify;
use fcmae::mask::Mask;
use fcmae::model::Encoder;
use fcmae::parameters::{self, host};
use fcmae_kernels::Sites;

use self::reference::MaskedDense;
use crate::fill;
use crate::summary::relative_error;

const FORWARD: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;

fn small(stem_stride: usize) -> ModelConfig {
    ModelConfig { stem_stride, ..ModelConfig::custom([1, 1, 2, 1], [16, 24, 40, 48]) }
}

/// The visible patches' pixels, one after the other: `[N·V, patch, patch, channels]`.
fn visible_pixels(images: &Tensor<4>, mask: &Mask, patch: usize) -> Tensor<4> {
    let channels = images.dims()[3];
    let patches = patchify(images.clone(), patch);
    let values = patches.dims()[1];
    let all = host(patches);
    let rows = mask.visible_rows();
    let seen: Vec<f32> =
        rows.iter().flat_map(|&row| all[row as usize * values..][..values].to_vec()).collect();
    let shape = [rows.len(), patch, patch, channels];
    Tensor::from_data(TensorData::new(seen, shape), &images.device().inner())
}

/// For each site of the visible patches, in the encoder's order, its row of dense `[N·H·W, C]`.
fn dense_rows(mask: &Mask, side: usize) -> Vec<usize> {
    let [rows, cols] = mask.grid();
    let mut sites = Vec::new();
    for (i, &patch) in mask.visible().iter().enumerate() {
        let image = i / mask.visible_per_image();
        let (top, left) = (patch as usize / cols * side, patch as usize % cols * side);
        for y in top..top + side {
            sites.extend((left..left + side).map(|x| (image * rows * side + y) * cols * side + x));
        }
    }
    sites
}

fn at_rows(values: &[f32], rows: &[usize], channels: usize) -> Vec<f32> {
    rows.iter().flat_map(|row| values[row * channels..][..channels].to_vec()).collect()
}

fn side(sites: &Sites) -> usize {
    match sites {
        Sites::Patches(patches) => patches.side,
        Sites::Grid { .. } => panic!("the encoder left the patches"),
    }
}

/// Compares every stage's features and every gradient for one configuration and mask.
fn compare(config: &ModelConfig, [height, width]: [usize; 2], ratio: f64) {
    let about = format!(
        "{} {:?} {:?}, stem stride {}, {height}×{width}, ratio {ratio}",
        config.size, config.block, config.widths, config.stem_stride
    );
    let device = Device::flex().autodiff();
    let config = config.clone().resolve().unwrap();
    let grid = config.patch_grid(height, width).unwrap();
    let mask = Mask::random(grid, ratio, 3, 1, &[4, 9]).unwrap();
    let encoder = fill::module(Encoder::new(&config, &device));
    let images = fill::images([2, height, width, config.channels], &device);

    let dense = MaskedDense::new(&encoder, &config);
    let stages = dense.forward(images.clone(), &mask);
    let pixels = visible_pixels(&images, &mask, config.patch());
    let sparse = encoder.forward(pixels, mask.sites(8), None, |i, stage, sites| {
        let rows = dense_rows(&mask, side(sites));
        let channels = config.widths[i];
        let expected = at_rows(&host(stages[i].clone()), &rows, channels);
        let error = relative_error(&host(stage.clone()), &expected);
        assert!(error <= FORWARD, "{about}: stage {i} is off by {error:.1e}");
    });

    // One number of each, whose gradients must agree.
    let (rows, channels) = (dense_rows(&mask, 1), config.features());
    let probe: Vec<f32> =
        fill::uniform("probe", rows.len() * channels).into_iter().map(|r| r as f32).collect();
    let last = stages[3].clone();
    let mut dense_probe = vec![0.0; last.dims().iter().product()];
    for (row, values) in rows.iter().zip(probe.chunks(channels)) {
        dense_probe[row * channels..][..channels].copy_from_slice(values);
    }
    let dense_probe = TensorData::new(dense_probe, last.dims());
    let dense_grads = (last * Tensor::from_data(dense_probe, &device)).sum().backward();
    let probe = TensorData::new(probe, sparse.dims());
    let mut grads = (sparse * Tensor::from_data(probe, &device)).sum().backward();
    let gradients = parameters::gradients(&encoder, &mut grads);
    assert_eq!(gradients.len(), dense.names().count(), "{about}");
    for (name, gradient) in gradients {
        let error = relative_error(&host(gradient), &dense.gradient(&name, &dense_grads));
        assert!(error <= GRADIENT, "{about}: the gradient of {name} is off by {error:.1e}");
    }
}

#[test]
fn stem_stride_4() {
    compare(&small(4), [96, 160], 0.6);
    compare(&small(4), [64, 64], 0.5);
}

#[test]
fn stem_stride_2() {
    compare(&small(2), [48, 80], 0.75);
    compare(&small(2), [64, 32], 0.2);
}

#[test]
fn stem_stride_1_and_grey_images() {
    compare(&ModelConfig { channels: 1, ..small(1) }, [40, 24], 0.3);
    compare(&small(1), [32, 48], 0.9);
}

#[test]
fn version_1() {
    compare(&ModelConfig { block: BlockKind::V1, ..small(2) }, [64, 48], 0.6);
}

#[test]
fn widths_that_are_no_multiples_of_eight() {
    let config = ModelConfig::custom([1, 2, 1, 1], [12, 20, 36, 44]);
    compare(&ModelConfig { stem_stride: 2, ..config }, [48, 48], 0.6);
}

#[test]
fn published_sizes() {
    compare(&ModelConfig::published(Size::Atto), [96, 128], 0.6);
    compare(&ModelConfig::published(Size::Femto), [64, 96], 0.5);
    compare(&ModelConfig { stem_stride: 2, ..ModelConfig::published(Size::Pico) }, [48, 32], 0.6);
}

#[test]
fn all_patches_visible_is_the_grid() {
    let device = Device::flex();
    let config = small(2).resolve().unwrap();
    let encoder = fill::module(Encoder::new(&config, &device));
    let images = fill::images([2, 48, 32, 3], &device);
    let [rows, cols] = config.patch_grid(48, 32).unwrap();
    let patches = rows * cols;
    let everything = (0..2).flat_map(|_| 0..patches as u32).collect();
    let mask = Mask::new([rows, cols], patches, everything).unwrap();

    let mut grid_stages = Vec::new();
    encoder.forward(images.clone(), encoder.grid(&images), None, |_, stage, _| {
        grid_stages.push(host(stage.clone()));
    });
    let pixels = visible_pixels(&images, &mask, config.patch());
    encoder.forward(pixels, mask.sites(8), None, |i, stage, sites| {
        let rows = dense_rows(&mask, side(sites));
        let expected = at_rows(&grid_stages[i], &rows, config.widths[i]);
        let error = relative_error(&host(stage.clone()), &expected);
        assert!(error <= 1e-6, "stage {i} is off by {error:.1e}");
    });
    assert_eq!(grid_stages.len(), 4);
}
