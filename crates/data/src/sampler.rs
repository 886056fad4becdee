//! Which samples stand in which batch.

use crate::error::DataError;
use crate::random;

/// The order in which samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A new random order each epoch; batches all of the same size, what is left over at an
    /// epoch's end is left out of that epoch. For training.
    Shuffled,
    /// The folder's order; the last batch may be smaller. For evaluation.
    Sequential,
}

/// Batches of sample positions: a function of (seed, epoch, batch number) alone.
#[derive(Clone, Debug)]
pub struct Sampler {
    set: u32,
    batch: u32,
    order: Order,
    seed: u64,
    /// The last epoch asked for, since batches are mostly asked for one after the other.
    current: Option<(u64, Vec<u32>)>,
}

impl Sampler {
    /// A sampler over `set` samples.
    ///
    /// # Errors
    /// A batch size of zero, and, shuffled, one larger than the set.
    pub fn new(set: u32, batch: usize, order: Order, seed: u64) -> Result<Self, DataError> {
        if batch == 0 {
            return Err(DataError::Parameter {
                what: "batch size",
                value: "0".to_owned(),
                mend: "use at least 1".to_owned(),
            });
        }
        if order == Order::Shuffled && batch > set as usize {
            return Err(DataError::BatchLargerThanSet { batch, set: set as usize });
        }
        let batch = u32::try_from(batch).unwrap_or(u32::MAX);
        Ok(Self { set, batch, order, seed, current: None })
    }

    /// Batches an epoch; the same in every epoch, so that schedules are fixed.
    pub fn batches_per_epoch(&self) -> u64 {
        match self.order {
            Order::Shuffled => u64::from(self.set / self.batch),
            Order::Sequential => u64::from(self.set.div_ceil(self.batch)),
        }
    }

    /// The samples of one batch; empty beyond the epoch's last batch.
    pub fn batch(&mut self, epoch: u64, number: u64) -> Vec<u32> {
        if number >= self.batches_per_epoch() {
            return Vec::new();
        }
        let from = number * u64::from(self.batch);
        let to = (from + u64::from(self.batch)).min(u64::from(self.set));
        match self.order {
            Order::Sequential => (from as u32..to as u32).collect(),
            Order::Shuffled => {
                if self.current.as_ref().is_none_or(|(of, _)| *of != epoch) {
                    self.current = Some((epoch, random::permutation(self.set, self.seed, epoch)));
                }
                let (_, order) = self.current.as_ref().expect("set just above");
                order[from as usize..to as usize].to_vec()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_epoch_of_training_holds_no_sample_twice() {
        let mut sampler = Sampler::new(10, 3, Order::Shuffled, 1).unwrap();
        assert_eq!(sampler.batches_per_epoch(), 3);
        for epoch in 0..3 {
            let mut seen: Vec<u32> = (0..3).flat_map(|n| sampler.batch(epoch, n)).collect();
            assert_eq!(seen.len(), 9);
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 9);
        }
        assert!(sampler.batch(0, 3).is_empty());
    }

    #[test]
    fn a_batch_does_not_depend_on_what_was_asked_before() {
        let mut straight = Sampler::new(100, 7, Order::Shuffled, 1).unwrap();
        let all: Vec<_> = (0..3).flat_map(|e| (0..14).map(move |n| (e, n))).collect();
        let batches: Vec<_> = all.iter().map(|&(e, n)| straight.batch(e, n)).collect();
        let mut fresh = Sampler::new(100, 7, Order::Shuffled, 1).unwrap();
        for (&(e, n), batch) in all.iter().zip(&batches).rev() {
            assert_eq!(&fresh.batch(e, n), batch);
        }
    }

    #[test]
    fn evaluation_takes_every_sample_once_in_order() {
        let mut sampler = Sampler::new(10, 4, Order::Sequential, 1).unwrap();
        let batches: Vec<_> =
            (0..sampler.batches_per_epoch()).map(|n| sampler.batch(0, n)).collect();
        assert_eq!(batches, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    }

    #[test]
    fn a_batch_larger_than_the_set_is_refused_in_training_only() {
        let error = Sampler::new(10, 11, Order::Shuffled, 1).unwrap_err().to_string();
        assert!(error.contains("11") && error.contains("10 or less"), "{error}");
        assert_eq!(Sampler::new(10, 11, Order::Sequential, 1).unwrap().batches_per_epoch(), 1);
        assert!(Sampler::new(10, 0, Order::Sequential, 1).is_err());
    }
}
