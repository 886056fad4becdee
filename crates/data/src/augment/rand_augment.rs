//! RandAugment: a few operations drawn at random, of random strength.

use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::Normalization;
use crate::error::DataError;
use crate::picture::{Depth, Picture, PixelFormat};
use crate::random;

mod affine;
mod enhance;
mod operation;
mod tone;

pub use operation::{MAX_LEVEL, Operation};

/// Largest number of operations a picture: far beyond any use.
const MAX_OPERATIONS: u32 = 16;

/// Largest standard deviation of the strength. Beyond 100, timm means something else.
const MAX_STD: f64 = 100.0;

/// timm's RandAugment over the operations that grow with the strength (`inc1`).
///
/// Operations are drawn with replacement, every one equally likely. Each is applied with a
/// probability, at a strength drawn from a normal distribution and clipped to 0 to
/// [`MAX_LEVEL`]; where it has a direction, either is equally likely. (Cubuk et al. 2020; mean
/// and spread of the strength are timm's.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandAugment {
    /// Operations drawn for a picture, 1 to 16.
    pub operations: u32,
    /// Mean of the strength, 0 to 10.
    pub magnitude: f64,
    /// Standard deviation of the strength.
    pub std: f64,
    /// Probability that a drawn operation is applied.
    pub probability: f64,
    /// Colour of what moves in from outside of the picture, one level a channel.
    pub fill: Vec<u8>,
}

impl RandAugment {
    /// With the published settings of fine-tuning, `rand-m9-mstd0.5-inc1`: 2 operations, strength
    /// 9 with standard deviation 0.5, each applied half of the time; filled with the mean colour.
    pub fn new(normalization: &Normalization) -> Self {
        // Product in float32, so that halves are as in Python from the decimal number.
        let level = |mean: &f32| (255.0 * mean).round_ties_even() as u8;
        let fill = normalization.mean.iter().map(level).collect();
        Self { operations: 2, magnitude: 9.0, std: 0.5, probability: 0.5, fill }
    }

    /// From timm's description, such as `rand-m9-mstd0.5-inc1`, with timm's defaults for parts
    /// left out: `m` strength (10), `mstd` its standard deviation (0), `n` operations (2), `p`
    /// probability of each (0.5). `inc1` must be there. Filled with the mean colour.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for a part that is not known, not supported, given twice or out of
    /// range.
    pub fn parse(text: &str, normalization: &Normalization) -> Result<Self, DataError> {
        const EXAMPLE: &str = "write it like rand-m9-mstd0.5-inc1";
        let refused = |remedy: String| DataError::Parameter {
            what: "RandAugment",
            value: format!("{text:?}"),
            remedy,
        };
        let mut parts = text.split('-');
        if parts.next() != Some("rand") {
            return Err(refused(format!("{EXAMPLE}; no other policy than rand is supported")));
        }
        let mut result = Self { magnitude: MAX_LEVEL, std: 0.0, ..Self::new(normalization) };
        let mut increasing = false;
        let mut seen: Vec<&str> = Vec::new();
        for part in parts {
            let digits = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
            let (key, number) = part.split_at(digits);
            let not_a_number = || refused(format!("{part:?} holds no number; {EXAMPLE}"));
            let real = || number.parse::<f64>().map_err(|_| not_a_number());
            let whole = || number.parse::<u32>().map_err(|_| not_a_number());
            if seen.contains(&key) {
                return Err(refused(format!("{key:?} is given twice; leave one out")));
            }
            seen.push(key);
            match key {
                "m" => result.magnitude = real()?,
                "mstd" => result.std = real()?,
                "n" => result.operations = whole()?,
                "p" => result.probability = real()?,
                "inc" => increasing = whole()? != 0,
                "mmax" => {
                    return Err(refused(format!(
                        "mmax is not supported, strengths end at {MAX_LEVEL}; leave it out"
                    )));
                }
                _ if key.starts_with('t') => {
                    return Err(refused(
                        "sets of operations (t…) are not supported; leave it out".to_owned(),
                    ));
                }
                _ => {
                    return Err(refused(format!(
                        "{part:?} is not known, only m, mstd, n, p and inc are; {EXAMPLE}"
                    )));
                }
            }
        }
        if !increasing {
            let remedy = "only operations that grow with the strength are supported; add -inc1";
            return Err(refused(remedy.to_owned()));
        }
        result.check()?;
        Ok(result)
    }

