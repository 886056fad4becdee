//! Products of all columns, or of all rows, whichever are fewer.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::vectors::Vectors;

/// At most `most` rows, evenly spread over all of them.
pub(crate) fn evenly(vectors: &Vectors, most: usize) -> Cow<'_, Vectors> {
    match places_evenly(vectors.len(), most) {
        Some(places) => Cow::Owned(vectors.select(&places)),
        None => Cow::Borrowed(vectors),
    }
}

/// The places of `most` of `rows` rows, evenly spread; `None` if there are no more.
pub(crate) fn places_evenly(rows: usize, most: usize) -> Option<Vec<usize>> {
    let place = |index: usize| (index as u128 * rows as u128 / most as u128) as usize;
    (rows > most).then(|| (0..most).map(place).collect())
}

/// The mean row, in double precision.
pub(crate) fn mean(vectors: &Vectors) -> Vec<f64> {
    let mut sums = vec![0.0_f64; vectors.width()];
    for row in vectors.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let rows = vectors.len().max(1) as f64;
    sums.into_iter().map(|sum| sum / rows).collect()
}

/// XᵀX, `[C, C]`, or XXᵀ, `[N, N]`, whichever is smaller, in double precision, and its side; of the rows less their
/// mean where they are `centred`.
pub(crate) fn gram(vectors: &Vectors, centred: bool) -> (Vec<f64>, usize) {
    let (rows, width) = (vectors.len(), vectors.width());
    let mean = if centred { mean(vectors) } else { vec![0.0; width] };
    let value = |row: usize, column: usize| f64::from(vectors.row(row)[column]) - mean[column];
    let n = rows.min(width);
    if n == 0 {
        return (vec![], 0);
    }
    let mut gram = vec![0.0_f64; n * n];
    // A block of what is summed over, 128 KiB or less at a time, as `[block, n]`.
    let over = rows.max(width);
    let block = ((1 << 14) / n.max(1)).clamp(4, 256) / 4 * 4;
    let mut part = vec![0.0_f64; block * n];
    for first in (0..over).step_by(block) {
        part.par_chunks_mut(n).enumerate().for_each(|(k, part)| {
            let k = first + k;
            let at = |i| if rows <= width { value(i, k) } else { value(k, i) };
            part.iter_mut()
                .enumerate()
                .for_each(|(i, out)| *out = if k < over { at(i) } else { 0.0 });
        });
        gram.par_chunks_exact_mut(n).enumerate().for_each(|(i, sums)| {
            let sums = &mut sums[i..];
            for four in part.chunks_exact(4 * n) {
                let (a, rest) = four.split_at(n);
                let (b, rest) = rest.split_at(n);
                let (c, d) = rest.split_at(n);
                let (fa, fb, fc, fd) = (a[i], b[i], c[i], d[i]);
                let columns = a[i..].iter().zip(&b[i..]).zip(&c[i..]).zip(&d[i..]);
                for (sum, (((a, b), c), d)) in sums.iter_mut().zip(columns) {
                    *sum += (fa * a + fb * b) + (fc * c + fd * d);
                }
            }
        });
    }
    for i in 0..n {
        for j in 0..i {
            gram[i * n + j] = gram[j * n + i];
        }
    }
    (gram, n)
}
