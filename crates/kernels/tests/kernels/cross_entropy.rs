use fcmae_kernels::cross_entropy::{cross_entropy, log_softmax};

use crate::compare::*;
use crate::reference;

#[test]
fn log_softmax_equals_the_reference() {
    let rng = &mut generator(111);
    for (rows, classes) in [(1, 1), (4, 3), (7, 1000), (3, 40_000)] {
        let logits = random(rng, rows * classes, 8.0);
        let mut out = vec![f32::NAN; logits.len()];
        log_softmax(&logits, classes, &mut out).unwrap();
        let expected = reference::log_softmax(&double(&logits), classes);
        assert_close(&out, &expected, 1e-7, &format!("[{rows}, {classes}]"));
    }
}

#[test]
fn loss_and_gradient_equal_the_reference_and_finite_differences() {
    let rng = &mut generator(112);
    for (rows, classes, factor) in [(1, 1, 1.0), (4, 3, 1.0), (5, 10, 0.25), (2, 30, 8.0)] {
        let what = format!("[{rows}, {classes}]");
        let logits = random(rng, rows * classes, 4.0);
        // Weights of any sum, some of them zero.
        let targets: Vec<f32> =
            random(rng, rows * classes, 1.0).into_iter().map(|t| t.max(0.0)).collect();
        let loss = |logits: &[f64]| {
            let softmax = reference::log_softmax(logits, classes);
            -f64::from(factor) * dot(&double(&targets), &softmax) / rows as f64
        };
        let expected = loss(&double(&logits));
        let mut grad = vec![f32::NAN; logits.len()];
        let found = cross_entropy(&logits, &targets, classes, factor, Some(&mut grad)).unwrap();
        assert!((f64::from(found) - expected).abs() <= 1e-7 * expected, "{what}: {found}");
        let alone = cross_entropy(&logits, &targets, classes, factor, None).unwrap();
        assert_eq!(alone.to_bits(), found.to_bits(), "with and without gradient");
        if classes == 1 {
            assert_eq!((found, &grad[..]), (0.0, &[0.0][..]), "one class is certain");
        } else {
            let expected = finite_differences(&double(&logits), loss);
            assert_close(&grad, &expected, 1e-7, &what);
        }
    }
}

#[test]
fn many_rows_are_one_mean() {
    // More than one task: the loss of the same row over and over is that row's.
    let (row, targets) = ([0.5, -1.0, 2.0, 0.0], [0.1, 0.0, 0.6, 0.3]);
    let mut one = [f32::NAN; 4];
    let loss = cross_entropy(&row, &targets, 4, 1.0, Some(&mut one)).unwrap();
    const ROWS: usize = 1 << 15;
    let mut many = vec![f32::NAN; 4 * ROWS];
    let (rows, repeated) = (row.repeat(ROWS), targets.repeat(ROWS));
    let found = cross_entropy(&rows, &repeated, 4, ROWS as f32, Some(&mut many)).unwrap();
    assert!((found / (ROWS as f32 * loss) - 1.0).abs() < 1e-6, "{found}, not {ROWS} times {loss}");
    assert!(many.chunks(4).all(|grad| grad == one), "the factor undoes the mean");
}

#[test]
fn large_logits_do_not_overflow() {
    let logits = [1000.0, -1000.0, f32::MAX, f32::MIN, -3e38, -3e38];
    let mut out = [f32::NAN; 6];
    log_softmax(&logits, 2, &mut out).unwrap();
    assert_eq!(out[..3], [0.0, -2000.0, 0.0]);
    assert_eq!(out[3], f32::NEG_INFINITY, "twice the smallest number");
    assert!((out[4] + 2f32.ln()).abs() < 1e-7 && out[4] == out[5], "{out:?}");
    let mut grad = [f32::NAN; 2];
    let loss = cross_entropy(&logits[..2], &[0.25, 0.75], 2, 1.0, Some(&mut grad)).unwrap();
    assert_eq!((loss, grad), (1500.0, [0.75, -0.75]));
}

#[test]
fn a_logit_that_is_no_number_shows_in_the_loss() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for targets in [[0.0, 1.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]] {
            let mut grad = [0.0; 4];
            let logits = [1.0, 2.0, bad, 0.5];
            let loss = cross_entropy(&logits, &targets, 2, 1.0, Some(&mut grad)).unwrap();
            assert!(loss.is_nan(), "{bad}: {loss}");
            assert!(grad[..2].iter().all(|g| g.is_finite()), "{bad}: {grad:?}");
            assert!(grad[2..].iter().all(|g| g.is_nan()), "{bad}: {grad:?}");
        }
    }
    let mut out = [0.0; 10];
    let inf = f32::INFINITY;
    log_softmax(&[1.0, f32::NAN, inf, 0.0, inf, inf, -inf, -inf, 0.0, -inf], 2, &mut out).unwrap();
    assert!(out[..8].iter().all(|v| v.is_nan()), "{out:?}");
    assert_eq!(out[8..], [0.0, -inf], "a class that is impossible");
}

#[test]
fn refuses_wrong_lengths() {
    let mut out = [7.0; 6];
    for (values, classes) in [(5, 3), (0, 3), (6, 0), (3, 3)] {
        assert!(log_softmax(&vec![0.0; values], classes, &mut out).is_err());
    }
    for (logits, targets, classes, argument) in [
        (5, 5, 3, "logits"),
        (0, 0, 3, "logits"),
        (6, 6, 0, "logits"),
        (6, 5, 3, "targets"),
        (3, 3, 3, "grad"),
    ] {
        let (logits, targets) = (vec![0.0; logits], vec![0.0; targets]);
        let error =
            cross_entropy(&logits, &targets, classes, 1.0, Some(&mut out)).unwrap_err().to_string();
        assert!(error.contains(&format!("`{argument}`")), "{error}");
    }
    assert_eq!(out, [7.0; 6]);
}
