//! Targets, the reconstruction loss and cross entropy.

use fcmae::engine::module::Network;
use fcmae::engine::ops;
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::Tensor;
use fcmae::network::loss::{log_softmax, patch_statistics, patchify, smoothed, targets, weigh};
use fcmae::network::mask::Mask;
use fcmae_oracle::network as oracle;

use crate::differentiate::{Operand, Start, compare, differentiate};
use crate::fill;

fn matrix<const R: usize, const C: usize>(rows: [[f32; C]; R]) -> Tensor {
    Tensor::new(rows.concat(), [R, C])
}

/// What `compute` gives without a network.
fn values(compute: impl Fn(&mut Pass<'_>) -> Tensor) -> Vec<f32> {
    Network::new(|_| ()).observe(|(), pass| compute(pass).to_vec()).unwrap()
}

#[test]
fn patches_hold_rows_then_columns_then_channels() {
    let pixels: Vec<f32> = (0..2 * 4 * 6 * 3).map(|v| v as f32).collect();
    let images = Tensor::new(pixels, [2, 4, 6, 3]);
    let found = values(|pass| {
        let patches = patchify(pass, images.clone(), 2);
        assert_eq!(*patches.shape(), [12, 12]);
        patches
    });
    let pixel = |image: usize, row: usize, col: usize| {
        let first = ((image * 4 + row) * 6 + col) * 3;
        [first, first + 1, first + 2].map(|v| v as f32)
    };
    for (patch, values) in found.chunks_exact(12).enumerate() {
        let (image, row, col) = (patch / 6, patch % 6 / 3 * 2, patch % 3 * 2);
        let pixels = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let expected: Vec<f32> =
            pixels.iter().flat_map(|&(y, x)| pixel(image, row + y, col + x)).collect();
        assert_eq!(values, expected, "patch {patch}");
    }
}

#[test]
fn normalized_targets_have_mean_0_and_unbiased_variance_1() {
    // Two images of two patches each; the second patch of each is masked.
    let patches = matrix([[9.0; 4], [1.0, 2.0, 3.0, 6.0], [9.0; 4], [-1.0, 1.0, -1.0, 1.0]]);
    let mask = Mask::new([1, 2], 1, vec![0, 0]).unwrap();
    let plain = values(|pass| targets(pass, patches.clone(), &mask, false));
    assert_eq!(plain, [1.0, 2.0, 3.0, 6.0, -1.0, 1.0, -1.0, 1.0]);
    let found = values(|pass| targets(pass, patches.clone(), &mask, true));
    // Means 3 and 0; sums of squares 14 and 4, over three degrees of freedom.
    let (first, second) = ((14.0f32 / 3.0 + 1e-6).sqrt(), (4.0f32 / 3.0 + 1e-6).sqrt());
    let expected = [-2.0, -1.0, 0.0, 3.0].map(|v| v / first).into_iter();
    let expected = expected.chain([-1.0, 1.0, -1.0, 1.0].map(|v| v / second));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }
}

/// Fault 21: patches without variance.
#[test]
fn constant_patches_are_finite() {
    let [[mean, std]] = patch_statistics(&[5.0; 48], 48)[..] else { panic!("one patch") };
    assert_eq!(mean, 5.0);
    assert!((std - 1e-3).abs() < 1e-6);
    let mask = Mask::new([1, 2], 1, vec![0]).unwrap();
    let loss = values(|pass| {
        let patches = matrix([[5.0; 48], [0.25; 48]]);
        let constant = targets(pass, patches, &mask, true);
        ops::mean_squared_difference(pass, matrix([[0.0; 48]]), constant)
    });
    assert_eq!(loss, [0.0]);
    // A patch of one grey pixel has no variance to speak of.
    assert_eq!(values(|pass| targets(pass, matrix([[5.0], [7.0]]), &mask, true)), [0.0]);
    let [[mean, std]] = patch_statistics(&[7.0], 1)[..] else { panic!("one patch") };
    assert_eq!(mean, 7.0);
    assert!((std - 1e-3).abs() < 1e-6);
}

