//! t-SNE: a map of rows on which those that are alike lie together (van der Maaten and Hinton, 2008), with far points
//! taken together (Barnes and Hut).
//!
//! It begins with the first two principal components, so that nothing is random: the same rows give the same map. Equal
//! rows are one point: as points of their own they would push each other apart.

use rayon::prelude::*;

use crate::covariance::places_evenly;
use crate::error::VectorError;
use crate::neighbours::distinct;
use crate::project::Pca;
use crate::tiles::{Measure, best, squared_distances};
use crate::vectors::Vectors;

mod tree;

use tree::Tree;

/// How a map is made.
#[derive(Clone, Debug, PartialEq)]
pub struct TsneSettings {
    /// About how many rows count as near to each, 30 by default; of N different rows at most (N − 1) / 3, to which it
    /// is lowered.
    pub perplexity: f64,
    /// Steps, 1,000 by default. During the first quarter, at most 250, rows that are near attract each other twelve
    /// times as much.
    pub iterations: usize,
    /// Rows at most, 20,000 by default. Of more, as many are taken, evenly.
    pub most: usize,
}

impl Default for TsneSettings {
    fn default() -> Self {
        Self { perplexity: 30.0, iterations: 1000, most: 20_000 }
    }
}

/// A map.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The rows that are on it, ascending, `[M]`: all, if there were no more than the settings allow.
    pub rows: Vec<usize>,
    /// Where they lie, `[M]`, around (0, 0); equal rows at the same place.
    pub places: Vec<[f64; 2]>,
    /// How many different rows there are among them.
    pub distinct: usize,
    /// The perplexity used.
    pub perplexity: f64,
    /// The Kullback-Leibler divergence between what is near among the rows and on the map: the lower, the better.
    pub divergence: f64,
}

/// Components that the rows are brought to first.
const COMPONENTS: usize = 50;

/// Rows that a map is made of at least; fewer different ones lie in a plane as they are.
const FEWEST: usize = 4;

/// How much more what is near attracts at first.
const EXAGGERATION: f64 = 12.0;

/// Makes a map of rows, by Euclidean distance between their first 50 principal components.
///
/// Memory: about 100 · perplexity bytes a row, 4 bytes · C a row where rows are left out, and what [`Pca::fit`] takes.
///
/// # Errors
/// Fewer than 4 rows, a perplexity below 1, no steps.
pub fn tsne(vectors: &Vectors, settings: &TsneSettings) -> Result<Map, VectorError> {
    if !(settings.perplexity >= 1.0 && settings.perplexity.is_finite()) {
        let fix = "give a number of 1 or more, such as 30";
        return Err(VectorError::setting("the perplexity", settings.perplexity, fix));
    }
    if settings.iterations == 0 {
        return Err(VectorError::setting("the number of steps", 0, "give 1 or more, such as 1000"));
    }
    let count = vectors.len().min(settings.most);
    if count < FEWEST {
        return Err(VectorError::Few { what: "rows on the map", found: count, needed: FEWEST });
    }
    let rows = places_evenly(vectors.len(), settings.most);
    let chosen = rows.as_ref().map(|rows| vectors.select(rows));
    let vectors = chosen.as_ref().unwrap_or(vectors);
    let points = distinct(vectors);
    let different = points.first.len();
    let once = (different < count).then(|| vectors.select(&points.first));
    let vectors = once.as_ref().unwrap_or(vectors);
    let (places, perplexity, divergence) = if different < FEWEST {
        (plane(vectors)?, 1.0, 0.0)
    } else {
        let pca = Pca::fit(vectors, COMPONENTS.min(different - 1).min(vectors.width()))?;
        let projected = pca.project(vectors)?;
        let perplexity = settings.perplexity.min((different - 1) as f64 / 3.0);
        let affinities = Affinities::new(&projected, perplexity)?;
        let (places, divergence) = descend(&affinities, beginning(&projected), settings.iterations);
        (places, perplexity, divergence)
    };
    let places = points.of.iter().map(|&point| places[point]).collect();
    let rows = rows.unwrap_or_else(|| (0..count).collect());
    Ok(Map { rows, places, distinct: different, perplexity, divergence })
}

