//! What the values of deep pictures show: numbers that stand for no data and are not declared, and files whose values
//! mean different things.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::decode::{FileKind, Numbers};
use crate::picture::Picture;
use crate::remark::Remark;
use crate::words::printable;

/// From this share of a channel's values on, one number may stand for no data.
const SHARE: f64 = 0.002;
const FEWEST: usize = 8;
/// How far it is from all others: so many times their range.
const FAR: f64 = 3.0;
/// So many times larger are values that mean something else.
const APART: f64 = 8.0;

/// Floats of 0 to 1 go beyond this in some picture, and each kind is this share of the pictures at least.
const HALF: f64 = 0.5;
const SEVERAL: f64 = 0.1;

/// A number that many values of a channel are, far from all others. 0 is not looked at: it is a background.
pub(super) fn undeclared(picture: &Picture, kind: Option<&FileKind>) -> Option<Remark> {
    let (values, channels) = (picture.deep_values(), picture.channels() as usize);
    let found = (0..channels).find_map(|channel| {
        let values = || values.iter().skip(channel).step_by(channels).copied();
        let low = values().fold(f32::INFINITY, f32::min);
        let high = values().fold(f32::NEG_INFINITY, f32::max);
        [low, high].into_iter().filter(|&end| end != 0.0).find(|&end| is_far(values(), end))
    })?;
    let count = values.iter().filter(|&&value| value == found).count() as u64;
    // As it stands in the file.
    let whole = kind.filter(|kind| kind.numbers == Numbers::Unsigned && kind.bits <= 32);
    let largest = whole.map_or(1.0, |kind| (2f64).powi(kind.bits as i32) - 1.0);
    let value = match whole {
        Some(_) => (f64::from(found) * largest).round(),
        // As few digits as tell it.
        None => found.to_string().parse().unwrap_or(f64::from(found)),
    };
    Some(Remark::Undeclared { value, count, of: values.len() as u64 })
}

fn is_far(values: impl Iterator<Item = f32>, end: f32) -> bool {
    let (mut count, mut all) = (0, 0);
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for value in values {
        all += 1;
        if value == end {
            count += 1;
        } else {
            (low, high) = (low.min(value), high.max(value));
        }
    }
    let range = f64::from(high) - f64::from(low);
    let apart = (f64::from(low) - f64::from(end)).max(f64::from(end) - f64::from(high));
    // One other value alone makes a drawing of two tones.
    count >= FEWEST
        && f64::from(count as u32) >= SHARE * f64::from(all)
        && range > 0.0
        && apart > FAR * range
}

/// Files of one kind of numbers.
struct Group {
    pictures: usize,
    first: PathBuf,
    largest: f64,
}

/// Files by their kinds of numbers and bits.
#[derive(Default)]
pub(super) struct Groups {
    by_kind: BTreeMap<(Numbers, u32), Group>,
    pub(super) floats: Floats,
}

impl Groups {
    /// Counts a picture whose values go to `largest`, whatever their signs.
    pub(super) fn add(
        &mut self,
        kind: &FileKind,
        path: impl Fn() -> PathBuf,
        largest: f64,
        signed: bool,
    ) {
        if kind.numbers == Numbers::Float {
            self.floats.add(&path, largest, signed);
        }
        let group = self.by_kind.entry((kind.numbers, kind.bits)).or_insert_with(|| Group {
            pictures: 0,
            first: path(),
            largest: 0.0,
        });
        group.pictures += 1;
        group.largest = group.largest.max(largest);
    }

    /// A remark where files of one kind have values that are many times those of another: of how many pictures, and the
    /// first of them.
    pub(super) fn remark(&self) -> Option<(Remark, usize, PathBuf)> {
        let named = |&(numbers, bits): &(Numbers, u32)| {
            let numbers = match numbers {
                Numbers::Unsigned => "whole numbers",
                Numbers::Signed => "signed numbers",
                Numbers::Float => "floats",
                Numbers::Other => "numbers",
            };
            format!("{numbers} of {bits} bits")
        };
        let by_size = |a: &(&(Numbers, u32), &Group), b: &(&(Numbers, u32), &Group)| {
            a.1.largest.total_cmp(&b.1.largest)
        };
        let (low, high) =
            (self.by_kind.iter().min_by(by_size)?, self.by_kind.iter().max_by(by_size)?);
        if high.1.largest <= APART * low.1.largest {
            return None;
        }
        let rarer = if low.1.pictures < high.1.pictures { low.1 } else { high.1 };
        let remark = Remark::Mixed {
            low: (named(low.0), low.1.largest),
            high: (named(high.0), high.1.largest),
        };
        Some((remark, rarer.pictures, rarer.first.clone()))
    }
}

/// Pictures of floats, of which some are 0 to 1 and others go far beyond: shares and whole numbers, say.
#[derive(Default)]
pub(super) struct Floats {
    /// Of 0 to 1: how many, the largest value and the first.
    shares: (usize, f64, PathBuf),
    /// Far beyond.
    beyond: (usize, f64),
    /// Anything else, in which case the values just differ.
    others: usize,
}

impl Floats {
    fn add(&mut self, path: impl Fn() -> PathBuf, largest: f64, signed: bool) {
        // Dark pictures have no part in it.
        match largest {
            _ if signed => self.others += 1,
            0.0 => {}
            largest if largest <= 1.0 => {
                if self.shares.0 == 0 {
                    self.shares.2 = path();
                }
                self.shares.0 += 1;
                self.shares.1 = self.shares.1.max(largest);
            }
            largest if largest <= APART => self.others += 1,
            largest => self.beyond = (self.beyond.0 + 1, self.beyond.1.max(largest)),
        }
    }

    pub(super) fn remark(&self) -> Option<(Remark, usize, PathBuf)> {
        let ((shares, low, first), (beyond, high)) = (&self.shares, self.beyond);
        let least = SEVERAL * (*shares + beyond) as f64;
        let several = *shares as f64 >= least && beyond as f64 >= least && *shares > 0;
        (several && self.others == 0 && *low > HALF && beyond > 0).then(|| {
            let example = printable(first);
            let remark = Remark::MixedFloats { low: *low, high, example };
            (remark, *shares, first.clone())
        })
    }
}

/// What files declare their values to be multiplied by and added to, and how many do.
#[derive(Default)]
pub(super) struct Scales(BTreeMap<String, (usize, PathBuf)>);

impl Scales {
    pub(super) fn add(&mut self, scale: String, path: impl Fn() -> PathBuf) {
        self.0.entry(scale).or_insert_with(|| (0, path())).0 += 1;
    }

    /// Where there are several: how many files have others than most.
    pub(super) fn remark(&self) -> Option<(Remark, usize, PathBuf)> {
        let (most, (count, _)) = self.0.iter().max_by_key(|(_, (count, _))| *count)?;
        let (other, (_, first)) = self.0.iter().find(|(scale, _)| *scale != most)?;
        let all: usize = self.0.values().map(|(count, _)| count).sum();
        let remark = Remark::Scales { most: most.clone(), other: other.clone() };
        Some((remark, all - count, first.clone()))
    }
}
