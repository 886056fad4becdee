//! How many frames an animation has, of which the first is taken.

use image::ImageFormat;

use crate::remark::{Axes, Remark};

/// A remark on a GIF, PNG or WebP file of several frames.
pub(super) fn remark(bytes: &[u8], format: ImageFormat) -> Option<Remark> {
    let frames = match format {
        ImageFormat::Gif => gif(bytes),
        ImageFormat::Png => png(bytes)?,
        ImageFormat::WebP => webp(bytes),
        _ => return None,
    };
    let axes = Axes { frames, ..Axes::default() };
    (frames > 1).then_some(Remark::Pages {
        used: 1,
        of: frames,
        axes,
        as_channels: None,
        as_pictures: false,
    })
}

fn big_endian(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = bytes.get(at..at + 4)?;
    Some(digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)))
}

/// What its chunk acTL says, which stands before the picture's data.
fn png(bytes: &[u8]) -> Option<u64> {
    let mut at = 8;
    loop {
        let length = big_endian(bytes, at)?;
        match bytes.get(at + 4..at + 8)? {
            b"acTL" => return Some(big_endian(bytes, at + 8)? as u64),
            b"IDAT" => return None,
            // Length, name and checksum stand around the content.
            _ => at = at.checked_add(length)?.checked_add(12)?,
        }
    }
}

/// Chunks of the name ANMF.
fn webp(bytes: &[u8]) -> u64 {
    let (mut at, mut frames) = (12, 0);
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        frames += u64::from(head.starts_with(b"ANMF"));
        at += 8 + length + length % 2;
    }
    frames
}

/// Picture blocks.
fn gif(bytes: &[u8]) -> u64 {
    let table = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let Some(&flags) = bytes.get(10) else { return 0 };
    let (mut at, mut frames) = (13 + table(flags), 0);
    loop {
        match bytes.get(at) {
            // An extension: its name, then blocks.
            Some(0x21) => at += 2,
            // A picture: its place and flags, its palette, the size of codes, then blocks.
            Some(0x2C) => {
                frames += 1;
                let Some(&flags) = bytes.get(at + 9) else { return frames };
                at += 11 + table(flags);
            }
            _ => return frames,
        }
        // Blocks with their lengths, the last of length 0.
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
}
