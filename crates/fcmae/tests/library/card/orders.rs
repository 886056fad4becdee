//! The same bits in every order of work, launched piece by piece or as graphs.

use fcmae::autoencoder::Autoencoder;
use fcmae::config::BlockKind;
use fcmae::network::Network;
use fcmae::train::Learner;

use super::*;

fn autoencoder() -> Network<Autoencoder> {
    fill::network(|names| Autoencoder::new(names, &small(BlockKind::V2), &DECODER))
}

/// Learns one batch whose masks are those of `round`.
fn learn(learner: &mut Learner<Autoencoder>, round: u64, count: usize, parts: u64) -> f32 {
    let (images, mask) = (pictures(3 * round as usize, count, [16, 24]), mask(round, count));
    learner.learn(parts, |module, pass| module.loss(pass, images.clone(), &mask, true)).unwrap()
}

/// Batches shrink and grow, and come again.
const COUNTS: [usize; 5] = [2, 3, 2, 1, 3];

#[test]
fn every_order_gives_the_same_bits() {
    for features in BOTH {
        let runs = Order::ALL.map(|order| {
            let device = Device::new(order, features);
            let mut learner =
                Learner::new(autoencoder(), &optim()).averaging(0.9).on(&device.backend).unwrap();
            let mut numbers = Vec::new();
            for (round, count) in (0..).zip(COUNTS) {
                for part in 0..2 {
                    numbers.push(learn(&mut learner, 2 * round + part, count, 2).to_bits());
                }
                let outcome = learner.update(1e-3, |_| 1.0).unwrap();
                numbers.extend([outcome.loss.to_bits(), (outcome.norm as f32).to_bits()]);
            }
            numbers.extend(bits(&weights(learner.network())));
            numbers.extend(bits(&weights(&learner.averaged().unwrap())));
            assert!(device.driver.counts().replays > 0);
            drop(learner);
            device.is_empty();
            numbers
        });
        assert!(runs.iter().all(|run| *run == runs[0]), "{features:?}: other bits");
    }
}

/// A batch that comes for the first time is launched piece by piece.
#[test]
fn graphs_give_the_bits_of_plain_launches() {
    for features in BOTH {
        let [often, once] = [(); 2].map(|()| Device::new(Order::Backward, features));
        let mut learner = Learner::new(autoencoder(), &optim()).on(&often.backend).unwrap();
        for round in 0..6 {
            let anew = Network::load(
                |names| Autoencoder::new(names, &small(BlockKind::V2), &DECODER),
                &learner.network().to_named().unwrap(),
            );
            let mut fresh = Learner::new(anew.unwrap(), &optim()).on(&once.backend).unwrap();
            // The second part's gradients are added to the first one's.
            for part in 0..2 {
                let losses = [&mut learner, &mut fresh]
                    .map(|learner| learn(learner, 2 * round + part, 2, 2).to_bits());
                assert_eq!(losses[0], losses[1], "{features:?}: round {round}");
            }
            let [found, expected] = [&learner, &fresh].map(|learner| bits(&gradients(learner)));
            assert!(found == expected, "{features:?}: other gradients in round {round}");
            learner.update(1e-2, |_| 1.0).unwrap();
        }
        let [often, once] = [often, once].map(|device| device.driver.counts());
        assert_eq!((often.replays, often.graphs), (10, 2), "from the second round on");
        assert_eq!((once.replays, once.graphs), (0, 0));
    }
}

/// More shapes than are kept, from the smallest on, so that the memory grows, and again.
#[test]
fn any_number_of_shapes_is_computed() {
    let network = classifier(&tiny());
    let device = Device::new(Order::Late, Element::F32);
    let on_card = network.clone().on(&device.backend).unwrap();
    let mut learner = Learner::new(network.clone(), &optim()).on(&device.backend).unwrap();
    let shapes: Vec<[usize; 2]> = (1..=20).map(|n| [8, 8 * n]).collect();
    for round in 0..3 {
        for &sides in &shapes {
            let images = pictures(0, 1, sides);
            let [found, expected] =
                [&on_card, &network].map(|network| network.logits(&images).unwrap().to_vec());
            let error = relative_error(&found, &expected);
            assert!(error < 1e-5, "{sides:?}, round {round}: off by {error:.1e}");
            learner.learn(60, |module, pass| classified(module, pass, [0, 1], sides, 0.0)).unwrap();
        }
    }
    let counts = device.driver.counts();
    assert!(counts.replays > 0 && counts.graphs <= 32, "{counts:?}");
    let mut cpu = Learner::new(network, &optim());
    for &sides in shapes.iter().cycle().take(60) {
        cpu.learn(60, |module, pass| classified(module, pass, [0, 1], sides, 0.0)).unwrap();
    }
    compare("60 parts", &gradients(&learner), &gradients(&cpu), limits(Element::F32));
    drop((on_card, learner));
    device.is_empty();
}
