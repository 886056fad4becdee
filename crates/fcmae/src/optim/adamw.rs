//! AdamW with the published parameter groups.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use fcmae_store::{HostTensor, NamedTensors};

use super::{Ema, GradientMap, gradient_norm};
use crate::config::OptimConfig;
use crate::ops::{self, AdamWStep};
use crate::parameters;

/// AdamW: decoupled weight decay on matrices and kernels, none on vectors (biases, norms, GRN,
/// layer scale, the mask token).
#[derive(Clone, Debug)]
pub struct AdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    clip_norm: f64,
    moments: BTreeMap<String, [Tensor<1>; 2]>,
    updates: u64,
}

impl AdamW {
    /// Without any update yet.
    pub fn new(config: &OptimConfig) -> Self {
        Self {
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            weight_decay: config.weight_decay,
            clip_norm: config.clip_norm,
            moments: BTreeMap::new(),
            updates: 0,
        }
    }

    /// The module after one update with learning rate `lr · scale(name)`; parameters without a
    /// gradient stay as they are. Gradients whose common norm is above the settings' limit are
    /// scaled down to it.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: GradientMap,
        lr: f64,
        scale: impl Fn(&str) -> f64,
    ) -> M {
        let norm = if self.clip_norm > 0.0 { gradient_norm(&gradients) } else { 0.0 };
        self.step_averaging(module, gradients, norm, lr, scale, None)
    }

    /// Counts an update that is not made. The next one has the number it would have had anyway, so
    /// that the count of updates stays that of steps.
    pub fn pass_over(&mut self) {
        self.updates += 1;
    }

    /// As [`step`](Self::step) for gradients of the common norm `norm`, taking the new weights into
    /// `average`.
    pub fn step_averaging<M: Module>(
        &mut self,
        module: M,
        mut gradients: GradientMap,
        norm: f64,
        lr: f64,
        scale: impl Fn(&str) -> f64,
        mut average: Option<&mut Ema>,
    ) -> M {
        self.updates += 1;
        let clips = self.clip_norm > 0.0 && norm > self.clip_norm;
        let grad_scale = if clips { self.clip_norm / norm } else { 1.0 };
        let average_decay = average.as_ref().map_or(0.0, |ema| ema.decay());
        parameters::map(module, |name, shape, value| {
            let Some(grad) = gradients.remove(name) else {
                if let Some(ema) = &mut average {
                    ema.update_one(name, &value);
                }
                return value;
            };
            let moments =
                self.moments.remove(name).unwrap_or_else(|| [0; 2].map(|_| grad.zeros_like()));
            let step = AdamWStep {
                lr: lr * scale(name),
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                weight_decay: if shape.len() > 1 { self.weight_decay } else { 0.0 },
                step: self.updates,
                grad_scale,
                average_decay,
            };
            let averaged = average.as_mut().and_then(|ema| ema.take(name));
            let (value, moments, averaged) = ops::adamw(value, grad, moments, averaged, step);
            self.moments.insert(name.to_owned(), moments);
            if let (Some(ema), Some(averaged)) = (&mut average, averaged) {
                ema.put(name, averaged);
            }
            value
        })
    }

    /// The moments, as `first.NAME` and `second.NAME`.
    pub fn state(&self) -> NamedTensors {
        let mut state = NamedTensors::default();
        for (name, moments) in &self.moments {
            for (order, moment) in ["first", "second"].into_iter().zip(moments) {
                let data = parameters::host(moment.clone());
                state.insert(
                    format!("{order}.{name}"),
                    HostTensor { shape: vec![data.len()], data },
                );
            }
        }
        state
    }

    /// Takes the moments of `module`'s parameters up from a checkpoint after `updates` updates.
    pub fn restore<M: Module>(&mut self, module: &M, state: &NamedTensors, updates: u64) {
        self.updates = updates;
        parameters::visit(module, |name, _, value| {
            let moment = |order| state.get(&format!("{order}.{name}"));
            if let (Some(first), Some(second)) = (moment("first"), moment("second")) {
                let moments = [first, second].map(|m| parameters::device_tensor(&m.data, &value));
                self.moments.insert(name.to_owned(), moments);
            }
        });
    }
}
