//! The tests' graphics card: the CUDA kernels compiled as C++, a block's threads as fibers of one thread.
//!
//! What it checks that a card does not: every access against the length of what is accessed, that all threads of
//! a block come to the same barriers and all lanes of a warp to the same shuffles, and the number and sizes of a
//! launch's arguments. Blocks and threads run in either order, so that a result that depends on it shows.
//!
//! It needs a C++ compiler and the fibers of the GNU library on Linux: elsewhere this crate is empty.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;

/// What a kernel is given.
#[derive(Clone, Copy)]
pub struct Argument<'a> {
    bytes: [u8; 16],
    len: usize,
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
        let len = size_of::<T>();
        let mut bytes = [0; 16];
        // SAFETY: `value` is `len` initialized bytes (a number has no padding), and `bytes` has as many.
        unsafe {
            std::ptr::copy_nonoverlapping((&raw const value).cast(), bytes.as_mut_ptr(), len)
        };
        Self { bytes, len, borrowed: PhantomData }
    }

    /// Values that the kernel reads.
    pub fn read<T: Plain>(values: &'a [T]) -> Self {
        Self::span(values.as_ptr().addr(), size_of_val(values), PhantomData)
    }

    /// Values that the kernel may read and write.
    pub fn write<T: Plain>(values: &'a mut [T]) -> Self {
        Self::span(values.as_mut_ptr().expose_provenance(), size_of_val(values), PhantomData)
    }

    /// In place of values that a kernel can do without.
    pub fn none() -> Self {
        Self::span(0, 0, PhantomData)
    }

    fn span(start: usize, len: usize, borrowed: PhantomData<&'a mut ()>) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(start as u64).to_ne_bytes());
        bytes[8..].copy_from_slice(&(len as u64).to_ne_bytes());
        Self { bytes, len: 16, borrowed }
    }
}

/// The names of all kernels, as C++ spells them.
pub fn kernels() -> Vec<String> {
    entries().map(|(name, _)| name).collect()
}

fn entries() -> impl Iterator<Item = (String, *const Entry)> {
    // SAFETY: the list is complete before `main`, lives as long as the program and does not change; a null pointer
    // asks for its first entry.
    let next = |entry| unsafe { fcmae_emulated_next(entry) };
    std::iter::successors(Some(next(std::ptr::null())), move |&entry| Some(next(entry)))
        .take_while(|entry| !entry.is_null())
        .map(|entry| {
            // SAFETY: every entry has a name, a literal that ends with a zero.
            let name = unsafe { CStr::from_ptr(fcmae_emulated_name(entry)) };
            (name.to_string_lossy().into_owned(), entry)
        })
}

/// How many blocks, or threads of a block, there are along each axis.
pub type Size = [u32; 3];

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
    let Some((_, entry)) = entries().find(|(name, _)| name == kernel) else {
        return Err(format!("there is no kernel `{kernel}`; there are {}", kernels().join(", ")));
    };
    let places: Vec<*const c_void> =
        arguments.iter().map(|argument| argument.bytes.as_ptr().cast()).collect();
    let sizes: Vec<usize> = arguments.iter().map(|argument| argument.len).collect();
    let mut message = [0u8; 512];
    // SAFETY: the lists are as long as told and live through the call, and each place has as many bytes as its
    // size says, which is compared with the kernel's own parameter. A kernel reaches memory through its spans
    // alone; each access is checked against the span's length, and the borrows in `arguments` last as long.
    let done = unsafe {
        fcmae_emulated_launch(
            entry,
            grid.as_ptr(),
            block.as_ptr(),
            places.as_ptr(),
            sizes.as_ptr(),
            places.len(),
            backwards,
            message.as_mut_ptr().cast(),
            message.len(),
        )
    };
    if done {
        return Ok(());
    }
    let text = CStr::from_bytes_until_nul(&message).unwrap_or_default().to_string_lossy();
    Err(format!("{kernel}: {text}"))
}

#[repr(C)]
struct Entry {
    opaque: [u8; 0],
}

unsafe extern "C" {
    fn fcmae_emulated_next(entry: *const Entry) -> *const Entry;
    fn fcmae_emulated_name(entry: *const Entry) -> *const c_char;
    fn fcmae_emulated_launch(
        entry: *const Entry,
        grid: *const u32,
        block: *const u32,
        arguments: *const *const c_void,
        sizes: *const usize,
        count: usize,
        backwards: bool,
        message: *mut c_char,
        length: usize,
    ) -> bool;
}
