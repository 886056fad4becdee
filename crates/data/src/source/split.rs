//! Parts of a set: held-out pictures, and few labels.
//!
//! Which sample goes where depends on a hash of its relative path and the seed, not on its
//! position: two machines, or the same folder with a file added, agree.

use std::collections::{BTreeMap, BTreeSet};

use fcmae_words::plural;

use super::grouping::Grouping;
use super::sample::{Sample, portable_bytes};
use super::set::PictureSet;
use crate::error::DataError;
use crate::words::{legible, printable};

/// How many labelled samples to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A share of every class, in (0, 1].
    Fraction(f64),
    /// A number of samples over all classes together, shared out in proportion.
    Count(usize),
}

impl PictureSet {
    /// Two parts: the rest, and about `held_out` of the samples.
    ///
    /// Pages of one file stay together, as groups do.
    /// With labels the share is held out of every class (rounded to the nearest number); a class
    /// of two or more has at least one sample on each side, a class of one stays in the rest.
    ///
    /// # Errors
    /// `held_out` not between 0 and 1, or nothing to hold out: fewer than two samples, or no class
    /// with two.
    pub fn split(&self, held_out: f64, seed: u64) -> Result<(Self, Self), DataError> {
        if self.samples.iter().any(Sample::is_page) {
            return self.split_by_groups(held_out, seed, None);
        }
        check_share(held_out)?;
        let mut taken = Vec::new();
        for mut group in self.groups() {
            if group.len() < 2 {
                continue;
            }
            let count = share_of(group.len(), held_out);
            self.order_by_hash(&mut group, "held out", seed);
            taken.extend_from_slice(&group[..count]);
        }
        if taken.is_empty() {
            return Err(DataError::Parameter {
                what: "set to split",
                value: format!("{}, no class with two", plural(self.len(), "picture")),
                mend: "at least one class needs two pictures".to_owned(),
            });
        }
        taken.sort_unstable();
        Ok(self.parted(&taken))
    }

    /// As [`split`](Self::split), with the pictures of a group on one side together. Groups are taken, in an order
    /// that follows from their names and `seed`, as long as they bring the classes nearer to their shares; of a class
    /// that lies in several groups, some pictures are on each side. The share is met as well as groups allow.
    ///
    /// # Errors
    /// As [`split`](Self::split); pictures that are in no group; groups of which none can be held out.
    pub fn split_grouped(
        &self,
        held_out: f64,
        seed: u64,
        grouping: &Grouping,
    ) -> Result<(Self, Self), DataError> {
        self.split_by_groups(held_out, seed, Some(grouping))
    }

    fn split_by_groups(
        &self,
        held_out: f64,
        seed: u64,
        grouping: Option<&Grouping>,
    ) -> Result<(Self, Self), DataError> {
        check_share(held_out)?;
        let groups = self.grouped(grouping)?;
        let all = self.groups().iter().map(Vec::len).collect();
        let mut parts = GroupedParts::new(all, held_out);
        let mut order: Vec<(&String, &Group)> = groups.iter().collect();
        order.sort_by_cached_key(|(name, _)| hash(seed, "held-out groups", name.as_bytes()));
        let mut taken: Vec<usize> = Vec::new();
        // First what brings more than it overshoots, then some of each class that has none yet.
        for last in [false, true] {
            order.retain(|(_, group)| {
                let takes = parts.takes(group, last);
                if takes {
                    taken.extend_from_slice(&group.members);
                }
                !takes
            });
        }
        if taken.is_empty() {
            return Err(DataError::Parameter {
                what: "set to split",
                value: match grouping {
                    Some(grouping) => format!(
                        "{} in {} by the pattern `{}`",
                        plural(self.len(), "picture"),
                        plural(groups.len(), "group"),
                        grouping.pattern()
                    ),
                    None => format!(
                        "{} in {}, whose pages stay together",
                        plural(self.len(), "picture"),
                        plural(groups.len(), "file")
                    ),
                },
                mend: match grouping {
                    Some(_) => "no group can be held out: at least one class needs two groups",
                    None => "no file can be held out: at least one class needs two files",
                }
                .to_owned(),
            });
        }
        taken.sort_unstable();
        Ok(self.parted(&taken))
    }

