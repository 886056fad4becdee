//! Samples as a file has them to the channels that are asked for, in float32.

use image::DynamicImage;

use super::limits::{Limits, check};
use crate::error::DecodeError;
use crate::picture::Picture;

/// What a file's samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Anything else.
    Bands,
}

impl Kind {
    fn channels(self) -> Option<u32> {
        match self {
            Self::Grey => Some(1),
            Self::GreyAlpha => Some(2),
            Self::Rgb => Some(3),
            Self::Rgba => Some(4),
            Self::Bands => None,
        }
    }
}

/// A decoded file, `[height, width, channels]`, whatever its channels are.
pub(super) struct Samples {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: u32,
    pub(super) kind: Kind,
    pub(super) values: Vec<f32>,
}

/// Largest number that is a value, not a mark for something else.
const LARGEST: f32 = 1e30;

/// Checks what a picture takes in float32.
pub(super) fn check_size(
    width: u32,
    height: u32,
    channels: u32,
    limits: &Limits,
) -> Result<(), DecodeError> {
    let values = u64::from(width) * u64::from(height);
    let bytes = values.saturating_mul(u64::from(channels) * 4);
    check("the decoded size in float32 in bytes", bytes, limits.bytes)
}

impl Samples {
    pub(super) fn of(image: DynamicImage) -> Self {
        let (width, height) = (image.width(), image.height());
        let eight =
            |values: Vec<u8>| values.into_iter().map(|value| f32::from(value) / 255.0).collect();
        let sixteen =
            |values: Vec<u16>| values.into_iter().map(|value| f32::from(value) / 65535.0).collect();
        let (kind, values) = match image {
            DynamicImage::ImageLuma8(image) => (Kind::Grey, eight(image.into_raw())),
            DynamicImage::ImageLumaA8(image) => (Kind::GreyAlpha, eight(image.into_raw())),
            DynamicImage::ImageRgb8(image) => (Kind::Rgb, eight(image.into_raw())),
            DynamicImage::ImageRgba8(image) => (Kind::Rgba, eight(image.into_raw())),
            DynamicImage::ImageLuma16(image) => (Kind::Grey, sixteen(image.into_raw())),
            DynamicImage::ImageLumaA16(image) => (Kind::GreyAlpha, sixteen(image.into_raw())),
            DynamicImage::ImageRgb16(image) => (Kind::Rgb, sixteen(image.into_raw())),
            DynamicImage::ImageRgba16(image) => (Kind::Rgba, sixteen(image.into_raw())),
            DynamicImage::ImageRgb32F(image) => (Kind::Rgb, image.into_raw()),
            other => (Kind::Rgba, other.into_rgba32f().into_raw()),
        };
        let channels = kind.channels().unwrap_or(1);
        Self { width, height, channels, kind, values }
    }

    /// A picture of `wanted` channels.
    pub(super) fn into_picture(self, wanted: u32) -> Result<Picture, DecodeError> {
        // NaN compares as no smaller than anything.
        let sound = self.values.iter().filter(|value| value.abs() <= LARGEST).count();
        if sound < self.values.len() {
            let count = (self.values.len() - sound) as u64;
            return Err(DecodeError::NotFinite { count, of: self.values.len() as u64 });
        }
        let refused = DecodeError::Channels { found: self.channels, wanted };
        let values = if self.channels == wanted {
            self.values
        } else {
            let (colors, flat) = match self.kind {
                Kind::Grey => (1, self.values),
                Kind::GreyAlpha => (1, over_white::<2>(&self.values)),
                Kind::Rgb => (3, self.values),
                Kind::Rgba => (3, over_white::<4>(&self.values)),
                Kind::Bands => return Err(refused),
            };
            match (colors, wanted) {
                (1, 1) | (3, 3) => flat,
                (1, 3) => flat.into_iter().flat_map(|value| [value; 3]).collect(),
                (3, 1) => flat.as_chunks().0.iter().map(luma).collect(),
                _ => return Err(refused),
            }
        };
        Ok(Picture::deep_from_parts(self.width, self.height, wanted, values))
    }

