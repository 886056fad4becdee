//! Clusters of rows: k-means (Lloyd's iteration from k-means++'s beginning).

use rayon::prelude::*;

use crate::error::VectorError;
use crate::farthest::take;
use crate::random::Random;
use crate::tiles::{Measure, best};
use crate::vectors::Vectors;

/// Passes over all rows, at most: afterwards few rows change their cluster.
const PASSES: usize = 20;

/// Rows in clusters.
pub(crate) struct Clusters {
    /// The cluster of each row, `[N]`.
    pub(crate) of: Vec<u32>,
    /// Their means, `[K, C]`.
    pub(crate) centres: Vectors,
}

impl Clusters {
    /// At most `k` of them, fewer where fewer rows differ. A cluster may be empty.
    ///
    /// It takes N · C · `k` operations a pass, and as many for the beginning. Memory: the centres twice, and 12 bytes a
    /// row.
    ///
    /// # Errors
    /// No rows, a `k` of 0.
    pub(crate) fn new(vectors: &Vectors, k: usize, seed: u64) -> Result<Self, VectorError> {
        let mut centres = vectors.select(&begin(vectors, k, seed));
        let mut of: Vec<u32> = Vec::new();
        for _ in 0..PASSES {
            let nearest = best(&centres, vectors, Measure::Euclidean, 1, false)?.places;
            if nearest == of {
                break;
            }
            of = nearest;
            centres = means(vectors, &of, centres)?;
        }
        Ok(Self { of, centres })
    }
}

/// Rows to begin with: each drawn as often as its squared distance to the nearest of those before it (Arthur and
/// Vassilvitskii, 2007).
fn begin(vectors: &Vectors, k: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    let mut rows = Vec::with_capacity(k.min(vectors.len()));
    let mut nearest = vec![f32::INFINITY; vectors.len()];
    while rows.len() < k && !vectors.is_empty() {
        let row = if rows.is_empty() {
            random.below(vectors.len())
        } else {
            let all: f64 = nearest.iter().map(|&distance| f64::from(distance)).sum();
            let mut left = (random.signed() + 1.0) / 2.0 * all;
            let beyond = nearest.iter().position(|&distance| {
                left -= f64::from(distance);
                left < 0.0
            });
            // Rounding may leave a little; where nothing is left, all rows are taken.
            match beyond.or_else(|| nearest.iter().rposition(|&distance| distance > 0.0)) {
                Some(row) => row,
                None => break,
            }
        };
        rows.push(row);
        take(vectors, &mut nearest, row);
    }
    rows
}

/// The mean of each cluster's rows; of one without rows the centre that it had.
fn means(vectors: &Vectors, of: &[u32], before: Vectors) -> Result<Vectors, VectorError> {
    let width = vectors.width();
    let mut members = vec![Vec::new(); before.len()];
    for (row, &cluster) in of.iter().enumerate() {
        members[cluster as usize].push(row);
    }
    let mean = |(cluster, rows): (usize, &Vec<usize>)| {
        if rows.is_empty() {
            return before.row(cluster).to_vec();
        }
        let mut sums = vec![0.0_f64; width];
        for &row in rows {
            sums.iter_mut().zip(vectors.row(row)).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        sums.into_iter().map(|sum| (sum / rows.len() as f64) as f32).collect()
    };
    let means: Vec<Vec<f32>> = members.par_iter().enumerate().map(mean).collect();
    Vectors::new(means.concat(), width)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::clouds;

    #[test]
    fn clouds_are_found() {
        let (vectors, classes) = clouds("clusters", 300, 20, 6, 0.2);
        let found = Clusters::new(&vectors, 6, 3).unwrap();
        for (row, class) in classes.iter().enumerate() {
            // Row k is of class k.
            assert_eq!(found.of[row], found.of[*class], "row {row}");
        }
        // Each centre is the mean of its rows.
        let rows: Vec<&[f32]> =
            (0..300).filter(|row| row % 6 == 2).map(|row| vectors.row(row)).collect();
        let centre = found.centres.row(found.of[2] as usize);
        for (column, value) in centre.iter().enumerate() {
            let mean = rows.iter().map(|row| f64::from(row[column])).sum::<f64>() / 50.0;
            assert!((f64::from(*value) - mean).abs() < 1e-6);
        }
    }

    #[test]
    fn there_are_no_more_than_rows_that_differ() {
        let vectors = Vectors::new([1.0, 0.0, 0.0, 1.0].repeat(5), 2).unwrap();
        let found = Clusters::new(&vectors, 7, 0).unwrap();
        assert_eq!(found.centres.len(), 2);
        assert_ne!(found.of[0], found.of[1]);
        assert!(Clusters::new(&vectors, 0, 0).is_err());
        assert!(Clusters::new(&Vectors::new(vec![], 2).unwrap(), 3, 0).is_err());
    }
}
