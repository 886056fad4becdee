//! All that is fuzzed, one file each.

mod description;
mod list;
mod parquet;
mod picture;
mod pth;
mod recipe;
mod run;
mod safetensors;
mod set;
mod tar;
mod weights;

use fcmae_store::NamedTensors;

use crate::Target;

/// Every target.
pub const ALL: [Target; 15] = [
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
];

/// Whether tensors have the same names, shapes and bits.
fn same(one: &NamedTensors, two: &NamedTensors) -> bool {
    one.len() == two.len()
        && one.iter().zip(two).all(|((name, tensor), (other_name, other))| {
            let bits = tensor.data.iter().map(|value| value.to_bits());
            name == other_name
                && tensor.shape == other.shape
                && bits.eq(other.data.iter().map(|value| value.to_bits()))
        })
}
