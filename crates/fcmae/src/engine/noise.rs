//! Numbers to compute with where it does not matter which: they are quick to make, and the same everywhere.

/// Uniformly distributed numbers of mean 0 and standard deviation `std`, from Knuth's linear congruential generator.
pub(crate) fn evenly(seed: u64, std: f32) -> impl Iterator<Item = f32> {
    let mut state = seed;
    let scale = 2.0 * 3.0f32.sqrt() * std;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * scale
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_numbers_have_their_moments() {
        let values: Vec<f64> = evenly(3, 0.02).take(100_000).map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / 1e5;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 3e-4, "mean {mean}");
        assert!((variance.sqrt() - 0.02).abs() < 3e-4, "std {}", variance.sqrt());
    }
}
