//! What a picture may cost, how its invalid values are filled, and what is advised about it.

use fcmae_files::Limit;

use super::fill::Fill;
use crate::advice::Advice;
use crate::error::DecodeError;

/// What a picture may cost: a file beyond it is refused from its header. How its invalid values are filled, and
/// what errors and remarks about it advise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Largest width · height.
    pub pixels: u64,
    /// Most bytes of a file, and of its decoded pixels as stored in it (a 16-bit RGBA pixel takes
    /// eight); of a deep picture also in float32.
    pub bytes: u64,
    /// How invalid values are filled.
    pub fill: Fill,
    /// What errors and remarks advise.
    pub advice: Advice,
}

const PIXELS: u64 = 100_000_000;
const BYTES: u64 = 512 << 20;

impl Default for Limits {
    /// 100 million pixels and 512 MiB.
    fn default() -> Self {
        Self { pixels: PIXELS, bytes: BYTES, fill: Fill::Refuse, advice: Advice::Settings }
    }
}

impl Limits {
    /// The limits for pictures of so many pixels: 512 MiB for each 100 million of them, and no less.
    pub fn of_pixels(pixels: u64) -> Self {
        let bytes = u128::from(pixels) * u128::from(BYTES) / u128::from(PIXELS);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).max(BYTES);
        Self { pixels, bytes, ..Self::default() }
    }

    /// Checks all that a picture takes. The error says how many pixels would have to be allowed for all
    /// of it.
    pub(crate) fn check(&self, needs: &[Need]) -> Result<(), DecodeError> {
        let limit = |need: &Need| if need.is_pixels { self.pixels } else { self.bytes };
        let Some(need) = needs.iter().find(|need| need.value > limit(need)) else {
            return Ok(());
        };
        let enough = needs.iter().map(Need::enough).max().unwrap_or(0);
        Err(DecodeError::TooLarge {
            what: need.what,
            value: need.value,
            limit: limit(need),
            enough,
        })
    }
}

/// Something that a picture takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    what: &'static str,
    value: u64,
    is_pixels: bool,
}

impl Need {
    pub(crate) fn pixels(value: u64) -> Self {
        Self { what: "width · height in pixels", value, is_pixels: true }
    }

    pub(crate) fn bytes(what: &'static str, value: u64) -> Self {
        Self { what, value, is_pixels: false }
    }

    /// Pixels that would have to be allowed for it.
    fn enough(&self) -> u64 {
        const MILLION: u64 = 1_000_000;
        if self.is_pixels {
            return self.value;
        }
        if self.value <= BYTES {
            // As much is allowed whatever the number of pixels is.
            return 0;
        }
        let pixels = (u128::from(self.value) * u128::from(PIXELS)).div_ceil(u128::from(BYTES));
        u64::try_from(pixels).unwrap_or(u64::MAX).div_ceil(MILLION).saturating_mul(MILLION)
    }
}

impl Limits {
    /// How much of a picture's file is read.
    pub(super) fn of_files(&self) -> Limit {
        Limit { bytes: self.bytes, remedy: "shrink the picture first" }
    }
}

/// Most bytes that a decoder may allocate while it reads a header: colour profiles and the like
/// can be compressed bombs too.
pub(super) const HEADER_BYTES: u64 = 16 << 20;

pub(super) fn decoder_limits(max_alloc: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(max_alloc);
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advised_is_enough() {
        let needs = [
            Need::pixels(23_040_000),
            Need::bytes("the decoded size in float32 in bytes", 552_960_000),
        ];
        let error = Limits::default().check(&needs);
        let Err(DecodeError::TooLarge { value: 552_960_000, limit: 536_870_912, enough, .. }) =
            error
        else {
            panic!("{error:?}")
        };
        assert!(Limits::of_pixels(enough).check(&needs).is_ok(), "{enough}");
        assert!(Limits::of_pixels(enough - 2_000_000).check(&needs).is_err(), "{enough}");
        assert_eq!(Limits::of_pixels(100_000_000), Limits::default());
        assert!(Limits::of_pixels(u64::MAX).check(&needs).is_ok());
    }
}
