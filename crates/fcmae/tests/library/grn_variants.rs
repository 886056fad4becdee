//! The variants of GRN equal PyTorch's, and survive silent features.

use burn::tensor::{Device, Tensor, TensorData};
use fcmae::config::{GrnAggregation, GrnConfig, GrnNormalization};
use fcmae::model::grn::grn;
use fcmae::parameters::host;
use serde::Deserialize;

use crate::fill;
use crate::summary::{Summary, fixture};

#[derive(Deserialize)]
struct Fixture {
    n: usize,
    s: usize,
    c: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    aggregation: String,
    normalization: String,
    skip: bool,
    output: Summary,
    input_gradient: Summary,
    gamma_gradient: Summary,
    beta_gradient: Summary,
}

impl Case {
    fn config(&self) -> GrnConfig {
        GrnConfig {
            aggregation: match self.aggregation.as_str() {
                "l2" => GrnAggregation::L2,
                "l1" => GrnAggregation::L1,
                "average" => GrnAggregation::Average,
                other => panic!("unknown aggregation {other}"),
            },
            normalization: match self.normalization.as_str() {
                "divisive" => GrnNormalization::Mean,
                "standardize" => GrnNormalization::Standardize,
                "inverse" => GrnNormalization::Inverse,
                "sum" => GrnNormalization::Sum,
                other => panic!("unknown normalization {other}"),
            },
            skip: self.skip,
        }
    }
}

fn leaf<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values, shape), &device).require_grad()
}

#[test]
fn outputs_and_gradients_equal_pytorchs() {
    let Fixture { n, s, c, cases } = fixture("grn_variants.json");
    assert_eq!(cases.len(), 24);
    let features = fill::uniform("features", n * s * c);
    let features: Vec<f32> = features.into_iter().map(|r| (r + 0.3) as f32).collect();
    let probe = fill::uniform("output@probe", n * s * c).into_iter().map(|r| r as f32).collect();
    let probe = TensorData::new::<f32, _>(probe, [n, s, c]);
    for case in cases {
        let about = format!("{} {} {}", case.aggregation, case.normalization, case.skip);
        let x = leaf(features.clone(), [n, s, c]);
        let gamma = leaf(fill::parameter("mlp.grn.weight", &[c]), [c]);
        let beta = leaf(fill::parameter("mlp.grn.bias", &[c]), [c]);
        let y = grn(x.clone(), gamma.clone(), beta.clone(), &case.config());
        let grads = (y.clone() * Tensor::from_data(probe.clone(), &y.device())).sum().backward();
        for (name, summary, values) in [
            ("output", &case.output, host(y)),
            ("input", &case.input_gradient, host(x.grad(&grads).unwrap())),
            ("gamma", &case.gamma_gradient, host(gamma.grad(&grads).unwrap())),
            ("beta", &case.beta_gradient, host(beta.grad(&grads).unwrap())),
        ] {
            let error = summary.error(name, &values);
            assert!(error < 1e-5, "{about}: {name} is off by {error:.1e}");
        }
    }
}

/// Fault 21: the variants of GRN of zeros.
#[test]
fn silent_features_have_finite_gradients() {
    for case in fixture::<Fixture>("grn_variants.json").cases {
        let (about, config) =
            (format!("{} {}", case.aggregation, case.normalization), case.config());
        // All silent in the first image, one channel in the second.
        let mut values = vec![0.0; 2 * 4 * 6];
        for (i, value) in values.iter_mut().enumerate().skip(4 * 6) {
            *value = if i % 6 == 2 { 0.0 } else { i as f32 };
        }
        let (x, gamma) = (leaf(values, [2, 4, 6]), leaf(vec![0.5; 6], [6]));
        let y = grn(x.clone(), gamma.clone(), leaf(vec![0.1; 6], [6]), &config);
        let grads = y.clone().sum().backward();
        for values in [host(y), host(x.grad(&grads).unwrap()), host(gamma.grad(&grads).unwrap())] {
            assert!(values.iter().all(|v| v.is_finite()), "{about}: {values:?}");
        }
    }
}
