//! Scores of patches as colours over the picture that they are of.

use image::{Rgb, RgbImage, imageops};

use super::{GAP, INK, PAPER, letters, size};
use crate::error::{Error, Result};

/// A picture is shown enlarged, by a whole number, to about so many pixels a side.
const SHOWN_SIDE: u32 = 200;
/// The least width of a legend, which the words below it need.
const LEGEND_WIDTH: u32 = 2 * SHOWN_SIDE;
const LEGEND_BAR: u32 = 12;
/// The ground that the legend's colours are shown on.
const GREY: Rgb<u8> = Rgb([128; 3]);
/// How much of a picture full colour leaves to be seen.
const MOST_OPAQUE: f64 = 0.8;
/// From where on a colour is as opaque as it gets.
const OPAQUE_FROM: f64 = 0.4;

/// matplotlib's `plasma` at five places: its lightness rises all along, so that it can be read without telling red
/// from green.
const COLOURS: [[f64; 3]; 5] = [
    [13.0, 8.0, 135.0],
    [126.0, 3.0, 168.0],
    [204.0, 71.0, 120.0],
    [248.0, 149.0, 64.0],
    [240.0, 249.0, 33.0],
];

/// What scores look like: up to `low` they leave a picture as it is, from `high` on they are as bright as can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Where colour begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

