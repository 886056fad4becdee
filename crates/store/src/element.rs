//! Floating-point values as they lie in files, little-endian, to float32.

use std::io::{self, Read};

use ::safetensors::tensor::Dtype;
use half::{bf16, f16};

/// Values converted at a time.
pub(crate) const CHUNK: usize = 1 << 16;

type Decode = fn(&[u8], &mut Vec<f32>);

/// How the values of one element type are read.
#[derive(Clone, Copy)]
pub(crate) struct Decoder {
    width: usize,
    decode: Decode,
}

impl Decoder {
    /// `None` for what is not F32, F16, BF16 or F64.
    pub(crate) fn of(dtype: Dtype) -> Option<Self> {
        // Value by value from little-endian bytes; the compiler makes vector code of each.
        let decode: Decode = match dtype {
            Dtype::F32 => |bytes, out| out.extend(words(bytes).map(f32::from_le_bytes)),
            Dtype::F64 => {
                |bytes, out| out.extend(words(bytes).map(|b| f64::from_le_bytes(b) as f32))
            }
            Dtype::F16 => {
                |bytes, out| out.extend(words(bytes).map(|b| f16::from_le_bytes(b).to_f32()))
            }
            Dtype::BF16 => {
                |bytes, out| out.extend(words(bytes).map(|b| bf16::from_le_bytes(b).to_f32()))
            }
            _ => return None,
        };
        Some(Self { width: dtype.bitsize() / 8, decode })
    }

    /// Reads `count` values; `None` where they do not fit into memory. The caller has held the count
    /// against the length of the file.
    pub(crate) fn read(self, input: &mut dyn Read, count: usize) -> io::Result<Option<Vec<f32>>> {
        let mut data = Vec::new();
        if data.try_reserve_exact(count).is_err() {
            return Ok(None);
        }
        let mut bytes = vec![0; self.width * count.min(CHUNK)];
        let mut left = count;
        while left > 0 {
            let part = left.min(CHUNK);
            let bytes = &mut bytes[..self.width * part];
            input.read_exact(bytes)?;
            (self.decode)(bytes, &mut data);
            left -= part;
        }
        Ok(Some(data))
    }
}

fn words<const WIDTH: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; WIDTH]> {
    bytes.as_chunks::<WIDTH>().0.iter().copied()
}
