use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::vector::{Cell, Kernel, Lanes, Simd};

/// Proof that the processor has AVX-512 (F and VL) besides AVX2 and FMA: `detect` alone makes one.
///
/// Single vectors are those of AVX2, with twice as many registers; pairs of them are one register.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(Avx2);

impl Avx512 {
    /// The token, if the processor has all. The standard library caches the answer.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        Avx2::detect().filter(|_| wide).map(Self)
    }

    /// Runs `kernel` compiled for AVX-512.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
        fn compiled<K: Kernel>(avx512: Avx512, kernel: K) -> K::Output {
            kernel.run(avx512)
        }
        // SAFETY: `self` proves that the processor has the features.
        unsafe { compiled(self, kernel) }
    }
}

/// Methods that are those of AVX2.
macro_rules! as_avx2 {
    ($($method:ident($($operand:ident: $operand_type:ty),+) $(-> $result:ty)?;)+) => {
        $(
            #[inline(always)]
            fn $method(self, $($operand: $operand_type),+) $(-> $result)? {
                self.0.$method($($operand),+)
            }
        )+
    };
}

impl Simd for Avx512 {
    type Vector = __m256;
    type Pair = __m512;

    const WIDE: bool = true;

    as_avx2! {
        splat(value: f32) -> __m256;
        load(from: &Lanes) -> __m256;
        store(value: __m256, to: &mut Lanes);
        add(a: __m256, b: __m256) -> __m256;
        sub(a: __m256, b: __m256) -> __m256;
        mul(a: __m256, b: __m256) -> __m256;
        div(a: __m256, b: __m256) -> __m256;
        mul_add(a: __m256, b: __m256, c: __m256) -> __m256;
        min(a: __m256, b: __m256) -> __m256;
        max(a: __m256, b: __m256) -> __m256;
        sqrt(a: __m256) -> __m256;
        round(a: __m256) -> __m256;
        exp2_integer(a: __m256) -> __m256;
        sum(a: __m256) -> f32;
        prefetch(at: &Lanes);
    }

    #[inline(always)]
    fn splat_pair(self, value: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512; the call touches registers only.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load_pair(self, from: &[Cell; 2]) -> __m512 {
        // SAFETY: `self` proves AVX-512; `from` is 64 readable bytes, two cells of eight values
        // each, and no alignment is asked for.
        unsafe { _mm512_loadu_ps(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_pair(self, value: __m512, to: &mut [Cell; 2]) {
        // SAFETY: `self` proves AVX-512; `to` is 64 writable bytes, two cells of eight values each,
        // and no alignment is asked for.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr().cast(), value) }
    }

    #[inline(always)]
    fn add_pair(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512; the call touches registers only.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add_pair(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512; the call touches registers only.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
}
