//! Targets, the reconstruction loss and cross entropy.

use burn::tensor::{Device, Tensor, TensorData};
use fcmae::loss::{cross_entropy, patch_statistics, patchify, reconstruction, targets};
use fcmae::mask::Mask;
use fcmae::parameters::host;

use crate::fill;

fn matrix<const R: usize, const C: usize>(rows: [[f32; C]; R]) -> Tensor<2> {
    let data = TensorData::new(rows.concat(), [R, C]);
    Tensor::from_data(data, &Device::flex())
}

#[test]
fn patches_hold_rows_then_columns_then_channels() {
    let values: Vec<f32> = (0..2 * 4 * 6 * 3).map(|v| v as f32).collect();
    let images = Tensor::<4>::from_data(TensorData::new(values, [2, 4, 6, 3]), &Device::flex());
    let patches = patchify(images, 2);
    assert_eq!(patches.dims(), [12, 12]);
    let found = host(patches);
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
    assert_eq!(
        host(targets(patches.clone(), &mask, false)),
        [1.0, 2.0, 3.0, 6.0, -1.0, 1.0, -1.0, 1.0]
    );
    let found = host(targets(patches, &mask, true));
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
    let (mean, std) = patch_statistics(matrix([[5.0; 48]]));
    assert_eq!(host(mean), [5.0]);
    assert!((host(std)[0] - 1e-3).abs() < 1e-6);
    let mask = Mask::new([1, 2], 1, vec![0]).unwrap();
    let constant = targets(matrix([[5.0; 48], [0.25; 48]]), &mask, true);
    let loss = host(reconstruction(constant.zeros_like(), constant))[0];
    assert_eq!(loss, 0.0);
    // A patch of one grey pixel has no variance to speak of.
    let single = targets(matrix([[5.0], [7.0]]), &mask, true);
    assert_eq!(host(single), [0.0]);
}

#[test]
fn a_zero_prediction_scores_about_one() {
    let images = fill::images([3, 64, 96, 3], &Device::flex());
    let mask = Mask::random([4, 6], 0.6, 0, 0, &[0, 1, 2]).unwrap();
    let targets = targets(patchify(images, 16), &mask, true);
    let values = targets.dims()[1] as f32;
    let loss = host(reconstruction(targets.zeros_like(), targets))[0];
    // The biased variance over the unbiased one.
    assert!((loss - (values - 1.0) / values).abs() < 1e-4, "{loss}");
}

#[test]
fn reconstruction_is_the_mean_over_values_and_masked_patches() {
    let loss = reconstruction(matrix([[1.0, 2.0], [0.0, 0.0]]), matrix([[0.0, 0.0], [3.0, 0.0]]));
    assert_eq!(host(loss), [(1.0 + 4.0 + 9.0) / 4.0]);
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
        let leaf = matrix(rows).autodiff().require_grad();
        let loss = cross_entropy(leaf.clone(), &labels, smoothing);
        let grads = loss.backward();
        let found = f64::from(host(loss)[0]);
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");

        // ∂/∂logits = (softmax − target) / N, which sums to nothing over classes.
        let gradient = host(leaf.grad(&grads).unwrap());
        for (row, label) in gradient.chunks_exact(3).zip(labels) {
            assert!(row.iter().sum::<f32>().abs() < 1e-6, "{row:?}");
            assert!(row[label as usize] < 0.0, "{row:?} pulls away from class {label}");
        }
        let softmax = (3.0f64).exp() / ((-0.5f64).exp() + 1.0 + 3.0f64.exp());
        let last = (softmax - smoothing / 3.0) / 2.0;
        assert!((f64::from(gradient[5]) - last).abs() < 1e-6, "{}, not {last}", gradient[5]);
    }
}
