//! A decoded picture: rows from the top, channels last, 8-bit values or float32.

use serde::{Deserialize, Serialize};

use crate::channels::MAX_CHANNELS;
use crate::error::DataError;
use crate::remark::Remark;

/// How fine a picture's values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// 8 bits a value, 1 or 3 channels: photographs and drawings, with Pillow's values throughout.
    #[default]
    Eight,
    /// float32, any number of channels: satellites, microscopes, sensors. Unsigned numbers of a file
    /// are divided by the largest that their kind can hold, so that they lie in [0, 1]; signed
    /// numbers and floats stand as they are.
    Deep,
}

/// What pictures are decoded to. A number of channels alone stands for 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    /// 8-bit: 1 (grey) or 3 (RGB). Deep: 1 to [`MAX_CHANNELS`].
    pub channels: u32,
    /// Bits.
    pub depth: Depth,
}

impl PixelFormat {
    /// Checks that pictures can be made so.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for a number of channels that the depth does not allow.
    pub fn check(&self) -> Result<(), DataError> {
        let remedy = match (self.depth, self.channels) {
            (Depth::Eight, 1 | 3) | (Depth::Deep, 1..=MAX_CHANNELS) => return Ok(()),
            (Depth::Eight, _) => {
                "use 3 (RGB) or 1 (grey); others need deep pictures, of float32 values".to_owned()
            }
            (Depth::Deep, _) => format!("use 1 to {MAX_CHANNELS}"),
        };
        let value = self.channels.to_string();
        Err(DataError::Parameter { what: "number of channels", value, remedy })
    }
}

impl From<u32> for PixelFormat {
    fn from(channels: u32) -> Self {
        Self { channels, depth: Depth::Eight }
    }
}

/// A picture, `[height, width, channels]`, row-major: 8-bit with one (grey) or three (RGB) channels,
/// or deep, in float32, with any number.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: u32,
    height: u32,
    channels: u32,
    values: Values,
    remarks: Vec<Remark>,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    Eight(Vec<u8>),
    Deep(Vec<f32>),
}

impl Picture {
    /// An 8-bit picture from its values, `[height, width, channels]`.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when a side is zero, `channels` is neither 1 nor 3, or the number
    /// of values is not height · width · channels.
    pub fn new(width: u32, height: u32, channels: u32, pixels: Vec<u8>) -> Result<Self, DataError> {
        let format = PixelFormat::from(channels);
        check(width, height, format, pixels.len())?;
        Ok(Self { width, height, channels, values: Values::Eight(pixels), remarks: Vec::new() })
    }

    /// A deep picture from its values, `[height, width, channels]`.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when a side is zero, `channels` is not 1 to [`MAX_CHANNELS`], or the
    /// number of values is not height · width · channels.
    pub fn deep(
        width: u32,
        height: u32,
        channels: u32,
        values: Vec<f32>,
    ) -> Result<Self, DataError> {
        let format = PixelFormat { channels, depth: Depth::Deep };
        check(width, height, format, values.len())?;
        Ok(Self { width, height, channels, values: Values::Deep(values), remarks: Vec::new() })
    }

    /// As [`new`](Self::new), where the caller made the values to measure.
    pub(crate) fn from_parts(width: u32, height: u32, channels: u32, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), width as usize * height as usize * channels as usize);
        Self { width, height, channels, values: Values::Eight(pixels), remarks: Vec::new() }
    }

    /// As [`deep`](Self::deep), where the caller made the values to measure.
    pub(crate) fn deep_from_parts(
        width: u32,
        height: u32,
        channels: u32,
        values: Vec<f32>,
    ) -> Self {
        assert_eq!(values.len(), width as usize * height as usize * channels as usize);
        Self { width, height, channels, values: Values::Deep(values), remarks: Vec::new() }
    }

    /// The picture with what was noticed when it was decoded.
    pub(crate) fn with_remarks(self, remarks: Vec<Remark>) -> Self {
        Self { remarks, ..self }
    }

    /// What was noticed when it was decoded: of ordinary pictures nothing. Pictures that are made of
    /// this one, by cutting or scaling, have none.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Pixels a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// 1 (grey) or 3 (RGB) of an 8-bit picture, any number of a deep one.
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Whether the values are 8-bit or float32.
    pub fn depth(&self) -> Depth {
        match self.values {
            Values::Eight(_) => Depth::Eight,
            Values::Deep(_) => Depth::Deep,
        }
    }

    /// The values of an 8-bit picture, `[height, width, channels]`; of a deep one, none.
    pub fn pixels(&self) -> &[u8] {
        match &self.values {
            Values::Eight(pixels) => pixels,
            Values::Deep(_) => &[],
        }
    }

    /// The values of a deep picture, `[height, width, channels]`; of an 8-bit one, none.
    pub fn deep_values(&self) -> &[f32] {
        match &self.values {
            Values::Eight(_) => &[],
            Values::Deep(values) => values,
        }
    }

    /// The values of an 8-bit picture, for changes in place.
    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        match &mut self.values {
            Values::Eight(pixels) => pixels,
            Values::Deep(_) => &mut [],
        }
    }

    /// The values of a deep picture, for changes in place.
    pub(crate) fn deep_values_mut(&mut self) -> &mut [f32] {
        match &mut self.values {
            Values::Eight(_) => &mut [],
            Values::Deep(values) => values,
        }
    }

    /// Memory that the values take.
    pub(crate) fn bytes(&self) -> usize {
        self.pixels().len() + size_of_val(self.deep_values())
    }
}

fn check(width: u32, height: u32, format: PixelFormat, values: usize) -> Result<(), DataError> {
    format.check()?;
    let wanted = u128::from(width) * u128::from(height) * u128::from(format.channels);
    if wanted != 0 && wanted == values as u128 {
        return Ok(());
    }
    Err(DataError::Parameter {
        what: "picture",
        value: format!("{height}×{width} with {} channels and {values} values", format.channels),
        remedy: "sides must be at least 1, values height · width · channels".to_owned(),
    })
}
