//! Many normal pictures in bounded memory, in folds, so that each is also compared with others alone.

use crate::anomaly::{PatchMemory, PatchScores, Sampling};
use crate::error::VectorError;
use crate::random::Random;
use crate::vectors::Vectors;

/// The most parts that normal pictures are put into.
const FOLDS: usize = 5;
/// A channel's deviation counts as this part of the mean deviation where it is less, so that one which hardly varies
/// among normal patches does not outweigh all others.
const LEAST_DEVIATION: f64 = 0.01;

/// Gathers patches of normal pictures, which come one after the other: of each fold a sample, any of its patches as
/// likely as another. What is gathered follows from the pictures' order and the seed.
#[derive(Debug)]
pub struct Gathering {
    most: usize,
    sampling: Sampling,
    seed: u64,
    folds: Vec<Fold>,
}

/// A sample of patches of a part of the pictures.
#[derive(Debug)]
struct Fold {
    random: Random,
    /// Patches that came.
    seen: usize,
    values: Vec<f32>,
    width: usize,
}

impl Gathering {
    /// To keep `most` patches of `pictures` normal pictures.
    ///
    /// Memory: `most` patches, four times as many where they are chosen [greedily](Sampling::Greedy), whatever the
    /// number of pictures.
    ///
    /// # Errors
    /// No pictures, a `most` that is less than a patch for each of the up to five folds.
    pub fn new(
        pictures: usize,
        most: usize,
        sampling: Sampling,
        seed: u64,
    ) -> Result<Self, VectorError> {
        let folds = pictures.min(FOLDS);
        if folds == 0 {
            return Err(VectorError::Few { what: "normal pictures", found: 0, needed: 1 });
        }
        if most < folds {
            let what = "the number of patches to keep";
            return Err(VectorError::setting(what, most, format!("give {folds} or more")));
        }
        let fold = |number: usize| Fold {
            random: Random::new(seed.wrapping_add(number as u64)),
            seen: 0,
            values: vec![],
            width: 1,
        };
        Ok(Self { most, sampling, seed, folds: (0..folds).map(fold).collect() })
    }

    /// Number of folds: a picture for each, five at most.
    pub fn folds(&self) -> usize {
        self.folds.len()
    }

    /// Takes the patches of one more picture, `[S, C]`, for one of the folds.
    ///
    /// # Errors
    /// Patches of another width.
    ///
    /// # Panics
    /// If there is no such fold.
    pub fn add(&mut self, patches: &Vectors, fold: usize) -> Result<(), VectorError> {
        let pool = match self.sampling {
            Sampling::Random => self.kept(),
            Sampling::Greedy => self.kept().saturating_mul(4),
        };
        self.folds[fold].add(patches, pool)
    }

    /// Patches kept of each fold.
    fn kept(&self) -> usize {
        self.most / self.folds.len()
    }

    /// What normal pictures look like. Folds without a patch are left out.
    ///
    /// # Errors
    /// No patches at all; folds with patches of different widths.
    pub fn finish(self) -> Result<Normal, VectorError> {
        let (most, sampling, seed) = (self.kept(), self.sampling, self.seed);
        let scales = scales(&self.folds)?;
        let mut folds = Vec::with_capacity(self.folds.len());
        for fold in self.folds {
            folds.push(match fold.values.is_empty() {
                true => None,
                false => {
                    let patches = Vectors::new(fold.values, fold.width)?.scaled(&scales);
                    Some(PatchMemory::new(&patches, most, sampling, seed)?)
                }
            });
        }
        Ok(Normal { scales, folds })
    }
}

impl Fold {
    fn add(&mut self, patches: &Vectors, most: usize) -> Result<(), VectorError> {
        let width = patches.width();
        if self.seen > 0 && self.width != width {
            return Err(VectorError::Widths { left: self.width, right: width });
        }
        self.width = width;
        // Vitter's algorithm R.
        for patch in patches.rows() {
            self.seen += 1;
            if self.seen <= most {
                self.values.extend_from_slice(patch);
                continue;
            }
            let place = self.random.below(self.seen);
            if place < most {
                self.values[place * width..][..width].copy_from_slice(patch);
            }
        }
        Ok(())
    }
}

