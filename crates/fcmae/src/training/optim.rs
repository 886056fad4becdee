//! From gradients to new weights.

pub mod adamw;
pub mod layer_decay;
pub mod schedule;

pub use crate::engine::gradients::Gradients;
pub use adamw::{AdamW, Outcome};
pub use layer_decay::LayerDecay;
pub use schedule::Schedule;
