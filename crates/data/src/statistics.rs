//! What the pictures of a set are: values of their channels, sizes, kinds of files.
//!
//! Sums are taken picture by picture in float64 and put together in the set's order, so that the
//! result does not depend on the number of threads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use serde::Serialize;

use crate::advice::Advice;
use crate::decode::{self, Decoded, FileKind, Limits};
use crate::error::{DataError, DecodeError};
use crate::input::Input;
use crate::picture::{Depth, Picture, PixelFormat};
use crate::remark::Remark;
use crate::source::{PictureSet, Skipped};

mod channel;
mod deep;
mod tones;

pub use channel::ChannelStatistics;
use channel::{Moments, Values};

/// Statistics of a set's pictures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Pictures in the set.
    pub set: usize,
    /// Pictures looked at.
    pub looked_at: usize,
    /// Pictures of those that count below: all but [`skipped`](Self::skipped).
    pub pictures: usize,
    /// Their pixels.
    pub pixels: u64,
    /// Of each channel; empty where no picture could be used. 8-bit values are over 255, deep ones as
    /// a [`Picture`] has them. What has no data is left out.
    pub channels: Vec<ChannelStatistics>,
    /// Rows of the upright pictures.
    pub height: Option<Sides>,
    /// Columns of the upright pictures.
    pub width: Option<Sides>,
    /// What the files hold, and how many hold it: also files that cannot be used as asked for.
    pub kinds: Vec<KindCount>,
    /// What was noticed of pictures that count.
    pub remarks: Vec<Remarked>,
    /// Files that could not be used, with the reason.
    pub skipped: Vec<Skipped>,
}

/// Sides of pictures, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sides {
    /// The smallest.
    pub smallest: u32,
    /// The lower of the two in the middle where there are two.
    pub median: u32,
    /// The largest.
    pub largest: u32,
}

/// Files of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KindCount {
    /// The kind.
    #[serde(flatten)]
    pub kind: FileKind,
    /// How many.
    pub files: usize,
}

/// What was noticed of some pictures: see [`Remark`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Remarked {
    /// What kind of remark it is.
    pub kind: &'static str,
    /// Of how many pictures.
    pub pictures: usize,
    /// The first of them.
    pub first: PathBuf,
    /// What is said of that one, and the setting to change.
    pub text: String,
}

/// Values a channel that percentiles are taken from, all pictures together; beyond it they come from
/// some pixels of each picture.
const KEPT: usize = 1 << 20;

/// Picture files in an order.
trait Files: Sync {
    fn count(&self) -> usize;
    fn bytes(&self, index: usize, limits: &Limits) -> Result<Vec<u8>, DecodeError>;
    fn name(&self, index: usize) -> PathBuf;
}

impl Files for PictureSet {
    fn count(&self) -> usize {
        self.len()
    }

    fn bytes(&self, index: usize, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        self.read(index, limits)
    }

    fn name(&self, index: usize) -> PathBuf {
        self.path(index)
    }
}

impl Files for [&Input] {
    fn count(&self) -> usize {
        self.len()
    }

    fn bytes(&self, index: usize, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        self[index].bytes(limits)
    }

    fn name(&self, index: usize) -> PathBuf {
        self[index].name()
    }
}

/// What one file gives.
struct Found {
    kind: Option<FileKind>,
    values: Result<Look, DecodeError>,
}

/// What one picture gives.
struct Look {
    height: u32,
    width: u32,
    values: Values,
    levels: tones::Levels,
    scale: String,
    remarks: Vec<Remark>,
}

impl Statistics {
    /// Looks at the pictures of a set, as `format` (a number alone stands for so many channels of 8
    /// bits): at all, or at `sample` of them, evenly spaced. `workers` threads do it; with 0, the
    /// calling one.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for a sample of none, or a number of channels that the depth does
    /// not allow; [`DataError::Worker`] where no thread can be started. A file that cannot be used is
    /// none: see [`skipped`](Self::skipped).
    pub fn of(
        folder: &PictureSet,
        format: impl Into<PixelFormat>,
        sample: Option<usize>,
        workers: usize,
        limits: &Limits,
    ) -> Result<Self, DataError> {
        Self::of_files(folder, format.into(), sample, workers, limits)
    }

