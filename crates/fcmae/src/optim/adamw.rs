//! AdamW with the published parameter groups.

use std::sync::Arc;

use fcmae_kernels::adamw as kernel;
use fcmae_store::{HostTensor, Mismatch, NamedTensors};

use super::Gradients;
use crate::config::{OnNan, OptimConfig};
use crate::parameters::{Arena, Layout};

/// AdamW: decoupled weight decay on matrices and kernels, none on vectors (biases, norms, GRN,
/// layer scale, the mask token).
#[derive(Clone, Debug)]
pub struct AdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    clip_norm: f64,
    on_nan: OnNan,
    first: Arena,
    second: Arena,
    /// Which parameters have been updated.
    known: Vec<bool>,
    updates: u64,
    held: bool,
}

/// What became of an update.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Mean loss over the update's batches.
    pub loss: f32,
    /// The norm of all gradients together.
    pub norm: f64,
    /// Whether the weights were changed. They are not where the loss or the norm is no number.
    pub made: bool,
}

/// A moving average of the weights: `average = decay · average + (1 − decay) · weights` after every
/// update.
#[derive(Debug)]
pub struct Averaging<'a> {
    /// The average.
    pub average: &'a mut Arena,
    /// How much of it is kept.
    pub decay: f64,
}

impl AdamW {
    /// Without any update yet.
    pub fn new(config: &OptimConfig, layout: &Arc<Layout>) -> Self {
        Self {
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            weight_decay: config.weight_decay,
            clip_norm: config.clip_norm,
            on_nan: config.on_nan,
            first: Arena::zeros(layout),
            second: Arena::zeros(layout),
            known: vec![false; layout.len()],
            updates: 0,
            held: false,
        }
    }

    /// Makes one update with learning rate `lr · scale(name)`, unless `loss` or the gradients' norm is no
    /// number. Parameters without a gradient stay as they are. Gradients whose common norm is above the
    /// settings' limit are scaled down to it.
    ///
    /// An update that is not made counts too, so that the count of updates stays that of steps. Where
    /// the settings say to stop, none is made after one that could not be made.
    pub fn step(
        &mut self,
        weights: &mut Arena,
        gradients: &Gradients,
        loss: f32,
        lr: f64,
        scale: impl Fn(&str) -> f64,
        averaging: Option<Averaging<'_>>,
    ) -> Outcome {
        self.updates += 1;
        let norm = gradients.norm();
        if !(loss.is_finite() && norm.is_finite()) {
            self.held = self.on_nan == OnNan::Stop;
            return Outcome { loss, norm, made: false };
        }
        if !self.held {
            self.update(weights, gradients, norm, lr, scale, averaging);
        }
        Outcome { loss, norm, made: !self.held }
    }

    fn update(
        &mut self,
        weights: &mut Arena,
        gradients: &Gradients,
        norm: f64,
        lr: f64,
        scale: impl Fn(&str) -> f64,
        mut averaging: Option<Averaging<'_>>,
    ) {
        let clips = self.clip_norm > 0.0 && norm > self.clip_norm;
        let grad_scale = if clips { self.clip_norm / norm } else { 1.0 };
        let layout = Arc::clone(weights.layout());
        for (name, parameter) in layout.parameters() {
            let param = weights.get_mut(parameter);
            let average_decay = averaging.as_ref().map_or(0.0, |averaging| averaging.decay);
            let average = averaging.as_mut().map(|averaging| averaging.average.get_mut(parameter));
            let Some(gradient) = gradients.get(parameter) else {
                // It may have moved before: the average goes on towards it.
                if let Some(average) = average {
                    kernel::average(average, param, average_decay).expect("arenas of one layout");
                }
                continue;
            };
            self.known[self.first.layout().number(parameter)] = true;
            let settings = kernel::AdamW {
                lr: lr * scale(name),
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                weight_decay: if parameter.shape().len() > 1 { self.weight_decay } else { 0.0 },
                step: self.updates,
                grad_scale,
                average_decay,
            };
            let [first, second] =
                [&mut self.first, &mut self.second].map(|moment| moment.get_mut(parameter));
            let state = kernel::State { param, first, second, average };
            kernel::adamw(state, gradient, &settings).expect("arenas of one layout");
        }
    }

    /// Updates made, or passed over.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The moments, as `first.NAME` and `second.NAME`.
    pub fn state(&self) -> NamedTensors {
        let mut state = NamedTensors::default();
        for (name, parameter) in self.first.layout().parameters() {
            if !self.known[self.first.layout().number(parameter)] {
                continue;
            }
            for (order, moment) in ORDERS.iter().zip([&self.first, &self.second]) {
                let data = moment.get(parameter).to_vec();
                let tensor = HostTensor { shape: vec![data.len()], data };
                state.insert(format!("{order}.{name}"), tensor);
            }
        }
        state
    }

    /// Takes the moments up from a checkpoint after `updates` updates, in place of its own. A parameter that
    /// was never updated has none. If an update that could not be made had stopped it, it makes updates again.
    ///
    /// # Errors
    /// Moments of unknown parameters, of another length, or one without the other: nothing is taken then.
    pub fn restore(&mut self, state: &NamedTensors, updates: u64) -> Result<(), Mismatch> {
        let layout = Arc::clone(self.first.layout());
        let name = |order: &str, name: &str| format!("{order}.{name}");
        let known: Vec<_> = layout
            .parameters()
            .filter(|(of, _)| ORDERS.iter().any(|order| state.get(&name(order, of)).is_some()))
            .collect();
        let expected: Vec<_> = known
            .iter()
            .flat_map(|(of, parameter)| {
                ORDERS.map(|order| (name(order, of), vec![parameter.shape().count()]))
            })
            .collect();
        let mismatch = state.difference(&expected);
        if !mismatch.is_empty() {
            return Err(mismatch);
        }
        for (_, parameter) in layout.parameters() {
            if std::mem::take(&mut self.known[layout.number(parameter)]) {
                for moment in [&mut self.first, &mut self.second] {
                    moment.get_mut(parameter).fill(0.0);
                }
            }
        }
        for (of, parameter) in known {
            self.known[layout.number(parameter)] = true;
            for (order, moment) in ORDERS.iter().zip([&mut self.first, &mut self.second]) {
                if let Some(saved) = state.get(&name(order, of)) {
                    moment.get_mut(parameter).copy_from_slice(&saved.data);
                }
            }
        }
        self.updates = updates;
        self.held = false;
        Ok(())
    }
}

/// What the moments are called in checkpoints.
const ORDERS: [&str; 2] = ["first", "second"];
