//! Operations on given operands: results, and gradients by every operand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use fcmae::config::PretrainConfig;
use fcmae::engine::backend::Backend;
use fcmae::engine::module::Network;
use fcmae::engine::ops::Operation;
use fcmae::engine::parameters::Parameter;
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::{Shape, Tensor};
use fcmae::training::Learner;
use fcmae_oracle::Var;

use crate::fill;

/// An operand, in numbers that are exact in float32.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) shape: Shape,
    pub(crate) values: Vec<f32>,
}

impl Operand {
    pub(crate) fn new(values: Vec<f32>, shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), values }
    }

    /// Numbers in ±`scale`, by name.
    pub(crate) fn filled(name: &str, shape: impl Into<Shape>, scale: f64) -> Self {
        let shape = shape.into();
        let values = fill::uniform(name, shape.count()).into_iter();
        Self::new(values.map(|r| (scale * r) as f32).collect(), shape)
    }

    pub(crate) fn tensor(&self) -> Tensor {
        Tensor::new(self.values.clone(), self.shape)
    }

    pub(crate) fn var(&self) -> Var {
        Var::new(&self.shape, self.values.iter().copied())
    }
}

/// A network whose parameters are these operands, in this order.
pub(crate) fn network(operands: &[Operand]) -> Network<Vec<Parameter>> {
    let mut network = Network::new(|names| {
        let mut parameter =
            |(i, operand): (usize, &Operand)| names.parameter(&i.to_string(), operand.shape);
        operands.iter().enumerate().map(&mut parameter).collect::<Vec<_>>()
    });
    for (place, operand) in network.module().clone().into_iter().zip(operands) {
        network.weights_mut().get_mut(place).copy_from_slice(&operand.values);
    }
    network
}

/// Where a backward pass begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At `Σ result · probe`.
    Probe,
    /// At the result, which is a loss.
    Loss,
}

/// The direction that makes a number of a result of `count` values.
pub(crate) fn probe(count: usize) -> Vec<f32> {
    fill::uniform("output@probe", count).into_iter().map(|r| r as f32).collect()
}

/// The same for the oracle.
pub(crate) fn wide_probe(count: usize) -> Vec<f64> {
    probe(count).into_iter().map(f64::from).collect()
}

/// What came of a recorded pass.
#[derive(Debug)]
pub(crate) struct Differentiated {
    pub(crate) result: Vec<f32>,
    /// By each operand; `None` where the result doesn't depend on it, or passes no gradient.
    pub(crate) gradients: Vec<Option<Vec<f32>>>,
    pub(crate) operations: BTreeSet<Operation>,
}

/// The result of `apply` on parameters with the values of `operands`, and gradients by each.
pub(crate) fn differentiate(
    operands: &[Operand],
    start: Start,
    apply: impl Fn(&mut Pass<'_>, &[Parameter]) -> Tensor,
) -> Differentiated {
    differentiate_on(&Backend::Cpu, operands, start, apply)
}

/// The same computed by `backend`; on a card without the result.
pub(crate) fn differentiate_on(
    backend: &Backend,
    operands: &[Operand],
    start: Start,
    apply: impl Fn(&mut Pass<'_>, &[Parameter]) -> Tensor,
) -> Differentiated {
    let learner = Learner::new(network(operands), &PretrainConfig::default().optim);
    let mut learner = learner.on(backend).unwrap();
    let (passes, result) = (Cell::new(0), RefCell::default());
    learner
        .learn(1, |places, pass| {
            let out = apply(pass, places);
            if start == Start::Probe {
                let shape = out.shape();
                pass.start_backward(out.clone(), |_, _, _| {
                    Tensor::new(probe(shape.count()), shape)
                });
            }
            // The first pass is only traced, and has no values.
            if passes.replace(passes.get() + 1) == 1 {
                *result.borrow_mut() = out.to_vec();
            }
            out
        })
        .unwrap();
    let on_card = matches!(backend, Backend::Card(_));
    assert_eq!(passes.get(), if on_card { 1 } else { 2 });
    let gradients = learner.gradients().clone().on(&Backend::Cpu).unwrap();
    let gradient = |&place| gradients.get(place).map(<[f32]>::to_vec);
    Differentiated {
        result: result.into_inner(),
        gradients: learner.network().module().iter().map(gradient).collect(),
        operations: learner.workspace().operations().clone(),
    }
}

/// `‖found − expected‖ / ‖expected‖`.
pub(crate) fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let error: f64 = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).powi(2)).sum();
    let norm: f64 = expected.iter().map(|e| e.powi(2)).sum();
    assert!(norm > 0.0, "nothing to compare with: all values are zero");
    (error / norm).sqrt()
}

/// Panics where the deviation is above `limit`, or not a number.
pub(crate) fn compare(about: &str, limit: f64, found: &[f32], expected: &[f64]) {
    let error = relative_error(found, expected);
    assert!(error <= limit, "{about} is off by {error:.1e}, limit {limit:.0e}");
}
