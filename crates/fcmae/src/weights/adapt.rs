//! Weights for pictures of another number of channels than they were trained on.

use fcmae_data::Normalization;
use fcmae_store::HostTensor;

/// A stem `[C, inputs, k, k]` for pictures of `channels` channels, as timm adapts it: for one channel
/// the sum over the inputs, for others the inputs one after the other again and again, scaled so that
/// the output keeps its size.
pub(super) fn stem(stem: &HostTensor, channels: usize) -> HostTensor {
    let [outputs, inputs, height, width] = stem.shape[..] else { return stem.clone() };
    if stem.data.is_empty() {
        return stem.clone();
    }
    let area = height * width;
    let scale = inputs as f32 / channels as f32;
    let mut data = Vec::with_capacity(outputs * channels * area);
    for filter in stem.data.chunks_exact(inputs * area) {
        let input = |channel: usize| &filter[channel % inputs * area..][..area];
        if channels == 1 {
            let sum = |at| (1..inputs).fold(input(0)[at], |sum, i| sum + input(i)[at]);
            data.extend((0..area).map(sum));
        } else {
            data.extend((0..channels).flat_map(|channel| input(channel).iter().map(|v| v * scale)));
        }
    }
    HostTensor { shape: vec![outputs, channels, height, width], data }
}

/// Mean and deviation for another number of channels: their averages for one, else the same ones
/// again and again.
pub(super) fn normalization(of: &Normalization, channels: usize) -> Normalization {
    let adapt = |values: &[f32]| -> Vec<f32> {
        match channels {
            1 => vec![values.iter().sum::<f32>() / values.len().max(1) as f32],
            _ => values.iter().copied().cycle().take(channels).collect(),
        }
    };
    Normalization { mean: adapt(&of.mean), std: adapt(&of.std) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `timm.models._manipulate.adapt_input_conv` on `arange(1, 13).reshape(2, 3, 1, 2)`.
    #[test]
    fn stems_are_adapted_as_timm_does() {
        let weights = HostTensor::new([2, 3, 1, 2], (1..13).map(|v| v as f32).collect()).unwrap();
        let one = stem(&weights, 1);
        assert_eq!(one.shape, [2, 1, 1, 2]);
        assert_eq!(one.data, [9.0, 12.0, 27.0, 30.0]);
        let four = stem(&weights, 4);
        assert_eq!(four.shape, [2, 4, 1, 2]);
        let first = [0.75, 1.5, 2.25, 3.0, 3.75, 4.5, 0.75, 1.5];
        let second = [5.25, 6.0, 6.75, 7.5, 8.25, 9.0, 5.25, 6.0];
        assert_eq!(four.data, [first, second].concat());
    }

    #[test]
    fn normalization_follows_the_channels() {
        let rgb = Normalization { mean: vec![0.3, 0.6, 0.9], std: vec![0.1, 0.2, 0.3] };
        assert_eq!(normalization(&rgb, 4).mean, [0.3, 0.6, 0.9, 0.3]);
        let grey = normalization(&rgb, 1);
        assert!((grey.mean[0] - 0.6).abs() < 1e-6 && (grey.std[0] - 0.2).abs() < 1e-6);
    }
}
