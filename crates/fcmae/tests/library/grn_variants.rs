//! The variants of GRN equal PyTorch's, and survive silent features.
//!
//! PyTorch's fixture is of GRN alone: the kernels and the oracle's formula are held to it here, the
//! network's operation, in which GELU comes first, to that formula among the
//! [operations](crate::operations).

use fcmae::config::{GrnAggregation, GrnConfig, GrnNormalization};
use fcmae::engine::ops;
use fcmae_kernels::Gradients;
use fcmae_kernels::grn::{self, Aggregation, Normalization, Variant};
use fcmae_oracle::{Var, network as oracle};
use serde::Deserialize;

use crate::differentiate::{Operand, Start, differentiate};
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
    fn about(&self) -> String {
        format!("{} {} {}", self.aggregation, self.normalization, self.skip)
    }

    fn kernel(&self) -> Variant {
        Variant {
            aggregation: match self.aggregation.as_str() {
                "l2" => Aggregation::L2,
                "l1" => Aggregation::L1,
                "average" => Aggregation::Average,
                other => panic!("unknown aggregation {other}"),
            },
            normalization: match self.normalization.as_str() {
                "divisive" => Normalization::Mean,
                "standardize" => Normalization::Standardize,
                "inverse" => Normalization::Inverse,
                "sum" => Normalization::Sum,
                other => panic!("unknown normalization {other}"),
            },
            skip: self.skip,
        }
    }

    fn oracle(&self) -> oracle::Grn {
        let Variant { aggregation, normalization, skip } = self.kernel();
        oracle::Grn {
            aggregation: match aggregation {
                Aggregation::L2 => oracle::Aggregation::L2,
                Aggregation::L1 => oracle::Aggregation::L1,
                Aggregation::Average => oracle::Aggregation::Average,
            },
            normalization: match normalization {
                Normalization::Mean => oracle::Normalization::Mean,
                Normalization::Standardize => oracle::Normalization::Standardize,
                Normalization::Inverse => oracle::Normalization::Inverse,
                Normalization::Sum => oracle::Normalization::Sum,
            },
            skip,
        }
    }

    fn config(&self) -> GrnConfig {
        let Variant { aggregation, normalization, skip } = self.kernel();
        GrnConfig {
            aggregation: match aggregation {
                Aggregation::L2 => GrnAggregation::L2,
                Aggregation::L1 => GrnAggregation::L1,
                Aggregation::Average => GrnAggregation::Average,
            },
            normalization: match normalization {
                Normalization::Mean => GrnNormalization::Mean,
                Normalization::Standardize => GrnNormalization::Standardize,
                Normalization::Inverse => GrnNormalization::Inverse,
                Normalization::Sum => GrnNormalization::Sum,
            },
            skip,
        }
    }

    /// Output, and gradients by input, gamma and beta.
    fn check(&self, found: [&[f32]; 4], limit: f64) {
        let summaries =
            [&self.output, &self.input_gradient, &self.gamma_gradient, &self.beta_gradient];
        let names = ["output", "input", "gamma", "beta"];
        for ((name, summary), values) in names.into_iter().zip(summaries).zip(found) {
            let error = summary.error(name, values);
            assert!(error < limit, "{}: {name} is off by {error:.1e}", self.about());
        }
    }
}

#[test]
fn outputs_and_gradients_equal_pytorchs() {
    let Fixture { n, s, c, cases } = fixture("grn_variants.json");
    assert_eq!(cases.len(), 24);
    let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<_>>();
    let features = fill::uniform("features", n * s * c);
    let features = narrow(features.into_iter().map(|r| r + 0.3).collect());
    let probe = narrow(fill::uniform("output@probe", n * s * c));
    let [gamma, beta] = ["mlp.grn.weight", "mlp.grn.bias"].map(|name| fill::parameter(name, &[c]));
    for case in cases {
        let variant = case.kernel();
        let (mut output, mut input) = (vec![0.0; n * s * c], vec![0.0; n * s * c]);
        let [mut by_gamma, mut by_beta] = [vec![0.0; c], vec![0.0; c]];
        grn::variant(&features, &gamma, &beta, n, &variant, 1e-6, &mut output).unwrap();
        let gradients = Gradients { x: &mut input, gamma: &mut by_gamma, beta: &mut by_beta };
        grn::variant_backward(&features, &gamma, &probe, n, &variant, 1e-6, gradients).unwrap();
        case.check([&output, &input, &by_gamma, &by_beta], 1e-5);

        let x = Var::new(&[n, s, c], features.iter().copied());
        let vectors = [&gamma, &beta].map(|vector| Var::new(&[c], vector.iter().copied()));
        let y = oracle::grn(&x, &vectors[0], &vectors[1], case.oracle(), 1e-6);
        let wide: Vec<f64> = probe.iter().copied().map(f64::from).collect();
        let gradients = y.backward_along(&wide);
        let gradient = |var| narrow(gradients.of(var).values);
        let output = narrow(y.values().to_vec());
        let [by_gamma, by_beta] = vectors.each_ref().map(gradient);
        case.check([&output, &gradient(&x), &by_gamma, &by_beta], 1e-5);
    }
}

/// Fault 21: the variants of GRN of zeros.
#[test]
fn silent_features_have_finite_gradients() {
    for case in fixture::<Fixture>("grn_variants.json").cases {
        // All silent in the first image, one channel in the second.
        let mut values = vec![0.0; 2 * 4 * 6];
        for (i, value) in values.iter_mut().enumerate().skip(4 * 6) {
            *value = if i % 6 == 2 { 0.0 } else { i as f32 };
        }
        let vector = |value| Operand::new(vec![value; 6], [6]);
        let operands = [Operand::new(values, [2, 4, 6]), vector(0.5), vector(0.1)];
        let found = differentiate(&operands, Start::Probe, |pass, places| {
            let x = ops::parameter(pass, places[0]);
            let [gamma, beta] = [places[1], places[2]];
            let grn = ops::Grn { gamma, beta, variant: case.config().variant(), eps: 1e-6 };
            ops::activation(pass, x, Some(grn))
        });
        assert_eq!(found.result[..6], [0.1; 6], "{}: beta alone where all is silent", case.about());
        let gradients = found.gradients.iter().flat_map(|gradient| gradient.as_ref().unwrap());
        let mut all = found.result.iter().chain(gradients);
        assert!(all.all(|v| v.is_finite()), "{}: {found:?}", case.about());
    }
}
