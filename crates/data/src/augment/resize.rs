//! Bicubic resizing, as Pillow's.
//!
//! Pillow resizes in two passes, across and down, with 8-bit values in between; the order of the
//! passes shows where values are rounded or clipped, up to tens of levels at hard edges. Both are
//! kept here.
//!
//! Own code, because the order matters, and because a general resizing library compiled to twenty
//! times the size of the rest of this crate. Sums are float32 in a fixed order, so a result is the
//! same on every machine. Deep pictures have passes of their own, which round nothing in between.

use super::part::Crop;
use super::size::check_size;
use crate::error::DataError;
use crate::picture::{Depth, Picture};

mod deep;

/// Reach of the bicubic kernel on either side, in output pixels (input pixels when enlarging).
const SUPPORT: f64 = 2.0;

/// A box in a picture, in pixels from its top left corner; sides may lie between pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropBox {
    /// Left side.
    pub left: f64,
    /// Top side.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl CropBox {
    /// All of a picture of a size.
    pub(super) fn whole(height: u32, width: u32) -> Self {
        Self { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) }
    }
}

/// The whole picture at another size.
///
/// # Errors
/// [`DataError::Parameter`] for a size out of range.
pub fn resize(picture: &Picture, height: u32, width: u32) -> Result<Picture, DataError> {
    let whole = CropBox::whole(picture.height(), picture.width());
    resize_crop(picture, whole, height, width)
}

/// The part of a picture in `crop` at another size: Pillow's
/// `picture.resize((width, height), BICUBIC, box=crop)` within one level; of a deep picture that of
/// each channel in Pillow's mode `F`. As there, the kernel reads pixels beyond the box where the
/// picture has some.
///
/// # Errors
/// [`DataError::Parameter`] for a size out of range or a box that is not inside the picture.
pub fn resize_crop(
    picture: &Picture,
    crop: CropBox,
    height: u32,
    width: u32,
) -> Result<Picture, DataError> {
    check_size(height, width)?;
    check_box(picture, crop)?;
    let whole = Crop::whole(picture);
    let passes = Passes::of((picture.height(), picture.width()), (height, width));
    Ok(resized(picture, whole, crop, (height, width), passes))
}

/// Resizes the box `crop` of `part` of a picture to `size` (height, width). What lies outside of
/// `part` is as if it were not there. `part` must lie inside of the picture, `crop` inside of `part`.
pub(super) fn resized(
    picture: &Picture,
    part: Crop,
    crop: CropBox,
    size: (u32, u32),
    passes: Passes,
) -> Picture {
    match picture.depth() {
        Depth::Eight => View::of(picture, picture.pixels()).cut(part).resized(crop, size, passes),
        Depth::Deep => {
            View::of(picture, picture.deep_values()).cut(part).resized(crop, size, passes)
        }
    }
}

/// Which pass comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passes {
    AcrossThenDown,
    DownThenAcross,
}

impl Passes {
    /// Pillow's choice (since version 13; before, across came first always): down first where the
    /// height shrinks by more than twice as many pixels as the width. Sizes are (height, width) of
    /// the whole picture, also where only a box of it is resized.
    pub(super) fn of(from: (u32, u32), to: (u32, u32)) -> Self {
        let shrinks_by = |from: u32, to: u32| i64::from(from) - i64::from(to);
        let (height, width) = (shrinks_by(from.0, to.0), shrinks_by(from.1, to.1));
        if height > 0 && height > 2 * width { Self::DownThenAcross } else { Self::AcrossThenDown }
    }
}

/// A picture or a part of one, without a copy.
struct View<'a, V> {
    /// From the first value on.
    pixels: &'a [V],
    /// Values from one row to the next.
    stride: usize,
    width: u32,
    height: u32,
    channels: usize,
}

impl<'a, V> View<'a, V> {
    fn of(picture: &Picture, pixels: &'a [V]) -> Self {
        let channels = picture.channels() as usize;
        Self {
            pixels,
            stride: picture.width() as usize * channels,
            width: picture.width(),
            height: picture.height(),
            channels,
        }
    }

    /// A part on whole pixels, which must lie inside: what is beyond is as if it were not there.
    fn cut(&self, part: Crop) -> Self {
        let start = part.top as usize * self.stride + part.left as usize * self.channels;
        Self {
            pixels: &self.pixels[start..],
            width: part.width,
            height: part.height,
            stride: self.stride,
            channels: self.channels,
        }
    }

    fn rows(&self, first: u32, last: u32) -> Self {
        self.cut(Crop { left: 0, top: first, width: self.width, height: last - first })
    }

    fn columns(&self, first: u32, last: u32) -> Self {
        self.cut(Crop { left: first, top: 0, width: last - first, height: self.height })
    }

    /// Values of a row.
    fn row(&self, row: usize) -> &'a [V] {
        let start = row * self.stride;
        &self.pixels[start..start + self.width as usize * self.channels]
    }
}

