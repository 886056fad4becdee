//! What pre-training hides.

use std::fmt;

use fcmae_data::random;
use schemars::JsonSchema;
use serde::de::{self, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::training::range;
use crate::error::ConfigError;

/// What is hidden and what is to be predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskConfig {
    /// Share of patches that are hidden. Two shares, such as `[0.5, 0.75]`, draw a new one between them for each
    /// update.
    pub ratio: MaskRatio,
    /// Whether each target patch is normalized: minus its mean, over its standard deviation.
    pub norm_pix_loss: bool,
    /// How the encoder treats hidden patches.
    #[serde(default)]
    pub encoder: MaskedEncoder,
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self { ratio: MaskRatio::Fixed(0.6), norm_pix_loss: true, encoder: MaskedEncoder::Sparse }
    }
}

/// A share of patches, or two for one between them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum MaskRatio {
    /// Always the same (the published choice).
    Fixed(f64),
    /// Drawn anew for each update, each between the two as likely as the others.
    Between([f64; 2]),
}

impl MaskRatio {
    /// The lowest and the highest share.
    pub fn bounds(self) -> [f64; 2] {
        match self {
            Self::Fixed(ratio) => [ratio; 2],
            Self::Between(bounds) => bounds,
        }
    }

    /// The share in the middle: what is hidden where there is no update.
    pub fn mean(self) -> f64 {
        let [low, high] = self.bounds();
        (low + high) / 2.0
    }

    /// The share for the update that follows `updates` ones: a function of it and the seed alone.
    pub fn at(self, seed: u64, updates: u64) -> f64 {
        match self {
            Self::Fixed(ratio) => ratio,
            Self::Between([low, high]) => {
                random::uniform(&mut random::keyed(seed, "mask ratio", updates, 0), low, high)
            }
        }
    }

    /// Refuses shares that leave none of an image's `patches` visible, or none masked.
    ///
    /// # Errors
    /// As [`visible_count`]; a first share above the second.
    pub(crate) fn check(self, patches: usize) -> Result<(), ConfigError> {
        let bounds = self.bounds();
        range(
            "mask.ratio",
            bounds.iter().all(|ratio| (0.0..=1.0).contains(ratio)),
            self,
            "a share between 0 and 1: 0.6 hides 60 % of the patches",
        )?;
        bounds.iter().try_for_each(|&ratio| visible_count(patches, ratio).map(drop))?;
        range(
            "mask.ratio",
            bounds[0] <= bounds[1],
            self,
            "a share, or the lower and the higher one",
        )
    }
}

impl fmt::Display for MaskRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(ratio) => write!(f, "{ratio}"),
            Self::Between([low, high]) => write!(f, "[{low}, {high}]"),
        }
    }
}

impl<'de> Deserialize<'de> for MaskRatio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shares;

        impl<'de> Visitor<'de> for Shares {
            type Value = MaskRatio;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share, such as 0.6, or two, such as [0.5, 0.75]")
            }

            fn visit_f64<E: de::Error>(self, ratio: f64) -> Result<MaskRatio, E> {
                Ok(MaskRatio::Fixed(ratio))
            }

            fn visit_i64<E: de::Error>(self, ratio: i64) -> Result<MaskRatio, E> {
                Ok(MaskRatio::Fixed(ratio as f64))
            }

            fn visit_u64<E: de::Error>(self, ratio: u64) -> Result<MaskRatio, E> {
                Ok(MaskRatio::Fixed(ratio as f64))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut shares: A) -> Result<MaskRatio, A::Error> {
                let mut next = |place| {
                    shares.next_element()?.ok_or_else(|| de::Error::invalid_length(place, &self))
                };
                let bounds = [next(0)?, next(1)?];
                match shares.next_element::<IgnoredAny>()? {
                    None => Ok(MaskRatio::Between(bounds)),
                    Some(_) => Err(de::Error::invalid_length(3, &self)),
                }
            }
        }

        deserializer.deserialize_any(Shares)
    }
}

