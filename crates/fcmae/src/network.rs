//! ConvNeXt V2 and V1, and the masked autoencoder that is made of them.
//!
//! - [`mask`]: which patches the encoder sees;
//! - [`model`]: stem, blocks, stages, classifier, on a grid or on visible patches;
//! - [`decoder`], [`autoencoder`], [`loss`]: FCMAE.

pub mod autoencoder;
pub mod decoder;
pub(crate) mod flops;
pub mod loss;
pub mod mask;
pub mod memory;
pub mod model;
