//! Sums over the values of one channel.

use serde::Serialize;

/// Statistics of one channel's values, over all pixels of all pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChannelStatistics {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, with the number of pixels as divisor.
    pub std: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Below it lies 1 % of the values. Of large sets from some pixels of each picture, the same
    /// number of each.
    pub percentile_1: f64,
    /// Below it lie 99 % of the values; likewise.
    pub percentile_99: f64,
}

/// Count, mean and sum of squared differences from it, which two sets' can be put together from
/// (Chan, Golub and LeVeque 1979) without a difference of large numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, mean: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Moments {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let mut result = Self::default();
        let mut sum = 0.0;
        for value in values.clone() {
            result.count += 1;
            sum += value;
            result.min = result.min.min(value);
            result.max = result.max.max(value);
        }
        result.mean = sum / (result.count.max(1)) as f64;
        result.squares = values.map(|value| (value - result.mean).powi(2)).sum();
        result
    }

    #[cfg(test)]
    fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let (own, others) = (self.count as f64, other.count as f64);
        let both = own + others;
        if other.count == 0 {
            return;
        }
        let apart = other.mean - self.mean;
        self.mean += apart * others / both;
        self.squares += other.squares + apart * apart * own * others / both;
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The largest value, whatever its sign; 0 where there is none.
    pub(super) fn largest(&self) -> f64 {
        match self.count {
            0 => 0.0,
            _ => self.min.abs().max(self.max.abs()),
        }
    }

    pub(super) fn is_below_zero(&self) -> bool {
        self.min < 0.0
    }

    /// With percentiles from the values kept.
    pub(super) fn finish(&self, mut kept: Vec<f32>) -> ChannelStatistics {
        kept.sort_unstable_by(f32::total_cmp);
        ChannelStatistics {
            mean: self.mean,
            std: (self.squares / self.count.max(1) as f64).sqrt(),
            min: self.min,
            max: self.max,
            percentile_1: percentile(&kept, 0.01),
            percentile_99: percentile(&kept, 0.99),
        }
    }
}

/// Of sorted values, with the two nearest mixed in proportion.
fn percentile(sorted: &[f32], share: f64) -> f64 {
    let at = share * sorted.len().saturating_sub(1) as f64;
    let value = |at: f64| sorted.get(at as usize).map_or(f64::NAN, |&value| f64::from(value));
    let (below, above) = (value(at.floor()), value(at.ceil()));
    below + (above - below) * at.fract()
}

/// One picture's.
pub(super) struct Values {
    /// A channel each.
    pub(super) moments: Vec<Moments>,
    /// Some values, a channel each.
    pub(super) kept: Vec<Vec<f32>>,
}

impl Values {
    /// Of `pixels`, `[pixels, channels]`, on the scale that `scaled` gives; at most `kept` values a
    /// channel are kept. Where there are `gaps`, values are left out.
    pub(super) fn of<T: Copy>(
        pixels: &[T],
        channels: usize,
        kept: usize,
        gaps: Option<&[bool]>,
        scaled: impl Fn(T) -> f64 + Copy,
    ) -> Self {
        let count = pixels.len() / channels;
        // Steps of the golden section: spread evenly, and on no grid that a picture could have.
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let some = |i: usize| ((i as f64 * GOLDEN).fract() * count as f64) as usize;
        let places: Vec<usize> =
            if count <= kept { (0..count).collect() } else { (0..kept).map(some).collect() };
        let channel = |channel: usize| {
            let values = pixels.iter().skip(channel).step_by(channels);
            match gaps {
                None => Moments::of(values.map(|&value| scaled(value))),
                Some(gaps) => {
                    let values = values.zip(gaps.iter().skip(channel).step_by(channels));
                    Moments::of(values.filter(|(_, gap)| !**gap).map(|(&value, _)| scaled(value)))
                }
            }
        };
        let kept = |channel: usize| {
            let at = |&place: &usize| place * channels + channel;
            let sound = |at: &usize| gaps.is_none_or(|gaps| !gaps[*at]);
            places.iter().map(at).filter(sound).map(|at| scaled(pixels[at]) as f32).collect()
        };
        Self {
            moments: (0..channels).map(channel).collect(),
            kept: (0..channels).map(kept).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_put_together_are_the_whole() {
        // Far from zero, where sums of squares would lose everything.
        let values: Vec<f64> = (0..1000).map(|i| 1e9 + f64::from(i * 7919 % 1000)).collect();
        let mut sum = Moments::default();
        for part in [&values[..1], &values[1..400], &values[400..]] {
            sum.merge(&Moments::of(part.iter().copied()));
        }
        sum.merge(&Moments::default());
        let result = sum.finish(Vec::new());
        // All whole numbers of 0 to 999, in some order: (1000² − 1) / 12.
        assert!((result.std - (999_999.0f64 / 12.0).sqrt()).abs() < 1e-6, "{result:?}");
        assert!((result.mean - 1e9 - 499.5).abs() < 1e-6);
        assert_eq!((sum.count(), result.min, result.max), (1000, 1e9, 1e9 + 999.0));
    }

    #[test]
    fn percentiles_lie_between_values() {
        let kept: Vec<f32> = (0..=200).rev().map(|i| i as f32).collect();
        let result = Moments::of([1.0].into_iter()).finish(kept);
        assert_eq!((result.percentile_1, result.percentile_99), (2.0, 198.0));
        assert_eq!(percentile(&[1.0, 3.0], 0.25), 1.5);
    }

    #[test]
    fn gaps_count_nowhere() {
        let pixels = [1.0f32, 0.0, 3.0, 8.0];
        let gaps = [false, true, false, true];
        let values = Values::of(&pixels, 2, 512, Some(&gaps), f64::from);
        let result = values.moments[0].finish(values.kept[0].clone());
        assert_eq!((result.mean, result.std, result.min, result.max), (2.0, 1.0, 1.0, 3.0));
        assert_eq!(values.moments[1].count() + values.kept[1].len() as u64, 0);
        let values = Values::of(&pixels, 1, 512, Some(&gaps), f64::from);
        assert_eq!((values.moments[0].count(), &values.kept[0][..]), (2, &[1.0, 3.0][..]));
    }

    #[test]
    fn kept_pixels_are_spread_over_a_picture() {
        let pixels: Vec<u8> = (0..=255).flat_map(|value| [value; 100]).collect();
        let values = Values::of(&pixels, 1, 512, None, f64::from);
        let mut kept = values.kept[0].clone();
        assert_eq!(kept.len(), 512);
        kept.sort_unstable_by(f32::total_cmp);
        for (i, value) in kept.iter().enumerate() {
            assert!((value - i as f32 / 2.0).abs() <= 2.0, "{i} {value}");
        }
    }
}
