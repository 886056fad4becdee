//! The operations, and what a strength means to each.

use super::{affine, enhance, tone};
use crate::picture::Picture;

/// Greatest strength. The strength 10 is the published operations' full range.
pub const MAX_LEVEL: f64 = 10.0;

/// One operation on an 8-bit picture, named as in timm. Each does what Pillow does, also to grey
/// pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Stretches each channel to the range 0 to 255.
    AutoContrast,
    /// Spreads each channel's levels evenly.
    Equalize,
    /// 255 − level.
    Invert,
    /// Turns by up to 30°.
    Rotate,
    /// Keeps the upper 4 to 0 bits of each level.
    PosterizeIncreasing,
    /// Inverts levels from a threshold on, 256 to 0.
    SolarizeIncreasing,
    /// Adds up to 110 to levels below 128.
    SolarizeAdd,
    /// Blends with the grey picture by a factor of 1 ± 0.9.
    ColorIncreasing,
    /// Blends with the mean grey.
    ContrastIncreasing,
    /// Blends with black.
    BrightnessIncreasing,
    /// Blends with a smoothed picture.
    SharpnessIncreasing,
    /// Shears rows by up to 0.3.
    ShearX,
    /// Shears columns by up to 0.3.
    ShearY,
    /// Shifts by up to 0.45 of the width.
    TranslateXRel,
    /// Shifts by up to 0.45 of the height.
    TranslateYRel,
}

impl Operation {
    /// All, in timm's order.
    pub const ALL: [Self; 15] = [
        Self::AutoContrast,
        Self::Equalize,
        Self::Invert,
        Self::Rotate,
        Self::PosterizeIncreasing,
        Self::SolarizeIncreasing,
        Self::SolarizeAdd,
        Self::ColorIncreasing,
        Self::ContrastIncreasing,
        Self::BrightnessIncreasing,
        Self::SharpnessIncreasing,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateXRel,
        Self::TranslateYRel,
    ];

    /// What a strength of 0 to [`MAX_LEVEL`] means: degrees (Rotate), bits to keep (Posterize…), the
    /// threshold (SolarizeIncreasing), levels to add (SolarizeAdd), a blending factor (Color… to
    /// Sharpness…), a slope (Shear…), a share of the side (Translate…); 0 for the first three,
    /// which have no strength. `negative` turns the direction of those that have one.
    pub fn argument(self, level: f64, negative: bool) -> f64 {
        let share = level / MAX_LEVEL;
        let signed = |value: f64| if negative { -value } else { value };
        match self {
            Self::AutoContrast | Self::Equalize | Self::Invert => 0.0,
            Self::Rotate => signed(share * 30.0),
            Self::PosterizeIncreasing => 4.0 - (share * 4.0).trunc(),
            Self::SolarizeIncreasing => 256.0 - (share * 256.0).trunc().min(256.0),
            Self::SolarizeAdd => (share * 110.0).trunc().min(128.0),
            Self::ColorIncreasing
            | Self::ContrastIncreasing
            | Self::BrightnessIncreasing
            | Self::SharpnessIncreasing => (1.0 + signed(share * 0.9)).max(0.1),
            Self::ShearX | Self::ShearY => signed(share * 0.3),
            Self::TranslateXRel | Self::TranslateYRel => signed(share * 0.45),
        }
    }

    /// Applies it in place. `fill` is the colour of what moves in from outside of the picture, one
    /// level a channel (missing ones are 0).
    ///
    /// Posterizing to 0 bits, which the greatest strength asks for, gives black, as in Pillow before
    /// version 13; that version refuses it.
    pub fn apply(self, picture: &mut Picture, argument: f64, fill: &[u8]) {
        let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
        match self {
            Self::AutoContrast => tone::auto_contrast(picture),
            Self::Equalize => tone::equalize(picture),
            Self::Invert => tone::map(picture, |level| 255 - level),
            Self::PosterizeIncreasing => tone::posterize(picture, argument),
            Self::SolarizeIncreasing => {
                tone::map(
                    picture,
                    |level| {
                        if f64::from(level) < argument { level } else { 255 - level }
                    },
                )
            }
            Self::SolarizeAdd => {
                let add = argument as u8;
                let below_middle =
                    |level: u8| if level < 128 { level.saturating_add(add) } else { level };
                tone::map(picture, below_middle);
            }
            Self::ColorIncreasing => enhance::color(picture, argument),
            Self::ContrastIncreasing => enhance::contrast(picture, argument),
            Self::BrightnessIncreasing => enhance::brightness(picture, argument),
            Self::SharpnessIncreasing => enhance::sharpness(picture, argument),
            Self::Rotate => affine::rotate(picture, argument, fill),
            Self::ShearX => affine::warp(picture, [1.0, argument, 0.0, 0.0, 1.0, 0.0], fill),
            Self::ShearY => affine::warp(picture, [1.0, 0.0, 0.0, argument, 1.0, 0.0], fill),
            Self::TranslateXRel => {
                affine::warp(picture, [1.0, 0.0, argument * width, 0.0, 1.0, 0.0], fill);
            }
            Self::TranslateYRel => {
                affine::warp(picture, [1.0, 0.0, 0.0, 0.0, 1.0, argument * height], fill);
            }
        }
    }
}
