//! The operations, each held to the same formula in double precision (`fcmae-oracle`): results, and
//! gradients by every operand and parameter.

mod case;
mod optimizer;
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;

use fcmae::config::{
    BlockKind, DecoderConfig, GrnAggregation, GrnConfig, MaskedEncoder, ModelConfig, PretrainConfig,
};
use fcmae::engine::backend::Backend;
use fcmae::engine::module::Network;
use fcmae::engine::ops::{self, Affine, Operation};
use fcmae::engine::parameters::{Names, Parameter};
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::Tensor;
use fcmae::measure::check;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::loss::smoothed;
use fcmae::network::mask::Mask;
use fcmae::network::model::{Classifier, DropPath};
use fcmae::training::Learner;
use fcmae_cuda::card::Card;
use fcmae_cuda::work::Element;
use fcmae_cuda_emulator::{Emulated, Order};
use fcmae_oracle::network as oracle;

use self::case::Case;
use self::table::Check;
use crate::differentiate::{Operand, Start, compare, differentiate, probe, wide_probe};
use crate::fill;

#[test]
fn every_operation_equals_its_formula_in_double_precision() {
    for operation in Operation::ALL {
        let (results, gradients) = match table::check(operation) {
            Check::Results(cases) => (cases, Vec::new()),
            Check::Gradients(cases) => (Vec::new(), cases),
            Check::Both(results, gradients) => (results, gradients),
            Check::ByHand(check) => {
                check();
                continue;
            }
        };
        let results = results.iter().map(Case::compare_results);
        let used = results.chain(gradients.iter().map(Case::compare_gradients));
        let used: BTreeSet<Operation> = used.flatten().collect();
        assert!(used.contains(&operation), "no case of {operation:?} takes it");
    }
}

