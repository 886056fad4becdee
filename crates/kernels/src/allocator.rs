//! An allocator for programs that train.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};

use libmimalloc_sys::{mi_option_set_default, mi_option_t};
use mimalloc::MiMalloc;

/// mimalloc that keeps the memory it once got from the system.
///
/// A training step makes and drops hundreds of large buffers. By default their pages go back to the
/// system some milliseconds later and are faulted in, zeroed, for the next step: a tenth of the
/// processor's time and more.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: fcmae_kernels::allocator::Allocator = fcmae_kernels::allocator::Allocator::new();
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct Allocator {
    started: AtomicBool,
}

/// `mi_option_purge_delay` in mimalloc.h: milliseconds until free memory goes back; −1 is never.
const PURGE_DELAY: mi_option_t = 15;

impl Allocator {
    /// For `#[global_allocator]`.
    #[must_use]
    pub const fn new() -> Self {
        Self { started: AtomicBool::new(false) }
    }

    fn start(&self) {
        if !self.started.load(Ordering::Relaxed) {
            self.started.store(true, Ordering::Relaxed);
            // SAFETY: the call changes a setting that other threads may read. As the program's
            // allocator this is asked for memory before a second thread is there, since making one
            // takes memory.
            unsafe { mi_option_set_default(PURGE_DELAY, -1) };
        }
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every call goes to mimalloc's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.start();
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.start();
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { MiMalloc.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}
