use fcmae_kernels::adamw::{AdamW, State, accumulate, adamw, average, sum_of_squares};
use fcmae_kernels::simd::{levels, with_level};

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
    for &level in levels() {
        let mut param = [1.0f32, -2.0, 3.0];
        let (mut first, mut second) = ([0.0; 3], [0.0; 3]);
        for (step, (grad, expected)) in (1..).zip(gradients.iter().zip(expected)) {
            let state =
                State { param: &mut param, first: &mut first, second: &mut second, average: None };
            with_level(level, || adamw(state, grad, &AdamW { step, ..SETTINGS })).unwrap();
            assert_close(&param, &expected, 1e-6, &format!("step {step}"));
        }
    }
}

const SETTINGS: AdamW = AdamW {
    lr: 0.1,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    weight_decay: 0.05,
    step: 1,
    grad_scale: 1.0,
    average_decay: 0.0,
};

#[test]
fn wrong_arguments_touch_nothing() {
    let mut values = [[1.0f32; 3]; 3];
    let mut update = |grad: &[f32], step| {
        let [param, first, second] = &mut values;
        let state = State { param, first, second, average: None };
        adamw(state, grad, &AdamW { step, ..SETTINGS }).unwrap_err().to_string()
    };
    assert!(update(&[0.0; 3], 0).contains("step"), "steps count from 1");
    assert!(update(&[0.0; 2], 1).contains("grad"));
    assert_eq!(values, [[1.0; 3]; 3]);
}

#[test]
fn gradients_are_scaled_and_the_average_follows_the_parameter() {
    let rng = &mut generator(42);
    let [grad, start, average] = [0; 3].map(|_| random(rng, 70_001, 1.0));
    let halves: Vec<f32> = grad.iter().map(|g| 0.5 * g).collect();
    let run = |grad: &[f32], grad_scale, averaging: bool| {
        let (mut param, mut first, mut second) =
            (start.clone(), vec![0.0; grad.len()], vec![0.0; grad.len()]);
        let mut average = average.clone();
        let settings = AdamW { grad_scale, average_decay: 0.75, ..SETTINGS };
        for step in 1..3 {
            let state = State {
                param: &mut param,
                first: &mut first,
                second: &mut second,
                average: averaging.then_some(&mut average),
            };
            adamw(state, grad, &AdamW { step, ..settings }).unwrap();
        }
        [param, first, second, average]
    };
    let [scaled, expected] = [run(&grad, 0.5, true), run(&halves, 1.0, false)];
    assert!(scaled[..3] == expected[..3], "half the gradient is the same as half of each");
    let once = {
        let (mut param, mut first, mut second) =
            (start.clone(), vec![0.0; grad.len()], vec![0.0; grad.len()]);
        let state =
            State { param: &mut param, first: &mut first, second: &mut second, average: None };
        adamw(state, &halves, &SETTINGS).unwrap();
        param
    };
    let expected: Vec<f64> = (0..grad.len())
        .map(|i| {
            let after_one = 0.75 * f64::from(average[i]) + 0.25 * f64::from(once[i]);
            0.75 * after_one + 0.25 * f64::from(scaled[0][i])
        })
        .collect();
    assert_close(&scaled[3], &expected, 1e-6, "average");
}

#[test]
fn the_average_alone_has_the_bits_of_the_update() {
    let rng = &mut generator(43);
    for len in [0, 1, 70_001] {
        let [grad, start, before] = [0; 3].map(|_| random(rng, len, 1.0));
        for &level in levels() {
            let mut param = start.clone();
            let (mut first, mut second) = (vec![0.0; len], vec![0.0; len]);
            let mut expected = before.clone();
            let state = State {
                param: &mut param,
                first: &mut first,
                second: &mut second,
                average: Some(&mut expected),
            };
            let settings = AdamW { average_decay: 0.9999, ..SETTINGS };
            with_level(level, || adamw(state, &grad, &settings)).unwrap();
            let mut found = before.clone();
            with_level(level, || average(&mut found, &param, 0.9999)).unwrap();
            assert!(found == expected, "{len} values ({level:?})");
            let double: Vec<f64> = before
                .iter()
                .zip(&param)
                .map(|(a, p)| 0.9999 * f64::from(*a) + (1.0 - 0.9999) * f64::from(*p))
                .collect();
            assert_close(&found, &double, 1e-6, "average");
        }
    }
    let mut values = [1.0; 3];
    assert!(average(&mut values, &[0.0; 2], 0.5).unwrap_err().to_string().contains("param"));
    assert_eq!(values, [1.0; 3]);
}

#[test]
fn gradients_are_accumulated() {
    let rng = &mut generator(44);
    for len in [0, 5, 70_001] {
        let (mut sum, more) = (random(rng, len, 1.0), random(rng, len, 1.0));
        let expected: Vec<f32> = sum.iter().zip(&more).map(|(sum, more)| sum + more).collect();
        accumulate(&mut sum, &more).unwrap();
        assert_eq!(sum, expected);
    }
    let mut values = [1.0; 3];
    assert!(accumulate(&mut values, &[0.0; 4]).unwrap_err().to_string().contains("more"));
    assert_eq!(values, [1.0; 3]);
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
