//! One allocation that many buffers share, one after the other and beside each other.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::KernelError;

/// Bytes that the first value's address is a multiple of: a cache line, and the widest vector.
const ALIGNMENT: usize = 64;

/// Bytes of a huge page, which saves the processor most of its look-ups of addresses: a step of
/// training is three hundredths faster with them. Memories of at least that many lie in such pages
/// where the system has them.
const HUGE_PAGE: usize = 2 << 20;

/// A fixed number of `f32` values, handed out in exclusive pieces. Clones share the values.
///
/// Its pages are those of zeroed memory, untouched until a piece is written. A piece holds what was
/// last written where it lies, zeros where nothing was.
///
/// ```
/// use fcmae_kernels::memory::Memory;
///
/// let memory = Memory::new(1000)?;
/// let mut first = memory.take(0, 600)?;
/// first.fill(1.0);
/// assert!(memory.take(500, 100).is_err(), "its first value is still another piece's");
/// drop(first);
/// assert!(memory.take(500, 100).is_ok());
/// # Ok::<(), fcmae_kernels::KernelError>(())
/// ```
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    /// The first value, at a multiple of [`ALIGNMENT`].
    values: NonNull<f32>,
    len: usize,
    /// Whether pieces are filled with NaN when they are dropped.
    poisoning: bool,
    /// The live pieces of at least one value: start → length. No two overlap.
    live: Mutex<BTreeMap<usize, usize>>,
    /// What the allocator gave, and how it was asked.
    allocation: NonNull<u8>,
    layout: Layout,
}

// SAFETY: `values` and `allocation` are owned by `Shared` alone, as a vector owns its values.
unsafe impl Send for Shared {}
// SAFETY: through a shared reference the values are only reached by a `Piece`, whose range no other
// live piece overlaps; `live`, which sees to that, is behind a mutex.
unsafe impl Sync for Shared {}

impl Memory {
    /// Memory of `len` values.
    ///
    /// # Errors
    /// Where the system doesn't give as much.
    pub fn new(len: usize) -> Result<Self, KernelError> {
        Self::allocate(len, false)
    }

    /// Memory as [`new`](Self::new) gives it, whose pieces are filled with NaN when they are dropped:
    /// for tests that nothing reads what is dead.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn poisoning(len: usize) -> Result<Self, KernelError> {
        Self::allocate(len, true)
    }

    fn allocate(len: usize, poisoning: bool) -> Result<Self, KernelError> {
        let operation = "memory::Memory::new";
        // The system's allocator has zeroed pages to give only where it is asked for no more than
        // its own alignment; otherwise it writes the zeros. So the first value's place is sought
        // here.
        let alignment = if len >= HUGE_PAGE / size_of::<f32>() { HUGE_PAGE } else { ALIGNMENT };
        let layout = Layout::array::<f32>(len)
            .ok()
            .and_then(|values| values.size().checked_add(alignment))
            .and_then(|size| Layout::from_size_align(size, align_of::<f32>()).ok())
            .ok_or(KernelError::Overflow { operation })?;
        // SAFETY: the layout's size is at least the alignment, not zero.
        let allocation = NonNull::new(unsafe { alloc_zeroed(layout) })
            .ok_or(KernelError::Allocation { operation, bytes: layout.size() })?;
        let offset = allocation.addr().get().next_multiple_of(alignment) - allocation.addr().get();
        // SAFETY: `offset` is below the alignment, by which the allocation exceeds the values.
        let values: NonNull<f32> = unsafe { allocation.add(offset) }.cast();
        if alignment == HUGE_PAGE {
            ask_for_huge_pages(values, len);
        }
        let live = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { values, len, poisoning, live, allocation, layout }) })
    }

    /// How many values it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len
    }

    /// Whether it has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many pieces of at least one value are alive.
    #[must_use]
    pub fn live_pieces(&self) -> usize {
        self.shared.live().len()
    }

    /// The values `start..start + len`, for the caller alone until the piece is dropped.
    ///
    /// # Errors
    /// Where they aren't all there, or one of them is in a piece that is still alive.
    pub fn take(&self, start: usize, len: usize) -> Result<Piece, KernelError> {
        let memory = self.shared.len;
        let end = start
            .checked_add(len)
            .filter(|&end| end <= memory)
            .ok_or(KernelError::PieceOutside { start, len, memory })?;
        if len > 0 {
            let mut live = self.shared.live();
            // As live pieces don't overlap, the last that starts before `end` is the last to end.
            if let Some((&other, &other_len)) = live.range(..end).next_back()
                && other + other_len > start
            {
                return Err(KernelError::PieceOverlap { start, len, other, other_len });
            }
            live.insert(start, len);
        }
        Ok(Piece { shared: Arc::clone(&self.shared), start, len })
    }
}

/// Asks the system for huge pages. Whole ones alone: beyond the values others' memory may lie.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(values: NonNull<f32>, len: usize) {
    let bytes = len * size_of::<f32>() / HUGE_PAGE * HUGE_PAGE;
    // SAFETY: the pages are within the allocation, and the advice changes none of their values. Where
    // it isn't taken, the pages stay small.
    let _ = unsafe {
        rustix::mm::madvise(values.as_ptr().cast(), bytes, rustix::mm::Advice::LinuxHugepage)
    };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_values: NonNull<f32>, _len: usize) {}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("len", &self.shared.len)
            .field("poisoning", &self.shared.poisoning)
            .field("live", &*self.shared.live())
            .finish()
    }
}

impl Shared {
    /// The live pieces. Nothing panics while they are locked, so they are whole even where the lock
    /// counts as poisoned.
    fn live(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: `allocation` came from `alloc_zeroed` with this layout. Pieces hold `Shared`, so
        // none is left.
        unsafe { dealloc(self.allocation.as_ptr(), self.layout) }
    }
}

/// Values of a [`Memory`] that nobody else has. They may be taken again once it is dropped.
pub struct Piece {
    shared: Arc<Shared>,
    start: usize,
    len: usize,
}

impl Piece {
    /// `len` zeros in a memory of their own, as a vector would hold them.
    ///
    /// # Panics
    /// Where the system doesn't give as much.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        match Memory::new(len).and_then(|memory| memory.take(0, len)) {
            Ok(piece) => piece,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Clone for Piece {
    /// The same values in a memory of their own.
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Piece {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `start + len` is within the allocation (`Memory::take`), which lives as long as
        // `shared` and has been a sequence of valid `f32` since it was zeroed. No other live piece
        // overlaps the range, and this one is borrowed, so nobody writes it meanwhile.
        unsafe { std::slice::from_raw_parts(self.shared.values.add(self.start).as_ptr(), self.len) }
    }
}

impl DerefMut for Piece {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; this piece is borrowed exclusively, so nobody else reads it.
        unsafe {
            std::slice::from_raw_parts_mut(self.shared.values.add(self.start).as_ptr(), self.len)
        }
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece").field("start", &self.start).field("len", &self.len).finish()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        if self.shared.poisoning {
            self.fill(f32::NAN);
        }
        self.shared.live().remove(&self.start);
    }
}
