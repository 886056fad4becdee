//! Randomness as a function of what it is for.
//!
//! Nothing here reads a clock, counts calls or knows a thread: the generator of a sample's crop,
//! mask or dropped path follows from (seed, purpose, epoch, index) alone. A run that is stopped
//! and resumed, or loaded by another number of workers, therefore draws the same numbers.
//!
//! Ranges and shuffles are written out here instead of taken from a library whose sampling
//! methods may change between its versions: the order of a run is part of its checkpoint.

use rand_chacha::rand_core::SeedableRng;

pub use rand_chacha::ChaCha8Rng;
pub use rand_chacha::rand_core::Rng;

/// The generator for one purpose at one sample of one epoch.
///
/// Mixing: the 256-bit ChaCha key is BLAKE3 in key derivation mode (context
/// `"fcmae 2026 keyed randomness"`) over seed, epoch and index, each as 8 little-endian bytes,
/// followed by the purpose's bytes. The purpose comes last and the rest has fixed length, so no
/// two different arguments give the same input. Streams are independent for any change of one
/// argument.
pub fn keyed(seed: u64, purpose: &str, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("fcmae 2026 keyed randomness");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&epoch.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// A number in [0, 1), uniform over the multiples of 2⁻⁵³.
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A number in [low, high), uniform.
pub fn uniform(rng: &mut impl Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * unit(rng)
}

/// A whole number in [0, n), every one equally likely; 0 where n is 0.
///
/// Lemire's multiplication: the high half of x · n, where the few x that would make low numbers
/// likelier (low half below 2⁶⁴ mod n) are drawn again.
pub fn below(rng: &mut impl Rng, n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    let reject = n.wrapping_neg() % n;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(n);
        if product as u64 >= reject {
            return (product >> 64) as u64;
        }
    }
}

/// Puts `items` into random order (Fisher–Yates, from the end).
pub fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

/// The order of `n` samples in one epoch.
pub fn permutation(n: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    shuffle(&mut keyed(seed, "order", epoch, 0), &mut order);
    order
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// These numbers stand in checkpoints of runs: they must never change.
    #[test]
    fn the_streams_are_pinned() {
        let drawn = [keyed(0, "augment", 0, 0).next_u64(), keyed(7, "mask", 3, 41).next_u64()];
        assert_eq!(drawn, PINNED);
        assert_eq!(permutation(10, 42, 1), PINNED_ORDER);
    }
    const PINNED: [u64; 2] = [5_753_266_539_413_866_075, 11_202_049_916_708_256_502];
    const PINNED_ORDER: [u32; 10] = [8, 3, 9, 5, 7, 1, 2, 6, 0, 4];

    #[test]
    fn each_argument_changes_the_stream() {
        let draw = |s, p, e, i| keyed(s, p, e, i).next_u64();
        let base = draw(1, "mask", 2, 3);
        assert_eq!(base, draw(1, "mask", 2, 3));
        for other in [
            draw(2, "mask", 2, 3),
            draw(1, "mas", 2, 3),
            draw(1, "mask", 3, 3),
            draw(1, "mask", 2, 4),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn below_is_even_and_in_range() {
        let mut rng = keyed(5, "test", 0, 0);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[below(&mut rng, 6) as usize] += 1;
        }
        // Standard deviation of a count: √(60000 · 1/6 · 5/6) ≈ 91.
        assert!(counts.iter().all(|&c| (9_500..=10_500).contains(&c)), "{counts:?}");
        assert_eq!(below(&mut rng, 1), 0);
        assert_eq!(below(&mut rng, 0), 0);
    }

    #[test]
    fn a_permutation_holds_each_once_and_differs_by_epoch() {
        let mut first = permutation(1000, 9, 0);
        assert_ne!(first, permutation(1000, 9, 1));
        assert_ne!(first, permutation(1000, 10, 0));
        first.sort_unstable();
        assert_eq!(first, (0..1000).collect::<Vec<_>>());
        assert!(permutation(0, 1, 1).is_empty());
    }
}
