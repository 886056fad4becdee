//! Tensors, their memory, operations and gradients, on a processor or a card. It knows of no network.
//!
//! - [`device`], [`backend`], [`machine`], [`threads`]: what computes, and what there is of it;
//! - [`tensor`]: values with a shape, which never change once made;
//! - [`parameters`]: what a network learns, by name, in one block;
//! - [`workspace`]: a pass's memory, planned from its shapes;
//! - [`tape`]: passes forward, and back for gradients;
//! - [`ops`]: the operations, one file each: formula, shapes, forward, backward;
//! - [`module`]: the structs of a network with their weights, to infer with.

pub mod backend;
pub mod device;
pub(crate) mod feed;
pub(crate) mod gradients;
mod groups;
mod lifetimes;
pub mod machine;
pub mod module;
pub(crate) mod noise;
pub mod ops;
pub mod parameters;
mod prepared;
mod room;
pub(crate) mod shape;
pub mod tape;
pub mod tensor;
pub mod threads;
pub mod workspace;