    /// The same of pictures that are no set: files, pages, bytes. Decoded ones are passed over.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_inputs(
        inputs: &[Input],
        format: impl Into<PixelFormat>,
        sample: Option<usize>,
        workers: usize,
        limits: &Limits,
    ) -> Result<Self, DataError> {
        let files = |input: &&Input| !matches!(input, Input::Picture { .. });
        let files: Vec<&Input> = inputs.iter().filter(files).collect();
        Self::of_files(files.as_slice(), format.into(), sample, workers, limits)
    }

    fn of_files(
        folder: &(impl Files + ?Sized),
        format: PixelFormat,
        sample: Option<usize>,
        workers: usize,
        limits: &Limits,
    ) -> Result<Self, DataError> {
        format.check()?;
        let set = folder.count();
        let looked_at = sample.unwrap_or(set).min(set);
        if sample == Some(0) {
            return Err(DataError::Parameter {
                what: "number of pictures to look at",
                value: "0".to_owned(),
                remedy: "use at least 1, or leave it out to look at all".to_owned(),
            });
        }
        // No overflow: both are counts of pictures, of which there are 2³² at most.
        let index = |i: usize| (i as u64 * set as u64 / looked_at as u64) as usize;
        let kept = (KEPT / looked_at.max(1)).max(1);
        let look = |i: usize| look(folder, index(i), format, kept, limits);
        let mut sums = Sums { advice: limits.advice, ..Sums::default() };
        let mut add = |i: usize, found: Found| sums.add(folder, index(i), found);
        if workers == 0 {
            (0..looked_at).for_each(|i| add(i, look(i)));
        } else {
            in_order(looked_at, workers, look, add);
        }
        Ok(sums.finish(folder, format, looked_at))
    }
}

/// Runs `work` on 0 to `count` in threads, and hands the results on in order.
fn in_order<T: Send>(
    count: usize,
    workers: usize,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(usize, T),
) {
    let next = AtomicUsize::new(0);
    let run = |sender: mpsc::SyncSender<(usize, T)>| {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count || sender.send((i, work(i))).is_err() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        // Few wait to be taken, so that a slow receiver is not flooded.
        let (sender, receiver) = mpsc::sync_channel(2 * workers);
        let mut started = 0;
        for number in 0..workers.min(count) {
            let (sender, run) = (sender.clone(), &run);
            let thread = std::thread::Builder::new().name(format!("fcmae-stats-{number}"));
            // Where the system gives no more threads, those that there are do the work.
            if thread.spawn_scoped(scope, move || run(sender)).is_err() {
                break;
            }
            started += 1;
        }
        drop(sender);
        if started == 0 {
            (0..count).for_each(|i| take(i, work(i)));
            return;
        }
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (i, result) in receiver {
            early.insert(i, result);
            while let Some(result) = early.remove(&wanted) {
                take(wanted, result);
                wanted += 1;
            }
        }
    });
}

/// One file: its kind, and the sums of its picture.
fn look(
    folder: &(impl Files + ?Sized),
    index: usize,
    format: PixelFormat,
    kept: usize,
    limits: &Limits,
) -> Found {
    let bytes = match folder.bytes(index, limits) {
        Ok(bytes) => bytes,
        Err(error) => return Found { kind: None, values: Err(error) },
    };
    let kind = decode::kind(&bytes, limits).ok();
    let values = decode::with_gaps(&bytes, format, limits, None).map(|decoded| {
        let levels = tones::Levels::of(decoded.picture.pixels());
        Look {
            height: decoded.picture.height(),
            width: decoded.picture.width(),
            values: values_of(&decoded, kept),
            remarks: remarks(&bytes, &decoded.picture, kind.as_ref(), &levels),
            levels,
            scale: decode::scale(&bytes),
        }
    });
    Found { kind, values }
}

/// What is to be told of a picture: what decoding noticed, and what takes too long to look for whenever it is loaded.
fn remarks(
    bytes: &[u8],
    picture: &Picture,
    kind: Option<&FileKind>,
    levels: &tones::Levels,
) -> Vec<Remark> {
    let mut remarks = picture.remarks().to_vec();
    let told = |remarks: &[Remark], kind: &str| remarks.iter().any(|told| told.kind() == kind);
    if !told(&remarks, "damaged") {
        remarks.extend(decode::flaw(bytes).map(|what| Remark::Damaged { what }));
    }
    remarks.extend(deep::undeclared(picture, kind));
    let eight = kind.is_some_and(|kind| kind.bits == 8);
    if eight && !told(&remarks, "nodata") && decode::is_geo(bytes) {
        remarks.extend(tones::border(picture));
    }
    // Where 16 bits are the cause, that was told.
    let narrow = told(&remarks, "range");
    let transparent = told(&remarks, "transparent");
    let seen = tones::remark(picture, levels);
    // Where transparency is the cause, that was told.
    let seen = seen.filter(|seen| !transparent || seen.kind() == Remark::FEW_LEVELS);
    remarks.extend(seen.filter(|seen| !narrow || seen.kind() != Remark::FEW_LEVELS));
    remarks
}