    /// Draws what is done to one picture: operations with their arguments
    /// ([`Operation::argument`]), in order.
    pub fn draw(&self, rng: &mut impl Rng) -> Vec<(Operation, f64)> {
        let mut drawn = Vec::new();
        for _ in 0..self.operations {
            let count = Operation::ALL.len();
            let operation = Operation::ALL[random::below(rng, count as u64) as usize];
            if random::unit(rng) >= self.probability {
                continue;
            }
            let level = self.magnitude + self.std * random::normal(rng);
            let level = level.clamp(0.0, MAX_LEVEL);
            let negative = random::unit(rng) < 0.5;
            drawn.push((operation, operation.argument(level, negative)));
        }
        drawn
    }

    /// Draws operations, and applies them in place.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range, a deep picture, or a fill colour with
    /// another number of channels than the picture.
    pub fn apply(&self, picture: &mut Picture, rng: &mut impl Rng) -> Result<(), DataError> {
        self.check()?;
        self.check_format(PixelFormat { channels: picture.channels(), depth: picture.depth() })?;
        for (operation, argument) in self.draw(rng) {
            operation.apply(picture, argument, &self.fill);
        }
        Ok(())
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn check(&self) -> Result<(), DataError> {
        let refused =
            |what, value: String, remedy: String| Err(DataError::Parameter { what, value, remedy });
        if !(1..=MAX_OPERATIONS).contains(&self.operations) {
            let remedy = format!("use 1 to {MAX_OPERATIONS}, such as 2");
            return refused(
                "RandAugment's number of operations (n)",
                self.operations.to_string(),
                remedy,
            );
        }
        if !(0.0..=MAX_LEVEL).contains(&self.magnitude) {
            let remedy = format!("use 0 to {MAX_LEVEL}, such as 9");
            return refused("RandAugment's strength (m)", self.magnitude.to_string(), remedy);
        }
        if !(0.0..=MAX_STD).contains(&self.std) {
            let remedy = format!("use 0 to {MAX_STD}, such as 0.5");
            return refused(
                "RandAugment's spread of the strength (mstd)",
                self.std.to_string(),
                remedy,
            );
        }
        if !(0.0..=1.0).contains(&self.probability) {
            let remedy = "use 0 to 1, such as 0.5".to_owned();
            return refused("RandAugment's probability (p)", self.probability.to_string(), remedy);
        }
        if !matches!(self.fill.len(), 1 | 3) {
            let remedy = "give one level a channel, 1 or 3".to_owned();
            return refused("RandAugment's fill colour", format!("{:?}", self.fill), remedy);
        }
        Ok(())
    }

    /// Checks that the operations can be applied to such pictures.
    pub(super) fn check_format(&self, format: PixelFormat) -> Result<(), DataError> {
        if format.depth == Depth::Deep {
            return Err(DataError::Parameter {
                what: "RandAugment",
                value: "asked for with deep pictures".to_owned(),
                remedy: "its operations are those of 8-bit pictures; leave it out".to_owned(),
            });
        }
        let channels = format.channels;
        if self.fill.len() == channels as usize {
            return Ok(());
        }
        Err(DataError::Parameter {
            what: "RandAugment's fill colour",
            value: format!("{:?}", self.fill),
            remedy: format!("pictures have {channels} channels; give one level for each"),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::keyed;

    fn color() -> Normalization {
        Normalization::imagenet(3).unwrap()
    }

    #[test]
    fn timm_s_description_is_understood() {
        let parse = |text| RandAugment::parse(text, &color());
        let published = RandAugment::new(&color());
        // timm: round(255 · mean) of each channel.
        assert_eq!(published.fill, [124, 116, 104]);
        assert_eq!(RandAugment::new(&Normalization::imagenet(1).unwrap()).fill, [114]);
        assert_eq!(parse("rand-m9-mstd0.5-inc1").unwrap(), published);
        assert_eq!(parse("rand-inc1-mstd0.5-m9").unwrap(), published);
        assert_eq!(
            parse("rand-m7-n3-p0.25-inc1").unwrap(),
            RandAugment {
                operations: 3,
                magnitude: 7.0,
                std: 0.0,
                probability: 0.25,
                ..published.clone()
            }
        );
        assert_eq!(
            parse("rand-inc1").unwrap(),
            RandAugment { magnitude: 10.0, std: 0.0, ..published }
        );
    }

    #[test]
    fn what_is_not_supported_is_refused_with_the_remedy() {
        for (text, remedy) in [
            ("", "write it like rand-m9-mstd0.5-inc1"),
            ("augmix-m5", "no other policy"),
            ("rand-m9-mstd0.5", "add -inc1"),
            ("rand-m9-inc0", "add -inc1"),
            ("rand-m9-mmax12-inc1", "mmax is not supported"),
            ("rand-m9-inc1-t3a", "(t…) are not supported"),
            ("rand-m9-inc1-w0", "\"w0\" is not known"),
            ("rand-m9--inc1", "\"\" is not known"),
            ("rand-m-inc1", "\"m\" holds no number"),
            ("rand-m9x-inc1", "\"m9x\" holds no number"),
            ("rand-n2.5-inc1", "\"n2.5\" holds no number"),
            ("rand-m9-m8-inc1", "\"m\" is given twice"),
            ("rand-m11-inc1", "use 0 to 10"),
            ("rand-n0-inc1", "use 1 to 16"),
            ("rand-p1.5-inc1", "use 0 to 1"),
            ("rand-mstd101-inc1", "use 0 to 100"),
        ] {
            let error = RandAugment::parse(text, &color()).unwrap_err().to_string();
            assert!(error.contains(remedy), "{text}: {error}");
        }
        let good = RandAugment::new(&color());
        for bad in [
            RandAugment { magnitude: f64::NAN, ..good.clone() },
            RandAugment { std: f64::INFINITY, ..good.clone() },
            RandAugment { fill: vec![1, 2], ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        let mut grey = Picture::new(2, 2, 1, vec![0; 4]).unwrap();
        assert!(good.apply(&mut grey, &mut keyed(0, "test", 0, 0)).is_err());
    }

    #[test]
    fn operations_and_strengths_are_drawn_as_described() {
        let augment = RandAugment::new(&color());
        let rng = &mut keyed(1, "test", 0, 0);
        let drawn: Vec<Vec<_>> = (0..30_000).map(|_| augment.draw(rng)).collect();
        // Two with probability 1/2 each. Standard deviation of a count: √(30000 · 1/4 · 3/4) = 75.
        for (length, expected) in [(0, 7_500), (1, 15_000), (2, 7_500)] {
            let count = drawn.iter().filter(|operations| operations.len() == length).count();
            assert!(count.abs_diff(expected) < 400, "{length}: {count}");
        }
        let all: Vec<(Operation, f64)> = drawn.into_iter().flatten().collect();
        for operation in Operation::ALL {
            let count = all.iter().filter(|(drawn, _)| *drawn == operation).count();
            assert!((1_800..2_200).contains(&count), "{operation:?}: {count}");
        }
        // The angle is 3 · strength, of either sign.
        let angles: Vec<f64> =
            all.iter().filter(|(o, _)| *o == Operation::Rotate).map(|(_, angle)| *angle).collect();
        let count = angles.len() as f64;
        let share = |f: &dyn Fn(f64) -> bool| {
            angles.iter().filter(|angle| f(**angle)).count() as f64 / count
        };
        assert!((share(&|angle| angle < 0.0) - 0.5).abs() < 0.05);
        // Normal(9, 1/2) beyond its mean + 2 standard deviations: 0.0228; below 8.5: 0.1587.
        assert!((share(&|angle| angle.abs() == 30.0) - 0.0228).abs() < 0.012);
        assert!((share(&|angle| angle.abs() < 25.5) - 0.1587).abs() < 0.035);
        assert!(angles.iter().all(|angle| angle.abs() <= 30.0));
        let never = RandAugment { probability: 0.0, ..augment.clone() };
        let always = RandAugment { probability: 1.0, std: 0.0, ..augment };
        for _ in 0..100 {
            assert!(never.draw(rng).is_empty());
            assert_eq!(always.draw(rng).len(), 2);
        }
    }
}
