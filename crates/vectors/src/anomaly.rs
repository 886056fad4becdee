//! What does not look like anything normal: patches far from all patches of normal pictures, as in PatchCore (Roth and
//! others, 2022).

use rayon::prelude::*;

use crate::error::VectorError;
use crate::farthest::{farthest, take};
use crate::random::Random;
use crate::tiles::{Measure, best, squared_distances};
use crate::vectors::Vectors;

/// Which of many normal patches are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Any, each as likely as another.
    Random,
    /// Those that are farthest from each other (the greedy k-centre, PatchCore's coreset), from four times as many that
    /// are drawn at random. It takes 4 · M² · C operations: for M = 10,000 patches of 320 channels 130 billion.
    Greedy,
}

/// Patches of normal pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchMemory {
    patches: Vectors,
}

/// How far pictures and their patches are from what is normal.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchScores {
    /// Euclidean distance of each patch to the nearest normal one, `[N · S]`.
    pub patches: Vec<f32>,
    /// The largest of each picture, `[N]`. The largest, as in PatchCore, since a defect may be in one patch alone;
    /// a mean would be lower the smaller it is.
    pub pictures: Vec<f32>,
}

impl PatchMemory {
    /// Keeps `most` of the patches of normal pictures, `[N · S, C]`, or all if there are no more.
    ///
    /// Patches are compared by Euclidean distance, as they are; PatchCore averages features over neighbouring patches
    /// first, see [`averaged`].
    ///
    /// Memory: what is kept, and five times that for a moment where it is chosen greedily.
    ///
    /// # Errors
    /// No patches, a `most` of 0.
    pub fn new(
        patches: &Vectors,
        most: usize,
        sampling: Sampling,
        seed: u64,
    ) -> Result<Self, VectorError> {
        if most == 0 {
            return Err(VectorError::setting(
                "the number of patches to keep",
                most,
                "give 1 or more",
            ));
        }
        if patches.is_empty() {
            return Err(VectorError::Few {
                what: "patches of normal pictures",
                found: 0,
                needed: 1,
            });
        }
        if patches.len() <= most {
            return Ok(Self { patches: patches.clone() });
        }
        let mut random = Random::new(seed);
        let kept = match sampling {
            Sampling::Random => patches.select(&random.some(most, patches.len())),
            Sampling::Greedy => {
                let pool = most.saturating_mul(4).min(patches.len());
                let pool = patches.select(&random.some(pool, patches.len()));
                let first = random.below(pool.len());
                let mut nearest = vec![f32::INFINITY; pool.len()];
                take(&pool, &mut nearest, first);
                let mut rows = vec![first];
                let others = farthest(&pool, &mut nearest, most - 1, 0.0);
                rows.extend(others.into_iter().map(|(row, _)| row));
                rows.sort_unstable();
                pool.select(&rows)
            }
        };
        Ok(Self { patches: kept })
    }

    /// The patches kept, `[M, C]`.
    pub fn patches(&self) -> &Vectors {
        &self.patches
    }

    /// Scores pictures by their patches, `[N · S, C]`, `per_picture` = S one after the other.
    ///
    /// # Errors
    /// Patches of another width, or no whole pictures.
    pub fn score(&self, patches: &Vectors, per_picture: usize) -> Result<PatchScores, VectorError> {
        if per_picture == 0 || !patches.len().is_multiple_of(per_picture) {
            let fix = format!("{} patches are not whole pictures of this many", patches.len());
            return Err(VectorError::setting(
                "the number of a picture's patches",
                per_picture,
                fix,
            ));
        }
        let nearest = best(&self.patches, patches, Measure::Euclidean, 1, false)?;
        let squares = squared_distances(&self.patches, patches, &nearest, 1);
        let patches: Vec<f32> = squares.into_iter().map(|square| square.sqrt() as f32).collect();
        Ok(PatchScores::of_patches(patches, per_picture))
    }
}

impl PatchScores {
    /// From those of the patches, of pictures of so many.
    pub(crate) fn of_patches(patches: Vec<f32>, per_picture: usize) -> Self {
        let largest = |scores: &[f32]| scores.iter().copied().fold(0.0, f32::max);
        let pictures = patches.chunks_exact(per_picture).map(largest).collect();
        Self { patches, pictures }
    }
}

