//! What a card's driver does for this crate: the seam between it and NVIDIA's libraries.
//!
//! Work is done in the order in which it is handed over, on one stream. Another is there for what is to be copied to
//! the card ahead of it. The calls return before the card has done the work, except where they say so. Tests have a
//! driver of their own (`emulator/`), which computes on the processor.

use std::fmt;
use std::sync::Arc;

use crate::element::Element;
use crate::error::CudaError;

/// What is known of a card, and of the libraries that drive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What its maker calls it.
    pub name: String,
    /// Its architecture: 90 for compute capability 9.0.
    pub architecture: u32,
    /// All of its memory in bytes.
    pub memory: u64,
    /// Multiprocessors.
    pub processors: u32,
    /// The versions of driver, compiler and products, as their makers write them.
    pub versions: [(&'static str, String); 3],
}

/// One of a card's two orders of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Kernels, products, and what is copied between them.
    Work,
    /// Copies to the card beside that.
    Copies,
}

/// A place in the order of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub u64);

/// Work that was recorded, to be done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Graph(pub u64);

/// An address in the memory of a card.
pub type Address = u64;

/// How a card does a product: of meaning to the same libraries on the same card alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What the choice depends on, in words.
    pub product: String,
    /// What was chosen.
    pub how: Vec<u8>,
}

/// A card. Any thread may use it; whoever wants its calls in one order keeps others out.
pub trait Driver: fmt::Debug + Send + Sync {
    /// What is known of it.
    fn facts(&self) -> &Facts;

    /// Bytes of its memory that nobody holds.
    ///
    /// # Errors
    /// As everywhere here: what the driver says.
    fn free_memory(&self) -> Result<u64, CudaError>;

    /// Takes memory, at a multiple of 256 bytes.
    ///
    /// # Errors
    /// [`CudaError::Memory`] where there is not enough.
    fn allocate(&self, bytes: usize) -> Result<Address, CudaError>;

    /// Gives memory back once the work that was handed over is done.
    fn free(&self, address: Address);

    /// Copies to the card. `from` may change as soon as this returns.
    ///
    /// # Errors
    /// What the driver says.
    fn upload(&self, stream: Stream, from: &[u8], to: Address) -> Result<(), CudaError>;

    /// Copies from the card, after all work that was handed over, and waits for it.
    ///
    /// # Errors
    /// What the driver says; also of earlier work that failed.
    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), CudaError>;

    /// Hands work over.
    ///
    /// # Errors
    /// What the driver says.
    fn run(&self, work: &[Work<'_>]) -> Result<(), CudaError>;

    /// Records work without doing it.
    ///
    /// # Errors
    /// What the driver says.
    fn record(&self, work: &[Work<'_>]) -> Result<Graph, CudaError>;

    /// Does recorded work, with what lies at its addresses now.
    ///
    /// # Errors
    /// What the driver says.
    fn replay(&self, graph: Graph) -> Result<(), CudaError>;

    /// Drops recorded work.
    fn forget(&self, graph: Graph);

    /// The place that a stream's order has reached.
    ///
    /// # Errors
    /// What the driver says.
    fn mark(&self, stream: Stream) -> Result<Mark, CudaError>;

    /// Lets what comes next on a stream wait for all before `mark` on the other.
    ///
    /// # Errors
    /// What the driver says.
    fn wait(&self, stream: Stream, mark: Mark) -> Result<(), CudaError>;

    /// How products are done that were handed over or chosen so far.
    fn choices(&self) -> Vec<Choice>;

    /// Lets products be done so that were not handed over yet. Choices that mean nothing here are passed over.
    fn choose(&self, choices: &[Choice]);
}

/// A piece of work, with addresses.
#[derive(Clone, Debug, PartialEq)]
pub enum Work<'a> {
    /// A kernel.
    Launch {
        /// Its name as C++ spells it.
        kernel: &'a str,
        /// How many blocks there are along each axis.
        grid: [u32; 3],
        /// How many threads a block has along each axis.
        block: [u32; 3],
        /// What it is given.
        arguments: Arc<[Given]>,
    },
    /// A product of matrices.
    Product(GivenProduct),
    /// Bytes copied from one place to another, which do not overlap.
    Copy {
        /// Where they are.
        from: Address,
        /// Where they go.
        to: Address,
        /// How many.
        bytes: usize,
    },
    /// Bytes set to 0.
    Clear {
        /// Where they are.
        at: Address,
        /// How many.
        bytes: usize,
    },
}

/// What a kernel is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Given {
    /// A number: its bytes, and how many they are.
    Number([u8; 8], usize),
    /// Values that it reads, and where `written` is set writes.
    Span {
        /// Where they are.
        at: Address,
        /// How many bytes they have.
        bytes: usize,
        /// Whether it writes them.
        written: bool,
    },
    /// In place of values that it can do without.
    Nothing,
}

/// A matrix, row-major without gaps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GivenMatrix {
    /// Where it is.
    pub at: Address,
    /// The type of its values.
    pub element: Element,
    /// Whether it is used turned, rows for columns.
    pub turned: bool,
}

/// `out [rows, columns] = a [rows, depth] · b [depth, columns]`, summed in float32, each where turned the other way in
/// memory; with `bias [columns]` added to each row where there is one, and to what is there where `adds` is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GivenProduct {
    /// Rows of `a` and `out`.
    pub rows: usize,
    /// Columns of `b` and `out`.
    pub columns: usize,
    /// Columns of `a`, rows of `b`.
    pub depth: usize,
    /// The first factor.
    pub a: GivenMatrix,
    /// The second, of the first's element.
    pub b: GivenMatrix,
    /// Float32 values, one a column.
    pub bias: Option<Address>,
    /// The result; never turned.
    pub out: GivenMatrix,
    /// Whether the product is added to what is there.
    pub adds: bool,
}
