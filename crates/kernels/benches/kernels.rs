//! Micro-benchmarks at the shapes of atto and tiny at 224 × 224 pixels, each beside the floor: the
//! rate of a large matrix product on the same threads, as `fcmae bench` has it, measured again before
//! every row.
//!
//! ```text
//! cargo bench -p fcmae-kernels              # all
//! cargo bench -p fcmae-kernels -- block     # those whose name or shape holds a word
//! cargo bench -p fcmae-kernels -- block with avx2 scalar   # … and with these instruction sets in turn
//! ```
//! `RAYON_NUM_THREADS` sets the threads. Products, convolutions and blocks show their share of the
//! floor; what has no products to speak of shows what it adds to the products of its block, in per
//! cent of their time at the floor.

use std::time::Instant;

use fcmae_kernels::simd::{Level, level, levels, with_level};
use fcmae_kernels::{Gradients, Sites, block, buffer, depthwise, gelu, grn, layer_norm, linear};

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut parts = arguments.split(|argument| argument == "with");
    let words = parts.next().unwrap_or_default();
    let named = parts.next().unwrap_or_default();
    let known: Vec<String> = levels().iter().map(Level::to_string).collect();
    for name in named {
        assert!(known.contains(name), "{name}: this machine has {}", known.join(", "));
    }
    let levels: Vec<Level> = match named {
        [] => vec![level()],
        _ => levels().iter().copied().filter(|&level| named.contains(&level.to_string())).collect(),
    };
    println!(
        "{:26} {:16} {:8} {:>10} {:>9} {:>9} {:>9}",
        "kernel", "shape", "level", "median", "GFLOP/s", "of floor", "adds"
    );
    for shape in SHAPES {
        for (name, kernel) in KERNELS {
            let title = format!("{name} {}", shape.name);
            if words.is_empty() || words.iter().any(|word| title.contains(word.as_str())) {
                for &level in &levels {
                    with_level(level, || kernel(&Row { name, shape }));
                }
            }
        }
    }
}

/// Measures one kernel and prints its row.
type Measure = fn(&Row);

