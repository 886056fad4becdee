//! NVIDIA's cards: the real [`Driver`]. It has not yet run on one.
//!
//! To build, nothing of CUDA is needed; to run, the driver's libcuda, NVRTC and cuBLASLt, which are opened by
//! [`open`]. Kernels are compiled for the card when the first is wanted, and kept on disk (`cache.rs`).

mod api;
mod cache;
pub mod compiler;
mod context;
mod library;
mod memory;
mod modules;
mod products;
mod staging;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{Api, Shape};
use compiler::Compiler;
use context::{Block, Context, Event, Pinned, Queue, Recorded};
use memory::{Blocks, Freed};
use modules::Modules;
use products::{Library, Products};
use staging::{PIECE, Staging};

use crate::driver::{
    Address, Choice, Driver, Facts, Given, GivenProduct, Graph, Mark, Stream, Work,
};
use crate::error::CudaError;

/// Compute capability 7.5.
const OLDEST: u32 = 75;

/// Blocks begin at multiples of this.
const ALIGNMENT: usize = 256;

/// How many marks of a stream can be told apart.
const MARKS: u64 = 64;

/// A card that the driver shows.
#[derive(Debug)]
#[non_exhaustive]
pub struct Card {
    /// By which [`open`] knows it.
    pub number: usize,
    /// What its maker calls it.
    pub name: String,
    /// Its architecture: 90 for compute capability 9.0.
    pub architecture: u32,
    /// All of its memory in bytes.
    pub memory: u64,
    /// Bytes of it that no process holds, or why it cannot be used.
    pub free: Result<u64, CudaError>,
}

/// The cards of this machine. Asking how much of a card's memory is free takes some of it for a moment.
///
/// # Errors
/// Where there is no driver, it is too old, or it shows no card.
pub fn cards() -> Result<Vec<Card>, CudaError> {
    let api = Api::open()?;
    let count = api.start()?;
    let card = |number| {
        let shape = api.shape(number)?;
        let free = usable(&shape).and_then(|()| {
            let context = Context::open(&api, &shape)?;
            context.enter()?;
            context.free_memory()
        });
        let Shape { name, architecture, memory, .. } = shape;
        Ok(Card { number, name, architecture, memory, free })
    };
    (0..count).map(card).collect()
}

/// Whether a card can be computed on, without touching it: the driver, the card and, of the libraries in `libraries`
/// (as in [`open`]), their versions.
///
/// # Errors
/// As [`open`].
pub fn usable_card(number: usize, libraries: Option<&Path>) -> Result<(), CudaError> {
    let api = Api::open()?;
    let count = api.start()?;
    if number >= count {
        return Err(CudaError::Number { number, count });
    }
    usable(&api.shape(number)?)?;
    for (_, version) in versions(libraries) {
        version?;
    }
    Ok(())
}

