//! Pictures that are the same byte for byte.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::sample::{Place, Sample};
use super::set::PictureSet;
use crate::decode::Limits;

/// Of so many pictures at most it is looked into for copies.
const LOOKED_INTO: usize = 200_000;

/// So many bytes in the middle tell most pictures apart.
const MIDDLE: u64 = 4096;

/// At most so many bytes are compared whole.
const COMPARED: u64 = 256 << 20;

/// As much may be unpacked of a Parquet file to reach the middle of one picture: two blocks of Snappy data.
const UNPACKED: u64 = 128 << 10;

/// At most so many bytes are unpacked for the middles of all.
const ALL_UNPACKED: u64 = 1 << 30;

type Hash = [u8; 32];

/// A picture: the position of its set, and its own in that.
type Item = (usize, usize);

/// Pictures of a set that are the same byte for byte.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// Positions in the set, two or more in each, ascending.
    sets: Vec<Vec<usize>>,
    /// Pictures that were not looked into.
    passed_over: usize,
}

impl Copies {
    /// Pictures that are copies of each other, by their positions in the set.
    pub fn sets(&self) -> &[Vec<usize>] {
        &self.sets
    }

    /// How many pictures might be copies and were not looked into, since that would take long.
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// Those whose pictures have several labels.
    pub fn of_several_classes<'a>(
        &'a self,
        set: &'a PictureSet,
    ) -> impl Iterator<Item = &'a [usize]> {
        let label = |index: &usize| set.samples[*index].label;
        let several = move |of: &&Vec<usize>| of.iter().any(|at| label(at) != label(&of[0]));
        self.sets.iter().filter(several).map(Vec::as_slice)
    }

    /// The first of its copies for each picture that has some.
    pub(super) fn firsts(&self) -> HashMap<usize, usize> {
        self.sets.iter().flat_map(|set| set.iter().map(|at| (*at, set[0]))).collect()
    }
}

impl PictureSet {
    /// Finds copies: of pictures of one size, by some bytes in the middle, then by all. What cannot be read is none,
    /// nor is what is beyond `limits`. Files of several pages are compared whole, and the first page stands for all.
    pub fn copies(&self, limits: &Limits) -> Copies {
        let (sets, passed_over) = find(&[self], limits);
        let positions = |set: Vec<Item>| set.into_iter().map(|(_, at)| at).collect();
        Copies { sets: sets.into_iter().map(positions).collect(), passed_over }
    }

    /// The positions, ascending, of pictures whose files are copies of some in `other`, found as [`copies`](Self::copies)
    /// are; and how many pictures of both sets might be such and were not looked into, since that would take long.
    pub fn copies_of(&self, other: &Self, limits: &Limits) -> (Vec<usize>, usize) {
        let (sets, passed_over) = find(&[self, other], limits);
        let found = sets.into_iter().flatten().filter(|(set, _)| *set == 0);
        let files: HashSet<_> = found.map(|(_, at)| file_of(&self.samples[at])).collect();
        let is_found = |at: &usize| files.contains(&file_of(&self.samples[*at]));
        ((0..self.len()).filter(is_found).collect(), passed_over)
    }

    /// The first sample of each file that could be used.
    fn firsts(&self, limits: &Limits) -> Vec<usize> {
        let mut seen = HashSet::new();
        let is_first = |at: &usize| {
            let sample = &self.samples[*at];
            match sample.is_page() {
                true => seen.insert(file_of(sample)),
                false => sample.bytes <= limits.bytes,
            }
        };
        (0..self.len()).filter(is_first).collect()
    }

    /// Whether a picture is read without much else.
    fn is_direct(&self, index: usize) -> bool {
        let sample = &self.samples[index];
        let container = &self.bases[sample.place.base()].container;
        container.as_ref().is_none_or(|container| container.reader.is_direct(sample))
    }

    /// A hash of some bytes in the middle of a file.
    fn middle(&self, index: usize) -> Option<Hash> {
        let bytes = self.samples[index].bytes;
        self.hash_of(index, bytes.saturating_sub(MIDDLE) / 2, MIDDLE.min(bytes))
    }

    /// A hash of a whole file.
    fn whole(&self, index: usize) -> Option<Hash> {
        self.check_file(index).ok()?;
        self.hash_of(index, 0, self.samples[index].bytes)
    }

