//! What vectors of pictures tell, whatever network they come from: which pictures are alike, which are odd, whether
//! classes lie apart, which ones to label next.
//!
//! Everything here works on [`Vectors`], rows of equal width, and knows nothing of networks.

#![forbid(unsafe_code)]

mod error;
pub mod file;
mod vectors;

pub use error::VectorError;
pub use file::Embeddings;
pub use vectors::Vectors;