/// Up to three points, which lie in a plane, as they are.
fn plane(vectors: &Vectors) -> Result<Vec<[f64; 2]>, VectorError> {
    let components = 2.min(vectors.len() - 1).min(vectors.width());
    if components == 0 {
        return Ok(vec![[0.0; 2]; vectors.len()]);
    }
    let projected = Pca::fit(vectors, components)?.project(vectors)?;
    let value = |row: &[f32], axis: usize| row.get(axis).map_or(0.0, |&value| f64::from(value));
    Ok(projected.rows().map(|row| [0, 1].map(|axis| value(row, axis))).collect())
}

/// The first two components, the first with a standard deviation of 10⁻⁴, as scikit-learn begins. Rows that differ in
/// other components alone would never part, so each is moved by a millionth of that, in a spiral.
fn beginning(projected: &Vectors) -> Vec<[f64; 2]> {
    let square: f64 = projected.rows().map(|row| f64::from(row[0]).powi(2)).sum();
    let deviation = (square / projected.len() as f64).sqrt();
    let scale = if deviation > 0.0 { 1e-4 / deviation } else { 0.0 };
    let place = |(row, values): (usize, &[f32])| {
        let value = |k: usize| f64::from(values.get(k).copied().unwrap_or(0.0)) * scale;
        let (sine, cosine) = (row as f64).sin_cos();
        let radius = 1e-10 * (1.0 + row as f64 / projected.len() as f64);
        [value(0) + radius * cosine, value(1) + radius * sine]
    };
    projected.rows().enumerate().map(place).collect()
}

/// How near rows are to each other, P, which sums to 1: for each row its partners.
struct Affinities {
    starts: Vec<usize>,
    partners: Vec<(u32, f64)>,
}

impl Affinities {
    /// Of the rows among their 3 · perplexity nearest.
    fn new(vectors: &Vectors, perplexity: f64) -> Result<Self, VectorError> {
        let rows = vectors.len();
        let k = ((3.0 * perplexity).ceil() as usize).clamp(1, rows - 1);
        let nearest = best(vectors, vectors, Measure::Euclidean, k, true)?;
        let mut weights = squared_distances(vectors, vectors, &nearest, k);
        weights.par_chunks_exact_mut(k).for_each(|row| weigh(row, perplexity));
        // p(i, j) = (p(j | i) + p(i | j)) / 2N
        let mut lists: Vec<Vec<(u32, f64)>> = vec![Vec::with_capacity(2 * k); rows];
        for (at, (&other, &weight)) in nearest.places.iter().zip(&weights).enumerate() {
            let half = weight / (2 * rows) as f64;
            lists[at / k].push((other, half));
            lists[other as usize].push(((at / k) as u32, half));
        }
        let mut found = Self { starts: vec![0], partners: vec![] };
        for mut list in lists {
            list.sort_by_key(|partner| partner.0);
            for same in list.chunk_by(|a, b| a.0 == b.0) {
                found.partners.push((same[0].0, same.iter().map(|partner| partner.1).sum()));
            }
            found.starts.push(found.partners.len());
        }
        Ok(found)
    }

    fn of(&self, row: usize) -> &[(u32, f64)] {
        &self.partners[self.starts[row]..self.starts[row + 1]]
    }
}

/// Squared distances to weights exp(−beta · d²) / Σ, with the beta for which their perplexity is the one given.
fn weigh(squares: &mut [f64], perplexity: f64) {
    let least = squares.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = squares.iter().map(|square| square - least).sum::<f64>() / squares.len() as f64;
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut beta = if mean > 0.0 { 1.0 / mean } else { 1.0 };
    for _ in 0..100 {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for square in squares.iter() {
            let weight = (-beta * (square - least)).exp();
            sum += weight;
            weighted += weight * (square - least);
        }
        let entropy = sum.ln() + beta * weighted / sum;
        let away = entropy - perplexity.ln();
        if away.abs() < 1e-6 || mean == 0.0 {
            break;
        }
        if away > 0.0 {
            low = beta;
        } else {
            high = beta;
        }
        beta = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
    }
    squares.iter_mut().for_each(|square| *square = (-beta * (*square - least)).exp());
    let sum: f64 = squares.iter().sum();
    squares.iter_mut().for_each(|weight| *weight /= sum);
}

