//! Pictures for people to look at: normalized values back to pixels, masks painted in,
//! and sheets of tiles with titles.

pub mod heat;
mod letters;

use std::path::Path;

use fcmae_data::drawn::{HEADER_BYTES, MARK};
use fcmae_data::{Depth, Normalization};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _, Rgb, RgbImage, imageops};

use crate::error::{Error, Result};

/// What stands for a masked patch.
const HIDDEN: Rgb<u8> = Rgb([128; 3]);
/// The ground of sheets: off-white, so that pictures with a white ground keep their edges.
pub const PAPER: Rgb<u8> = Rgb([232; 3]);
const INK: Rgb<u8> = Rgb([34; 3]);
/// Between tiles and around the sheet, in pixels of the sheet.
const GAP: u32 = 8;
/// Small tiles are enlarged to about this many pixels a side.
const SHOWN_SIDE: u32 = 160;
/// The most pixels on a side of a sheet: PNG viewers give up not far above.
const LARGEST_SIDE: u32 = 32_768;

/// By what normalized values are shown: mean and deviation that bring them to 0..1. Deep pictures,
/// whose values have no white and no black, are shown from 2.5 deviations below their mean to as much
/// above it.
pub fn tones(normalization: Normalization, depth: Depth) -> Normalization {
    match depth {
        Depth::Eight => normalization,
        Depth::Deep => {
            let channels = normalization.mean.len();
            Normalization { mean: vec![0.5; channels], std: vec![0.2; channels] }
        }
    }
}

/// `[H, W, C]` normalized values as an 8-bit RGB picture: `255 · (value · std + mean)`, rounded and
/// cut to 0..255. One or two channels give the first as grey, more the first three as red, green and
/// blue; a value that is not a number gives 0.
///
/// # Errors
/// [`Error::Unusable`] where `mean` and `std` have other lengths or none, or the number of values is
/// not `height · width · C`.
pub fn denormalize(
    values: &[f32],
    [height, width]: [usize; 2],
    Normalization { mean, std }: &Normalization,
) -> Result<RgbImage> {
    let channels = mean.len();
    if channels == 0 || std.len() != channels {
        return Err(Error::Unusable(format!(
            "a picture of {channels} means and {} deviations cannot be shown: it takes one of each for \
             every channel",
            std.len()
        )));
    }
    let pixels: Vec<u8> = values
        .chunks_exact(channels)
        .flat_map(|pixel| {
            [0, 1, 2].map(|c| {
                let c = if channels < 3 { 0 } else { c };
                // A cast to u8 saturates, and turns NaN into 0.
                (255.0 * (pixel[c] * std[c] + mean[c])).round() as u8
            })
        })
        .collect();
    let sized =
        height.checked_mul(width).and_then(|n| n.checked_mul(channels)) == Some(values.len());
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok()).filter(|_| sized);
    sides.and_then(|(w, h)| RgbImage::from_raw(w, h, pixels)).ok_or_else(|| {
        Error::Unusable(format!(
            "{} values are not a picture of {height}×{width} with {channels} channels",
            values.len()
        ))
    })
}

/// `picture` with the patches in `masked` (row-major indices of `side × side` pixel patches)
/// painted mid-grey. Indices beyond the picture are passed over.
pub fn hide(picture: &RgbImage, side: usize, masked: &[u32]) -> RgbImage {
    let mut hidden = picture.clone();
    for (x, y) in masked.iter().flat_map(|&patch| patch_pixels(picture, side, patch)) {
        hidden.put_pixel(x, y, HIDDEN);
    }
    hidden
}

fn patch_pixels(picture: &RgbImage, side: usize, patch: u32) -> impl Iterator<Item = (u32, u32)> {
    // A side beyond the picture is one patch, whatever its number of pixels.
    let side = u32::try_from(side).unwrap_or(u32::MAX).max(1);
    let columns = (picture.width() / side).max(1);
    let (left, top) =
        (u64::from(patch % columns * side), u64::from(patch / columns) * u64::from(side));
    let ends = |from: u64, limit: u32| {
        let from = from.min(limit.into()) as u32;
        from..from.saturating_add(side).min(limit)
    };
    let (xs, ys) = (ends(left, picture.width()), ends(top, picture.height()));
    ys.flat_map(move |y| xs.clone().map(move |x| (x, y)))
}

fn size(picture: &RgbImage) -> String {
    format!("{}×{} pixels", picture.height(), picture.width())
}

/// Rows of equal tiles under a line of column titles.
#[derive(Clone, Debug)]
pub struct Sheet {
    titles: Vec<String>,
    tile: (u32, u32),
    scale: u32,
    gap: u32,
    tiles: Vec<RgbImage>,
}

impl Sheet {
    /// A sheet of tiles of `height × width` pixels, one column for each title. Titles may be empty,
    /// and where all are the sheet has no line for them.
    ///
    /// # Errors
    /// [`Error::Unusable`] for no column or a side of zero.
    pub fn new(titles: &[&str], height: u32, width: u32) -> Result<Self> {
        if titles.is_empty() || height == 0 || width == 0 {
            return Err(Error::Unusable(format!(
                "a sheet of {} columns of {height}×{width} pixels shows nothing: each must be at \
                 least 1",
                titles.len()
            )));
        }
        let titles = titles.iter().map(|&t| t.to_owned()).collect();
        Ok(Self { titles, tile: (width, height), scale: 1, gap: GAP, tiles: Vec::new() })
    }

    /// Shows each pixel of a tile as `scale × scale` pixels.
    pub fn scale(mut self, scale: u32) -> Self {
        self.scale = scale.max(1);
        self
    }

