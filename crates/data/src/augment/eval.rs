//! The fixed transform of evaluation and prediction, as timm's.

use serde::{Deserialize, Serialize};

use super::part::Crop;
use super::resize::{CropBox, Passes, resize, resized};
use super::size::{check_size, round_half_even};
use crate::error::DataError;
use crate::picture::Picture;

/// How a picture is brought to the input's size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalResize {
    /// The short side to the input's size over `fraction`, then the centre is cut out.
    CentreCrop {
        /// Share of the short side that stays, such as 0.875.
        fraction: f64,
    },
    /// The whole picture stretched to the input.
    Warp,
}

/// The transform of evaluation: bicubic, without chance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalTransform {
    /// Height of the result.
    pub height: u32,
    /// Width of the result.
    pub width: u32,
    /// How.
    pub resize: EvalResize,
}

/// Inputs whose shorter side has so many pixels or more are warped.
const WARP_FROM: u32 = 384;

impl EvalTransform {
    /// The published evaluation: below 384 pixels the short side goes to size / 0.875 and the
    /// centre is cut out; from 384 pixels (the shorter side, if not square) the whole picture is
    /// warped.
    pub fn new(height: u32, width: u32) -> Self {
        let resize = if height.min(width) >= WARP_FROM {
            EvalResize::Warp
        } else {
            EvalResize::CentreCrop { fraction: 0.875 }
        };
        Self { height, width, resize }
    }

    /// Applies it.
    ///
    /// The centre crop's sizes are those of torchvision's `Resize` and `CenterCrop` for a square
    /// input and of timm's `ResizeKeepRatio` for any other: the picture is scaled, its shape kept,
    /// until it just covers (⌊height / fraction⌋, ⌊width / fraction⌋). Only the part that the crop
    /// keeps is computed, straight from the source: a strip of 65500×1 would otherwise become one
    /// of sixteen million pixels.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn apply(&self, picture: &Picture) -> Result<Picture, DataError> {
        self.check()?;
        let (height, width) = (f64::from(picture.height()), f64::from(picture.width()));
        match self.resize {
            EvalResize::Warp => resize(picture, self.height, self.width),
            EvalResize::CentreCrop { fraction } => {
                let (scaled_height, scaled_width) = self.scaled(height, width, fraction);
                let passes = Passes::of(
                    (picture.height(), picture.width()),
                    (scaled_height as u32, scaled_width as u32),
                );
                // From a distance on the scaled picture to one on the source.
                let (down, across) = (height / scaled_height, width / scaled_width);
                let (crop_height, crop_width) = (f64::from(self.height), f64::from(self.width));
                let top = round_half_even((scaled_height - crop_height) / 2.0);
                let left = round_half_even((scaled_width - crop_width) / 2.0);
                let fit = |from: f64, length: f64, side: f64| {
                    // A last bit of rounding must not put the box outside.
                    let from = from.clamp(0.0, side);
                    (from, length.min(side - from))
                };
                let (top, crop_height) = fit(top * down, crop_height * down, height);
                let (left, crop_width) = fit(left * across, crop_width * across, width);
                let crop = CropBox { left, top, width: crop_width, height: crop_height };
                let size = (self.height, self.width);
                Ok(resized(picture, Crop::whole(picture), crop, size, passes))
            }
        }
    }

    /// The whole picture's (height, width) at the scale at which the centre is cut out.
    fn scaled(&self, height: f64, width: f64, fraction: f64) -> (f64, f64) {
        let cover = |side: u32| (f64::from(side) / fraction).floor();
        let (cover_height, cover_width) = (cover(self.height), cover(self.width));
        if self.height == self.width {
            let long = |long: f64, short: f64| (cover_height * long / short).floor();
            if width <= height {
                (long(height, width), cover_height)
            } else {
                (cover_height, long(width, height))
            }
        } else {
            let ratio = (height / cover_height).min(width / cover_width);
            (round_half_even(height / ratio), round_half_even(width / ratio))
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn check(&self) -> Result<(), DataError> {
        check_size(self.height, self.width)?;
        match self.resize {
            EvalResize::CentreCrop { fraction } if !(0.1..=1.0).contains(&fraction) => {
                Err(DataError::Parameter {
                    what: "share of the short side that the centre crop keeps",
                    value: fraction.to_string(),
                    remedy: "use 0.1 to 1, such as 0.875".to_owned(),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_rule_follows_the_size() {
        assert_eq!(EvalTransform::new(224, 224).resize, EvalResize::CentreCrop { fraction: 0.875 });
        assert_eq!(EvalTransform::new(384, 384).resize, EvalResize::Warp);
        assert_ne!(EvalTransform::new(384, 352).resize, EvalResize::Warp);
    }

    #[test]
    fn a_strip_of_pixels_costs_no_more_than_a_picture() {
        for (width, height) in [(65_500, 1), (1, 65_500), (1, 1)] {
            let picture =
                Picture::new(width, height, 1, vec![9; 65_500.min((width * height) as usize)]);
            let result = EvalTransform::new(64, 96).apply(&picture.unwrap()).unwrap();
            assert_eq!((result.height(), result.width()), (64, 96));
            assert!(result.pixels().iter().all(|&value| value == 9));
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let crop = |fraction| EvalTransform {
            height: 8,
            width: 8,
            resize: EvalResize::CentreCrop { fraction },
        };
        assert!(crop(0.875).check().is_ok());
        for fraction in [0.0, -1.0, 1.5, f64::NAN] {
            assert!(crop(fraction).check().is_err());
        }
        assert!(EvalTransform::new(0, 8).check().is_err());
    }
}