#[test]
fn a_zero_prediction_scores_about_one() {
    let mask = Mask::random([4, 6], 0.6, 0, 0, &[0, 1, 2]).unwrap();
    let count = 16.0 * 16.0 * 3.0;
    let loss = values(|pass| {
        let patches = patchify(pass, fill::images([3, 64, 96, 3]), 16);
        let targets = targets(pass, patches, &mask, true);
        let zeros = Tensor::new(vec![0.0; targets.shape().count()], targets.shape());
        assert_eq!(targets.shape().last() as f32, count);
        ops::mean_squared_difference(pass, zeros, targets)
    });
    // The biased variance over the unbiased one.
    assert!((loss[0] - (count - 1.0) / count).abs() < 1e-4, "{loss:?}");
}

#[test]
fn reconstruction_is_the_mean_over_values_and_masked_patches() {
    let loss = values(|pass| {
        let (predictions, targets) = ([[1.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [3.0, 0.0]]);
        ops::mean_squared_difference(pass, matrix(predictions), matrix(targets))
    });
    assert_eq!(loss, [(1.0 + 4.0 + 9.0) / 4.0]);
}

#[test]
fn statistics_are_what_targets_are_standardized_by() {
    let patches = Operand::filled("patches", [5, 48], 2.0);
    let mask = Mask::new([1, 5], 1, vec![0]).unwrap();
    let targets = values(|pass| targets(pass, patches.tensor(), &mask, true));
    let statistics = patch_statistics(&patches.values, 48);
    let rows = patches.values.chunks(48).zip(statistics).skip(1);
    let expected = rows.flat_map(|(row, [mean, std])| {
        row.iter().map(move |&value| (f64::from(value) - f64::from(mean)) / f64::from(std))
    });
    compare("targets", 1e-6, &targets, &expected.collect::<Vec<_>>());
}

#[test]
fn cross_entropy_with_smoothing_equals_a_hand_computation() {
    let rows = [[1.0f32, 2.0, 0.5], [-0.5, 0.0, 3.0]];
    let labels = [1, 0];
    for smoothing in [0.0, 0.1, 0.3] {
        let mut expected = 0.0;
        for (row, &label) in rows.iter().zip(&labels) {
            let wide = row.map(f64::from);
            let log_sum = wide.iter().map(|v| v.exp()).sum::<f64>().ln();
            for (class, logit) in wide.iter().enumerate() {
                let target = smoothing / 3.0 + if class == label { 1.0 - smoothing } else { 0.0 };
                expected -= target * (logit - log_sum) / 2.0;
            }
        }
        let labels = labels.map(|label| label as u32);
        let logits = [Operand::new(rows.concat(), [2, 3])];
        let targets = smoothed(&labels, 3, smoothing);
        let found = differentiate(&logits, Start::Loss, |pass, places| {
            let logits = ops::parameter(pass, places[0]);
            ops::cross_entropy(pass, logits, &targets)
        });
        let loss = f64::from(found.result[0]);
        assert!((loss - expected).abs() < 1e-6, "{loss}, not {expected}");

        // ∂/∂logits = (softmax − target) / N, which sums to nothing over classes.
        let gradient = found.gradients[0].as_ref().unwrap();
        for (row, label) in gradient.chunks_exact(3).zip(labels) {
            assert!(row.iter().sum::<f32>().abs() < 1e-6, "{row:?}");
            assert!(row[label as usize] < 0.0, "{row:?} pulls away from class {label}");
        }
        let softmax = (3.0f64).exp() / ((-0.5f64).exp() + 1.0 + 3.0f64.exp());
        let last = (softmax - smoothing / 3.0) / 2.0;
        assert!((f64::from(gradient[5]) - last).abs() < 1e-6, "{}, not {last}", gradient[5]);
    }
}

#[test]
fn classes_count_by_their_weights() {
    let mut targets = smoothed(&[1, 0], 3, 0.3);
    weigh(&mut targets, &[2.0, 0.5, 1.0]);
    let expected = [0.2, 0.4, 0.1, 1.6, 0.05, 0.1];
    for (found, expected) in targets.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{targets:?}");
    }
}

#[test]
fn log_softmax_equals_the_oracles_however_large_the_logits() {
    for scale in [4.0, 1000.0] {
        let logits = Operand::filled("logits", [3, 20], scale);
        let expected = oracle::log_softmax(&logits.var());
        compare("log softmax", 1e-6, &log_softmax(&logits.tensor()), expected.values());
    }
}
