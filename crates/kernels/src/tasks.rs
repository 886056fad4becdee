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

thread_local! {
    static SCRATCH: RefCell<Vec<Cell>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with this thread's scratch memory of `len` cells, whose contents are left over from
/// earlier work. `work` must not wait on other tasks, or the memory is allocated again for those.
pub(crate) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [Cell]) -> T) -> T {
    let mut memory = SCRATCH.take();
    if memory.len() < len {
        memory.resize(len, Cell::ZERO);
    }
    let result = work(&mut memory[..len]);
    SCRATCH.set(memory);
    result
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
