//! What whole numbers of 16 bits show that 8 bits lose or hide.

use image::DynamicImage;

use crate::remark::Remark;

/// Values that are smaller than this use so little of their range that it is plain: 14 bits.
const NARROW: u16 = 1 << 14;
/// So small a share of larger values are hot pixels and stars.
const STRAY: f64 = 0.0025;
/// Up to this share the largest number of all is a scale bar, a marker or a saturated spot; beyond it, it may stand
/// for no data.
const FULL: f64 = 0.05;
/// Beside what has no data, at an end of the range, one part in so many of the range is all but empty.
const BESIDE: u16 = 64;
const FEW: f64 = 0.01;

/// Remarks on a picture, where it has 16 bits. One that lies on the earth (`geo`) may have a border without data.
pub(super) fn of_image(image: &DynamicImage, geo: bool) -> Vec<Remark> {
    match image {
        DynamicImage::ImageLuma16(image) => remarks(image.as_raw().iter().copied(), geo),
        DynamicImage::ImageRgb16(image) => remarks(image.as_raw().iter().copied(), geo),
        DynamicImage::ImageLumaA16(image) => {
            remarks(image.as_raw().iter().copied().step_by(2), geo)
        }
        DynamicImage::ImageRgba16(image) => {
            let pixels = image.as_raw().as_chunks::<4>().0.iter();
            remarks(pixels.flat_map(|pixel| &pixel[..3]).copied(), geo)
        }
        _ => Vec::new(),
    }
}

/// Remarks on a picture's values, without transparency.
pub(super) fn remarks(values: impl Iterator<Item = u16> + Clone, geo: bool) -> Vec<Remark> {
    let (mut of, mut high, mut full) = (0u64, 0u64, 0u64);
    for value in values.clone() {
        of += 1;
        high += u64::from(value >= NARROW);
        full += u64::from(value == u16::MAX);
    }
    let share = |count: u64| count as f64 / of.max(1) as f64;
    let narrow = share(high - full) <= STRAY && high < of;
    let many = share(full) > FULL;
    let none = match narrow && many && !is_of_one_value(values.clone()) {
        true => Some((u16::MAX, full)),
        false if geo => border(values.clone(), of),
        false => None,
    };
    let hidden = none.is_some_and(|(value, _)| value == u16::MAX);
    let range = (narrow && (hidden || !many)).then(|| used(values, high, of)).flatten();
    let none = none.map(|(value, count)| Remark::Undeclared { value: value.into(), count, of });
    range.into_iter().chain(none).collect()
}

/// Whether what is not the largest number of all is one number.
fn is_of_one_value(values: impl Iterator<Item = u16>) -> bool {
    let mut others = values.filter(|&value| value != u16::MAX);
    let first = others.next();
    others.all(|value| Some(value) == first)
}

/// What small values use of their range, `high` of them left out.
fn used(values: impl Iterator<Item = u16>, high: u64, of: u64) -> Option<Remark> {
    let mut counts = vec![0u64; NARROW.into()];
    values.filter(|&value| value < NARROW).for_each(|value| counts[usize::from(value)] += 1);
    // Where some are left out, so are those that are like them and not as large.
    let most = if high == 0 { 0 } else { high.max((STRAY * of as f64) as u64) };
    let (mut beyond, mut largest) = (high, NARROW.into());
    for (value, &count) in counts.iter().enumerate().rev() {
        if beyond + count > most {
            largest = value;
            break;
        }
        beyond += count;
    }
    (0 < largest && largest < NARROW.into()).then_some(Remark::Range {
        largest: largest as u64,
        of: u16::MAX.into(),
        beyond,
        values: of,
    })
}

/// A number at an end of the range that a large share of values are, with next to none beside it.
fn border(values: impl Iterator<Item = u16> + Clone, of: u64) -> Option<(u16, u64)> {
    [0, u16::MAX].into_iter().find_map(|end| {
        let farthest = values.clone().map(|value| value.abs_diff(end)).max().unwrap_or(0);
        let (mut at, mut near) = (0u64, 0u64);
        for value in values.clone() {
            at += u64::from(value == end);
            near += u64::from(value.abs_diff(end) <= farthest / BESIDE);
        }
        let alone = (near - at) as f64 <= FEW * at as f64;
        let large = at as f64 > FULL * of as f64;
        let mut others = values.clone().filter(|&value| value != end);
        let first = others.next();
        (large && alone && others.any(|value| Some(value) != first)).then_some((end, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(values: &[u16], geo: bool) -> Vec<&'static str> {
        remarks(values.iter().copied(), geo).iter().map(Remark::kind).collect()
    }

    /// 1000 values of 12 bits, the first of them as given.
    fn twelve(first: &[u16]) -> Vec<u16> {
        let rest = (first.len() as u16..1000).map(|i| i * 37 % 4096);
        first.iter().copied().chain(rest).collect()
    }

    #[test]
    fn few_large_values_do_not_hide_that_the_others_are_small() {
        assert_eq!(kinds(&twelve(&[]), false), ["range"]);
        for some in [&[65_535; 1][..], &[40_000, 65_535], &[65_535; 50]] {
            assert_eq!(kinds(&twelve(some), false), ["range"], "{some:?}");
        }
        let found = remarks(twelve(&[65_535; 2]).into_iter(), false);
        let text = found[0].to_string();
        assert!(text.contains("but for 2 of 1000 values"), "{text}");
        assert!(kinds(&twelve(&[50_000; 5]), false).is_empty(), "as many as in fluorescence");
    }

    #[test]
    fn a_number_at_an_end_may_stand_for_no_data() {
        assert_eq!(kinds(&twelve(&[65_535; 300]), false), ["range", "undeclared"]);
        let two: Vec<u16> = [[0; 600], [65_535; 600]].concat();
        assert!(kinds(&two, true).is_empty(), "two tones");
        let earth: Vec<u16> = [vec![0; 300], (0..700).map(|i| 9000 + 70 * i).collect()].concat();
        assert_eq!((kinds(&earth, true), kinds(&earth, false)), (vec!["undeclared"], vec![]));
        let dark: Vec<u16> = [vec![0; 300], (0..700).map(|i| 90 * i).collect()].concat();
        assert_eq!(kinds(&dark, true), kinds(&[1, 60_000], true), "shadows");
    }
}
