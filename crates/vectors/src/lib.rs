//! What vectors of pictures tell, whatever network they come from: which pictures are alike, which are odd, whether
//! classes lie apart, which ones to label next.
//!
//! Everything here works on [`Vectors`], rows of equal width, and knows nothing of networks. Results are the same for
//! any number of threads: work is cut by shape alone, and sums are added in a fixed order.

#![forbid(unsafe_code)]

pub mod auroc;
mod error;
#[cfg(test)]
mod fill;
pub mod logistic;
pub mod neighbours;
mod random;
mod tiles;
pub mod validate;
mod vectors;
pub mod vote;

pub use error::VectorError;
pub use vectors::Vectors;
