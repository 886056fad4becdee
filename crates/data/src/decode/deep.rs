//! Samples as a file has them to the channels that are asked for, in float32.

use image::DynamicImage;

use super::fill::Fill;
use super::limits::{Limits, Need};
use crate::error::DecodeError;
use crate::picture::Picture;
use crate::remark::Remark;

/// What a file's samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Colours, and what is no transparency.
    RgbAnd,
    /// Colours, transparency, and more.
    RgbaAnd,
    /// Anything else.
    Bands,
}

impl Kind {
    /// The kind of what is a picture among the channels, and its channels, which come first.
    pub(super) fn colors(self) -> Option<(Self, usize)> {
        match self {
            Self::Grey => Some((Self::Grey, 1)),
            Self::GreyAlpha => Some((Self::GreyAlpha, 2)),
            Self::Rgb | Self::RgbAnd => Some((Self::Rgb, 3)),
            Self::Rgba | Self::RgbaAnd => Some((Self::Rgba, 4)),
            Self::Bands => None,
        }
    }
}

/// A decoded file, `[height, width, channels]`, whatever its channels are.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: u32,
    pub(super) kind: Kind,
    /// NaN where there is no data.
    pub(super) values: Vec<f32>,
    /// What the file declares to mean that there is no data, as values are.
    pub(super) nodata: Option<f64>,
    /// How many values mean that.
    pub(super) declared: u64,
    pub(super) remarks: Vec<Remark>,
}

/// A picture, and where it has no data: of each value whether it was filled. `None` where none was.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) picture: Picture,
    pub(crate) gaps: Option<Vec<bool>>,
}

impl From<Picture> for Decoded {
    fn from(picture: Picture) -> Self {
        Self { picture, gaps: None }
    }
}

/// Largest number that is a value, not a mark for something else.
const LARGEST: f32 = 1e30;

/// What a picture takes in float32.
pub(super) fn need(width: u32, height: u32, channels: u32) -> Need {
    let values = u64::from(width) * u64::from(height);
    let bytes = values.saturating_mul(u64::from(channels) * 4);
    Need::bytes("the decoded size in float32 in bytes", bytes)
}

impl Samples {
    pub(super) fn of(image: DynamicImage, remarks: Vec<Remark>) -> Self {
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
        let channels = kind.colors().map_or(1, |(_, channels)| channels as u32);
        Self { width, height, channels, kind, values, nodata: None, declared: 0, remarks }
    }

    /// A picture of `wanted` channels.
    pub(super) fn into_picture(
        mut self,
        wanted: u32,
        limits: &Limits,
    ) -> Result<Decoded, DecodeError> {
        let Limits { fill, advice, .. } = *limits;
        let any_gaps = self.mark_gaps(limits)?;
        if self.channels != wanted {
            let refused = DecodeError::Channels { found: self.channels, wanted, advice };
            if !matches!(wanted, 1 | 3) || self.kind == Kind::Bands {
                return Err(refused);
            }
            self.keep_colors();
            let (colors, flat) = match self.kind {
                Kind::GreyAlpha => (1, over_white::<2>(&self.values, &mut self.remarks)),
                Kind::Rgba => (3, over_white::<4>(&self.values, &mut self.remarks)),
                Kind::Grey => (1, self.values),
                _ => (3, self.values),
            };
            self.values = match (colors, wanted) {
                (1, 3) => flat.into_iter().flat_map(|value| [value; 3]).collect(),
                (3, 1) => flat.as_chunks().0.iter().map(luma).collect(),
                _ => flat,
            };
        }
        let gaps = any_gaps.then(|| fill_gaps(&mut self.values, wanted as usize, fill));
        let picture = Picture::deep_from_parts(self.width, self.height, wanted, self.values);
        Ok(Decoded { picture: picture.with_remarks(self.remarks), gaps })
    }

    /// Makes NaN of all that is no value, and says how much it is. Whether there is any.
    pub(super) fn mark_gaps(&mut self, limits: &Limits) -> Result<bool, DecodeError> {
        // NaN compares as no smaller than anything.
        let sound = self.values.iter().filter(|value| value.abs() <= LARGEST).count();
        let of = self.values.len() as u64;
        let count = of - sound as u64;
        if count == 0 {
            return Ok(false);
        }
        let undeclared = count.saturating_sub(self.declared);
        if undeclared > 0 && limits.fill == Fill::Refuse {
            return Err(DecodeError::NotFinite {
                count: undeclared,
                of,
                declared: self.nodata,
                advice: limits.advice,
            });
        }
        if sound == 0 {
            return Err(DecodeError::NoData);
        }
        if undeclared > 0 {
            self.remarks.push(Remark::Filled { count: undeclared, of });
        }
        if self.declared > 0 {
            self.remarks.push(Remark::NoData { count: self.declared, of });
        }
        for value in
            self.values.iter_mut().filter(|value| value.is_infinite() || value.abs() > LARGEST)
        {
            *value = f32::NAN;
        }
        Ok(true)
    }

