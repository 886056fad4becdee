//! The sparse encoder equals its masked-dense form: dense convolutions, features multiplied by the
//! visibility before the depthwise convolution and after it, GRN's norm over visible sites.

mod reference;

use std::cell::Cell;

use fcmae::config::{BlockKind, ModelConfig, PretrainConfig, Size};
use fcmae::engine::tensor::Tensor;
use fcmae::network::mask::Mask;
use fcmae::network::model::Encoder;
use fcmae::training::Learner;
use fcmae_kernels::Sites;
use fcmae_oracle::{Var, network as oracle};

use self::reference::MaskedDense;
use crate::differentiate::relative_error;
use crate::fill;

const FORWARD: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;

fn small(stem_stride: usize) -> ModelConfig {
    ModelConfig { stem_stride, ..ModelConfig::custom([1, 1, 2, 1], [16, 24, 40, 48]) }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// The visible patches' pixels, one after the other: `[N·V, patch, patch, channels]`.
fn visible_pixels(images: &Tensor, mask: &Mask, patch: usize) -> Tensor {
    let channels = images.shape().last();
    let images = Var::new(&images.shape(), images.values().iter().copied());
    let windows = oracle::space_to_depth(&images, patch);
    let rows = mask.visible_rows();
    let values = patch * patch * channels;
    let pixels = rows.iter().flat_map(|&row| &windows.values()[row as usize * values..][..values]);
    Tensor::new(pixels.map(|&v| v as f32).collect(), [rows.len(), patch, patch, channels])
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

fn at_rows(values: &[f64], rows: &[usize], channels: usize) -> Vec<f64> {
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
    let config = config.clone().resolve().unwrap();
    let grid = config.patch_grid(height, width).unwrap();
    let mask = Mask::random(grid, ratio, 3, 1, &[4, 9]).unwrap();
    let network = fill::network(|names| Encoder::new(names, &config));
    let images = fill::images([2, height, width, config.channels]);

    let dense = MaskedDense::new(network.weights(), &config);
    let stages = dense.forward(&Var::new(&images.shape(), wide(images.values())), &mask);
    let pixels = visible_pixels(&images, &mask, config.patch());
    let rows = dense_rows(&mask, 1);
    // One number of each, whose gradients must agree.
    let channels = config.features();
    let probe: Vec<f32> =
        fill::uniform("probe", rows.len() * channels).into_iter().map(|r| r as f32).collect();

    let mut learner = Learner::new(network, &PretrainConfig::default().optim);
    let (traced, compared) = (Cell::new(false), Cell::new(0));
    learner
        .learn(1, |encoder, pass| {
            // The first time there are shapes alone.
            let is_traced = !traced.get();
            let sparse =
                encoder.forward(pass, pixels.clone(), mask.sites(8), None, |i, stage, sites| {
                    if is_traced {
                        return;
                    }
                    let rows = dense_rows(&mask, side(sites));
                    let expected = at_rows(stages[i].values(), &rows, config.widths[i]);
                    let error = relative_error(stage.values(), &expected);
                    assert!(error <= FORWARD, "{about}: stage {i} is off by {error:.1e}");
                    compared.set(compared.get() + 1);
                });
            traced.set(true);
            let shape = sparse.shape();
            pass.start_backward(sparse.clone(), |_, _, _| Tensor::new(probe.clone(), shape));
            sparse
        })
        .unwrap();
    assert_eq!(compared.get(), 4, "{about}");

    let mut dense_probe = vec![0.0; stages[3].values().len()];
    for (row, values) in rows.iter().zip(probe.chunks(channels)) {
        dense_probe[row * channels..][..channels].copy_from_slice(&wide(values));
    }
    let gradients = stages[3].backward_along(&dense_probe);
    for (name, parameter) in learner.network().layout().parameters() {
        let found = learner.gradients().get(parameter);
        let found = found.unwrap_or_else(|| panic!("{about}: no gradient of {name}"));
        let error = relative_error(found, &dense.gradient(name, &gradients));
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
    let config = small(2).resolve().unwrap();
    let network = fill::network(|names| Encoder::new(names, &config));
    let images = fill::images([2, 48, 32, 3]);
    let [rows, cols] = config.patch_grid(48, 32).unwrap();
    let patches = rows * cols;
    let everything = (0..2).flat_map(|_| 0..patches as u32).collect();
    let mask = Mask::new([rows, cols], patches, everything).unwrap();

    let mut grid_stages = Vec::new();
    network
        .observe(|encoder, pass| {
            let sites = encoder.grid(&images);
            encoder.forward(pass, images.clone(), sites, None, |_, stage, _| {
                grid_stages.push(wide(stage.values()));
            });
        })
        .unwrap();
    let pixels = visible_pixels(&images, &mask, config.patch());
    let mut compared = 0;
    network
        .observe(|encoder, pass| {
            encoder.forward(pass, pixels, mask.sites(8), None, |i, stage, sites| {
                let rows = dense_rows(&mask, side(sites));
                let expected = at_rows(&grid_stages[i], &rows, config.widths[i]);
                let error = relative_error(stage.values(), &expected);
                assert!(error <= 1e-6, "stage {i} is off by {error:.1e}");
                compared += 1;
            });
        })
        .unwrap();
    assert_eq!((grid_stages.len(), compared), (4, 4));
}
