//! The feature distance equals NumPy's, and is taken of the right features.

use burn::tensor::{Device, Tensor, TensorData};
use fcmae::config::{BlockKind, ModelConfig};
use fcmae::diversity::distances;
use fcmae::model::Encoder;
use fcmae::parameters::host;
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
    let features = Tensor::from_data(TensorData::new(features, [n, s, c]), &Device::flex());
    let found = distances(features);
    assert_eq!(found.len(), n);
    for (found, expected) in found.iter().zip(per_image) {
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }
}

#[test]
fn hidden_features_are_those_of_the_forward_pass() {
    let device = Device::flex();
    for block in [BlockKind::V1, BlockKind::V2] {
        let config = ModelConfig { block, ..ModelConfig::custom([1, 1, 2, 1], [8, 12, 16, 20]) };
        let encoder = fill::module(Encoder::new(&config, &device));
        let images = fill::images([2, 32, 64, 3], &device);
        let mut seen = Vec::new();
        let sites = encoder.grid(&images);
        let features = encoder.forward_hidden(images.clone(), sites, |position, hidden| {
            assert_eq!(hidden.gelu.dims(), hidden.grn.dims());
            let (gelu, grn) = (host(hidden.gelu), host(hidden.grn));
            assert!(gelu.iter().all(|&v| v > -0.2), "GELU has no values below −0.17");
            assert_eq!(gelu == grn, block == BlockKind::V1, "block {position}");
            seen.push(position);
        });
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        // Without the features inside, a block is one operation, which rounds in another order.
        let expected = host(encoder.forward_grid(images, None));
        for (found, expected) in host(features).into_iter().zip(expected) {
            let error = (found - expected).abs();
            assert!(error <= 1e-5 * expected.abs().max(1.0), "{found}, not {expected}");
        }
    }
}
