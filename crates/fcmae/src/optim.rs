//! From gradients to new weights.

pub mod adamw;
mod gradients;
pub mod layer_decay;
pub mod schedule;

pub use adamw::{AdamW, Outcome};
pub use gradients::Gradients;
pub use layer_decay::LayerDecay;
pub use schedule::Schedule;
