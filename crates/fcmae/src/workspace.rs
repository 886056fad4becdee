//! Memory for a pass, planned from its shapes.
//!
//! A pass is run twice. The first time no kernel runs: results are shapes alone, and what is written
//! down is how long each lives. From that follows a [`MemoryPlan`]: a place in one block
//! for every result, so that results that never live together may share memory. The second time
//! they lie there. So the memory of a step is known before the step, and no more than that is taken.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fcmae_kernels::memory::{Memory, Piece};

use crate::ops::Operation;
use crate::tensor::{Shape, Tensor, padded};

/// When a result is made and when it is dropped, counted in such events, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lifetime {
    values: usize,
    made: usize,
    dropped: usize,
}

/// The results of a pass that is run for its shapes.
#[derive(Debug, Default)]
struct Trace {
    lifetimes: Vec<Lifetime>,
    events: usize,
    operations: BTreeSet<Operation>,
}

impl Trace {
    fn event(&mut self) -> usize {
        self.events += 1;
        self.events
    }

    fn make(&mut self, values: usize) -> usize {
        let made = self.event();
        self.lifetimes.push(Lifetime { values, made, dropped: usize::MAX });
        self.lifetimes.len() - 1
    }

    fn end(&mut self, result: usize) {
        let event = self.event();
        // One that outlived its trace is told of there.
        if let Some(lifetime) = self.lifetimes.get_mut(result) {
            lifetime.dropped = event;
        }
    }
}

fn lock(trace: &Mutex<Trace>) -> MutexGuard<'_, Trace> {
    trace.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place for every result of a pass, in the order in which they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    lifetimes: Vec<Lifetime>,
    starts: Vec<usize>,
    values: usize,
}

