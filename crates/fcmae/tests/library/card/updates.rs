//! Several updates, and what changes weights or leaves them.

use fcmae::config::{BlockKind, OnNan, OptimConfig};
use fcmae::engine::module::Network;
use fcmae::engine::ops::{self, Affine};
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::model::Classifier;
use fcmae::training::Learner;
use fcmae::training::optim::{LayerDecay, Outcome};

use super::*;

/// Weights, average and moments.
fn state<M: Clone>(learner: &Learner<M>) -> [Named; 3] {
    let moments = learner.optimizer().state().unwrap();
    let moments =
        moments.names().map(|name| (name.to_owned(), moments.get(name).unwrap().data.clone()));
    [weights(learner.network()), weights(&learner.averaged().unwrap()), moments.collect()]
}

/// How far those changed from `start` that are `trained`.
fn change(named: &Named, start: &Named, trained: &[String]) -> Named {
    let of = |name: &String| {
        let pairs = named[name].iter().zip(&start[name]);
        (name.clone(), pairs.map(|(value, start)| value - start).collect())
    };
    trained.iter().map(of).collect()
}

/// Clipped, averaged, partly frozen, with decaying rates, in two parts an update.
fn trained(backend: &Backend, block: BlockKind) -> (Vec<Outcome>, [Named; 3]) {
    let model = small(block);
    let config = OptimConfig { clip_norm: 0.5, weight_decay: 0.1, ..optim() };
    let learner = Learner::new(classifier(&model), &config)
        .averaging(0.8)
        .freezing(|name| name.starts_with("stem") || name.ends_with("conv_dw.bias"));
    let mut learner = learner.on(backend).unwrap();
    let decay = LayerDecay::per_layer(0.7, &model);
    let outcomes = (0..3).map(|update| {
        for part in 0..2 {
            let first = 4 * update + 2 * part;
            // Of the second update a picture is missing.
            let images = if update == 1 && part == 1 { 1 } else { 2 };
            let parts = 4.0 / images as f64;
            learner
                .accumulate(parts, |module, pass| {
                    classified(module, pass, [first, images], [8, 16], 0.2)
                })
                .unwrap();
        }
        learner.update(1e-3, |name| decay.scale(name)).unwrap()
    });
    (outcomes.collect(), state(&learner))
}

#[test]
fn updates_follow_the_processors() {
    for block in [BlockKind::V2, BlockKind::V1] {
        let start = weights(&classifier(&small(block)));
        let (expected_outcomes, expected) = trained(&Backend::Cpu, block);
        assert!(expected_outcomes.iter().all(|outcome| outcome.norm > 0.5), "nothing is clipped");
        let changed = |name: &&String| expected[0][*name] != start[*name];
        let moved: Vec<String> = start.keys().filter(changed).cloned().collect();
        assert!(moved.len() < start.len() && moved.len() > start.len() / 2);
        for features in BOTH {
            let device = Device::new(Order::Backward, features);
            let (outcomes, found) = trained(&device.backend, block);
            device.is_empty();
            let wide = features == Element::F32;
            for (found, expected) in outcomes.iter().zip(&expected_outcomes) {
                let limit = if wide { 1e-5 } else { 2e-2 };
                assert!(found.made && expected.made);
                let loss = f64::from(found.loss / expected.loss - 1.0).abs();
                let norm = (found.norm / expected.norm - 1.0).abs();
                assert!(loss <= limit && norm <= limit, "{found:?}, not {expected:?}");
            }
            let about = |what| format!("{block:?} in {features:?}: {what}");
            let limit = if wide { 1e-5 } else { 1e-2 };
            compare(&about("weights"), &found[0], &expected[0], [limit; 2]);
            compare(&about("average"), &found[1], &expected[1], [limit; 2]);
            let limits = if wide { [1e-4; 2] } else { [5e-2, 2e-1] };
            compare(&about("moments"), &found[2], &expected[2], limits);
            // Where a gradient is next to nothing its rounding decides where the weight goes.
            let limits = if wide { [1e-3, 1e-2] } else { [2e-1, 1.0] };
            for which in [0, 1] {
                let [found, expected] =
                    [&found, &expected].map(|state| change(&state[which], &start, &moved));
                compare(&about("what changed"), &found, &expected, limits);
            }
        }
    }
}

