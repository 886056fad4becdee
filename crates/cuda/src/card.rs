//! A card and the memory of passes on it.
//!
//! A pass is recorded first: commands on values that lie in memory of their own, in rooms that a plan places, or among
//! the inputs that the host gives it. Then [`Space`] finds the addresses and hands the work over. A pass that comes
//! again, with other inputs, is handed over as one graph.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::{Address, Driver, Given, GivenMatrix, GivenProduct, Graph, Mark, Stream, Work};
use crate::error::CudaError;
use crate::work::{Argument, Command, Element, Factor, Home, Launch, Memory, Product, Values};

/// Where inputs begin: what products like best.
const ALIGNMENT: usize = 256;
/// The most passes that are kept, as graphs from their second time on. Batches of many sizes would else keep taking
/// memory.
const MOST_GRAPHS: usize = 16;

/// A card on which networks are computed.
pub struct Card {
    driver: Arc<dyn Driver>,
    features: Element,
    turn: Mutex<()>,
}

impl Card {
    /// With features and the operands of products in `features`: float32 or bfloat16.
    ///
    /// # Panics
    /// For another element.
    pub fn new(driver: Arc<dyn Driver>, features: Element) -> Arc<Self> {
        assert!(matches!(features, Element::F32 | Element::Bf16), "features of {features:?}");
        Arc::new(Self { driver, features, turn: Mutex::default() })
    }

    /// What drives it.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// The number type of features.
    pub fn features(&self) -> Element {
        self.features
    }

    /// Does work whose operands have memory of their own.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Panics
    /// Where an operand has none.
    pub fn run(&self, commands: &[Command]) -> Result<(), CudaError> {
        let _turn = self.turn();
        let work: Vec<_> = commands.iter().map(|command| Addresses::OWN.work(command)).collect();
        self.driver.run(&work)
    }

    /// Copies bytes to values with memory of their own.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Panics
    /// With another number of bytes.
    pub fn upload(&self, bytes: &[u8], to: &Values) -> Result<(), CudaError> {
        assert_eq!(bytes.len(), to.bytes(), "as many bytes as the values have");
        let _turn = self.turn();
        self.driver.upload(Stream::Work, bytes, Addresses::OWN.of(to))
    }

    /// Values in new memory of their own, whose bytes these are.
    ///
    /// # Errors
    /// [`CudaError::Memory`] where there is not enough; what the driver says.
    pub fn put(&self, bytes: &[u8], element: Element) -> Result<Values, CudaError> {
        let values = Values::own(&self.driver, bytes.len() / element.bytes(), element)?;
        self.upload(bytes, &values)?;
        Ok(values)
    }

    /// Copies these parts to memory of their own beside the work: any thread may do so while others compute. They are
    /// there for work after [`take`](Self::take).
    ///
    /// # Errors
    /// What the driver says.
    pub fn send(&self, parts: &[(&[u8], Element)]) -> Result<Sent, CudaError> {
        let mut end = 0usize;
        let places = parts.iter().map(|&(bytes, element)| {
            let start = end.next_multiple_of(ALIGNMENT);
            end = start + bytes.len();
            (start, bytes, element)
        });
        let places: Vec<_> = places.collect();
        // Of few sizes, as memory is used again for the same size.
        let step = (end.next_power_of_two() / 8).max(ALIGNMENT);
        let memory = Memory::new(&self.driver, end.next_multiple_of(step))?;
        let mut values = Vec::with_capacity(parts.len());
        for (start, bytes, element) in places {
            let home = Home::Memory(Arc::clone(&memory));
            if !bytes.is_empty() {
                self.driver.upload(Stream::Copies, bytes, memory.address() + start as Address)?;
            }
            values.push(Values::new(home, start, bytes.len() / element.bytes(), element));
        }
        Ok(Sent { values, mark: self.driver.mark(Stream::Copies)? })
    }

    /// Lets work that is handed over from now on wait for what was sent, and returns its parts.
    ///
    /// # Errors
    /// What the driver says.
    pub fn take(&self, sent: Sent) -> Result<Vec<Values>, CudaError> {
        let _turn = self.turn();
        self.driver.wait(Stream::Work, sent.mark)?;
        Ok(sent.values)
    }

    /// The bytes of values with memory of their own.
    ///
    /// # Errors
    /// What the driver says.
    pub fn download(&self, from: &Values) -> Result<Vec<u8>, CudaError> {
        let _turn = self.turn();
        self.bytes(Addresses::OWN.of(from), from.bytes())
    }

    /// The same as float32 values; of features or float32.
    ///
    /// # Errors
    /// What the driver says.
    pub fn read(&self, from: &Values) -> Result<Vec<f32>, CudaError> {
        Ok(floats(&self.download(from)?, from.element()))
    }