fn values_of(Decoded { picture, gaps }: &Decoded, kept: usize) -> Values {
    let (channels, gaps) = (picture.channels() as usize, gaps.as_deref());
    match picture.depth() {
        Depth::Eight => {
            Values::of(picture.pixels(), channels, kept, gaps, |value| f64::from(value) / 255.0)
        }
        Depth::Deep => Values::of(picture.deep_values(), channels, kept, gaps, f64::from),
    }
}

/// What has been put together so far.
#[derive(Default)]
struct Sums {
    advice: Advice,
    moments: Vec<Moments>,
    /// Values for the percentiles, a channel.
    kept: Vec<Vec<f32>>,
    heights: Vec<u32>,
    widths: Vec<u32>,
    kinds: BTreeMap<FileKind, usize>,
    remarks: BTreeMap<&'static str, Remarked>,
    groups: deep::Groups,
    levels: tones::Levels,
    scales: deep::Scales,
    skipped: Vec<Skipped>,
}

impl Sums {
    fn add(&mut self, folder: &(impl Files + ?Sized), index: usize, found: Found) {
        if let Some(kind) = found.kind {
            *self.kinds.entry(kind).or_default() += 1;
        }
        match found.values {
            Ok(Look { height, width, values, levels, scale, remarks }) => {
                self.scales.add(scale, || folder.name(index));
                self.levels.add(&levels);
                for remark in remarks {
                    let told = self.remarks.entry(remark.kind()).or_insert_with(|| Remarked {
                        kind: remark.kind(),
                        pictures: 0,
                        first: folder.name(index),
                        text: remark.told(self.advice),
                    });
                    told.pictures += 1;
                }
                if let Some(kind) = &found.kind {
                    let largest = values.moments.iter().map(Moments::largest).fold(0.0, f64::max);
                    let signed = values.moments.iter().any(Moments::is_below_zero);
                    self.groups.add(kind, || folder.name(index), largest, signed);
                }
                self.heights.push(height);
                self.widths.push(width);
                self.moments.resize_with(values.moments.len(), Moments::default);
                self.kept.resize_with(values.kept.len(), Vec::new);
                for (sum, moments) in self.moments.iter_mut().zip(&values.moments) {
                    sum.merge(moments);
                }
                for (all, kept) in self.kept.iter_mut().zip(values.kept) {
                    all.extend(kept);
                }
            }
            Err(error) => {
                let reason = error.to_string();
                self.skipped.push(Skipped { path: folder.name(index), reason });
            }
        }
    }

    /// Whether most files have more than 8 bits a value.
    fn is_deep(&self) -> bool {
        let files = |least: u32| -> usize {
            self.kinds.iter().filter(|(kind, _)| kind.bits > least).map(|(_, files)| files).sum()
        };
        2 * files(8) > files(0)
    }

    fn finish(
        mut self,
        folder: &(impl Files + ?Sized),
        format: PixelFormat,
        looked_at: usize,
    ) -> Statistics {
        let set = folder.count();
        let deep = self.is_deep();
        let channels = self.moments.iter().zip(self.kept);
        let channels: Vec<_> = channels.map(|(moments, kept)| moments.finish(kept)).collect();
        let pictures = self.heights.len();
        self.remarks.retain(|kind, told| tones::is_told(kind, told.pictures, pictures));
        let told = ["range", Remark::FEW_LEVELS].iter().any(|kind| self.remarks.contains_key(kind));
        if let Some(remark) = tones::of_all(&self.levels, deep).filter(|_| !told) {
            let (kind, text, first) = (remark.kind(), remark.told(self.advice), folder.name(0));
            self.remarks.insert(kind, Remarked { kind, pictures, first, text });
        }
        let of_deep = format.depth == Depth::Deep;
        let groups = || self.groups.remark().or_else(|| self.groups.floats.remark());
        let mixed = of_deep.then(groups).flatten();
        for (remark, pictures, first) in mixed.into_iter().chain(self.scales.remark()) {
            let (kind, text) = (remark.kind(), remark.told(self.advice));
            self.remarks.insert(kind, Remarked { kind, pictures, first, text });
        }
        let area = |(&height, &width): (&u32, &u32)| u64::from(height) * u64::from(width);
        Statistics {
            set,
            looked_at,
            pictures,
            pixels: self.heights.iter().zip(&self.widths).map(area).sum(),
            channels,
            height: sides(self.heights),
            width: sides(self.widths),
            kinds: self.kinds.into_iter().map(|(kind, files)| KindCount { kind, files }).collect(),
            remarks: self.remarks.into_values().collect(),
            skipped: self.skipped,
        }
    }
}

fn sides(mut sides: Vec<u32>) -> Option<Sides> {
    sides.sort_unstable();
    let (&smallest, &largest) = (sides.first()?, sides.last()?);
    Some(Sides { smallest, median: sides[(sides.len() - 1) / 2], largest })
}
