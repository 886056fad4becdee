//! What vectors of pictures tell, whatever network they come from: which pictures are alike, which are odd, whether
//! classes lie apart, which ones to label next.
//!
//! Everything here works on [`Vectors`], rows of equal width, and knows nothing of networks. Results are the same for
//! any number of threads: work is cut by shape alone, and sums are added in a fixed order.

#![forbid(unsafe_code)]

pub mod anomaly;
pub mod auroc;
pub mod choice;
mod clusters;
mod covariance;
mod eigen;
mod error;
mod farthest;
pub mod file;
#[cfg(test)]
mod fill;
pub mod logistic;
pub mod neighbours;
pub mod normal;
pub mod probe;
pub mod project;
mod random;
pub mod rank;
mod tiles;
pub mod tsne;
pub mod validate;
mod vectors;
pub mod vote;

pub use error::VectorError;
pub use file::Embeddings;
pub use vectors::Vectors;
