//! How many directions features use, and channels that tell nothing.

use crate::covariance::{evenly, gram};
use crate::eigen::Tridiagonal;
use crate::error::VectorError;
use crate::vectors::Vectors;

/// Rows that a rank is computed from at most, chosen evenly: as many as RankMe takes.
pub const RANK_ROWS: usize = 25_600;

/// The effective rank: exp(−Σ p · ln p), p the singular values divided by their sum (Roy and Vetterli, 2007). RankMe
/// (2023) is the same number, of embeddings as they are, but for the 10⁻⁷ that it adds to each p. It is 1 where all
/// rows have one direction, and at most min(N, C).
///
/// With `centred`, of the rows less their mean, which otherwise is a direction of its own, and often the largest.
///
/// Of more than [`RANK_ROWS`] rows, as many are taken, evenly. Memory: 8 bytes · min(N, C)², and 1 MiB.
///
/// # Errors
/// No rows, or rows of zeros alone (equal rows alone, where they are centred).
pub fn effective_rank(vectors: &Vectors, centred: bool) -> Result<f64, VectorError> {
    let vectors = evenly(vectors, RANK_ROWS);
    let (gram, n) = gram(&vectors, centred);
    let values = Tridiagonal::new(gram, n).values();
    // Eigenvalues that are zero but for rounding.
    let least = values.first().copied().unwrap_or(0.0) * f64::EPSILON * n as f64;
    let singular = values.iter().filter(|value| **value > least).map(|value| value.sqrt());
    let singular: Vec<f64> = singular.collect();
    let sum: f64 = singular.iter().sum();
    if singular.is_empty() {
        return Err(VectorError::Few { what: "rows that differ", found: 0, needed: 1 });
    }
    let entropy: f64 = singular.iter().map(|value| value / sum).map(|p| -p * p.ln()).sum();
    Ok(entropy.exp())
}

/// A channel whose values are all this small, in proportion to the root mean square of all values, is dead.
pub const DEAD: f64 = 1e-4;

/// A channel whose standard deviation is this small, in proportion to its mean's size, is saturated.
pub const SATURATED: f64 = 0.01;

/// Channels that tell rows apart by nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Channels that never say anything: no value is larger than [`DEAD`] times the root mean square of all values of
    /// all channels. Ascending.
    pub dead: Vec<usize>,
    /// Channels that always say the same: not dead, and the standard deviation is at most [`SATURATED`] times the
    /// mean's size. Ascending.
    pub saturated: Vec<usize>,
}

/// Looks for channels that are dead or saturated, in rows that come bit by bit. Memory: 24 bytes a channel.
#[derive(Clone, Debug)]
pub struct ChannelSums {
    rows: u64,
    /// The largest size of each channel's values, `[C]`.
    most: Vec<f64>,
    /// The sum of its values, `[C]`.
    sums: Vec<f64>,
    /// The sum of their squares, `[C]`.
    squares: Vec<f64>,
}

impl ChannelSums {
    /// Of no rows yet, of `width` channels.
    pub fn new(width: usize) -> Self {
        let zeros = vec![0.0; width];
        Self { rows: 0, most: zeros.clone(), sums: zeros.clone(), squares: zeros }
    }

    /// Channels, C.
    pub fn width(&self) -> usize {
        self.sums.len()
    }

    /// Adds rows, `[N, C]`.
    pub fn add(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.sums.len().max(1)) {
            self.rows += 1;
            let sums = self.sums.iter_mut().zip(&mut self.squares).zip(&mut self.most);
            for (((sum, squares), most), &value) in sums.zip(row) {
                let value = f64::from(value);
                *sum += value;
                *squares += value * value;
                *most = most.max(value.abs());
            }
        }
    }

    /// Which channels are dead or saturated.
    ///
    /// # Errors
    /// Fewer than two rows.
    pub fn channels(&self) -> Result<Channels, VectorError> {
        if self.rows < 2 {
            let found = usize::try_from(self.rows).unwrap_or(usize::MAX);
            return Err(VectorError::Few { what: "rows", found, needed: 2 });
        }
        let (rows, width) = (self.rows as f64, self.sums.len());
        let all = self.squares.iter().sum::<f64>();
        let least = DEAD * (all / (rows * width as f64)).sqrt();
        let mut channels = Channels { dead: vec![], saturated: vec![] };
        for channel in 0..width {
            let mean = self.sums[channel] / rows;
            let variance = (self.squares[channel] / rows - mean * mean).max(0.0);
            if self.most[channel] <= least {
                channels.dead.push(channel);
            } else if variance.sqrt() <= SATURATED * mean.abs() {
                channels.saturated.push(channel);
            }
        }
        Ok(channels)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::{clouds, fill};

    fn channels(vectors: &Vectors) -> Result<Channels, VectorError> {
        let mut sums = ChannelSums::new(vectors.width());
        vectors.rows().for_each(|row| sums.add(row));
        sums.channels()
    }

    #[test]
    fn ranks_are_those_of_numpy() {
        for (rows, width, centred, expected) in [
            (200, 12, false, 9.623_979_56),
            (200, 12, true, 9.984_617_23),
            (9, 30, false, 7.465_505_94),
            (9, 30, true, 6.596_807_92),
        ] {
            let (vectors, _) = clouds("fit", rows, width, 4, 0.5);
            let found = effective_rank(&vectors, centred).unwrap();
            assert!((found / expected - 1.0_f64).abs() < 2e-7, "{rows} {centred} {found}");
        }
    }

    #[test]
    fn ranks_that_are_known() {
        // One direction; a direction of each row; a mean beside it.
        let line: Vec<f32> = (1..=20).flat_map(|k| [k as f32, -2.0 * k as f32, 0.0]).collect();
        let line = Vectors::new(line, 3).unwrap();
        assert!((effective_rank(&line, false).unwrap() - 1.0).abs() < 1e-6);
        let unit = (0..16).map(|at| f32::from(u8::from(at % 5 == 0))).collect();
        let unit = Vectors::new(unit, 4).unwrap();
        assert!((effective_rank(&unit, false).unwrap() - 4.0).abs() < 1e-9);
        assert!((effective_rank(&unit, true).unwrap() - 3.0).abs() < 1e-9);
        let same = Vectors::new([1.0, 2.0, 3.0].repeat(5), 3).unwrap();
        assert_eq!(effective_rank(&same, false).unwrap(), 1.0);
        assert!(effective_rank(&same, true).is_err());
        assert!(effective_rank(&Vectors::new(vec![0.0; 6], 2).unwrap(), false).is_err());
        assert!(effective_rank(&Vectors::new(vec![], 2).unwrap(), false).is_err());
    }

    #[test]
    fn dead_and_saturated_channels_are_named() {
        let noise = fill("channels", 5 * 100);
        let value = |(at, noise): (usize, &f64)| match at % 5 {
            // Lives; dead though it moves; saturated; zero; barely not saturated.
            0 => *noise as f32,
            1 => (1e-5 * noise) as f32,
            2 => (-1.0 + 0.001 * noise) as f32,
            3 => 0.0,
            _ => (1.0 + 0.03 * noise) as f32,
        };
        let vectors = Vectors::new(noise.iter().enumerate().map(value).collect(), 5).unwrap();
        let found = channels(&vectors).unwrap();
        assert_eq!(found, Channels { dead: vec![1, 3], saturated: vec![2] });
        let zeros = channels(&Vectors::new(vec![0.0; 6], 2).unwrap()).unwrap();
        assert_eq!(zeros.dead, [0, 1]);
        assert!(channels(&Vectors::new(vec![1.0], 1).unwrap()).is_err());
    }
}