    /// Waits until all work is done.
    ///
    /// # Errors
    /// What the driver says of any of it.
    pub fn finish(&self) -> Result<(), CudaError> {
        // To read anything is to wait.
        let any = Values::own(&self.driver, 1, Element::U8)?;
        self.download(&any).map(drop)
    }

    fn bytes(&self, from: Address, count: usize) -> Result<Vec<u8>, CudaError> {
        let mut bytes = vec![0; count];
        self.driver.download(from, &mut bytes)?;
        Ok(bytes)
    }

    /// Keeps other threads' work out until the guard is dropped.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Values on their way to a card.
#[derive(Debug)]
pub struct Sent {
    values: Vec<Values>,
    mark: Mark,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.driver.facts().name, self.features)
    }
}

/// Values of `element` as float32.
fn floats(bytes: &[u8], element: Element) -> Vec<f32> {
    match element {
        Element::Bf16 => {
            let value = |half: &[u8; 2]| f32::from_bits(u32::from(u16::from_ne_bytes(*half)) << 16);
            bytes.as_chunks().0.iter().map(value).collect()
        }
        _ => bytes.as_chunks().0.iter().map(|four| f32::from_ne_bytes(*four)).collect(),
    }
}

/// What the host gives to a pass, one after the other.
#[derive(Debug, Default)]
pub struct Inputs {
    bytes: Vec<u8>,
    /// What is on the card already, and to which place among the copies it goes.
    copies: Vec<(Values, Values)>,
}

impl Inputs {
    /// Adds values, whose bytes these are.
    pub fn add(&mut self, bytes: &[u8], element: Element) -> Values {
        let start = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(start, 0);
        self.bytes.extend_from_slice(bytes);
        Values::new(Home::Inputs, start, bytes.len() / element.bytes(), element)
    }

    /// Adds values that have memory of their own, each time another: a graph reads what it was recorded with.
    pub fn copy(&mut self, from: &Values) -> Values {
        let start = self.copied().next_multiple_of(ALIGNMENT);
        let to = Values::new(Home::Copies, start, from.len(), from.element());
        self.copies.push((from.clone(), to.clone()));
        to
    }

    /// How many bytes of the host there are.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn copied(&self) -> usize {
        self.copies.last().map_or(0, |(_, to)| to.start() + to.bytes())
    }
}

/// A pass as commands.
#[derive(Debug, Default)]
pub struct Recording {
    /// In their order.
    pub commands: Vec<Command>,
    /// What they read of the host.
    pub inputs: Inputs,
}

/// Memory for passes that follow each other, each planned as it likes, and the graphs of those that came twice.
#[derive(Debug)]
pub struct Space {
    card: Arc<Card>,
    rooms: Option<Arc<Memory>>,
    inputs: Option<Arc<Memory>>,
    copies: Option<Arc<Memory>>,
    known: Vec<Known>,
}

/// A pass that was run.
#[derive(Debug)]
struct Known {
    commands: Vec<Command>,
    starts: Vec<usize>,
    /// From its second time on.
    graph: Option<Graph>,
}

impl Space {
    /// Without any memory yet.
    pub fn new(card: &Arc<Card>) -> Self {
        Self { card: Arc::clone(card), rooms: None, inputs: None, copies: None, known: Vec::new() }
    }

    /// Hands over the work of a pass whose rooms begin at `starts` of `bytes` bytes, and returns copies of `wanted`.
    ///
    /// # Errors
    /// [`CudaError::Memory`] where there is not enough; what the driver says.
    pub fn run(
        &mut self,
        recording: Recording,
        starts: &[usize],
        bytes: usize,
        wanted: &[Values],
    ) -> Result<Vec<Values>, CudaError> {
        let card = Arc::clone(&self.card);
        let _turn = card.turn();
        let Recording { commands, inputs } = recording;
        self.make_room([bytes, inputs.bytes(), inputs.copied()])?;
        let base =
            |memory: &Option<Arc<Memory>>| memory.as_ref().map_or(0, |memory| memory.address());
        let [rooms, given, copies] = [&self.rooms, &self.inputs, &self.copies].map(base);
        let places = Addresses { rooms, starts, inputs: given, copies };
        if inputs.bytes() > 0 {
            card.driver.upload(Stream::Work, &inputs.bytes, places.inputs)?;
        }
        let copy = |from: &Values, to: &Values| Work::Copy {
            from: places.of(from),
            to: places.of(to),
            bytes: from.bytes(),
        };
        let copies: Vec<_> = inputs.copies.iter().map(|(from, to)| copy(from, to)).collect();
        card.driver.run(&copies)?;
        let same = |known: &Known| known.commands == commands && known.starts == starts;
        if let Some(at) = self.known.iter().position(same) {
            // The one that was used last is the last.
            self.known[at..].rotate_left(1);
            if let Some(Known { graph, .. }) = self.known.last_mut() {
                let graph = match *graph {
                    Some(graph) => graph,
                    None => *graph.insert(card.driver.record(&places.all(&commands))?),
                };
                card.driver.replay(graph)?;
            }
        } else {
            card.driver.run(&places.all(&commands))?;
            if self.known.len() >= MOST_GRAPHS {
                let oldest = self.known.remove(0);
                oldest.graph.into_iter().for_each(|graph| card.driver.forget(graph));
            }
            self.known.push(Known { commands, starts: starts.to_vec(), graph: None });
        }
        let own = |values: &Values| Values::own(&card.driver, values.len(), values.element());
        let kept = wanted.iter().map(own).collect::<Result<Vec<_>, _>>()?;
        let copies: Vec<_> = wanted.iter().zip(&kept).map(|(from, to)| copy(from, to)).collect();
        card.driver.run(&copies)?;
        Ok(kept)
    }