impl MaskConfig {
    /// A warning if the share of an image's `patches` that is hidden differs by more than 0.05 from the
    /// ratio asked for, since patches are hidden whole.
    ///
    /// # Errors
    /// As [`visible_count`].
    pub(crate) fn caveat(&self, patches: usize) -> Result<Option<String>, ConfigError> {
        let hidden = patches - visible_count(patches, self.ratio.mean())?;
        let [asked, share] = [self.ratio.mean(), hidden as f64 / patches as f64].map(|s| 100.0 * s);
        Ok(((share - asked).abs() > 5.0).then(|| {
            format!(
                "hiding {hidden} of {patches} patches, {share:.0} % instead of the {asked:.0} % of \
                 `mask.ratio`: larger images (`data.image_size`) or a smaller `model.stem_stride` give more \
                 patches"
            )
        }))
    }

    /// How many of an image's `patches` the encoder computes, at most.
    ///
    /// # Errors
    /// As [`visible_count`].
    pub fn encoded_patches(&self, patches: usize) -> Result<usize, ConfigError> {
        let visible = visible_count(patches, self.ratio.bounds()[0])?;
        Ok(match self.encoder {
            MaskedEncoder::Sparse => visible,
            MaskedEncoder::Dense => patches,
        })
    }
}

/// How many of `patches` stay visible: `floor(patches · (1 − ratio))`.
///
/// # Errors
/// A ratio outside 0..1, or one that leaves no patch visible or none masked.
pub fn visible_count(patches: usize, ratio: f64) -> Result<usize, ConfigError> {
    // The small addend keeps 10 · (1 − 0.9) at 1, whose nearest double lies just below.
    let visible = (patches as f64 * (1.0 - ratio) + 1e-9).floor().max(0.0) as usize;
    if !(0.0..1.0).contains(&ratio) || visible == 0 || visible >= patches {
        let visible = visible.min(patches);
        let masked = patches - visible;
        return Err(ConfigError::Mask { ratio, patches, visible, masked });
    }
    Ok(visible)
}

/// How the encoder treats hidden patches in pre-training (ConvNeXt V2, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskedEncoder {
    /// It skips them and computes only the visible patches (the published choice).
    #[default]
    Sparse,
    /// It sees the mean pixel there (zero after normalization) and computes the whole image: the paper's ablation
    /// without sparse convolution.
    Dense,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{PretrainConfig, Settings, from_recipe};

    fn ratio(text: &str) -> Result<MaskRatio, String> {
        let set = [format!("mask.ratio={text}")];
        let read = from_recipe::<PretrainConfig>(None, &set).map_err(|error| error.to_string())?;
        // What a run records is read again.
        let recorded = read.to_toml();
        let again = from_recipe::<PretrainConfig>(Some(("run", &recorded)), &[]).unwrap();
        assert_eq!(again.mask, read.mask);
        Ok(read.mask.ratio)
    }

    #[test]
    fn one_share_or_two() {
        assert_eq!(ratio("0.75").unwrap(), MaskRatio::Fixed(0.75));
        assert_eq!(ratio("[0.5, 0.75]").unwrap(), MaskRatio::Between([0.5, 0.75]));
        for (wrong, word) in [
            ("[0.75, 0.5]", "[0.75, 0.5]"),
            ("[0.5]", "two"),
            ("[0.5, 0.6, 0.7]", "two"),
            ("half", "two"),
            ("[0.5, 1.0]", "mask ratio of 1"),
            ("1", "mask ratio of 1"),
            ("60", "between 0 and 1"),
            ("nan", "between 0 and 1"),
        ] {
            let error = ratio(wrong).unwrap_err();
            assert!(error.contains(word), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_share_between_two_follows_from_seed_and_update() {
        let between = MaskRatio::Between([0.5, 0.75]);
        let drawn: Vec<f64> = (0..1000).map(|update| between.at(7, update)).collect();
        assert!(drawn.iter().all(|ratio| (0.5..=0.75).contains(ratio)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.625).abs() < 0.01, "{mean}");
        assert_eq!(between.at(7, 3).to_bits(), drawn[3].to_bits());
        assert!(between.at(8, 3) != drawn[3]);
        assert_eq!(MaskRatio::Fixed(0.6).at(7, 3), 0.6);
    }
}
