//! From image files to training batches, without a tensor framework.
//!
//! ```
//! use std::sync::Arc;
//!
//! use fcmae_data::{
//!     EvalTransform, Input, Inputs, Loader, LoaderOptions, Normalization, Picture, Transform,
//! };
//!
//! // A grey square of 8×8 pixels. Files, bytes and whole sets go in the same way.
//! let picture = Arc::new(Picture::new(8, 8, 1, vec![128; 64])?);
//! let inputs: Inputs = [Input::Picture { name: "grey".into(), picture }].into_iter().collect();
//! let loader = Loader::new(
//!     Arc::new(inputs),
//!     Transform::Eval(EvalTransform::new(8, 8)),
//!     Normalization::imagenet(1)?,
//!     &LoaderOptions::eval(4),
//! )?;
//! for batch in loader {
//!     let batch = batch?;
//!     // [N, height, width, channels]
//!     assert_eq!((batch.len(), batch.images.len()), (1, 8 * 8));
//! }
//! # Ok::<(), fcmae_data::DataError>(())
//! ```
//!
//! Modules in the order in which data flows:
//! - [`source`]: folders, tar archives, Parquet files and lists become one sorted list of samples, and
//!   parts of it;
//! - [`random`]: every random choice as a function of (seed, purpose, epoch, sample);
//! - [`sampler`]: which samples make up which batch;
//! - [`decode`]: one file becomes one [`Picture`];
//! - [`input`]: pictures by path, as bytes, decoded, or of a set, under one type;
//! - [`augment`]: one picture becomes one input of the network;
//! - [`loader`]: worker threads do all of it ahead, and deliver batches in order;
//! - [`statistics`]: mean and deviation of a set's values, for its normalization;
//! - [`drawn`]: how to recognize pictures that this program draws;
//! - [`mix`]: mixes pictures of a batch in pairs, with their labels;
//! - [`error`]: what can go wrong, with its remedy.

#![forbid(unsafe_code)]

mod advice;
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

pub use advice::Advice;
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
