//! What the vectors of pictures show, whatever network they come from: which pictures are alike, which are odd,
//! whether classes lie apart, which to label next.
//!
//! Everything works on [`Vectors`], rows of equal width, and knows nothing of networks. Results are the same for any
//! number of threads: work is divided by shape alone, and sums are added in a fixed order.
//!
//! ```
//! use fcmae_vectors::Vectors;
//! use fcmae_vectors::neighbours::nearest_others;
//!
//! // Three pictures, two numbers each.
//! let vectors = Vectors::new(vec![1.0, 0.0, 0.9, 0.1, 0.0, 1.0], 2)?.normalized()?;
//! let nearest = nearest_others(&vectors, 1)?;
//! assert_eq!(nearest.places(0), [1]);
//! assert_eq!(nearest.places(2), [1]);
//! # Ok::<(), fcmae_vectors::VectorError>(())
//! ```
//!
//! - [`mod@file`]: vectors as `fcmae embed` writes them;
//! - [`neighbours`], [`anomaly`], [`choice`]: what is near, far, or worth a label;
//! - [`vote`], [`logistic`], [`probe`]: classifiers on frozen features, with settings chosen by [`validate`];
//! - [`project`], [`tsne`]: two dimensions for a map;
//! - [`auroc`], [`rank`], [`normal`]: statistics.

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
