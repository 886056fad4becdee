//! Memory for a pass, planned from its shapes.
//!
//! A pass is run twice. The first time no kernel runs: results are shapes alone, and what is written
//! down is how long each lives. From that follows a [`MemoryPlan`]: a place in one block
//! for every result, so that results that never live together may share memory. The second time
//! they lie there. So the memory of a step is known before the step, and no more than that is taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use fcmae_cuda::CudaError;
use fcmae_cuda::card::{Card, Recording, Space};
use fcmae_cuda::work::{Command, Element, Home, Values};
use fcmae_kernels::memory::Memory;

use crate::engine::backend::Backend;
use crate::engine::lifetimes::Trace;
use crate::engine::ops::Operation;
use crate::engine::room::{CardRoom, Failure, Room};
use crate::engine::shape::{Form, Shape};
use crate::engine::tensor::Tensor;

pub use crate::engine::lifetimes::MemoryPlan;

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

#[derive(Debug, Default)]
enum Mode {
    /// Each result in memory of its own, computed at once.
    #[default]
    Heap,
    /// Shapes alone.
    Tracing(Trace),
    /// By the plan; this result is next.
    Planned(usize),
    /// On a card: written down, to be computed by the plan.
    Recording(Script),
}

/// A pass that is written down for a card.
#[derive(Debug, Default)]
struct Script {
    trace: Trace,
    /// What a card is to do.
    recording: Recording,
    /// Tensors from outside the pass among the recording's inputs.
    tensors: Vec<(Tensor, Values)>,
    /// Lists among the recording's inputs, each with what it was made of and for what.
    lists: Vec<(Arc<[u32]>, &'static str, Values)>,
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
            let memory = make(self.plan.values).unwrap_or_else(|error| panic!("{error}"));
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
        self.operations.clear();
        self.mode = Mode::Recording(Script::default());
        let results = pass(self);
        let Mode::Recording(Script { trace, recording, .. }) = std::mem::take(&mut self.mode)
        else {
            panic!("a pass on a card is recorded to its end");
        };
        self.follow(&trace);
        let starts: Vec<usize> =
            self.plan.starts.iter().map(|start| start * size_of::<f32>()).collect();
        let bytes = self.plan.values * size_of::<f32>();
        let wanted = results.each_ref().map(|result| result.on_card().cloned());
        let shapes = results.each_ref().map(Tensor::shape);
        // What is still held when the results are gone would be the next pass's values.
        drop(results);
        assert!(!trace.is_held(), "{HELD}");
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
        self.operations.clear();
        let trace = Trace::default();
        self.mode = Mode::Tracing(trace.clone());
        pass(self);
        self.mode = Mode::Heap;
        assert!(!trace.is_held(), "{HELD}");
        self.follow(&trace);
        &self.plan
    }

    /// Plans anew where results do not live as they did.
    fn follow(&mut self, trace: &Trace) {
        let lifetimes = trace.lifetimes();
        if lifetimes != self.plan.lifetimes {
            self.plan = MemoryPlan::new(lifetimes);
        }
    }

    /// The trace of a pass that is being run for its shapes.
    fn open_trace(&self) -> Option<&Trace> {
        match &self.mode {
            Mode::Tracing(trace) | Mode::Recording(Script { trace, .. }) => Some(trace),
            Mode::Heap | Mode::Planned(_) => None,
        }
    }

    /// The plan of the last pass.
    pub fn plan(&self) -> &MemoryPlan {
        &self.plan
    }

    /// Notes that a pass uses `operation`.
    pub(crate) fn uses(&mut self, operation: Operation) {
        if self.open_trace().is_some() {
            self.operations.insert(operation);
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
            Mode::Tracing(trace) | Mode::Recording(Script { trace, .. }) => {
                Room::Traced(trace.result(values))
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
        if let Some(trace) = self.open_trace() {
            let life = trace.result((len * element.bytes()).div_ceil(size_of::<f32>()));
            let values = Values::new(Home::Room(life.number()), 0, len, element);
            return Room::Card(CardRoom::traced(values, life));
        }
        let values = self.at_once(|card| Values::own(card.driver(), len, element));
        // After a failure there is nothing to compute.
        let values = values.unwrap_or_else(|| Values::new(Home::Inputs, 0, len, element));
        Room::Card(match self.card() {
            Some((card, failed)) => CardRoom::computed(card, failed, values),
            None => CardRoom::failed(values),
        })
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
            Place::Card(on_card) => on_card.failed.take(),
            Place::Nowhere | Place::Host(_) => None,
        }
    }

    /// Lets the card do `command`: when the pass is run, or at once.
    pub(crate) fn command(&mut self, command: Command) {
        match &mut self.mode {
            Mode::Recording(script) => script.recording.commands.push(command),
            Mode::Tracing(_) => {}
            Mode::Heap | Mode::Planned(_) => {
                self.at_once(|card| card.run(&[command]));
            }
        }
    }

    /// Values that the host gives to the card.
    pub(crate) fn input(&mut self, bytes: &[u8], element: Element) -> Values {
        let len = bytes.len() / element.bytes();
        match &mut self.mode {
            Mode::Recording(script) => script.recording.inputs.add(bytes, element),
            Mode::Tracing(_) => Values::new(Home::Inputs, 0, len, element),
            Mode::Heap | Mode::Planned(_) => {
                let given = self.at_once(|card| card.put(bytes, element));
                given.unwrap_or_else(|| Values::new(Home::Inputs, 0, len, element))
            }
        }
    }

    /// A tensor that comes from outside the pass, which is given to the pass once.
    pub(crate) fn tensor(&mut self, tensor: &Tensor) -> Values {
        let Mode::Recording(script) = &mut self.mode else {
            return match tensor.on_card() {
                Some(values) => values.clone(),
                None => self.input(bytemuck::cast_slice(tensor.values()), Element::F32),
            };
        };
        let known = script.tensors.iter().find(|(known, _)| known.shares_values(tensor));
        if let Some((_, values)) = known {
            return values.clone();
        }
        let inputs = &mut script.recording.inputs;
        let values = match tensor.on_card() {
            Some(values) => inputs.copy(values),
            None => inputs.add(bytemuck::cast_slice(tensor.values()), Element::F32),
        };
        script.tensors.push((tensor.clone(), values.clone()));
        values
    }

    /// A list that the host gives to the card, which is made of `of` for the purpose `what`: once a pass.
    pub(crate) fn list(
        &mut self,
        of: &Arc<[u32]>,
        what: &'static str,
        make: impl FnOnce() -> Vec<i32>,
    ) -> Values {
        if let Mode::Recording(script) = &self.mode {
            let mut known = script.lists.iter();
            let known = known.find(|(list, purpose, _)| Arc::ptr_eq(list, of) && *purpose == what);
            if let Some((.., values)) = known {
                return values.clone();
            }
        }
        let values = self.input(bytemuck::cast_slice(&make()), Element::I32);
        if let Mode::Recording(script) = &mut self.mode {
            script.lists.push((Arc::clone(of), what, values.clone()));
        }
        values
    }
}
