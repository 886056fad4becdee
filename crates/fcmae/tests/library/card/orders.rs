//! The same bits in every order of work, launched piece by piece or as graphs.

use fcmae::engine::module::Network;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::training::Learner;

use super::*;

fn autoencoder() -> Network<Autoencoder> {
    fill::network(|names| Autoencoder::new(names, &tiny(), &DECODER))
}

/// Learns one batch whose masks are those of `round`.
fn learn(learner: &mut Learner<Autoencoder>, round: u64, count: usize, parts: u64) -> f32 {
    let (images, mask) = (pictures(3 * round as usize, count, [16, 16]), mask(round, count));
    learner.learn(parts, |module, pass| module.loss(pass, images.clone(), &mask, true)).unwrap()
}

/// One that comes again, so that it is a graph, before a larger one takes more memory; then both again.
const COUNTS: [usize; 5] = [1, 1, 2, 1, 2];

#[test]
fn every_order_gives_the_same_bits() {
    for features in BOTH {
        let runs = Order::ALL.map(|order| {
            let device = Device::new(order, features);
            let mut learner =
                Learner::new(autoencoder(), &optim()).averaging(0.9).on(&device.backend).unwrap();
            let mut numbers = Vec::new();
            for (round, count) in (0..).zip(COUNTS) {
                numbers.push(learn(&mut learner, round, count, 1).to_bits());
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
        for round in 0..4 {
            let anew = Network::load(
                |names| Autoencoder::new(names, &tiny(), &DECODER),
                &learner.network().to_named().unwrap(),
            );
            let mut fresh = Learner::new(anew.unwrap(), &optim()).on(&once.backend).unwrap();
            // The second part's gradients are added to the first one's.
            for part in 0..2 {
                let losses = [&mut learner, &mut fresh]
                    .map(|learner| learn(learner, 2 * round + part, 1, 2).to_bits());
                assert_eq!(losses[0], losses[1], "{features:?}: round {round}");
            }
            let [found, expected] = [&learner, &fresh].map(|learner| bits(&gradients(learner)));
            assert!(found == expected, "{features:?}: other gradients in round {round}");
            learner.update(1e-2, |_| 1.0).unwrap();
        }
        let [often, once] = [often, once].map(|device| device.driver.counts());
        assert_eq!((often.replays, often.graphs), (6, 2), "from the second round on");
        assert_eq!((once.replays, once.graphs), (0, 0));
    }
}

/// More shapes than are kept, each several times, from the smallest on, so that the memory grows; then all again.
#[test]
fn any_number_of_shapes_is_computed() {
    const ROUNDS: usize = 3;
    let all = 1..=24usize;
    let several = all.clone().flat_map(|rows| [rows; ROUNDS]);
    let sequence: Vec<usize> = several.chain(all.rev()).collect();
    let parts = sequence.len() as u64;
    let loss = |rows: usize| {
        move |places: &Vec<Parameter>, pass: &mut Pass<'_>| layers_loss(places, pass, 1, rows)
    };
    let run = |backend: &Backend| {
        let network = layer().on(backend).unwrap();
        let mut learner = Learner::new(layer(), &optim()).on(backend).unwrap();
        let mut losses = Vec::new();
        for &rows in &sequence {
            losses.push(network.infer(loss(rows)).unwrap().values()[0]);
            losses.push(learner.learn(parts, loss(rows)).unwrap());
        }
        let named = Named::from([("losses".to_owned(), losses)]);
        (named, gradients(&learner), [network, learner.averaged().unwrap()])
    };
    let (expected, expected_gradients, _) = run(&Backend::Cpu);
    for order in Order::ALL {
        let device = Device::new(order, Element::F32);
        let (losses, gradients, networks) = run(&device.backend);
        compare("losses", &losses, &expected, [1e-6; 2]);
        compare("all parts", &gradients, &expected_gradients, limits(Element::F32));
        assert!(device.driver.counts().replays > 0);
        drop(networks);
        device.is_empty();
    }
}