/// Gradient descent with momentum and gains, as scikit-learn's; places and the divergence at their end.
fn descend(
    affinities: &Affinities,
    mut places: Vec<[f64; 2]>,
    iterations: usize,
) -> (Vec<[f64; 2]>, f64) {
    let count = places.len();
    let rate = (count as f64 / EXAGGERATION / 4.0).max(50.0);
    let early = (iterations / 4).min(250);
    let mut speeds = vec![[0.0_f64; 2]; count];
    let mut gains = vec![[1.0_f64; 2]; count];
    for iteration in 0..iterations {
        let (factor, momentum) = if iteration < early { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let gradient = gradient(affinities, &places, factor);
        let rows = places.iter_mut().zip(&mut speeds).zip(&mut gains).zip(&gradient);
        for (((place, speed), gain), gradient) in rows {
            for axis in 0..2 {
                let turning = speed[axis] * gradient[axis] < 0.0;
                gain[axis] = if turning { gain[axis] + 0.2 } else { (gain[axis] * 0.8).max(0.01) };
                speed[axis] = momentum * speed[axis] - rate * gain[axis] * gradient[axis];
                place[axis] += speed[axis];
            }
        }
        let middle =
            places.iter().fold([0.0; 2], |sum, place| [sum[0] + place[0], sum[1] + place[1]]);
        for place in &mut places {
            for axis in 0..2 {
                place[axis] -= middle[axis] / count as f64;
            }
        }
    }
    let divergence = divergence(affinities, &places);
    (places, divergence)
}

/// The divergence's gradient, 4 Σ (p − q) · (yᵢ − yⱼ) / (1 + |yᵢ − yⱼ|²), with p times `factor`.
fn gradient(affinities: &Affinities, places: &[[f64; 2]], factor: f64) -> Vec<[f64; 2]> {
    let tree = Tree::new(places);
    let forces: Vec<([f64; 2], [f64; 2], f64)> = places
        .par_iter()
        .enumerate()
        .with_min_len(64)
        .map(|(row, place)| {
            let mut attraction = [0.0; 2];
            for &(other, p) in affinities.of(row) {
                let (away, near) = nearness(*place, places[other as usize]);
                attraction[0] += p * near * away[0];
                attraction[1] += p * near * away[1];
            }
            let (repulsion, sum) = tree.repulsion(*place);
            (attraction, repulsion, sum)
        })
        .collect();
    let sum: f64 = forces.iter().map(|force| force.2).sum();
    let total = |(attraction, repulsion, _): &([f64; 2], [f64; 2], f64)| {
        [0, 1].map(|axis| 4.0 * (factor * attraction[axis] - repulsion[axis] / sum))
    };
    forces.iter().map(total).collect()
}

/// a − b, and 1 / (1 + |a − b|²).
fn nearness(a: [f64; 2], b: [f64; 2]) -> ([f64; 2], f64) {
    let away = [a[0] - b[0], a[1] - b[1]];
    (away, 1.0 / (1.0 + away[0] * away[0] + away[1] * away[1]))
}

/// Σ p · ln(p / q).
fn divergence(affinities: &Affinities, places: &[[f64; 2]]) -> f64 {
    let tree = Tree::new(places);
    let sums: Vec<f64> = places.par_iter().map(|place| tree.repulsion(*place).1).collect();
    let sum: f64 = sums.iter().sum();
    let of_row = |row: usize| -> f64 {
        let terms = affinities.of(row).iter().map(|&(other, p)| {
            let q = nearness(places[row], places[other as usize]).1 / sum;
            p * (p.max(f64::MIN_POSITIVE) / q.max(f64::MIN_POSITIVE)).ln()
        });
        terms.sum()
    };
    (0..places.len()).map(of_row).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::clouds;

    #[test]
    fn a_map_is_as_good_as_scikit_learns_and_keeps_clouds_together() {
        let (vectors, labels) = clouds("fit", 300, 10, 6, 0.6);
        let settings = TsneSettings { perplexity: 20.0, ..Default::default() };
        let map = tsne(&vectors, &settings).unwrap();
        assert_eq!((map.rows.len(), map.perplexity), (300, 20.0));
        // scikit-learn's: 0.518.
        assert!((0.40..0.54).contains(&map.divergence), "{}", map.divergence);
        let nearest = |row: usize| {
            let square = |other: usize| {
                let away = nearness(map.places[row], map.places[other]).0;
                away[0] * away[0] + away[1] * away[1]
            };
            let others = (0..300).filter(|&other| other != row);
            others.min_by(|&a, &b| square(a).total_cmp(&square(b))).unwrap()
        };
        let right = (0..300).filter(|&row| labels[nearest(row)] == labels[row]).count();
        assert!(right > 285, "{right}");
        assert_eq!(tsne(&vectors, &settings).unwrap(), map);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| tsne(&vectors, &settings).unwrap()), map);
    }

    #[test]
    fn the_gradient_is_the_divergences() {
        let (vectors, _) = clouds("fit", 40, 5, 4, 0.5);
        let affinities = Affinities::new(&vectors, 6.0).unwrap();
        let total: f64 = affinities.partners.iter().map(|partner| partner.1).sum();
        assert!((total - 1.0).abs() < 1e-12);
        let places: Vec<[f64; 2]> =
            vectors.rows().map(|row| [3.0 * f64::from(row[0]), 3.0 * f64::from(row[1])]).collect();
        // Without far points taken together.
        let exactly = |places: &[[f64; 2]]| {
            let near = |a: usize, b: usize| nearness(places[a], places[b]).1;
            let pairs = (0..40).flat_map(|a| (0..40).map(move |b| (a, b))).filter(|(a, b)| a != b);
            let sum: f64 = pairs.map(|(a, b)| near(a, b)).sum();
            let of = |row: usize| -> f64 {
                let terms = affinities.of(row).iter();
                terms.map(|&(other, p)| p * (p * sum / near(row, other as usize)).ln()).sum()
            };
            (0..40).map(of).sum::<f64>()
        };
        assert!((divergence(&affinities, &places) / exactly(&places) - 1.0).abs() < 0.01);
        let gradient = gradient(&affinities, &places, 1.0);
        let size = gradient.iter().flatten().fold(0.0_f64, |most, value| most.max(value.abs()));
        for row in 0..40 {
            for axis in 0..2 {
                let moved = |by: f64| {
                    let mut places = places.clone();
                    places[row][axis] += by;
                    exactly(&places)
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((gradient[row][axis] - slope).abs() < 0.03 * size, "{row} {axis} {slope}");
            }
        }
    }

    #[test]
    fn of_many_rows_some_are_taken_and_perplexity_is_bounded() {
        let (vectors, _) = clouds("fit", 100, 4, 3, 0.5);
        let settings = TsneSettings { iterations: 20, most: 10, ..Default::default() };
        let map = tsne(&vectors, &settings).unwrap();
        assert_eq!(map.rows, (0..10).map(|row| row * 10).collect::<Vec<_>>());
        assert_eq!((map.perplexity, map.places.len()), (3.0, 10));
        let few = |rows: &[usize]| tsne(&vectors.select(rows), &TsneSettings::default());
        assert!(matches!(few(&[0, 1, 2]), Err(VectorError::Few { .. })));
        // Rows that are all the same, and some that are.
        for (rows, different) in [([5; 12], 1), ([1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4], 4)] {
            let map = few(&rows).unwrap();
            assert_eq!((map.rows.len(), map.distinct), (12, different));
            assert!(map.places.iter().flatten().all(|value| value.is_finite()));
            assert!(map.divergence.is_finite());
        }
        for perplexity in [0.5, f64::NAN, f64::INFINITY] {
            assert!(tsne(&vectors, &TsneSettings { perplexity, ..Default::default() }).is_err());
        }
        assert!(tsne(&vectors, &TsneSettings { iterations: 0, ..Default::default() }).is_err());
    }

    #[test]
    fn copies_lie_at_one_place_and_leave_the_map_as_it_is_without_them() {
        let (vectors, _) = clouds("fit", 60, 6, 4, 0.5);
        let settings = TsneSettings { perplexity: 8.0, iterations: 300, ..Default::default() };
        let alone = tsne(&vectors, &settings).unwrap();
        // Each row once, then the first ten once more and the fourth thirty times.
        let copies: Vec<usize> = (0..60).chain(0..10).chain([3; 30]).collect();
        let map = tsne(&vectors.select(&copies), &settings).unwrap();
        let places: Vec<[f64; 2]> = copies.iter().map(|&row| alone.places[row]).collect();
        assert_eq!((map.places, map.distinct), (places, 60));
        assert_eq!(map.perplexity, alone.perplexity);
        // Three points in a plane keep their distances.
        let far = Vectors::new([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [3.0, 0.0]].concat(), 2);
        let places = tsne(&far.unwrap(), &settings).unwrap().places;
        let distance =
            |a: usize, b: usize| (places[a][0] - places[b][0]).hypot(places[a][1] - places[b][1]);
        for (a, b, expected) in [(0, 1, 3.0), (0, 2, 4.0), (1, 2, 5.0), (1, 3, 0.0)] {
            assert!((distance(a, b) - expected).abs() < 1e-5, "{a} {b} {places:?}");
        }
    }
}
