//! Image files to training batches, without a tensor framework.
//!
//! Modules in the order in which data flows:
//! - [`source`]: folders, tar archives, Parquet files and lists become one sorted list of samples, and
//!   parts of it;
//! - [`random`]: every random choice as a function of (seed, purpose, epoch, sample);
//! - [`sampler`]: which samples stand in which batch;
//! - [`decode`]: one file becomes one [`Picture`];
//! - [`input`]: pictures by path, as bytes, decoded, or of a set, under one type;
//! - [`augment`]: one picture becomes one input of the network;
//! - [`loader`]: worker threads do all of it ahead, and deliver batches in order;
//! - [`statistics`]: what the values of a set are, for its normalization;
//! - [`drawn`]: what tells pictures that this program draws;
//! - [`mix`]: pictures of a batch are mixed in pairs, and labels with them;
//! - [`error`]: what can go wrong, with its remedy.

#![forbid(unsafe_code)]

pub mod augment;
mod cache;
mod channels;
pub mod decode;
pub mod drawn;
pub mod error;
pub mod input;
pub mod loader;
pub mod mix;
mod picture;
pub mod random;
mod remark;
pub mod sampler;
pub mod source;
pub mod statistics;
mod words;

pub use augment::{
    EvalResize, EvalTransform, Noise, Normalization, RandAugment, RandomErasing, RandomResizedCrop,
    Transform,
};
pub use channels::MAX_CHANNELS;
pub use decode::{Fill, Limits};
pub use error::{DataError, DecodeError};
pub use input::{Input, Inputs, Samples};
pub use loader::{Assembled, Batch, Delivery, Loader, LoaderOptions, Normalized};
pub use mix::{Mix, Mixing};
pub use picture::{Depth, Picture, PixelFormat};
pub use remark::{Axes, Remark};
pub use source::{
    Alike, Amount, Copies, FoundLabels, Grouping, Groups, Labels, Opening, Pages, Part, PictureSet,
    Sample, Skipped, Split,
};
pub use statistics::Statistics;
