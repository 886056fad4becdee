//! How work is cut. Cuts depend on shapes alone wherever they could show in the result's bits.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::simd::{LANES, Lanes};

/// Values that one task should handle: some tens of microseconds of work, well above the cost of
/// handing it to another thread, and a block that stays in the second-level cache.
pub(crate) const TASK_VALUES: usize = 32 * 1024;

/// How many rows of `row` values make one task.
pub(crate) fn rows_per_task(row: usize) -> usize {
    (TASK_VALUES / row.max(1)).max(1)
}

/// One aligned vector: loads of it never cross a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct Cell(pub(crate) Lanes);

impl Cell {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
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

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<Cell>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with scratch memory of `len` cells, whose contents are left over from earlier work.
/// A thread keeps its scratch memories for the next time; `work` may ask for more, and may wait for
/// tasks that do.
pub(crate) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [Cell]) -> T) -> T {
    let mut memory = SCRATCH.with_borrow_mut(|free| take_fitting(free, len));
    if memory.len() < len {
        memory.resize(len, Cell::ZERO);
    }
    let result = work(&mut memory[..len]);
    SCRATCH.with_borrow_mut(|free| free.push(memory));
    result
}

/// The smallest memory of at least `len` cells, or else the largest.
fn take_fitting(free: &mut Vec<Vec<Cell>>, len: usize) -> Vec<Cell> {
    let fit = |memory: &Vec<Cell>| match memory.len() {
        found if found >= len => (0, found),
        found => (1, usize::MAX - found),
    };
    let best = (0..free.len()).min_by_key(|&index| fit(&free[index]));
    best.map_or_else(Vec::new, |index| free.swap_remove(index))
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
