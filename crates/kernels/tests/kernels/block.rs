//! The block against its operations one by one, which are held to double-precision code themselves.

use fcmae_kernels::block::{self, Kept, Prepared, Setting, Weights, hidden_width};
use fcmae_kernels::simd::{Level, levels, with_level};
use fcmae_kernels::{Gradients, Sites, depthwise, grn, layer_norm, linear, residual};
use rand_chacha::ChaCha8Rng;

use crate::compare::*;
use crate::depthwise::random_patches;

const EPS: f32 = 1e-6;

pub(crate) struct Case {
    sites: Sites,
    images: usize,
    scale: Option<Vec<f32>>,
    x: Vec<f32>,
    grad: Vec<f32>,
    /// In the order of [`Weights`].
    weights: [Vec<f32>; 10],
}

impl Case {
    pub(crate) fn new(rng: &mut ChaCha8Rng, sites: Sites, images: usize, channels: usize) -> Self {
        let c = channels;
        let values = images * sites.sites_per_image() * c;
        let spread = |fan_in: usize| 1.5 / (fan_in as f32).sqrt();
        Self {
            x: random(rng, values, 1.0),
            grad: random(rng, values, 1.0),
            weights: [
                random(rng, 49 * c, spread(49)),
                random(rng, c, 0.5),
                random(rng, c, 1.0),
                random(rng, c, 0.5),
                random(rng, 4 * c * c, spread(c)),
                random(rng, 4 * c, 0.5),
                random(rng, 4 * c, 1.0),
                random(rng, 4 * c, 0.5),
                random(rng, 4 * c * c, spread(4 * c)),
                random(rng, c, 0.5),
            ],
            sites,
            images,
            scale: None,
        }
    }

    fn channels(&self) -> usize {
        self.weights[1].len()
    }

