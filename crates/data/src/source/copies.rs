//! Pictures that are the same byte for byte.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use super::sample::Place;
use super::set::PictureSet;
use crate::decode::Limits;

/// Of so many pictures at most it is looked into for copies.
const LOOKED_INTO: usize = 200_000;

/// So many bytes in the middle tell most pictures apart.
const MIDDLE: u64 = 4096;

/// At most so many bytes are compared whole.
const COMPARED: u64 = 256 << 20;

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
    /// Finds copies: of pictures of one size, by some bytes in the middle, then by all. What cannot be read is none.
    pub fn copies(&self, limits: &Limits) -> Copies {
        // The pages of a file lie beside each other, and the first stands for all.
        let is_first = |at: &usize| {
            let [before, of] = [at.wrapping_sub(1), *at].map(|at| self.samples.get(at));
            of.is_some_and(|of| {
                !of.is_page() || before.is_none_or(|before| before.file() != of.file())
            })
        };
        let files: Vec<usize> = (0..self.len()).filter(is_first).collect();
        let mut sizes = HashMap::<u64, usize>::new();
        for at in &files {
            *sizes.entry(self.samples[*at].bytes).or_default() += 1;
        }
        let alike: Vec<usize> =
            files.into_iter().filter(|&at| sizes[&self.samples[at].bytes] > 1).collect();
        let direct = |at: &usize| self.is_direct(*at);
        let mut looked_into: Vec<usize> = alike.iter().copied().filter(direct).collect();
        looked_into.truncate(LOOKED_INTO);
        let mut passed_over = alike.len() - looked_into.len();
        let middles = each(&looked_into, |at| self.middle(at));
        let mut near = HashMap::<([u8; 32], u64), Vec<usize>>::new();
        for (at, middle) in looked_into.into_iter().zip(middles) {
            if let Some(middle) = middle {
                near.entry((middle, self.samples[at].bytes)).or_default().push(at);
            }
        }
        let mut near: Vec<Vec<usize>> = near.into_values().filter(|set| set.len() > 1).collect();
        near.sort_unstable();
        let mut left = COMPARED;
        let mut sets = Vec::new();
        for set in near {
            let bytes = self.samples[set[0]].bytes.saturating_mul(set.len() as u64);
            if bytes > left {
                passed_over += set.len();
                continue;
            }
            left -= bytes;
            let whole = each(&set, |at| {
                self.read(at, limits).ok().map(|bytes| *blake3::hash(&bytes).as_bytes())
            });
            let mut same = HashMap::<[u8; 32], Vec<usize>>::new();
            for (at, whole) in set.into_iter().zip(whole) {
                if let Some(whole) = whole {
                    same.entry(whole).or_default().push(at);
                }
            }
            sets.extend(same.into_values().filter(|set| set.len() > 1));
        }
        sets.sort_unstable();
        Copies { sets, passed_over }
    }

    /// Whether a picture is read without much else.
    fn is_direct(&self, index: usize) -> bool {
        let sample = &self.samples[index];
        let container = &self.bases[sample.place.base()].container;
        container.as_ref().is_none_or(|container| container.reader.is_direct(sample))
    }

    /// A hash of some bytes in the middle of a picture.
    fn middle(&self, index: usize) -> Option<[u8; 32]> {
        let sample = &self.samples[index];
        let from = sample.bytes.saturating_sub(MIDDLE) / 2;
        let (path, start) = match sample.place {
            Place::File { .. } => (self.path(index), 0),
            Place::Byte { base, start, .. } => (self.bases[base as usize].path.clone(), start),
            Place::Part { .. } => {
                let limits = Limits::default();
                return self
                    .read(index, &limits)
                    .ok()
                    .map(|bytes| *blake3::hash(&bytes).as_bytes());
            }
        };
        let mut file = File::open(path).ok()?;
        if start + from > 0 {
            file.seek(SeekFrom::Start(start + from)).ok()?;
        }
        let mut bytes = Vec::with_capacity(MIDDLE as usize);
        file.take(MIDDLE.min(sample.bytes)).read_to_end(&mut bytes).ok()?;
        Some(*blake3::hash(&bytes).as_bytes())
    }
}

/// What `of` gives for each, by several threads.
fn each<T: Send>(indices: &[usize], of: impl Fn(usize) -> T + Sync) -> Vec<T> {
    const FEW: usize = 64;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
    if indices.len() < FEW || threads == 1 {
        return indices.iter().map(|at| of(*at)).collect();
    }
    std::thread::scope(|scope| {
        let of = &of;
        let parts = indices.chunks(indices.len().div_ceil(threads));
        let parts: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(|at| of(*at)).collect::<Vec<T>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("reading does not panic")).collect()
    })
}
