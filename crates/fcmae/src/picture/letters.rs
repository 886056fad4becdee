//! Titles in an 8×8 bitmap face, enlarged by whole numbers.

use font8x8::UnicodeFonts as _;
use font8x8::{BASIC_FONTS, GREEK_FONTS, LATIN_FONTS};
use image::{Rgb, RgbImage};

/// Rows of a line of text at size 1.
pub(super) const HEIGHT: u32 = 8;
/// Columns of a letter at size 1.
const WIDTH: u32 = 8;

/// Columns of `text` at `size`.
pub(super) fn width(text: &str, size: u32) -> u32 {
    (text.chars().count() as u32).saturating_mul(WIDTH * size)
}

/// As much of `text` as fits `limit` columns at `size`, ending in two dots where it is cut.
pub(super) fn fit(text: &str, size: u32, limit: u32) -> String {
    if width(text, size) <= limit {
        return text.to_owned();
    }
    let letters = (limit / (WIDTH * size.max(1))) as usize;
    let kept = text.chars().take(letters.saturating_sub(2));
    kept.chain("..".chars()).take(letters).collect()
}

/// Draws `text` with its top left corner at `(x, y)`; what has no glyph becomes `?`, and what lies
/// outside the picture is cut off.
pub(super) fn draw(picture: &mut RgbImage, text: &str, x: u32, y: u32, size: u32, ink: Rgb<u8>) {
    for (at, letter) in (0u32..).zip(text.chars()) {
        for (row, bits) in (0u32..).zip(glyph(letter)) {
            for column in (0..WIDTH).filter(|column| bits >> column & 1 == 1) {
                let (left, top) = (x + (at * WIDTH + column) * size, y + row * size);
                for (dx, dy) in (0..size).flat_map(|dy| (0..size).map(move |dx| (dx, dy))) {
                    if let Some(pixel) = picture.get_pixel_mut_checked(left + dx, top + dy) {
                        *pixel = ink;
                    }
                }
            }
        }
    }
}

/// Eight rows from the top; the lowest bit is the leftmost pixel.
fn glyph(letter: char) -> [u8; 8] {
    BASIC_FONTS
        .get(letter)
        .or_else(|| LATIN_FONTS.get(letter))
        .or_else(|| GREEK_FONTS.get(letter))
        .or_else(|| BASIC_FONTS.get('?'))
        .unwrap_or_default()
}
