//! Random resized crop and flip, for training, and what may follow them.

use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::part::Crop;
use super::resize::{CropBox, Passes, resized};
use super::size::{check_size, round_half_even};
use super::{RandAugment, RandomErasing, flip_horizontal};
use crate::error::DataError;
use crate::picture::Picture;
use crate::random;

/// A part of random area, shape and place, resized bicubically to the input, mirrored half of the
/// time: torchvision's `RandomResizedCrop` and `RandomHorizontalFlip`.
///
/// For an input that is not square, the range of shapes is relative to the input's own width /
/// height, so that a picture is stretched no more than for a square input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomResizedCrop {
    /// Height of the result.
    pub height: u32,
    /// Width of the result.
    pub width: u32,
    /// Smallest and largest share of the picture's area; uniform. Pre-training 0.2 to 1,
    /// fine-tuning 0.08 to 1.
    pub scale: (f64, f64),
    /// Smallest and largest width / height, relative to the result's; uniform in its logarithm.
    pub ratio: (f64, f64),
    /// Probability of mirroring.
    pub flip: f64,
    /// Applied after mirroring. Fine-tuning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rand_augment: Option<RandAugment>,
    /// Applied to the normalized values, by the loader. Fine-tuning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasing: Option<RandomErasing>,
}

/// Crops tried before falling back to the centre.
const TRIES: usize = 10;

impl RandomResizedCrop {
    /// With the published settings of pre-training: area 0.2 to 1, shape 3/4 to 4/3, flip 0.5,
    /// nothing else.
    pub fn new(height: u32, width: u32) -> Self {
        Self {
            height,
            width,
            scale: (0.2, 1.0),
            ratio: (3.0 / 4.0, 4.0 / 3.0),
            flip: 0.5,
            rand_augment: None,
            erasing: None,
        }
    }

    /// Draws the box for a picture of a size.
    pub fn draw(&self, height: u32, width: u32, rng: &mut impl Rng) -> Crop {
        let area = f64::from(height) * f64::from(width);
        let shape = f64::from(self.width) / f64::from(self.height);
        let (narrow, wide) = (self.ratio.0 * shape, self.ratio.1 * shape);
        for _ in 0..TRIES {
            let target = area * random::uniform(rng, self.scale.0, self.scale.1);
            let ratio = random::uniform(rng, narrow.ln(), wide.ln()).exp();
            let crop_width = round_half_even((target * ratio).sqrt());
            let crop_height = round_half_even((target / ratio).sqrt());
            if (1.0..=f64::from(width)).contains(&crop_width)
                && (1.0..=f64::from(height)).contains(&crop_height)
            {
                let (crop_width, crop_height) = (crop_width as u32, crop_height as u32);
                return Crop {
                    top: random::below(rng, u64::from(height - crop_height) + 1) as u32,
                    left: random::below(rng, u64::from(width - crop_width) + 1) as u32,
                    width: crop_width,
                    height: crop_height,
                };
            }
        }
        // The largest centred box of an allowed shape.
        let own = f64::from(width) / f64::from(height);
        let (crop_width, crop_height) = if own < narrow {
            (width, round_half_even(f64::from(width) / narrow) as u32)
        } else if own > wide {
            (round_half_even(f64::from(height) * wide) as u32, height)
        } else {
            (width, height)
        };
        let (crop_width, crop_height) = (crop_width.clamp(1, width), crop_height.clamp(1, height));
        Crop {
            left: (width - crop_width) / 2,
            top: (height - crop_height) / 2,
            width: crop_width,
            height: crop_height,
        }
    }

    /// The short side from which on no box has to be enlarged, whatever is drawn: the smallest box
    /// has at least the result's pixels along both sides.
    pub fn least_side(&self) -> u32 {
        // Of a picture of area A, boxes are at least √(A · share · narrow) wide and √(A · share /
        // wide) high, with the shapes relative to the result's.
        let shape = (1.0 / self.ratio.0).max(self.ratio.1);
        let area = f64::from(self.height) * f64::from(self.width) * shape / self.scale.0;
        area.sqrt().ceil() as u32
    }

