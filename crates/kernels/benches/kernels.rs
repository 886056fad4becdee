//! Micro-benchmarks at the shapes of ConvNeXt V2 atto at 224 × 224 pixels: its first and third
//! stage, all sites (batch 8) and 19 of 49 patches (batch 16). Items are floating-point operations
//! for convolutions and products, values for the rest; `RAYON_NUM_THREADS` sets the threads.
//!
//! `cargo bench -p fcmae-kernels -- depthwise`

use divan::Bencher;
use divan::counter::ItemsCount;
use fcmae_kernels::{Sites, block, buffer, depthwise, gelu, grn, layer_norm, linear};

fn main() {
    divan::main();
}

/// A stage's features.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    images: usize,
    channels: usize,
    side: usize,
    visible: Option<usize>,
}

const SHAPES: [Shape; 9] = [
    Shape { name: "dense stage 1", images: 8, channels: 40, side: 8, visible: None },
    Shape { name: "dense stage 3", images: 8, channels: 160, side: 2, visible: None },
    Shape { name: "masked stage 1", images: 16, channels: 40, side: 8, visible: Some(19) },
    Shape { name: "masked stage 2", images: 16, channels: 80, side: 4, visible: Some(19) },
    Shape { name: "masked stage 3", images: 16, channels: 160, side: 2, visible: Some(19) },
    Shape { name: "masked stage 4", images: 16, channels: 320, side: 1, visible: Some(19) },
    Shape { name: "decoder", images: 16, channels: 512, side: 1, visible: None },
    Shape { name: "tiny stage 3", images: 4, channels: 384, side: 2, visible: None },
    Shape { name: "tiny stage 4", images: 16, channels: 768, side: 1, visible: None },
];

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Shape {
    fn sites(&self) -> Sites {
        match self.visible {
            None => Sites::grid(7 * self.side, 7 * self.side),
            Some(visible) => {
                // Scattered without a pattern: multiples of a unit modulo 49.
                let patches = (0..self.images as u32).flat_map(|n| {
                    let mut patches: Vec<u32> =
                        (0..visible as u32).map(|i| (n * 5 + i * 10 + 1) % 49).collect();
                    patches.sort_unstable();
                    patches
                });
                Sites::patches(7, 7, self.side, visible, patches.collect::<Vec<u32>>())
            }
        }
        .expect("the shapes above are valid")
    }

    fn rows(&self) -> usize {
        self.images * self.sites().sites_per_image()
    }

    fn features(&self, width: usize) -> Vec<f32> {
        random(self.rows() * self.channels * width)
    }
}