    /// Memory of at least these sizes, for rooms, inputs and copies. What was recorded for smaller memory is dropped.
    fn make_room(&mut self, bytes: [usize; 3]) -> Result<(), CudaError> {
        let small = |memory: &Option<Arc<Memory>>, bytes: usize| {
            bytes > memory.as_ref().map_or(0, |memory| memory.bytes())
        };
        let places = [&self.rooms, &self.inputs, &self.copies];
        if !places.into_iter().zip(bytes).any(|(memory, bytes)| small(memory, bytes)) {
            return Ok(());
        }
        self.forget();
        let places = [&mut self.rooms, &mut self.inputs, &mut self.copies];
        for (memory, bytes) in places.into_iter().zip(bytes) {
            if small(memory, bytes) {
                // The old block goes before the new one comes.
                *memory = None;
                *memory = Some(Memory::new(&self.card.driver, bytes)?);
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        for graph in self.known.drain(..).filter_map(|known| known.graph) {
            self.card.driver.forget(graph);
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Where the homes of values are.
struct Addresses<'a> {
    rooms: Address,
    starts: &'a [usize],
    inputs: Address,
    copies: Address,
}

impl Addresses<'_> {
    /// For values with memory of their own.
    const OWN: Self = Self { rooms: 0, starts: &[], inputs: 0, copies: 0 };

    fn of(&self, values: &Values) -> Address {
        let home = match values.home() {
            Home::Memory(memory) => memory.address(),
            Home::Room(room) => self.rooms + self.starts[*room] as u64,
            Home::Inputs => self.inputs,
            Home::Copies => self.copies,
        };
        home + values.start() as u64
    }

    fn all<'c>(&self, commands: &'c [Command]) -> Vec<Work<'c>> {
        commands.iter().map(|command| self.work(command)).collect()
    }

    fn work<'c>(&self, command: &'c Command) -> Work<'c> {
        match command {
            Command::Launch(Launch { kernel, grid, block, arguments }) => Work::Launch {
                kernel,
                grid: *grid,
                block: *block,
                arguments: arguments.iter().map(|argument| self.given(argument)).collect(),
            },
            Command::Product(product) => Work::Product(self.product(product)),
            Command::Copy { from, to } => {
                Work::Copy { from: self.of(from), to: self.of(to), bytes: from.bytes() }
            }
            Command::Clear(values) => Work::Clear { at: self.of(values), bytes: values.bytes() },
        }
    }

    fn given(&self, argument: &Argument) -> Given {
        let span = |values: &Values, written| Given::Span {
            at: self.of(values),
            bytes: values.bytes(),
            written,
        };
        match argument {
            Argument::Number(bytes, count) => Given::Number(*bytes, *count),
            Argument::Read(values) => span(values, false),
            Argument::Write(values) => span(values, true),
            Argument::Nothing => Given::Nothing,
        }
    }

    fn product(&self, product: &Product) -> GivenProduct {
        let Product { rows, columns, depth, a, b, bias, out, adds } = product;
        let matrix = |Factor { values, turned }: &Factor| GivenMatrix {
            at: self.of(values),
            element: values.element(),
            turned: *turned,
        };
        let out = GivenMatrix { at: self.of(out), element: out.element(), turned: false };
        GivenProduct {
            rows: *rows,
            columns: *columns,
            depth: *depth,
            a: matrix(a),
            b: matrix(b),
            bias: bias.as_ref().map(|bias| self.of(bias)),
            out,
            adds: *adds,
        }
    }
}