/// Each patch's features averaged with those of the patches around it, 3 × 3, less at the picture's edges, as PatchCore
/// does so that a patch knows its surroundings. `patches` is `[N · rows · columns, C]`, row-major on the grid.
///
/// # Errors
/// No whole pictures.
pub fn averaged(patches: &Vectors, rows: usize, columns: usize) -> Result<Vectors, VectorError> {
    let (width, sites) = (patches.width(), rows.saturating_mul(columns));
    if sites == 0 || !patches.len().is_multiple_of(sites) {
        let fix = format!("{} patches are not whole pictures of this many", patches.len());
        return Err(VectorError::setting("the grid", format!("{rows} × {columns}"), fix));
    }
    let mut out = vec![0.0_f32; patches.values().len()];
    let pictures = out.par_chunks_exact_mut(sites * width);
    pictures.zip(patches.values().par_chunks_exact(sites * width)).for_each(|(out, picture)| {
        for (site, out) in out.chunks_exact_mut(width).enumerate() {
            let (row, column) = (site / columns, site % columns);
            let near = |at: usize, end: usize| at.saturating_sub(1)..(at + 2).min(end);
            let mut count = 0.0;
            for row in near(row, rows) {
                for column in near(column, columns) {
                    let patch = &picture[(row * columns + column) * width..][..width];
                    out.iter_mut().zip(patch).for_each(|(sum, value)| *sum += value);
                    count += 1.0;
                }
            }
            out.iter_mut().for_each(|sum| *sum /= count);
        }
    });
    Vectors::new(out, width)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::clouds;

    #[test]
    fn scores_are_distances_to_the_nearest_patch() {
        let (normal, _) = clouds("normal", 1500, 12, 6, 0.3);
        // Far from zero, where single precision alone would not do.
        let moved = |vectors: &Vectors| {
            Vectors::new(vectors.values().iter().map(|value| value + 100.0).collect(), 12).unwrap()
        };
        let normal = moved(&normal);
        let (mut pictures, _) = clouds("pictures", 60, 12, 6, 0.3);
        pictures = moved(&pictures);
        let mut values = pictures.values().to_vec();
        values[17 * 12] += 5.0;
        values[..12].copy_from_slice(normal.row(900));
        let pictures = Vectors::new(values, 12).unwrap();
        let memory = PatchMemory::new(&normal, 1500, Sampling::Greedy, 0).unwrap();
        assert_eq!(memory.patches(), &normal);
        let scores = memory.score(&pictures, 6).unwrap();
        for (patch, score) in scores.patches.iter().enumerate() {
            let square = |row: &[f32]| -> f64 {
                let pairs = row.iter().zip(pictures.row(patch));
                pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
            };
            let least = normal.rows().map(square).fold(f64::INFINITY, f64::min).sqrt();
            assert!((f64::from(*score) - least).abs() < 1e-4, "{score} {least}");
        }
        assert_eq!((scores.patches[0], scores.pictures.len()), (0.0, 10));
        assert_eq!(scores.pictures[2], scores.patches[17]);
        let most = scores.pictures.iter().copied().fold(0.0, f32::max);
        assert!(scores.pictures[2] == most && most > 4.0);
    }

    #[test]
    fn a_coreset_reaches_further_than_chance() {
        let (normal, _) = clouds("normal", 2000, 8, 40, 0.1);
        let radius = |sampling, seed| {
            let memory = PatchMemory::new(&normal, 50, sampling, seed).unwrap();
            assert_eq!(memory.patches().len(), 50);
            assert_eq!(memory, PatchMemory::new(&normal, 50, sampling, seed).unwrap());
            memory.score(&normal, 2000).unwrap().pictures[0]
        };
        // Greedy reaches all 40 clouds; chance leaves some out.
        assert!(radius(Sampling::Greedy, 1) < 0.5 && radius(Sampling::Random, 1) > 0.6);
        let one = |seed| PatchMemory::new(&normal, 50, Sampling::Random, seed).unwrap();
        assert_ne!(one(1), one(2));
        // Copies are not kept twice.
        let same = Vectors::new(vec![1.0; 40], 2).unwrap();
        assert_eq!(PatchMemory::new(&same, 5, Sampling::Greedy, 0).unwrap().patches().len(), 1);
    }

    #[test]
    fn averages_stay_within_the_picture() {
        // Two pictures of 2 × 3 patches of one channel.
        let patches = Vectors::new((0..12).map(|value| value as f32).collect(), 1).unwrap();
        let found = averaged(&patches, 2, 3).unwrap();
        assert_eq!(found.values(), [2.0, 2.5, 3.0, 2.0, 2.5, 3.0, 8.0, 8.5, 9.0, 8.0, 8.5, 9.0]);
        let found = averaged(&patches, 4, 3).unwrap();
        assert_eq!((found.row(0), found.row(4)), (&[2.0][..], &[4.0][..]));
        assert!(averaged(&patches, 5, 1).is_err() && averaged(&patches, 0, 3).is_err());
    }

    #[test]
    fn what_has_no_patches_is_refused() {
        let (normal, _) = clouds("normal", 20, 3, 2, 0.1);
        let memory = PatchMemory::new(&normal, 10, Sampling::Random, 0).unwrap();
        assert!(PatchMemory::new(&normal, 0, Sampling::Random, 0).is_err());
        assert!(PatchMemory::new(&normal.select(&[]), 5, Sampling::Random, 0).is_err());
        assert!(memory.score(&normal, 3).is_err() && memory.score(&normal, 0).is_err());
        let other = Vectors::new(vec![1.0; 4], 4).unwrap();
        assert!(matches!(memory.score(&other, 1), Err(VectorError::Widths { .. })));
        assert!(memory.score(&normal.select(&[]), 4).unwrap().pictures.is_empty());
    }
}
