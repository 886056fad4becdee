//! Passes over deep pictures, as Pillow's in mode `F`: sums in float64, float32 between the passes.

use super::{CropBox, Passes, Taps, View};
use crate::picture::Picture;

impl View<'_, f32> {
    /// Both passes. `crop` must lie inside.
    pub(super) fn resized(
        &self,
        crop: CropBox,
        (height, width): (u32, u32),
        passes: Passes,
    ) -> Picture {
        let columns = Taps::new(crop.left, crop.width, self.width, width);
        let rows = Taps::new(crop.top, crop.height, self.height, height);
        let values = match passes {
            Passes::AcrossThenDown => {
                // Only the rows that the pass down reads.
                let (first, last) = rows.reads();
                let part = self.rows(first, last);
                let middle = across(&part, &columns);
                let stride = width as usize * self.channels;
                let middle = View { pixels: &middle, stride, width, ..part };
                down(&middle, &rows.shifted(first))
            }
            Passes::DownThenAcross => {
                let (first, last) = columns.reads();
                let part = self.columns(first, last);
                let middle = down(&part, &rows);
                let stride = part.width as usize * self.channels;
                let middle = View { pixels: &middle, stride, height, ..part };
                across(&middle, &columns.shifted(first))
            }
        };
        Picture::deep_from_parts(width, height, self.channels as u32, values)
    }
}

/// Resizes every row.
fn across(source: &View<'_, f32>, columns: &Taps<f64>) -> Vec<f32> {
    /// Rows side by side: sums that don't wait for each other, and fill vectors for any number of
    /// channels.
    const ROWS: usize = 8;
    let channels = source.channels;
    let row_length = columns.first.len() * channels;
    let mut result = vec![0.0; source.height as usize * row_length];
    let mut band = vec![[0.0f64; ROWS]; source.width as usize * channels];
    for (y, result) in result.chunks_mut(row_length * ROWS).enumerate() {
        for i in 0..ROWS {
            // Below the last row the last is taken again, and its result left out.
            let y = (y * ROWS + i).min(source.height as usize - 1);
            for (numbers, &value) in band.iter_mut().zip(source.row(y)) {
                numbers[i] = f64::from(value);
            }
        }
        for (x, (first, weights)) in columns.iter().enumerate() {
            for channel in 0..channels {
                let mut sums = [0.0f64; ROWS];
                let pixels = band[first * channels + channel..].iter().step_by(channels);
                for (&weight, pixel) in weights.iter().zip(pixels) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += weight * value;
                    }
                }
                let at = x * channels + channel;
                for (row, sum) in result.chunks_exact_mut(row_length).zip(sums) {
                    row[at] = sum as f32;
                }
            }
        }
    }
    result
}

/// Resizes every column.
fn down(source: &View<'_, f32>, rows: &Taps<f64>) -> Vec<f32> {
    let length = source.width as usize * source.channels;
    let mut result = vec![0.0; rows.first.len() * length];
    let mut sums = vec![0.0; length];
    for (result, (first, weights)) in result.chunks_exact_mut(length).zip(rows.iter()) {
        sums.fill(0.0);
        for (tap, &weight) in weights.iter().enumerate() {
            for (sum, &value) in sums.iter_mut().zip(source.row(first + tap)) {
                *sum += weight * f64::from(value);
            }
        }
        for (result, &sum) in result.iter_mut().zip(&sums) {
            *result = sum as f32;
        }
    }
    result
}
