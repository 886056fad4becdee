//! The norm of the gradients and the update.

use fcmae_cuda_emulator::Argument;
use fcmae_kernels::adamw::{self, AdamW, State};

use crate::card::*;

/// What `verdict` writes: squares, norm, scale, skip.
fn verdict(grad: &[f32], losses: &[f32], clip: f32, before: Option<&[u64; 3]>) -> [u64; 3] {
    let parts = run("sum_of_squares", [3, 1, 1], [64, 1, 1], &vec![f64::NAN; 3], |parts, _| {
        let values = Argument::of(grad.len() as u64);
        vec![Argument::read(grad), Argument::write(parts), values]
    });
    let start = before.copied().unwrap_or([0; 3]);
    run("verdict", [1, 1, 1], [1, 1, 1], &start, |out, _| {
        let read = vec![Argument::read(&parts), Argument::read(losses)];
        let counts = [3, losses.len() as i32].map(Argument::of);
        let hold = Argument::of(i32::from(before.is_some()));
        let written = vec![Argument::write(out)];
        [read, written, counts.to_vec(), vec![Argument::of(clip), hold]].concat()
    })
}

fn scale(verdict: &[u64; 3]) -> f32 {
    f32::from_bits((verdict[1] >> 32) as u32)
}

fn skipped(verdict: &[u64; 3]) -> bool {
    verdict[2] as u32 == 1
}

#[test]
fn the_norm_is_that_of_all_gradients() {
    let grad = random(1, 1_000, 1.0);
    let norm = grad.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    let free = verdict(&grad, &[1.0], 0.0, None);
    assert_eq!((scale(&free), skipped(&free)), (1.0, false));
    close(&[f32::from_bits(free[1] as u32)], &[norm as f32], 1e-6, "norm");
    let clipped = verdict(&grad, &[1.0, 2.0], 3.0, None);
    close(&[scale(&clipped)], &[3.0 / norm as f32], 1e-6, "scale");
    assert_eq!(scale(&verdict(&grad, &[1.0], 1e6, None)), 1.0);
}

#[test]
fn what_is_no_number_skips_until_the_host_has_looked() {
    let grad = random(1, 100, 1.0);
    let mut broken = grad.clone();
    broken[70] = f32::INFINITY;
    assert!(skipped(&verdict(&broken, &[1.0], 0.0, None)));
    assert!(skipped(&verdict(&grad, &[1.0, f32::NAN], 0.0, None)));
    let skip = verdict(&grad, &[f32::INFINITY], 0.0, None);
    assert!(skipped(&skip));
    assert!(skipped(&verdict(&grad, &[1.0], 0.0, Some(&skip))));
    assert!(!skipped(&verdict(&grad, &[1.0], 0.0, None)));
    let sound = verdict(&grad, &[1.0], 0.0, None);
    assert!(!skipped(&verdict(&grad, &[1.0], 0.0, Some(&sound))));
}

/// Parameter, moments and average.
type Arenas = [Vec<f32>; 4];

fn settings() -> AdamW {
    AdamW {
        lr: 1.5e-3,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.05,
        step: 3,
        grad_scale: 1.0,
        average_decay: 0.99,
    }
}

fn update(arenas: &Arenas, grad: &[f32], verdict: &[u64; 3]) -> Arenas {
    let AdamW { lr, beta1, beta2, eps, weight_decay, step, average_decay, .. } = settings();
    let correction = |beta: f64| 1.0 - beta.powf(step as f64);
    // The second group's rate is half of the first's.
    let factors = [lr, lr / 2.0]
        // Nobody stays still.
        .map(|lr| [(1.0 - lr * weight_decay) as f32, (lr / correction(beta1)) as f32, 0.0])
        .concat();
    let root = 1.0 / correction(beta2).sqrt();
    let decays =
        [beta1, 1.0 - beta1, beta2, 1.0 - beta2, root, eps, average_decay, 1.0 - average_decay]
            .map(|value| value as f32);
    let groups: Vec<u16> =
        (0..grad.len().div_ceil(16)).map(|group| u16::from(group >= 2)).collect();
    run("adamw", [blocks(grad.len(), 32), 1, 1], [32, 1, 1], arenas, |arenas, _| {
        let written = arenas.each_mut().map(|arena| Argument::write(arena));
        let read = vec![
            Argument::read(grad),
            Argument::read(&groups),
            Argument::read(&factors),
            Argument::read(&decays),
            Argument::read(verdict),
            Argument::of(grad.len() as u64),
        ];
        [written.to_vec(), read].concat()
    })
}

#[test]
fn the_update_is_the_cpus() {
    let count = 100;
    let grad = random(1, count, 2.0);
    let mut expected: Arenas =
        [2, 3, 4, 5].map(|seed| random(seed, count, 1.0).iter().map(|v| v.abs()).collect());
    let before = expected.clone();
    let verdict = verdict(&grad, &[1.0], 1.0, None);
    let found = update(&before, &grad, &verdict);
    for (range, lr) in [(0..32, settings().lr), (32..count, settings().lr / 2.0)] {
        let [param, first, second, average] =
            expected.each_mut().map(|arena| &mut arena[range.clone()]);
        let settings = AdamW { lr, grad_scale: scale(&verdict).into(), ..settings() };
        let state = State { param, first, second, average: Some(average) };
        adamw::adamw(state, &grad[range.clone()], &settings).unwrap();
    }
    for (found, expected) in found.iter().zip(&expected) {
        close(found, expected, 1e-6, "arena");
    }
    assert_ne!(found[0], before[0]);
}

#[test]
fn nothing_changes_by_a_bit_where_an_update_is_skipped() {
    let grad = random(1, 100, 2.0);
    let before: Arenas = [2, 3, 4, 5].map(|seed| random(seed, 100, 1.0));
    let skip = verdict(&grad, &[f32::NAN], 0.0, None);
    assert_eq!(update(&before, &grad, &skip), before);
}

#[test]
fn gradients_are_added() {
    let (sum, more) = (random(1, 70, 1.0), random(2, 70, 1.0));
    let out = run("accumulate", [3, 1, 1], [32, 1, 1], &sum, |sum, _| {
        vec![Argument::write(sum), Argument::read(&more), Argument::of(70u64)]
    });
    for ((out, sum), more) in out.iter().zip(&sum).zip(&more) {
        assert_eq!(*out, sum + more);
    }
}
