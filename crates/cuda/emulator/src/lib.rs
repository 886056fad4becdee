//! The tests' graphics card: the CUDA kernels compiled as C++, a block's threads as fibers of one thread.
//!
//! What it checks that a card does not: every access against the length of what is accessed, that all threads of
//! a block come to the same barriers and all lanes of a warp to the same shuffles, and the number and sizes of a
//! launch's arguments. Blocks and threads run in either order, so that a result that depends on it shows.
//!
//! [`launch`] runs a single kernel on slices. [`Emulated`] is a whole card, with memory, products and streams.
//!
//! It needs a C++ compiler and the fibers of the GNU library on Linux: elsewhere this crate is empty.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod driver;
mod kernel;

use std::marker::PhantomData;

pub use kernel::Size;
use kernel::{Kernel, Kind, Passed};

pub use driver::{Counts, Emulated, Order};

/// What a kernel is given.
#[derive(Clone, Copy)]
pub struct Argument<'a> {
    passed: Passed,
    borrowed: PhantomData<&'a mut ()>,
}

/// Types whose values are plain bits, the same in both languages.
pub trait Plain: Copy + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($name:ty),*) => {
        $(
            impl sealed::Sealed for $name {}
            impl Plain for $name {}
        )*
    };
}

// bfloat16 values are given as u16.
plain!(u8, u16, i32, u32, u64, f32, f64);

impl<'a> Argument<'a> {
    /// A number.
    pub fn of<T: Plain>(value: T) -> Self {
        // SAFETY: a number is as many initialized bytes (it has no padding), and lives longer than the slice.
        let bytes =
            unsafe { std::slice::from_raw_parts((&raw const value).cast(), size_of::<T>()) };
        Self { passed: Passed::number(bytes), borrowed: PhantomData }
    }

    /// Values that the kernel reads.
    pub fn read<T: Plain>(values: &'a [T]) -> Self {
        let start = values.as_ptr().expose_provenance() as u64;
        let passed = Passed::span(Kind::Read, start, size_of_val(values));
        Self { passed, borrowed: PhantomData }
    }

    /// Values that the kernel may read and write.
    pub fn write<T: Plain>(values: &'a mut [T]) -> Self {
        let start = values.as_mut_ptr().expose_provenance() as u64;
        let passed = Passed::span(Kind::Write, start, size_of_val(values));
        Self { passed, borrowed: PhantomData }
    }

    /// In place of values that a kernel can do without.
    pub fn none() -> Self {
        Self { passed: Passed::nothing(), borrowed: PhantomData }
    }
}

/// The names of all kernels, as C++ spells them.
pub fn kernels() -> Vec<String> {
    kernel::all().map(|(name, _)| name.into_owned()).collect()
}

/// Runs a kernel with threads and blocks in ascending order, or in descending order where `backwards` is set.
///
/// # Errors
/// What the kernel did wrong, and where.
pub fn launch(
    kernel: &str,
    grid: Size,
    block: Size,
    arguments: &[Argument<'_>],
    backwards: bool,
) -> Result<(), String> {
    let found = Kernel::named(kernel)?;
    let passed: Vec<Passed> = arguments.iter().map(|argument| argument.passed).collect();
    // SAFETY: the arguments borrow what they name, so that it is there and nobody else's until this returns.
    unsafe { found.launch(grid, block, &passed, backwards) }
        .map_err(|reason| format!("{kernel}: {reason}"))
}
