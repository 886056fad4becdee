//! Vectors of eight `f32` lanes, pairs of them, and what an instruction set does with them.

/// Lanes of a vector.
pub(crate) const LANES: usize = 8;

/// One vector in memory.
pub(crate) type Lanes = [f32; LANES];

/// One aligned vector: loads of it never cross a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct Cell(pub(crate) Lanes);

impl Cell {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// The pairs of an instruction set whose registers hold no more than one vector.
macro_rules! pairs_of_vectors {
    () => {
        type Pair = [Self::Vector; 2];

        const WIDE: bool = false;

        #[inline(always)]
        fn splat_pair(self, value: f32) -> Self::Pair {
            [self.splat(value); 2]
        }

        #[inline(always)]
        fn load_pair(self, from: &[Cell; 2]) -> Self::Pair {
            [self.load(&from[0].0), self.load(&from[1].0)]
        }

        #[inline(always)]
        fn store_pair(self, value: Self::Pair, to: &mut [Cell; 2]) {
            self.store(value[0], &mut to[0].0);
            self.store(value[1], &mut to[1].0);
        }

        #[inline(always)]
        fn add_pair(self, a: Self::Pair, b: Self::Pair) -> Self::Pair {
            [self.add(a[0], b[0]), self.add(a[1], b[1])]
        }

        #[inline(always)]
        fn mul_add_pair(self, a: Self::Pair, b: Self::Pair, c: Self::Pair) -> Self::Pair {
            [self.mul_add(a[0], b[0], c[0]), self.mul_add(a[1], b[1], c[1])]
        }
    };
}

pub(super) use pairs_of_vectors;

/// Operations on vectors of [`LANES`] values. Rounding differs between implementations only where
/// the product of `mul_add` is rounded.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Eight values.
    type Vector: Copy;
    /// Sixteen values, two vectors' beside each other.
    type Pair: Copy;

    /// Whether a pair is one register, of 32 that there are; else it is two of at least 16.
    const WIDE: bool;

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

    fn splat_pair(self, value: f32) -> Self::Pair;
    fn load_pair(self, from: &[Cell; 2]) -> Self::Pair;
    fn store_pair(self, value: Self::Pair, to: &mut [Cell; 2]);
    fn add_pair(self, a: Self::Pair, b: Self::Pair) -> Self::Pair;
    /// a · b + c
    fn mul_add_pair(self, a: Self::Pair, b: Self::Pair, c: Self::Pair) -> Self::Pair;

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