    fn weights(&self) -> Weights<'_> {
        Weights::from_array(self.weights.each_ref().map(Vec::as_slice))
    }

    fn setting(&self) -> Setting<'_> {
        let Self { sites, images, scale, .. } = self;
        let scale = scale.as_deref();
        Setting { sites, images: *images, scale, norm_eps: EPS, grn_eps: EPS }
    }

    /// The output, then the gradients by x and by the weights in their order.
    pub(crate) fn fused(&self) -> Vec<Vec<f32>> {
        let c = self.channels();
        let prepared = Prepared::new(&self.weights()).unwrap();
        let hidden = self.x.len() / c * hidden_width(c);
        let unwritten = |len: usize| vec![f32::NAN; len];
        let mut alone = unwritten(self.x.len());
        block::forward(&self.x, &prepared, &self.setting(), &mut alone).unwrap();
        let mut out = unwritten(self.x.len());
        let (mut convolved, mut expanded) = (unwritten(self.x.len()), unwritten(hidden));
        let mut squares = unwritten(self.images * hidden_width(c));
        let kept = Kept {
            convolved: convolved.as_mut_slice(),
            expanded: &mut expanded,
            squares: &mut squares,
        };
        block::forward_keeping(&self.x, &prepared, &self.setting(), &mut out, kept).unwrap();
        assert!(alone == out, "the output doesn't depend on what is kept");
        let kept = Kept { convolved: convolved.as_slice(), expanded: &expanded, squares: &squares };
        let mut x = unwritten(self.x.len());
        let mut gradients = self.weights.each_ref().map(|w| unwritten(w.len()));
        let slices = gradients.each_mut().map(Vec::as_mut_slice);
        let into = block::Gradients { x: &mut x, weights: block::PerWeight::from_array(slices) };
        let (weights, setting) = (self.weights(), self.setting());
        // What is left over from earlier work must not matter.
        let mut scratch = vec![f32::NAN; block::backward_scratch(&setting, self.channels())];
        let scratch = scratch.as_mut_slice();
        block::backward(&self.x, kept, &weights, &setting, &self.grad, into, scratch).unwrap();
        [vec![out, x], gradients.to_vec()].concat()
    }

    /// As [`fused`](Self::fused), one operation after the other.
    fn one_by_one(&self) -> Vec<Vec<f32>> {
        let (c, images, sites) = (self.channels(), self.images, &self.sites);
        let w = self.weights();
        let ones = vec![1.0; images];
        let scale = self.scale.as_deref().unwrap_or(&ones);
        let buffer = |len: usize| vec![f32::NAN; len];
        let (len, hidden) = (self.x.len(), 4 * self.x.len());
        let mut convolved = buffer(len);
        let bias = Some(w.depthwise_bias);
        depthwise::forward(&self.x, w.depthwise, bias, sites, images, c, &mut convolved).unwrap();
        let mut normal = buffer(len);
        layer_norm::forward(&convolved, w.norm_gamma, w.norm_beta, EPS, &mut normal).unwrap();
        let mut expanded = buffer(hidden);
        linear::forward(&normal, w.expand, Some(w.expand_bias), c, &mut expanded).unwrap();
        let mut responded = buffer(hidden);
        grn::gelu_grn(&expanded, w.grn_gamma, w.grn_beta, images, EPS, &mut responded).unwrap();
        let mut branch = buffer(len);
        let bias = Some(w.contract_bias);
        linear::forward(&responded, w.contract, bias, 4 * c, &mut branch).unwrap();
        let mut out = buffer(len);
        residual::forward(&self.x, &branch, scale, &mut out).unwrap();

        let mut grad = buffer(len);
        residual::backward(&self.grad, scale, &mut grad).unwrap();
        let mut g: Vec<_> = self.weights.iter().map(|w| buffer(w.len())).collect();
        let [dw, dw_bias, gamma, beta, expand, expand_bias, grn_gamma, grn_beta, contract, bias] =
            g.as_mut_slice()
        else {
            unreachable!()
        };
        linear::backward_weight(&responded, &grad, c, contract, Some(bias)).unwrap();
        let mut hidden_grad = buffer(hidden);
        linear::backward_input(&grad, w.contract, 4 * c, &mut hidden_grad).unwrap();
        let mut expanded_grad = buffer(hidden);
        let into = Gradients { x: &mut expanded_grad, gamma: grn_gamma, beta: grn_beta };
        grn::gelu_grn_backward(&expanded, w.grn_gamma, &hidden_grad, images, EPS, into).unwrap();
        linear::backward_weight(&normal, &expanded_grad, 4 * c, expand, Some(expand_bias)).unwrap();
        let mut normal_grad = buffer(len);
        linear::backward_input(&expanded_grad, w.expand, c, &mut normal_grad).unwrap();
        let mut convolved_grad = buffer(len);
        let into = Gradients { x: &mut convolved_grad, gamma, beta };
        layer_norm::backward(&convolved, w.norm_gamma, &normal_grad, EPS, into).unwrap();
        let x = &self.x;
        let dw_bias = Some(dw_bias.as_mut_slice());
        depthwise::backward_weight(x, &convolved_grad, sites, images, c, dw, dw_bias).unwrap();
        let mut x_grad = buffer(len);
        depthwise::backward_input(&convolved_grad, w.depthwise, sites, images, c, &mut x_grad)
            .unwrap();
        for (x_grad, grad) in x_grad.iter_mut().zip(&self.grad) {
            *x_grad += grad;
        }
        [vec![out, x_grad], g].concat()
    }
}

fn cases(rng: &mut ChaCha8Rng) -> Vec<Case> {
    let grid = |height, width| Sites::grid(height, width).unwrap();
    let mut cases = vec![
        // Widths of one, three and five vectors, none whole, and panels that aren't whole.
        Case::new(rng, grid(3, 2), 1, 1),
        Case::new(rng, grid(4, 3), 2, 6),
        Case::new(rng, grid(5, 7), 3, 20),
        Case::new(rng, grid(1, 1), 5, 40),
        // Several tiles an image, several groups, several parts.
        Case::new(rng, grid(16, 15), 3, 40),
        Case::new(rng, grid(33, 34), 20, 8),
        Case::new(rng, grid(7, 7), 5, 64),
        // The depth of the products cut.
        Case::new(rng, grid(5, 5), 2, 200),
    ];
    for (grid, visible, images, channels) in [
        ((7, 7, 8), 19, 2, 40),
        ((7, 7, 4), 19, 3, 24),
        ((7, 7, 2), 19, 2, 80),
        ((7, 7, 1), 19, 9, 160),
        ((2, 2, 2), 1, 4, 16),
    ] {
        let sites = random_patches(rng, grid, visible, images);
        cases.push(Case::new(rng, sites, images, channels));
    }
    for case in &mut cases {
        if case.images >= 3 {
            case.scale = Some((0..case.images).map(|n| [1.25, 0.0, 0.5][n % 3]).collect());
        }
    }
    cases
}

