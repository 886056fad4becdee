//! Whether a device computes what the processor does: every operation on numbers of its own, and a few steps of
//! pre-training. `fcmae doctor --check` shows it, for a card that nobody has tried before, a new driver, or doubts.

use std::sync::Arc;

use serde::Serialize;

use crate::config::{DecoderConfig, ModelConfig, PretrainConfig};
use crate::engine::backend::Backend;
use crate::engine::module::Network;
use crate::engine::noise::evenly;
use crate::engine::ops::{self, Affine, BlockSetting, BlockWeights, Filler, Grn, Norm};
use crate::engine::parameters::Parameter;
use crate::engine::shape::Shape;
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;
use crate::error::Result;
use crate::network::autoencoder::Autoencoder;
use crate::network::mask::Mask;
use crate::network::model::init;
use crate::training::Learner;

use fcmae_cuda::work::Element;
use fcmae_kernels::Sites;

/// Steps of pre-training that are compared.
const STEPS: u64 = 20;
const EPS: f32 = 1e-6;

/// How far a device was from the processor in something.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// What was computed.
    pub name: &'static str,
    /// `‖device − processor‖ / ‖processor‖`: of the result and of each gradient, whichever is largest.
    pub error: f64,
    /// The largest that passes.
    pub bound: f64,
}

impl Compared {
    /// Whether the device computes it as it should. What is not a number does not pass.
    pub fn passes(&self) -> bool {
        self.error <= self.bound
    }
}

/// Compares `backend` with the processor. `told` is given each result as it comes.
///
/// # Errors
/// What a card says.
pub fn check(backend: &Backend, mut told: impl FnMut(&Compared)) -> Result<Vec<Compared>> {
    // Of single operations in float32 and, after the rounding of operands and results, in bfloat16.
    let (bound, of_steps) = match backend.features() {
        Some(Element::Bf16) => (2e-2, 5e-2),
        _ => (1e-5, 1e-3),
    };
    let mut all = Vec::new();
    for case in cases() {
        let compared = Compared { name: case.name, error: case.error(backend)?, bound };
        told(&compared);
        all.push(compared);
    }
    let steps =
        Compared { name: "20 steps of pre-training", error: steps(backend)?, bound: of_steps };
    told(&steps);
    all.push(steps);
    Ok(all)
}

