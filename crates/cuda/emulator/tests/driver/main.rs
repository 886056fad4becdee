//! The emulated card: what it computes, and what it holds against those who use it.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used)]

mod card;
mod failures;
mod graphs;
mod memory;
mod product;
mod streams;
