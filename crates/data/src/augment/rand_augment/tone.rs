//! Operations that replace each level by another.

use crate::picture::Picture;

/// The same for every channel.
pub(super) fn map(picture: &mut Picture, level: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|i| level(i as u8));
    for value in picture.pixels_mut() {
        *value = table[usize::from(*value)];
    }
}

/// Keeps the upper `bits` of each level.
pub(super) fn posterize(picture: &mut Picture, bits: f64) {
    // The low byte of 0xff00 shifted right by the number of bits kept, 0 to 8.
    let mask = (0xff00_u16 >> (bits as u32).min(8)) as u8;
    map(picture, |level| level & mask);
}

/// Pillow's `ImageOps.autocontrast`: each channel's darkest level becomes 0, its lightest 255.
pub(super) fn auto_contrast(picture: &mut Picture) {
    for_each_channel(picture, |counts| {
        let low = counts.iter().position(|&count| count > 0)?;
        let high = counts.iter().rposition(|&count| count > 0)?;
        if high <= low {
            return None;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        // Conversion to u8 drops the fraction and clips.
        Some(std::array::from_fn(|level| (level as f64 * scale + offset) as u8))
    });
}

/// Pillow's `ImageOps.equalize`: levels are spread so that each is about equally frequent.
pub(super) fn equalize(picture: &mut Picture) {
    for_each_channel(picture, |counts| {
        let last = counts.iter().rfind(|&&count| count > 0)?;
        // A channel of one level, or of few pixels beside the lightest ones, stays.
        let step = (counts.iter().sum::<u64>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut sum = step / 2;
        Some(std::array::from_fn(|level| {
            let result = (sum / step).min(255) as u8;
            sum += counts[level];
            result
        }))
    });
}

/// Replaces each channel's levels by a table made from how often each occurs; none leaves it.
fn for_each_channel(picture: &mut Picture, table: impl Fn(&[u64; 256]) -> Option<[u8; 256]>) {
    let channels = picture.channels() as usize;
    for channel in 0..channels {
        let mut counts = [0u64; 256];
        for &value in picture.pixels().iter().skip(channel).step_by(channels) {
            counts[usize::from(value)] += 1;
        }
        let Some(table) = table(&counts) else { continue };
        for value in picture.pixels_mut().iter_mut().skip(channel).step_by(channels) {
            *value = table[usize::from(*value)];
        }
    }
}
