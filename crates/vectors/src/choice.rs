//! Which rows to label next.

use rayon::prelude::*;

use crate::clusters::Clusters;
use crate::error::VectorError;
use crate::farthest::{farthest, take};
use crate::tiles::{Measure, best};
use crate::vectors::Vectors;

/// A cosine distance up to which rows are taken for copies.
pub const COPY: f32 = 1e-6;

/// A row that was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// Which one.
    pub row: usize,
    /// 1 − the cosine to the nearest of those labelled or chosen before; `None` for the very first.
    pub distance: Option<f32>,
}

/// Rows to label so that every row has a labelled one near by: the one that is farthest from all that are labelled or
/// chosen, again and again (the greedy k-centre, by cosine distance), up to `budget` of them, in that order. Where
/// none is `labelled`, the first is the one nearest to the mean direction.
///
/// Fewer than `budget` come back where all others are copies of rows that are labelled or chosen.
///
/// It takes N · C · `budget` operations. Memory: a copy of the vectors, 8 bytes a row.
///
/// # Errors
/// A row of zeros, a labelled row that is not there.
pub fn farthest_first(
    vectors: &Vectors,
    labelled: &[usize],
    budget: usize,
) -> Result<Vec<Chosen>, VectorError> {
    let Some((unit, mut nearest)) = beginning(vectors, labelled, budget)? else {
        return Ok(vec![]);
    };
    let mut chosen = vec![];
    if labelled.is_empty() {
        let row = most_central(&unit);
        chosen.push(Chosen { row, distance: None });
        take(&unit, &mut nearest, row);
    }
    let found = farthest(&unit, &mut nearest, budget - chosen.len(), 2.0 * COPY);
    let distance = |(row, square): (usize, f32)| Chosen { row, distance: Some(square / 2.0) };
    chosen.extend(found.into_iter().map(distance));
    Ok(chosen)
}

/// Rows to label that stand for many others: rows and directions are put into as many clusters as are `labelled` and
/// asked for together (k-means of the directions), and of each cluster without a labelled row the one nearest to its
/// mean is chosen, those of the largest clusters first.
///
/// Fewer than `budget` come back where all others are copies of rows that are labelled or chosen.
///
/// It takes 20 · N · C · (labelled + `budget`) operations. Memory: a copy of the vectors, 20 bytes a row.
///
/// # Errors
/// As [`farthest_first`].
pub fn representatives(
    vectors: &Vectors,
    labelled: &[usize],
    budget: usize,
    seed: u64,
) -> Result<Vec<Chosen>, VectorError> {
    let Some((unit, mut nearest)) = beginning(vectors, labelled, budget)? else {
        return Ok(vec![]);
    };
    let clusters = Clusters::new(&unit, labelled.len().saturating_add(budget), seed)?;
    let mut sizes = vec![0_usize; clusters.centres.len()];
    clusters.of.iter().for_each(|&cluster| sizes[cluster as usize] += 1);
    labelled.iter().for_each(|&row| sizes[clusters.of[row] as usize] = 0);
    let square = |row: usize| {
        let centre = clusters.centres.row(clusters.of[row] as usize);
        unit.row(row).iter().zip(centre).map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>()
    };
    let squares: Vec<f64> = (0..unit.len()).into_par_iter().map(square).collect();
    let mut nearest_to_mean: Vec<Option<usize>> = vec![None; sizes.len()];
    for (row, &cluster) in clusters.of.iter().enumerate() {
        let best = &mut nearest_to_mean[cluster as usize];
        if best.is_none_or(|best| squares[row] < squares[best]) {
            *best = Some(row);
        }
    }
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&cluster| sizes[cluster] > 0).collect();
    order.sort_by_key(|&cluster| std::cmp::Reverse(sizes[cluster]));
    let mut chosen = vec![];
    for row in order.into_iter().filter_map(|cluster| nearest_to_mean[cluster]) {
        let distance = nearest[row];
        if chosen.len() < budget && distance > 2.0 * COPY {
            let distance = distance.is_finite().then_some(distance / 2.0);
            chosen.push(Chosen { row, distance });
            take(&unit, &mut nearest, row);
        }
    }
    // A cluster may be empty, or its most central row a copy of one that is labelled.
    let found = farthest(&unit, &mut nearest, budget - chosen.len(), 2.0 * COPY);
    chosen.extend(
        found.into_iter().map(|(row, square)| Chosen { row, distance: Some(square / 2.0) }),
    );
    Ok(chosen)
}

/// The rows with length 1, and the squared distance of each to the nearest that is labelled; `None` where there is
/// nothing to choose.
fn beginning(
    vectors: &Vectors,
    labelled: &[usize],
    budget: usize,
) -> Result<Option<(Vectors, Vec<f32>)>, VectorError> {
    let rows = vectors.len();
    if let Some(&row) = labelled.iter().find(|&&row| row >= rows) {
        return Err(VectorError::NoRow { row, rows });
    }
    let unit = vectors.clone().normalized()?;
    if rows == 0 || budget == 0 {
        return Ok(None);
    }
    // |a − b|² = 2 · (1 − cosine) of rows of length 1.
    let mut nearest = vec![f32::INFINITY; rows];
    if !labelled.is_empty() {
        let known = unit.select(labelled);
        let best = best(&known, &unit, Measure::Euclidean, 1, false)?;
        let distances = crate::tiles::squared_distances(&known, &unit, &best, 1);
        nearest = distances.into_iter().map(|distance| distance as f32).collect();
    }
    Ok(Some((unit, nearest)))
}