/// What each channel is multiplied by: 1 divided by its standard deviation over all patches.
fn scales(folds: &[Fold]) -> Result<Vec<f32>, VectorError> {
    let mut filled = folds.iter().filter(|fold| !fold.values.is_empty());
    let Some(width) = filled.clone().map(|fold| fold.width).next() else {
        return Err(VectorError::Few { what: "patches of normal pictures", found: 0, needed: 1 });
    };
    if let Some(other) = filled.find(|fold| fold.width != width) {
        return Err(VectorError::Widths { left: width, right: other.width });
    }
    let rows = || folds.iter().flat_map(|fold| fold.values.chunks_exact(width));
    let count = rows().count() as f64;
    let mut means = vec![0.0_f64; width];
    for row in rows() {
        means.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / count);
    }
    let mut squares = vec![0.0_f64; width];
    for row in rows() {
        for ((square, mean), &value) in squares.iter_mut().zip(&means).zip(row) {
            *square += (f64::from(value) - mean).powi(2) / count;
        }
    }
    let deviations: Vec<f64> = squares.into_iter().map(f64::sqrt).collect();
    let least = LEAST_DEVIATION * deviations.iter().sum::<f64>() / width as f64;
    let scale = |deviation: f64| match deviation.max(least) {
        0.0 => 1.0,
        deviation => (1.0 / deviation) as f32,
    };
    Ok(deviations.into_iter().map(scale).collect())
}

/// What normal pictures look like: patches of them, each channel divided by its standard deviation.
///
/// Features of networks that were trained to reconstruct have a few channels of large values; unscaled, those alone
/// would decide which patches are alike.
#[derive(Clone, Debug)]
pub struct Normal {
    scales: Vec<f32>,
    /// Of the pictures of each fold.
    folds: Vec<Option<PatchMemory>>,
}

impl Normal {
    /// Number of patches kept.
    pub fn patches(&self) -> usize {
        self.folds.iter().flatten().map(|memory| memory.patches().len()).sum()
    }

    /// How far pictures are from what is normal, by their patches, `[N · S, C]`, `per_picture` = S one after the other.
    /// Normal pictures are compared with the other folds than their own: against fewer patches, so that they score a
    /// little higher than a new picture that is as normal.
    ///
    /// # Errors
    /// Patches of another width, no whole pictures, no other fold.
    pub fn score(
        &self,
        patches: &Vectors,
        per_picture: usize,
        own_fold: Option<usize>,
    ) -> Result<PatchScores, VectorError> {
        if patches.width() != self.scales.len() {
            let (left, right) = (patches.width(), self.scales.len());
            return Err(VectorError::Widths { left, right });
        }
        let patches = patches.clone().scaled(&self.scales);
        let others = self.folds.iter().enumerate().filter(|(fold, _)| own_fold != Some(*fold));
        let mut nearest: Option<PatchScores> = None;
        for memory in others.filter_map(|(_, memory)| memory.as_ref()) {
            let found = memory.score(&patches, per_picture)?;
            nearest = Some(match nearest {
                Some(before) => before.nearest(&found, per_picture),
                None => found,
            });
        }
        nearest.ok_or(VectorError::Few { what: "other normal pictures", found: 0, needed: 1 })
    }
}

impl PatchScores {
    /// Of each patch the smaller distance.
    fn nearest(self, other: &Self, per_picture: usize) -> Self {
        let pairs = self.patches.iter().zip(&other.patches);
        let patches: Vec<f32> = pairs.map(|(a, b)| a.min(*b)).collect();
        Self::of_patches(patches, per_picture)
    }
}

