//! The CUDA kernels, emulated, against those for the CPU.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used)]

mod activation;
mod card;
mod depthwise;
mod emulator;
mod images;
mod losses;
mod norm;
mod rows;
mod update;
