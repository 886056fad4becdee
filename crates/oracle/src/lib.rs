//! What the tests hold the network's operations to: double precision, naive loops, and reverse mode
//! over few primitives, of which every operation is a composition.
//!
//! It shares no code with what it checks, and no layout beyond the order of values in memory. It is
//! for tests alone: shapes that don't fit panic.
#![forbid(unsafe_code)]

mod array;
mod error_function;
pub mod network;
mod var;

pub use array::Array;
pub use error_function::{erf, erfc};
pub use var::{Gradients, Var};
