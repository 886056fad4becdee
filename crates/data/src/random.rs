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

/// Two independent numbers of mean 0 and standard deviation 1, normally distributed.
///
/// Marsaglia's polar method: points of the unit disc. It needs no sine.
pub fn normal_pair(rng: &mut impl Rng) -> [f64; 2] {
    loop {
        let (x, y) = (uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0));
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            let scale = (-2.0 * square.ln() / square).sqrt();
            return [x * scale, y * scale];
        }
    }
}

/// A number of mean 0 and standard deviation 1, normally distributed.
pub fn normal(rng: &mut impl Rng) -> f64 {
    normal_pair(rng)[0]
}

/// A number in [0, 1] from Beta(α, α); ½ where α is not above 0.
///
/// X / (X + Y) for X and Y from Gamma(α). Their logarithms are compared, since for a small α both
/// may be too small for a number.
pub fn beta(rng: &mut impl Rng, alpha: f64) -> f64 {
    if alpha.is_nan() || alpha <= 0.0 {
        return 0.5;
    }
    let (x, y) = (ln_gamma_distributed(rng, alpha), ln_gamma_distributed(rng, alpha));
    1.0 / (1.0 + (y - x).exp())
}

/// The logarithm of a number from Gamma(`shape`, 1), `shape` above 0 (Marsaglia and Tsang 2000).
fn ln_gamma_distributed(rng: &mut impl Rng, shape: f64) -> f64 {
    if shape < 1.0 {
        // Gamma(a) is Gamma(a + 1) · U^(1/a), with U in (0, 1].
        let power = (1.0 - unit(rng)).ln() / shape;
        return ln_gamma_distributed(rng, shape + 1.0) + power;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let root = 1.0 + c * x;
        if root <= 0.0 {
            continue;
        }
        let v = root * root * root;
        if (1.0 - unit(rng)).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
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

    /// Mean, and the 2nd to 4th moments about `centre`.
    fn moments(numbers: &[f64], centre: f64) -> [f64; 4] {
        let mean = |f: &dyn Fn(f64) -> f64| {
            numbers.iter().map(|&x| f(x)).sum::<f64>() / numbers.len() as f64
        };
        [
            mean(&|x| x),
            mean(&|x| (x - centre).powi(2)),
            mean(&|x| (x - centre).powi(3)),
            mean(&|x| (x - centre).powi(4)),
        ]
    }

    #[test]
    fn normal_numbers_have_a_normal_s_moments() {
        let mut rng = keyed(5, "test", 0, 1);
        let pairs: Vec<[f64; 2]> = (0..100_000).map(|_| normal_pair(&mut rng)).collect();
        let numbers = pairs.as_flattened();
        // Standard errors over 200,000: 0.0022, 0.0032, 0.0087, 0.022.
        let found = moments(numbers, 0.0);
        for (found, (expected, tolerance)) in
            found.into_iter().zip([(0.0, 0.009), (1.0, 0.013), (0.0, 0.035), (3.0, 0.09)])
        {
            assert!((found - expected).abs() < tolerance, "{found} {expected}");
        }
        let product = pairs.iter().map(|[a, b]| a * b).sum::<f64>() / 100_000.0;
        assert!(product.abs() < 0.013, "{product}");
        let beyond = numbers.iter().filter(|x| x.abs() > 1.96).count() as f64 / 200_000.0;
        assert!((beyond - 0.05).abs() < 0.002, "{beyond}");
    }

    #[test]
    fn beta_numbers_have_a_beta_s_moments() {
        for (i, alpha) in [0.05, 0.3, 0.8, 1.0, 2.5, 40.0].into_iter().enumerate() {
            let mut rng = keyed(5, "test", 1, i as u64);
            let numbers: Vec<f64> = (0..100_000).map(|_| beta(&mut rng, alpha)).collect();
            assert!(numbers.iter().all(|x| (0.0..=1.0).contains(x)));
            // Of Beta(a, a): variance 1 / (4(2a + 1)); fourth moment 3 / (16(2a + 1)(2a + 3)).
            let variance = 0.25 / (2.0 * alpha + 1.0);
            let fourth = 3.0 / 16.0 / (2.0 * alpha + 1.0) / (2.0 * alpha + 3.0);
            let [mean, second, third, found] = moments(&numbers, 0.5);
            // Five standard errors of the mean: 5 / √100000 of the standard deviation.
            assert!((mean - 0.5).abs() < 0.016 * variance.sqrt(), "{alpha}: {mean}");
            assert!((second / variance - 1.0).abs() < 0.03, "{alpha}: {second} {variance}");
            assert!(third.abs() < 0.03 * variance.powf(1.5), "{alpha}: {third}");
            assert!((found / fourth - 1.0).abs() < 0.06, "{alpha}: {found} {fourth}");
        }
        // Near 0 the distribution is a coin; far out, a half.
        let mut rng = keyed(5, "test", 2, 0);
        assert!((0..1000).all(|_| beta(&mut rng, 1e-300).is_finite()));
        let coin = (0..1000).filter(|_| beta(&mut rng, 1e-6) > 0.5).count();
        assert!((400..600).contains(&coin), "{coin}");
        assert!((0..1000).all(|_| (beta(&mut rng, 1e6) - 0.5).abs() < 0.01));
        assert_eq!([beta(&mut rng, 0.0), beta(&mut rng, f64::NAN)], [0.5, 0.5]);
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
