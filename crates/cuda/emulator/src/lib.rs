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
    value: Value,
    len: usize,
    kind: Kind,
    borrowed: PhantomData<&'a mut ()>,
}

/// A number, or where values are and how many bytes they have; aligned for either.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Value([u8; 16]);

#[derive(Clone, Copy)]
#[repr(C)]
enum Kind {
    Number,
    Read,
    Write,
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
        Self { value: Value(bytes), len, kind: Kind::Number, borrowed: PhantomData }
    }

    /// Values that the kernel reads.
    pub fn read<T: Plain>(values: &'a [T]) -> Self {
        let start = values.as_ptr().expose_provenance();
        Self::span(Kind::Read, start, size_of_val(values), PhantomData)
    }

    /// Values that the kernel may read and write.
    pub fn write<T: Plain>(values: &'a mut [T]) -> Self {
        let start = values.as_mut_ptr().expose_provenance();
        Self::span(Kind::Write, start, size_of_val(values), PhantomData)
    }

    /// In place of values that a kernel can do without.
    pub fn none() -> Self {
        Self::span(Kind::Write, 0, 0, PhantomData)
    }

    fn span(kind: Kind, start: usize, len: usize, borrowed: PhantomData<&'a mut ()>) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(start as u64).to_ne_bytes());
        bytes[8..].copy_from_slice(&(len as u64).to_ne_bytes());
        Self { value: Value(bytes), len: 16, kind, borrowed }
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
    let arguments: Vec<Given> = arguments
        .iter()
        .map(|argument| Given {
            place: (&raw const argument.value).cast(),
            size: argument.len,
            kind: argument.kind,
        })
        .collect();
    let mut message = [0u8; 512];
    // SAFETY: the list is as long as told and lives through the call. Each place is aligned and has as many bytes
    // as its size says, which is compared with the kernel's own parameter, as are whether it may be written and how
    // its values are aligned. A kernel reaches memory through its spans alone; each access is checked against the
    // span's length, and the borrows in the arguments last as long.
    let done = unsafe {
        fcmae_emulated_launch(
            entry,
            grid.as_ptr(),
            block.as_ptr(),
            arguments.as_ptr(),
            arguments.len(),
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

/// An argument as C++ is given it.
#[repr(C)]
struct Given {
    place: *const c_void,
    size: usize,
    kind: Kind,
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
        arguments: *const Given,
        count: usize,
        backwards: bool,
        message: *mut c_char,
        length: usize,
    ) -> bool;
}
