//! Random choices that follow from a seed alone: SplitMix64.

/// What each draw adds to the state.
pub(crate) const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A state's 64 random bits.
pub(crate) fn mixed(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A sequence of random numbers.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mixed(seed.wrapping_add(STEP)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number below `limit`, which is above 0. For limits below 2³² no number is more than 2⁻³² likelier
    /// than another.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// A number in −1 to 1.
    pub(crate) fn signed(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Brings `items` into a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` of the numbers below `of`, ascending.
    pub(crate) fn some(&mut self, count: usize, of: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..of).collect();
        for place in 0..count.min(of) {
            let other = place + self.below(of - place);
            all.swap(place, other);
        }
        all.truncate(count);
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_follow_from_the_seed_and_are_even() {
        let chosen = |seed| Random::new(seed).some(100, 1000);
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
        assert!(chosen(3).is_sorted_by(|a, b| a < b) && chosen(3).len() == 100);
        assert_eq!(Random::new(0).some(5, 3), [0, 1, 2]);

        let mut counts = [0; 6];
        for seed in 0..6000 {
            let mut items = [0, 1, 2];
            Random::new(seed).shuffle(&mut items);
            counts[items[0] * 2 + usize::from(items[1] > items[2])] += 1;
        }
        // Six orders, 1,000 times each; the deviation of a count is 29.
        assert!(counts.iter().all(|count| (880..1120).contains(count)), "{counts:?}");
        let mean = (0..1000).map(|seed| Random::new(seed).signed()).sum::<f64>() / 1000.0;
        assert!(mean.abs() < 0.08, "{mean}");
    }
}
