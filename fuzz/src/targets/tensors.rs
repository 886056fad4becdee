//! Tensors beside tensors.

use fcmae_store::NamedTensors;

/// Whether tensors have the same names, shapes and bits.
pub(super) fn same(one: &NamedTensors, two: &NamedTensors) -> bool {
    one.len() == two.len()
        && one.iter().zip(two).all(|((name, tensor), (other_name, other))| {
            let bits = tensor.data.iter().map(|value| value.to_bits());
            name == other_name
                && tensor.shape == other.shape
                && bits.eq(other.data.iter().map(|value| value.to_bits()))
        })
}