fn random(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn depthwise_operations(shape: Shape) -> ItemsCount {
    ItemsCount::new(2 * 49 * shape.rows() * shape.channels)
}

#[divan::bench(args = SHAPES)]
fn depthwise_forward(bencher: Bencher<'_, '_>, shape: Shape) {
    let (x, weight, bias) =
        (shape.features(1), random(shape.channels * 49), random(shape.channels));
    let (sites, mut out) = (shape.sites(), buffer(x.len()));
    bencher.counter(depthwise_operations(shape)).bench_local(|| {
        let bias = Some(bias.as_slice());
        depthwise::forward(&x, &weight, bias, &sites, shape.images, shape.channels, &mut out)
    });
}

#[divan::bench(args = SHAPES)]
fn depthwise_backward_weight(bencher: Bencher<'_, '_>, shape: Shape) {
    let (x, grad, sites) = (shape.features(1), shape.features(1), shape.sites());
    let (mut dw, mut db) = (buffer(shape.channels * 49), buffer(shape.channels));
    bencher.counter(depthwise_operations(shape)).bench_local(|| {
        let (images, channels) = (shape.images, shape.channels);
        depthwise::backward_weight(&x, &grad, &sites, images, channels, &mut dw, Some(&mut db))
    });
}

#[divan::bench(args = SHAPES)]
fn layer_norm_forward(bencher: Bencher<'_, '_>, shape: Shape) {
    let (x, gamma) = (shape.features(1), random(shape.channels));
    let mut out = buffer(x.len());
    bencher
        .counter(ItemsCount::new(x.len()))
        .bench_local(|| layer_norm::forward(&x, &gamma, &gamma, 1e-6, &mut out));
}

#[divan::bench(args = SHAPES)]
fn layer_norm_backward(bencher: Bencher<'_, '_>, shape: Shape) {
    let (x, grad, gamma) = (shape.features(1), shape.features(1), random(shape.channels));
    let mut dx = buffer(x.len());
    let (mut dgamma, mut dbeta) = (gamma.clone(), gamma.clone());
    bencher.counter(ItemsCount::new(x.len())).bench_local(|| {
        let gradients =
            fcmae_kernels::Gradients { x: &mut dx, gamma: &mut dgamma, beta: &mut dbeta };
        layer_norm::backward(&x, &gamma, &grad, 1e-6, gradients)
    });
}

#[divan::bench(args = SHAPES)]
fn gelu_forward(bencher: Bencher<'_, '_>, shape: Shape) {
    let x = shape.features(4);
    let mut out = buffer(x.len());
    bencher.counter(ItemsCount::new(x.len())).bench_local(|| gelu::forward(&x, &mut out));
}

#[divan::bench(args = SHAPES)]
fn gelu_grn_forward(bencher: Bencher<'_, '_>, shape: Shape) {
    let (x, gamma) = (shape.features(4), random(4 * shape.channels));
    let mut out = buffer(x.len());
    bencher
        .counter(ItemsCount::new(x.len()))
        .bench_local(|| grn::gelu_grn(&x, &gamma, &gamma, shape.images, 1e-6, &mut out));
}

#[divan::bench(args = SHAPES)]
fn gelu_grn_backward(bencher: Bencher<'_, '_>, shape: Shape) {
    let (x, grad, gamma) = (shape.features(4), shape.features(4), random(4 * shape.channels));
    let mut dx = buffer(x.len());
    let (mut dgamma, mut dbeta) = (gamma.clone(), gamma.clone());
    bencher.counter(ItemsCount::new(x.len())).bench_local(|| {
        let gradients =
            fcmae_kernels::Gradients { x: &mut dx, gamma: &mut dgamma, beta: &mut dbeta };
        grn::gelu_grn_backward(&x, &gamma, &grad, shape.images, 1e-6, gradients)
    });
}

fn linear_operations(shape: Shape) -> ItemsCount {
    ItemsCount::new(2 * shape.rows() * shape.channels * 4 * shape.channels)
}

#[divan::bench(args = SHAPES)]
fn linear_forward(bencher: Bencher<'_, '_>, shape: Shape) {
    let inputs = shape.channels;
    let (x, weight, bias) = (shape.features(1), random(4 * inputs * inputs), random(4 * inputs));
    let mut out = buffer(shape.rows() * 4 * inputs);
    bencher
        .counter(linear_operations(shape))
        .bench_local(|| linear::forward(&x, &weight, Some(&bias), inputs, &mut out));
}

#[divan::bench(args = SHAPES)]
fn linear_backward_input(bencher: Bencher<'_, '_>, shape: Shape) {
    let inputs = shape.channels;
    let (grad, weight) = (shape.features(4), random(4 * inputs * inputs));
    let mut out = buffer(shape.rows() * inputs);
    bencher
        .counter(linear_operations(shape))
        .bench_local(|| linear::backward_input(&grad, &weight, inputs, &mut out));
}

#[divan::bench(args = SHAPES)]
fn linear_backward_weight(bencher: Bencher<'_, '_>, shape: Shape) {
    let inputs = shape.channels;
    let (x, grad) = (shape.features(1), shape.features(4));
    let (mut dw, mut db) = (buffer(4 * inputs * inputs), buffer(4 * inputs));
    bencher
        .counter(linear_operations(shape))
        .bench_local(|| linear::backward_weight(&x, &grad, 4 * inputs, &mut dw, Some(&mut db)));
}

/// The same product as [`linear_forward`] by one call of `gemm` on all threads, for comparison.
#[divan::bench(args = SHAPES)]
fn raw_gemm(bencher: Bencher<'_, '_>, shape: Shape) {
    let (rows, inputs, outputs) = (shape.rows(), shape.channels, 4 * shape.channels);
    let (x, weight) = (shape.features(1), random(inputs * outputs));
    let mut out = buffer(rows * outputs);
    let threads = gemm::Parallelism::Rayon(0);
    bencher.counter(linear_operations(shape)).bench_local(|| {
        // SAFETY: the three matrices have the sizes and strides passed.
        unsafe {
            gemm::gemm(
                rows,
                outputs,
                inputs,
                out.as_mut_ptr(),
                1,
                outputs as isize,
                false,
                x.as_ptr(),
                1,
                inputs as isize,
                weight.as_ptr(),
                inputs as isize,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                threads,
            );
        }
    });
}

/// A block's weights, in the order of their fields.
struct BlockWeights([Vec<f32>; 10]);

impl BlockWeights {
    fn new(c: usize) -> Self {
        let small = |len: usize, fan_in: usize| -> Vec<f32> {
            random(len).into_iter().map(|value| value / (fan_in as f32).sqrt()).collect()
        };
        Self([
            small(49 * c, 49),
            random(c),
            vec![1.0; c],
            random(c),
            small(4 * c * c, c),
            random(4 * c),
            random(4 * c),
            random(4 * c),
            small(4 * c * c, 4 * c),
            random(c),
        ])
    }

    fn weights(&self) -> block::Weights<'_> {
        let [a, b, c, d, e, f, g, h, i, j] = &self.0;
        block::Weights {
            depthwise: a,
            depthwise_bias: b,
            norm_gamma: c,
            norm_beta: d,
            expand: e,
            expand_bias: f,
            grn_gamma: g,
            grn_beta: h,
            contract: i,
            contract_bias: j,
        }
    }
}