    /// The names of all groups.
    ///
    /// # Errors
    /// Pictures that are in no group.
    pub fn group_names(&self, grouping: &Grouping) -> Result<BTreeSet<String>, DataError> {
        Ok(self.grouped(Some(grouping))?.into_keys().collect())
    }

    /// The pictures of each group, by its name; without a grouping those of each file.
    fn grouped(&self, grouping: Option<&Grouping>) -> Result<BTreeMap<String, Group>, DataError> {
        let mut groups = BTreeMap::<String, Group>::new();
        let mut outside = Vec::new();
        for (index, sample) in self.samples.iter().enumerate() {
            // All pages of a file are in one group.
            let name = match grouping {
                Some(grouping) => grouping.key(sample.file()),
                None => Some(legible(&portable_bytes(sample.file()))),
            };
            let Some(name) = name else {
                outside.push(index);
                continue;
            };
            let group = groups.entry(name).or_default();
            group.members.push(index);
            *group.classes.entry(sample.label.unwrap_or(0)).or_default() += 1;
        }
        if let (Some(&first), Some(grouping)) = (outside.first(), grouping) {
            return Err(DataError::Parameter {
                what: "pattern of groups",
                value: format!(
                    "`{}`, which {} of {} do not match, such as {}",
                    grouping.pattern(),
                    outside.len(),
                    plural(self.len(), "path"),
                    printable(&self.samples[first].path)
                ),
                mend: "write one that every path matches".to_owned(),
            });
        }
        Ok(groups)
    }

    /// What is not at `taken` (ascending), and what is.
    fn parted(&self, taken: &[usize]) -> (Self, Self) {
        let rest: Vec<usize> =
            (0..self.len()).filter(|index| taken.binary_search(index).is_err()).collect();
        (self.subset(&rest), self.subset(taken))
    }

    /// A subset with few labels: the same share of every class, at least one sample of each.
    /// Of a class, a larger amount with the same seed keeps the samples of a smaller one.
    ///
    /// # Errors
    /// A fraction outside (0, 1], a count of more samples than there are or fewer than there are
    /// classes with samples.
    pub fn take_labels(&self, amount: Amount, seed: u64) -> Result<Self, DataError> {
        if amount == Amount::Fraction(1.0) {
            return Ok(self.clone());
        }
        let mut groups = self.groups();
        groups.retain(|group| !group.is_empty());
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        let counts = match amount {
            Amount::Fraction(fraction) if fraction > 0.0 && fraction <= 1.0 => sizes
                .iter()
                .map(|&size| ((size as f64 * fraction).round() as usize).clamp(1, size))
                .collect(),
            Amount::Fraction(fraction) => {
                return Err(DataError::Parameter {
                    what: "share of labels",
                    value: fraction.to_string(),
                    mend: "use a number above 0 and at most 1, such as 0.1".to_owned(),
                });
            }
            Amount::Count(count) if (groups.len()..=self.len()).contains(&count) => {
                share_out(count, &sizes)
            }
            Amount::Count(count) => {
                return Err(DataError::Parameter {
                    what: "number of labels",
                    value: count.to_string(),
                    mend: format!(
                        "use {} (one for each class) to {} (all)",
                        groups.len(),
                        self.len()
                    ),
                });
            }
        };
        let mut taken = Vec::new();
        for (group, count) in groups.iter_mut().zip(counts) {
            self.order_by_hash(group, "labels", seed);
            taken.extend_from_slice(&group[..count]);
        }
        taken.sort_unstable();
        Ok(self.subset(&taken))
    }

    /// Positions by class, or all in one group without labels.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups = vec![Vec::new(); self.classes.len().max(1)];
        for (index, sample) in self.samples.iter().enumerate() {
            groups[sample.label.unwrap_or(0)].push(index);
        }
        groups
    }

    fn order_by_hash(&self, group: &mut [usize], purpose: &str, seed: u64) {
        group.sort_by_cached_key(|&index| {
            hash(seed, purpose, &portable_bytes(&self.samples[index].path))
        });
    }
}