const NAMES: [&str; 12] = [
    "output",
    "x",
    "depthwise",
    "depthwise_bias",
    "norm_gamma",
    "norm_beta",
    "expand",
    "expand_bias",
    "grn_gamma",
    "grn_beta",
    "contract",
    "contract_bias",
];

#[test]
fn the_block_equals_its_operations() {
    for case in cases(&mut generator(61)) {
        let expected = case.one_by_one();
        for &level in levels() {
            let found = with_level(level, || case.fused());
            for ((name, found), expected) in NAMES.iter().zip(found).zip(&expected) {
                let what = format!(
                    "{name} of {} channels, {} images, {:?} ({level:?})",
                    case.channels(),
                    case.images,
                    case.sites.extent(),
                );
                assert_close(&found, &double(expected), 2e-6, &what);
            }
        }
    }
}

/// Both multiply and add with one rounding, in one order: a run may go on on another machine.
#[test]
fn bits_do_not_depend_on_the_width_of_registers() {
    if !levels().contains(&Level::Avx512) {
        eprintln!("skipped: this processor has no AVX-512");
        return;
    }
    for case in cases(&mut generator(63)) {
        let [narrow, wide] =
            [Level::Avx2, Level::Avx512].map(|level| with_level(level, || case.fused()));
        for ((name, narrow), wide) in NAMES.iter().zip(&narrow).zip(&wide) {
            let same = narrow.iter().zip(wide).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{name} of {} channels, {} images", case.channels(), case.images);
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for case in cases(&mut generator(62)) {
        let [one, two, five] = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| case.fused())
        });
        let extent = case.sites.extent();
        for (((name, one), two), five) in NAMES.iter().zip(one).zip(two).zip(five) {
            assert!(one == two, "{name} differs on one and two threads: {extent:?}");
            assert!(one == five, "{name} differs on one and five threads: {extent:?}");
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let case = Case::new(&mut generator(63), Sites::grid(3, 3).unwrap(), 2, 8);
    let weights = Weights { expand: &case.weights[4][1..], ..case.weights() };
    let error = Prepared::new(&weights).unwrap_err();
    assert!(error.to_string().contains("expand"), "{error}");
    let prepared = Prepared::new(&case.weights()).unwrap();
    let mut out = vec![0.0; case.x.len()];
    let error = block::forward(&case.x[8..], &prepared, &case.setting(), &mut out).unwrap_err();
    assert!(error.to_string().contains('x'), "{error}");
    let setting = Setting { scale: Some(&[1.0]), ..case.setting() };
    let error = block::forward(&case.x, &prepared, &setting, &mut out).unwrap_err();
    assert!(error.to_string().contains("scale"), "{error}");
}

/// Estimates of sizes that no memory has are as large, not small by overflow.
#[test]
fn estimates_of_too_large_sizes_stay_large() {
    for [images, sites, channels] in [
        [usize::MAX, usize::MAX, usize::MAX],
        [2, usize::MAX, 8],
        [2, 1 << 32, 1 << 32],
        [2, 16, usize::MAX / 4 + 2],
    ] {
        let scratch = block::thread_scratch(images, sites, channels);
        assert!(scratch > 1 << 60, "{images}, {sites}, {channels}: {scratch}");
    }
    assert!(block::thread_scratch(2, 0, 8) < 1 << 20, "no sites are no division by zero");
    assert_eq!(block::hidden_width(usize::MAX / 4 + 2), usize::MAX);
    let sites = Sites::Grid { height: 1 << 32, width: 1 << 32 };
    assert_eq!(sites.sites_per_image(), usize::MAX);
    let setting = Setting { sites: &sites, images: 2, scale: None, norm_eps: 1e-6, grn_eps: 1e-6 };
    assert_eq!(block::backward_scratch(&setting, 8), usize::MAX);
}
