//! Bicubic resizing, as Pillow's.
//!
//! Pillow resizes in two passes with 8-bit values in between, so that the order of the passes shows
//! where values are rounded or clipped: up to tens of levels at hard edges. The convolution library
//! would always go down first; here the passes are asked for one at a time, in Pillow's order.

use std::cell::RefCell;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::check_size;
use crate::error::DataError;
use crate::picture::Picture;

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

/// Kept from picture to picture.
#[derive(Default)]
struct Buffers {
    resizer: Resizer,
    /// The picture after the first pass.
    middle: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// The whole picture at another size.
///
/// # Errors
/// [`DataError::Parameter`] for a size out of range.
pub fn resize(picture: &Picture, height: u32, width: u32) -> Result<Picture, DataError> {
    let whole = CropBox {
        left: 0.0,
        top: 0.0,
        width: f64::from(picture.width()),
        height: f64::from(picture.height()),
    };
    resize_crop(picture, whole, height, width)
}

/// The part of a picture in `crop` at another size: Pillow's
/// `picture.resize((width, height), BICUBIC, box=crop)` within one level. As there, the kernel
/// reads pixels beyond the box where the picture has some.
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
    let passes = Passes::of((picture.height(), picture.width()), (height, width));
    resize_in_order(picture, crop, height, width, passes)
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

/// As [`resize_crop`], with the order of the passes given; sizes and box were checked.
pub(super) fn resize_in_order(
    picture: &Picture,
    crop: CropBox,
    height: u32,
    width: u32,
    passes: Passes,
) -> Result<Picture, DataError> {
    let resized = if picture.channels() == 1 {
        two_passes::<U8>(picture, crop, height, width, passes)
    } else {
        two_passes::<U8x3>(picture, crop, height, width, passes)
    };
    resized.map_err(|error| DataError::Parameter {
        what: "resizing",
        // The library knows no fault beyond sizes and box.
        value: error,
        mend: "this is a fault of the program; please report it".to_owned(),
    })
}

/// Resizes rows `top..top + height`, columns `left..left + width` of a picture, as if the rest were
/// not there: torchvision's `resized_crop`. The box must lie inside.
pub(super) fn resize_cut(
    picture: &Picture,
    (left, top, crop_width, crop_height): (u32, u32, u32, u32),
    height: u32,
    width: u32,
) -> Result<Picture, DataError> {
    let channels = picture.channels() as usize;
    let row = picture.width() as usize * channels;
    let (from, length) = (left as usize * channels, crop_width as usize * channels);
    let mut pixels = Vec::with_capacity(length * crop_height as usize);
    for row in picture.pixels().chunks_exact(row).skip(top as usize).take(crop_height as usize) {
        pixels.extend_from_slice(&row[from..from + length]);
    }
    resize(&Picture::from_parts(crop_width, crop_height, picture.channels(), pixels), height, width)
}

/// With the pixel type known here, only two of the library's twenty pixel types are compiled.
fn two_passes<P: PixelTrait>(
    picture: &Picture,
    crop: CropBox,
    height: u32,
    width: u32,
    passes: Passes,
) -> Result<Picture, String> {
    let source =
        TypedImageRef::<P>::from_buffer(picture.width(), picture.height(), picture.pixels())
            .map_err(|error| error.to_string())?;
    let channels = picture.channels() as usize;
    let bicubic = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .use_alpha(false);
    let (full_height, full_width) = (f64::from(height), f64::from(width));
    // The first pass makes only what the second one reads. Each pass leaves the other side as it
    // is: a box on whole pixels, as many as the result has, is copied by the library.
    let (middle_size, first, second) = match passes {
        Passes::AcrossThenDown => {
            let (from, rows) = read_by(crop.top, crop.height, full_height, picture.height());
            let second = bicubic.crop(0.0, crop.top - from, full_width, crop.height);
            ((width, rows as u32), bicubic.crop(crop.left, from, crop.width, rows), second)
        }
        Passes::DownThenAcross => {
            let (from, columns) = read_by(crop.left, crop.width, full_width, picture.width());
            let second = bicubic.crop(crop.left - from, 0.0, crop.width, full_height);
            ((columns as u32, height), bicubic.crop(from, crop.top, columns, crop.height), second)
        }
    };
    BUFFERS.with_borrow_mut(|Buffers { resizer, middle }| {
        let size = |width: u32, height: u32| width as usize * height as usize * channels;
        middle.resize(size(middle_size.0, middle_size.1), 0);
        let mut middle = TypedImage::<P>::from_buffer(middle_size.0, middle_size.1, middle)
            .map_err(|error| error.to_string())?;
        resizer.resize_typed(&source, &mut middle, &first).map_err(|error| error.to_string())?;

        let mut pixels = vec![0; size(width, height)];
        let mut result = TypedImage::<P>::from_buffer(width, height, &mut pixels)
            .map_err(|error| error.to_string())?;
        resizer.resize_typed(&middle, &mut result, &second).map_err(|error| error.to_string())?;
        Ok(Picture::from_parts(width, height, picture.channels(), pixels))
    })
}

/// First and number of the pixels along one side that a pass reads, which takes `length` pixels
/// from `from` on to `result` pixels, on a side of `side` pixels.
fn read_by(from: f64, length: f64, result: f64, side: u32) -> (f64, f64) {
    let reach = SUPPORT * (length / result).max(1.0) + 1.0;
    let first = (from - reach).floor().max(0.0);
    let last = (from + length + reach).ceil().min(f64::from(side));
    (first, last - first)
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
        mend: format!(
            "it must lie inside the picture of {}×{} (height × width)",
            picture.height(),
            picture.width()
        ),
    })
}