/// Where a parameter has no part it stays, and its average goes on towards it. Fewer parts than an update has are
/// counted as they are.
#[test]
fn what_has_no_part_in_an_update_stays() {
    let run = |backend: &Backend| {
        let learner = Learner::new(layer(), &optim()).averaging(0.5);
        let mut learner = learner.on(backend).unwrap();
        let mut losses = Vec::new();
        for batches in [&[1][..], &[0, 2], &[4], &[3, 5, 6], &[], &[8]] {
            for &batch in batches {
                learner.learn(3, |places, pass| layers_loss(places, pass, batch, 4)).unwrap();
            }
            let gradients = gradients(&learner);
            let takes_more = batches.iter().any(|batch| batch % 2 == 1);
            assert_eq!(gradients.contains_key("2"), takes_more, "{batches:?}");
            let outcome = learner.update(1e-2, |_| 1.0).unwrap();
            assert!(outcome.made);
            losses.push(outcome.loss);
        }
        (losses, state(&learner))
    };
    let (expected_losses, expected) = run(&Backend::Cpu);
    for order in Order::ALL {
        let (losses, found) = run(&Device::new(order, Element::F32).backend);
        for (found, expected) in losses.iter().zip(&expected_losses) {
            assert!((found - expected).abs() <= 1e-5 * expected, "{found}, not {expected}");
        }
        for (found, expected) in found.iter().zip(&expected) {
            compare("a layer", found, expected, [1e-5; 2]);
        }
    }
}

/// As on the processor: see `diverged.rs`. A copy of the network shares what the update would change.
#[test]
fn an_update_that_is_no_number_changes_nothing() {
    let sound = pictures(0, 2, [8, 8]);
    let mut broken = sound.to_vec();
    broken[100] = f32::NAN;
    let broken = Tensor::new(broken, sound.dims::<4>());
    for on_nan in [OnNan::Stop, OnNan::Skip] {
        for features in BOTH {
            let device = Device::new(Order::Forward, features);
            let config = OptimConfig { on_nan, ..optim() };
            let learner = Learner::new(classifier(&tiny()), &config).averaging(0.9);
            let mut learner = learner.on(&device.backend).unwrap();
            let mut update = |images: [&Tensor; 2]| {
                let shared = learner.network().clone();
                for images in images {
                    learner
                        .learn(2, |module, pass| {
                            let logits = module.forward(pass, images.clone(), None);
                            ops::cross_entropy(pass, logits, &targets(0, 2))
                        })
                        .unwrap();
                }
                let outcome = learner.update(1e-3, |_| 1.0).unwrap();
                drop(shared);
                (outcome, state(&learner).map(|named| bits(&named)), learner.updates())
            };
            let (first, before, _) = update([&sound, &sound]);
            assert!(first.made && first.loss.is_finite());
            let (outcome, after, updates) = update([&broken, &sound]);
            assert!(!outcome.made && outcome.loss.is_nan());
            assert!(after == before, "{on_nan:?}: something changed");
            assert_eq!(updates, 2);
            let (outcome, after, updates) = update([&sound, &sound]);
            assert!(outcome.loss.is_finite() && outcome.norm.is_finite());
            assert_eq!((outcome.made, after != before), (on_nan == OnNan::Skip, outcome.made));
            assert_eq!(updates, 3);
        }
    }
}

