//! Tensors on disk: weights as other programs write them, checkpoints, a run's folder and its logs. What
//! needs a process to itself, for its memory or its disk, stands beside this.
#![allow(clippy::unwrap_used)]

mod golden;
mod killed;
mod metrics;
mod pth;
mod run;
mod safetensors;
mod weights;