fn block_operations(shape: Shape, passes: usize) -> ItemsCount {
    ItemsCount::new(passes * shape.rows() * shape.channels * 2 * (49 + 8 * shape.channels))
}

#[divan::bench(args = SHAPES)]
fn block_forward(bencher: Bencher<'_, '_>, shape: Shape) {
    let (x, weights, sites) = (shape.features(1), BlockWeights::new(shape.channels), shape.sites());
    let prepared = block::Prepared::new(&weights.weights()).expect("weights of fitting lengths");
    let setting = block::Setting {
        sites: &sites,
        images: shape.images,
        scale: None,
        norm_eps: 1e-6,
        grn_eps: 1e-6,
    };
    let mut out = buffer(x.len());
    bencher
        .counter(block_operations(shape, 1))
        .bench_local(|| block::forward(&x, &prepared, &setting, &mut out));
}

#[divan::bench(args = SHAPES)]
fn block_training(bencher: Bencher<'_, '_>, shape: Shape) {
    let c = shape.channels;
    let (x, grad, weights) = (shape.features(1), shape.features(1), BlockWeights::new(c));
    let sites = shape.sites();
    let setting = block::Setting {
        sites: &sites,
        images: shape.images,
        scale: None,
        norm_eps: 1e-6,
        grn_eps: 1e-6,
    };
    let hidden = shape.rows() * block::hidden_width(c);
    let (mut out, mut dx) = (buffer(x.len()), buffer(x.len()));
    let (mut convolved, mut expanded) = (buffer(x.len()), buffer(hidden));
    let mut squares = buffer(shape.images * block::hidden_width(c));
    let mut gradients = weights.0.clone();
    bencher.counter(block_operations(shape, 3)).bench_local(|| {
        let prepared = block::Prepared::new(&weights.weights()).expect("weights fit");
        let kept = block::Kept {
            convolved: convolved.as_mut_slice(),
            expanded: &mut expanded,
            squares: &mut squares,
        };
        block::forward_keeping(&x, &prepared, &setting, &mut out, kept).expect("lengths fit");
        let kept =
            block::Kept { convolved: convolved.as_slice(), expanded: &expanded, squares: &squares };
        let [a, b, c, d, e, f, g, h, i, j] = &mut gradients;
        let into = block::Gradients {
            x: &mut dx,
            depthwise: a,
            depthwise_bias: b,
            norm_gamma: c,
            norm_beta: d,
            expand: e,
            expand_bias: f,
            grn_gamma: g,
            grn_beta: h,
            contract: i,
            contract_bias: j,
        };
        block::backward(&x, kept, &weights.weights(), &setting, &grad, into)
    });
}
