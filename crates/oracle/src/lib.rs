//! The network's operations in double precision and naive loops, for tests to compare with. Reverse mode covers a few
//! primitives, and every operation is composed of these.
//!
//! ```
//! use fcmae_oracle::Var;
//! use fcmae_oracle::network::gelu;
//!
//! let x = Var::new(&[1], [0.0]);
//! let y = gelu(&x);
//! assert_eq!(y.values(), [0.0]);
//! assert_eq!(y.backward().of(&x).values, [0.5]);
//! ```
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
