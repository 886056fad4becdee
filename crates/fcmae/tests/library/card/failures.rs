//! Cards that are gone, or too small.

use fcmae::training::Learner;
use fcmae_cuda::CudaError;

use super::*;

fn learn(learner: &mut Learner<Classifier>, count: usize) -> Result<f32, CudaError> {
    learner.learn(1, |module, pass| classified(module, pass, [0, count], [8, 8], 0.5))
}

/// Looks at what a network computes while it comes.
fn observe(network: &Network<Classifier>) -> Result<Vec<f32>, CudaError> {
    network.observe(|module, pass| {
        let images = pictures(0, 1, [8, 8]);
        let (mut seen, sites) = (Vec::new(), module.encoder.grid(&images));
        module.encoder.forward(pass, images, sites, None, |_, x, _| seen.extend(x.to_vec()));
        seen
    })
}

/// All that is done with a card, until something fails.
fn work(backend: &Backend) -> Result<(), CudaError> {
    let mut learner = Learner::new(classifier(&tiny()), &optim()).averaging(0.9).on(backend)?;
    for count in [2, 2, 1] {
        learn(&mut learner, count)?;
        learner.update(1e-3, |_| 1.0)?;
    }
    let network = learner.averaged()?;
    for _ in 0..3 {
        network.logits(&pictures(0, 1, [8, 8]))?;
    }
    observe(&network)?;
    network.to_named()?;
    Ok(())
}

#[test]
fn a_card_that_is_gone_is_an_error_wherever_it_goes() {
    let mut n = 0;
    let mut failures = 0;
    loop {
        let device = Device::new(Order::ALL[n as usize % 3], Element::Bf16);
        device.driver.fail_after(n);
        let outcome = work(&device.backend);
        device.is_empty();
        let Err(error) = outcome else { break };
        assert!(matches!(error, CudaError::Call { .. }), "{n}: {error}");
        assert!(error.to_string().contains("gone"), "{error}");
        failures += 1;
        n += 1 + n / 4;
    }
    assert!(failures > 20, "{failures}");
}

#[test]
fn nothing_is_computed_on_a_card_that_is_gone() {
    for features in BOTH {
        let device = Device::new(Order::Forward, features);
        let mut learner = Learner::new(classifier(&tiny()), &optim()).on(&device.backend).unwrap();
        let network = learner.averaged().unwrap();
        for _ in 0..2 {
            learn(&mut learner, 1).unwrap();
            learner.update(1e-3, |_| 1.0).unwrap();
            network.logits(&pictures(0, 1, [8, 8])).unwrap();
        }
        device.driver.fail_after(10);
        learn(&mut learner, 1).unwrap_err();
        for _ in 0..2 {
            learn(&mut learner, 1).unwrap_err();
            learner.update(1e-3, |_| 1.0).unwrap_err();
            network.logits(&pictures(0, 1, [8, 8])).unwrap_err();
            observe(&network).unwrap_err();
            network.to_named().unwrap_err();
            learner.gradients().clone().on(&Backend::Cpu).unwrap_err();
        }
        Learner::new(classifier(&tiny()), &optim()).on(&device.backend).unwrap_err();
        drop((learner, network));
        device.is_empty();
    }
}

/// Whoever looks at results is told of what fails at the last of them.
#[test]
fn what_is_observed_of_a_card_that_goes_is_no_result() {
    let device = Device::new(Order::Forward, Element::F32);
    let network = classifier(&tiny()).on(&device.backend).unwrap();
    let expected = observe(&network).unwrap();
    let mut n = 0;
    loop {
        let device = Device::new(Order::Forward, Element::F32);
        let network = classifier(&tiny()).on(&device.backend).unwrap();
        // What was uploaded.
        weights(&network);
        device.driver.fail_after(n);
        match observe(&network) {
            Ok(found) => {
                assert_eq!(found, expected, "after {n} pieces");
                break;
            }
            Err(error) => assert!(matches!(error, CudaError::Call { .. }), "{error}"),
        }
        n += 1;
    }
    assert!(n > 10);
}

fn is_memory<T>(result: Result<T, CudaError>) {
    let error = result.err().expect("the memory is too small");
    assert!(matches!(error, CudaError::Memory { .. }), "{error}");
}

#[test]
fn a_card_that_is_too_small_is_told() {
    for features in BOTH {
        let of = |bytes| Device::of(Emulated::new(Order::Forward).with_memory(bytes), features);
        let start = |device: &Device| {
            let learner = Learner::new(classifier(&tiny()), &optim()).averaging(0.9);
            learner.on(&device.backend)
        };
        let large = Device::new(Order::Forward, features);
        let mut learner = start(&large).unwrap();
        let (all, weights) = (large.driver.counts().bytes, learner.network().layout().bytes());
        for bytes in [1, weights, 2 * weights + 1, all - 1] {
            let device = of(bytes);
            is_memory(start(&device));
            device.is_empty();
        }
        learn(&mut learner, 1).unwrap();
        let one = large.driver.counts().bytes;
        // The smallest batch has room, a larger one has not; and the small one goes on as if nothing had been.
        let device = of(one);
        let mut small = start(&device).unwrap();
        learn(&mut small, 1).unwrap();
        if features == Element::Bf16 {
            // Its rounded weights need room.
            is_memory(small.averaged());
        }
        is_memory(learn(&mut small, 4));
        small.update(1e-3, |_| 1.0).unwrap();
        learn(&mut small, 1).unwrap();

        let network = classifier(&tiny());
        let narrow = if features == Element::F32 { 0 } else { weights / 2 };
        let device = of(weights + narrow + 1000);
        let on_card = network.clone().on(&device.backend).unwrap();
        is_memory(on_card.logits(&pictures(0, 8, [8, 8])));
        is_memory(observe(&on_card));
        let device = of(weights + narrow - 1);
        is_memory(network.on(&device.backend));
        device.is_empty();
    }
}
