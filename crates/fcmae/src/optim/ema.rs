//! A moving average of the weights.

use burn::module::Module;
use burn::tensor::Tensor;
use fcmae_store::NamedTensors;
use std::collections::BTreeMap;

use crate::parameters;

/// `average = decay · average + (1 − decay) · weights`, after every update:
/// [`AdamW::step_averaging`](super::AdamW::step_averaging) does it in its own pass.
#[derive(Clone, Debug)]
pub struct Ema {
    decay: f64,
    average: BTreeMap<String, Tensor<1>>,
}

impl Ema {
    /// Starts at the module's weights.
    pub fn new<M: Module>(module: &M, decay: f64) -> Self {
        let mut average = BTreeMap::new();
        parameters::visit(module, |name, _, value| {
            average.insert(name.to_owned(), value);
        });
        Self { decay, average }
    }

    pub(super) fn decay(&self) -> f64 {
        self.decay
    }

    /// One parameter's average, for the optimizer to renew.
    pub(super) fn take(&mut self, name: &str) -> Option<Tensor<1>> {
        self.average.remove(name)
    }

    pub(super) fn put(&mut self, name: &str, average: Tensor<1>) {
        self.average.insert(name.to_owned(), average);
    }

    /// Takes in a parameter that the optimizer left alone.
    pub(super) fn update_one(&mut self, name: &str, value: &Tensor<1>) {
        if let Some(average) = self.take(name) {
            let average = average * self.decay + value.clone() * (1.0 - self.decay);
            self.put(name, average);
        }
    }

    /// The module with the averaged weights.
    pub fn apply<M: Module>(&self, module: M) -> M {
        parameters::map(module, |name, _, value| self.average.get(name).cloned().unwrap_or(value))
    }

    /// Takes the average up from a checkpoint.
    pub fn restore(&mut self, saved: &NamedTensors) {
        for (name, average) in &mut self.average {
            if let Some(tensor) = saved.get(name) {
                *average = parameters::device_tensor(&tensor.data, average);
            }
        }
    }
}