impl View<'_, u8> {
    /// Both passes. `crop` must lie inside.
    fn resized(&self, crop: CropBox, (height, width): (u32, u32), passes: Passes) -> Picture {
        let columns = Taps::new(crop.left, crop.width, self.width, width).single();
        let rows = Taps::new(crop.top, crop.height, self.height, height).single();
        let pixels = match passes {
            Passes::AcrossThenDown => {
                // Only the rows that the pass down reads.
                let (first, last) = rows.reads();
                let part = self.rows(first, last);
                let middle = across(&part, &columns);
                let channels = if self.channels == 1 { 1 } else { 4 };
                let stride = width as usize * channels;
                let middle = View { pixels: &middle, stride, width, channels, ..part };
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
        let pixels = if self.channels == 1 { pixels } else { three_of_four(&pixels) };
        Picture::from_parts(width, height, self.channels as u32, pixels)
    }
}

/// For each pixel of the result along one side: the first pixel read, and the weights of it and
/// those after it.
struct Taps<W> {
    first: Vec<u32>,
    weights: Vec<Vec<W>>,
}

impl Taps<f64> {
    /// Takes `length` pixels from `from` on, of a side of `side` pixels, to `result` pixels.
    fn new(from: f64, length: f64, side: u32, result: u32) -> Self {
        let scale = length / f64::from(result);
        // Shrinking widens the kernel, so that every pixel counts.
        let stretch = scale.max(1.0);
        let reach = SUPPORT * stretch;
        let mut taps = Self { first: Vec::new(), weights: Vec::new() };
        for i in 0..result {
            let centre = from + (f64::from(i) + 0.5) * scale;
            // Truncation, not rounding down, as in C; both ends stay inside the side.
            let first = ((centre - reach + 0.5) as u32).min(side - 1);
            let last = ((centre + reach + 0.5) as u32).clamp(first + 1, side);
            let weight = |x: u32| cubic((f64::from(x) - centre + 0.5) / stretch);
            let sum: f64 = (first..last).map(weight).sum();
            // A sum of zero cannot come from a centre inside the side.
            taps.first.push(first);
            taps.weights.push((first..last).map(|x| weight(x) / sum).collect());
        }
        taps
    }

    /// With weights in float32.
    fn single(self) -> Taps<f32> {
        let single = |weights: Vec<f64>| weights.into_iter().map(|weight| weight as f32).collect();
        Taps { first: self.first, weights: self.weights.into_iter().map(single).collect() }
    }
}

impl<W> Taps<W> {
    /// First pixel read by any, and the one after the last.
    fn reads(&self) -> (u32, u32) {
        let ends = self.first.iter().zip(&self.weights).map(|(&f, w)| f + w.len() as u32);
        (self.first.iter().copied().min().unwrap_or(0), ends.max().unwrap_or(0))
    }

    /// The same on a side of which `by` pixels are cut off.
    fn shifted(mut self, by: u32) -> Self {
        self.first.iter_mut().for_each(|first| *first -= by);
        self
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[W])> {
        self.first.iter().zip(&self.weights).map(|(&first, weights)| (first as usize, &weights[..]))
    }
}

/// Keys' cubic with a = −1/2 (Catmull–Rom):
/// `(a + 2)|x|³ − (a + 3)|x|² + 1` below 1, `a|x|³ − 5a|x|² + 8a|x| − 4a` below 2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// To the nearest level, halves up. Adding 2²³ leaves no room for a fraction, and the level in the
/// low bits; unlike a conversion, compilers do it on whole vectors.
fn level(sum: f32) -> u8 {
    /// Sends halves up, where the addition would send them to the even level.
    const TIE: f32 = 1.0 / 8192.0;
    const MAGIC: f32 = 8_388_608.0;
    (sum.clamp(0.0, 255.0) + TIE + MAGIC).to_bits() as u8
}

/// Resizes every row. Three channels become four, of which the last is nothing: a pixel then fills
/// a vector on its whole way, where compilers would otherwise take its values one by one.
fn across(source: &View<'_, u8>, columns: &Taps<f32>) -> Vec<u8> {
    if source.channels == 1 { across_grey(source, columns) } else { across_rgb(source, columns) }
}

fn across_rgb(source: &View<'_, u8>, columns: &Taps<f32>) -> Vec<u8> {
    /// Rows side by side: sums that don't wait for each other.
    const ROWS: usize = 4;
    let row_length = columns.first.len() * 4;
    let mut result = vec![0; source.height as usize * row_length];
    let mut band = vec![[[0.0f32; 4]; ROWS]; source.width as usize];
    let mut band_sums: [_; ROWS] = std::array::from_fn(|_| vec![[0.0f32; 4]; columns.first.len()]);
    for (y, result) in result.chunks_mut(row_length * ROWS).enumerate() {
        for i in 0..ROWS {
            // Below the last row the last is taken again, and its result left out.
            let y = (y * ROWS + i).min(source.height as usize - 1);
            let (pixels, _) = source.row(y).as_chunks::<3>();
            for (numbers, &[red, green, blue]) in band.iter_mut().zip(pixels) {
                numbers[i] = [red, green, blue, 0].map(f32::from);
            }
        }
        for (x, (first, weights)) in columns.iter().enumerate() {
            let mut sums = [[0.0f32; 4]; ROWS];
            for (&weight, pixels) in weights.iter().zip(&band[first..first + weights.len()]) {
                for (sums, pixel) in sums.iter_mut().zip(pixels) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += weight * value;
                    }
                }
            }
            for (row, sums) in band_sums.iter_mut().zip(sums) {
                row[x] = sums;
            }
        }
        for (result, sums) in result.chunks_exact_mut(row_length).zip(&band_sums) {
            for (result, &sum) in result.iter_mut().zip(sums.as_flattened()) {
                *result = level(sum);
            }
        }
    }
    result
}

