//! One step, and results without gradients.

use fcmae::config::BlockKind;
use fcmae::engine::module::Network;
use fcmae::network::model::Classifier;
use fcmae::training::Learner;

use super::*;
use crate::fcmae_step::{Case, Fixture, patches, predictions};
use crate::summary::fixture;

fn pretrained(case: &Case, backend: &Backend) -> (f64, Named) {
    let mut learner = Learner::new(case.network(), &optim()).on(backend).unwrap();
    let (images, mask) = (case.images(), case.mask());
    let loss = learner
        .learn(1, |model, pass| model.loss(pass, images.clone(), &mask, case.norm_pix_loss))
        .unwrap();
    (f64::from(loss), gradients(&learner))
}

#[test]
fn a_step_of_pre_training_in_float32_equals_pytorchs() {
    for (case, order) in fixture::<Fixture>("fcmae_step.json").cases.iter().zip(orders()) {
        let device = Device::new(order, Element::F32);
        let network = case.network().on(&device.backend).unwrap();
        let expected = &case.masked_predictions_of_image_0;
        let found = predictions(&network, &patches(&network, case), &case.mask());
        let first = &found[..expected.shape.iter().product()];
        expected.check("predictions", first, 1e-5);

        let (loss, gradients) = pretrained(case, &device.backend);
        let (name, error) = (&case.name, (loss / case.loss - 1.0).abs());
        assert!(error < 1e-5, "{name}: the loss is {loss}, not {}", case.loss);
        let names: Vec<_> = gradients.keys().collect();
        assert_eq!(names, case.gradients.keys().collect::<Vec<_>>(), "{name}");
        for (of, gradient) in &gradients {
            let error = case.gradients[of].error(of, gradient);
            assert!(error < 1e-4, "{name}: the gradient of {of} is off by {error:.1e}");
        }
    }
}

#[test]
fn a_step_of_pre_training_in_bfloat16_is_near_the_processors() {
    for (case, order) in fixture::<Fixture>("fcmae_step.json").cases.iter().zip(orders()) {
        let device = Device::new(order, Element::Bf16);
        let (loss, found) = pretrained(case, &device.backend);
        let (expected_loss, expected) = pretrained(case, &Backend::Cpu);
        let error = (loss / expected_loss - 1.0).abs();
        assert!(error < 2e-3, "{}: the loss is {loss}, not {expected_loss}", case.name);
        compare(&case.name, &found, &expected, limits(Element::Bf16));
    }
}

#[test]
fn a_step_of_fine_tuning_equals_the_processors() {
    let step = |block, backend: &Backend| {
        let network = classifier(&small(block));
        let mut learner = Learner::new(network, &optim()).on(backend).unwrap();
        let loss = learner
            .learn(1, |module, pass| classified(module, pass, [0, 4], [16, 16], 0.5))
            .unwrap();
        (f64::from(loss), gradients(&learner))
    };
    for block in [BlockKind::V2, BlockKind::V1] {
        let (expected_loss, expected) = step(block, &Backend::Cpu);
        for features in BOTH {
            let device = Device::new(Order::Late, features);
            let (loss, found) = step(block, &device.backend);
            let error = (loss / expected_loss - 1.0).abs();
            let limit = limits(features)[0];
            assert!(error < limit, "{block:?} in {features:?}: {loss}, not {expected_loss}");
            compare(&format!("{block:?} in {features:?}"), &found, &expected, limits(features));
        }
    }
}

/// What a network gives without gradients, by name.
fn results(network: &Network<Classifier>) -> Named {
    let images = pictures(7, 2, [8, 16]);
    let mut results = Named::new();
    let mut keep = |name: &str, values: Vec<f32>| drop(results.insert(name.to_owned(), values));
    keep("logits", network.logits(&images).unwrap().to_vec());
    keep("embeddings", network.embed(&images).unwrap().to_vec());
    let maps = network.infer_all(|module, pass| module.encoder.maps(pass, images.clone())).unwrap();
    for (stage, map) in maps.iter().enumerate() {
        assert_eq!(map.shape()[0], 2);
        keep(&format!("map {stage}"), map.to_vec());
    }
    let observed = network.observe(|module, pass| {
        let (encoder, mut seen) = (&module.encoder, Vec::new());
        let sites = encoder.grid(&images);
        let out = encoder.forward_hidden(pass, images.clone(), sites, |_, hidden| {
            seen.push([hidden.gelu.to_vec(), hidden.grn.to_vec()]);
        });
        seen.push([out.to_vec(), out.to_vec()]);
        seen
    });
    for (block, [gelu, grn]) in observed.unwrap().into_iter().enumerate() {
        keep(&format!("before GRN {block}"), gelu);
        keep(&format!("after GRN {block}"), grn);
    }
    results
}

#[test]
fn results_without_gradients_equal_the_processors() {
    for block in [BlockKind::V2, BlockKind::V1] {
        let network = classifier(&small(block));
        let expected = results(&network);
        for features in BOTH {
            let device = Device::new(Order::Backward, features);
            let on_card = network.clone().on(&device.backend).unwrap();
            let found = results(&on_card);
            let limit = if features == Element::F32 { 1e-5 } else { 2e-2 };
            let about = format!("{block:?} in {features:?}");
            compare(&about, &found, &expected, [limit; 2]);
            let again = results(&on_card);
            assert_eq!(bits(&again), bits(&found), "{about}: other bits the second time");
            drop(on_card);
            device.is_empty();
        }
    }
}

/// From card to card and back nothing is rounded.
#[test]
fn weights_are_the_same_bits_wherever_they_were() {
    let network = classifier(&small(BlockKind::V2));
    let expected = weights(&network);
    let [narrow, wide] =
        [Element::Bf16, Element::F32].map(|features| Device::new(Order::Forward, features));
    let mut network = network;
    for backend in [&narrow, &wide, &narrow].map(|device| &device.backend) {
        network = network.on(backend).unwrap();
        assert_eq!(bits(&weights(&network)), bits(&expected));
        network.logits(&pictures(0, 1, [8, 8])).unwrap();
    }
    let network = network.on(&Backend::Cpu).unwrap();
    assert_eq!(bits(&weights(&network)), bits(&expected));
    let logits =
        |network: &Network<Classifier>| network.logits(&pictures(0, 1, [8, 8])).unwrap().to_vec();
    assert_eq!(logits(&network), logits(&classifier(&small(BlockKind::V2))));
    narrow.is_empty();
    wide.is_empty();
}
