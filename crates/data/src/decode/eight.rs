//! Samples as a file has them to 8-bit pictures.

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use super::deep::{Decoded, Kind, Samples};
use super::fill::Fill;
use super::limits::Limits;
use super::{color, wide};
use crate::advice::Advice;
use crate::error::DecodeError;
use crate::picture::Picture;
use crate::remark::Remark;

/// Largest share of a picture's floats that may lie beyond 0…1 and be clamped, and how far: what
/// resampling and compression leave.
const STRAY: f64 = 0.01;
const NEAR: std::ops::RangeInclusive<f32> = -0.5..=1.5;

/// A picture of `wanted` channels of 8 bits. The file's whole numbers were divided by `largest`; `None`
/// where they are floats. `geo`: it lies on the earth.
pub(super) fn picture(
    mut samples: Samples,
    wanted: u32,
    largest: Option<f64>,
    limits: &Limits,
    geo: bool,
) -> Result<Decoded, DecodeError> {
    if largest.is_some() {
        restore_colors(&mut samples);
    }
    let any_gaps = samples.mark_gaps(limits)?;
    if samples.kind == Kind::Bands {
        return Err(DecodeError::Channels {
            found: samples.channels,
            wanted,
            advice: limits.advice,
        });
    }
    samples.keep_colors();
    match largest {
        None => bring_into_range(&mut samples, limits.advice)?,
        Some(largest) if largest == f64::from(u16::MAX) => {
            let (channels, colors) = colors_of(samples.kind);
            let pixels = samples.values.chunks_exact(channels);
            let colors = pixels.flat_map(|pixel| &pixel[..colors]).filter(|value| !value.is_nan());
            let values = colors.map(|value| (f64::from(*value) * largest).round() as u16);
            samples.remarks.extend(wide::remarks(values, geo));
        }
        Some(_) => {}
    }
    let Samples { width, height, kind, values, remarks, .. } = samples;
    let (channels, colors) = colors_of(kind);
    let pixels = values.chunks_exact(channels);
    let gaps: Option<Vec<bool>> =
        any_gaps.then(|| pixels.map(|p| p[..colors].iter().any(|v| v.is_nan())).collect());
    // NaN becomes 0.
    let raw =
        values.into_iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    let image = match kind {
        Kind::Grey => GrayImage::from_raw(width, height, raw).map(DynamicImage::ImageLuma8),
        Kind::GreyAlpha => {
            GrayAlphaImage::from_raw(width, height, raw).map(DynamicImage::ImageLumaA8)
        }
        Kind::Rgba => RgbaImage::from_raw(width, height, raw).map(DynamicImage::ImageRgba8),
        _ => RgbImage::from_raw(width, height, raw).map(DynamicImage::ImageRgb8),
    };
    let image = image.ok_or_else(|| {
        DecodeError::Malformed("it has fewer values than its size tells".to_owned())
    })?;
    let picture = color::to_channels(image, wanted, remarks);
    Ok(match gaps {
        None => picture.into(),
        Some(gaps) => filled(picture, &gaps, limits.fill),
    })
}

/// Channels, and how many of them are colours.
fn colors_of(kind: Kind) -> (usize, usize) {
    let channels = kind.colors().map_or(1, |(_, channels)| channels);
    (channels, if channels < 3 { 1 } else { 3 })
}

/// A number that means that there is no data is a colour like others where it stands for some of a
/// pixel's colours alone: in a white border of 255s, say.
fn restore_colors(samples: &mut Samples) {
    let Some(nodata) = samples.nodata.filter(|number| number.is_finite()) else { return };
    let all = samples.channels as usize;
    let colors = samples.kind.colors().map_or(all, |(_, channels)| channels.min(3));
    let mut declared = 0;
    for pixel in samples.values.chunks_exact_mut(all) {
        let gap = pixel[..colors].iter().all(|value| value.is_nan());
        for (channel, value) in pixel.iter_mut().enumerate().filter(|(_, value)| value.is_nan()) {
            if gap && channel < colors {
                declared += 1;
            } else {
                *value = nodata as f32;
            }
        }
    }
    samples.declared = declared;
}

/// Floats are 0 to 1, or whole numbers of 0 to 255; anything else needs deep pictures.
fn bring_into_range(samples: &mut Samples, advice: Advice) -> Result<(), DecodeError> {
    let sound = || samples.values.iter().copied().filter(|value| !value.is_nan());
    let count = sound().filter(|value| !(0.0..=1.0).contains(value)).count() as u64;
    if count == 0 {
        return Ok(());
    }
    let (least, most) =
        sound().fold((f32::MAX, f32::MIN), |(least, most), v| (least.min(v), most.max(v)));
    let of = samples.values.len() as u64;
    if sound().all(|value| value.fract() == 0.0 && (0.0..=255.0).contains(&value)) {
        samples.values.iter_mut().for_each(|value| *value /= 255.0);
        samples.remarks.push(Remark::Scaled);
        Ok(())
    } else if NEAR.contains(&least) && NEAR.contains(&most) && count as f64 <= STRAY * of as f64 {
        samples.remarks.push(Remark::Clamped { count, of });
        Ok(())
    } else {
        Err(DecodeError::BeyondEight {
            what: format!("floats of {least} to {most}"),
            remedy: advice.beyond_one(),
            advice,
        })
    }
}

/// Fills pixels that have no data.
fn filled(picture: Picture, gaps: &[bool], fill: Fill) -> Decoded {
    let channels = picture.channels() as usize;
    let mut picture = picture;
    let pixels = picture.pixels_mut();
    for channel in 0..channels {
        let places = || (channel..).step_by(channels).zip(gaps);
        let value = fill.value(|| {
            let sound = places().filter(|(_, gap)| !**gap);
            let add = |(count, sum): (u64, f64), (at, _): (usize, _)| {
                (count + 1, sum + f64::from(pixels[at]) / 255.0)
            };
            let (count, sum) = sound.fold((0, 0.0), add);
            sum / count.max(1) as f64
        });
        let value = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        for (at, _) in places().filter(|(_, gap)| **gap) {
            pixels[at] = value;
        }
    }
    let gaps = gaps.iter().flat_map(|&gap| std::iter::repeat_n(gap, channels)).collect();
    Decoded { picture, gaps: Some(gaps) }
}
