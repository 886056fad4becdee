//! How work is cut. Cuts depend on shapes alone wherever they could show in the result's bits.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use rayon::prelude::*;

use crate::memory::Piece;
use crate::simd::{Cell, LANES};

/// Runs `work` by one of the threads that kernels share their work among, and waits for it. Any other
/// thread falls asleep and is woken again for each kernel that it calls.
pub fn by_a_worker<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

/// Values that one task should handle: some tens of microseconds of work, well above the cost of
/// handing it to another thread, and a block that stays in the second-level cache.
pub(crate) const TASK_VALUES: usize = 32 * 1024;

/// How many rows of `row` values make one task.
pub(crate) fn rows_per_task(row: usize) -> usize {
    (TASK_VALUES / row.max(1)).max(1)
}

/// The same memory as single values.
pub(crate) fn values(cells: &[Cell]) -> &[f32] {
    // SAFETY: a `Cell` is eight `f32` and nothing else (`repr(C)`, its size a multiple of its
    // alignment), so `cells` is `len · LANES` of them, valid for as long as the borrow.
    unsafe { std::slice::from_raw_parts(cells.as_ptr().cast(), cells.len() * LANES) }
}

/// The same memory as single values.
pub(crate) fn values_mut(cells: &mut [Cell]) -> &mut [f32] {
    // SAFETY: as in `values`; the borrow is the only one.
    unsafe { std::slice::from_raw_parts_mut(cells.as_mut_ptr().cast(), cells.len() * LANES) }
}

/// The whole vectors in `values`.
fn cells(values: &[f32]) -> &[Cell] {
    // SAFETY: as in `cells_in`.
    let (_, cells, _) = unsafe { values.align_to::<Cell>() };
    cells
}

/// The whole vectors in `values`.
pub(crate) fn cells_in(values: &mut [f32]) -> &mut [Cell] {
    // SAFETY: a `Cell` is eight `f32` and nothing else, and eight of any bits are one.
    let (_, cells, _) = unsafe { values.align_to_mut::<Cell>() };
    cells
}

thread_local! {
    static SCRATCH: RefCell<Kept> = const { RefCell::new(Kept { pieces: Vec::new(), requests: 0 }) };
}

/// Scratch memories a thread keeps: as many as a block's backward pass uses at once.
const MOST_KEPT: usize = 6;

/// Requests of a thread after which a memory that met none of them goes back to the system, so that a
/// program that goes on with smaller work does not hold what the largest took. Memory that is needed more
/// rarely comes anew so rarely that it costs nothing.
const PATIENCE: u64 = 2048;

/// The scratch memories that a thread keeps for the next time.
struct Kept {
    /// Each with the number of the request that it last met.
    pieces: Vec<(Piece, u64)>,
    /// So far.
    requests: u64,
}

impl Kept {
    /// The smallest memory of at least `len` values, or else the largest.
    fn take(&mut self, len: usize) -> Option<Piece> {
        self.requests += 1;
        if self.requests.is_multiple_of(PATIENCE / 8) {
            let oldest = self.requests.saturating_sub(PATIENCE);
            self.pieces.retain(|(_, met)| *met >= oldest);
        }
        let fit = |memory: &Piece| match memory.len() {
            found if found >= len => (0, found),
            found => (1, usize::MAX - found),
        };
        let best = (0..self.pieces.len()).min_by_key(|&index| fit(&self.pieces[index].0))?;
        Some(self.pieces.swap_remove(best).0)
    }

    fn give_back(&mut self, memory: Piece) {
        self.pieces.push((memory, self.requests));
        if self.pieces.len() > MOST_KEPT
            && let Some(smallest) =
                (0..self.pieces.len()).min_by_key(|&index| self.pieces[index].0.len())
        {
            self.pieces.swap_remove(smallest);
        }
    }
}

/// Scratch memory, whose contents are left over from earlier work. The thread that drops it keeps it
/// for the next time: memory from the system would come page by page, each of them zeroed.
pub(crate) struct Scratch {
    /// `None` once it is given back.
    memory: Option<Piece>,
    len: usize,
    /// Whether no thread keeps it.
    owned: bool,
}

impl Scratch {
    /// Of `len` cells.
    pub(crate) fn new(len: usize) -> Self {
        let fitting = SCRATCH.with_borrow_mut(|kept| kept.take(len * LANES));
        let memory = match fitting {
            Some(memory) if memory.len() >= len * LANES => memory,
            // The old one goes first, and the new one is no longer than it must be.
            smaller => {
                drop(smaller);
                Piece::zeros(len * LANES)
            }
        };
        Self { memory: Some(memory), len, owned: false }
    }

    /// Of `len` zeros that go back to the system when they are dropped.
    pub(crate) fn owned(len: usize) -> Self {
        Self { memory: Some(Piece::zeros(len * LANES)), len, owned: true }
    }
}

impl Deref for Scratch {
    type Target = [Cell];

    fn deref(&self) -> &[Cell] {
        self.memory.as_ref().map_or(&[], |memory| &cells(memory)[..self.len])
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [Cell] {
        self.memory.as_mut().map_or(&mut [], |memory| &mut cells_in(memory)[..self.len])
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take().filter(|_| !self.owned) else { return };
        // A thread that ends keeps nothing.
        let _ = SCRATCH.try_with(|kept| kept.borrow_mut().give_back(memory));
    }
}

/// Runs `work` with [`Scratch`] of `len` cells. It may ask for more, and may wait for tasks that do.
pub(crate) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [Cell]) -> T) -> T {
    work(&mut Scratch::new(len))
}

/// Adds `parts` (a whole number of slices as long as `sum`) to `sum`, in their order.
pub(crate) fn add_parts(parts: &[f32], sum: &mut [f32]) {
    let len = sum.len();
    if len == 0 {
        return;
    }
    sum.par_chunks_mut(TASK_VALUES).enumerate().for_each(|(task, sum)| {
        for part in parts.chunks_exact(len) {
            let part = &part[task * TASK_VALUES..][..sum.len()];
            for (sum, value) in sum.iter_mut().zip(part) {
                *sum += value;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of what this thread keeps, in cells, ascending.
    fn kept() -> Vec<usize> {
        let length = |(piece, _): &(Piece, u64)| piece.len() / LANES;
        let mut lengths: Vec<usize> =
            SCRATCH.with_borrow(|kept| kept.pieces.iter().map(length).collect());
        lengths.sort_unstable();
        lengths
    }

    /// As a thread that has kept nothing yet.
    fn forget() {
        SCRATCH.with_borrow_mut(|kept| kept.pieces.clear());
    }

    fn ask(len: usize) {
        with_scratch(len, |cells| assert_eq!(cells.len(), len));
    }

    #[test]
    fn what_no_work_needs_any_more_is_given_back() {
        forget();
        with_scratch(10, |_| ask(1_000_000));
        assert_eq!(kept(), [10, 1_000_000]);
        for _ in 0..2 * PATIENCE {
            ask(10);
        }
        assert_eq!(kept(), [10]);
    }

    #[test]
    fn what_is_needed_now_and_then_is_kept() {
        forget();
        let place = |len| with_scratch(len, |cells| cells.as_ptr().addr());
        let first = with_scratch(10, |_| place(1_000_000));
        for request in 1..4 * PATIENCE {
            if request.is_multiple_of(PATIENCE / 4) {
                assert_eq!(place(1_000_000), first);
            } else {
                ask(10);
            }
        }
        assert_eq!(kept(), [10, 1_000_000]);
    }
}