/// Every kernel by name.
const KERNELS: [(&str, Measure); 13] = [
    ("block forward", block_forward),
    ("block training", block_training),
    ("depthwise forward", depthwise_forward),
    ("depthwise backward input", depthwise_backward_input),
    ("depthwise backward weight", depthwise_backward_weight),
    ("layer norm forward", layer_norm_forward),
    ("layer norm backward", layer_norm_backward),
    ("gelu forward", gelu_forward),
    ("gelu grn forward", gelu_grn_forward),
    ("gelu grn backward", gelu_grn_backward),
    ("linear forward", linear_forward),
    ("linear backward input", linear_backward_input),
    ("linear backward weight", linear_backward_weight),
];

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

    /// Operations of one linear layer of the block.
    fn product(&self) -> usize {
        2 * self.rows() * self.channels * 4 * self.channels
    }

    /// Operations of the depthwise convolution.
    fn convolution(&self) -> usize {
        2 * 49 * self.rows() * self.channels
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

/// One line of the table.
struct Row {
    name: &'static str,
    shape: Shape,
}

impl Row {
    /// Measures `kernel`, which does so many floating-point operations.
    fn operations<T, E>(&self, operations: usize, kernel: impl FnMut() -> Result<T, E>) {
        let (floor, seconds) = (floor(), median_seconds(kernel));
        let rate = operations as f64 / seconds / 1e9;
        println!("{} {rate:9.1} {:8.0}%", self.start(seconds), 100.0 * rate / floor);
    }

    /// Measures `kernel`, which goes beside `products` products of the block.
    fn pointwise<T, E>(&self, products: usize, kernel: impl FnMut() -> Result<T, E>) {
        let (floor, seconds) = (floor(), median_seconds(kernel));
        let at_the_floor = (products * self.shape.product()) as f64 / floor / 1e9;
        let adds = 100.0 * seconds / at_the_floor;
        println!("{} {:>9} {:>9} {adds:8.0}%", self.start(seconds), "", "");
    }

    fn start(&self, seconds: f64) -> String {
        let Self { name, shape, .. } = self;
        format!("{name:26} {:16} {:8} {:7.3} ms", shape.name, level(), 1e3 * seconds)
    }
}

/// The median over at least a quarter of a second and nine calls, after a warm-up.
fn median_seconds<T, E>(mut kernel: impl FnMut() -> Result<T, E>) -> f64 {
    let mut call = || {
        let since = Instant::now();
        assert!(kernel().is_ok(), "operands that fit each other");
        since.elapsed().as_secs_f64()
    };
    call();
    let mut times = Vec::new();
    while times.len() < 9 || times.iter().sum::<f64>() < 0.25 {
        times.push(call());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// GFLOP/s of a product of two 1024 × 1024 matrices.
fn floor() -> f64 {
    const SIDE: usize = 1024;
    let (a, b, mut out) = (random(SIDE * SIDE), random(SIDE * SIDE), buffer(SIDE * SIDE));
    let seconds = median_seconds(|| linear::forward(&a, &b, None, SIDE, &mut out));
    2.0 * (SIDE * SIDE * SIDE) as f64 / seconds / 1e9
}

fn depthwise_forward(row: &Row) {
    let Shape { images, channels, .. } = row.shape;
    let (x, weight, bias) = (row.shape.features(1), random(channels * 49), random(channels));
    let (sites, mut out) = (row.shape.sites(), buffer(x.len()));
    row.operations(row.shape.convolution(), || {
        depthwise::forward(&x, &weight, Some(&bias), &sites, images, channels, &mut out)
    });
}

fn depthwise_backward_input(row: &Row) {
    let Shape { images, channels, .. } = row.shape;
    let (grad, weight) = (row.shape.features(1), random(channels * 49));
    let (sites, mut out) = (row.shape.sites(), buffer(grad.len()));
    row.operations(row.shape.convolution(), || {
        depthwise::backward_input(&grad, &weight, &sites, images, channels, &mut out)
    });
}

fn depthwise_backward_weight(row: &Row) {
    let Shape { images, channels, .. } = row.shape;
    let (x, grad, sites) = (row.shape.features(1), row.shape.features(1), row.shape.sites());
    let (mut dw, mut db) = (buffer(channels * 49), buffer(channels));
    row.operations(row.shape.convolution(), || {
        depthwise::backward_weight(&x, &grad, &sites, images, channels, &mut dw, Some(&mut db))
    });
}

fn layer_norm_forward(row: &Row) {
    let (x, gamma) = (row.shape.features(1), random(row.shape.channels));
    let mut out = buffer(x.len());
    row.pointwise(2, || layer_norm::forward(&x, &gamma, &gamma, 1e-6, &mut out));
}

fn layer_norm_backward(row: &Row) {
    let (x, grad) = (row.shape.features(1), row.shape.features(1));
    let gamma = random(row.shape.channels);
    let mut dx = buffer(x.len());
    let (mut dgamma, mut dbeta) = (gamma.clone(), gamma.clone());
    row.pointwise(4, || {
        let gradients = Gradients { x: &mut dx, gamma: &mut dgamma, beta: &mut dbeta };
        layer_norm::backward(&x, &gamma, &grad, 1e-6, gradients)
    });
}

fn gelu_forward(row: &Row) {
    let x = row.shape.features(4);
    let mut out = buffer(x.len());
    row.pointwise(2, || gelu::forward(&x, &mut out));
}

fn gelu_grn_forward(row: &Row) {
    let (x, gamma) = (row.shape.features(4), random(4 * row.shape.channels));
    let mut out = buffer(x.len());
    row.pointwise(2, || grn::gelu_grn(&x, &gamma, &gamma, row.shape.images, 1e-6, &mut out));
}

fn gelu_grn_backward(row: &Row) {
    let (x, grad) = (row.shape.features(4), row.shape.features(4));
    let gamma = random(4 * row.shape.channels);
    let mut dx = buffer(x.len());
    let (mut dgamma, mut dbeta) = (gamma.clone(), gamma.clone());
    row.pointwise(4, || {
        let gradients = Gradients { x: &mut dx, gamma: &mut dgamma, beta: &mut dbeta };
        grn::gelu_grn_backward(&x, &gamma, &grad, row.shape.images, 1e-6, gradients)
    });
}

fn linear_forward(row: &Row) {
    let inputs = row.shape.channels;
    let (x, weight) = (row.shape.features(1), random(4 * inputs * inputs));
    let (bias, mut out) = (random(4 * inputs), buffer(4 * x.len()));
    row.operations(row.shape.product(), || {
        linear::forward(&x, &weight, Some(&bias), inputs, &mut out)
    });
}

fn linear_backward_input(row: &Row) {
    let inputs = row.shape.channels;
    let (grad, weight) = (row.shape.features(4), random(4 * inputs * inputs));
    let mut out = buffer(grad.len() / 4);
    row.operations(row.shape.product(), || {
        linear::backward_input(&grad, &weight, inputs, &mut out)
    });
}

fn linear_backward_weight(row: &Row) {
    let inputs = row.shape.channels;
    let (x, grad) = (row.shape.features(1), row.shape.features(4));
    let (mut dw, mut db) = (buffer(4 * inputs * inputs), buffer(4 * inputs));
    row.operations(row.shape.product(), || {
        linear::backward_weight(&x, &grad, 4 * inputs, &mut dw, Some(&mut db))
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
        block::Weights::from_array(self.0.each_ref().map(Vec::as_slice))
    }
}

fn block_setting<'a>(row: &Row, sites: &'a Sites) -> block::Setting<'a> {
    let images = row.shape.images;
    block::Setting { sites, images, scale: None, norm_eps: 1e-6, grn_eps: 1e-6 }
}

fn block_forward(row: &Row) {
    let weights = BlockWeights::new(row.shape.channels);
    let (x, sites) = (row.shape.features(1), row.shape.sites());
    let prepared = block::Prepared::new(&weights.weights()).expect("weights of fitting lengths");
    let mut out = buffer(x.len());
    row.operations(row.shape.convolution() + 2 * row.shape.product(), || {
        block::forward(&x, &prepared, &block_setting(row, &sites), &mut out)
    });
}

/// Forward and backward, laying the weights out included.
fn block_training(row: &Row) {
    let c = row.shape.channels;
    let weights = BlockWeights::new(c);
    let (x, grad, sites) = (row.shape.features(1), row.shape.features(1), row.shape.sites());
    let setting = block_setting(row, &sites);
    let width = block::hidden_width(c);
    let (mut out, mut dx) = (buffer(x.len()), buffer(x.len()));
    let (mut convolved, mut expanded) = (buffer(x.len()), buffer(row.shape.rows() * width));
    let mut squares = buffer(row.shape.images * width);
    let mut gradients = weights.0.clone();
    let mut scratch = buffer(block::backward_scratch(&setting, c));
    row.operations(3 * (row.shape.convolution() + 2 * row.shape.product()), || {
        let kept = block::Kept {
            convolved: convolved.as_mut_slice(),
            expanded: &mut expanded,
            squares: &mut squares,
        };
        let prepared = block::Prepared::new(&weights.weights())?;
        block::forward_keeping(&x, &prepared, &setting, &mut out, kept)?;
        let kept =
            block::Kept { convolved: convolved.as_slice(), expanded: &expanded, squares: &squares };
        let slices = gradients.each_mut().map(Vec::as_mut_slice);
        let into = block::Gradients { x: &mut dx, weights: block::PerWeight::from_array(slices) };
        block::backward(&x, kept, &weights.weights(), &setting, &grad, into, &mut scratch)
    });
}
