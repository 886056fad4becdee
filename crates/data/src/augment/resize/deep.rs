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
    let channels = source.channels;
    let row_length = columns.first.len() * channels;
    let mut result = vec![0.0; source.height as usize * row_length];
    let mut sums = vec![0.0; channels];
    for (y, result) in result.chunks_exact_mut(row_length).enumerate() {
        let row = source.row(y);
        for (result, (first, weights)) in result.chunks_exact_mut(channels).zip(columns.iter()) {
            sums.fill(0.0);
            let pixels = row[first * channels..].chunks_exact(channels);
            for (&weight, pixel) in weights.iter().zip(pixels) {
                add(&mut sums, weight, pixel);
            }
            round(&sums, result);
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
            add(&mut sums, weight, source.row(first + tap));
        }
        round(&sums, result);
    }
    result
}

fn add(sums: &mut [f64], weight: f64, values: &[f32]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += weight * f64::from(value);
    }
}

fn round(sums: &[f64], result: &mut [f32]) {
    for (result, &sum) in result.iter_mut().zip(sums) {
        *result = sum as f32;
    }
}