type Apply = dyn Fn(&mut Pass<'_>, Tensor, &[Parameter]) -> Tensor + Sync;

/// An operation on numbers.
struct Case {
    name: &'static str,
    /// Of the tensor that it is applied to, then of its parameters.
    shapes: Vec<Shape>,
    apply: Box<Apply>,
    /// Whether the result is a loss, where a backward pass begins.
    is_loss: bool,
    /// Whether gradients pass through it.
    differentiable: bool,
}

impl Case {
    fn new<const P: usize>(
        name: &'static str,
        x: impl Into<Shape>,
        parameters: [Shape; P],
        apply: impl Fn(&mut Pass<'_>, Tensor, [Parameter; P]) -> Tensor + Sync + 'static,
    ) -> Self {
        let shapes = std::iter::once(x.into()).chain(parameters).collect();
        let apply = move |pass: &mut Pass<'_>, x: Tensor, parameters: &[Parameter]| {
            let parameters = parameters.try_into().expect("as many parameters as shapes");
            apply(pass, x, parameters)
        };
        Self { name, shapes, apply: Box::new(apply), is_loss: false, differentiable: true }
    }

    fn loss(self) -> Self {
        Self { is_loss: true, ..self }
    }

    fn without_gradient(self) -> Self {
        Self { differentiable: false, ..self }
    }

    /// All operands as parameters, with numbers of their own.
    fn network(&self) -> Network<Vec<Parameter>> {
        let mut network = Network::new(|names| {
            let mut parameter =
                |(i, shape): (usize, &Shape)| names.parameter(&i.to_string(), *shape);
            self.shapes.iter().enumerate().map(&mut parameter).collect::<Vec<_>>()
        });
        for (seed, parameter) in (1..).zip(network.module().clone()) {
            let values = network.weights_mut().get_mut(parameter);
            // Factors of sums, so that results stay as large as operands.
            let shape = parameter.shape();
            let fan_in = if seed > 1 && shape.len() > 1 { shape[1..].iter().product() } else { 1 };
            let std = 1.0 / (fan_in as f32).sqrt();
            values.iter_mut().zip(evenly(seed, std)).for_each(|(value, number)| *value = number);
        }
        network
    }

    fn apply(&self, pass: &mut Pass<'_>, operands: &[Parameter]) -> Tensor {
        let x = ops::parameter(pass, operands[0]);
        (self.apply)(pass, x, &operands[1..])
    }

    /// The result, and the gradients by all operands.
    fn numbers(&self, backend: &Backend) -> Result<Vec<Vec<f32>>> {
        let network = self.network().on(backend)?;
        let result = network.infer(|operands, pass| self.apply(pass, operands))?;
        let mut all = vec![result.to_vec()];
        if !self.differentiable {
            return Ok(all);
        }
        let config = PretrainConfig::default().optim;
        let mut learner = Learner::new(self.network(), &config).on(backend)?;
        learner.learn(1, |operands, pass| {
            let result = self.apply(pass, operands);
            if !self.is_loss {
                let shape = result.shape();
                let along = evenly(99, 1.0).take(shape.count()).collect();
                pass.start_backward(result.clone(), |_, _, _| Tensor::new(along, shape));
            }
            result
        })?;
        let gradients = learner.gradients().clone().on(&Backend::Cpu)?;
        let gradient = |&operand| gradients.get(operand).map(<[f32]>::to_vec);
        all.extend(learner.network().module().iter().filter_map(gradient));
        Ok(all)
    }

    fn error(&self, backend: &Backend) -> Result<f64> {
        let (expected, found) = (self.numbers(&Backend::Cpu)?, self.numbers(backend)?);
        if expected.len() != found.len() {
            return Ok(f64::INFINITY);
        }
        let errors = expected.iter().zip(&found).map(|(expected, found)| distance(expected, found));
        Ok(largest(errors))
    }
}

/// The largest, NaN if any is.
fn largest(errors: impl Iterator<Item = f64>) -> f64 {
    errors
        .fold(0.0, |largest, error| if error > largest || error.is_nan() { error } else { largest })
}

/// `‖found − expected‖ / ‖expected‖`.
fn distance(expected: &[f32], found: &[f32]) -> f64 {
    let wide = |value: &f32| f64::from(*value);
    let pairs = expected.iter().zip(found);
    let error: f64 = pairs.map(|(expected, found)| (wide(found) - wide(expected)).powi(2)).sum();
    let norm: f64 = expected.iter().map(|value| wide(value).powi(2)).sum();
    (error / norm.max(f64::MIN_POSITIVE)).sqrt()
}

/// Images of all cases.
const IMAGES: usize = 2;

fn mask() -> Mask {
    Mask::random([3, 4], 0.6, 5, 0, &[0, 1]).expect("a mask of a few patches")
}

fn cases() -> Vec<Case> {
    let mut all = vec![depthwise(
        "depthwise convolution on a grid",
        Sites::Grid { height: 14, width: 14 },
        40,
    )];
    for (name, side) in [
        ("depthwise convolution at patches of 8", 8),
        ("depthwise convolution at patches of 4", 4),
        ("depthwise convolution at patches of 2", 2),
        ("depthwise convolution at patches of 1", 1),
    ] {
        all.push(depthwise(name, mask().sites(side), 40));
    }
    all.extend([
        block("block on a grid", Sites::Grid { height: 7, width: 7 }, None),
        block("block at patches, with drop path", mask().sites(2), Some([1.25, 0.0])),
    ]);
    all.extend(layers());
    all.extend(windows());
    all.extend(rows());
    all
}

fn depthwise(name: &'static str, sites: Sites, channels: usize) -> Case {
    let x = [IMAGES, sites.sites_per_image(), channels];
    let parameters = [[channels, 1, 7, 7].into(), [channels].into()];
    Case::new(name, x, parameters, move |pass, x, [weight, bias]| {
        ops::depthwise(pass, x, weight, bias, &sites)
    })
}

fn block(name: &'static str, sites: Sites, scale: Option<[f32; IMAGES]>) -> Case {
    let channels = 40;
    let (narrow, wide) = (Shape::from([channels]), Shape::from([4 * channels]));
    let x = [IMAGES, sites.sites_per_image(), channels];
    let parameters = [
        [channels, 1, 7, 7].into(),
        narrow,
        narrow,
        narrow,
        [4 * channels, channels].into(),
        wide,
        wide,
        wide,
        [channels, 4 * channels].into(),
        narrow,
    ];
    let scale: Option<Arc<[f32]>> = scale.map(Into::into);
    Case::new(name, x, parameters, move |pass, x, weights| {
        let (sites, scale) = (sites.clone(), scale.clone());
        let setting = BlockSetting { sites, scale, norm_eps: EPS, grn_eps: EPS };
        ops::block(pass, x, BlockWeights::from_array(weights), setting)
    })
}

fn layers() -> [Case; 8] {
    let (x, channels) = ([IMAGES, 49, 80], Shape::from([80]));
    let affine = [[24, 80].into(), [24].into(), [24].into()];
    [
        Case::new("layer norm", x, [channels; 2], |pass, x, [gamma, beta]| {
            ops::layer_norm(pass, x, gamma, beta, EPS)
        }),
        Case::new("GELU", x, [], |pass, x, []| ops::activation(pass, x, None)),
        Case::new("GELU and GRN", x, [channels; 2], |pass, x, [gamma, beta]| {
            let grn = Grn { gamma, beta, variant: None, eps: EPS };
            ops::activation(pass, x, Some(grn))
        }),
        Case::new("linear layer", x, [affine[0], affine[1]], |pass, x, [weight, bias]| {
            ops::linear(pass, x, Affine { weight, bias, scale: None })
        }),
        Case::new("linear layer with a scale", x, affine, |pass, x, [weight, bias, scale]| {
            ops::linear(pass, x, Affine { weight, bias, scale: Some(scale) })
        }),
        Case::new("residual with drop path", x, [x.into()], |pass, x, [branch]| {
            let branch = ops::parameter(pass, branch);
            ops::residual(pass, x, branch, Some([1.25, 0.0].into()))
        }),
        Case::new("mean over sites", x, [], |pass, x, []| ops::pool(pass, x)),
        Case::new("cross entropy", [6, 10], [], |pass, x, []| {
            ops::cross_entropy(
                pass,
                x,
                &crate::network::loss::smoothed(&[0, 3, 9, 9, 1, 4], 10, 0.1),
            )
        })
        .loss(),
    ]
}

fn windows() -> [Case; 4] {
    let x = [IMAGES, 8, 12, 40];
    [
        Case::new("space to depth", x, [], |pass, x, []| ops::space_to_depth(pass, x, 2)),
        Case::new("depth to space", x, [], |pass, x, []| ops::depth_to_space(pass, x, 2)),
        Case::new(
            "stem",
            [IMAGES, 16, 24, 3],
            [[40, 3, 4, 4].into(), [40].into()],
            |pass, x, [weight, bias]| ops::window_convolution(pass, x, None, weight, bias),
        ),
        Case::new(
            "downsampling",
            x,
            [[80, 40, 2, 2].into(), [80].into(), [40].into(), [40].into()],
            |pass, x, [weight, bias, gamma, beta]| {
                let norm = Norm { gamma, beta, eps: EPS };
                ops::window_convolution(pass, x, Some(norm), weight, bias)
            },
        ),
    ]
}

fn rows() -> [Case; 5] {
    const CHOSEN: [u32; 9] = [12, 0, 5, 12, 5, 11, 3, 12, 7];
    let x = [12, 48];
    [
        Case::new("chosen rows, filled with zeros", x, [], |pass, x, []| {
            ops::select_rows(pass, x, CHOSEN, Filler::Zeros)
        }),
        Case::new("chosen rows, filled with a parameter", x, [[48].into()], |pass, x, [filler]| {
            ops::select_rows(pass, x, CHOSEN, Filler::Parameter(filler))
        }),
        Case::new("standardized rows", x, [], |pass, x, []| ops::standardize_rows(pass, x, EPS))
            .without_gradient(),
        Case::new("mean squared difference", x, [], |pass, x, []| {
            let other = Tensor::new(evenly(7, 1.0).take(x.shape().count()).collect(), x.shape());
            ops::mean_squared_difference(pass, x, other)
        })
        .loss(),
        Case::new("cosine distance", x, [], |pass, x, []| {
            let other = Tensor::new(evenly(8, 1.0).take(x.shape().count()).collect(), x.shape());
            ops::cosine_distance(pass, x, other, 1.0)
        })
        .loss(),
    ]
}

/// How far the losses of a small autoencoder's steps are from the processor's, next to how far they fall there.
fn steps(backend: &Backend) -> Result<f64> {
    let (expected, found) = (losses(&Backend::Cpu)?, losses(backend)?);
    let fall = expected.iter().fold(0.0, |fall: f64, loss| fall.max((expected[0] - loss).abs()));
    let apart = expected.iter().zip(&found).map(|(expected, found)| (expected - found).abs());
    Ok(largest(apart) / fall.max(f64::MIN_POSITIVE))
}

fn losses(backend: &Backend) -> Result<Vec<f64>> {
    let model = ModelConfig::custom([1, 1, 2, 1], [16, 24, 40, 48]);
    let decoder = DecoderConfig { width: 32, depth: 1 };
    let mut network = Network::new(|names| Autoencoder::new(names, &model, &decoder));
    init::initialize(network.weights_mut(), 3, init::WEIGHT_STD);
    let images = [4, 64, 64, model.channels];
    let pixels: Vec<f32> = evenly(1, 1.0).take(images.iter().product()).collect();
    let pixels = Tensor::new(pixels, images);
    let mut learner = Learner::new(network, &PretrainConfig::default().optim).on(backend)?;
    let step = |step| {
        let mask = Mask::random([2, 2], 0.5, 3, step, &[0, 1, 2, 3])?;
        let loss =
            learner.learn(1, |network, pass| network.loss(pass, pixels.clone(), &mask, true))?;
        learner.update(2e-3, |_| 1.0)?;
        Ok(f64::from(loss))
    };
    (0..STEPS).map(step).collect()
}
