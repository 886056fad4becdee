//! The start: truncated normal weights, zero biases, norms at one and zero.

use std::sync::Arc;

use fcmae_data::random;

use crate::engine::parameters::Arena;

/// Standard deviation of weights and of the mask token.
pub const WEIGHT_STD: f64 = 0.02;

/// Fills every convolution and linear weight, and the mask token, with normal numbers of standard
/// deviation 0.02 (the classification head: `head_std`); leaves biases, norms, GRN and layer scale
/// as constructed. The numbers are a function of the seed and the parameter's name alone.
pub fn initialize(weights: &mut Arena, seed: u64, head_std: f64) {
    let layout = Arc::clone(weights.layout());
    for (name, parameter) in layout.parameters() {
        let std = match name {
            "head.fc.weight" => head_std,
            "decoder.mask_token" => WEIGHT_STD,
            _ if parameter.shape().len() > 1 => WEIGHT_STD,
            _ => continue,
        };
        let values = weights.get_mut(parameter);
        values.copy_from_slice(&normal(name, values.len(), std, seed));
    }
}

fn normal(name: &str, count: usize, std: f64, seed: u64) -> Vec<f32> {
    let mut rng = random::keyed(seed, &format!("initialize {name}"), 0, 0);
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // Box and Muller's transform: two normal numbers from two uniform ones.
        let radius = (-2.0 * (1.0 - random::unit(&mut rng)).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * random::unit(&mut rng)).sin_cos();
        values.push((std * radius * cos) as f32);
        values.push((std * radius * sin) as f32);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_has_its_moments_and_depends_on_the_name() {
        let values = normal("stem.0.weight", 100_001, 0.02, 1);
        assert_eq!(values.len(), 100_001);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e5;
        let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 3e-4, "mean {mean}");
        assert!((variance.sqrt() - 0.02).abs() < 3e-4, "std {}", variance.sqrt());
        assert_ne!(values[0], normal("other", 1, 0.02, 1)[0]);
        assert_ne!(values[0], normal("stem.0.weight", 1, 0.02, 2)[0]);
    }
}
