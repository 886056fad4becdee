//! What a machine does with networks: [`bench`](mod@bench), how fast it is; [`check`], whether a card computes what
//! the processor does.

pub mod bench;
pub mod check;
