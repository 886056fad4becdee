//! Nearest neighbours, pairs that are nearly equal, and groups of them; exact, by cosine.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::error::VectorError;
use crate::tiles::{Measure, best, products};
use crate::vectors::Vectors;

/// The nearest rows of each query.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    places: Vec<u32>,
    cosines: Vec<f32>,
    k: usize,
}

impl Neighbours {
    /// Number of queries.
    pub fn len(&self) -> usize {
        self.places.len() / self.k
    }

    /// Whether there is no query.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Neighbours of each query.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The rows that are nearest to a query, the nearest first, `[k]`.
    ///
    /// # Panics
    /// If there is no such query.
    pub fn places(&self, query: usize) -> &[u32] {
        &self.places[query * self.k..][..self.k]
    }

    /// Their cosines, descending, `[k]`.
    ///
    /// # Panics
    /// If there is no such query.
    pub fn cosines(&self, query: usize) -> &[f32] {
        &self.cosines[query * self.k..][..self.k]
    }
}

/// The `k` rows of `database` with the highest cosine to each query; of equal ones those that come first.
///
/// Exact: all `queries` · `database` cosines are computed. Memory: 8 bytes · queries · k, 4 bytes a row, and some
/// tiles of 1,024 rows.
///
/// # Errors
/// Rows of another width or of zeros, a `k` of 0 or of more than the database's rows.
pub fn nearest(database: &Vectors, queries: &Vectors, k: usize) -> Result<Neighbours, VectorError> {
    found(database, queries, k, false)
}

/// The `k` other rows with the highest cosine to each row. As [`nearest`], of the vectors among themselves, but no row
/// is its own neighbour.
///
/// # Errors
/// A row of zeros, a `k` of 0 or of more than the other rows.
pub fn nearest_others(vectors: &Vectors, k: usize) -> Result<Neighbours, VectorError> {
    found(vectors, vectors, k, true)
}

fn found(
    database: &Vectors,
    queries: &Vectors,
    k: usize,
    others: bool,
) -> Result<Neighbours, VectorError> {
    let best = best(database, queries, Measure::Cosine, k, others)?;
    let mut cosines = best.scores;
    cosines.iter_mut().for_each(|cosine| *cosine = cosine.clamp(-1.0, 1.0));
    Ok(Neighbours { places: best.places, cosines, k })
}

/// Two rows that are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The row that comes first, or the query.
    pub left: u32,
    /// The row that comes later, or the row of the database.
    pub right: u32,
    /// Their cosine.
    pub cosine: f32,
}

/// The mean cosine of all pairs of rows; of fewer than two rows 1. Where it is near 1, rows hardly differ, and who is
/// near to whom says little.
///
/// # Errors
/// A row of zeros.
pub fn mean_cosine(vectors: &Vectors) -> Result<f64, VectorError> {
    let rows = vectors.len() as f64;
    if vectors.len() < 2 {
        return Ok(1.0);
    }
    let mut sum = vec![0.0_f64; vectors.width()];
    for (row, values) in vectors.rows().enumerate() {
        let square: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
        if square == 0.0 {
            return Err(VectorError::Zero { row });
        }
        let scale = 1.0 / square.sqrt();
        sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value) * scale);
    }
    // |Σ u|² = N + Σ over pairs, each twice.
    let square: f64 = sum.iter().map(|value| value * value).sum();
    Ok((square - rows) / (rows * (rows - 1.0)))
}

/// Pairs that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    /// The most alike first; of equal ones, those whose rows come first.
    pub pairs: Vec<Pair>,
    /// Whether there were more than the limit, of which only the most alike are here.
    pub truncated: bool,
}

/// All pairs of rows whose cosine is `threshold` or more, each once, at most `limit`: beyond it the most alike.
///
/// Memory: 36 bytes · limit, 12 MiB, 4 bytes a row, and some tiles of 1,024 rows.
///
/// # Errors
/// A row of zeros, a threshold that is not a number, a limit of 0.
pub fn pairs_above(vectors: &Vectors, threshold: f32, limit: usize) -> Result<Pairs, VectorError> {
    pairs(vectors, vectors, threshold, limit, true)
}

