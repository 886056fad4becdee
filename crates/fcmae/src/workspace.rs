//! Memory for a pass, planned from its shapes.
//!
//! A pass is run twice. The first time no kernel runs: results are shapes alone, and what is written
//! down is how long each lives. From that follows a [`MemoryPlan`]: a place in one block
//! for every result, so that results that never live together may share memory. The second time
//! they lie there. So the memory of a step is known before the step, and no more than that is taken.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fcmae_cuda::CudaError;
use fcmae_cuda::card::{Card, Recording, Space};
use fcmae_cuda::work::{Command, Element, Home, Values};
use fcmae_kernels::memory::{Memory, Piece};

use crate::backend::Backend;
use crate::ops::Operation;
use crate::shape::{Form, Shape, padded};
use crate::tensor::Tensor;

/// When a result is made and when it is dropped, counted in such events, and how long it is, in values of
/// float32.
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
    /// What a card is to do.
    recording: Recording,
    /// Tensors from outside the pass among the recording's inputs.
    tensors: Vec<(Tensor, Values)>,
    /// Lists among the recording's inputs, each with what it was made of and for what.
    lists: Vec<(Arc<[u32]>, &'static str, Values)>,
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
    place: Place,
    plan: MemoryPlan,
    poisoned: bool,
    operations: BTreeSet<Operation>,
    mode: Mode,
}

/// What results are kept in.
#[derive(Debug, Default)]
enum Place {
    /// The processor's memory, once there is a plan.
    #[default]
    Nowhere,
    Host(Memory),
    Card(OnCard),
}

/// A workspace on a card.
#[derive(Debug)]
struct OnCard {
    /// The number type of features.
    features: Element,
    /// Nothing where passes are only traced.
    space: Option<(Arc<Card>, Space)>,
    failed: Failure,
}

/// What went wrong first in results that are made one by one, or are read: nothing is computed after it.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<Mutex<Option<CudaError>>>);

impl Failure {
    fn place(&self) -> MutexGuard<'_, Option<CudaError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_there(&self) -> bool {
        self.place().is_some()
    }

    fn keep(&self, error: CudaError) {
        self.place().get_or_insert(error);
    }
}

#[derive(Debug, Default)]
enum Mode {
    /// Each result in memory of its own, computed at once.
    #[default]
    Heap,
    /// Shapes alone.
    Tracing(Arc<Mutex<Trace>>),
    /// By the plan; this result is next.
    Planned(usize),
    /// On a card: written down, to be computed by the plan.
    Recording(Arc<Mutex<Trace>>),
}

impl Workspace {
    /// One that fills what is dropped with NaN, to find whoever reads it.
    pub fn poisoned() -> Self {
        Self { poisoned: true, ..Self::default() }
    }

    /// One for networks on `backend`.
    pub(crate) fn on(backend: &Backend) -> Self {
        let place = match backend {
            Backend::Cpu => Place::Nowhere,
            Backend::Card(card) => Place::Card(OnCard {
                features: card.features(),
                space: Some((Arc::clone(card), Space::new(card))),
                failed: Failure::default(),
            }),
        };
        Self { place, ..Self::default() }
    }

    /// One for the shapes of passes alone: on a card with features of this element, else on the processor.
    pub(crate) fn shapes(features: Option<Element>) -> Self {
        let place = match features {
            None => Place::Nowhere,
            Some(features) => {
                Place::Card(OnCard { features, space: None, failed: Failure::default() })
            }
        };
        Self { place, ..Self::default() }
    }