/// Of rows of length 1, the one with the highest cosine to their sum; of equal ones, the first.
fn most_central(unit: &Vectors) -> usize {
    let mean = crate::covariance::mean(unit);
    let cosine = |row: &[f32]| row.iter().zip(&mean).map(|(&a, b)| f64::from(a) * b).sum::<f64>();
    let cosines: Vec<f64> = unit.values().par_chunks_exact(unit.width()).map(cosine).collect();
    (0..cosines.len()).reduce(|a, b| if cosines[b] > cosines[a] { b } else { a }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::clouds;

    /// As `farthest_first`, with all cosines in double precision.
    fn slowly(vectors: &Vectors, labelled: &[usize], budget: usize) -> Vec<(usize, f64)> {
        let distance = |a: usize, b: usize| {
            let dot = |a: &[f32], b: &[f32]| {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
            };
            let (a, b) = (vectors.row(a), vectors.row(b));
            1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let mut known = labelled.to_vec();
        let mut chosen = vec![];
        while chosen.len() < budget {
            let of = |row| known.iter().map(|&other| distance(row, other)).fold(9.0, f64::min);
            let best = (0..vectors.len()).map(|row| (row, of(row)));
            let best = best.reduce(|a, b| if b.1 > a.1 { b } else { a }).unwrap();
            known.push(best.0);
            chosen.push(best);
        }
        chosen
    }

    #[test]
    fn each_is_the_farthest_from_those_before_it() {
        let (vectors, _) = clouds("choice", 300, 20, 9, 0.4);
        let labelled = [4, 70];
        let found = farthest_first(&vectors, &labelled, 25).unwrap();
        let expected = slowly(&vectors, &labelled, 25);
        for (found, (row, distance)) in found.iter().zip(&expected) {
            assert_eq!(found.row, *row);
            assert!((f64::from(found.distance.unwrap()) - distance).abs() < 1e-6);
        }
        // One of each of the seven clouds that have none comes first.
        let mut clouds: Vec<usize> = found[..7].iter().map(|chosen| chosen.row % 9).collect();
        clouds.sort_unstable();
        assert_eq!(clouds, [0, 1, 2, 3, 5, 6, 8]);

        let first = farthest_first(&vectors, &[], 10).unwrap();
        assert_eq!(first[0].distance, None);
        let rest: Vec<usize> = first[1..].iter().map(|chosen| chosen.row).collect();
        let expected: Vec<usize> =
            slowly(&vectors, &[first[0].row], 9).into_iter().map(|(row, _)| row).collect();
        assert_eq!(rest, expected);
    }

    #[test]
    fn one_stands_for_each_cloud_that_has_no_label() {
        let (vectors, classes) = clouds("choice", 300, 20, 9, 0.2);
        let labelled = [4, 70];
        let found = representatives(&vectors, &labelled, 7, 1).unwrap();
        let mut of: Vec<usize> = found.iter().map(|chosen| classes[chosen.row]).collect();
        of.sort_unstable();
        assert_eq!(of, [0, 1, 2, 3, 5, 6, 8]);
        // Nearest to the mean of its cloud's directions.
        let unit = vectors.clone().normalized().unwrap();
        let cloud: Vec<usize> = (0..300).filter(|row| row % 9 == 3).collect();
        let cosine = |row: usize| {
            let dot = |other: &usize| {
                unit.row(row)
                    .iter()
                    .zip(unit.row(*other))
                    .map(|(a, b)| f64::from(a * b))
                    .sum::<f64>()
            };
            cloud.iter().map(dot).sum::<f64>()
        };
        let central =
            cloud.iter().copied().max_by(|&a, &b| cosine(a).total_cmp(&cosine(b))).unwrap();
        assert!(found.iter().any(|chosen| chosen.row == central));
        assert_eq!(found, representatives(&vectors, &labelled, 7, 1).unwrap());
        let first = representatives(&vectors, &[], 3, 0).unwrap();
        assert_eq!((first.len(), first[0].distance), (3, None));
        // Copies of what is labelled are not chosen, and of rows that are alike one is.
        let alike = Vectors::new([1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 3.0].to_vec(), 2).unwrap();
        let rows = |labelled: &[usize]| {
            let found = representatives(&alike, labelled, 4, 0).unwrap();
            found.into_iter().map(|chosen| chosen.row).collect::<Vec<_>>()
        };
        assert_eq!(rows(&[0]), [2]);
        assert_eq!(rows(&[]).len(), 2);
        assert!(representatives(&vectors, &[300], 1, 0).is_err());
    }

    #[test]
    fn the_first_is_in_the_middle_and_copies_are_left_out() {
        // Five directions, the middle one twice as a multiple.
        let angles = [0.0_f32, 0.5, 1.0, 1.5, 2.0, 1.0];
        let values = angles.iter().zip([1.0, 2.0, 3.0, 1.0, 5.0, 9.0]);
        let values =
            values.flat_map(|(angle, length)| [length * angle.cos(), length * angle.sin()]);
        let vectors = Vectors::new(values.collect(), 2).unwrap();
        let chosen = farthest_first(&vectors, &[], 10).unwrap();
        let rows: Vec<usize> = chosen.iter().map(|chosen| chosen.row).collect();
        assert_eq!((rows.len(), rows[0]), (5, 2));
        assert!(!rows.contains(&5));
        assert!(farthest_first(&vectors, &[0, 1, 5, 3, 4], 3).unwrap().is_empty());
        assert!(farthest_first(&vectors, &[], 0).unwrap().is_empty());
        assert!(matches!(farthest_first(&vectors, &[6], 1), Err(VectorError::NoRow { .. })));
        let zero = Vectors::new(vec![1.0, 0.0], 1).unwrap();
        assert!(matches!(farthest_first(&zero, &[], 1), Err(VectorError::Zero { row: 1 })));
        assert!(farthest_first(&Vectors::new(vec![], 1).unwrap(), &[], 1).unwrap().is_empty());
    }
}
