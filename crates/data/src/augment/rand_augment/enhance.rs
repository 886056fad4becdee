//! Pillow's `ImageEnhance`: blends of a picture with a plainer version of itself. Factors below 1
//! go towards it, above 1 away from it.

use super::tone;
use crate::picture::Picture;

/// Weights of red, green and blue in grey, in 65536ths (ITU-R 601).
const LUMA: [u32; 3] = [19_595, 38_470, 7_471];

/// Away from or towards the grey picture. Grey pictures stay.
pub(super) fn color(picture: &mut Picture, factor: f64) {
    if picture.channels() == 1 {
        return;
    }
    let (pixels, _) = picture.pixels_mut().as_chunks_mut::<3>();
    for pixel in pixels {
        let grey = luma(*pixel);
        *pixel = pixel.map(|value| blend(grey, value, factor as f32));
    }
}

/// Away from or towards the mean grey.
pub(super) fn contrast(picture: &mut Picture, factor: f64) {
    let (sum, count) = if picture.channels() == 1 {
        let pixels = picture.pixels();
        (pixels.iter().map(|&value| u64::from(value)).sum::<u64>(), pixels.len())
    } else {
        let (pixels, _) = picture.pixels().as_chunks::<3>();
        (pixels.iter().map(|&pixel| u64::from(luma(pixel))).sum(), pixels.len())
    };
    let mean = (sum as f64 / count as f64 + 0.5) as u8;
    tone::map(picture, |value| blend(mean, value, factor as f32));
}

/// Away from or towards black.
pub(super) fn brightness(picture: &mut Picture, factor: f64) {
    tone::map(picture, |value| blend(0, value, factor as f32));
}

/// Away from or towards the smoothed picture: each pixel and its eight neighbours, the pixel
/// counted five times. Pixels at the edge stay.
pub(super) fn sharpness(picture: &mut Picture, factor: f64) {
    const EDGE: f32 = 1.0 / 13.0;
    const CENTRE: f32 = 5.0 / 13.0;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if width < 3 || height < 3 {
        return;
    }
    let channels = picture.channels() as usize;
    let stride = width * channels;
    let source = picture.pixels().to_vec();
    for y in 1..height - 1 {
        let row = |y: usize| &source[y * stride..(y + 1) * stride];
        let (above, here, below) = (row(y - 1), row(y), row(y + 1));
        let inner = y * stride + channels..(y + 1) * stride - channels;
        let result = &mut picture.pixels_mut()[inner];
        for (i, result) in result.iter_mut().enumerate() {
            let three = |row: &[u8], centre: f32| {
                let value = |at: usize| f32::from(row[at]);
                value(i) * EDGE + value(i + channels) * centre + value(i + 2 * channels) * EDGE
            };
            // In Pillow's order, so that sums are rounded alike.
            let sum = 0.5 + three(below, EDGE) + three(here, CENTRE) + three(above, EDGE);
            *result = blend(sum as u8, *result, factor as f32);
        }
    }
}

fn luma(pixel: [u8; 3]) -> u8 {
    let sum: u32 = pixel.iter().zip(LUMA).map(|(&value, weight)| u32::from(value) * weight).sum();
    // Weights add up to 65536: the result is 255 at most.
    ((sum + 0x8000) >> 16) as u8
}

/// `plain + factor · (value − plain)` in float32; the conversion drops the fraction and clips.
fn blend(plain: u8, value: u8, factor: f32) -> u8 {
    let (plain, value) = (f32::from(plain), f32::from(value));
    (plain + factor * (value - plain)) as u8
}
