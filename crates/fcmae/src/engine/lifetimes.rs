//! How long the results of a pass live, and the plan of its memory that follows from that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::shape::padded;

/// When a result is made and when it is dropped, counted in such events, and how long it is, in values of
/// float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) values: usize,
    made: usize,
    dropped: usize,
}

/// The lifetimes of the results of a pass that is run for its shapes, as far as they are known.
#[derive(Debug, Default)]
struct Lifetimes {
    results: Vec<Lifetime>,
    events: usize,
}

impl Lifetimes {
    fn event(&mut self) -> usize {
        self.events += 1;
        self.events
    }

    fn make(&mut self, values: usize) -> usize {
        let made = self.event();
        self.results.push(Lifetime { values, made, dropped: usize::MAX });
        self.results.len() - 1
    }

    fn end(&mut self, result: usize) {
        let dropped = self.event();
        self.results[result].dropped = dropped;
    }
}

/// Where the results of a pass that is run for its shapes note when they are made and dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Mutex<Lifetimes>>);

impl Trace {
    fn lock(&self) -> MutexGuard<'_, Lifetimes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A result of so many values of float32.
    pub(crate) fn result(&self, values: usize) -> Traced {
        let result = self.lock().make(values);
        Traced { trace: self.clone(), result, values }
    }

    /// The lifetimes so far, in the order in which results were made.
    pub(crate) fn lifetimes(&self) -> Vec<Lifetime> {
        self.lock().results.clone()
    }

    /// Whether a result is there still.
    pub(crate) fn is_held(&self) -> bool {
        self.lock().results.iter().any(|lifetime| lifetime.dropped == usize::MAX)
    }
}

/// A result that is a shape alone.
#[derive(Debug)]
pub(crate) struct Traced {
    trace: Trace,
    result: usize,
    /// How long it is, in values of float32.
    values: usize,
}

impl Traced {
    /// Its number in the pass.
    pub(crate) fn number(&self) -> usize {
        self.result
    }

    /// How long it is, in values of float32.
    pub(crate) fn len(&self) -> usize {
        self.values
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.trace.lock().end(self.result);
    }
}

/// A place for every result of a pass, in the order in which they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    pub(crate) lifetimes: Vec<Lifetime>,
    /// Of each result, in values of float32.
    pub(crate) starts: Vec<usize>,
    /// All together.
    pub(crate) values: usize,
}

impl MemoryPlan {
    /// Places for results of these lifetimes: the largest first, each in the lowest gap between those
    /// that live at the same time.
    pub(crate) fn new(lifetimes: Vec<Lifetime>) -> Self {
        // Saturates beyond what memory can address; no block of that size is ever allocated.
        let end = |start: usize, values| start.saturating_add(padded(values));
        let mut order: Vec<usize> = (0..lifetimes.len()).collect();
        order.sort_by_key(|&result| std::cmp::Reverse(lifetimes[result].values));
        let mut starts = vec![0; lifetimes.len()];
        let mut placed: Vec<usize> = Vec::with_capacity(lifetimes.len());
        let mut all = 0;
        let mut beside: Vec<[usize; 2]> = Vec::new();
        for result in order {
            let Lifetime { values, made, dropped } = lifetimes[result];
            beside.clear();
            beside.extend(
                placed
                    .iter()
                    .filter(|&&other| {
                        lifetimes[other].made < dropped && made < lifetimes[other].dropped
                    })
                    .map(|&other| [starts[other], end(starts[other], lifetimes[other].values)]),
            );
            beside.sort_unstable();
            let mut start = 0;
            for &[first, last] in &beside {
                if first >= end(start, values) {
                    break;
                }
                start = start.max(last);
            }
            starts[result] = start;
            all = all.max(end(start, values));
            placed.push(result);
        }
        Self { lifetimes, starts, values: all }
    }

    /// Bytes of the block that holds all results.
    pub fn bytes(&self) -> u64 {
        (self.values as u64).saturating_mul(size_of::<f32>() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(lifetimes: &[[usize; 3]]) -> MemoryPlan {
        let lifetime = |&[values, made, dropped]: &[usize; 3]| Lifetime { values, made, dropped };
        MemoryPlan::new(lifetimes.iter().map(lifetime).collect())
    }

    #[test]
    fn results_that_never_live_together_share_memory() {
        let plan = plan(&[[64, 1, 3], [32, 2, 4], [64, 5, 6]]);
        assert_eq!(plan.starts, [0, 64, 0]);
        assert_eq!(plan.bytes(), 96 * 4);
    }

    #[test]
    fn more_than_memory_can_address_is_no_small_plan() {
        assert_eq!(plan(&[[usize::MAX - 3, 1, 3]]).bytes(), u64::MAX);
        assert_eq!(
            plan(&[[usize::MAX / 2, 1, 4], [usize::MAX / 2, 2, 3], [64, 1, 4]]).bytes(),
            u64::MAX
        );
    }

    #[test]
    fn a_gap_is_used_where_it_is_wide_enough() {
        // The first and third live on; between them lies the second's old place.
        let plan = plan(&[[64, 1, 9], [48, 2, 4], [64, 3, 9], [32, 5, 9]]);
        for (a, first) in plan.lifetimes.iter().enumerate() {
            for (b, second) in plan.lifetimes.iter().enumerate().skip(a + 1) {
                let together = first.made < second.dropped && second.made < first.dropped;
                let [a, b] = [(a, first), (b, second)]
                    .map(|(result, lifetime)| (plan.starts[result], lifetime.values));
                let apart = a.0 + a.1 <= b.0 || b.0 + b.1 <= a.0;
                assert!(apart || !together, "{plan:?}");
            }
        }
        assert_eq!(plan.bytes(), (64 + 48 + 64) * 4);
    }
}
