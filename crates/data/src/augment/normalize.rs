//! Values of pictures to the network's range.

use serde::{Deserialize, Serialize};

use crate::channels::MAX_CHANNELS;
use crate::error::DataError;
use crate::picture::{Depth, Picture, PixelFormat};

/// Mean and standard deviation of each channel: of 8-bit pictures, of the values over 255; of deep
/// ones, of the values as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// Subtracted, one number a channel.
    pub mean: Vec<f32>,
    /// Divided by, one number a channel.
    pub std: Vec<f32>,
}

impl Normalization {
    /// ImageNet's, of three colours.
    pub fn imagenet_rgb() -> Self {
        Self { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// ImageNet's, for 3 channels or 1 (the mean over the colours).
    ///
    /// # Errors
    /// [`DataError::Parameter`] for another number of channels.
    pub fn imagenet(channels: u32) -> Result<Self, DataError> {
        PixelFormat::from(channels).check()?;
        Ok(if channels == 3 {
            Self::imagenet_rgb()
        } else {
            Self { mean: vec![0.449], std: vec![0.226] }
        })
    }

    /// The number of channels, 1 to [`MAX_CHANNELS`]. Pictures of 8 bits have 1 or 3.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when mean and std do not both have as many numbers, or too many, or
    /// one is not finite, or a std is not above zero.
    pub fn channels(&self) -> Result<u32, DataError> {
        let same = self.mean.len() == self.std.len()
            && (1..=MAX_CHANNELS as usize).contains(&self.mean.len());
        let sound = self.mean.iter().all(|mean| mean.is_finite())
            && self.std.iter().all(|std| std.is_finite() && *std > 0.0);
        if same && sound {
            return Ok(self.mean.len() as u32);
        }
        Err(DataError::Parameter {
            what: "normalization",
            value: format!("mean {:?}, std {:?}", self.mean, self.std),
            remedy: format!(
                "mean and std need one number a channel, 1 to {MAX_CHANNELS}, and std above 0"
            ),
        })
    }

    /// Appends a picture's values, `[height, width, channels]`, to `into`:
    /// `(value / 255 − mean) / std`, in the order of operations of torchvision; of a deep picture,
    /// `(value − mean) / std`.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when the picture has another number of channels.
    pub fn append(&self, picture: &Picture, into: &mut Vec<f32>) -> Result<(), DataError> {
        let channels = self.channels()?;
        if channels != picture.channels() {
            return Err(DataError::Parameter {
                what: "number of channels of the picture",
                value: picture.channels().to_string(),
                remedy: format!("the normalization has {channels}"),
            });
        }
        if picture.depth() == Depth::Deep {
            into.reserve(picture.deep_values().len());
            for pixel in picture.deep_values().chunks_exact(channels as usize) {
                let channels = pixel.iter().zip(&self.mean).zip(&self.std);
                into.extend(channels.map(|((value, mean), std)| (value - mean) / std));
            }
            return Ok(());
        }
        let table = self.table();
        into.reserve(picture.pixels().len());
        match table.as_slice() {
            [grey] => into.extend(picture.pixels().iter().map(|&v| grey[usize::from(v)])),
            [red, green, blue] => {
                let (pixels, _) = picture.pixels().as_chunks::<3>();
                into.extend(pixels.iter().flat_map(|&[r, g, b]| {
                    [red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)]]
                }));
            }
            _ => unreachable!("8-bit pictures have 1 or 3 channels"),
        }
        Ok(())
    }

    /// The result for each of the 256 values, a channel.
    fn table(&self) -> Vec<[f32; 256]> {
        let result = |v: usize, (mean, std): (&f32, &f32)| (v as f32 / 255.0 - mean) / std;
        self.mean
            .iter()
            .zip(&self.std)
            .map(|channel| std::array::from_fn(|v| result(v, channel)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_torchvision_s() {
        // torchvision: Normalize(mean, std)(ToTensor()(pixel (0, 128, 255))).
        let mut values = Vec::new();
        let picture = Picture::new(1, 1, 3, vec![0, 128, 255]).unwrap();
        Normalization::imagenet(3).unwrap().append(&picture, &mut values).unwrap();
        let expected = [-2.117_904, 0.205_182_2, 2.64];
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn deep_values_are_taken_as_they_are() {
        let mut values = vec![7.0];
        let picture = Picture::deep(2, 1, 2, vec![1.0, 200.0, 0.25, -100.0]).unwrap();
        let normalization = Normalization { mean: vec![0.5, 100.0], std: vec![0.25, 50.0] };
        normalization.append(&picture, &mut values).unwrap();
        assert_eq!(values, [7.0, 2.0, 2.0, -1.0, -4.0]);
    }

    #[test]
    fn senseless_settings_are_refused() {
        let bad = |mean: &[f32], std: &[f32]| {
            Normalization { mean: mean.to_vec(), std: std.to_vec() }.channels().is_err()
        };
        assert!(bad(&[0.5], &[0.0]) && bad(&[0.5; 65], &[1.0; 65]) && bad(&[0.5], &[1.0; 3]));
        assert!(bad(&[f32::NAN], &[1.0]) && bad(&[], &[]) && bad(&[0.5], &[-1.0]));
        assert!(Normalization::imagenet(4).is_err());
        let grey = Picture::new(1, 1, 1, vec![3]).unwrap();
        assert!(Normalization::imagenet(3).unwrap().append(&grey, &mut Vec::new()).is_err());
    }
}
