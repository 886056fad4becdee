//! An operation on some operands, and its formula.

use std::collections::BTreeSet;

use fcmae::config::GrnConfig;
use fcmae::engine::backend::Backend;
use fcmae::engine::module::Network;
use fcmae::engine::ops::{self, Grn, Operation};
use fcmae::engine::parameters::Parameter;
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::Tensor;
use fcmae_oracle::Var;

use crate::differentiate::{
    Differentiated, Operand, Start, compare, differentiate, differentiate_on, network, wide_probe,
};

/// Epsilon of norms and of GRN.
pub(super) const EPS: f64 = 1e-6;

/// GRN with these gamma and beta.
pub(super) fn grn([gamma, beta]: [Parameter; 2], config: GrnConfig) -> Grn {
    Grn { gamma, beta, variant: config.variant(), eps: EPS as f32 }
}

type Apply = dyn Fn(&mut Pass<'_>, Vec<Tensor>, &[Parameter]) -> Tensor + Sync;
type Formula = dyn Fn(&[Var]) -> Var;

/// An operation on some operands, and its formula.
pub(super) struct Case {
    about: String,
    operands: Vec<Operand>,
    /// How many of the operands are tensors; the others are parameters.
    tensors: usize,
    apply: Box<Apply>,
    formula: Box<Formula>,
    start: Start,
    differentiable: bool,
    any_width: bool,
    limits: Limits,
}

/// The largest relative errors of results and gradients.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    results: f64,
    gradients: f64,
}

/// Of the published network's operations.
const PUBLISHED: Limits = Limits { results: 1e-6, gradients: 3e-6 };
/// Of the variants of GRN.
pub(super) const VARIANTS: Limits = Limits { results: 1e-5, gradients: 1e-5 };

