//! Pictures to load, where there are none.

use std::fs;
use std::path::Path;

use fcmae_data::random;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

use crate::error::{Error, Result};

const WIDTH: u32 = 533;
const HEIGHT: u32 = 400;
const QUALITY: u8 = 90;
/// Waves that a picture's shading is made of.
const WAVES: usize = 12;

/// Writes `count` JPEG files of 400 × 533 pixels into an existing folder. They take as long to decode
/// as photographs do: shading at all scales, hard edges, and a little noise.
///
/// # Errors
/// A file that cannot be written.
pub fn write_pictures(folder: &Path, count: usize) -> Result<()> {
    for number in 0..count {
        let path = folder.join(format!("{number:04}.jpg"));
        let failed = |reason: String| Error::File { path: path.clone(), reason };
        let mut bytes = Vec::new();
        let picture = picture(number as u64);
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
            .encode_image(&picture)
            .map_err(|error| failed(error.to_string()))?;
        fs::write(&path, bytes).map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

fn picture(number: u64) -> RgbImage {
    let mut rng = random::keyed(0, "bench picture", 0, number);
    // Strength falls with frequency, as in photographs.
    let waves: Vec<[f64; 4]> = (0..WAVES)
        .map(|i| {
            let frequency = 0.01 * 1.5f64.powi(i as i32);
            let (sin, cos) = random::uniform(&mut rng, 0.0, std::f64::consts::TAU).sin_cos();
            let phase = random::uniform(&mut rng, 0.0, std::f64::consts::TAU);
            [frequency * cos, frequency * sin, phase, 60.0 / (1.0 + i as f64)]
        })
        .collect();
    let edge = random::uniform(&mut rng, 0.3, 0.7) * f64::from(WIDTH);
    RgbImage::from_fn(WIDTH, HEIGHT, |column, row| {
        let (x, y) = (f64::from(column), f64::from(row));
        let wave = |[across, down, phase, strength]: &[f64; 4]| {
            strength * (across * x + down * y + phase).sin()
        };
        let shade: f64 = waves.iter().map(wave).sum();
        let side = if x + 0.3 * y < edge { -30.0 } else { 30.0 };
        let noise = random::uniform(&mut rng, -6.0, 6.0);
        Rgb([1.0, 0.8, 0.6].map(|tint| (128.0 + tint * (shade + side) + noise) as u8))
    })
}