impl Scale {
    /// How far a score is on the way from `low` to `high`, 0 to 1; 0 for what is not a number.
    fn place(self, score: f64) -> f64 {
        let place = (score - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// A pixel below a score.
    fn over(self, pixel: Rgb<u8>, score: f64) -> Rgb<u8> {
        let place = self.place(score);
        let along = place * (COLOURS.len() - 1) as f64;
        let from = (along as usize).min(COLOURS.len() - 2);
        let part = along - from as f64;
        let opacity = MOST_OPAQUE * (place / OPAQUE_FROM).min(1.0);
        let mut out = pixel;
        for (channel, value) in out.0.iter_mut().enumerate() {
            let colour = COLOURS[from][channel] * (1.0 - part) + COLOURS[from + 1][channel] * part;
            *value = (f64::from(*value) * (1.0 - opacity) + colour * opacity).round() as u8;
        }
        out
    }
}

/// The picture in grey below the colours of its patches' `scores`, which lie on a grid of `[rows, columns]` over all of
/// it, row-major. Between the middles of patches they are taken in proportion.
///
/// # Errors
/// [`Error::Unusable`] where there is another number of scores.
pub fn overlay(
    picture: &RgbImage,
    scores: &[f32],
    [rows, columns]: [usize; 2],
    scale: Scale,
) -> Result<RgbImage> {
    if scores.is_empty() || rows.checked_mul(columns) != Some(scores.len()) {
        return Err(Error::Unusable(format!(
            "{} scores are not a grid of {rows}×{columns} patches",
            scores.len()
        )));
    }
    let grey = imageops::grayscale(picture);
    let (width, height) = picture.dimensions();
    Ok(RgbImage::from_fn(width, height, |x, y| {
        let ([top, bottom], down) = between(y, height, rows);
        let ([left, right], along) = between(x, width, columns);
        let at = |row: usize, column: usize| f64::from(scores[row * columns + column]);
        let across = |row: usize| at(row, left) * (1.0 - along) + at(row, right) * along;
        let score = across(top) * (1.0 - down) + across(bottom) * down;
        scale.over(Rgb([grey.get_pixel(x, y).0[0]; 3]), score)
    }))
}

/// The two cells of `count` that a pixel of `side` lies between the middles of, and how far it is from the first to the
/// second.
fn between(pixel: u32, side: u32, count: usize) -> ([usize; 2], f64) {
    let place = (f64::from(pixel) + 0.5) * count as f64 / f64::from(side) - 0.5;
    let first = place.max(0.0) as usize;
    let second = (first + 1).min(count - 1);
    ([first, second], (place - first as f64).clamp(0.0, 1.0))
}

/// The picture and its heat map side by side, enlarged where they are small, with lines of text below.
///
/// # Errors
/// [`Error::Unusable`] where they have different sizes, or none.
pub fn card(picture: &RgbImage, heat: &RgbImage, lines: &[String]) -> Result<RgbImage> {
    let (width, height) = picture.dimensions();
    if picture.dimensions() != heat.dimensions() || width == 0 || height == 0 {
        return Err(Error::Unusable(format!(
            "a picture of {} with a heat map of {} cannot be shown: both have one size",
            size(picture),
            size(heat)
        )));
    }
    let factor = SHOWN_SIDE.div_ceil(width.max(height));
    let (shown_width, shown_height) = (width * factor, height * factor);
    let gap = GAP / 2;
    let text = lines.len() as u32 * LINE;
    let mut card = RgbImage::from_pixel(2 * shown_width + gap, shown_height + gap + text, PAPER);
    for (place, shown) in [picture, heat].into_iter().enumerate() {
        let filter = imageops::FilterType::Nearest;
        let shown = imageops::resize(shown, shown_width, shown_height, filter);
        let x = place as u32 * (shown_width + gap);
        imageops::replace(&mut card, &shown, i64::from(x), 0);
    }
    write(&mut card, lines, shown_height + gap);
    Ok(card)
}

/// Of a line of text, with what is between it and the next.
const LINE: u32 = letters::HEIGHT * 2 + 4;

/// Writes lines from the left, twice as large as the face or, where they are too wide, as it is.
fn write(picture: &mut RgbImage, lines: &[String], top: u32) {
    for (line, text) in (0u32..).zip(lines) {
        let scale = if letters::width(text, 2) <= picture.width() { 2 } else { 1 };
        let text = letters::fit(text, scale, picture.width());
        letters::draw(picture, &text, 0, top + line * LINE, scale, INK);
    }
}

/// The colours from where they begin to where they end, with both scores and a line that says what they are of.
pub fn legend(scale: Scale, what: &str) -> RgbImage {
    let words = letters::width(what, 1);
    let width = LEGEND_WIDTH.max(words);
    let mut legend = RgbImage::from_pixel(width, LEGEND_BAR + GAP / 2 + 2 * LINE, PAPER);
    for x in 0..width {
        let part = f64::from(x) / f64::from(width - 1);
        let score = scale.low + part * (scale.high - scale.low);
        let colour = scale.over(GREY, score);
        (0..LEGEND_BAR).for_each(|y| legend.put_pixel(x, y, colour));
    }
    let top = LEGEND_BAR + GAP / 2;
    let [low, high] = [scale.low, scale.high].map(|score| format!("{score:.3}"));
    letters::draw(&mut legend, &low, 0, top, 2, INK);
    let right = width.saturating_sub(letters::width(&high, 2));
    letters::draw(&mut legend, &high, right, top, 2, INK);
    letters::draw(&mut legend, what, 0, top + LINE, 1, INK);
    legend
}

/// One picture above another, with room around both.
pub fn above(top: &RgbImage, bottom: &RgbImage) -> RgbImage {
    let width = top.width().max(bottom.width()) + 2 * GAP;
    let height = top.height() + bottom.height() + 3 * GAP;
    let mut both = RgbImage::from_pixel(width, height, PAPER);
    let gap = i64::from(GAP);
    imageops::replace(&mut both, top, gap, gap);
    imageops::replace(&mut both, bottom, gap, 2 * gap + i64::from(top.height()));
    both
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SCALE: Scale = Scale { low: 1.0, high: 3.0 };

    fn grey(side: u32) -> RgbImage {
        RgbImage::from_pixel(side, side, Rgb([100; 3]))
    }

    #[test]
    fn colour_lies_where_the_score_is_high_and_nowhere_else() {
        let mut scores = [1.0_f32; 16];
        scores[4 * 2 + 1] = 3.0;
        let heat = overlay(&grey(32), &scores, [4, 4], SCALE).unwrap();
        // The middle of the patch in row 2, column 1, up to half a pixel, is yellow over grey: 0.8 · plasma(1) + 20.
        let hottest = heat.enumerate_pixels().max_by_key(|(_, _, pixel)| pixel.0[1]).unwrap();
        assert!((11..=12).contains(&hottest.0) && (19..=20).contains(&hottest.1), "{hottest:?}");
        assert!(hottest.2.0[0] > 190 && hottest.2.0[1] > 150 && hottest.2.0[2] < 90);
        let near = |x: u32, y: u32| (4..20).contains(&x) && (12..28).contains(&y);
        for (x, y, pixel) in heat.enumerate_pixels() {
            assert!(near(x, y) || pixel.0 == [100; 3], "{x} {y} {pixel:?}");
        }
        let top = Scale { low: 3.0, high: 3.0 };
        assert_eq!(overlay(&grey(8), &[3.0], [1, 1], top).unwrap(), grey(8));
        assert_eq!(overlay(&grey(8), &[f32::NAN], [1, 1], SCALE).unwrap(), grey(8));
        assert!(overlay(&grey(8), &scores, [4, 3], SCALE).is_err());
    }

    #[test]
    fn colours_get_lighter_all_along() {
        let light = |Rgb([r, g, b]): Rgb<u8>| {
            0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)
        };
        // From where they cover as much as they do.
        let steps = (8..=20).map(|step| light(SCALE.over(GREY, 1.0 + f64::from(step) / 10.0)));
        assert!(steps.is_sorted_by(|a, b| a < b));
        assert_eq!(SCALE.over(GREY, 1.0), GREY);
        assert_eq!(SCALE.over(GREY, 9.0), SCALE.over(GREY, 3.0));
    }

    #[test]
    fn cards_and_legends_hold_what_they_show() {
        let card = card(&grey(32), &grey(32), &["12.3".to_owned(), "x".repeat(90)]).unwrap();
        // 32 seven times is 224.
        assert_eq!(card.dimensions(), (2 * 224 + 4, 224 + 4 + 2 * LINE));
        assert_eq!((card.get_pixel(223, 9).0, card.get_pixel(225, 9)), ([100; 3], &PAPER));
        let ink = |picture: &RgbImage, from: u32, to: u32| {
            (from..to).any(|y| (0..picture.width()).any(|x| *picture.get_pixel(x, y) == INK))
        };
        assert!(ink(&card, 228, 228 + 16) && ink(&card, 228 + LINE, 228 + LINE + 16));
        let legend = legend(SCALE, "distance");
        assert_eq!((*legend.get_pixel(0, 3), legend.width()), (GREY, LEGEND_WIDTH));
        assert_eq!(*legend.get_pixel(LEGEND_WIDTH - 1, 3), SCALE.over(GREY, 3.0));
        assert!(ink(&legend, LEGEND_BAR, LEGEND_BAR + LINE));
        let both = above(&card, &legend);
        assert_eq!(both.get_pixel(GAP, GAP).0, [100; 3]);
        assert_eq!(*both.get_pixel(GAP, 2 * GAP + card.height()), GREY);
        assert!(super::card(&grey(8), &grey(9), &[]).is_err());
    }
}
