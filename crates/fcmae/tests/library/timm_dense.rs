//! The dense network equals timm's.

use fcmae::config::{BlockKind, ModelConfig, Size};
use fcmae::engine::ops;
use fcmae::engine::tensor::Tensor;
use fcmae::network::model::Classifier;
use serde::Deserialize;

use crate::fill;
use crate::summary::{Summary, fixture};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    batch: usize,
    height: usize,
    width: usize,
    parameters: usize,
    stages: Vec<Summary>,
    pooled: Summary,
    embedding: Summary,
    logits: Vec<Logits>,
}

/// Of one image.
#[derive(Deserialize)]
struct Logits {
    first: Vec<f64>,
    mean: f64,
    std: f64,
    norm: f64,
}

/// timm's float32 differs from its float64 by some 2e-6.
const RELATIVE: f64 = 2e-5;
const LOGITS: f64 = 1e-4;

fn config(model: &str) -> ModelConfig {
    let (family, size) = model.split_once('_').unwrap();
    let size: Size = size.parse().unwrap();
    let block = if family == "convnext" { BlockKind::V1 } else { BlockKind::V2 };
    ModelConfig { block, ..ModelConfig::published(size) }
}

#[test]
fn stages_embedding_and_logits_equal_timms() {
    for case in fixture::<Fixture>("timm_dense.json").cases {
        let about = format!("{} at {}×{}", case.model, case.height, case.width);
        let config = config(&case.model);
        let network = fill::network(|names| Classifier::new(names, &config, 1000));
        assert_eq!(network.layout().count(), case.parameters, "{about}");

        let images = fill::images([case.batch, case.height, case.width, 3]);
        let pooled = network
            .observe(|model, pass| {
                let sites = model.encoder.grid(&images);
                let check = |i: usize, stage: &Tensor, _: &_| {
                    case.stages[i].check(&format!("stages.{i}"), stage.values(), RELATIVE);
                };
                let features = model.encoder.forward(pass, images.clone(), sites, None, check);
                ops::pool(pass, features)
            })
            .unwrap();
        case.pooled.check("pooled", pooled.values(), RELATIVE);
        case.embedding.check("embedding", network.embed(&images).unwrap().values(), RELATIVE);

        let logits = network.logits(&images).unwrap().to_vec();
        for (found, expected) in logits.chunks_exact(1000).zip(&case.logits) {
            let found: Vec<f64> = found.iter().map(|&v| f64::from(v)).collect();
            for (f, e) in found.iter().zip(&expected.first) {
                assert!((f - e).abs() < LOGITS, "{about}: a logit is {f}, not {e}");
            }
            let mean = found.iter().sum::<f64>() / 1000.0;
            let square = found.iter().map(|v| v * v).sum::<f64>();
            let std = (square / 1000.0 - mean * mean).sqrt();
            for (f, e) in [(mean, expected.mean), (std, expected.std)] {
                assert!((f - e).abs() < 1e-5, "{about}: the logits' mean or std is {f}, not {e}");
            }
            let error = (square.sqrt() / expected.norm - 1.0).abs();
            assert!(error < RELATIVE, "{about}: the logits' norm is off by {error:.1e}");
        }
        assert_eq!(logits.len(), 1000 * case.logits.len());
    }
}
