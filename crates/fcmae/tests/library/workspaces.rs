//! Memory for results: nothing reads what is dead, and threads keep apart.

use std::sync::Barrier;

use fcmae::autoencoder::Autoencoder;
use fcmae::config::{
    BlockKind, DecoderConfig, GrnAggregation, GrnConfig, MaskedEncoder, ModelConfig, PretrainConfig,
};
use fcmae::embed::Backbone;
use fcmae::loss::smoothed;
use fcmae::mask::Mask;
use fcmae::model::{Classifier, DropPath};
use fcmae::network::Network;
use fcmae::ops;
use fcmae::parameters::Names;
use fcmae::tape::Pass;
use fcmae::tensor::Tensor;
use fcmae::train::Learner;
use fcmae::workspace::Workspace;

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
            numbers.push(learner.learn(2, |module, pass| loss(module, pass, part)));
        }
        for (name, parameter) in learner.network().layout().parameters() {
            let gradient = learner.gradients().get(parameter);
            let gradient = gradient.unwrap_or_else(|| panic!("no gradient of {name}"));
            bits.extend(gradient.iter().map(|value| value.to_bits()));
        }
        let attempt = learner.update(1e-3, |_| 1.0);
        assert!(attempt.made);
        numbers.extend([attempt.loss, attempt.grad_norm as f32]);
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
            let expected = plain.logits(&images).to_vec();
            assert!(expected.iter().all(|value| value.is_finite()));
            assert_eq!(poisoned.logits(&images).values(), expected, "{model:?}");
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
        assert_eq!(poisoned.logits(&images).values(), fresh.logits(&images).values(), "{shape:?}");
    }
}

#[test]
fn threads_that_share_a_network_get_what_one_gets_alone() {
    let network = fill::network(|names| Classifier::new(names, &small(), 3));
    let alone = [0, 1].map(|part| network.clone().logits(&images(part)).to_vec());
    assert_ne!(alone[0], alone[1]);
    // Nothing is prepared when they start, so that they race for that too.
    let (network, together) = (network.clone(), Barrier::new(2));
    std::thread::scope(|scope| {
        for (part, alone) in alone.iter().enumerate() {
            let (network, together) = (&network, &together);
            scope.spawn(move || {
                for round in 0..10 {
                    together.wait();
                    let found = network.logits(&images(part as u32)).to_vec();
                    assert_eq!(found, *alone, "part {part}, round {round}");
                }
            });
        }
    });
}

#[test]
fn networks_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Network<Classifier>>();
    shared::<Network<Backbone>>();
    shared::<Tensor>();
}
