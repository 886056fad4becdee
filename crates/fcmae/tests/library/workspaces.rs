//! Memory for results: nothing reads what is dead, and threads keep apart.

use std::sync::{Barrier, Mutex};

use fcmae::config::{
    BlockKind, DecoderConfig, GrnAggregation, GrnConfig, MaskedEncoder, ModelConfig, PretrainConfig,
};
use fcmae::engine::module::Network;
use fcmae::engine::ops::{self, BlockSetting, BlockWeights};
use fcmae::engine::parameters::Names;
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::Tensor;
use fcmae::engine::workspace::Workspace;
use fcmae::inference::embed::Backbone;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::loss::smoothed;
use fcmae::network::mask::Mask;
use fcmae::network::model::{Classifier, DropPath};
use fcmae::training::Learner;
use fcmae_kernels::Sites;
use rayon::prelude::*;

use crate::fill;

fn small() -> ModelConfig {
    let config = ModelConfig::custom([1, 2, 1, 1], [8, 12, 20, 16]);
    ModelConfig { stem_stride: 2, ..config }
}

fn v1() -> ModelConfig {
    ModelConfig { block: BlockKind::V1, ..small() }
}

fn variant() -> ModelConfig {
    let grn = GrnConfig { aggregation: GrnAggregation::L1, ..GrnConfig::default() };
    ModelConfig { grn, ..small() }
}

/// Part `part` of a batch.
fn images(part: u32) -> Tensor {
    let images = fill::images([4, 48, 32, 3]);
    let part = part as usize * images.values().len() / 2;
    Tensor::new(images.values()[part..][..2 * 48 * 32 * 3].to_vec(), [2, 48, 32, 3])
}

/// Losses, norms, and the bits of all gradients of two updates of two parts each, the second with other
/// weights than the first.
fn train<M>(
    workspace: Workspace,
    build: impl FnOnce(&mut Names) -> M,
    loss: impl Fn(&M, &mut Pass<'_>, u32) -> Tensor,
) -> (Vec<f32>, Vec<u32>) {
    let config = &PretrainConfig::default().optim;
    let mut learner = Learner::new(fill::network(build), config).working_in(workspace);
    let (mut numbers, mut bits) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        for part in 0..2 {
            numbers.push(learner.learn(2, |module, pass| loss(module, pass, part)).unwrap());
        }
        for (name, parameter) in learner.network().layout().parameters() {
            let gradient = learner.gradients().get(parameter);
            let gradient = gradient.unwrap_or_else(|| panic!("no gradient of {name}"));
            bits.extend(gradient.iter().map(|value| value.to_bits()));
        }
        let attempt = learner.update(1e-3, |_| 1.0).unwrap();
        assert!(attempt.made);
        numbers.extend([attempt.loss, attempt.norm as f32]);
    }
    assert!(numbers.iter().all(|number| number.is_finite()), "{numbers:?}");
    (numbers, bits)
}