    /// Runs `pass` twice: for its shapes, and by the plan that follows from them; on a card once, as its work is
    /// written down and handed over by the plan. Returns copies of what it came to, as the next pass uses the memory
    /// again. On a card they are there, and who reads them waits.
    ///
    /// # Errors
    /// What a card says.
    ///
    /// # Panics
    /// Where a result of either outlives it.
    pub(crate) fn planned<const T: usize>(
        &mut self,
        mut pass: impl FnMut(&mut Self) -> [Tensor; T],
    ) -> Result<[Tensor; T], CudaError> {
        if let Place::Card(_) = self.place {
            return self.recorded(pass);
        }
        self.trace(|workspace| {
            pass(workspace);
        });
        let enough = self.memory().is_some_and(|memory| memory.len() >= self.plan.values);
        if !enough {
            // The old block goes before the new one comes.
            self.place = Place::Nowhere;
            let make = if self.poisoned { Memory::poisoning } else { Memory::new };
            // As where a vector finds no memory: whoever can know beforehand asks `memory`.
            let memory = make(self.plan.values).expect("enough memory for the results of a pass");
            self.place = Place::Host(memory);
        }
        self.mode = Mode::Planned(0);
        let results = pass(self);
        self.mode = Mode::Heap;
        let taken = results.map(|result| result.detached());
        // A result that was kept would hold the next pass's values, or a place on another tape.
        let held = self.memory().is_some_and(|memory| memory.live_pieces() > 0);
        assert!(!held, "{HELD}");
        Ok(taken)
    }

    fn memory(&self) -> Option<&Memory> {
        match &self.place {
            Place::Host(memory) => Some(memory),
            Place::Nowhere | Place::Card(_) => None,
        }
    }

    /// As [`planned`](Self::planned), on a card.
    fn recorded<const T: usize>(
        &mut self,
        mut pass: impl FnMut(&mut Self) -> [Tensor; T],
    ) -> Result<[Tensor; T], CudaError> {
        let trace = Arc::new(Mutex::new(Trace::default()));
        self.mode = Mode::Recording(Arc::clone(&trace));
        let results = pass(self);
        self.mode = Mode::Heap;
        let Trace { lifetimes, operations, recording, .. } = std::mem::take(&mut *lock(&trace));
        self.operations = operations;
        if lifetimes != self.plan.lifetimes {
            self.plan = MemoryPlan::new(lifetimes.clone());
        }
        let starts: Vec<usize> =
            self.plan.starts.iter().map(|start| start * size_of::<f32>()).collect();
        let bytes = self.plan.values * size_of::<f32>();
        let wanted = results.each_ref().map(|result| result.on_card().cloned());
        let shapes = results.each_ref().map(Tensor::shape);
        // What is still held when the results are gone would be the next pass's values.
        lock(&trace).lifetimes = lifetimes;
        drop(results);
        let held = lock(&trace).lifetimes.iter().any(|lifetime| lifetime.dropped == usize::MAX);
        assert!(!held, "{HELD}");
        let Place::Card(OnCard { space: Some((card, space)), .. }) = &mut self.place else {
            panic!("a workspace for shapes alone computes nothing");
        };
        let wanted: Vec<Values> = wanted.into_iter().flatten().collect();
        assert_eq!(wanted.len(), T, "the results of a pass are computed in it");
        let mut found = space.run(recording, &starts, bytes, &wanted)?.into_iter();
        Ok(shapes.map(|shape| {
            let values = found.next().expect("as many results as are wanted");
            Tensor::of_card(card, values, shape)
        }))
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
        if let Mode::Tracing(trace) | Mode::Recording(trace) = &self.mode {
            lock(trace).operations.insert(operation);
        }
    }