    /// A hash of so many bytes, from a place on, of the file that a sample is, or is a page of.
    fn hash_of(&self, index: usize, from: u64, length: u64) -> Option<Hash> {
        let sample = &self.samples[index];
        let start = match sample.place {
            Place::File { .. } => from,
            Place::Byte { start, .. } => start.checked_add(from)?,
            Place::Part { base, page, part, start } => {
                let base_of = &self.bases[base as usize];
                let start = start.checked_add(u32::try_from(from).ok()?)?;
                let place = Place::Part { base, page, part, start };
                let sample = Sample { place, bytes: length, ..sample.clone() };
                let bytes = base_of.container.as_ref()?.reader.read(&base_of.path, &sample).ok()?;
                return Some(*blake3::hash(&bytes).as_bytes());
            }
        };
        let (mut file, _) = fcmae_files::open(&self.file(index)).ok()?;
        if start > 0 {
            file.seek(SeekFrom::Start(start)).ok()?;
        }
        let mut hasher = blake3::Hasher::new();
        let read = io::copy(&mut file.take(length), &mut hasher).ok()?;
        (read == length).then(|| *hasher.finalize().as_bytes())
    }
}

/// What tells a sample's file from the others of its set: the pages of one have it in common.
fn file_of(sample: &Sample) -> (usize, u64, &Path) {
    let start = match sample.place {
        Place::File { .. } => 0,
        Place::Byte { start, .. } => start,
        Place::Part { part, start, .. } => u64::from(part) << 32 | u64::from(start),
    };
    (sample.place.base(), start, sample.file())
}

/// Copies in a set, or those that lie in each of two, ascending; and how many pictures were not looked into.
fn find(sets: &[&PictureSet], limits: &Limits) -> (Vec<Vec<Item>>, usize) {
    let sample = |(set, at): Item| &sets[set].samples[at];
    let several = |items: &[Item]| match sets.len() {
        1 => items.len() > 1,
        _ => items.iter().any(|item| item.0 != items[0].0),
    };
    let mut alike = HashMap::<u64, Vec<Item>>::new();
    for (set, of) in sets.iter().enumerate() {
        for at in of.firsts(limits) {
            alike.entry(of.samples[at].bytes).or_default().push((set, at));
        }
    }
    let alike = alike.into_values().filter(|items| several(items));
    let mut candidates: Vec<Item> = alike.flatten().collect();
    // Some of each set, where there are too many of a size.
    candidates.sort_unstable_by_key(|&(set, at)| (sample((set, at)).bytes, at, set));
    let count = candidates.len();
    let mut unpacked = ALL_UNPACKED;
    candidates.retain(|&(set, at)| {
        let sample = sample((set, at));
        if !matches!(sample.place, Place::Part { .. }) {
            return true;
        }
        let left = unpacked.checked_sub(sample.bytes.min(UNPACKED));
        let looked_into = left.is_some() && sets[set].is_direct(at);
        unpacked = left.filter(|_| looked_into).unwrap_or(unpacked);
        looked_into
    });
    candidates.truncate(LOOKED_INTO);
    let mut passed_over = count - candidates.len();
    let middles = each(&candidates, |(set, at)| sets[set].middle(at));
    let mut near = HashMap::<(Hash, u64), Vec<Item>>::new();
    for (item, middle) in candidates.into_iter().zip(middles) {
        if let Some(middle) = middle {
            near.entry((middle, sample(item).bytes)).or_default().push(item);
        }
    }
    let mut near: Vec<Vec<Item>> = near.into_values().filter(|items| several(items)).collect();
    near.sort_unstable();
    let (mut left, mut found) = (COMPARED, Vec::new());
    for items in near {
        let bytes = sample(items[0]).bytes.saturating_mul(items.len() as u64);
        if bytes > left {
            passed_over += items.len();
            continue;
        }
        left -= bytes;
        let mut same = HashMap::<Hash, Vec<Item>>::new();
        let wholes = each(&items, |(set, at)| sets[set].whole(at));
        for (item, whole) in items.into_iter().zip(wholes) {
            if let Some(whole) = whole {
                same.entry(whole).or_default().push(item);
            }
        }
        found.extend(same.into_values().filter(|items| several(items)));
    }
    found.sort_unstable();
    (found, passed_over)
}

/// What `of` gives for each, by several threads.
fn each(items: &[Item], of: impl Fn(Item) -> Option<Hash> + Sync) -> Vec<Option<Hash>> {
    const FEW: usize = 64;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(16);
    if items.len() < FEW || threads == 1 {
        return items.iter().map(|item| of(*item)).collect();
    }
    let next = AtomicUsize::new(0);
    let mut found = vec![None; items.len()];
    thread::scope(|scope| {
        let work = || {
            let places = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            let mine = places.map_while(|place| Some((place, *items.get(place)?)));
            mine.map(|(place, item)| (place, of(item))).collect::<Vec<_>>()
        };
        // Where the system gives no more threads, those that there are read all.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).map_while(spawn).collect();
        let own = work();
        // What a thread that panicked found is not known.
        let theirs = others.into_iter().map(|other| other.join().unwrap_or_default());
        for (place, hash) in std::iter::once(own).chain(theirs).flatten() {
            found[place] = hash;
        }
    });
    found
}
