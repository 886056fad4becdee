//! All that is fuzzed, one file each.

mod description;
mod embeddings;
mod list;
mod parquet;
mod picture;
mod pth;
mod recipe;
mod run;
mod safetensors;
mod set;
mod tar;
mod tensors;
mod weights;

use crate::Target;

/// Every target.
pub const ALL: [Target; 18] = [
    pth::TARGET,
    safetensors::TARGET,
    tar::TARGET,
    parquet::TARGET,
    picture::JPEG,
    picture::PNG,
    picture::TIFF,
    picture::BMP,
    picture::GIF,
    picture::WEBP,
    list::TARGET,
    recipe::TARGET,
    weights::TARGET,
    description::TARGET,
    run::TARGET,
    embeddings::PARQUET,
    embeddings::NPY,
    embeddings::CSV,
];