    /// What the last planned, recorded or traced pass is made of.
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
        let shape: Shape = shape.into();
        Tensor::in_room(self.room(shape.floats()), shape)
    }

    /// Room for a result of this form.
    pub(crate) fn room(&mut self, form: Form) -> Room {
        if let Some(features) = self.features() {
            return self.room_on_card(form.shape.count(), form.element.unwrap_or(features));
        }
        let values = form.shape.count();
        match &mut self.mode {
            Mode::Heap => Room::Heap(fcmae_kernels::buffer(values)),
            Mode::Tracing(trace) | Mode::Recording(trace) => {
                Room::Traced(Traced::new(trace, values))
            }
            Mode::Planned(next) => {
                let result = *next;
                *next += 1;
                let lifetime = self.plan.lifetimes.get(result);
                assert!(
                    lifetime.is_some_and(|lifetime| lifetime.values == values),
                    "a pass asks for the same memory whenever it is run"
                );
                let memory = self.memory().expect("planned passes have memory");
                let piece = memory.take(self.plan.starts[result], values);
                Room::Planned(piece.expect("no result is held beyond its pass"))
            }
        }
    }

    /// The number type of features on its card, if it is on one.
    pub(crate) fn features(&self) -> Option<Element> {
        match &self.place {
            Place::Card(OnCard { features, .. }) => Some(*features),
            Place::Nowhere | Place::Host(_) => None,
        }
    }

    /// Room for `len` values on the card.
    pub(crate) fn room_on_card(&mut self, len: usize, element: Element) -> Room {
        if let Mode::Tracing(trace) | Mode::Recording(trace) = &self.mode {
            let traced = Traced::new(trace, (len * element.bytes()).div_ceil(size_of::<f32>()));
            let values = Values::new(Home::Room(traced.result), 0, len, element);
            return Room::Card(CardRoom {
                values,
                _life: Some(traced),
                card: None,
                host: OnceLock::new(),
            });
        }
        let values = self.at_once(|card| Values::own(card.driver(), len, element));
        // After a failure there is nothing to compute: what is read is no number.
        let values = values.unwrap_or_else(|| Values::new(Home::Inputs, 0, len, element));
        let card = self.card();
        let host = if card.is_some() { OnceLock::new() } else { vec![f32::NAN; len].into() };
        Room::Card(CardRoom { values, _life: None, card, host })
    }

    /// The card, and where its failures are kept; nothing after the first one.
    fn card(&self) -> Option<(Arc<Card>, Failure)> {
        match &self.place {
            Place::Card(OnCard { space: Some((card, _)), failed, .. }) if !failed.is_there() => {
                Some((Arc::clone(card), failed.clone()))
            }
            _ => None,
        }
    }

    /// What `act` makes on the card, unless something has failed.
    fn at_once<T>(&self, act: impl FnOnce(&Card) -> Result<T, CudaError>) -> Option<T> {
        let (card, failed) = self.card()?;
        act(&card).map_err(|error| failed.keep(error)).ok()
    }

    /// Waits for what was computed at once, whose failure may show only then.
    pub(crate) fn finish(&mut self) {
        self.at_once(|card| card.finish());
    }

    /// What has failed of what was computed at once.
    pub(crate) fn failure(&self) -> Option<CudaError> {
        match &self.place {
            Place::Card(on_card) => on_card.failed.place().take(),
            Place::Nowhere | Place::Host(_) => None,
        }
    }

    /// Lets the card do `command`: when the pass is run, or at once.
    pub(crate) fn command(&mut self, command: Command) {
        match &self.mode {
            Mode::Recording(trace) => lock(trace).recording.commands.push(command),
            Mode::Tracing(_) => {}
            Mode::Heap | Mode::Planned(_) => {
                self.at_once(|card| card.run(&[command]));
            }
        }
    }

    /// Values that the host gives to the card.
    pub(crate) fn input(&mut self, bytes: &[u8], element: Element) -> Values {
        let len = bytes.len() / element.bytes();
        match &self.mode {
            Mode::Recording(trace) => lock(trace).recording.inputs.add(bytes, element),
            Mode::Tracing(_) => Values::new(Home::Inputs, 0, len, element),
            Mode::Heap | Mode::Planned(_) => {
                let given = self.at_once(|card| {
                    let values = Values::own(card.driver(), len, element)?;
                    card.upload(bytes, &values)?;
                    Ok(values)
                });
                given.unwrap_or_else(|| Values::new(Home::Inputs, 0, len, element))
            }
        }
    }

    /// A tensor that comes from outside the pass, which is given to the pass once.
    pub(crate) fn tensor(&mut self, tensor: &Tensor) -> Values {
        let Mode::Recording(trace) = &self.mode else {
            return match tensor.on_card() {
                Some(values) => values.clone(),
                None => self.input(bytemuck::cast_slice(tensor.values()), Element::F32),
            };
        };
        let mut trace = lock(trace);
        let known = trace.tensors.iter().find(|(known, _)| known.shares_values(tensor));
        if let Some((_, values)) = known {
            return values.clone();
        }
        let inputs = &mut trace.recording.inputs;
        let values = match tensor.on_card() {
            Some(values) => inputs.copy(values),
            None => inputs.add(bytemuck::cast_slice(tensor.values()), Element::F32),
        };
        trace.tensors.push((tensor.clone(), values.clone()));
        values
    }

    /// A list that the host gives to the card, which is made of `of` for the purpose `what`: once a pass.
    pub(crate) fn list(
        &mut self,
        of: &Arc<[u32]>,
        what: &'static str,
        make: impl FnOnce() -> Vec<i32>,
    ) -> Values {
        if let Mode::Recording(trace) = &self.mode {
            let trace = lock(trace);
            let mut known = trace.lists.iter();
            let known = known.find(|(list, purpose, _)| Arc::ptr_eq(list, of) && *purpose == what);
            if let Some((.., values)) = known {
                return values.clone();
            }
        }
        let values = self.input(bytemuck::cast_slice(&make()), Element::I32);
        if let Mode::Recording(trace) = &self.mode {
            lock(trace).lists.push((Arc::clone(of), what, values.clone()));
        }
        values
    }
}