impl MemoryPlan {
    /// Places for results of these lifetimes: the largest first, each in the lowest gap between those
    /// that live at the same time.
    fn new(lifetimes: Vec<Lifetime>) -> Self {
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

/// Why a pass is refused whose results outlive it.
const HELD: &str = "a result is held beyond its pass; copy it with `to_vec`";

/// Where a pass's results go.
#[derive(Debug, Default)]
pub struct Workspace {
    memory: Option<Memory>,
    plan: MemoryPlan,
    poisoned: bool,
    operations: BTreeSet<Operation>,
    mode: Mode,
}

#[derive(Debug, Default)]
enum Mode {
    /// Each result in memory of its own.
    #[default]
    Heap,
    /// Shapes alone.
    Tracing(Arc<Mutex<Trace>>),
    /// By the plan; this result is next.
    Planned(usize),
}

impl Workspace {
    /// One that fills what is dropped with NaN, to find whoever reads it.
    pub fn poisoned() -> Self {
        Self { poisoned: true, ..Self::default() }
    }

    /// Runs `pass` twice: for its shapes, and by the plan that follows from them. `take` copies what is
    /// wanted out of what the second came to, as the next pass uses the memory again.
    ///
    /// # Panics
    /// Where a result of either outlives it.
    pub(crate) fn planned<T, R>(
        &mut self,
        mut pass: impl FnMut(&mut Self) -> T,
        take: impl FnOnce(T) -> R,
    ) -> R {
        self.trace(|workspace| {
            pass(workspace);
        });
        let enough = self.memory.as_ref().is_some_and(|memory| memory.len() >= self.plan.values);
        if !enough {
            // The old block goes before the new one comes.
            self.memory = None;
            let make = if self.poisoned { Memory::poisoning } else { Memory::new };
            // As where a vector finds no memory: whoever can know beforehand asks `memory`.
            self.memory =
                Some(make(self.plan.values).expect("enough memory for the results of a pass"));
        }
        self.mode = Mode::Planned(0);
        let result = pass(self);
        self.mode = Mode::Heap;
        let taken = take(result);
        // A result that was kept would hold the next pass's values, or a place on another tape.
        let held = self.memory.as_ref().is_some_and(|memory| memory.live_pieces() > 0);
        assert!(!held, "{HELD}");
        taken
    }

    /// What `pass` would take.
    pub(crate) fn trace(&mut self, pass: impl FnOnce(&mut Self)) -> &MemoryPlan {
        let trace = Arc::new(Mutex::new(Trace::default()));
        self.mode = Mode::Tracing(Arc::clone(&trace));
        pass(self);
        self.mode = Mode::Heap;
        let Trace { lifetimes, operations, .. } = std::mem::take(&mut *lock(&trace));
        self.operations = operations;
        let held = lifetimes.iter().any(|lifetime| lifetime.dropped == usize::MAX);
        assert!(!held, "{HELD}");
        if lifetimes != self.plan.lifetimes {
            self.plan = MemoryPlan::new(lifetimes);
        }
        &self.plan
    }

    /// The plan of the last pass.
    pub fn plan(&self) -> &MemoryPlan {
        &self.plan
    }

    /// Notes that a pass uses `operation`.
    pub(crate) fn uses(&self, operation: Operation) {
        if let Mode::Tracing(trace) = &self.mode {
            lock(trace).operations.insert(operation);
        }
    }

    /// What the last planned or traced pass is made of.
    pub fn operations(&self) -> &BTreeSet<Operation> {
        &self.operations
    }

    pub(crate) fn is_tracing(&self) -> bool {
        matches!(self.mode, Mode::Tracing(_))
    }

    /// A tensor that is a shape alone.
    ///
    /// # Panics
    /// Where the pass is not only traced.
    pub(crate) fn shape(&mut self, shape: impl Into<Shape>) -> Tensor {
        assert!(self.is_tracing(), "a shape alone has no values to compute with");
        let shape = shape.into();
        Tensor::in_room(self.room(shape.count()), shape)
    }

    /// Room for a result of `values` values.
    pub(crate) fn room(&mut self, values: usize) -> Room {
        match &mut self.mode {
            Mode::Heap => Room::Heap(fcmae_kernels::buffer(values)),
            Mode::Tracing(trace) => {
                let result = lock(trace).make(values);
                Room::Traced(Traced { trace: Arc::clone(trace), result, values })
            }
            Mode::Planned(next) => {
                let result = *next;
                *next += 1;
                let lifetime = self.plan.lifetimes.get(result);
                assert!(
                    lifetime.is_some_and(|lifetime| lifetime.values == values),
                    "a pass asks for the same memory whenever it is run"
                );
                let memory = self.memory.as_ref().expect("planned passes have memory");
                let piece = memory.take(self.plan.starts[result], values);
                Room::Planned(piece.expect("no result is held beyond its pass"))
            }
        }
    }
}

/// Where a tensor's values lie.
#[derive(Debug)]
pub(crate) enum Room {
    Heap(Vec<f32>),
    Planned(Piece),
    Traced(Traced),
}

impl Room {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Heap(values) => values.len(),
            Self::Planned(piece) => piece.len(),
            Self::Traced(traced) => traced.values,
        }
    }

    pub(crate) fn values(&self) -> &[f32] {
        match self {
            Self::Heap(values) => values,
            Self::Planned(piece) => piece,
            Self::Traced(_) => panic!("this tensor is a shape alone: its pass is only traced"),
        }
    }

    /// To write the values; `None` where there is only a shape.
    pub(crate) fn values_mut(&mut self) -> Option<&mut [f32]> {
        match self {
            Self::Heap(values) => Some(values),
            Self::Planned(piece) => Some(piece),
            Self::Traced(_) => None,
        }
    }
}

/// A result that is a shape alone.
#[derive(Debug)]
pub(crate) struct Traced {
    trace: Arc<Mutex<Trace>>,
    result: usize,
    values: usize,
}

impl Drop for Traced {
    fn drop(&mut self) {
        lock(&self.trace).end(self.result);
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
