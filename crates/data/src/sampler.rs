//! Which samples stand in which batch.

use std::collections::BTreeMap;

use crate::error::DataError;
use crate::random;

/// The order in which samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A new random order each epoch; batches all of the same size, what is left over at an
    /// epoch's end is left out of that epoch. For training.
    Shuffled,
    /// As `Shuffled`, and every class as often as any other, whatever its size: each round takes one
    /// sample of every class. An epoch has as many batches as `Shuffled` has; a sample of a small
    /// class stands in it several times, one of a large class perhaps not at all.
    Balanced,
    /// The set's order; the last batch may be smaller. For evaluation.
    Sequential,
}

/// Batches of sample positions: a function of (seed, epoch, batch number) alone.
#[derive(Clone, Debug)]
pub struct Sampler {
    set: u32,
    batch: u32,
    order: Order,
    seed: u64,
    /// Samples by class, where they are balanced; no class is empty.
    classes: Vec<Vec<u32>>,
    /// The last epoch asked for, since batches are mostly asked for one after the other.
    current: Option<(u64, Vec<u32>)>,
}

impl Sampler {
    /// A sampler over as many samples as there are `labels`, which only [`Order::Balanced`] reads.
    ///
    /// # Errors
    /// A batch size of zero, and, unless sequential, one larger than the set; balanced, samples
    /// without labels.
    pub fn new(
        labels: &[Option<usize>],
        batch: usize,
        order: Order,
        seed: u64,
    ) -> Result<Self, DataError> {
        if batch == 0 {
            return Err(DataError::Parameter {
                what: "batch size",
                value: "0".to_owned(),
                remedy: "use at least 1".to_owned(),
            });
        }
        let set = u32::try_from(labels.len()).map_err(|_| DataError::Parameter {
            what: "number of samples",
            value: labels.len().to_string(),
            remedy: format!("use at most {}", u32::MAX),
        })?;
        if order != Order::Sequential && batch > labels.len() {
            return Err(DataError::BatchLargerThanSet { batch, set: labels.len() });
        }
        let classes = if order == Order::Balanced { by_class(labels)? } else { Vec::new() };
        let batch = u32::try_from(batch).unwrap_or(u32::MAX);
        Ok(Self { set, batch, order, seed, classes, current: None })
    }

    /// Batches an epoch; the same in every epoch, so that schedules are fixed.
    pub fn batches_per_epoch(&self) -> u64 {
        match self.order {
            Order::Shuffled | Order::Balanced => u64::from(self.set / self.batch),
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
            Order::Shuffled | Order::Balanced => {
                if self.current.as_ref().is_none_or(|(of, _)| *of != epoch) {
                    let order = match self.order {
                        Order::Balanced => self.balanced(epoch),
                        _ => random::permutation(self.set, self.seed, epoch),
                    };
                    self.current = Some((epoch, order));
                }
                let (_, order) = self.current.as_ref().expect("set just above");
                order[from as usize..to as usize].to_vec()
            }
        }
    }

    /// What a batch's samples are augmented by, beside seed and epoch: their position in the set, or
    /// where a sample may stand in an epoch more than once, that and the place in the epoch.
    pub(crate) fn draws(&self, number: u64, indices: &[u32]) -> Vec<u64> {
        let first = number * u64::from(self.batch) + 1;
        let place = |slot: usize| match self.order {
            Order::Balanced => (first + slot as u64) << 32,
            Order::Shuffled | Order::Sequential => 0,
        };
        indices.iter().enumerate().map(|(slot, &index)| place(slot) | u64::from(index)).collect()
    }

    /// The order of one epoch, in which all classes stand equally often.
    fn balanced(&self, epoch: u64) -> Vec<u32> {
        let rng = &mut random::keyed(self.seed, "balanced order", epoch, 0);
        let mut round: Vec<usize> = (0..self.classes.len()).collect();
        // Of each class what is left of its last random order.
        let mut left: Vec<Vec<u32>> = vec![Vec::new(); self.classes.len()];
        let mut order = Vec::with_capacity(self.set as usize);
        while order.len() < self.set as usize {
            random::shuffle(rng, &mut round);
            for &class in round.iter().take(self.set as usize - order.len()) {
                if left[class].is_empty() {
                    left[class].clone_from(&self.classes[class]);
                    random::shuffle(rng, &mut left[class]);
                }
                order.extend(left[class].pop());
            }
        }
        order
    }
}

/// Samples by class, without classes that have none.
fn by_class(labels: &[Option<usize>]) -> Result<Vec<Vec<u32>>, DataError> {
    let mut classes: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (index, label) in (0u32..).zip(labels) {
        let label = label.ok_or_else(|| DataError::Parameter {
            what: "order",
            value: "balanced, and the samples have no labels".to_owned(),
            remedy: "use the shuffled order, or data with labels".to_owned(),
        })?;
        classes.entry(label).or_default().push(index);
    }
    Ok(classes.into_values().collect())
}

