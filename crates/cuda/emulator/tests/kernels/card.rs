//! Values on the emulated card, in either type.

use std::marker::PhantomData;

use fcmae_cuda_emulator::{Argument, Size, launch};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The type of features on the card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Type {
    F32,
    Bf16,
}

pub(crate) const TYPES: [Type; 2] = [Type::F32, Type::Bf16];

impl Type {
    /// As C++ spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::Bf16 => "bf16",
        }
    }

    /// Values of sixteen bytes.
    pub(crate) fn pack(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 8,
        }
    }

    /// How far results may be from the CPU's, in parts of the largest value.
    pub(crate) fn bound(self) -> f32 {
        match self {
            Self::F32 => 1e-5,
            // Half the distance of two neighbours, 2⁻⁸ of the value, for the result alone: both sides are given
            // the same rounded operands.
            Self::Bf16 => 4.5e-3,
        }
    }
}

/// Features on the card.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Features {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
}

impl Features {
    /// `values`, rounded.
    pub(crate) fn new(of: Type, values: &[f32]) -> Self {
        match of {
            Type::F32 => Self::F32(values.to_vec()),
            Type::Bf16 => Self::Bf16(values.iter().map(|&value| rounded(value)).collect()),
        }
    }

    /// To be written: no number is among them.
    pub(crate) fn unwritten(of: Type, len: usize) -> Self {
        Self::new(of, &vec![f32::NAN; len])
    }

    /// To read.
    pub(crate) fn read(&self) -> Argument<'_> {
        match self {
            Self::F32(values) => Argument::read(values),
            Self::Bf16(values) => Argument::read(values),
        }
    }

    /// To write.
    pub(crate) fn write(&mut self) -> Argument<'_> {
        match self {
            Self::F32(values) => Argument::write(values),
            Self::Bf16(values) => Argument::write(values),
        }
    }

    /// As the CPU is given them.
    pub(crate) fn values(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::Bf16(values) => {
                values.iter().map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect()
            }
        }
    }
}

/// The nearest bfloat16, of two the even one.
pub(crate) fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((u64::from(bits) + 0x7fff + u64::from(bits >> 16 & 1)) >> 16) as u16
}

/// Random values within ±`size`.
pub(crate) fn random(seed: u64, len: usize, size: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-size..size)).collect()
}

/// Says that `'a` is within `'e`: that arguments may be of what lives longer than the state.
pub(crate) struct Within<'a, 'e: 'a>(PhantomData<&'a &'e ()>);

/// Runs a kernel in both orders, from `start` each time, and returns what it wrote.
#[track_caller]
pub(crate) fn run<'e, S: Clone + PartialEq + std::fmt::Debug>(
    kernel: &str,
    grid: Size,
    block: Size,
    start: &S,
    arguments: impl for<'a> Fn(&'a mut S, Within<'a, 'e>) -> Vec<Argument<'a>>,
) -> S {
    let [first, second] = [false, true].map(|backwards| {
        let mut state = start.clone();
        let result =
            launch(kernel, grid, block, &arguments(&mut state, Within(PhantomData)), backwards);
        result.unwrap_or_else(|error| panic!("{error}"));
        state
    });
    // NaN is no equal of itself; what is compared is written out.
    assert_eq!(
        format!("{first:?}"),
        format!("{second:?}"),
        "{kernel} depends on the order of threads"
    );
    first
}

/// Blocks of `block` for `work` threads.
pub(crate) fn blocks(work: usize, block: usize) -> u32 {
    work.div_ceil(block) as u32
}

/// Whether `found` is within `bound` of `expected`, in parts of its largest value.
#[track_caller]
pub(crate) fn close(found: &[f32], expected: &[f32], bound: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30f32, |largest, value| largest.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / largest;
        // So written, what is not a number fails.
        assert!(error <= bound, "{what}, {place}: {found} and not {expected}, of {largest}");
    }
}
