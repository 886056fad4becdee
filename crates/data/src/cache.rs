//! Decoded pictures kept from epoch to epoch.
//!
//! Small photographs cost more to decode than to augment, and the cores that decode are the
//! trainer's. Whether a picture is kept never shows in a batch: it is what decoding gives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::picture::Picture;

/// Pictures by sample position, within a budget of bytes. Nothing is ever evicted: each epoch asks
/// for every sample once, so to keep the first that came is as good as any choice, and keeps part
/// of a set that does not fit where dropping the oldest would keep none.
pub(crate) struct Cache {
    budget: usize,
    /// Samples in the set.
    set: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    pictures: HashMap<u32, Arc<Picture>>,
    bytes: usize,
    /// The budget holds too little of the set to be worth its memory.
    given_up: bool,
}

/// A full cache with less than this share of the set is given up.
const WORTH: f64 = 0.1;

impl Cache {
    pub(crate) fn new(budget: usize, set: usize) -> Self {
        Self { budget, set, kept: Mutex::default() }
    }

    pub(crate) fn get(&self, index: u32) -> Option<Arc<Picture>> {
        self.lock().pictures.get(&index).cloned()
    }

    pub(crate) fn put(&self, index: u32, picture: &Arc<Picture>) {
        let mut kept = self.lock();
        if kept.given_up || kept.pictures.contains_key(&index) {
            return;
        }
        let bytes = kept.bytes + picture.bytes();
        if bytes <= self.budget {
            kept.bytes = bytes;
            kept.pictures.insert(index, Arc::clone(picture));
        } else if (kept.pictures.len() as f64) < WORTH * self.set as f64 {
            *kept = Kept { given_up: true, ..Kept::default() };
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing that holds the lock can leave it half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(bytes: u32) -> Arc<Picture> {
        Arc::new(Picture::from_parts(bytes, 1, 1, vec![0; bytes as usize]))
    }

    #[test]
    fn the_budget_holds_and_the_first_stay() {
        let cache = Cache::new(100, 4);
        for (index, bytes) in [(0, 60), (1, 50), (2, 40), (0, 60)] {
            cache.put(index, &picture(bytes));
        }
        let held: Vec<u32> = (0..4).filter(|&index| cache.get(index).is_some()).collect();
        assert_eq!(held, [0, 2]);
    }

    #[test]
    fn a_cache_that_holds_too_little_is_given_up() {
        let cache = Cache::new(100, 1000);
        cache.put(0, &picture(60));
        cache.put(1, &picture(60));
        cache.put(2, &picture(10));
        assert!((0..3).all(|index| cache.get(index).is_none()));
    }
}
