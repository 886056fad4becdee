//! From gradients to new weights.

pub mod adamw;
pub mod ema;
pub mod layer_decay;
pub mod schedule;

pub use adamw::AdamW;
pub use ema::Ema;
pub use layer_decay::LayerDecay;
pub use schedule::Schedule;

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::parameters::host;

/// Gradients by parameter name, flat.
pub type GradientMap = BTreeMap<String, Tensor<1>>;

/// Adds the gradients of another micro-batch.
pub fn accumulate(total: &mut GradientMap, more: GradientMap) {
    for (name, grad) in more {
        let sum = match total.remove(&name) {
            Some(sum) => sum + grad,
            None => grad,
        };
        total.insert(name, sum);
    }
}

/// Scales all gradients so that their global norm is at most `limit`; returns the norm before.
pub fn clip_norm(gradients: &mut GradientMap, limit: f64) -> f64 {
    let square = |grad: &Tensor<1>| {
        let sum = (grad.clone() * grad.clone()).sum();
        f64::from(host(sum)[0])
    };
    let norm = gradients.values().map(square).sum::<f64>().sqrt();
    if norm > limit {
        for grad in gradients.values_mut() {
            *grad = grad.clone() * (limit / norm);
        }
    }
    norm
}