    /// Leaves out what is no colour and no transparency.
    pub(super) fn keep_colors(&mut self) {
        let all = self.channels as usize;
        let Some((kind, kept)) = self.kind.colors().filter(|&(_, kept)| kept < all) else { return };
        let left_out = |pixel: &[f32]| pixel[kept..].iter().any(|&value| value < 1.0);
        // A transparency that hides nothing is not missed.
        if all > kept + 1 || self.values.chunks_exact(all).any(left_out) {
            self.remarks.push(Remark::Bands { used: kept as u32, of: self.channels });
        }
        let pixels = self.values.chunks_exact(all);
        self.values = pixels.flat_map(|pixel| &pixel[..kept]).copied().collect();
        (self.kind, self.channels) = (kind, kept as u32);
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
fn over_white<const N: usize>(values: &[f32], remarks: &mut Vec<Remark>) -> Vec<f32> {
    let (pixels, _) = values.as_chunks::<N>();
    if pixels.iter().all(|pixel| pixel[N - 1] == 0.0) {
        remarks.push(Remark::Transparent);
    }
    let over = |pixel: &[f32; N]| {
        let alpha = pixel[N - 1];
        pixel.map(|value| value * alpha + 1.0 - alpha)
    };
    pixels.iter().flat_map(|pixel| over(pixel).into_iter().take(N - 1)).collect()
}

/// Fills what is NaN, and says where that was.
fn fill_gaps(values: &mut [f32], channels: usize, fill: Fill) -> Vec<bool> {
    let gaps: Vec<bool> = values.iter().map(|value| value.is_nan()).collect();
    for channel in 0..channels {
        let filling = fill.value(|| {
            let sound = values.iter().skip(channel).step_by(channels).filter(|v| !v.is_nan());
            let (count, sum) =
                sound.fold((0u64, 0.0), |(count, sum), &v| (count + 1, sum + f64::from(v)));
            sum / count.max(1) as f64
        });
        let places = values.iter_mut().skip(channel).step_by(channels);
        places.filter(|value| value.is_nan()).for_each(|value| *value = filling as f32);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_color_and_transparency_become_one_another() {
        let picture = |kind: Kind, values: &[f32], wanted| {
            let channels = kind.colors().map_or(5, |(_, channels)| channels as u32);
            samples(1, 1, channels, kind, values)
                .into_picture(wanted, &Limits::default())
                .map(|decoded| decoded.picture.deep_values().to_vec())
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

    fn samples(width: u32, height: u32, channels: u32, kind: Kind, values: &[f32]) -> Samples {
        let values = values.to_vec();
        let (nodata, remarks) = (None, Vec::new());
        Samples { width, height, channels, kind, values, nodata, declared: 0, remarks }
    }

    #[test]
    fn numbers_that_are_none_are_counted() {
        let values = [0.0, f32::NAN, f32::INFINITY, -3.0e38, 1.0, -9999.0];
        let found = |fill| {
            samples(3, 2, 1, Kind::Grey, &values)
                .into_picture(1, &Limits { fill, ..Limits::default() })
        };
        let error = found(Fill::Refuse);
        assert!(matches!(error, Err(DecodeError::NotFinite { count: 3, of: 6, .. })), "{error:?}");
        for (fill, filled) in [(Fill::Number(7.0), 7.0), (Fill::Mean, -9998.0 / 3.0)] {
            let Ok(Decoded { picture, gaps }) = found(fill) else { panic!("{fill:?}") };
            assert_eq!(picture.deep_values(), [0.0, filled, filled, filled, 1.0, -9999.0]);
            assert_eq!(gaps, Some(vec![false, true, true, true, false, false]));
            assert_eq!(picture.remarks(), [Remark::Filled { count: 3, of: 6 }]);
        }
    }

    #[test]
    fn nothing_but_gaps_is_no_picture() {
        let mut samples = samples(2, 1, 1, Kind::Grey, &[f32::NAN; 2]);
        samples.declared = 2;
        let error =
            samples.into_picture(1, &Limits { fill: Fill::Number(0.0), ..Limits::default() });
        assert!(matches!(error, Err(DecodeError::NoData)), "{error:?}");
    }

    #[test]
    fn what_is_no_color_is_left_out_with_a_remark() {
        let values = [0.1, 0.2, 0.3, 0.9, 0.4, 0.5, 0.6, 0.8];
        let decoded = samples(2, 1, 4, Kind::RgbAnd, &values).into_picture(3, &Limits::default());
        let picture = decoded.map(|decoded| decoded.picture);
        let Ok(picture) = picture else { panic!("{picture:?}") };
        assert_eq!(picture.deep_values(), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
        assert_eq!(picture.remarks(), [Remark::Bands { used: 3, of: 4 }]);
        let opaque = [0.1, 0.2, 0.3, 1.0];
        let decoded = samples(1, 1, 4, Kind::RgbAnd, &opaque).into_picture(3, &Limits::default());
        assert!(decoded.is_ok_and(|decoded| decoded.picture.remarks().is_empty()));
    }
}
