//! A card that computes on the processor, and what it holds against those who use it.

mod memory;
mod product;
mod queue;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fcmae_cuda::CudaError;
use fcmae_cuda::driver::{Address, Choice, Driver, Facts, Given, Graph, Mark, Stream, Work};

use crate::kernel::{Kernel, Kind, Passed};
use memory::Memory;
use queue::{Piece, Queues, Task};

pub use queue::Order;

/// What a card has unless another size is asked for: 4 GiB.
const MEMORY: u64 = 4 << 30;

/// A card that computes on the processor, and does what a real one may do to those who rely on more than is promised.
///
/// - Nothing is done before the host waits, in [`Driver::download`]; then as its [`Order`] says.
/// - Fresh memory is full of what is not a number. Addresses are never given twice.
/// - All bytes that work names must be in one allocation, which was not freed before the work was handed over.
/// - After a failure every call fails alike, except where memory was too small.
pub struct Emulated {
    facts: Facts,
    order: Order,
    state: Mutex<State>,
}

/// What a card has done, and what its users hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kernels that were run.
    pub launches: u64,
    /// Products that were computed.
    pub products: u64,
    /// Graphs that were handed over by [`Driver::replay`].
    pub replays: u64,
    /// Graphs that are recorded and not forgotten.
    pub graphs: u64,
    /// Bytes that are allocated and not freed.
    pub bytes: u64,
    /// Bytes that are freed, and still there for work that was handed over before.
    pub kept: u64,
}

#[derive(Default)]
struct State {
    memory: Memory,
    queues: Queues,
    graphs: HashMap<Graph, Arc<[Piece]>>,
    recorded: u64,
    /// Of each size of product something that stands for how it is done.
    choices: BTreeMap<String, Vec<u8>>,
    counts: Counts,
    /// Pieces of work until the card is gone.
    left: Option<u64>,
    failure: Option<Failure>,
}

/// What was called, and why it failed.
#[derive(Clone, Debug)]
struct Failure {
    call: &'static str,
    reason: String,
}

impl Failure {
    /// Of a call, for a reason.
    fn of(call: &'static str) -> impl Fn(String) -> Self {
        move |reason| Self { call, reason }
    }
}

impl Emulated {
    /// A card that works in an order.
    pub fn new(order: Order) -> Self {
        let version = || env!("CARGO_PKG_VERSION").to_owned();
        let facts = Facts {
            name: "emulated".to_owned(),
            architecture: 80,
            memory: MEMORY,
            processors: 8,
            versions: [("driver", version()), ("compiler", version()), ("products", version())],
        };
        Self { facts, order, state: Mutex::default() }
    }

    /// The card, with so many bytes of memory.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.facts.memory = bytes;
        self
    }

    /// Lets the card do `pieces` more pieces of work, copies from and to the host among them, and be gone at the next.
    pub fn fail_after(&self, pieces: u64) {
        self.lock().left = Some(pieces);
    }

    /// What it has done, and what is held of it.
    pub fn counts(&self) -> Counts {
        let state = self.lock();
        let (bytes, kept) = (state.memory.held(), state.memory.kept());
        Counts { graphs: state.graphs.len() as u64, bytes, kept, ..state.counts }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic leaves behind is whole: each piece of work is taken from its queue before it is done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `call` where nothing has failed, and keeps its failure.
    fn call<R>(&self, call: impl FnOnce(&mut State) -> Result<R, Failure>) -> Result<R, CudaError> {
        let mut state = self.lock();
        let result = match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => call(&mut state),
        };
        result.map_err(|failure| {
            let Failure { call, reason } = state.fail(failure);
            CudaError::Call { call, device: self.facts.name.clone(), reason }
        })
    }
}

impl fmt::Debug for Emulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Emulated");
        debug.field("order", &self.order).field("counts", &self.counts()).finish()
    }
}

impl Driver for Emulated {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn free_memory(&self) -> Result<u64, CudaError> {
        self.call(|state| Ok(self.facts.memory.saturating_sub(state.memory.held())))
    }

    fn allocate(&self, bytes: usize) -> Result<Address, CudaError> {
        let (found, free) = self.call(|state| {
            if bytes == 0 {
                return Err(Failure::of("allocate")("no bytes were asked for".to_owned()));
            }
            let free = self.facts.memory.saturating_sub(state.memory.held());
            let fits = bytes as u64 <= free;
            Ok((if fits { state.memory.allocate(bytes) } else { None }, free))
        })?;
        found.ok_or(CudaError::Memory { wanted: bytes as u64, free: Some(free) })
    }

