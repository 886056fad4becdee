//! What the engine refuses, and what a refusal leaves behind.

use fcmae::config::PretrainConfig;
use fcmae::optim::{AdamW, Gradients};
use fcmae::parameters::{Arena, Layout};

/// An optimizer goes on from a checkpoint as a fresh one does, whatever it did before.
#[test]
fn a_used_optimizer_takes_up_a_checkpoint_as_a_fresh_one() {
    let ([a, b], layout) =
        Layout::of(|names| ["a", "b"].map(|name| names.parameter(name, [2, 3])));
    let config = PretrainConfig::default().optim;
    let step = |optimizer: &mut AdamW, weights: &mut Arena, of, loss| {
        let mut gradients = Gradients::new(&layout);
        gradients.add(of, &[0.5, -1.0, 2.0, 0.25, -3.0, 1.0]);
        optimizer.step(weights, &gradients, loss, 0.1, |_| 1.0, None).made
    };
    let mut saved = AdamW::new(&config, &layout);
    assert!(step(&mut saved, &mut Arena::zeros(&layout), a, 1.0));

    let mut used = AdamW::new(&config, &layout);
    assert!(step(&mut used, &mut Arena::zeros(&layout), b, 1.0));
    assert!(!step(&mut used, &mut Arena::zeros(&layout), b, f32::NAN), "no number: it stops");
    let mut fresh = AdamW::new(&config, &layout);
    let mut weights = [&mut used, &mut fresh].map(|optimizer| {
        optimizer.restore(&saved.state(), 1).unwrap();
        assert_eq!(optimizer.state().names().count(), 2, "the moments of a alone");
        let mut weights = Arena::zeros(&layout);
        assert!(step(optimizer, &mut weights, b, 1.0), "it makes updates again");
        weights
    });
    let [used, fresh] = weights.each_mut().map(|weights| weights.get(b).to_vec());
    assert_eq!(used, fresh, "the old moments of b are gone");
}
