//! Which emoji are so alike that one gives the other away.
//!
//! Two emoji are of one family where any of these holds, directly or through others:
//! - their **keys** are equal. A key is the emoji's code points without what makes a variant:
//!   gender signs, "facing right" arrows, joiners and variation selectors are dropped, and man and
//!   woman become person; then the variants that Unicode gave code points of their own are mapped
//!   to one (prince and princess, the three Clauses, couples, all families);
//! - their **drawings** are nearly equal, as they are or with one mirrored (training mirrors
//!   pictures): the mean difference of 8-bit values is at most [`ALIKE`]. This finds the flags of
//!   territories, arrows, clocks, the phases of the moon, hands pointing left and right.

use image::{RgbImage, imageops};

use super::drawings::Drawing;

/// The largest mean difference, in levels of 255, between drawings of one family. At 4 they differ
/// in a detail (a lock open or closed, the hands of a clock); just above begin drawings that
/// share an outline and no more.
const ALIKE: f64 = 4.0;

/// Emoji drawn alike that Unicode did not build from a common part: each line is one family.
const VARIANTS: [&[&str]; 11] = [
    &["👦", "👧", "🧒"],
    &["👴", "👵", "🧓"],
    &["🤴", "👸", "🫅"],
    &["🎅", "🤶", "🧑‍🎄"],
    &["🤰", "🫃", "🫄"],
    &["💃", "🕺"],
    &["👫", "👬", "👭", "🧑‍🤝‍🧑"],
    &["💏", "👩‍❤️‍💋‍👨"],
    &["💑", "👩‍❤️‍👨"],
    &["👳", "👲"],
    &["👤", "👥"],
];

const FAMILY: char = '👪';
const PERSON: char = '🧑';

/// The emoji's code points without what makes a variant.
pub(super) fn key(emoji: &str) -> String {
    let plain = emoji.replace('\u{fe0f}', "");
    // A sign that stands alone is an emoji of its own; joined to another it makes a variant.
    let joined = |part: &str| !matches!(part, "♀" | "♂" | "➡");
    let (first, others) = plain.split_once('\u{200d}').unwrap_or((&plain, ""));
    let parts =
        first.chars().chain(others.split('\u{200d}').filter(|p| joined(p)).flat_map(str::chars));
    let key: String = parts.map(|c| if matches!(c, '👨' | '👩') { PERSON } else { c }).collect();
    let relative = |c: char| c == PERSON || matches!(c, '🧒' | '👦' | '👧');
    if key.chars().count() > 1 && key.chars().all(relative) {
        return FAMILY.to_string();
    }
    key
}

/// Indices into `drawings`, each in one family; families and their members in ascending order.
pub(super) fn families(drawings: &[Drawing]) -> Vec<Vec<usize>> {
    let mut keys: Vec<String> = drawings.iter().map(|d| key(d.emoji.as_str())).collect();
    for family in VARIANTS {
        let first = key(family[0]);
        let others: Vec<String> = family[1..].iter().map(|emoji| key(emoji)).collect();
        keys.iter_mut().filter(|k| others.contains(k)).for_each(|k| k.clone_from(&first));
    }
    let sketches: Vec<Sketch> = drawings.iter().map(|d| Sketch::new(&d.picture)).collect();

    // `leader[i]` is the smallest member of i's family found so far.
    let mut leader: Vec<usize> = (0..drawings.len()).collect();
    for i in 0..drawings.len() {
        for j in 0..i {
            if leader[i] != leader[j] && (keys[i] == keys[j] || sketches[i].alike(&sketches[j])) {
                let (kept, gone) = (leader[i].min(leader[j]), leader[i].max(leader[j]));
                leader[..=i].iter_mut().filter(|l| **l == gone).for_each(|l| *l = kept);
            }
        }
    }
    let mut families = vec![Vec::new(); drawings.len()];
    for (i, leader) in leader.into_iter().enumerate() {
        families[leader].push(i);
    }
    families.retain(|family| !family.is_empty());
    families
}

/// A drawing, its mirror image, and the mean values of their [`SQUARE`]s. Means never differ by more
/// than what they are means of, so that most pairs are told apart without a look at the pixels.
struct Sketch<'a> {
    picture: &'a RgbImage,
    mirrored: RgbImage,
    means: Vec<f64>,
    mirrored_means: Vec<f64>,
}

/// Pixels on a side of the squares of which a [`Sketch`] keeps the means; divides a drawing's side.
const SQUARE: u32 = 18;

impl<'a> Sketch<'a> {
    fn new(picture: &'a RgbImage) -> Self {
        let mirrored = imageops::flip_horizontal(picture);
        let (means, mirrored_means) = (square_means(picture), square_means(&mirrored));
        Self { picture, mirrored, means, mirrored_means }
    }

    fn alike(&self, other: &Self) -> bool {
        let near = |means: &[f64], picture: &RgbImage| {
            let pairs = means.iter().zip(&other.means);
            let least = pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / means.len() as f64;
            least <= ALIKE && difference(picture, other.picture) <= ALIKE
        };
        near(&self.means, self.picture) || near(&self.mirrored_means, &self.mirrored)
    }
}

/// Mean difference of two pictures' values, in levels.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let pairs = a.as_raw().iter().zip(b.as_raw());
    let sum: u32 = pairs.map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
    f64::from(sum) / a.as_raw().len() as f64
}

/// Means of each channel in each square, left to right, top to bottom.
fn square_means(picture: &RgbImage) -> Vec<f64> {
    let columns = picture.width().div_ceil(SQUARE);
    let squares = columns * picture.height().div_ceil(SQUARE);
    let mut means = vec![0.0; squares as usize * 3];
    for (x, y, pixel) in picture.enumerate_pixels() {
        let square = (y / SQUARE * columns + x / SQUARE) as usize;
        for (channel, &value) in pixel.0.iter().enumerate() {
            means[square * 3 + channel] += f64::from(value) / f64::from(SQUARE * SQUARE);
        }
    }
    means
}