/// Where a tensor's values lie.
#[derive(Debug)]
pub(crate) enum Room {
    Heap(Vec<f32>),
    Planned(Piece),
    Traced(Traced),
    Card(CardRoom),
}

impl Room {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Heap(values) => values.len(),
            Self::Planned(piece) => piece.len(),
            Self::Traced(traced) => traced.values,
            Self::Card(room) => room.values.len(),
        }
    }

    pub(crate) fn values(&self) -> &[f32] {
        match self {
            Self::Heap(values) => values,
            Self::Planned(piece) => piece,
            Self::Traced(_) => panic!("this tensor is a shape alone: its pass is only traced"),
            Self::Card(room) => room.read(),
        }
    }

    /// To write the values; `None` where there is only a shape.
    pub(crate) fn values_mut(&mut self) -> Option<&mut [f32]> {
        match self {
            Self::Heap(values) => Some(values),
            Self::Planned(piece) => Some(piece),
            Self::Traced(_) | Self::Card(_) => None,
        }
    }

    /// The card that holds the values in memory of their own.
    pub(crate) fn card(&self) -> Option<&Arc<Card>> {
        match self {
            Self::Card(CardRoom { card: Some((card, _)), .. }) => Some(card),
            _ => None,
        }
    }

    /// Forgets what was read of a card, where it has written other values.
    pub(crate) fn forget_read(&mut self) {
        if let Self::Card(room) = self {
            room.host = OnceLock::new();
        }
    }

    /// The values on a card, where they are there.
    pub(crate) fn on_card(&self) -> Option<&Values> {
        match self {
            Self::Card(room) => Some(&room.values),
            Self::Heap(_) | Self::Planned(_) | Self::Traced(_) => None,
        }
    }
}

/// A result on a card.
#[derive(Debug)]
pub(crate) struct CardRoom {
    values: Values,
    /// In a pass that is traced or recorded.
    _life: Option<Traced>,
    /// Where the result is computed already.
    card: Option<(Arc<Card>, Failure)>,
    host: OnceLock<Vec<f32>>,
}

impl CardRoom {
    /// Values in memory of their own.
    pub(crate) fn own(card: &Arc<Card>, values: Values) -> Self {
        let card = Some((Arc::clone(card), Failure::default()));
        Self { values, _life: None, card, host: OnceLock::new() }
    }

    fn read(&self) -> &[f32] {
        // What fails here is told of by the pass.
        self.host.get_or_init(|| {
            let Some((card, failed)) = &self.card else {
                panic!("this tensor is a shape alone: its pass is only recorded");
            };
            card.read(&self.values).unwrap_or_else(|error| {
                failed.keep(error);
                vec![f32::NAN; self.values.len()]
            })
        })
    }
}

/// A result that is a shape alone.
#[derive(Debug)]
pub(crate) struct Traced {
    trace: Arc<Mutex<Trace>>,
    result: usize,
    /// How long it is, in values of float32.
    values: usize,
}

impl Traced {
    fn new(trace: &Arc<Mutex<Trace>>, values: usize) -> Self {
        let result = lock(trace).make(values);
        Self { trace: Arc::clone(trace), result, values }
    }
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
