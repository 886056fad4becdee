//! The choice of instruction set at run time.
//!
//! A kernel's inner loop is a `Kernel`, written once over `Simd`; `dispatch` compiles it for each
//! instruction set and runs the one asked for.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
mod scalar;
mod vector;

use std::cell;
use std::fmt;
use std::sync::OnceLock;

pub(crate) use vector::{Cell, Kernel, LANES, Lanes, Simd};

/// The instruction set that the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Portable code, on every machine.
    Scalar,
    /// AVX2 and FMA, on x86-64 processors since about 2013.
    Avx2,
    /// AVX-512 (F and VL), on x86-64 processors of servers since about 2017, and others: products of
    /// matrices take sixteen lanes at a time.
    Avx512,
    /// NEON, on every 64-bit ARM processor.
    Neon,
}

/// `avx2` for [`Level::Avx2`], and so on.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

thread_local! {
    static FORCED: cell::Cell<Option<Level>> = const { cell::Cell::new(None) };
}

/// The levels of this machine, the portable one first, the best one last.
#[must_use]
pub fn levels() -> &'static [Level] {
    static LEVELS: OnceLock<Vec<Level>> = OnceLock::new();
    LEVELS.get_or_init(|| {
        let mut levels = vec![Level::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(avx2::Avx2::detect().map(|_| Level::Avx2));
            levels.extend(avx512::Avx512::detect().map(|_| Level::Avx512));
        }
        if cfg!(all(target_arch = "aarch64", target_feature = "neon")) {
            levels.push(Level::Neon);
        }
        levels
    })
}

/// The best level of this machine.
fn best() -> Level {
    levels().last().copied().unwrap_or(Level::Scalar)
}

/// The level that kernels called from this thread use: the machine's best, if not inside
/// [`with_level`].
#[must_use]
pub fn level() -> Level {
    FORCED.get().unwrap_or_else(best)
}

/// Runs `work`, whose kernels called on this thread use `level`, or the machine's best where it
/// hasn't got `level`: [`Level::Avx2`] on an ARM processor is [`Level::Neon`]. For tests, and to tell
/// whether a fault is one of the vectorised code.
pub fn with_level<T>(level: Level, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Level>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let level = if levels().contains(&level) { level } else { best() };
    let _restore = Restore(FORCED.replace(Some(level)));
    work()
}

/// Runs `kernel` compiled for `level`.
#[inline]
pub(crate) fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if level == Level::Avx512
        && let Some(avx512) = avx512::Avx512::detect()
    {
        return avx512.run(kernel);
    }
    #[cfg(target_arch = "x86_64")]
    if level == Level::Avx2
        && let Some(avx2) = avx2::Avx2::detect()
    {
        return avx2.run(kernel);
    }
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    if level == Level::Neon {
        return kernel.run(neon::Neon);
    }
    let _ = level;
    kernel.run(scalar::Scalar)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn a_level_of_other_processors_is_the_best_of_this_one() {
        assert_eq!(with_level(Level::Scalar, level), Level::Scalar);
        let best = level();
        for other in [Level::Avx2, Level::Avx512, Level::Neon] {
            let found = with_level(other, level);
            assert_eq!(found, if levels().contains(&other) { other } else { best });
        }
        let within = || (with_level(best, level), level());
        assert_eq!(with_level(Level::Scalar, within), (best, Level::Scalar));
    }

    /// What the operations make of three vectors.
    struct Operations([Lanes; 3]);

    struct Results {
        values: [Lanes; 10],
        sum: f32,
        /// Of a and b with c and a: sums, and products added to b and a.
        pairs: [[Lanes; 2]; 3],
    }

    impl Kernel for Operations {
        type Output = Results;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Results {
            let [a, b, c] = [0, 1, 2].map(|i| simd.load(&self.0[i]));
            simd.prefetch(&self.0[0]);
            let values = [
                simd.add(a, b),
                simd.sub(a, b),
                simd.mul(a, b),
                simd.div(a, b),
                simd.mul_add(a, b, c),
                simd.min(a, b),
                simd.max(a, b),
                simd.sqrt(c),
                simd.round(a),
                simd.exp2_integer(simd.round(a)),
            ];
            let values = values.map(|value| {
                let mut lanes = [f32::NAN; LANES];
                simd.store(value, &mut lanes);
                lanes
            });
            let [first, second, third] = [[0, 1], [2, 0], [1, 0]]
                .map(|[a, b]| simd.load_pair(&[Cell(self.0[a]), Cell(self.0[b])]));
            let pairs = [
                simd.add_pair(first, second),
                simd.mul_add_pair(first, second, third),
                simd.splat_pair(0.1),
            ];
            let pairs = pairs.map(|value| {
                let mut cells = [Cell([f32::NAN; LANES]); 2];
                simd.store_pair(value, &mut cells);
                cells.map(|cell| cell.0)
            });
            Results { values, sum: simd.sum(a), pairs }
        }
    }

    #[test]
    fn operations_are_those_of_single_values() {
        // Halves round to even.
        let a = [0.5, -1.5, 2.5, -0.1, 126.9, -126.3, 33.3, 1.0];
        let b = [0.3, -7.7, 2.5, 1e-3, -126.9, 12.3, -1e6, 3.0];
        let c = [0.7, 11.1, 0.0, 2.0, 1e4, 1e-9, 3e7, 5.0];
        for &level in levels() {
            let Results { values, sum, pairs } = dispatch(level, Operations(black_box([a, b, c])));
            let mul_add = |a: f32, b: f32, c| match level {
                Level::Scalar => a * b + c,
                _ => a.mul_add(b, c),
            };
            for lane in 0..LANES {
                let (a, b, c) = (a[lane], b[lane], c[lane]);
                let expected = [
                    a + b,
                    a - b,
                    a * b,
                    a / b,
                    mul_add(a, b, c),
                    a.min(b),
                    a.max(b),
                    c.sqrt(),
                    a.round_ties_even(),
                    a.round_ties_even().exp2(),
                ];
                assert_eq!(values.map(|value| value[lane]), expected, "lane {lane} ({level:?})");
                let expected = [[a + c, b + a], [mul_add(a, c, b), mul_add(b, a, a)], [0.1, 0.1]];
                let found = pairs.map(|pair| pair.map(|vector| vector[lane]));
                assert_eq!(found, expected, "lane {lane} of pairs ({level:?})");
            }
            let [a0, a1, a2, a3, a4, a5, a6, a7] = a;
            assert_eq!(sum, ((a0 + a4) + (a2 + a6)) + ((a1 + a5) + (a3 + a7)), "{level:?}");
        }
    }

    #[test]
    fn of_not_a_number_and_of_equals_min_and_max_give_the_second() {
        let a = [f32::NAN, 1.0, f32::NAN, 0.0, -0.0, f32::INFINITY, f32::NAN, -1.0];
        let b = [1.0, f32::NAN, f32::NAN, -0.0, 0.0, f32::NAN, f32::NEG_INFINITY, f32::NAN];
        for &level in levels() {
            let Results { values, .. } = dispatch(level, Operations(black_box([a, b, a])));
            for found in [values[5], values[6]] {
                assert_eq!(found.map(f32::to_bits), b.map(f32::to_bits), "{level:?}");
            }
        }
    }
}
