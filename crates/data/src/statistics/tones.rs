//! Whether a set's pictures say anything: what single pictures show of it, and what is judged over many.

use crate::picture::{Depth, Picture};
use crate::remark::Remark;

/// Of a picture at one end, so little is not there: a few scratches on white.
const BESIDE: f64 = 0.001;
/// Shares of the pictures from which it is told: single blank tiles and masks are ordinary.
const BLANK: f64 = 0.2;
const AT_AN_END: f64 = 0.5;
/// The same for pictures of few levels: single frames of a film may be dark.
const FEW: f64 = 0.1;
/// So few levels of 256 are all that a set uses; dark series use more.
const FEW_LEVELS: f64 = 16.0;
/// Single pictures of as few levels are told where these are low, as numbers of classes and values of more bits are:
/// plain backgrounds are bright.
const LOW: u8 = 32;

/// A border without data has more than this share of the pixels, and next to none are within so many levels of it.
const BORDER: f64 = 0.05;
const NEXT: u8 = 3;
const FEW_BESIDE: f64 = 0.01;

/// What a picture's values show.
pub(super) fn remark(picture: &Picture, levels: &Levels) -> Option<Remark> {
    match picture.depth() {
        Depth::Eight => {
            let values = picture.pixels();
            let seen = of_values(values, picture.channels() as usize, Some([0, 255]));
            seen.or_else(|| few_levels(levels))
        }
        Depth::Deep => of_values(picture.deep_values(), picture.channels() as usize, None),
    }
}

/// A colour at an end of the range, which a large share of the pixels of a picture of the earth have, with next to none
/// beside it: a border without data.
pub(super) fn border(picture: &Picture) -> Option<Remark> {
    let channels = picture.channels() as usize;
    let pixels = || picture.pixels().chunks_exact(channels);
    let all = picture.pixels().len() / channels;
    [0u8, 255].into_iter().find_map(|end| {
        let within = |levels: u8| {
            let near = |pixel: &[u8]| pixel.iter().all(|value| value.abs_diff(end) <= levels);
            pixels().filter(|pixel| near(pixel)).count()
        };
        let (at, near) = (within(0), within(NEXT));
        let mut others = pixels().filter(|pixel| pixel.iter().any(|&value| value != end));
        let first = others.next();
        let found = at as f64 > BORDER * all as f64
            && (near - at) as f64 <= FEW_BESIDE * at as f64
            && others.any(|pixel| Some(pixel) != first);
        let count = (at * channels) as u64;
        let of = picture.pixels().len() as u64;
        found.then_some(Remark::Undeclared { value: end.into(), count, of })
    })
}

/// How often each value of 8 bits is there.
#[derive(Clone, Debug)]
pub(super) struct Levels([u64; 256]);

impl Default for Levels {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Levels {
    pub(super) fn of(values: &[u8]) -> Self {
        let mut counts = [0; 256];
        values.iter().for_each(|&value| counts[usize::from(value)] += 1);
        Self(counts)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    /// From the smallest value to the largest, but for a few: hot pixels, say, which change nothing for the others.
    fn range(&self) -> Option<(u8, u8)> {
        let mut left = (BESIDE * self.0.iter().sum::<u64>() as f64) as u64;
        let mut stays = |value: &u8| {
            let count = self.0[usize::from(*value)];
            let few = count <= left;
            left -= if few { count } else { 0 };
            !few
        };
        let high = (0..=255).rev().find(&mut stays)?;
        let low = (0..=255).find(&mut stays)?;
        Some((low, high))
    }
}

/// A remark where all values of 8 bits are low and near to each other.
fn few_levels(levels: &Levels) -> Option<Remark> {
    let (low, high) = levels.range()?;
    let levels = u32::from(high.saturating_sub(low)) + 1;
    (high < LOW && f64::from(levels) <= FEW_LEVELS)
        .then_some(Remark::FewLevels { levels, deep: false })
}

fn of_values<T: Copy + PartialEq>(
    values: &[T],
    channels: usize,
    ends: Option<[T; 2]>,
) -> Option<Remark> {
    let first = values.get(..channels)?;
    if values.chunks_exact(channels).all(|pixel| pixel == first) {
        return Some(Remark::OneColour);
    }
    let [low, high] = ends?;
    let beside = |end: T| values.iter().filter(|&&value| value != end).count() as f64;
    let most = BESIDE * values.len() as f64;
    if beside(high) <= most {
        Some(Remark::AtAnEnd { largest: true })
    } else if beside(low) <= most {
        Some(Remark::AtAnEnd { largest: false })
    } else {
        None
    }
}

/// Whether a remark that so many of all pictures have is worth telling.
pub(super) fn is_told(kind: &str, pictures: usize, all: usize) -> bool {
    let share = pictures as f64 / all.max(1) as f64;
    match kind {
        Remark::ONE_COLOUR => share > BLANK,
        Remark::AT_AN_END => share > AT_AN_END,
        Remark::FEW_LEVELS => share > FEW,
        _ => true,
    }
}

/// What the values of all pictures together show, where they are of 8 bits. `deep`: the files have more.
pub(super) fn of_all(levels: &Levels, deep: bool) -> Option<Remark> {
    let (low, high) = levels.range()?;
    let levels = u32::from(high.saturating_sub(low)) + 1;
    (1 < levels && f64::from(levels) <= FEW_LEVELS).then_some(Remark::FewLevels { levels, deep })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(values: &[u8]) -> Option<Remark> {
        of_values(values, 1, Some([0, 255]))
    }

    #[test]
    fn blank_and_clamped_pictures_are_told_and_scans_are_not() {
        assert_eq!(grey(&[7; 64]), Some(Remark::OneColour));
        assert_eq!(of_values(&[1.5, 2.0, 1.5, 2.0], 2, None), Some(Remark::OneColour));
        assert_eq!(of_values(&[1.5, 2.0, 1.5, 2.5], 2, None), None);
        let mut page = vec![255; 10_000];
        page[7] = 250;
        assert_eq!(grey(&page), Some(Remark::AtAnEnd { largest: true }));
        page[..200].fill(0);
        assert_eq!(grey(&page), None, "2 % ink");
        let mut night = vec![0; 10_000];
        night[..50].fill(200);
        assert_eq!(grey(&night), None, "0.5 % stars");
    }

    #[test]
    fn few_levels_are_told_and_dark_series_are_not() {
        let of = |range: std::ops::Range<u8>| {
            Levels::of(&range.cycle().take(10_000).collect::<Vec<_>>())
        };
        let few = |levels, deep| Some(Remark::FewLevels { levels, deep });
        assert_eq!(of_all(&of(0..16), false), few(16, false));
        assert_eq!(of_all(&of(200..203), true), few(3, true));
        assert_eq!(of_all(&of(0..40), false), None);
        assert_eq!(of_all(&of(7..8), false), None, "one colour is told of each picture");
        assert_eq!(of_all(&Levels::default(), false), None);
        let mut hot = of(3..9);
        hot.add(&Levels::of(&[0, 255, 255]));
        assert_eq!(of_all(&hot, false), few(6, false), "hot pixels");
        assert_eq!(few_levels(&hot), few(6, false));
        hot.add(&Levels::of(&[200; 20]));
        assert_eq!(of_all(&hot, false), None, "stars");
    }
}
