//! WebP: the length of the whole.

/// Gives a RIFF file its length.
pub fn riff(_: &[u8], mut changed: Vec<u8>) -> Vec<u8> {
    let length = changed.len().saturating_sub(8) as u32;
    if let Some(field) = changed.get_mut(4..8) {
        field.copy_from_slice(&length.to_le_bytes());
    }
    changed
}
