//! Files of an export, and tensors as other programs name and shape them.

use fcmae_store::{HostTensor, NamedTensors};
use serde_json::Value;

use crate::weights::names::Scheme;

/// The name and content of a file.
pub type File = (String, Vec<u8>);

/// The tensors under a program's names; `reshape` is told timm's name and gives the program's shape.
/// Those for which the program has no name keep timm's.
pub(super) fn renamed(
    network: NamedTensors,
    scheme: Scheme,
    reshape: impl Fn(&str, &[usize]) -> Vec<usize>,
) -> NamedTensors {
    let rename = |(name, HostTensor { shape, data }): (String, HostTensor)| {
        let shape = reshape(&name, &shape);
        (scheme.from_timm(&name).unwrap_or(name), HostTensor { shape, data })
    };
    network.into_iter().map(rename).collect()
}

/// GRN's parameters as `[1, 1, 1, 4C]`: so the authors and transformers keep them.
pub(super) fn grn_of_four_axes(name: &str, shape: &[usize]) -> Vec<usize> {
    match shape {
        [channels] if name.contains(".grn.") => vec![1, 1, 1, *channels],
        _ => shape.to_vec(),
    }
}

pub(super) fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}
