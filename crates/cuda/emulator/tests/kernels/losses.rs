//! The losses and their gradients.

use fcmae_cuda_emulator::Argument;
use fcmae_kernels::{cosine, cross_entropy, rows};

use crate::card::*;

/// Σ parts times `factor`, as the card adds them.
fn total(parts: &[f64], factor: f64) -> f32 {
    let out = run("scaled_sum", [1, 1, 1], [1, 1, 1], &vec![f32::NAN], |out, _| {
        let (count, factor) = (Argument::of(parts.len() as i32), Argument::of(factor));
        vec![Argument::read(parts), Argument::write(out), count, factor]
    });
    out[0]
}

#[test]
fn the_mean_squared_difference_is_the_cpus() {
    let count = 5_000;
    for of in TYPES {
        let a = Features::new(of, &random(1, count, 2.0));
        let b = random(2, count, 2.0);
        let expected = rows::mean_squared_difference(&a.values(), &b).unwrap();
        let mut gradient = a.values();
        rows::mean_squared_difference_backward(&mut gradient, &b, 0.5).unwrap();
        let factor = 2.0 * 0.5 / count as f32;
        let start = (vec![f64::NAN; 3], Features::unwritten(of, count));
        let kernel = format!("squared_difference<{}>", of.name());
        let (parts, grad) = run(&kernel, [3, 1, 1], [128, 1, 1], &start, |(parts, grad), _| {
            let parts = Argument::write(parts);
            let numbers = [Argument::of(count as u64), Argument::of(factor)];
            [vec![a.read(), Argument::read(&b), parts, grad.write()], numbers.to_vec()].concat()
        });
        close(&[total(&parts, 1.0 / count as f64)], &[expected], 1e-6, "loss");
        close(&grad.values(), &gradient, of.bound(), "gradient");
    }
}

#[test]
fn the_distance_of_directions_is_the_cpus() {
    for of in TYPES {
        for (rows, width) in [(1, 5), (7, 48), (3, 700)] {
            let a = Features::new(of, &random(1, rows * width, 2.0));
            let mut b = random(2, rows * width, 2.0);
            // A row without a direction.
            b[..width].fill(0.0);
            let expected = cosine::distance(&a.values(), &b, width).unwrap();
            let mut gradient = a.values();
            cosine::distance_backward(&mut gradient, &b, width, 0.5).unwrap();
            let start = (vec![f64::NAN; rows], Features::unwritten(of, rows * width));
            let kernel = format!("cosine_distance<{}>", of.name());
            let grid = [rows as u32, 1, 1];
            let (parts, grad) = run(&kernel, grid, [128, 1, 1], &start, |(parts, grad), _| {
                let numbers = [Argument::of(width as i32), Argument::of(0.5f32 / rows as f32)];
                let spans =
                    vec![a.read(), Argument::read(&b), Argument::write(parts), grad.write()];
                [spans, numbers.to_vec()].concat()
            });
            close(&[total(&parts, 1.0 / rows as f64)], &[expected], 1e-6, "loss");
            close(&grad.values(), &gradient, of.bound().max(2e-6), "gradient");
        }
    }
}

/// Loss and gradient on the card.
fn entropy(of: Type, logits: &[f32], targets: &[f32], classes: usize) -> (f32, Vec<f32>) {
    let rows = logits.len() / classes;
    let logits = Features::new(of, logits);
    let start = (vec![f64::NAN; rows], Features::unwritten(of, rows * classes));
    let kernel = format!("cross_entropy<{}>", of.name());
    let grid = [blocks(rows, 4), 1, 1];
    let (parts, grad) = run(&kernel, grid, [128, 1, 1], &start, |(parts, grad), _| {
        let sizes = [rows, classes].map(|size| Argument::of(size as i32));
        let factor = Argument::of(0.5f32 / rows as f32);
        let written = vec![Argument::write(parts), grad.write()];
        let read = vec![logits.read(), Argument::read(targets)];
        [read, written, sizes.to_vec(), vec![factor]].concat()
    });
    (total(&parts, 1.0), grad.values())
}

#[test]
fn cross_entropy_is_the_cpus() {
    for of in TYPES {
        for (rows, classes) in [(1, 2), (7, 10), (3, 1000)] {
            let logits = Features::new(of, &random(1, rows * classes, 30.0)).values();
            let targets =
                random(2, rows * classes, 0.5).iter().map(|t| t + 0.5).collect::<Vec<_>>();
            let mut gradient = vec![0.0; logits.len()];
            let grad = Some(&mut gradient[..]);
            let expected =
                cross_entropy::cross_entropy(&logits, &targets, classes, 0.5, grad).unwrap();
            let (loss, grad) = entropy(of, &logits, &targets, classes);
            close(&[loss], &[expected], 1e-5, "loss");
            close(&grad, &gradient, of.bound().max(2e-5), "gradient");
        }
    }
}

#[test]
fn a_logit_that_is_no_number_makes_its_row_none() {
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut logits = random(1, 3 * 40, 3.0);
        logits[40 + 7] = broken;
        let (loss, grad) = entropy(Type::F32, &logits, &[0.025; 120], 40);
        assert!(loss.is_nan(), "{broken}");
        for (row, grad) in grad.chunks(40).enumerate() {
            assert!(grad.iter().all(|value| value.is_nan() == (row == 1)), "{broken} {row}");
        }
    }
}
