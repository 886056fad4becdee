//! Work for a card that names its operands by what they are, not by where they lie: so that a pass is recorded first
//! and finds its places later.

use std::fmt;
use std::sync::Arc;

use crate::driver::{Address, Driver};
pub use crate::element::Element;
use crate::error::CudaError;

/// Memory on a card, given back when it is dropped.
#[derive(Debug)]
pub struct Memory {
    driver: Arc<dyn Driver>,
    address: Address,
    bytes: usize,
}

impl Memory {
    /// Takes memory whose contents are unknown.
    ///
    /// # Errors
    /// [`CudaError::Memory`] where there is not enough.
    pub fn new(driver: &Arc<dyn Driver>, bytes: usize) -> Result<Arc<Self>, CudaError> {
        let address = driver.allocate(bytes.max(1))?;
        Ok(Arc::new(Self { driver: Arc::clone(driver), address, bytes }))
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.driver.free(self.address);
    }
}

/// In what values lie.
#[derive(Clone, Debug)]
pub enum Home {
    /// In memory of their own.
    Memory(Arc<Memory>),
    /// In the memory of a pass, at a byte that its plan gives to the result of this number.
    Room(usize),
    /// Among what the host gives to a pass.
    Inputs,
    /// Among what is copied for a pass from elsewhere on the card.
    Copies,
}

impl PartialEq for Home {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory(a), Self::Memory(b)) => Arc::ptr_eq(a, b),
            (Self::Room(a), Self::Room(b)) => a == b,
            (Self::Inputs, Self::Inputs) | (Self::Copies, Self::Copies) => true,
            _ => false,
        }
    }
}

/// Values on a card. Clones are the same values.
#[derive(Clone, PartialEq)]
pub struct Values {
    home: Home,
    /// The first byte in its home.
    start: usize,
    len: usize,
    element: Element,
}

impl Values {
    /// `len` values that begin at byte `start` of `home`.
    ///
    /// # Panics
    /// Where they are beyond the end of memory of their own.
    pub fn new(home: Home, start: usize, len: usize, element: Element) -> Self {
        if let Home::Memory(memory) = &home {
            assert!(start + len * element.bytes() <= memory.bytes, "values beyond their memory");
        }
        Self { home, start, len, element }
    }

    /// `len` values in memory of their own.
    ///
    /// # Errors
    /// [`CudaError::Memory`] where there is not enough.
    pub fn own(driver: &Arc<dyn Driver>, len: usize, element: Element) -> Result<Self, CudaError> {
        let memory = Memory::new(driver, len * element.bytes())?;
        Ok(Self::new(Home::Memory(memory), 0, len, element))
    }

    /// Those from `first` on, `len` of them.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn part(&self, first: usize, len: usize) -> Self {
        assert!(first + len <= self.len, "values {first} to {} of {}", first + len, self.len);
        Self { start: self.start + first * self.element.bytes(), len, ..self.clone() }
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Their type.
    pub fn element(&self) -> Element {
        self.element
    }

    /// In what they lie.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.len * self.element.bytes()
    }

    /// The first byte in their home.
    pub fn start(&self) -> usize {
        self.start
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} in {:?} from byte {}", self.len, self.element, self.home, self.start)
    }
}

/// What a kernel is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A number: its bytes, and how many they are.
    Number([u8; 8], usize),
    /// Values that it reads.
    Read(Values),
    /// Values that it writes.
    Write(Values),
    /// In place of values that it can do without.
    Nothing,
}

macro_rules! numbers {
    ($($name:ty),*) => {
        $(
            impl From<$name> for Argument {
                fn from(number: $name) -> Self {
                    const BYTES: usize = size_of::<$name>();
                    let mut bytes = [0; 8];
                    bytes[..BYTES].copy_from_slice(&number.to_ne_bytes());
                    Self::Number(bytes, BYTES)
                }
            }
        )*
    };
}

numbers!(i32, u64, f32, f64);

/// Sizes that a kernel takes as `int`.
///
/// # Panics
/// Where one is beyond 2³¹ − 1: no card has memory for so many rows.
pub(crate) fn int(size: usize) -> Argument {
    i32::try_from(size).expect("a size that a kernel can count to").into()
}

/// Sizes that a kernel takes as `u64`.
pub(crate) fn long(size: usize) -> Argument {
    (size as u64).into()
}

/// A kernel's launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Its name as C++ spells it.
    pub kernel: String,
    /// How many blocks there are along each axis.
    pub grid: [u32; 3],
    /// How many threads a block has along each axis.
    pub block: [u32; 3],
    /// What it is given.
    pub arguments: Vec<Argument>,
}

/// A factor of a product: a matrix, row-major without gaps, used as it is or turned.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// Its values.
    pub values: Values,
    /// Whether its rows are the columns of what is multiplied.
    pub turned: bool,
}

/// As [`GivenProduct`](crate::driver::GivenProduct).
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Rows of `a` and `out`.
    pub rows: usize,
    /// Columns of `b` and `out`.
    pub columns: usize,
    /// Columns of `a`, rows of `b`.
    pub depth: usize,
    /// The first factor.
    pub a: Factor,
    /// The second, of the first's element.
    pub b: Factor,
    /// Float32 values, one a column.
    pub bias: Option<Values>,
    /// The result.
    pub out: Values,
    /// Whether the product is added to what is there.
    pub adds: bool,
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A kernel.
    Launch(Launch),
    /// A product of matrices.
    Product(Product),
    /// Values copied to others of as many bytes.
    Copy {
        /// Where they are.
        from: Values,
        /// Where they go.
        to: Values,
    },
    /// Values set to 0.
    Clear(Values),
}

/// Where the work of an operation is written down.
pub trait Record {
    /// Adds a piece of work.
    fn push(&mut self, command: Command);

    /// Room for values that are needed until the operation's work is done. Nothing is known of what they hold.
    fn scratch(&mut self, len: usize, element: Element) -> Values;
}