/// Leaves out the fourth channel of [`across`].
fn three_of_four(pixels: &[u8]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<4>();
    pixels.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect()
}

/// Four sums side by side, of every fourth pixel each, fill a vector.
fn across_grey(source: &View<'_, u8>, columns: &Taps<f32>) -> Vec<u8> {
    let row_length = columns.first.len();
    let mut result = vec![0; source.height as usize * row_length];
    let mut row = vec![0.0f32; source.width as usize];
    for (y, result) in result.chunks_exact_mut(row_length).enumerate() {
        for (number, &value) in row.iter_mut().zip(source.row(y)) {
            *number = f32::from(value);
        }
        for (result, (first, weights)) in result.iter_mut().zip(columns.iter()) {
            let mut sums = [0.0f32; 4];
            let (fours, rest) = weights.as_chunks::<4>();
            let (value_fours, value_rest) = row[first..first + weights.len()].as_chunks::<4>();
            for (weights, values) in fours.iter().zip(value_fours) {
                for ((sum, weight), value) in sums.iter_mut().zip(weights).zip(values) {
                    *sum += weight * value;
                }
            }
            let rest: f32 = rest.iter().zip(value_rest).map(|(w, v)| w * v).sum();
            *result = level((sums[0] + sums[1]) + (sums[2] + sums[3]) + rest);
        }
    }
    result
}

/// Resizes every column.
fn down(source: &View<'_, u8>, rows: &Taps<f32>) -> Vec<u8> {
    let length = source.width as usize * source.channels;
    let mut result = vec![0; rows.first.len() * length];
    let mut sums = vec![0.0f32; length];
    for (result, (first, weights)) in result.chunks_exact_mut(length).zip(rows.iter()) {
        sums.fill(0.0);
        for (tap, &weight) in weights.iter().enumerate() {
            for (sum, &value) in sums.iter_mut().zip(source.row(first + tap)) {
                *sum += weight * f32::from(value);
            }
        }
        for (result, &sum) in result.iter_mut().zip(&sums) {
            *result = level(sum);
        }
    }
    result
}

fn check_box(picture: &Picture, crop: CropBox) -> Result<(), DataError> {
    let inside = |from: f64, length: f64, side: u32| {
        from >= 0.0 && length > 0.0 && from + length <= f64::from(side)
    };
    if inside(crop.left, crop.width, picture.width())
        && inside(crop.top, crop.height, picture.height())
    {
        return Ok(());
    }
    Err(DataError::Parameter {
        what: "crop box",
        value: format!("{crop:?}"),
        remedy: format!(
            "it must lie inside the picture of {}×{} (height × width)",
            picture.height(),
            picture.width()
        ),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn levels_are_rounded_halves_up_and_clipped() {
        let cases =
            [(-3.0, 0), (0.49, 0), (0.5, 1), (1.5, 2), (2.5, 3), (254.6, 255), (300.0, 255)];
        for (sum, expected) in cases {
            assert_eq!(level(sum), expected, "{sum}");
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let pixels: Vec<u8> = (0..7 * 5 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let picture = Picture::new(7, 5, 3, pixels).unwrap();
        assert_eq!(resize(&picture, 5, 7).unwrap(), picture);
        let right = CropBox { left: 3.0, top: 1.0, width: 4.0, height: 4.0 };
        let cut = resize_crop(&picture, right, 4, 4).unwrap();
        assert_eq!(cut.pixels()[..12], picture.pixels()[(7 + 3) * 3..(7 + 7) * 3]);
    }

    #[test]
    fn sizes_and_boxes_out_of_range_are_refused() {
        let picture = Picture::new(4, 3, 1, vec![0; 12]).unwrap();
        let at = |left, top, width, height| {
            resize_crop(&picture, CropBox { left, top, width, height }, 2, 2)
        };
        assert!(at(0.0, 0.0, 4.0, 3.0).is_ok() && at(3.9, 2.9, 0.1, 0.1).is_ok());
        assert!(at(0.0, 0.0, 4.1, 3.0).is_err() && at(-0.1, 0.0, 2.0, 2.0).is_err());
        assert!(at(0.0, 0.0, 0.0, 1.0).is_err() && at(f64::NAN, 0.0, 1.0, 1.0).is_err());
        assert!(resize(&picture, 0, 2).is_err() && resize(&picture, 2, u32::MAX).is_err());
    }
}
