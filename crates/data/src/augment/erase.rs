//! Random erasing: a box of noise.

use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::part::Crop;
use super::size::round_half_even;
use crate::error::DataError;
use crate::random;

/// Boxes tried before a picture is left as it is.
const TRIES: usize = 10;

/// Replaces a box of random area, shape and place by normal noise, after normalization: timm's
/// `RandomErasing` in its mode `pixel`, one box. (Zhong et al. 2017)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomErasing {
    /// Probability that a picture gets a box.
    pub probability: f64,
    /// Smallest and largest share of the picture's area; uniform.
    pub area: (f64, f64),
    /// Smallest and largest height / width of the box; uniform in its logarithm.
    pub ratio: (f64, f64),
}

impl RandomErasing {
    /// With the published settings of fine-tuning: probability 0.25, area 0.02 to 1/3, shape 0.3
    /// to 1/0.3.
    pub fn new() -> Self {
        Self { probability: 0.25, area: (0.02, 1.0 / 3.0), ratio: (0.3, 1.0 / 0.3) }
    }

    /// Draws whether there is a box in a picture of a size, and which. A box is smaller than the
    /// picture in both directions.
    pub fn draw(&self, height: u32, width: u32, rng: &mut impl Rng) -> Option<Crop> {
        if random::unit(rng) >= self.probability {
            return None;
        }
        let area = f64::from(height) * f64::from(width);
        for _ in 0..TRIES {
            let target = area * random::uniform(rng, self.area.0, self.area.1);
            let ratio = random::uniform(rng, self.ratio.0.ln(), self.ratio.1.ln()).exp();
            let box_height = round_half_even((target * ratio).sqrt());
            let box_width = round_half_even((target / ratio).sqrt());
            if box_height < f64::from(height) && box_width < f64::from(width) {
                let (box_height, box_width) = (box_height as u32, box_width as u32);
                return Some(Crop {
                    top: random::below(rng, u64::from(height - box_height) + 1) as u32,
                    left: random::below(rng, u64::from(width - box_width) + 1) as u32,
                    width: box_width,
                    height: box_height,
                });
            }
        }
        None
    }

    /// Draws a box and noise of mean 0 and standard deviation 1 for it, in a picture of a size with so many channels.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn noise(
        &self,
        [height, width, channels]: [u32; 3],
        rng: &mut impl Rng,
    ) -> Result<Option<Noise>, DataError> {
        self.check()?;
        let Some(area) = self.draw(height, width, rng) else { return Ok(None) };
        let row = area.width as usize * channels as usize;
        let mut values = Vec::with_capacity(row * area.height as usize);
        for _ in 0..area.height {
            // Each row begins with a new pair.
            let pairs = std::iter::repeat_with(|| random::normal_pair(rng));
            values.extend(pairs.flatten().map(|noise| noise as f32).take(row));
        }
        Ok(Some(Noise { area, values }))
    }

    /// As [`noise`](Self::noise), put into `values`: one picture after normalization, `[height, width, channels]`.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range, or values that are not height · width
    /// pixels.
    pub fn apply(
        &self,
        values: &mut [f32],
        height: u32,
        width: u32,
        rng: &mut impl Rng,
    ) -> Result<(), DataError> {
        let pixels = u64::from(height) * u64::from(width);
        let refused = || DataError::Parameter {
            what: "picture to erase a box of",
            value: format!("{height}×{width} with {} values", values.len()),
            remedy: "values must be height · width · channels".to_owned(),
        };
        if pixels == 0 || values.is_empty() || !(values.len() as u64).is_multiple_of(pixels) {
            return Err(refused());
        }
        let channels = u32::try_from(values.len() as u64 / pixels).map_err(|_| refused())?;
        if let Some(noise) = self.noise([height, width, channels], rng)? {
            noise.fill(values, height);
        }
        Ok(())
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn check(&self) -> Result<(), DataError> {
        let refused = |what, value: String, remedy: &str| {
            Err(DataError::Parameter { what, value, remedy: remedy.to_owned() })
        };
        if !(0.0..=1.0).contains(&self.probability) {
            return refused("erasing probability", self.probability.to_string(), "use 0 to 1");
        }
        let (small, large) = self.area;
        if !(small > 0.0 && small <= large && large <= 1.0) {
            return refused("erased area", format!("{small} to {large}"), "use 0 < from ≤ to ≤ 1");
        }
        let (flat, tall) = self.ratio;
        if !(flat > 0.0 && flat <= tall && tall.is_finite()) {
            return refused("erased shape", format!("{flat} to {tall}"), "use 0 < from ≤ to");
        }
        Ok(())
    }
}