    /// Leaves so many pixels between tiles and around the sheet, in place of 8.
    pub fn gap(mut self, pixels: u32) -> Self {
        self.gap = pixels;
        self
    }

    /// Shows small tiles enlarged, by a whole number, to about 160 pixels a side.
    pub fn enlarged(self) -> Self {
        let (width, height) = self.tile;
        self.scale(SHOWN_SIDE / width.max(height))
    }

    /// Adds a row, left to right; fewer tiles than columns leave the rest blank.
    ///
    /// # Errors
    /// [`Error::Unusable`] for more tiles than columns or a tile of another size.
    pub fn row(&mut self, tiles: &[RgbImage]) -> Result<()> {
        let columns = self.titles.len();
        if tiles.len() > columns {
            return Err(Error::Unusable(format!(
                "a row of {} tiles does not fit a sheet of {columns} columns",
                tiles.len()
            )));
        }
        if let Some(other) = tiles.iter().find(|tile| tile.dimensions() != self.tile) {
            return Err(Error::Unusable(format!(
                "a tile of {} does not fit a sheet of {}×{} pixels a tile",
                size(other),
                self.tile.1,
                self.tile.0
            )));
        }
        let (width, height) = self.tile;
        let blank = || RgbImage::from_pixel(width, height, PAPER);
        self.tiles.extend(tiles.iter().cloned());
        self.tiles.extend(std::iter::repeat_with(blank).take(columns - tiles.len()));
        Ok(())
    }

    /// The sheet as one picture.
    ///
    /// # Errors
    /// [`Error::Unusable`] where a side would pass 32,768 pixels.
    pub fn draw(&self) -> Result<RgbImage> {
        let columns = self.titles.len() as u64;
        let rows = self.tiles.len() as u64 / columns;
        let cell = [self.tile.0, self.tile.1].map(|s| u64::from(s) * u64::from(self.scale));
        // As large as the widest title allows, 3 at most; a title too wide even at 1 is cut.
        let size = if self.titles.iter().all(String::is_empty) {
            0
        } else {
            let longest = self.titles.iter().map(|t| letters::width(t, 1)).max().unwrap_or(1);
            (cell[0] / u64::from(longest.max(1))).clamp(1, 3) as u32
        };
        let header = if size == 0 { 0 } else { letters::HEIGHT * size + self.gap };
        let (gap, header_rows) = (u64::from(self.gap), u64::from(header));
        let width = gap + columns * (cell[0] + gap);
        let height = gap + header_rows + rows * (cell[1] + gap);
        if width.max(height) > u64::from(LARGEST_SIDE) {
            return Err(Error::Unusable(format!(
                "a sheet of {height}×{width} pixels is too large: at most {LARGEST_SIDE} a side; \
                 show fewer pictures, or smaller ones"
            )));
        }

        let mut sheet = RgbImage::from_pixel(width as u32, height as u32, PAPER);
        for (column, title) in (0u64..).zip(&self.titles) {
            let title = letters::fit(title, size, cell[0] as u32);
            let space = cell[0].saturating_sub(letters::width(&title, size).into()) / 2;
            let x = gap + column * (cell[0] + gap) + space;
            letters::draw(&mut sheet, &title, x as u32, self.gap, size, INK);
        }
        for (place, tile) in (0u64..).zip(&self.tiles) {
            let x = gap + place % columns * (cell[0] + gap);
            let y = gap + header_rows + place / columns * (cell[1] + gap);
            let shown = imageops::resize(
                tile,
                cell[0] as u32,
                cell[1] as u32,
                imageops::FilterType::Nearest,
            );
            imageops::replace(&mut sheet, &shown, x as i64, y as i64);
        }
        Ok(sheet)
    }
}

/// One under another, left-aligned, each below its title.
///
/// # Errors
/// Pictures so large that no viewer shows them.
pub fn stacked(pictures: &[(String, RgbImage)]) -> Result<RgbImage> {
    let titled = pictures.iter().map(|(title, picture)| {
        let (width, height) = picture.dimensions();
        let mut sheet = Sheet::new(&[title.as_str()], height, width)?;
        sheet.row(std::slice::from_ref(picture))?;
        sheet.draw()
    });
    let titled: Vec<RgbImage> = titled.collect::<Result<_>>()?;
    let width = titled.iter().map(RgbImage::width).max().unwrap_or(1);
    let height = titled.iter().map(RgbImage::height).sum();
    let mut all = RgbImage::from_pixel(width, height, PAPER);
    let mut top = 0;
    for picture in &titled {
        imageops::replace(&mut all, picture, 0, top);
        top += i64::from(picture.height());
    }
    Ok(all)
}

/// `picture` as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Unusable`] for a picture without pixels.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    // Through `RgbImage::save`, the encoder of every format would be compiled into this crate.
    let mut bytes = Vec::new();
    let (width, height) = picture.dimensions();
    PngEncoder::new(&mut bytes)
        .write_image(picture, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| Error::Unusable(format!("a picture cannot become a PNG: {error}")))?;
    Ok(bytes)
}

/// As [`png`], of a picture that this program drew for people: where it lies among pictures to train on, it is told
/// from them by its [`MARK`].
///
/// # Errors
/// As [`png`].
pub fn drawn_png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = png(picture)?;
    bytes.splice(HEADER_BYTES..HEADER_BYTES, MARK);
    Ok(bytes)
}

/// Writes `picture` to `path` as PNG, whatever the name ends in.
///
/// # Errors
/// [`Error::File`] where the file cannot be written.
pub fn save_png(picture: &RgbImage, path: &Path) -> Result<()> {
    std::fs::write(path, png(picture)?)
        .map_err(|error| Error::File { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests;