/// At most `most` of the numbers below `count`, evenly spaced, ascending.
pub fn evenly(most: usize, count: usize) -> impl Iterator<Item = usize> {
    let taken = most.min(count);
    (0..taken).map(move |place| (2 * place + 1) * count / (2 * taken))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_are_spread_over_all() {
        assert_eq!(evenly(24, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(evenly(4, 100).collect::<Vec<_>>(), [12, 37, 62, 87]);
        assert_eq!(evenly(4, 0).collect::<Vec<_>>(), [0; 0]);
    }

    #[test]
    fn an_epoch_of_training_holds_no_sample_twice() {
        let mut sampler = Sampler::new(&[None; 10], 3, Order::Shuffled, 1).unwrap();
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
        let mut straight = Sampler::new(&[None; 100], 7, Order::Shuffled, 1).unwrap();
        let all: Vec<_> = (0..3).flat_map(|e| (0..14).map(move |n| (e, n))).collect();
        let batches: Vec<_> = all.iter().map(|&(e, n)| straight.batch(e, n)).collect();
        let mut fresh = Sampler::new(&[None; 100], 7, Order::Shuffled, 1).unwrap();
        for (&(e, n), batch) in all.iter().zip(&batches).rev() {
            assert_eq!(&fresh.batch(e, n), batch);
        }
    }

    #[test]
    fn evaluation_takes_every_sample_once_in_order() {
        let mut sampler = Sampler::new(&[None; 10], 4, Order::Sequential, 1).unwrap();
        let batches: Vec<_> =
            (0..sampler.batches_per_epoch()).map(|n| sampler.batch(0, n)).collect();
        assert_eq!(batches, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    }

    #[test]
    fn a_batch_larger_than_the_set_is_refused_in_training_only() {
        let error = Sampler::new(&[None; 10], 11, Order::Shuffled, 1).unwrap_err().to_string();
        assert!(error.contains("11") && error.contains("10 or less"), "{error}");
        assert_eq!(
            Sampler::new(&[None; 10], 11, Order::Sequential, 1).unwrap().batches_per_epoch(),
            1
        );
        assert!(Sampler::new(&[None; 10], 0, Order::Sequential, 1).is_err());
    }

    #[test]
    fn a_balanced_epoch_has_every_class_equally_often() {
        // 90 of class 4, 9 of class 0, one of class 7.
        let label = |i| if i < 90 { 4 } else { 7 * usize::from(i == 99) };
        let labels: Vec<_> = (0..100).map(|i| Some(label(i))).collect();
        let sampler = || Sampler::new(&labels, 10, Order::Balanced, 1).unwrap();
        let epoch = |epoch| {
            let mut sampler = sampler();
            (0..10).flat_map(|number| sampler.batch(epoch, number)).collect::<Vec<_>>()
        };
        let order = epoch(3);
        for class in [0, 4, 7] {
            let of_class: Vec<_> =
                order.iter().filter(|&&i| label(i as usize) == class).copied().collect();
            assert!((33..=34).contains(&of_class.len()), "{class}: {}", of_class.len());
            // None of a class comes again before all have come.
            let size = labels.iter().filter(|&&label| label == Some(class)).count();
            for run in of_class.chunks(size) {
                let mut run = run.to_vec();
                run.sort_unstable();
                assert!(run.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
        for round in order.chunks_exact(3) {
            let mut round: Vec<_> = round.iter().map(|&i| label(i as usize)).collect();
            round.sort_unstable();
            assert_eq!(round, [0, 4, 7]);
        }
        assert_ne!(epoch(4), order);
        assert_eq!(sampler().batch(3, 7), order[70..80]);
        assert_eq!(sampler().batches_per_epoch(), 10);
        // Which samples: pinned, since they follow from what stands in a checkpoint.
        assert_eq!(order[..8], PINNED_BALANCED);

        let error = Sampler::new(&[Some(0), None], 1, Order::Balanced, 1).unwrap_err();
        assert!(error.to_string().contains("no labels"), "{error}");
    }
    const PINNED_BALANCED: [u32; 8] = [99, 91, 66, 92, 99, 28, 95, 99];

    #[test]
    fn what_stands_twice_in_an_epoch_is_drawn_anew() {
        let labels: Vec<_> = (0..8).map(|i| Some(usize::from(i > 0))).collect();
        let mut sampler = Sampler::new(&labels, 4, Order::Balanced, 1).unwrap();
        let mut draws = Vec::new();
        for number in 0..2 {
            let indices = sampler.batch(0, number);
            draws.extend(sampler.draws(number, &indices));
            assert!(draws.iter().rev().zip(indices.iter().rev()).all(|(d, i)| *d as u32 == *i));
        }
        draws.sort_unstable();
        draws.dedup();
        assert_eq!(draws.len(), 8);
        let shuffled = Sampler::new(&labels, 4, Order::Shuffled, 1).unwrap();
        assert_eq!(shuffled.draws(1, &[3, 7]), [3, 7]);
    }
}