impl Case {
    /// `apply` to `tensors` and `parameters`, and `formula` of both.
    pub(super) fn new<const T: usize, const P: usize>(
        about: impl Into<String>,
        (tensors, parameters): ([Operand; T], [Operand; P]),
        apply: impl Fn(&mut Pass<'_>, [Tensor; T], [Parameter; P]) -> Tensor + Sync + 'static,
        formula: impl Fn([&Var; T], [&Var; P]) -> Var + 'static,
    ) -> Self {
        Self {
            about: about.into(),
            operands: tensors.into_iter().chain(parameters).collect(),
            tensors: T,
            apply: Box::new(move |pass, tensors, parameters| {
                apply(pass, tensors.try_into().unwrap(), parameters.try_into().unwrap())
            }),
            formula: Box::new(move |operands| {
                let (tensors, parameters) = operands.split_at(T);
                formula(
                    std::array::from_fn(|i| &tensors[i]),
                    std::array::from_fn(|i| &parameters[i]),
                )
            }),
            start: Start::Probe,
            differentiable: true,
            any_width: false,
            limits: PUBLISHED,
        }
    }

    /// The result is a loss, where a backward pass begins.
    pub(super) fn loss(self) -> Self {
        Self { start: Start::Loss, ..self }
    }

    /// No gradient passes through it.
    pub(super) fn without_gradient(self) -> Self {
        Self { differentiable: false, ..self }
    }

    /// A card computes it whatever the width of rows.
    pub(super) fn of_any_width(self) -> Self {
        Self { any_width: true, ..self }
    }

    pub(super) fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    fn differentiate(&self) -> Differentiated {
        differentiate(&self.operands, self.start, |pass, places| {
            let (tensors, parameters) = places.split_at(self.tensors);
            let tensors = tensors.iter().map(|place| ops::parameter(pass, *place)).collect();
            (self.apply)(pass, tensors, parameters)
        })
    }

    /// Whether a card can compute it: rows are whole packs of values, and GRN is the published one.
    fn is_for_cards(&self) -> bool {
        let whole = self.operands[0].shape.last().is_multiple_of(8);
        (whole || self.any_width) && self.limits.results <= PUBLISHED.results
    }

    /// Compares results and gradients on a card with the formula, if it can compute it; whether it can.
    pub(super) fn compare_on_card(&self, card: &Backend, limits: [f64; 2]) -> bool {
        if !self.is_for_cards() {
            return false;
        }
        let operands: Vec<Var> = self.operands.iter().map(Operand::var).collect();
        let expected = (self.formula)(&operands);
        let network = network(&self.operands).on(card).unwrap();
        let inferred = self.infer(&network, &self.tensors());
        compare(&self.about, limits[0], &inferred, expected.values());
        let found = differentiate_on(card, &self.operands, self.start, |pass, places| {
            let (tensors, parameters) = places.split_at(self.tensors);
            let tensors = tensors.iter().map(|place| ops::parameter(pass, *place)).collect();
            (self.apply)(pass, tensors, parameters)
        });
        if !self.differentiable {
            assert!(found.gradients.iter().all(Option::is_none), "{}", self.about);
            return true;
        }
        let expected = match self.start {
            Start::Probe => expected.backward_along(&wide_probe(expected.values().len())),
            Start::Loss => expected.backward(),
        };
        for (i, (gradient, operand)) in found.gradients.iter().zip(&operands).enumerate() {
            let about = format!("{}: gradient by operand {i}", self.about);
            let gradient = gradient.as_ref().unwrap_or_else(|| panic!("no {about}"));
            compare(&about, limits[1], gradient, &expected.of(operand).values);
        }
        true
    }

    /// On tensors that are nobody's parameters, without gradients.
    fn infer(&self, network: &Network<Vec<Parameter>>, tensors: &[Tensor]) -> Vec<f32> {
        let (apply, first) = (&self.apply, self.tensors);
        let result =
            network.infer(|places, pass| apply(pass, tensors.to_vec(), &places[first..])).unwrap();
        result.to_vec()
    }

    fn tensors(&self) -> Vec<Tensor> {
        self.operands[..self.tensors].iter().map(Operand::tensor).collect()
    }

    /// Compares the results with and without gradients; returns what was used.
    pub(super) fn compare_results(&self) -> BTreeSet<Operation> {
        let operands: Vec<Var> = self.operands.iter().map(Operand::var).collect();
        let expected = (self.formula)(&operands);
        let Self { about, limits, .. } = self;
        let recorded = self.differentiate();
        compare(&format!("{about}, recorded"), limits.results, &recorded.result, expected.values());
        let inferred = self.infer(&network(&self.operands), &self.tensors());
        compare(about, limits.results, &inferred, expected.values());
        recorded.operations
    }

    /// Compares the gradients by every operand; returns what was used.
    pub(super) fn compare_gradients(&self) -> BTreeSet<Operation> {
        let found = self.differentiate();
        let about = &self.about;
        if !self.differentiable {
            assert!(found.gradients.iter().all(Option::is_none), "{about} passes gradients on");
            return found.operations;
        }
        let operands: Vec<Var> = self.operands.iter().map(Operand::var).collect();
        let result = (self.formula)(&operands);
        let expected = match self.start {
            Start::Probe => result.backward_along(&wide_probe(result.values().len())),
            Start::Loss => result.backward(),
        };
        for (i, (gradient, operand)) in found.gradients.iter().zip(&operands).enumerate() {
            let about = format!("{about}: gradient by operand {i}");
            let gradient = gradient.as_ref().unwrap_or_else(|| panic!("no {about}"));
            compare(&about, self.limits.gradients, gradient, &expected.of(operand).values);
        }
        found.operations
    }

    /// Checks that values and weights stay as they were, and that the second result is the first.
    pub(super) fn keeps_its_operands(&self) {
        let (tensors, network) = (self.tensors(), network(&self.operands));
        let first = self.infer(&network, &tensors);
        for (tensor, operand) in tensors.iter().zip(&self.operands) {
            assert_eq!(tensor.values(), operand.values, "{} changed an operand", self.about);
        }
        for (place, operand) in network.module().iter().zip(&self.operands) {
            let values = network.weights().get(*place);
            assert_eq!(values, operand.values, "{} changed a parameter", self.about);
        }
        let second = self.infer(&network, &tensors);
        assert_eq!(second, first, "{} gives other bits the second time", self.about);
        let [first, second] = [self.differentiate(), self.differentiate()];
        assert_eq!(first.result, second.result, "{}, recorded", self.about);
        assert_eq!(first.gradients, second.gradients, "{}", self.about);
    }
}