/// Trains in memory whose dead parts are no numbers, and in plain memory.
fn compare<M>(
    about: &str,
    build: impl Fn(&mut Names) -> M,
    loss: impl Fn(&M, &mut Pass<'_>, u32) -> Tensor,
) {
    let plain = train(Workspace::default(), &build, &loss);
    let poisoned = train(Workspace::poisoned(), &build, &loss);
    assert_eq!(poisoned.0, plain.0, "{about}: losses and norms");
    assert!(poisoned.1 == plain.1, "{about}: gradients have other bits where what is dead is NaN");
}

#[test]
fn pre_training_reads_nothing_that_is_dead() {
    let decoder = DecoderConfig { width: 12, depth: 2 };
    for (about, model, encoding) in [
        ("V2, sparse", small(), MaskedEncoder::Sparse),
        ("V2, dense", small(), MaskedEncoder::Dense),
        ("V1, sparse", v1(), MaskedEncoder::Sparse),
        ("a variant of GRN", variant(), MaskedEncoder::Sparse),
    ] {
        compare(
            about,
            |names| Autoencoder::new(names, &model, &decoder).encoding(encoding),
            |autoencoder, pass, part| {
                let mask = Mask::random([3, 2], 0.6, 0, part.into(), &[0, 1]).unwrap();
                autoencoder.loss(pass, images(part), &mask, true)
            },
        );
    }
}

#[test]
fn fine_tuning_reads_nothing_that_is_dead() {
    for (about, model) in [("V2", small()), ("V1", v1()), ("a variant of GRN", variant())] {
        compare(
            about,
            |names| Classifier::new(names, &model, 3),
            |classifier, pass, part| {
                let drop = DropPath::new(0.5, 5, 1, part.into(), &[0, 1]).unwrap();
                let dropped = (0..5).flat_map(|block| drop.scale(block).to_vec());
                assert!(dropped.into_iter().any(|scale| scale == 0.0), "no branch is dropped");
                let logits = classifier.forward(pass, images(part), Some(&drop));
                ops::cross_entropy(pass, logits, &smoothed(&[part, 2], 3, 0.1))
            },
        );
    }
}

#[test]
fn inference_reads_nothing_that_is_dead() {
    for model in [small(), v1(), variant()] {
        let plain = fill::network(|names| Classifier::new(names, &model, 3));
        let poisoned = plain.clone().working_in(Workspace::poisoned());
        // The first time memory is fresh, and holds zeros.
        for part in [0, 1, 0] {
            let images = images(part);
            let expected = plain.logits(&images).unwrap().to_vec();
            assert!(expected.iter().all(|value| value.is_finite()));
            assert_eq!(poisoned.logits(&images).unwrap().values(), expected, "{model:?}");
        }
    }
}

/// A pass needs as much memory as its shapes say, which are others with every batch.
#[test]
fn a_workspace_serves_passes_of_any_shapes() {
    let network = fill::network(|names| Classifier::new(names, &small(), 3));
    let poisoned = network.clone().working_in(Workspace::poisoned());
    for shape in [[1, 16, 16, 3], [3, 48, 32, 3], [2, 16, 32, 3], [3, 48, 32, 3]] {
        let images = fill::images(shape);
        let fresh = network.clone();
        assert_eq!(
            poisoned.logits(&images).unwrap().values(),
            fresh.logits(&images).unwrap().values(),
            "{shape:?}"
        );
    }
}

#[test]
fn threads_that_share_a_network_get_what_one_gets_alone() {
    let network = fill::network(|names| Classifier::new(names, &small(), 3));
    let alone = [0, 1].map(|part| network.clone().logits(&images(part)).unwrap().to_vec());
    assert_ne!(alone[0], alone[1]);
    // Nothing is prepared when they start, so that they race for that too.
    let (network, together) = (network.clone(), Barrier::new(2));
    std::thread::scope(|scope| {
        for (part, alone) in alone.iter().enumerate() {
            let (network, together) = (&network, &together);
            scope.spawn(move || {
                for round in 0..10 {
                    together.wait();
                    let found = network.logits(&images(part as u32)).unwrap().to_vec();
                    assert_eq!(found, *alone, "part {part}, round {round}");
                }
            });
        }
    });
}

/// A task that waits for others may take up a further picture, on the same thread.
#[test]
fn tasks_of_one_pool_share_a_network() {
    let network = fill::network(|names| Classifier::new(names, &small(), 3));
    let alone = [0, 1].map(|part| network.clone().logits(&images(part)).unwrap().to_vec());
    for _ in 0..20 {
        let fresh = network.clone();
        let found: Vec<Vec<f32>> = (0..16)
            .into_par_iter()
            .map(|task| fresh.logits(&images(task % 2)).unwrap().to_vec())
            .collect();
        for (task, found) in found.iter().enumerate() {
            assert_eq!(*found, alone[task % 2], "task {task}");
        }
    }
}

#[test]
fn blocks_that_share_a_parameter_keep_their_own_layouts() {
    const C: usize = 8;
    let network = fill::network(|names| {
        let depthwise = names.parameter("conv_dw.weight", [C, 1, 7, 7]);
        ["a", "b"].map(|name| {
            names.within(name, |names| BlockWeights {
                depthwise,
                depthwise_bias: names.parameter("conv_dw.bias", [C]),
                norm_gamma: names.parameter("norm.weight", [C]),
                norm_beta: names.parameter("norm.bias", [C]),
                expand: names.parameter("mlp.fc1.weight", [4 * C, C]),
                expand_bias: names.parameter("mlp.fc1.bias", [4 * C]),
                grn_gamma: names.parameter("mlp.grn.weight", [4 * C]),
                grn_beta: names.parameter("mlp.grn.bias", [4 * C]),
                contract: names.parameter("mlp.fc2.weight", [C, 4 * C]),
                contract_bias: names.parameter("mlp.fc2.bias", [C]),
            })
        })
    });
    let x = fill::images([1, 3, 5, C]).reshape([1, 15, C]);
    let through = |network: &Network<[BlockWeights; 2]>, block: usize| {
        let out = network
            .infer(|blocks, pass| {
                let sites = Sites::Grid { height: 3, width: 5 };
                let setting = BlockSetting { sites, scale: None, norm_eps: 1e-6, grn_eps: 1e-6 };
                ops::block(pass, x.clone(), blocks[block], setting)
            })
            .unwrap();
        out.to_vec()
    };
    let alone = [0, 1].map(|block| through(&network.clone(), block));
    assert_ne!(alone[0], alone[1]);
    assert_eq!([0, 1].map(|block| through(&network, block)), alone);
}

/// A loss writes its gradient over predictions, but not where they are still needed.
#[test]
fn predictions_with_two_losses_are_not_written_over() {
    let network = fill::network(|names| names.parameter("predictions", [2, 3]));
    let predictions = network.weights().get(*network.module()).to_vec();
    let targets = [0.5f32, -1.0].map(|value| Tensor::new(vec![value; 6], [2, 3]));
    let config = &PretrainConfig::default().optim;
    let mut learner = Learner::new(network, config).working_in(Workspace::poisoned());
    let loss = learner
        .learn(1, |parameter, pass| {
            let x = ops::parameter(pass, *parameter);
            ops::mean_squared_difference(pass, x.clone(), targets[0].clone());
            ops::mean_squared_difference(pass, x, targets[1].clone())
        })
        .unwrap();
    let parameter = *learner.network().module();
    let gradient = learner.gradients().get(parameter).unwrap();
    let mut second = 0.0;
    for (value, gradient) in predictions.iter().zip(gradient) {
        let expected = 2.0 * (value - 0.5) / 6.0 + 2.0 * (value + 1.0) / 6.0;
        assert!((gradient - expected).abs() < 1e-6, "{gradient}, not {expected}");
        second += (value + 1.0).powi(2) / 6.0;
    }
    assert!((loss - second).abs() < 1e-6, "{loss}, not {second}");
}

#[test]
#[should_panic(expected = "held beyond its pass")]
fn a_result_that_is_held_beyond_its_pass_is_told() {
    let network = fill::network(|names| Classifier::new(names, &small(), 3));
    let held = Mutex::new(None);
    network
        .infer(|module, pass| {
            let logits = module.forward(pass, images(0), None);
            held.lock().unwrap().replace(logits.clone());
            logits
        })
        .unwrap();
}

#[test]
#[should_panic(expected = "sides must be multiples of 16")]
fn images_that_cannot_be_cut_into_patches_are_told() {
    let network = fill::network(|names| Classifier::new(names, &small(), 3));
    network.logits(&fill::images([1, 40, 32, 3])).unwrap();
}

#[test]
fn networks_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Network<Classifier>>();
    shared::<Network<Backbone>>();
    shared::<Tensor>();
}