/// A box of a picture, and what stands there instead.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// The box.
    pub area: Crop,
    /// `[area.height, area.width, channels]`
    pub values: Vec<f32>,
}

impl Noise {
    /// Writes it over the box of a picture of `height` rows, `[height, width, channels]`.
    pub(crate) fn fill(&self, picture: &mut [f32], height: u32) {
        let stride = picture.len() / height as usize;
        let row = self.values.len() / self.area.height.max(1) as usize;
        let first = self.area.left as usize * (row / self.area.width.max(1) as usize);
        let rows = picture.chunks_exact_mut(stride).skip(self.area.top as usize);
        for (to, from) in rows.zip(self.values.chunks_exact(row.max(1))) {
            to[first..first + row].copy_from_slice(from);
        }
    }
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::keyed;

    #[test]
    fn the_box_is_noise_and_the_rest_is_as_it_was() {
        let always = RandomErasing { probability: 1.0, ..RandomErasing::new() };
        let (height, width) = (60, 40);
        let mut noise = Vec::new();
        for i in 0..20 {
            let area = always.draw(height, width, &mut keyed(4, "test", 0, i)).unwrap();
            let mut values = vec![7.0; 60 * 40 * 3];
            always.apply(&mut values, height, width, &mut keyed(4, "test", 0, i)).unwrap();
            let mut changed = 0;
            for (at, pixel) in values.chunks_exact(3).enumerate() {
                let (y, x) = (at as u32 / width, at as u32 % width);
                let inside = (area.top..area.top + area.height).contains(&y)
                    && (area.left..area.left + area.width).contains(&x);
                assert!(pixel.iter().all(|&value| (value != 7.0) == inside), "{area:?}: {y}, {x}");
                changed += u32::from(inside);
                if inside {
                    noise.extend(pixel.iter().map(|&value| f64::from(value)));
                }
            }
            assert_eq!(changed, area.width * area.height);
        }
        let count = noise.len() as f64;
        let mean = noise.iter().sum::<f64>() / count;
        let variance = noise.iter().map(|value| value * value).sum::<f64>() / count;
        assert!(count > 10_000.0 && mean.abs() < 0.04 && (variance - 1.0).abs() < 0.06);
    }

    #[test]
    fn small_pictures_and_impossible_boxes_do_no_harm() {
        let always = RandomErasing { probability: 1.0, ..RandomErasing::new() };
        for i in 0..200 {
            let mut dot = [7.0; 3];
            always.apply(&mut dot, 1, 1, &mut keyed(4, "test", 0, i)).unwrap();
            let mut line = [7.0; 30];
            always.apply(&mut line, 1, 30, &mut keyed(4, "test", 0, i)).unwrap();
        }
        let whole = RandomErasing { area: (1.0, 1.0), ratio: (1.0, 1.0), ..always };
        assert_eq!(whole.draw(30, 30, &mut keyed(4, "test", 0, 0)), None);
    }

    #[test]
    fn settings_and_sizes_out_of_range_are_refused() {
        let good = RandomErasing::new();
        assert!(good.check().is_ok());
        for bad in [
            RandomErasing { probability: -0.1, ..good.clone() },
            RandomErasing { area: (0.0, 0.3), ..good.clone() },
            RandomErasing { area: (0.2, f64::NAN), ..good.clone() },
            RandomErasing { ratio: (2.0, 1.0), ..good.clone() },
            RandomErasing { ratio: (1.0, f64::INFINITY), ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        let rng = &mut keyed(4, "test", 0, 0);
        assert!(good.apply(&mut [0.0; 7], 2, 2, rng).is_err());
        assert!(good.apply(&mut [0.0; 4], 0, 2, rng).is_err());
        assert!(good.apply(&mut [], 2, 2, rng).is_err());
    }
}