    fn free(&self, address: Address) {
        let mut state = self.lock();
        let next = state.queues.next();
        if let Err(reason) = state.memory.free(address, next) {
            state.fail(Failure::of("free")(reason));
        }
        let oldest = state.queues.oldest();
        state.memory.sweep(oldest);
    }

    fn upload(&self, stream: Stream, from: &[u8], to: Address) -> Result<(), CudaError> {
        self.call(|state| {
            state.queues.push(stream, Task::Upload { from: from.to_vec(), to });
            Ok(())
        })
    }

    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), CudaError> {
        self.call(|state| {
            while let Some((number, task)) = state.queues.take(self.order) {
                state.perform(number, task, self.order)?;
                let oldest = state.queues.oldest();
                state.memory.sweep(oldest);
            }
            state.count("download")?;
            let now = state.queues.next();
            let found = state.memory.bytes(now, from, to.len());
            to.copy_from_slice(found.map_err(Failure::of("download"))?);
            Ok(())
        })
    }

    fn run(&self, work: &[Work<'_>]) -> Result<(), CudaError> {
        self.call(|state| {
            for piece in owned(work)? {
                state.queues.push(Stream::Work, Task::Piece(piece));
            }
            Ok(())
        })
    }

    fn record(&self, work: &[Work<'_>]) -> Result<Graph, CudaError> {
        self.call(|state| {
            let pieces = owned(work)?;
            let graph = Graph(state.recorded);
            state.recorded += 1;
            state.graphs.insert(graph, pieces.into());
            Ok(graph)
        })
    }

    fn replay(&self, graph: Graph) -> Result<(), CudaError> {
        self.call(|state| {
            let Some(pieces) = state.graphs.get(&graph).cloned() else {
                let reason = format!("there is no graph {}, or it was forgotten", graph.0);
                return Err(Failure::of("replay")(reason));
            };
            state.counts.replays += 1;
            for piece in pieces.iter() {
                state.queues.push(Stream::Work, Task::Piece(piece.clone()));
            }
            Ok(())
        })
    }

    fn forget(&self, graph: Graph) {
        let mut state = self.lock();
        if state.graphs.remove(&graph).is_none() {
            state.fail(Failure::of("forget")(format!("there is no graph {}", graph.0)));
        }
    }

    fn mark(&self, stream: Stream) -> Result<Mark, CudaError> {
        self.call(|state| Ok(state.queues.mark(stream)))
    }

    fn wait(&self, stream: Stream, mark: Mark) -> Result<(), CudaError> {
        self.call(|state| state.queues.wait(stream, mark).map_err(Failure::of("wait")))
    }

    fn choices(&self) -> Vec<Choice> {
        let choices = self.lock().choices.clone();
        choices.into_iter().map(|(product, how)| Choice { product, how }).collect()
    }

    fn choose(&self, choices: &[Choice]) {
        let chosen = choices.iter().map(|of| (of.product.clone(), of.how.clone()));
        self.lock().choices.extend(chosen);
    }
}

impl State {
    /// Keeps the first failure, and drops what was still to be done.
    fn fail(&mut self, failure: Failure) -> Failure {
        self.queues.clear();
        self.memory.sweep(u64::MAX);
        self.failure.get_or_insert(failure).clone()
    }

    /// Counts a piece of work, which fails where the card is to be gone.
    fn count(&mut self, call: &'static str) -> Result<(), Failure> {
        match &mut self.left {
            Some(0) => Err(Failure::of(call)("the card is gone".to_owned())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Does a task of this number.
    fn perform(&mut self, number: u64, task: Task, order: Order) -> Result<(), Failure> {
        match task {
            Task::Wait(_) => Ok(()),
            Task::Upload { from, to } => {
                self.count("upload")?;
                let bytes = self.memory.bytes(number, to, from.len());
                bytes.map_err(Failure::of("upload"))?.copy_from_slice(&from);
                Ok(())
            }
            Task::Piece(piece) => {
                let call = call_of(&piece);
                self.count(call)?;
                self.compute(number, piece, order).map_err(Failure::of(call))
            }
        }
    }

    fn compute(&mut self, number: u64, piece: Piece, order: Order) -> Result<(), String> {
        match piece {
            Piece::Launch { name, kernel, grid, block, arguments } => {
                let mut passed = Vec::with_capacity(arguments.len());
                for (place, &argument) in arguments.iter().enumerate() {
                    let host = |at, bytes| {
                        let pointer = self.memory.pointer(number, at, bytes);
                        pointer.map(|pointer| pointer.expose_provenance() as u64)
                    };
                    let argument = pass(argument, host)
                        .map_err(|reason| format!("{name}: argument {place}: {reason}"))?;
                    passed.push(argument);
                }
                self.counts.launches += 1;
                // SAFETY: the memory is there and initialized, and this holds it alone until the launch is done.
                unsafe { kernel.launch(grid, block, &passed, order == Order::Backward) }
                    .map_err(|reason| format!("{name}: {reason}"))
            }
            Piece::Product(product) => {
                self.counts.products += 1;
                let size = format!("{}x{}x{}", product.rows, product.columns, product.depth);
                self.choices.entry(size).or_insert_with(|| vec![7]);
                product::compute(&mut self.memory, number, &product)
            }
            Piece::Copy { from, to, bytes } => {
                let found = self.memory.bytes(number, from, bytes);
                let found = found.map_err(|reason| format!("from: {reason}"))?.to_vec();
                let place = self.memory.bytes(number, to, bytes);
                place.map_err(|reason| format!("to: {reason}"))?.copy_from_slice(&found);
                Ok(())
            }
            Piece::Clear { at, bytes } => {
                self.memory.bytes(number, at, bytes)?.fill(0);
                Ok(())
            }
        }
    }
}

/// What an error calls a piece of work.
fn call_of(piece: &Piece) -> &'static str {
    match piece {
        Piece::Launch { .. } => "launch",
        Piece::Product(_) => "product",
        Piece::Copy { .. } => "copy",
        Piece::Clear { .. } => "clear",
    }
}

/// An argument as a kernel takes it; `place` says where bytes on the card are on the host.
fn pass(
    given: Given,
    place: impl FnOnce(Address, usize) -> Result<u64, String>,
) -> Result<Passed, String> {
    Ok(match given {
        Given::Number(number, bytes) => {
            let found = number.get(..bytes);
            Passed::number(found.ok_or_else(|| format!("a number of {bytes} bytes"))?)
        }
        Given::Span { at, bytes, written } => {
            let kind = if written { Kind::Write } else { Kind::Read };
            Passed::span(kind, place(at, bytes)?, bytes)
        }
        Given::Nothing => Passed::nothing(),
    })
}

/// The work with all that it names, where it can be done by what is known of it now.
fn owned(work: &[Work<'_>]) -> Result<Vec<Piece>, Failure> {
    work.iter()
        .map(|work| {
            let piece = match *work {
                Work::Launch { kernel, grid, block, ref arguments } => Piece::Launch {
                    name: kernel.into(),
                    kernel: Kernel::named(kernel).map_err(Failure::of("launch"))?,
                    grid,
                    block,
                    arguments: Arc::clone(arguments),
                },
                Work::Product(product) => Piece::Product(product),
                Work::Copy { from, to, bytes } => Piece::Copy { from, to, bytes },
                Work::Clear { at, bytes } => Piece::Clear { at, bytes },
            };
            check(&piece).map_err(Failure::of(call_of(&piece)))?;
            Ok(piece)
        })
        .collect()
}

fn check(piece: &Piece) -> Result<(), String> {
    match piece {
        Piece::Launch { name, kernel, grid, block, arguments } => {
            let passed = arguments.iter().map(|&argument| {
                // Aligned as they will be on the host.
                pass(argument, |at, _| Ok(at))
            });
            passed
                .collect::<Result<Vec<_>, _>>()
                .and_then(|passed| kernel.check(*grid, *block, &passed))
                .map_err(|reason| format!("{name}: {reason}"))
        }
        Piece::Product(product) => product::check(product),
        Piece::Copy { from, to, bytes } if from.abs_diff(*to) < *bytes as u64 => {
            Err(format!("{bytes} bytes from {from:#x} to {to:#x} overlap"))
        }
        Piece::Copy { .. } | Piece::Clear { .. } => Ok(()),
    }
}