    /// Brings the picture upright: `orientation` is EXIF's, 1 to 8; others change nothing.
    pub(super) fn turned(self, orientation: u32) -> Self {
        if !(2..=8).contains(&orientation) {
            return self;
        }
        let (from_width, from_height) = (self.width as usize, self.height as usize);
        let channels = self.channels as usize;
        let (width, height) =
            if orientation >= 5 { (from_height, from_width) } else { (from_width, from_height) };
        let mut values = Vec::with_capacity(self.values.len());
        for y in 0..height {
            for x in 0..width {
                let (right, bottom) = (width - 1 - x, height - 1 - y);
                let (from_x, from_y) = match orientation {
                    2 => (right, y),
                    3 => (right, bottom),
                    4 => (x, bottom),
                    5 => (y, x),
                    6 => (y, right),
                    7 => (bottom, right),
                    _ => (bottom, x),
                };
                let at = (from_y * from_width + from_x) * channels;
                values.extend_from_slice(&self.values[at..at + channels]);
            }
        }
        Self { width: width as u32, height: height as u32, values, ..self }
    }
}

/// ITU-R 601's grey of an RGB pixel.
fn luma(&[red, green, blue]: &[f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Colours over white, `value · alpha + 1 − alpha`, without the alpha that was last.
fn over_white<const N: usize>(values: &[f32]) -> Vec<f32> {
    let (pixels, _) = values.as_chunks::<N>();
    let over = |pixel: &[f32; N]| {
        let alpha = pixel[N - 1];
        pixel.map(|value| value * alpha + 1.0 - alpha)
    };
    pixels.iter().flat_map(|pixel| over(pixel).into_iter().take(N - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_color_and_transparency_become_one_another() {
        let picture = |kind: Kind, values: &[f32], wanted| {
            let channels = kind.channels().unwrap_or(5);
            let values = values.to_vec();
            Samples { width: 1, height: 1, channels, kind, values }
                .into_picture(wanted)
                .map(|picture| picture.deep_values().to_vec())
        };
        let same = |result: Result<Vec<f32>, DecodeError>, expected: &[f32]| {
            let result = result.unwrap_or_default();
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
            let all = result.iter().zip(expected).all(near);
            assert!(result.len() == expected.len() && all, "{result:?} {expected:?}");
        };
        same(picture(Kind::Grey, &[0.5], 3), &[0.5; 3]);
        same(picture(Kind::Rgb, &[1.0, 0.5, 0.0], 1), &[0.299 + 0.587 / 2.0]);
        same(picture(Kind::GreyAlpha, &[0.5, 0.25], 1), &[0.875]);
        same(picture(Kind::GreyAlpha, &[0.5, 0.25], 3), &[0.875; 3]);
        same(picture(Kind::GreyAlpha, &[0.5, 0.25], 2), &[0.5, 0.25]);
        same(picture(Kind::Rgba, &[1.0, 0.0, 0.5, 0.5], 3), &[1.0, 0.5, 0.75]);
        same(picture(Kind::Rgba, &[1.0, 0.0, 0.5, 0.5], 4), &[1.0, 0.0, 0.5, 0.5]);
        for (kind, values, wanted) in [
            (Kind::Grey, &[0.5; 1][..], 2),
            (Kind::Rgb, &[0.5; 3], 4),
            (Kind::Rgba, &[0.5; 4], 5),
            (Kind::Bands, &[0.5; 5], 3),
            (Kind::Bands, &[0.5; 5], 1),
        ] {
            let error = picture(kind, values, wanted);
            assert!(matches!(error, Err(DecodeError::Channels { .. })), "{kind:?} {wanted}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_counted() {
        let values = vec![0.0, f32::NAN, f32::INFINITY, -3.0e38, 1.0, -9999.0];
        let samples = Samples { width: 3, height: 2, channels: 1, kind: Kind::Grey, values };
        let error = samples.into_picture(1);
        assert!(matches!(error, Err(DecodeError::NotFinite { count: 3, of: 6 })), "{error:?}");
    }
}
