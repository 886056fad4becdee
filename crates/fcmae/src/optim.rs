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

use crate::ops;
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

/// The norm of all gradients together.
pub fn gradient_norm(gradients: &GradientMap) -> f64 {
    let square = |grad: &Tensor<1>| f64::from(host(ops::sum_of_squares(grad.clone()))[0]);
    gradients.values().map(square).sum::<f64>().sqrt()
}
