//! The kernels that were compiled as C++, by their names, and how one is run.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

/// How many blocks, or threads of a block, there are along each axis.
pub type Size = [u32; 3];

/// A kernel that can be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel(*const Entry);

// SAFETY: what it points to is complete before `main`, lives as long as the program and does not change.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

/// What a kernel is given: a number, or where values are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    value: Value,
    len: usize,
    kind: Kind,
}

/// A number, or where values are and how many bytes they have; aligned for either.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
struct Value([u8; 16]);

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) enum Kind {
    Number,
    Read,
    Write,
}

impl Passed {
    /// A number of at most 16 bytes.
    pub(crate) fn number(bytes: &[u8]) -> Self {
        let mut value = [0; 16];
        value[..bytes.len()].copy_from_slice(bytes);
        Self { value: Value(value), len: bytes.len(), kind: Kind::Number }
    }

    /// `bytes` of values from `start` on.
    pub(crate) fn span(kind: Kind, start: u64, bytes: usize) -> Self {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&start.to_ne_bytes());
        value[8..].copy_from_slice(&(bytes as u64).to_ne_bytes());
        Self { value: Value(value), len: 16, kind }
    }

    /// In place of values that a kernel can do without.
    pub(crate) fn nothing() -> Self {
        Self::span(Kind::Write, 0, 0)
    }

    fn argument(&self) -> Argument {
        Argument { place: (&raw const self.value).cast(), size: self.len, kind: self.kind }
    }
}

/// All kernels with their names, as C++ spells them.
pub(crate) fn all() -> impl Iterator<Item = (Cow<'static, str>, Kernel)> {
    // SAFETY: the list is complete before `main`, lives as long as the program and does not change; a null pointer
    // asks for its first entry.
    let next = |entry| unsafe { fcmae_emulated_next(entry) };
    std::iter::successors(Some(next(std::ptr::null())), move |&entry| Some(next(entry)))
        .take_while(|entry| !entry.is_null())
        .map(|entry| {
            // SAFETY: every entry has a name, a literal that ends with a zero.
            let name = unsafe { CStr::from_ptr(fcmae_emulated_name(entry)) };
            (name.to_string_lossy(), Kernel(entry))
        })
}

impl Kernel {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        static KERNELS: OnceLock<HashMap<Cow<'static, str>, Kernel>> = OnceLock::new();
        KERNELS.get_or_init(|| all().collect()).get(name).copied().ok_or_else(|| {
            let names: Vec<_> = all().map(|(name, _)| name).collect();
            format!("there is no kernel `{name}`; there are {}", names.join(", "))
        })
    }

    /// Whether it takes these arguments. Nothing is read where the values are.
    pub(crate) fn check(self, grid: Size, block: Size, passed: &[Passed]) -> Result<(), String> {
        let arguments: Vec<Argument> = passed.iter().map(Passed::argument).collect();
        // SAFETY: the list is as long as told and lives through the call. Each place is aligned and has as many bytes
        // as its size says, 16 for values.
        told(|message, length| unsafe {
            fcmae_emulated_check(
                self.0,
                grid.as_ptr(),
                block.as_ptr(),
                arguments.as_ptr(),
                arguments.len(),
                message,
                length,
            )
        })
    }

    /// Runs it, threads and blocks in descending order where `backwards` is set.
    ///
    /// # Safety
    /// Where values are given, as many bytes as told are there and initialized. Nobody else writes them before this
    /// returns, nor reads those that are given to be written.
    pub(crate) unsafe fn launch(
        self,
        grid: Size,
        block: Size,
        passed: &[Passed],
        backwards: bool,
    ) -> Result<(), String> {
        let arguments: Vec<Argument> = passed.iter().map(Passed::argument).collect();
        // SAFETY: the list is as long as told and lives through the call. Each place is aligned and has as many bytes
        // as its size says, which is compared with the kernel's own parameter, as are whether it may be written and
        // how its values are aligned. A kernel reaches memory through its spans alone; each access is checked against
        // the span's length, and that so much is there is the caller's promise.
        told(|message, length| unsafe {
            fcmae_emulated_launch(
                self.0,
                grid.as_ptr(),
                block.as_ptr(),
                arguments.as_ptr(),
                arguments.len(),
                backwards,
                message,
                length,
            )
        })
    }
}

/// What `call` says where it is not content: it is given room for a message, and how many bytes that has.
fn told(call: impl FnOnce(*mut c_char, usize) -> bool) -> Result<(), String> {
    let mut message = [0u8; 512];
    if call(message.as_mut_ptr().cast(), message.len()) {
        return Ok(());
    }
    let text = CStr::from_bytes_until_nul(&message).unwrap_or_default();
    Err(text.to_string_lossy().into_owned())
}

/// An argument as C++ is given it.
#[repr(C)]
struct Argument {
    place: *const c_void,
    size: usize,
    kind: Kind,
}

#[repr(C)]
#[derive(Debug)]
struct Entry {
    opaque: [u8; 0],
}

unsafe extern "C" {
    fn fcmae_emulated_next(entry: *const Entry) -> *const Entry;
    fn fcmae_emulated_name(entry: *const Entry) -> *const c_char;
    fn fcmae_emulated_check(
        entry: *const Entry,
        grid: *const u32,
        block: *const u32,
        arguments: *const Argument,
        count: usize,
        message: *mut c_char,
        length: usize,
    ) -> bool;
    fn fcmae_emulated_launch(
        entry: *const Entry,
        grid: *const u32,
        block: *const u32,
        arguments: *const Argument,
        count: usize,
        backwards: bool,
        message: *mut c_char,
        length: usize,
    ) -> bool;
}
