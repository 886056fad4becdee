//! Small pictures for people to look at: whole, in the colours that a network is given, without its crop.

use fcmae_data::augment::resize;
use fcmae_data::{
    DataError, DecodeError, Depth, Fill, Input, Inputs, Limits, Normalization, Picture,
    PixelFormat, Samples as _,
};
use image::RgbImage;

use super::picture::{denormalize, tones};
use crate::error::{Error, Result};
use crate::weights::Description;

/// How pictures become small ones.
#[derive(Clone, Debug)]
pub struct Thumbnailer {
    format: PixelFormat,
    limits: Limits,
    /// Of deep pictures: what their values are. Without it each picture's own.
    normalization: Option<Normalization>,
    /// Whether nothing is known of the pictures, so that others than 8-bit ones are tried as what they are.
    any: bool,
}

impl Thumbnailer {
    /// Of pictures as the network that this is of takes them.
    pub fn new(description: &Description) -> Self {
        Self {
            format: description.format(),
            limits: description.limits(),
            normalization: Some(description.normalization()),
            any: false,
        }
    }

    /// Of pictures of any kind: in colour, and those of other channels or values in tones of their own.
    pub fn of_any() -> Self {
        let limits = Limits { fill: Fill::Mean, ..Limits::default() };
        Self { format: PixelFormat::from(3), limits, normalization: None, any: true }
    }

    /// A picture whose longest side has `side` pixels at most. Smaller ones stay as they are.
    ///
    /// # Errors
    /// What cannot be read, or is no picture.
    pub fn draw(&self, input: &Input, side: u32) -> Result<RgbImage> {
        let named = |source| Error::from(DataError::Picture { path: input.name(), source });
        let picture = self.decoded(input, side).map_err(named)?;
        let (width, height) = (picture.width(), picture.height());
        let longest = width.max(height);
        let small = if longest > side {
            let scaled = |length: u32| {
                let scaled = f64::from(length) * f64::from(side) / f64::from(longest);
                (scaled.round() as u32).max(1)
            };
            resize(&picture, scaled(height), scaled(width))?
        } else {
            picture
        };
        self.shown(&small)
    }

    fn decoded(&self, input: &Input, side: u32) -> std::result::Result<Picture, DecodeError> {
        let inputs = Inputs::from(input.clone());
        let decoded = |format| {
            let picture = inputs.picture(0, format, &self.limits, Some(side))?;
            Ok(std::sync::Arc::unwrap_or_clone(picture))
        };
        let first = decoded(self.format);
        if !self.any || first.is_ok() {
            return first;
        }
        let deep = |channels| PixelFormat { channels, depth: Depth::Deep };
        match decoded(deep(3)) {
            Err(DecodeError::Channels { found, .. }) => decoded(deep(found)),
            // What is no picture at all says so best in the usual form.
            Err(_) => first,
            picture => picture,
        }
    }

    fn shown(&self, picture: &Picture) -> Result<RgbImage> {
        let size = [picture.height() as usize, picture.width() as usize];
        let channels = picture.channels() as usize;
        if picture.depth() == Depth::Deep {
            let values = picture.deep_values();
            let Normalization { mean, std } = match &self.normalization {
                Some(known) => known.clone(),
                None => own(values, channels),
            };
            let shown = tones(Normalization { mean: mean.clone(), std: std.clone() }, Depth::Deep);
            // ((v − mean) / std) · s + m, as one product and one sum.
            let of = |c: usize| {
                let scale = shown.std[c] / std[c];
                (shown.mean[c] - mean[c] * scale, scale)
            };
            let (mean, std) = (0..channels).map(of).unzip();
            return denormalize(values, size, &Normalization { mean, std });
        }
        let values: Vec<f32> =
            picture.pixels().iter().map(|&value| f32::from(value) / 255.0).collect();
        let plain = Normalization { mean: vec![0.0; channels], std: vec![1.0; channels] };
        denormalize(&values, size, &plain)
    }
}

/// Mean and deviation of each channel of one picture.
fn own(values: &[f32], channels: usize) -> Normalization {
    let pixels = (values.len() / channels.max(1)).max(1) as f64;
    let of = |channel: usize| {
        let column = || values.iter().skip(channel).step_by(channels).map(|&v| f64::from(v));
        let mean = column().sum::<f64>() / pixels;
        let variance = column().map(|value| (value - mean).powi(2)).sum::<f64>() / pixels;
        let deviation = variance.sqrt();
        (mean as f32, if deviation > 0.0 { deviation as f32 } else { 1.0 })
    };
    let (mean, std) = (0..channels).map(of).unzip();
    Normalization { mean, std }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;

    fn given(picture: Picture) -> Input {
        Input::Picture { name: "a.png".into(), picture: Arc::new(picture) }
    }

    #[test]
    fn a_picture_is_whole_in_its_own_colours_and_its_longest_side_is_the_one_asked_for() {
        let pixels = (0..40 * 10).flat_map(|i| if i % 40 < 20 { [200, 10, 30] } else { [0; 3] });
        let picture = given(Picture::new(40, 10, 3, pixels.collect()).unwrap());
        let small = Thumbnailer::of_any().draw(&picture, 20).unwrap();
        assert_eq!(small.dimensions(), (20, 5));
        assert_eq!(small.get_pixel(2, 2).0, [200, 10, 30]);
        assert_eq!(small.get_pixel(17, 2).0, [0; 3]);
        let whole = Thumbnailer::of_any().draw(&picture, 64).unwrap();
        assert_eq!(whole.dimensions(), (40, 10));
        let line = given(Picture::new(4000, 1, 3, vec![7; 12000]).unwrap());
        assert_eq!(Thumbnailer::of_any().draw(&line, 100).unwrap().dimensions(), (100, 1));
    }

    #[test]
    fn deep_values_are_shown_around_their_mean() {
        // One channel from −1000 to 1000 in even steps: the mean is grey.
        let values: Vec<f32> = (0..101).map(|i| i as f32 * 20.0 - 1000.0).collect();
        let picture = given(Picture::deep(101, 1, 1, values.clone()).unwrap());
        let format = PixelFormat { channels: 1, depth: Depth::Deep };
        let known = Thumbnailer {
            format,
            limits: Limits::default(),
            normalization: Some(Normalization { mean: vec![0.0], std: vec![1000.0] }),
            any: false,
        };
        // 255 · (−1 · 0.2 + 0.5), 255 · 0.5, 255 · 0.7
        let at = |drawn: &RgbImage| [0, 50, 100].map(|x| drawn.get_pixel(x, 0).0[0]);
        assert_eq!(at(&known.draw(&picture, 128).unwrap()), [77, 128, 179]);
        let own = Thumbnailer { normalization: None, ..known };
        // The deviation of even steps from −1 to 1 is 0.583.
        assert_eq!(at(&own.draw(&picture, 128).unwrap()), [40, 128, 215]);
        let flat = given(Picture::deep(2, 1, 1, vec![3.0; 2]).unwrap());
        assert_eq!(own.draw(&flat, 8).unwrap().get_pixel(0, 0).0, [128; 3]);
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let broken = Input::Bytes { name: "b.png".into(), bytes: b"no picture".to_vec() };
        let error = Thumbnailer::of_any().draw(&broken, 8).unwrap_err().to_string();
        assert!(error.contains("b.png"), "{error}");
    }
}