/// The versions of what drives a card, or why one cannot be used: the driver, NVRTC, cuBLASLt. `libraries` as in
/// [`open`].
pub fn versions(libraries: Option<&Path>) -> [(&'static str, Result<String, CudaError>); 3] {
    let driver = Api::open();
    let fits = |check: &dyn Fn((i32, i32)) -> Result<(), CudaError>| match &driver {
        Ok(driver) => check(driver.version_numbers()),
        Err(_) => Ok(()),
    };
    let compiler = Compiler::open(libraries)
        .and_then(|of| fits(&|driver| of.check_driver(driver)).map(|()| of.version()));
    let products = Library::open(libraries)
        .and_then(|of| fits(&|driver| of.check_driver(driver)).map(|()| of.version()));
    [
        ("driver", driver.map(|api| driver_version(&api))),
        ("nvrtc", compiler),
        ("cublaslt", products),
    ]
}

/// Opens a card. `libraries` is the folder that has NVRTC and cuBLASLt, or several separated as in `PATH`; without it
/// the system's are used.
///
/// # Errors
/// Where the driver, a card that can be used, or a library is missing or too old, with what to do about it.
pub fn open(number: usize, libraries: Option<&Path>) -> Result<Arc<dyn Driver>, CudaError> {
    let api = Api::open()?;
    let count = api.start()?;
    if number >= count {
        return Err(CudaError::Number { number, count });
    }
    let shape = api.shape(number)?;
    usable(&shape)?;
    let compiler = Compiler::open(libraries)?;
    compiler.check_driver(api.version_numbers())?;
    // Also refuses an architecture for which it can compile nothing.
    compiler.target(shape.architecture)?;
    let products = Library::open(libraries)?;
    products.check_driver(api.version_numbers())?;
    let facts = Facts {
        name: shape.name.clone(),
        architecture: shape.architecture,
        memory: shape.memory,
        processors: shape.processors,
        versions: [
            ("driver", driver_version(&api)),
            ("nvrtc", compiler.version()),
            ("cublaslt", products.version()),
        ],
    };
    let context = Context::open(&api, &shape)?;
    context.enter()?;
    Ok(Arc::new(Nvidia {
        facts,
        compiler,
        work: Lane::new(&context)?,
        copies: Lane::new(&context)?,
        modules: Mutex::default(),
        products: Mutex::new(Products::new(&products, &context)?),
        graphs: Mutex::default(),
        next_graph: AtomicU64::new(0),
        blocks: Mutex::default(),
        readers: Mutex::default(),
        context,
    }))
}

fn usable(shape: &Shape) -> Result<(), CudaError> {
    if shape.architecture < OLDEST {
        let (name, architecture) = (shape.name.clone(), shape.architecture);
        return Err(CudaError::OldCard { name, architecture });
    }
    Ok(())
}

/// The driver's own version, where its kernel module tells it, and that of its CUDA.
fn driver_version(api: &Api) -> String {
    let cuda = api.version();
    match std::fs::read_to_string("/sys/module/nvidia/version") {
        Ok(own) => format!("{} (CUDA {cuda})", own.trim()),
        Err(_) => format!("CUDA {cuda}"),
    }
}

/// What nobody panics with in hand; a panic elsewhere is no reason to stop here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream, with what belongs to it.
struct Lane {
    queue: Queue,
    /// Held by whoever hands something over: a recording must not meet another thread's work.
    staging: Mutex<Staging>,
    /// In which marks come around.
    marks: Vec<Event>,
    next: AtomicU64,
}

impl Lane {
    fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        let marks = (0..MARKS).map(|_| Event::new(context)).collect::<Result<_, _>>()?;
        let queue = Queue::new(context)?;
        Ok(Self { queue, staging: Mutex::default(), marks, next: AtomicU64::new(0) })
    }

    /// The event of a mark, if there is such a mark. One that is so old that its event was used again has that of a
    /// later mark: who waits for it waits for more, which is never wrong.
    fn event(&self, count: u64) -> Option<&Event> {
        let slot = usize::try_from(count % MARKS).ok()?;
        (count < self.next.load(Ordering::Acquire)).then(|| self.marks.get(slot))?
    }
}

/// A mark's number tells its stream and the how many-th of it this is.
fn mark(stream: Stream, count: u64) -> Mark {
    Mark(2 * count + u64::from(stream == Stream::Copies))
}

fn of_mark(mark: Mark) -> (Stream, u64) {
    let stream = if mark.0 % 2 == 1 { Stream::Copies } else { Stream::Work };
    (stream, mark.0 / 2)
}

/// A card. Fields are dropped in this order; each holds the context.
///
/// Locks are taken in this order: `work`, `copies`, then one of the others at a time.
struct Nvidia {
    facts: Facts,
    compiler: Compiler,
    graphs: Mutex<HashMap<Graph, Recorded>>,
    next_graph: AtomicU64,
    products: Mutex<Products>,
    modules: Mutex<Option<Arc<Modules>>>,
    work: Lane,
    copies: Lane,
    blocks: Mutex<Blocks>,
    /// Page-locked memory for downloads, while none uses it.
    readers: Mutex<Vec<Pinned>>,
    context: Arc<Context>,
}