/// A loss that is a number, with a gradient whose square is none in float32.
#[test]
fn a_gradient_alone_that_is_no_number_changes_nothing() {
    let step = |backend: &Backend, factor: f32| {
        let mut network = layer();
        let [weight, bias, _] = network.module()[..] else { panic!("three parameters") };
        network.weights_mut().get_mut(weight).fill(0.0);
        let mut learner = Learner::new(network, &optim()).on(backend).unwrap();
        let loss = learner
            .learn(1, |_, pass| {
                let x = Tensor::new(vec![factor; 16], [2, 8]);
                let logits = ops::linear(pass, x, Affine { weight, bias, scale: None });
                let mut targets = vec![0.0; 16];
                (targets[0], targets[9]) = (1e-3, 1e-3);
                ops::cross_entropy(pass, logits, &targets)
            })
            .unwrap();
        assert!(loss.is_finite());
        let before = weights(learner.network());
        let outcome = learner.update(1e-3, |_| 1.0).unwrap();
        (outcome, bits(&weights(learner.network())) == bits(&before))
    };
    for (factor, made) in [(1.0, true), (1e23, false)] {
        for backend in [Backend::Cpu, Device::new(Order::Forward, Element::F32).backend] {
            let (outcome, same) = step(&backend, factor);
            assert_eq!((outcome.made, same), (made, !made), "{factor}: {outcome:?} on {backend:?}");
        }
    }
}

/// Four pictures are learned by heart as fast as on the processor.
#[test]
fn a_loss_falls_as_on_the_processor() {
    let learner = |backend: &Backend| {
        let decoder = DecoderConfig { width: 16, depth: 1 };
        let network =
            fill::network(|names| Autoencoder::new(names, &small(BlockKind::V2), &decoder));
        Learner::new(network, &optim()).on(backend).unwrap()
    };
    let images = fill::images([4, 16, 16, 3]);
    let step = |learner: &mut Learner<Autoencoder>, round: u64| {
        let mask = mask(round % 2, 4);
        let loss = learner
            .learn(1, |module, pass| module.loss(pass, images.clone(), &mask, true))
            .unwrap();
        learner.update(5e-3, |_| 1.0).unwrap();
        loss
    };
    let mut cpu = learner(&Backend::Cpu);
    let first = step(&mut cpu, 0);
    let (mut rounds, mut last) = (1, first);
    while last > 0.5 * first {
        last = step(&mut cpu, rounds);
        rounds += 1;
        assert!(rounds < 200, "the processor learns nothing: {first} to {last}");
    }
    let device = Device::new(Order::Forward, Element::Bf16);
    let mut card = learner(&device.backend);
    let losses: Vec<f32> = (0..rounds).map(|round| step(&mut card, round)).collect();
    let fall = losses[0] - losses[losses.len() - 1];
    let error = fall / (first - last) - 1.0;
    assert!(error.abs() <= 0.05, "it falls by {fall}, not {}", first - last);
}

/// Copies stay as they are while training goes on; so does what is evaluated.
#[test]
fn copies_are_independent_of_later_updates() {
    for features in BOTH {
        let device = Device::new(Order::Late, features);
        let learner = Learner::new(classifier(&tiny()), &optim()).averaging(0.5);
        let mut learner = learner.on(&device.backend).unwrap();
        let images = pictures(0, 2, [8, 16]);
        let logits = |network: &Network<Classifier>| network.logits(&images).unwrap().to_vec();
        let mut update = |first| {
            learner
                .learn(1, |module, pass| classified(module, pass, [first, 2], [8, 16], 0.0))
                .unwrap();
            learner.update(1e-2, |_| 1.0).unwrap();
            (learner.network().clone(), learner.averaged().unwrap())
        };
        let (clone, averaged) = update(0);
        let kept = [&clone, &averaged].map(|network| (logits(network), weights(network)));
        let (later, later_averaged) = update(2);
        for (network, (known, of)) in [&clone, &averaged].into_iter().zip(&kept) {
            assert_eq!(&logits(network), known, "{features:?}: a copy's results changed");
            assert_eq!(&weights(network), of, "{features:?}: a copy's weights changed");
        }
        assert_ne!(logits(&later), kept[0].0);
        assert_ne!(logits(&later_averaged), kept[1].0);
        // Nor does a copy depend on who made it.
        drop((clone, averaged, later_averaged, learner));
        let anew = Network::load(
            |names| Classifier::new(names, &tiny(), CLASSES),
            &later.to_named().unwrap(),
        );
        assert_eq!(logits(&later), logits(&anew.unwrap().on(&device.backend).unwrap()));
        drop(later);
        device.is_empty();
    }
}
