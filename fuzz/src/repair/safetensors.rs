//! Safetensors: the length of the header, and as many values as it describes.

use serde_json::Value;
use serde_json::de::Deserializer;

/// More are not made up.
const MOST_BYTES: u64 = 64 << 10;

/// Gives a file the length of its header, and the bytes that its header describes.
pub fn safetensors(_: &[u8], mut changed: Vec<u8>) -> Vec<u8> {
    let Some(rest) = changed.get(8..) else { return changed };
    let mut values = Deserializer::from_slice(rest).into_iter::<Value>();
    let Some(Ok(header)) = values.next() else { return changed };
    let end = values.byte_offset();
    // Writers fill the header up to eight bytes; without these the values would be others.
    let filled = rest[end..].iter().take(end.next_multiple_of(8) - end).take_while(|&&b| b == b' ');
    let length = (end + filled.count()) as u64;
    changed[..8].copy_from_slice(&length.to_le_bytes());
    let described = header.as_object().into_iter().flatten().filter_map(|(_, entry)| {
        entry.get("data_offsets")?.get(1)?.as_u64().filter(|&end| end <= MOST_BYTES)
    });
    if let Some(bytes) = described.max() {
        changed.resize((8 + length + bytes) as usize, 0);
    }
    changed
}
