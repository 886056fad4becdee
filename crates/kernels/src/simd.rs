//! Vectors of eight `f32` lanes, and the choice of instruction set at run time.
//!
//! A kernel's inner loop is a `Kernel`, written once over `Simd`; `dispatch` compiles it for each
//! instruction set and runs the one asked for.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod scalar;

use std::cell::Cell;
use std::sync::OnceLock;

/// The instruction set that the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Portable code, on every machine.
    Scalar,
    /// AVX2 and FMA, on x86-64 processors since about 2013.
    Avx2,
}

thread_local! {
    static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
}

/// The best level of this machine.
fn detected() -> Level {
    static DETECTED: OnceLock<Level> = OnceLock::new();
    *DETECTED.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Level::Avx2;
        }
        Level::Scalar
    })
}

/// The level that kernels called from this thread use: the machine's best, if not inside
/// [`with_level`].
#[must_use]
pub fn level() -> Level {
    FORCED.get().unwrap_or_else(detected)
}

/// Runs `work`, whose kernels called on this thread use `level`, or the machine's best where it
/// hasn't got `level`. For tests, and to tell whether a fault is one of the vectorised code.
pub fn with_level<T>(level: Level, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Level>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(Some(level.min(detected()))));
    work()
}

/// Lanes of a vector.
pub(crate) const LANES: usize = 8;

/// One vector in memory.
pub(crate) type Lanes = [f32; LANES];

/// Operations on vectors of [`LANES`] values. Rounding differs between implementations only where
/// the product of `mul_add` is rounded.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Eight values.
    type Vector: Copy;

    fn splat(self, value: f32) -> Self::Vector;
    fn load(self, from: &Lanes) -> Self::Vector;
    fn store(self, value: Self::Vector, to: &mut Lanes);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b + c
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The smaller; `b` where either is not a number.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The larger; `b` where either is not a number.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// To the nearest integer.
    fn round(self, a: Self::Vector) -> Self::Vector;
    /// 2 to the power of `a`, an integer between −126 and 127.
    fn exp2_integer(self, a: Self::Vector) -> Self::Vector;
    /// The sum of the lanes.
    fn sum(self, a: Self::Vector) -> f32;
    /// Has memory brought close that will be asked for soon.
    fn prefetch(self, at: &Lanes);

    /// The vector that starts at `from[start]`, zeros beyond the end of `from`.
    #[inline(always)]
    fn load_at(self, from: &[f32], start: usize) -> Self::Vector {
        let rest = &from[start..];
        match rest.first_chunk::<LANES>() {
            Some(lanes) => self.load(lanes),
            None => {
                let mut lanes = [0.0; LANES];
                lanes[..rest.len()].copy_from_slice(rest);
                self.load(&lanes)
            }
        }
    }

    /// Stores to `to[start..]` as many lanes as fit.
    #[inline(always)]
    fn store_at(self, value: Self::Vector, to: &mut [f32], start: usize) {
        let rest = &mut to[start..];
        match rest.first_chunk_mut::<LANES>() {
            Some(lanes) => self.store(value, lanes),
            None => {
                let mut lanes = [0.0; LANES];
                self.store(value, &mut lanes);
                rest.copy_from_slice(&lanes[..rest.len()]);
            }
        }
    }
}

/// An inner loop, generic over the instruction set.
pub(crate) trait Kernel {
    type Output;

    /// Implementations are `#[inline(always)]`, and so is what they call: only code inlined into
    /// `dispatch` is compiled for the instruction set.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` compiled for `level`.
#[inline]
pub(crate) fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if level == Level::Avx2
        && let Some(avx2) = avx2::Avx2::detect()
    {
        return avx2.run(kernel);
    }
    let _ = level;
    kernel.run(scalar::Scalar)
}
