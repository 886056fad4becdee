//! Whether a set's pictures say anything: what single pictures show of it, and what is judged over many.

use super::channel::ChannelStatistics;
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

/// What a picture's values show.
pub(super) fn remark(picture: &Picture) -> Option<Remark> {
    match picture.depth() {
        Depth::Eight => {
            let values = picture.pixels();
            let seen = of_values(values, picture.channels() as usize, Some([0, 255]));
            seen.or_else(|| few_levels(values))
        }
        Depth::Deep => of_values(picture.deep_values(), picture.channels() as usize, None),
    }
}

/// A remark where all values of 8 bits are low and near to each other.
fn few_levels(values: &[u8]) -> Option<Remark> {
    let (&low, &high) = (values.iter().min()?, values.iter().max()?);
    let levels = u32::from(high - low) + 1;
    (high < LOW && f64::from(levels) <= FEW_LEVELS).then_some(Remark::FewLevels { levels })
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

/// What the values of all pictures together show, where they are of 8 bits.
pub(super) fn of_all(channels: &[ChannelStatistics]) -> Option<Remark> {
    let low = channels.iter().map(|channel| channel.min).fold(f64::INFINITY, f64::min);
    let high = channels.iter().map(|channel| channel.max).fold(f64::NEG_INFINITY, f64::max);
    let levels = (255.0 * (high - low)).round() + 1.0;
    (1.0 < levels && levels <= FEW_LEVELS).then_some(Remark::FewLevels { levels: levels as u32 })
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
        let channel = |min, max| ChannelStatistics {
            mean: 0.0,
            std: 0.0,
            min,
            max,
            percentile_1: min,
            percentile_99: max,
        };
        assert_eq!(of_all(&[channel(0.0, 15.0 / 255.0)]), Some(Remark::FewLevels { levels: 16 }));
        assert_eq!(of_all(&[channel(0.0, 40.0 / 255.0)]), None);
        assert_eq!(of_all(&[channel(0.5, 0.5)]), None, "one colour is told of each picture");
        assert_eq!(of_all(&[]), None);
    }
}