/// What share of normal pictures can be expected to score as high as `score` or higher, from the scores of some,
/// ascending: (1 + those that do) / (1 + all). It is never 0, since the next normal picture may be the first that does;
/// a normal picture's is at most q with a probability of about q (a conformal p-value).
pub fn share_as_high(normal: &[f32], score: f32) -> f64 {
    let below = normal.partition_point(|&other| other < score);
    (1 + normal.len() - below) as f64 / (1 + normal.len()) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::{clouds, fill};

    fn gathered(pictures: &Vectors, per: usize, most: usize, sampling: Sampling) -> Normal {
        let count = pictures.len() / per;
        let mut gathering = Gathering::new(count, most, sampling, 7).unwrap();
        for picture in 0..count {
            let rows: Vec<usize> = (picture * per..(picture + 1) * per).collect();
            gathering.add(&pictures.select(&rows), picture % gathering.folds()).unwrap();
        }
        gathering.finish().unwrap()
    }

    #[test]
    fn all_patches_give_the_scores_of_one_memory_with_scaled_channels() {
        let (normal, _) = clouds("normal", 120, 6, 4, 0.2);
        // One channel is a hundred times as large as the others.
        let large = |vectors: &Vectors| {
            let value = |(place, &value): (usize, &f32)| {
                if place % 6 == 2 { value * 100.0 } else { value }
            };
            Vectors::new(vectors.values().iter().enumerate().map(value).collect(), 6).unwrap()
        };
        let found = gathered(&large(&normal), 4, 1000, Sampling::Random);
        assert_eq!(found.patches(), 120);
        let (pictures, _) = clouds("pictures", 40, 6, 4, 0.4);
        let scores = found.score(&large(&pictures), 4, None).unwrap();
        assert_eq!((scores.patches.len(), scores.pictures.len()), (40, 10));
        // By hand, from the unchanged channels.
        let deviation = |channel: usize| {
            let values: Vec<f64> = normal.rows().map(|row| f64::from(row[channel])).collect();
            let mean = values.iter().sum::<f64>() / 120.0;
            (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 120.0).sqrt()
        };
        let deviations: Vec<f64> = (0..6).map(deviation).collect();
        for (patch, score) in pictures.rows().zip(&scores.patches) {
            let square = |row: &[f32]| -> f64 {
                let pairs = row.iter().zip(patch).zip(&deviations);
                pairs.map(|((&a, &b), d)| ((f64::from(a) - f64::from(b)) / d).powi(2)).sum()
            };
            let least = normal.rows().map(square).fold(f64::INFINITY, f64::min).sqrt();
            assert!((f64::from(*score) - least).abs() < 1e-4, "{score} {least}");
        }
        for (picture, score) in scores.pictures.iter().enumerate() {
            let of = &scores.patches[picture * 4..][..4];
            assert_eq!(*score, of.iter().copied().fold(0.0, f32::max));
        }
    }

    #[test]
    fn a_normal_picture_is_not_compared_with_itself() {
        let values = fill("pictures", 10 * 3 * 4).into_iter().map(|v| v as f32).collect();
        let normal = Vectors::new(values, 4).unwrap();
        let found = gathered(&normal, 3, 1000, Sampling::Random);
        let own = normal.select(&[6, 7, 8]);
        assert!(found.score(&own, 3, None).unwrap().pictures[0] < 1e-3);
        assert!(found.score(&own, 3, Some(2)).unwrap().pictures[0] > 0.1);
        // A picture of another fold is there.
        assert!(found.score(&own, 3, Some(1)).unwrap().pictures[0] < 1e-3);
        let one = gathered(&own, 3, 1000, Sampling::Random);
        assert!(matches!(one.score(&own, 3, Some(0)), Err(VectorError::Few { .. })));
    }

    #[test]
    fn memory_is_bounded_and_follows_from_the_seed() {
        let (normal, _) = clouds("normal", 4000, 5, 30, 0.1);
        for sampling in [Sampling::Random, Sampling::Greedy] {
            let found = gathered(&normal, 8, 103, sampling);
            assert_eq!(found.patches(), 100, "{sampling:?}");
            let score = |found: &Normal| found.score(&normal, 8, None).unwrap().pictures;
            assert_eq!(score(&found), score(&gathered(&normal, 8, 103, sampling)));
        }
        // Each patch is as likely as another: the second half is half of the sample.
        let rising = Vectors::new((0..5000).map(|value| value as f32).collect(), 1).unwrap();
        let mut fold = Fold { random: Random::new(1), seen: 0, values: vec![], width: 1 };
        fold.add(&rising, 400).unwrap();
        assert_eq!(fold.values.len(), 400);
        let late = fold.values.iter().filter(|value| **value >= 2500.0).count();
        assert!((160..240).contains(&late), "{late}");
    }

    #[test]
    fn shares_are_never_zero_and_count_what_is_as_high() {
        let normal = [1.0, 2.0, 2.0, 4.0];
        for (score, share) in [(0.5, 1.0), (1.0, 1.0), (2.0, 0.8), (3.0, 0.4), (4.0, 0.4)] {
            assert_eq!(share_as_high(&normal, score), share, "{score}");
        }
        assert_eq!((share_as_high(&normal, 9.0), share_as_high(&[], 1.0)), (0.2, 1.0));
    }

    #[test]
    fn what_cannot_be_gathered_is_refused() {
        assert!(Gathering::new(0, 100, Sampling::Random, 0).is_err());
        let error = Gathering::new(9, 4, Sampling::Random, 0).unwrap_err().to_string();
        assert!(error.contains("is 4: give 5 or more"), "{error}");
        assert!(Gathering::new(9, 10, Sampling::Random, 0).unwrap().finish().is_err());
        let of = |width| Vectors::new(vec![1.0; 6], width).unwrap();
        let mut gathering = Gathering::new(2, 10, Sampling::Random, 0).unwrap();
        gathering.add(&of(2), 0).unwrap();
        assert!(matches!(gathering.add(&of(3), 0), Err(VectorError::Widths { .. })));
        gathering.add(&of(3), 1).unwrap();
        assert!(matches!(gathering.finish(), Err(VectorError::Widths { .. })));
        // A channel that never varies is compared as it is.
        let still = gathered(&of(2), 1, 10, Sampling::Random);
        let moved = Vectors::new(vec![1.0, 4.0], 2).unwrap();
        assert_eq!(still.score(&moved, 1, None).unwrap().pictures, [3.0]);
        assert!(still.score(&of(3), 1, None).is_err());
    }
}
