use std::arch::aarch64::*;
use std::arch::asm;

use super::vector::{Cell, Lanes, Simd, pairs_of_vectors};

/// Pairs of NEON registers: the lower four lanes, the upper four. NEON belongs to the base
/// instruction set of the targets that this module is compiled for, so the token proves nothing.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

/// Calls intrinsics that ask for NEON and touch no memory.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: the module is compiled only where the target has NEON; the call reads and writes
        // registers only.
        unsafe { $call }
    };
}

/// The pair that an intrinsic makes of each half of its operands.
macro_rules! halves {
    ($intrinsic:ident($($operand:ident),+)) => {
        intrinsic!(float32x4x2_t(
            $intrinsic($($operand.0),+),
            $intrinsic($($operand.1),+),
        ))
    };
}

impl Simd for Neon {
    type Vector = float32x4x2_t;

    pairs_of_vectors!();

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4x2_t {
        let quad = intrinsic!(vdupq_n_f32(value));
        float32x4x2_t(quad, quad)
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> float32x4x2_t {
        let from = from.as_ptr();
        // SAFETY: the target has NEON; `from` is eight readable values, four from each address, and
        // no alignment but theirs is asked for.
        unsafe { float32x4x2_t(vld1q_f32(from), vld1q_f32(from.add(4))) }
    }

    #[inline(always)]
    fn store(self, value: float32x4x2_t, to: &mut Lanes) {
        let to = to.as_mut_ptr();
        // SAFETY: the target has NEON; `to` is eight writable values, four from each address, and
        // no alignment but theirs is asked for.
        unsafe {
            vst1q_f32(to, value.0);
            vst1q_f32(to.add(4), value.1);
        }
    }

    #[inline(always)]
    fn add(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        halves!(vaddq_f32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        halves!(vsubq_f32(a, b))
    }

    #[inline(always)]
    fn mul(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        halves!(vmulq_f32(a, b))
    }

    #[inline(always)]
    fn div(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        halves!(vdivq_f32(a, b))
    }

    // The intrinsic's addend comes first.
    #[inline(always)]
    fn mul_add(self, a: float32x4x2_t, b: float32x4x2_t, c: float32x4x2_t) -> float32x4x2_t {
        halves!(vfmaq_f32(c, a, b))
    }

    // Not `vminq_f32`, which gives not-a-number where either is, nor `vminnmq_f32`, which gives the
    // number, be it `a`.
    #[inline(always)]
    fn min(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        let smaller = intrinsic!((vcltq_f32(a.0, b.0), vcltq_f32(a.1, b.1)));
        halves!(vbslq_f32(smaller, a, b))
    }

    #[inline(always)]
    fn max(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        let larger = intrinsic!((vcgtq_f32(a.0, b.0), vcgtq_f32(a.1, b.1)));
        halves!(vbslq_f32(larger, a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: float32x4x2_t) -> float32x4x2_t {
        halves!(vsqrtq_f32(a))
    }

    #[inline(always)]
    fn round(self, a: float32x4x2_t) -> float32x4x2_t {
        halves!(vrndnq_f32(a))
    }

    #[inline(always)]
    fn exp2_integer(self, a: float32x4x2_t) -> float32x4x2_t {
        #[inline(always)]
        fn quad(a: float32x4_t) -> float32x4_t {
            intrinsic!({
                let biased = vaddq_s32(vcvtnq_s32_f32(a), vdupq_n_s32(127));
                vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased))
            })
        }
        float32x4x2_t(quad(a.0), quad(a.1))
    }

    #[inline(always)]
    fn sum(self, a: float32x4x2_t) -> f32 {
        intrinsic!({
            let quad = vaddq_f32(a.0, a.1);
            vaddv_f32(vadd_f32(vget_low_f32(quad), vget_high_f32(quad)))
        })
    }

    #[inline(always)]
    fn prefetch(self, at: &Lanes) {
        // SAFETY: a prefetch has no effect that a program can see, whatever the address.
        unsafe {
            asm!(
                "prfm pldl1keep, [{at}]",
                at = in(reg) at,
                options(readonly, nostack, preserves_flags),
            );
        }
    }
}