    /// Draws a box, a flip and, where asked for, RandAugment's operations, and applies them.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn apply(&self, picture: &Picture, rng: &mut impl Rng) -> Result<Picture, DataError> {
        self.check()?;
        let crop = self.draw(picture.height(), picture.width(), rng);
        let mirrored = random::unit(rng) < self.flip;
        // What lies outside the box is not seen, as where a picture is cut before it is resized.
        let size = (self.height, self.width);
        let passes = Passes::of((crop.height, crop.width), size);
        let whole = CropBox::whole(crop.height, crop.width);
        let mut result = resized(picture, crop, whole, size, passes);
        if mirrored {
            flip_horizontal(&mut result);
        }
        if let Some(augment) = &self.rand_augment {
            augment.apply(&mut result, rng)?;
        }
        Ok(result)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn check(&self) -> Result<(), DataError> {
        check_size(self.height, self.width)?;
        let refused = |what, value: String, remedy: &str| {
            Err(DataError::Parameter { what, value, remedy: remedy.to_owned() })
        };
        let (small, large) = self.scale;
        if !(small > 0.0 && small <= large && large <= 1.0) {
            return refused("crop scale", format!("{small} to {large}"), "use 0 < from ≤ to ≤ 1");
        }
        let (narrow, wide) = self.ratio;
        if !(narrow > 0.0 && narrow <= wide && wide.is_finite()) {
            return refused("crop ratio", format!("{narrow} to {wide}"), "use 0 < from ≤ to");
        }
        if !(0.0..=1.0).contains(&self.flip) {
            return refused("flip probability", self.flip.to_string(), "use 0 to 1");
        }
        self.rand_augment.as_ref().map_or(Ok(()), RandAugment::check)?;
        self.erasing.as_ref().map_or(Ok(()), RandomErasing::check)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::keyed;

    fn draws(transform: &RandomResizedCrop, height: u32, width: u32, n: u64) -> Vec<Crop> {
        (0..n).map(|i| transform.draw(height, width, &mut keyed(3, "test", 0, i))).collect()
    }

    #[test]
    fn area_shape_and_place_have_the_published_distributions() {
        let transform = RandomResizedCrop::new(224, 224);
        let (height, width) = (1000, 1000);
        let crops = draws(&transform, height, width, 20_000);
        let share = |c: &Crop| f64::from(c.width) * f64::from(c.height) / 1e6;
        let shape = |c: &Crop| (f64::from(c.width) / f64::from(c.height)).ln();
        for crop in &crops {
            assert!(crop.left + crop.width <= width && crop.top + crop.height <= height);
            assert!((0.199..=1.0).contains(&share(crop)), "{crop:?}");
            assert!(shape(crop).abs() <= (4.0f64 / 3.0).ln() + 0.01, "{crop:?}");
        }
        let mean = |f: &dyn Fn(&Crop) -> f64| crops.iter().map(f).sum::<f64>() / 20_000.0;
        // torchvision's get_params over 40,000 draws on the same size: mean area 0.5387 (large
        // boxes of extreme shape don't fit and are drawn again), mean |ln ratio| 0.1353.
        assert!((mean(&share) - 0.5387).abs() < 0.005, "{}", mean(&share));
        assert!((mean(&|c| shape(c).abs()) - 0.1353).abs() < 0.003);
        assert!(mean(&shape).abs() < 0.003);
        let free: Vec<f64> = crops
            .iter()
            .filter(|c| c.width < width)
            .map(|c| f64::from(c.left) / f64::from(width - c.width))
            .collect();
        assert!((free.iter().sum::<f64>() / free.len() as f64 - 0.5).abs() < 0.01);
    }

    #[test]
    fn from_the_least_side_on_no_box_is_smaller_than_the_result() {
        for (height, width, share) in [(224, 224, 0.2), (64, 96, 0.08), (32, 32, 1.0)] {
            let transform = RandomResizedCrop {
                scale: (share, share),
                ..RandomResizedCrop::new(height, width)
            };
            let side = transform.least_side();
            for (rows, columns) in [(side, side), (side, 2 * side), (2 * side, side)] {
                for crop in draws(&transform, rows, columns, 2000) {
                    // Sides are rounded to whole pixels.
                    let covers = crop.height + 1 >= height && crop.width + 1 >= width;
                    assert!(covers, "{crop:?} of {rows}×{columns}");
                }
            }
            let small = draws(&transform, side * 9 / 10, side * 9 / 10, 2000);
            let enlarged = |crop: &Crop| crop.height < height || crop.width < width;
            assert!(share == 1.0 || small.iter().any(enlarged), "{side} is more than needed");
        }
        // √(224² · 4/3 / 0.2).
        assert_eq!(RandomResizedCrop::new(224, 224).least_side(), 579);
    }

    #[test]
    fn a_shape_that_cannot_fit_falls_back_to_the_centre() {
        let transform = RandomResizedCrop::new(224, 224);
        let wide = transform.draw(3, 3000, &mut keyed(1, "test", 0, 0));
        assert_eq!(wide, Crop { left: 1498, top: 0, width: 4, height: 3 });
        let tall = transform.draw(65_500, 1, &mut keyed(1, "test", 0, 0));
        assert_eq!(tall, Crop { left: 0, top: 32_749, width: 1, height: 1 });
        let dot = transform.draw(1, 1, &mut keyed(1, "test", 0, 0));
        assert_eq!(dot, Crop { left: 0, top: 0, width: 1, height: 1 });
    }

    #[test]
    fn shapes_follow_an_input_that_is_not_square() {
        let transform = RandomResizedCrop { scale: (0.1, 0.4), ..RandomResizedCrop::new(64, 128) };
        for crop in draws(&transform, 1000, 2000, 1000) {
            let ratio = f64::from(crop.width) / f64::from(crop.height);
            assert!((1.49..=2.68).contains(&ratio), "{crop:?}");
        }
    }

    #[test]
    fn a_crop_does_not_see_what_it_leaves_out() {
        // Black with a white frame one pixel wide; a crop inside the frame stays all black.
        let mut pixels = vec![255; 20 * 20];
        for y in 1..19 {
            pixels[y * 20 + 1..y * 20 + 19].fill(0);
        }
        let picture = Picture::new(20, 20, 1, pixels).unwrap();
        let part = Crop { left: 1, top: 1, width: 18, height: 18 };
        let whole = CropBox::whole(18, 18);
        let inner = resized(&picture, part, whole, (7, 31), Passes::AcrossThenDown);
        assert!(inner.pixels().iter().all(|&value| value == 0));
        assert_eq!((inner.height(), inner.width()), (7, 31));
    }

    #[test]
    fn flips_come_half_of_the_time_and_only_when_asked() {
        let picture = Picture::new(2, 1, 1, vec![0, 255]).unwrap();
        let count = |flip| {
            let transform =
                RandomResizedCrop { scale: (1.0, 1.0), flip, ..RandomResizedCrop::new(1, 2) };
            (0..1000)
                .filter(|&i| {
                    let rng = &mut keyed(0, "test", 0, i);
                    transform.apply(&picture, rng).unwrap().pixels()[0] == 255
                })
                .count()
        };
        assert_eq!([count(0.0), count(1.0)], [0, 1000]);
        assert!((440..560).contains(&count(0.5)));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let good = RandomResizedCrop::new(32, 32);
        assert!(good.check().is_ok());
        for bad in [
            RandomResizedCrop { height: 0, ..good.clone() },
            RandomResizedCrop { width: u32::MAX, ..good.clone() },
            RandomResizedCrop { scale: (0.0, 1.0), ..good.clone() },
            RandomResizedCrop { scale: (0.5, 0.2), ..good.clone() },
            RandomResizedCrop { ratio: (f64::NAN, 1.0), ..good.clone() },
            RandomResizedCrop { flip: 1.5, ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