/// All pairs of a query and a row of `database` whose cosine is `threshold` or more. As [`pairs_above`].
///
/// # Errors
/// As [`pairs_above`], and rows of another width.
pub fn pairs_between(
    queries: &Vectors,
    database: &Vectors,
    threshold: f32,
    limit: usize,
) -> Result<Pairs, VectorError> {
    pairs(database, queries, threshold, limit, false)
}

fn pairs(
    database: &Vectors,
    queries: &Vectors,
    threshold: f32,
    limit: usize,
    once: bool,
) -> Result<Pairs, VectorError> {
    if threshold.is_nan() {
        return Err(VectorError::setting(
            "the least cosine",
            threshold,
            "give a number from -1 to 1",
        ));
    }
    if limit == 0 {
        return Err(VectorError::setting("the limit of pairs", limit, "give 1 or more"));
    }
    let mut pairs: Vec<Pair> = vec![];
    let (mut least, mut truncated) = (threshold, false);
    products(database, queries, Measure::Cosine, once, |tile| {
        let parts: Vec<Vec<Pair>> = tile
            .scores
            .par_chunks(tile.rows)
            .enumerate()
            .map(|(query, scores)| {
                let left = tile.query + query;
                // Only the rows after it, where each pair counts once.
                let first =
                    if once { (left + 1).saturating_sub(tile.row).min(tile.rows) } else { 0 };
                above(&scores[first..], least, left, tile.row + first)
            })
            .collect();
        parts.into_iter().for_each(|part| pairs.extend(part));
        if pairs.len() > limit.saturating_mul(2) {
            most_alike(&mut pairs, limit);
            truncated = true;
            least = least.max(pairs[limit - 1].cosine);
        }
    })?;
    truncated |= pairs.len() > limit;
    most_alike(&mut pairs, limit);
    Ok(Pairs { pairs, truncated })
}

/// The pairs of row `left` with the rows from `first` on whose score is `least` or more.
fn above(scores: &[f32], least: f32, left: usize, first: usize) -> Vec<Pair> {
    let mut pairs = vec![];
    for (block, values) in scores.chunks(16).enumerate() {
        // Rounding may leave the cosine of equal rows a little below or above 1.
        if values.iter().fold(false, |any, &value| any | (value.clamp(-1.0, 1.0) >= least)) {
            for (lane, value) in values.iter().enumerate() {
                let cosine = value.clamp(-1.0, 1.0);
                if cosine >= least {
                    let right = (first + block * 16 + lane) as u32;
                    pairs.push(Pair { left: left as u32, right, cosine });
                }
            }
        }
    }
    pairs
}

/// Sorts pairs, the most alike first, and leaves at most `limit`.
fn most_alike(pairs: &mut Vec<Pair>, limit: usize) {
    pairs.sort_unstable_by(|a, b| {
        b.cosine.total_cmp(&a.cosine).then((a.left, a.right).cmp(&(b.left, b.right)))
    });
    pairs.truncate(limit);
}

/// Rows that differ, and which of them each row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distinct {
    /// The first row of each value, ascending.
    pub first: Vec<usize>,
    /// The place in `first` of each row's value, `[N]`.
    pub of: Vec<usize>,
}

/// Tells rows apart that are not equal to the bit. Memory: a copy of the vectors for a moment.
pub fn distinct(vectors: &Vectors) -> Distinct {
    let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
    let mut distinct = Distinct { first: vec![], of: Vec::with_capacity(vectors.len()) };
    for (row, values) in vectors.rows().enumerate() {
        // Zeros of either sign are equal.
        let bits = values.iter().map(|value| (value + 0.0).to_bits()).collect();
        let place = *known.entry(bits).or_insert(distinct.first.len());
        if place == distinct.first.len() {
            distinct.first.push(row);
        }
        distinct.of.push(place);
    }
    distinct
}