/// Places in an order that depends on names alone.
fn hash(seed: u64, purpose: &str, name: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("fcmae 2026 split of a folder");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(purpose.len() as u64).to_le_bytes());
    hasher.update(purpose.as_bytes());
    hasher.update(name);
    *hasher.finalize().as_bytes()
}

fn check_share(held_out: f64) -> Result<(), DataError> {
    if held_out > 0.0 && held_out < 1.0 {
        return Ok(());
    }
    Err(DataError::Parameter {
        what: "held-out share",
        value: held_out.to_string(),
        mend: "use a number between 0 and 1, such as 0.1".to_owned(),
    })
}

/// How many of a class of two or more are held out.
fn share_of(pictures: usize, held_out: f64) -> usize {
    ((pictures as f64 * held_out).round() as usize).clamp(1, pictures - 1)
}

/// Pictures that belong together.
#[derive(Default)]
struct Group {
    /// Positions in the set.
    members: Vec<usize>,
    /// How many there are of each class.
    classes: BTreeMap<usize, usize>,
}

/// How much of each class is held out, while groups are chosen.
struct GroupedParts {
    all: Vec<usize>,
    wanted: Vec<usize>,
    held_out: Vec<usize>,
}

impl GroupedParts {
    fn new(all: Vec<usize>, held_out: f64) -> Self {
        let wanted = |&all: &usize| if all < 2 { 0 } else { share_of(all, held_out) };
        Self { wanted: all.iter().map(wanted).collect(), held_out: vec![0; all.len()], all }
    }

    /// Takes a group in where it is worth it: every class stays in training, and more is won than is too much. The
    /// `last` time, where a class of it has none held out yet.
    fn takes(&mut self, group: &Group, last: bool) -> bool {
        let classes = || group.classes.iter().map(|(&class, &count)| (class, count));
        let stays = classes().all(|(class, count)| self.held_out[class] + count < self.all[class]);
        let lack = |class: usize| self.wanted[class].saturating_sub(self.held_out[class]);
        let won: usize = classes().map(|(class, count)| count.min(lack(class))).sum();
        let beyond: usize = classes().map(|(class, count)| count - count.min(lack(class))).sum();
        let worth = match last {
            false => won > beyond,
            true => classes().any(|(class, _)| self.held_out[class] == 0 && lack(class) > 0),
        };
        if stays && worth {
            classes().for_each(|(class, count)| self.held_out[class] += count);
        }
        stays && worth
    }
}

/// `count` shared over groups in proportion to their sizes, each at least 1 and at most its size:
/// one each, then the next always to the group furthest below its share.
fn share_out(count: usize, sizes: &[usize]) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let mut counts: Vec<usize> = sizes
        .iter()
        .map(|&size| ((size as u128 * count as u128 / total as u128) as usize).max(1))
        .collect();
    let lack = |counts: &[usize], i: usize| {
        (sizes[i] as u128 * count as u128) as i128 - (counts[i] as u128 * total as u128) as i128
    };
    loop {
        let given: usize = counts.iter().sum();
        if given < count {
            let open = (0..sizes.len()).filter(|&i| counts[i] < sizes[i]);
            let Some(i) = open.max_by_key(|&i| (lack(&counts, i), std::cmp::Reverse(i))) else {
                break;
            };
            counts[i] += 1;
        } else if given > count {
            let open = (0..sizes.len()).filter(|&i| counts[i] > 1);
            let Some(i) = open.min_by_key(|&i| (lack(&counts, i), i)) else { break };
            counts[i] -= 1;
        } else {
            break;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shared_in_proportion() {
        assert_eq!(share_out(10, &[50, 50]), [5, 5]);
        assert_eq!(share_out(3, &[50, 50]), [2, 1]);
        assert_eq!(share_out(10, &[97, 1, 2]), [8, 1, 1]);
        assert_eq!(share_out(3, &[1000, 1, 1]), [1, 1, 1]);
        assert_eq!(share_out(12, &[10, 1, 1]), [10, 1, 1]);
    }
}
