//! The greedy k-centre: rows each of which is the farthest from those before it.

use rayon::prelude::*;

use crate::vectors::Vectors;

/// Takes up to `count` of the rows whose squared distance `nearest`, to what is there already, is more than `least`:
/// the one that is farthest, by and by, of equal ones the first. Each with its squared distance then. `nearest` is
/// brought up to date. Each takes one pass over all rows.
pub(crate) fn farthest(
    vectors: &Vectors,
    nearest: &mut [f32],
    count: usize,
    least: f32,
) -> Vec<(usize, f32)> {
    let mut chosen = Vec::with_capacity(count.min(vectors.len()));
    while chosen.len() < count {
        let best = (0..nearest.len()).reduce(|a, b| if nearest[b] > nearest[a] { b } else { a });
        let Some(row) = best.filter(|&row| nearest[row] > least) else { break };
        chosen.push((row, nearest[row]));
        take(vectors, nearest, row);
    }
    chosen
}

/// Brings distances up to date with one more row that is there.
pub(crate) fn take(vectors: &Vectors, nearest: &mut [f32], row: usize) {
    let centre = vectors.row(row);
    let rows = vectors.values().par_chunks_exact(vectors.width());
    rows.zip(&mut *nearest).with_min_len(64).for_each(|(values, nearest)| {
        *nearest = nearest.min(squared_distance(values, centre));
    });
    nearest[row] = 0.0;
}

/// |a − b|², with sixteen sums, so that it is not bound to wait for one.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..16 {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}