/// The groups that `pairs` join `rows` rows to: each of two rows or more, ascending, the group of the first row first.
/// Two rows are in one group if a chain of pairs leads from one to the other, however little they themselves are
/// alike.
///
/// # Errors
/// A pair that names a row that is not there.
pub fn groups(rows: usize, pairs: &[Pair]) -> Result<Vec<Vec<usize>>, VectorError> {
    let mut parents: Vec<usize> = (0..rows).collect();
    fn first(parents: &mut [usize], mut row: usize) -> usize {
        while parents[row] != row {
            parents[row] = parents[parents[row]];
            row = parents[row];
        }
        row
    }
    for pair in pairs {
        let [left, right] = [pair.left, pair.right].map(|row| row as usize);
        if let Some(row) = [left, right].into_iter().find(|&row| row >= rows) {
            return Err(VectorError::NoRow { row, rows });
        }
        let (left, right) = (first(&mut parents, left), first(&mut parents, right));
        // The lower one leads, so that a group's leader is its first row.
        parents[left.max(right)] = left.min(right);
    }
    let mut members: Vec<Vec<usize>> = vec![vec![]; rows];
    for row in 0..rows {
        members[first(&mut parents, row)].push(row);
    }
    members.retain(|group| group.len() > 1);
    Ok(members)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::{clouds, fill};

    /// All cosines of a row with the others, in double precision.
    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn equal_rows_are_one_value() {
        let rows = [[1.0, 2.0], [0.0, 3.0], [1.0, 2.0], [-0.0, 3.0], [1.0, 2.5]].concat();
        let found = distinct(&Vectors::new(rows, 2).unwrap());
        assert_eq!(found, Distinct { first: vec![0, 1, 4], of: vec![0, 1, 0, 1, 2] });
    }

    #[test]
    fn neighbours_are_those_of_all_cosines_in_double_precision() {
        // More than two tiles of the database, and more than one of queries.
        let (database, _) = clouds("database", 2100, 24, 7, 0.8);
        let (queries, _) = clouds("queries", 1100, 24, 7, 0.8);
        let found = nearest(&database, &queries, 5).unwrap();
        assert_eq!((found.len(), found.k()), (1100, 5));
        for query in (0..1100).step_by(7) {
            let mut all: Vec<(f64, usize)> = database
                .rows()
                .enumerate()
                .map(|(place, row)| (cosine(queries.row(query), row), place))
                .collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (k, (&place, &value)) in
                found.places(query).iter().zip(found.cosines(query)).enumerate()
            {
                assert!((f64::from(value) - all[k].0).abs() < 1e-6, "{query} {k}");
                let exact = cosine(queries.row(query), database.row(place as usize));
                assert!((exact - all[k].0).abs() < 1e-6, "{query} {k}");
            }
        }
    }

    #[test]
    fn equal_rows_stand_in_their_order_and_none_is_its_own() {
        // The same row at 0, 1,500 and 3 times as long at 1,030.
        let (vectors, _) = clouds("equal", 1600, 10, 3, 1.0);
        let mut values = vectors.values().to_vec();
        values.copy_within(0..10, 15_000);
        let row: Vec<f32> = values[..10].iter().map(|value| value * 4.0).collect();
        values[10_300..10_310].copy_from_slice(&row);
        let vectors = Vectors::new(values, 10).unwrap();
        let others = nearest_others(&vectors, 2).unwrap();
        assert_eq!(others.places(0), [1030, 1500]);
        assert_eq!(others.places(1030), [0, 1500]);
        assert_eq!(others.places(1500), [0, 1030]);
        assert_eq!(
            nearest(&vectors, &vectors.select(&[1500]), 3).unwrap().places(0),
            [0, 1030, 1500]
        );
        assert!((0..1600).all(|row| !others.places(row).contains(&(row as u32))));
        assert!(others.cosines.iter().all(|cosine| *cosine <= 1.0));
    }

    #[test]
    fn pairs_are_all_those_above_the_threshold() {
        let (vectors, _) = clouds("pairs", 1300, 6, 5, 0.7);
        let found = pairs_above(&vectors, 0.98, 100_000).unwrap();
        let mut expected = 0;
        for left in 0..1300 {
            for right in left + 1..1300 {
                expected += usize::from(cosine(vectors.row(left), vectors.row(right)) >= 0.98);
            }
        }
        // Some lie so close to the threshold that rounding decides.
        let count = found.pairs.len();
        assert!(expected > 500 && count.abs_diff(expected) <= 2, "{expected} {count}");
        assert!(!found.truncated);
        assert!(found.pairs.iter().all(|pair| pair.left < pair.right && pair.cosine >= 0.98));
        assert!(found.pairs.is_sorted_by(|a, b| a.cosine >= b.cosine));

        let few = pairs_above(&vectors, 0.98, 20).unwrap();
        assert!(few.truncated);
        assert_eq!(few.pairs, found.pairs[..20]);
        let exactly = pairs_above(&vectors, 0.98, found.pairs.len()).unwrap();
        assert_eq!(exactly, found);
        let one_less = pairs_above(&vectors, 0.98, count - 1).unwrap();
        assert!(one_less.truncated && one_less.pairs == found.pairs[..count - 1]);

        let queries = vectors.select(&[3, 8]);
        let between = pairs_between(&queries, &vectors, 0.999_999, 10).unwrap().pairs;
        let mut places: Vec<_> = between.iter().map(|pair| (pair.left, pair.right)).collect();
        places.sort_unstable();
        assert_eq!(places, [(0, 3), (1, 8)]);
    }

    #[test]
    fn the_mean_cosine_is_that_of_all_pairs() {
        let (vectors, _) = clouds("mean", 40, 6, 3, 0.8);
        let mut sum = 0.0;
        for left in 0..40 {
            for right in left + 1..40 {
                sum += cosine(vectors.row(left), vectors.row(right));
            }
        }
        assert!((mean_cosine(&vectors).unwrap() - sum / 780.0).abs() < 1e-9);
        assert_eq!(mean_cosine(&vectors.select(&[3])).unwrap(), 1.0);
        let zero = Vectors::new(vec![1.0, 0.0, 0.0, 0.0], 2).unwrap();
        assert!(matches!(mean_cosine(&zero), Err(VectorError::Zero { row: 1 })));
    }

    #[test]
    fn groups_are_chains_of_pairs() {
        let pair = |left, right| Pair { left, right, cosine: 1.0 };
        let pairs = [pair(5, 7), pair(2, 3), pair(0, 7), pair(3, 4), pair(2, 4)];
        assert_eq!(groups(9, &pairs).unwrap(), [vec![0, 5, 7], vec![2, 3, 4]]);
        assert!(groups(9, &[]).unwrap().is_empty());
        assert!(matches!(groups(7, &pairs), Err(VectorError::NoRow { row: 7, rows: 7 })));
    }

    #[test]
    fn bad_input_is_refused() {
        let vectors = Vectors::new(vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], 2).unwrap();
        let other = Vectors::new(vec![1.0; 3], 3).unwrap();
        let zero = Vectors::new(vec![1.0, 0.0, 0.0, 0.0], 2).unwrap();
        let none = Vectors::new(vec![], 2).unwrap();
        assert!(matches!(nearest(&vectors, &other, 1), Err(VectorError::Widths { .. })));
        assert!(matches!(nearest(&vectors, &zero, 1), Err(VectorError::Zero { row: 1 })));
        assert!(matches!(nearest(&zero, &vectors, 1), Err(VectorError::Zero { row: 1 })));
        let text = nearest_others(&vectors, 3).unwrap_err().to_string();
        assert!(text.contains("is 3") && text.contains("1 to 2"), "{text}");
        assert!(nearest(&vectors, &vectors, 4).is_err() && nearest(&vectors, &vectors, 0).is_err());
        assert!(nearest(&none, &vectors, 1).is_err() && nearest_others(&none, 1).is_err());
        assert!(nearest(&vectors, &none, 1).unwrap().is_empty());
        assert!(pairs_above(&none, 0.5, 1).unwrap().pairs.is_empty());
        assert!(
            pairs_above(&vectors, f32::NAN, 1).is_err() && pairs_above(&vectors, 0.5, 0).is_err()
        );
    }

    #[test]
    fn threads_change_nothing() {
        let vectors =
            Vectors::new(fill("x", 1500 * 20).iter().map(|&v| v as f32).collect(), 20).unwrap();
        let by = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                (nearest_others(&vectors, 4).unwrap(), pairs_above(&vectors, 0.6, 50).unwrap())
            })
        };
        assert_eq!(by(1), by(3));
    }
}
