//! Vectors of pictures: computed with weights, or read from what `fcmae embed` wrote.

mod args;
mod embedder;
mod pictures;
mod rows;
mod source;

pub(crate) use args::{EmbedderArgs, VectorsArgs};
pub(crate) use embedder::{Embedder, Row};
pub(crate) use pictures::{WithLabels, name};
pub(crate) use rows::{collapsed, labelled, select};
pub(crate) use source::{Read, Source};
