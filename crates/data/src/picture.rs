//! A decoded picture: 8-bit values, rows from the top, channels last.

use crate::error::DataError;

/// An 8-bit picture, `[height, width, channels]`, row-major, one (grey) or three (RGB) channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    channels: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture from its values, `[height, width, channels]`.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when a side is zero, `channels` is neither 1 nor 3, or the number
    /// of values is not height · width · channels.
    pub fn new(width: u32, height: u32, channels: u32, pixels: Vec<u8>) -> Result<Self, DataError> {
        let wanted = u128::from(width) * u128::from(height) * u128::from(channels);
        if wanted == 0 || !matches!(channels, 1 | 3) || wanted != pixels.len() as u128 {
            return Err(DataError::Parameter {
                what: "picture",
                value: format!(
                    "{height}×{width} with {channels} channels and {} values",
                    pixels.len()
                ),
                mend: "sides must be at least 1, channels 1 or 3, values height · width · channels"
                    .to_owned(),
            });
        }
        Ok(Self { width, height, channels, pixels })
    }

    /// As [`new`](Self::new), where the caller made the values to measure.
    pub(crate) fn from_parts(width: u32, height: u32, channels: u32, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), width as usize * height as usize * channels as usize);
        Self { width, height, channels, pixels }
    }

    /// Pixels a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// The values, `[height, width, channels]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The values, `[height, width, channels]`, without a copy.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// The values, for changes in place.
    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }
}
