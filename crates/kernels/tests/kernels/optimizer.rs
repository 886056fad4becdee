use fcmae_kernels::adamw::{AdamW, adamw, ema, sum_of_squares};

use crate::compare::*;

#[test]
fn adamw_equals_pytorch() {
    // torch.optim.AdamW([p], lr=0.1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.05), three steps
    // with the gradients below, in float64.
    let gradients = [[0.5, -1.0, 0.0], [0.25, 2.0, 1e-3], [-1.0, 0.125, 0.0]];
    let expected = [
        [0.895000002, -1.890000001, 2.985],
        [0.7965956975553959, -1.916887395814663, 2.896580026071095],
        [0.8129547209157615, -1.9392943906822209, 2.8245509171587186],
    ];
    let mut param = [1.0f32, -2.0, 3.0];
    let (mut first, mut second) = ([0.0; 3], [0.0; 3]);
    let settings =
        AdamW { lr: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.05, step: 0 };
    for (step, (grad, expected)) in (1..).zip(gradients.iter().zip(expected)) {
        let settings = AdamW { step, ..settings };
        adamw(&mut param, grad, &mut first, &mut second, &settings).unwrap();
        assert_close(&param, &expected, 1e-6, &format!("step {step}"));
    }
    let error = adamw(&mut param, &[0.0; 3], &mut first, &mut second, &settings);
    assert!(error.is_err(), "steps count from 1");
    let settings = AdamW { step: 1, ..settings };
    assert!(adamw(&mut param, &[0.0; 2], &mut first, &mut second, &settings).is_err());
}

#[test]
fn sums_of_squares_are_double_precision() {
    let rng = &mut generator(41);
    let x = random(rng, 100_003, 1.0);
    let expected: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
    assert!((sum_of_squares(&x) / expected - 1.0).abs() < 1e-12);
    assert!((sum_of_squares(&[3e30, 4e30]).sqrt() / 5e30 - 1.0).abs() < 1e-7);
    assert_eq!(sum_of_squares(&[]), 0.0);
    assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
}

#[test]
fn ema_moves_by_one_minus_decay() {
    let mut average = [0.0, 8.0];
    ema(&mut average, &[4.0, 0.0], 0.75).unwrap();
    assert_eq!(average, [1.0, 6.0]);
    assert!(ema(&mut average, &[1.0], 0.75).is_err());
}