impl fmt::Debug for Nvidia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nvidia").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Nvidia {
    fn lane(&self, stream: Stream) -> &Lane {
        match stream {
            Stream::Work => &self.work,
            Stream::Copies => &self.copies,
        }
    }

    /// The kernels, compiled when they are wanted first.
    fn modules(&self) -> Result<Arc<Modules>, CudaError> {
        let mut modules = lock(&self.modules);
        if let Some(modules) = &*modules {
            return Ok(Arc::clone(modules));
        }
        let loaded = Modules::load(&self.context, &self.compiler, self.facts.architecture)?;
        Ok(Arc::clone(modules.insert(Arc::new(loaded))))
    }

    /// Refuses bytes that do not lie within a block that is held. On the card they would end all work of the process;
    /// and the driver also takes addresses of the host's memory for the card's.
    fn check(&self, what: &dyn fmt::Display, at: Address, bytes: usize) -> Result<(), CudaError> {
        if lock(&self.blocks).has(at, bytes) {
            return Ok(());
        }
        let reason = format!("{bytes} bytes at {at:#x} are not within memory that was allocated");
        Err(CudaError::Work { what: what.to_string(), reason })
    }

    fn check_product(&self, product: &GivenProduct) -> Result<(), CudaError> {
        let GivenProduct { rows, columns, depth, a, b, bias, out, .. } = product;
        let size = |x: usize, y: usize, bytes| x.saturating_mul(y).saturating_mul(bytes);
        let what = &"a product";
        self.check(what, a.at, size(*rows, *depth, a.element.bytes()))?;
        self.check(what, b.at, size(*depth, *columns, b.element.bytes()))?;
        self.check(what, out.at, size(*rows, *columns, out.element.bytes()))?;
        bias.map_or(Ok(()), |bias| self.check(what, bias, size(*columns, 1, size_of::<f32>())))
    }

    /// Does all that cannot be done while recording: compiles, allocates, asks cuBLASLt's heuristic.
    fn prepare(&self, work: &[Work<'_>]) -> Result<(), CudaError> {
        self.modules()?;
        let mut products = lock(&self.products);
        for work in work {
            if let Work::Product(product) = work {
                products.prepare(product)?;
            }
        }
        Ok(())
    }

    /// Hands work over to its stream, which the caller has locked.
    fn enqueue(&self, work: &[Work<'_>]) -> Result<(), CudaError> {
        let (queue, modules) = (&self.work.queue, self.modules()?);
        for work in work {
            match work {
                Work::Launch { kernel, grid, block, arguments } => {
                    for given in arguments.iter() {
                        if let Given::Span { at, bytes, .. } = *given {
                            self.check(kernel, at, bytes)?;
                        }
                    }
                    let found = modules.kernel(kernel)?;
                    let mut values = modules::values(kernel, arguments, found.sizes.as_deref())?;
                    // SAFETY: the arguments were compared with the kernel's parameters as far as the driver tells
                    // them, and spans lie within blocks; that kernels keep to their spans is what the emulator tests.
                    unsafe { queue.launch(found, *grid, *block, &mut values) }
                        .map_err(|error| named(error, kernel))?;
                }
                Work::Product(product) => {
                    self.check_product(product)?;
                    // SAFETY: all of it lies within blocks.
                    unsafe { lock(&self.products).run(product, queue, &modules) }?;
                }
                Work::Copy { from, to, bytes } => {
                    self.check(&"a copy", *from, *bytes)?;
                    self.check(&"a copy", *to, *bytes)?;
                    if *bytes > 0 {
                        // SAFETY: both lie within blocks.
                        unsafe { queue.copy(*from, *to, *bytes) }?;
                    }
                }
                Work::Clear { at, bytes } => {
                    self.check(&"a clear", *at, *bytes)?;
                    if *bytes > 0 {
                        // SAFETY: it lies within a block.
                        unsafe { queue.clear(*at, *bytes) }?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for what uses blocks that were given back, and gives them to the driver.
    fn give_back_blocks(&self) -> Result<(), CudaError> {
        let freed = lock(&self.blocks).drain();
        for Freed { block, after } in freed {
            after.iter().try_for_each(Event::wait)?;
            drop(block);
        }
        Ok(())
    }

    /// Lets both streams pass what used a block before it is used again.
    fn pass(&self, after: &[Event]) -> Result<(), CudaError> {
        for event in after {
            if event.is_past()? {
                continue;
            }
            {
                let _held = lock(&self.work.staging);
                self.work.queue.wait_for(event)?;
            }
            // Nothing is recorded of this stream, so that whoever is in the middle of an upload does not mind.
            self.copies.queue.wait_for(event)?;
        }
        Ok(())
    }

    /// The place that the work has reached.
    fn now(&self) -> Result<Event, CudaError> {
        self.context.enter()?;
        let event = Event::new(&self.context)?;
        let _held = lock(&self.work.staging);
        self.work.queue.record(&event)?;
        Ok(event)
    }

    /// Downloads by way of `reader`, which the card may go on writing after an error.
    fn read(&self, from: Address, to: &mut [u8], reader: &mut Pinned) -> Result<(), CudaError> {
        let done = Event::new(&self.context)?;
        for (index, piece) in to.chunks_mut(PIECE).enumerate() {
            let from = from + (index * PIECE) as Address;
            {
                let _held = lock(&self.work.staging);
                // SAFETY: the reader is nobody else's, and is read below alone.
                unsafe { self.work.queue.download(from, piece.len(), reader) }?;
                self.work.queue.record(&done)?;
            }
            // Others may hand work over meanwhile.
            done.wait()?;
            // SAFETY: the card is past the copy.
            unsafe { reader.read(piece) }?;
        }
        Ok(())
    }

    /// Page-locked memory for a download.
    fn reader(&self, bytes: usize) -> Result<Pinned, CudaError> {
        let spare = lock(&self.readers).pop();
        match spare {
            Some(spare) if spare.bytes() >= bytes => Ok(spare),
            _ => Pinned::new(&self.context, bytes.next_power_of_two().max(1 << 16)),
        }
    }
}

/// An error with the kernel's name.
fn named(error: CudaError, kernel: &str) -> CudaError {
    match error {
        CudaError::Call { call, device, reason } => {
            CudaError::Call { call, device, reason: format!("{kernel}: {reason}") }
        }
        other => other,
    }
}

impl Driver for Nvidia {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn free_memory(&self) -> Result<u64, CudaError> {
        self.context.enter()?;
        Ok(self.context.free_memory()? + lock(&self.blocks).kept())
    }

    fn allocate(&self, bytes: usize) -> Result<Address, CudaError> {
        self.context.enter()?;
        let free = None;
        let size = bytes
            .max(1)
            .checked_next_multiple_of(ALIGNMENT)
            .ok_or(CudaError::Memory { wanted: bytes as u64, free })?;
        let again = lock(&self.blocks).again(size);
        let block = match again {
            Some(Freed { block, after }) => {
                self.pass(&after)?;
                block
            }
            None => match Block::new(&self.context, size) {
                Err(CudaError::Memory { .. }) => {
                    self.give_back_blocks()?;
                    Block::new(&self.context, size)?
                }
                block => block?,
            },
        };
        Ok(lock(&self.blocks).hold(block))
    }

    fn free(&self, address: Address) {
        let block = lock(&self.blocks).release(address);
        let Some(mut block) = block else { return };
        match self.now() {
            Ok(now) => {
                let after = block.sent.take().into_iter().chain([now]).collect();
                lock(&self.blocks).keep(Freed { block, after });
            }
            // The card does nothing any more, and the driver takes nothing back: it goes with the process.
            Err(_) => std::mem::forget(block),
        }
    }

    fn upload(&self, stream: Stream, from: &[u8], to: Address) -> Result<(), CudaError> {
        self.context.enter()?;
        self.check(&"an upload", to, from.len())?;
        let lane = self.lane(stream);
        lock(&lane.staging).upload(&self.context, &lane.queue, from, to)?;
        if stream == Stream::Copies {
            let sent = Event::new(&self.context)?;
            lane.queue.record(&sent)?;
            lock(&self.blocks).note_sent(to, sent);
        }
        Ok(())
    }

    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), CudaError> {
        self.context.enter()?;
        self.check(&"a download", from, to.len())?;
        let mut reader = self.reader(to.len().min(PIECE))?;
        let done = self.read(from, to, &mut reader);
        match done {
            Ok(()) => lock(&self.readers).push(reader),
            // The card may still write to it: it stays until the process ends.
            Err(_) => std::mem::forget(reader),
        }
        done
    }

    fn run(&self, work: &[Work<'_>]) -> Result<(), CudaError> {
        self.context.enter()?;
        let _held = lock(&self.work.staging);
        self.enqueue(work)
    }

    fn record(&self, work: &[Work<'_>]) -> Result<Graph, CudaError> {
        self.context.enter()?;
        self.prepare(work)?;
        let recorded = {
            let _held = lock(&self.work.staging);
            self.work.queue.capture(|| self.enqueue(work))?
        };
        let graph = Graph(self.next_graph.fetch_add(1, Ordering::Relaxed));
        lock(&self.graphs).insert(graph, recorded);
        Ok(graph)
    }

    fn replay(&self, graph: Graph) -> Result<(), CudaError> {
        self.context.enter()?;
        let _held = lock(&self.work.staging);
        match lock(&self.graphs).get(&graph) {
            Some(recorded) => self.work.queue.replay(recorded),
            None => {
                let reason = "it was not recorded, or forgotten".to_owned();
                Err(CudaError::Work { what: format!("{graph:?}"), reason })
            }
        }
    }

    fn forget(&self, graph: Graph) {
        let recorded = lock(&self.graphs).remove(&graph);
        drop(recorded);
    }

    fn mark(&self, stream: Stream) -> Result<Mark, CudaError> {
        self.context.enter()?;
        let lane = self.lane(stream);
        let _held = lock(&lane.staging);
        let count = lane.next.load(Ordering::Acquire);
        if let Some(event) = usize::try_from(count % MARKS).ok().and_then(|at| lane.marks.get(at)) {
            lane.queue.record(event)?;
        }
        lane.next.store(count + 1, Ordering::Release);
        Ok(mark(stream, count))
    }

    fn wait(&self, stream: Stream, mark: Mark) -> Result<(), CudaError> {
        self.context.enter()?;
        let (of, count) = of_mark(mark);
        let Some(event) = self.lane(of).event(count) else {
            let reason = "there is no such mark".to_owned();
            return Err(CudaError::Work { what: format!("{mark:?}"), reason });
        };
        if of == stream {
            // A stream's own order is enough.
            return Ok(());
        }
        let lane = self.lane(stream);
        let _held = lock(&lane.staging);
        lane.queue.wait_for(event)
    }

    fn choices(&self) -> Vec<Choice> {
        lock(&self.products).choices()
    }

    fn choose(&self, choices: &[Choice]) {
        lock(&self.products).choose(choices);
    }
}

impl Drop for Nvidia {
    fn drop(&mut self) {
        // What is dropped next may be in use by the card. After an error it does nothing more.
        if self.context.enter().is_ok() {
            let _ = self.work.queue.finish();
            let _ = self.copies.queue.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_their_stream() {
        for stream in [Stream::Work, Stream::Copies] {
            for count in [0, 1, 2, 63, 64, 1 << 40] {
                assert_eq!(of_mark(mark(stream, count)), (stream, count));
            }
        }
    }

    #[test]
    fn a_machine_without_a_driver_is_told_what_to_install() {
        // One with a driver answers otherwise, and so may one without a card.
        let Err(CudaError::NoDriver) = cards() else { return };
        let Err(error) = open(0, None) else { panic!("a card without a driver") };
        assert!(error.to_string().contains("Install driver 525 or newer"), "{error}");
        let [(_, driver), ..] = versions(None);
        assert!(matches!(driver, Err(CudaError::NoDriver)), "{driver:?}");
    }

    #[test]
    fn a_card_before_turing_is_refused() {
        let Ok(shapes) = Api::open().and_then(|api| {
            let count = api.start()?;
            (0..count).map(|number| api.shape(number)).collect::<Result<Vec<_>, _>>()
        }) else {
            return;
        };
        for shape in shapes {
            assert_eq!(usable(&shape).is_ok(), shape.architecture >= OLDEST);
        }
    }
}
