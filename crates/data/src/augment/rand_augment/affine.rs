//! Pillow's `Image.transform` with an affine matrix, bicubic.

use crate::picture::Picture;

/// Turns a picture about its middle, counter-clockwise, by less than a quarter: Pillow's
/// `Image.rotate`.
pub(super) fn rotate(picture: &mut Picture, degrees: f64, fill: &[u8]) {
    // Python's remainder is never negative.
    let angle = -degrees.rem_euclid(360.0).to_radians();
    if angle == 0.0 {
        return;
    }
    let (sin, cos) = (fifteen_places(angle.sin()), fifteen_places(angle.cos()));
    let minus_sin = fifteen_places(-angle.sin());
    let (x, y) = (f64::from(picture.width()) / 2.0, f64::from(picture.height()) / 2.0);
    let across = cos * -x + sin * -y + 0.0 + x;
    let down = minus_sin * -x + cos * -y + 0.0 + y;
    warp(picture, [cos, sin, across, minus_sin, cos, down], fill);
}

/// Rounds to 15 decimal places as Python's `round`: from the exact value. It also hides in which
/// last bit the sines of different machines differ.
fn fifteen_places(value: f64) -> f64 {
    format!("{value:.15}").parse().unwrap_or(value)
}

/// Each pixel of the result, at (x, y), is taken from `(a·x + b·y + c, d·x + e·y + f)` of the
/// picture; what lies outside of it is filled.
pub(super) fn warp(picture: &mut Picture, matrix: [f64; 6], fill: &[u8]) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let level = |channel: usize| fill.get(channel).copied().unwrap_or(0);
    if picture.channels() == 1 {
        let (source, _) = picture.pixels().as_chunks::<1>();
        let result = warped(source, width, height, matrix, [level(0)]);
        picture.pixels_mut().copy_from_slice(result.as_flattened());
    } else {
        let (source, _) = picture.pixels().as_chunks::<3>();
        let result = warped(source, width, height, matrix, [level(0), level(1), level(2)]);
        picture.pixels_mut().copy_from_slice(result.as_flattened());
    }
}

fn warped<const C: usize>(
    source: &[[u8; C]],
    width: usize,
    height: usize,
    [a, b, c, d, e, f]: [f64; 6],
    fill: [u8; C],
) -> Vec<[u8; C]> {
    let mut result = vec![fill; width * height];
    let (right, bottom) = (width as f64, height as f64);
    for (y, row) in result.chunks_exact_mut(width).enumerate() {
        let centre_y = y as f64 + 0.5;
        for (x, result) in row.iter_mut().enumerate() {
            let centre_x = x as f64 + 0.5;
            let from_x = a * centre_x + b * centre_y + c;
            let from_y = d * centre_x + e * centre_y + f;
            if (0.0..right).contains(&from_x) && (0.0..bottom).contains(&from_y) {
                *result = sample(source, width, height, from_x - 0.5, from_y - 0.5);
            }
        }
    }
    result
}

/// The colour between pixel centres: a cubic along four rows, then one down their results. Beyond
/// the edges the outermost pixels go on. `x` and `y` lie from −0.5 to the side − 0.5.
fn sample<const C: usize>(
    source: &[[u8; C]],
    width: usize,
    height: usize,
    x: f64,
    y: f64,
) -> [u8; C] {
    let (column, line) = (x.floor(), y.floor());
    let (dx, dy) = (x - column, y - line);
    let (column, line) = (column as isize, line as isize);
    // `max` first: the side is at least 1.
    let inside = |at: isize, side: usize| (at.max(0) as usize).min(side - 1);
    let columns: [usize; 4] = std::array::from_fn(|i| inside(column - 1 + i as isize, width));
    let across = |line: isize| {
        let start = inside(line, height) * width;
        // At dx = 0 the cubic is its second value, exactly.
        if dx == 0.0 {
            source[start + columns[1]].map(f64::from)
        } else {
            cubic(columns.map(|column| source[start + column].map(f64::from)), dx)
        }
    };
    let values = if dy == 0.0 {
        across(line)
    } else {
        cubic([across(line - 1), across(line), across(line + 1), across(line + 2)], dy)
    };
    // The conversion drops the fraction and clips, as Pillow does here; its resizing rounds.
    values.map(|value| value as u8)
}

/// Between the second and the third of four values, at `at` in [0, 1): Keys' cubic with a = −1.
/// (Pillow resizes with a = −1/2.) Written as there, so that results are rounded alike.
fn cubic<const C: usize>([v1, v2, v3, v4]: [[f64; C]; 4], at: f64) -> [f64; C] {
    std::array::from_fn(|i| {
        let (v1, v2, v3, v4) = (v1[i], v2[i], v3[i], v4[i]);
        let linear = -v1 + v3;
        let square = 2.0 * (v1 - v2) + v3 - v4;
        let cube = -v1 + v2 - v3 + v4;
        v2 + at * (linear + at * (square + at * cube))
    })
}
