//! The feature distance equals NumPy's, and is taken of the right features.

use fcmae::config::{BlockKind, ModelConfig};
use fcmae::engine::tensor::Tensor;
use fcmae::inference::diversity::distances;
use fcmae::network::model::Encoder;
use serde::Deserialize;

use crate::fill;
use crate::summary::fixture;

#[derive(Deserialize)]
struct Fixture {
    n: usize,
    s: usize,
    c: usize,
    per_image: Vec<f64>,
}

#[test]
fn distances_equal_numpys() {
    let Fixture { n, s, c, per_image } = fixture("diversity.json");
    let features = fill::uniform("features", n * s * c).into_iter();
    let features: Vec<f32> = features.map(|r| (r + 0.3) as f32).collect();
    let found = distances(&Tensor::new(features, [n, s, c]));
    assert_eq!(found.len(), n);
    for (found, expected) in found.iter().zip(per_image) {
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }
}

#[test]
fn hidden_features_are_those_of_the_forward_pass() {
    for block in [BlockKind::V1, BlockKind::V2] {
        let config = ModelConfig { block, ..ModelConfig::custom([1, 1, 2, 1], [8, 12, 16, 20]) };
        let network = fill::network(|names| Encoder::new(names, &config));
        let images = fill::images([2, 32, 64, 3]);
        let mut seen = Vec::new();
        let features = network
            .observe(|encoder, pass| {
                let sites = encoder.grid(&images);
                encoder.forward_hidden(pass, images.clone(), sites, |position, hidden| {
                    assert_eq!(hidden.gelu.shape(), hidden.grn.shape());
                    let (gelu, grn) = (hidden.gelu.values(), hidden.grn.values());
                    assert!(gelu.iter().all(|&v| v > -0.2), "GELU has no values below −0.17");
                    assert_eq!(gelu == grn, block == BlockKind::V1, "block {position}");
                    seen.push(position);
                })
            })
            .unwrap();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        // Without the features inside, a block is one operation, which rounds in another order.
        let expected = network
            .infer(|encoder, pass| encoder.forward_grid(pass, images.clone(), None))
            .unwrap();
        assert_eq!(features.shape(), expected.shape());
        for (found, expected) in features.values().iter().zip(expected.values()) {
            let error = (found - expected).abs();
            assert!(error <= 1e-5 * expected.abs().max(1.0), "{found}, not {expected}");
        }
    }
}
