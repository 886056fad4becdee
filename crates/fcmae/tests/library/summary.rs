//! Fixtures, and tensors by their summaries in them: shape, norm, first values, projection.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::fill;

/// The fixture of this name.
pub(crate) fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"))
}

/// A tensor in brief.
#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) shape: Vec<usize>,
    norm: f64,
    #[serde(default)]
    first: Vec<f64>,
    projection: f64,
}

impl Summary {
    /// The largest deviation of `values` from this summary of the tensor `name`, relative to its
    /// norm: of the norm, of the first values, and of the projection (whose own scale is
    /// norm · √(elements / 3) for a random deviation).
    pub(crate) fn error(&self, name: &str, values: &[f32]) -> f64 {
        assert_eq!(values.len(), self.shape.iter().product::<usize>(), "{name} has other elements");
        let wide = || values.iter().map(|&v| f64::from(v));
        let norm = wide().map(|v| v * v).sum::<f64>().sqrt();
        let probe = fill::uniform(&format!("{name}@probe"), values.len());
        let projection: f64 = wide().zip(probe).map(|(v, p)| v * p).sum();
        let mut error = (norm - self.norm).abs();
        for (value, expected) in wide().zip(&self.first) {
            error = error.max((value - expected).abs());
        }
        let spread = (values.len() as f64 / 3.0).sqrt();
        error.max((projection - self.projection).abs() / spread) / self.norm
    }

    /// Panics where the deviation is above `limit`, or not a number.
    pub(crate) fn check(&self, name: &str, values: &[f32], limit: f64) {
        let error = self.error(name, values);
        assert!(error <= limit, "{name} deviates by {error:.1e} of its norm, limit {limit:.0e}");
    }
}

/// `‖found − expected‖ / ‖expected‖`.
pub(crate) fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |v: f64| v * v;
    let pairs = found.iter().zip(expected);
    let error: f64 = pairs.map(|(&f, &e)| square(f64::from(f) - f64::from(e))).sum();
    let norm: f64 = expected.iter().map(|&e| square(f64::from(e))).sum();
    assert!(norm > 0.0, "nothing to compare with: all values are zero");
    (error / norm).sqrt()
}