/// What a step of training computes: a network, and the loss of a batch.
fn operations_of<M>(
    build: impl FnOnce(&mut Names) -> M,
    loss: impl Fn(&M, &mut Pass<'_>) -> Tensor,
) -> BTreeSet<Operation> {
    let config = PretrainConfig::default().optim;
    let mut learner = Learner::new(fill::network(build), &config);
    assert!(learner.learn(1, loss).unwrap().is_finite());
    learner.workspace().operations().clone()
}

#[test]
fn the_table_is_what_training_takes_and_no_more() {
    // The bound that the engine is held to: what another device has to implement.
    const { assert!(Operation::ALL.len() <= 26) };
    let v2 = ModelConfig { stem_stride: 2, ..ModelConfig::custom([1, 1, 1, 1], [4, 8, 8, 12]) };
    let v1 = ModelConfig { block: BlockKind::V1, ..v2.clone() };
    let grn = GrnConfig { aggregation: GrnAggregation::L1, ..GrnConfig::default() };
    let variant = ModelConfig { grn, ..v2.clone() };
    let images = || fill::images([2, 32, 32, 3]);
    let pretraining = |model: &ModelConfig, encoding| {
        let mask = Mask::random([2, 2], 0.5, 0, 0, &[0, 1]).unwrap();
        let decoder = DecoderConfig { width: 8, depth: 1 };
        operations_of(
            |names| Autoencoder::new(names, model, &decoder).encoding(encoding),
            |autoencoder, pass| autoencoder.loss(pass, images(), &mask, true),
        )
    };
    let finetuning = operations_of(
        |names| Classifier::new(names, &v1, 3),
        |classifier, pass| {
            let drop = DropPath::new(0.5, 4, 0, 0, &[0, 1]);
            let logits = classifier.forward(pass, images(), drop.as_ref());
            ops::cross_entropy(pass, logits, &smoothed(&[0, 2], 3, 0.1))
        },
    );
    let mut used =
        BTreeSet::from([Operation::Accumulate, Operation::SumOfSquares, Operation::Update]);
    used.extend(pretraining(&v2, MaskedEncoder::Sparse));
    used.extend(pretraining(&v2, MaskedEncoder::Dense));
    used.extend(pretraining(&variant, MaskedEncoder::Sparse));
    used.extend(operations_of(
        |names| {
            let network = Autoencoder::new(names, &v2, &DecoderConfig { width: 8, depth: 1 });
            network.taught(names, &v2, true)
        },
        |autoencoder, pass| {
            let mask = Mask::random([2, 2], 0.5, 0, 0, &[0, 1]).unwrap();
            let lesson = fill::images([1, 2, 4, 12]).reshape([2, 4, 12]);
            autoencoder.taught_loss(pass, images(), &mask, true, (&lesson, 0.5))
        },
    ));
    used.extend(finetuning);
    assert_eq!(used, BTreeSet::from(Operation::ALL));
}

/// The largest relative errors of results and gradients on cards.
const ON_CARDS: [(Element, [f64; 2]); 2] =
    [(Element::F32, [2e-6, 1e-5]), (Element::Bf16, [8e-3, 2e-2])];

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn every_operation_on_a_card_equals_its_formula() {
    for (features, limits) in ON_CARDS {
        for order in Order::ALL {
            let card = Backend::Card(Card::new(Arc::new(Emulated::new(order)), features));
            let compared =
                table::all().iter().filter(|case| case.compare_on_card(&card, limits)).count();
            assert!(compared >= 30, "{compared} cases alone are for cards");
        }
    }
}

#[test]
fn operands_stay_as_they_were() {
    for case in table::all() {
        case.keeps_its_operands();
    }
}

/// Fault 21: GRN of zeros.
#[test]
fn silent_features_have_finite_gradients_through_grn() {
    let channels = 20;
    let mut x = Operand::filled("x", [3, 12, channels], 2.0);
    // One image is silent altogether, one in its first channel alone.
    x.values[..12 * channels].fill(0.0);
    for site in 12..24 {
        x.values[site * channels] = 0.0;
    }
    let vector = |name| Operand::filled(name, [channels], 0.5);
    let operands = [x, vector("gamma"), vector("beta")];
    let found = differentiate(&operands, Start::Probe, |pass, places| {
        let x = ops::parameter(pass, places[0]);
        ops::activation(pass, x, Some(case::grn([places[1], places[2]], GrnConfig::default())))
    });
    let vars = operands.each_ref().map(Operand::var);
    let [x, gamma, beta] = &vars;
    let expected = oracle::grn(&oracle::gelu(x), gamma, beta, oracle::Grn::PUBLISHED, case::EPS);
    assert_eq!(found.result[..channels], operands[2].values[..], "beta alone where all is silent");
    assert!(found.result.iter().all(|v| v.is_finite()));
    compare("output", 1e-6, &found.result, expected.values());
    let gradients = expected.backward_along(&wide_probe(found.result.len()));
    for (gradient, var) in found.gradients.iter().zip(&vars) {
        let gradient = gradient.as_ref().unwrap();
        assert!(gradient.iter().all(|v| v.is_finite()));
        compare("gradient", 3e-6, gradient, &gradients.of(var).values);
    }
}

#[test]
fn a_dropped_branch_passes_no_gradient() {
    let shortcut = Operand::filled("shortcut", [3, 4, 5], 1.0);
    let branch = Operand::filled("branch", [3, 4, 5], 1.0);
    let scale = [0.0, 1.25, 1.0];
    let found = differentiate(&[shortcut.clone(), branch], Start::Probe, |pass, places| {
        let [shortcut, branch] = [places[0], places[1]].map(|place| ops::parameter(pass, place));
        ops::residual(pass, shortcut, branch, Some(scale.into()))
    });
    let probe = probe(60);
    assert_eq!(found.result[..20], shortcut.values[..20]);
    assert_eq!(found.gradients[0].as_ref().unwrap(), &probe);
    let expected: Vec<f32> = probe.iter().enumerate().map(|(i, p)| scale[i / 20] * p).collect();
    assert_eq!(found.gradients[1].as_ref().unwrap(), &expected);
}

#[test]
fn what_passes_no_gradient_on_gives_none() {
    let operands = [Operand::filled("a", [3, 7], 2.0), Operand::filled("b", [3, 7], 1.0)];
    let standardized = differentiate(&operands, Start::Probe, |pass, places| {
        let x = ops::parameter(pass, places[0]);
        ops::standardize_rows(pass, x, 1e-6)
    });
    assert_eq!(standardized.gradients, [None, None]);
    let difference = differentiate(&operands, Start::Loss, |pass, places| {
        let [a, b] = [places[0], places[1]].map(|place| ops::parameter(pass, place));
        ops::mean_squared_difference(pass, a, b)
    });
    assert!(difference.gradients[0].is_some());
    assert_eq!(difference.gradients[1], None, "targets are constants");
}

/// A result, or a parameter, that several operations take has the sum of their gradients.
#[test]
fn gradients_of_all_who_take_a_result_are_added() {
    let operands = [Operand::filled("x", [2, 6, 5], 1.0)];
    let found = differentiate(&operands, Start::Probe, |pass, places| {
        let x = ops::parameter(pass, places[0]);
        let y = ops::activation(pass, x.clone(), None);
        let y = ops::residual(pass, y, x, Some([0.5, 2.0].into()));
        let again = ops::parameter(pass, places[0]);
        ops::residual(pass, again, y, None)
    });
    let x = operands[0].var();
    let y = oracle::residual(&oracle::gelu(&x), &x, Some(&[0.5, 2.0]));
    let expected = oracle::residual(&x, &y, None);
    compare("output", 1e-6, &found.result, expected.values());
    let gradients = expected.backward_along(&wide_probe(60));
    compare("gradient", 3e-6, found.gradients[0].as_ref().unwrap(), &gradients.of(&x).values);
}

#[test]
fn a_frozen_parameter_has_no_gradient_and_stays() {
    let config = ModelConfig { stem_stride: 2, ..ModelConfig::custom([1, 1, 1, 1], [4, 8, 8, 12]) };
    for block in [BlockKind::V2, BlockKind::V1] {
        let config = ModelConfig { block, ..config.clone() };
        let network = fill::network(|names| Classifier::new(names, &config, 3));
        let frozen = |name: &str| name.contains("norm") || name.ends_with("bias");
        let optim = PretrainConfig::default().optim;
        let mut learner = Learner::new(network.clone(), &optim).freezing(frozen);
        for _ in 0..2 {
            // In two parts, as gradients are written by the first and added to by the second.
            for part in 0..2 {
                learner
                    .learn(2, |classifier, pass| {
                        let logits = classifier.forward(pass, fill::images([2, 32, 32, 3]), None);
                        ops::cross_entropy(pass, logits, &smoothed(&[part, 2], 3, 0.1))
                    })
                    .unwrap();
            }
            for (name, parameter) in network.layout().parameters() {
                let gradient = learner.gradients().get(parameter);
                assert_eq!(gradient.is_none(), frozen(name), "{block:?}: the gradient of {name}");
            }
            learner.update(1e-2, |_| 1.0).unwrap();
        }
        for (name, parameter) in network.layout().parameters() {
            let stays =
                learner.network().weights().get(parameter) == network.weights().get(parameter);
            assert_eq!(stays, frozen(name), "{block:?}: {name}");
        }
    }
}

#[test]
fn layouts_that_are_kept_follow_their_weights() {
    let images = fill::images([1, 32, 64, 3]);
    for block in [BlockKind::V2, BlockKind::V1] {
        let config = ModelConfig { block, ..ModelConfig::custom([1, 1, 2, 1], [8, 12, 16, 20]) };
        let logits = |network: &Network<Classifier>| network.logits(&images).unwrap().to_vec();
        let first = fill::network(|names| Classifier::new(names, &config, 5));
        let found = logits(&first);
        assert_eq!(found, logits(&first), "{block:?}: the layout of the weights is used again");
        // A copy, whose weights are others from then on.
        let mut second = first.clone();
        assert_eq!(logits(&second), found);
        for (_, parameter) in first.layout().parameters() {
            second.weights_mut().get_mut(parameter).iter_mut().for_each(|value| *value *= 0.75);
        }
        let build = |names: &mut Names| Classifier::new(names, &config, 5);
        let anew = Network::load(build, &second.to_named().unwrap()).unwrap();
        assert_eq!(logits(&second), logits(&anew));
        assert_ne!(logits(&second), found);
        assert_eq!(logits(&first), found);
    }
}

/// Each layer's layout is its own where layers share a weight.
#[test]
fn a_weight_may_be_read_as_a_layer_and_in_windows_with_a_scale_or_without() {
    let network = fill::network(|names| {
        ["weight", "bias", "scale"].map(|name| {
            if name == "weight" {
                names.parameter(name, [5, 3, 2, 2])
            } else {
                names.parameter(name, [5])
            }
        })
    });
    let images = fill::images([1, 2, 2, 3]);
    let layers = |network: &Network<[Parameter; 3]>, which: usize| {
        let out = network
            .infer(|&[weight, bias, scale], pass| match which {
                0 => ops::window_convolution(pass, images.clone(), None, weight, bias),
                1 => {
                    let affine = Affine { weight, bias, scale: None };
                    ops::linear(pass, images.clone().reshape([1, 12]), affine)
                }
                _ => {
                    let affine = Affine { weight, bias, scale: Some(scale) };
                    ops::linear(pass, images.clone().reshape([1, 12]), affine)
                }
            })
            .unwrap();
        out.to_vec()
    };
    let alone: Vec<_> = (0..3).map(|which| layers(&network.clone(), which)).collect();
    assert!(alone[0] != alone[1] && alone[1] != alone[2]);
    for _ in 0..2 {
        let shared: Vec<_> = (0..3).map(|which| layers(&network, which)).collect();
        assert_eq!(shared, alone);
    }
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn the_check_of_a_device_passes_where_it_should_and_fails_where_it_must() {
    for features in [Element::F32, Element::Bf16] {
        let card = Card::new(Arc::new(Emulated::new(Order::Late)), features);
        let compared = check::check(&Backend::Card(card), |_| ()).unwrap();
        for of in &compared {
            assert!(of.passes(), "{features:?}: {of:?}");
        }
        // What is rounded to bfloat16 does not pass for float32.
        let largest = compared.iter().map(|of| of.error).fold(0.0, f64::max);
        assert_eq!(largest > 1e-3, features == Element::Bf16, "{largest}");
    }
    let processor = check::check(&Backend::Cpu, |_| ()).unwrap();
    assert!(processor.iter().all(|of| of.error == 0.0), "{processor:?}");
    assert!(!check::Compared { error: f64::NAN, ..processor[0].clone() }.passes());
}
