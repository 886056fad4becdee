//! Parts of a set: held-out pictures, and few labels.
//!
//! Which sample goes where depends on a hash of its relative path and the seed, not on its
//! position: two machines, or the same folder with a file added, agree.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fcmae_words::plural;

use super::copies::Copies;
use super::grouping::{ALONE, Grouping, share_keys};
use super::sample::{Place, Sample, portable_bytes};
use super::set::PictureSet;
use crate::error::DataError;
use crate::words::printable;

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
    /// Pages of one file stay together, as groups do, and so do several pictures of one key in archives
    /// (`KEY.left.png`, `KEY.right.png`).
    /// With labels the share is held out of every class (rounded to the nearest number); a class
    /// of two or more has at least one sample on each side, a class of one stays in the rest.
    ///
    /// # Errors
    /// `held_out` not between 0 and 1, or nothing to hold out: fewer than two samples, or no class
    /// with two.
    pub fn split(&self, held_out: f64, seed: u64) -> Result<(Self, Self), DataError> {
        self.split_with(held_out, seed, &Copies::default())
    }

    /// As [`split`](Self::split), with copies of a picture on one side together. Without copies it is the same split.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    pub fn split_with(
        &self,
        held_out: f64,
        seed: u64,
        copies: &Copies,
    ) -> Result<(Self, Self), DataError> {
        if let Some(together) = self.belongs_together() {
            return self.split_grouped(held_out, seed, &self.grouped(&together, copies)?);
        }
        check_share(held_out)?;
        let mut taken = Vec::new();
        let first = copies.firsts();
        // Copies of several classes stay in training.
        let torn: HashSet<usize> = copies.of_several_classes(self).flatten().copied().collect();
        for mut group in self.groups() {
            if group.len() < 2 {
                continue;
            }
            let count = share_of(group.len(), held_out);
            if first.is_empty() {
                self.order_by_hash(&mut group, "held out", seed);
                taken.extend_from_slice(&group[..count]);
                continue;
            }
            // Copies stand beside each other.
            let of = |index: usize| first.get(&index).copied().unwrap_or(index);
            group.sort_by_cached_key(|&index| {
                let name = portable_bytes(&self.samples[of(index)].path);
                (hash(seed, "held out", &name), index)
            });
            group.retain(|index| !torn.contains(index));
            taken.extend_from_slice(&group[..cut(&group, count, &of)]);
        }
        if taken.is_empty() && !torn.is_empty() {
            return Err(self.only_contradictory(copies));
        }
        if taken.is_empty() {
            return Err(DataError::Parameter {
                what: "set to split",
                value: format!("{}, no class with two", plural(self.len(), "picture")),
                remedy: "at least one class needs two pictures".to_owned(),
            });
        }
        taken.sort_unstable();
        Ok(self.parted(&taken))
    }

    /// Says that nothing can be held out, as pictures of several classes are copies of each other.
    fn only_contradictory(&self, copies: &Copies) -> DataError {
        let first = copies.of_several_classes(self).next().unwrap_or_default();
        let other =
            first.iter().find(|at| self.samples[**at].label != self.samples[first[0]].label);
        let named = |at: &usize| printable(&self.path(*at));
        DataError::Parameter {
            what: "set to split",
            value: format!(
                "{}, of which none can be held out: files of several classes are copies of each other (byte for byte), \
                 such as {} and {}",
                plural(self.len(), "picture"),
                first.first().map_or(String::new(), named),
                other.map_or(String::new(), named),
            ),
            remedy: "give each picture one class".to_owned(),
        }
    }

    /// What of itself belongs together: pages of a file, and the pictures of a key in archives.
    fn belongs_together(&self) -> Option<Grouping> {
        let archived = self.samples.iter().all(|s| matches!(s.place, Place::Byte { .. }));
        if archived && share_keys(self.samples.iter().map(Sample::file)) {
            return Some(Grouping::by_key());
        }
        self.samples.iter().any(Sample::is_page).then(Grouping::by_file)
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
        groups: &Groups,
    ) -> Result<(Self, Self), DataError> {
        check_share(held_out)?;
        let all = self.groups().iter().map(Vec::len).collect();
        let mut parts = GroupedParts::new(all, held_out);
        let mut order: Vec<(&String, &Group)> = groups.by_name.iter().collect();
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
                value: format!(
                    "{} in {} by {}",
                    plural(self.len(), "picture"),
                    plural(groups.len(), "group"),
                    groups.called
                ),
                remedy: "no group can be held out: at least one class needs two groups".to_owned(),
            });
        }
        taken.sort_unstable();
        Ok(self.parted(&taken))
    }

    /// The pictures that belong together. Groups that have copies of a picture in common are one.
    ///
    /// # Errors
    /// Pictures that are in no group.
    pub fn grouped(&self, grouping: &Grouping, copies: &Copies) -> Result<Groups, DataError> {
        let mut groups = BTreeMap::<String, Group>::new();
        let mut outside = Vec::new();
        // The group of each picture that has copies is called as that of the first of them.
        let mut names = HashMap::<usize, String>::new();
        let first = copies.firsts();
        for (index, sample) in self.samples.iter().enumerate() {
            let column = self.bases[sample.place.base()].group.as_deref();
            // All pages of a file are in one group.
            let Some(name) = grouping.key(sample.file(), column) else {
                outside.push(index);
                continue;
            };
            if first.contains_key(&index) {
                names.insert(index, name.clone());
            }
            let group = groups.entry(name).or_default();
            group.members.push(index);
            *group.classes.entry(sample.label.unwrap_or(0)).or_default() += 1;
        }
        if let Some(&first) = outside.first() {
            return Err(DataError::Parameter {
                what: "data.group",
                value: format!(
                    "{}, which {} of {} {} not match, such as {}",
                    grouping.pattern(),
                    outside.len(),
                    plural(self.len(), "path"),
                    if outside.len() == 1 { "does" } else { "do" },
                    printable(&self.samples[first].path)
                ),
                remedy: "write a pattern that every path matches".to_owned(),
            });
        }
        let united = unite(&mut groups, copies, &names);
        Ok(Groups { by_name: groups, united, called: grouping.called() })
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
                    remedy: "use a number above 0 and at most 1, such as 0.1".to_owned(),
                });
            }
            Amount::Count(count) if (groups.len()..=self.len()).contains(&count) => {
                share_out(count, &sizes)
            }
            Amount::Count(count) => {
                return Err(DataError::Parameter {
                    what: "number of labels",
                    value: count.to_string(),
                    remedy: format!(
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
        remedy: "use a number between 0 and 1, such as 0.1".to_owned(),
    })
}

/// How many of a class of two or more are held out.
fn share_of(pictures: usize, held_out: f64) -> usize {
    ((pictures as f64 * held_out).round() as usize).clamp(1, pictures - 1)
}

/// How many of these, about `count`, are taken so that copies stay together and some are left; none where that cannot
/// be.
fn cut(group: &[usize], count: usize, of: &impl Fn(usize) -> usize) -> usize {
    let between = |at: &usize| of(group[at - 1]) != of(group[*at]);
    let cuts = (1..group.len()).filter(between);
    cuts.min_by_key(|at| (at.abs_diff(count), *at)).unwrap_or(0)
}

/// Unites groups that have copies in common, under the first of their names, and counts those that are gone.
fn unite(
    groups: &mut BTreeMap<String, Group>,
    copies: &Copies,
    names: &HashMap<usize, String>,
) -> usize {
    let mut moved = HashMap::<String, String>::new();
    let mut united = 0;
    for set in copies.sets() {
        let now = |index: &usize| {
            let mut name = names.get(index)?;
            while let Some(next) = moved.get(name) {
                name = next;
            }
            Some(name.clone())
        };
        let of: BTreeSet<String> = set.iter().filter_map(now).collect();
        let mut of = of.into_iter();
        let Some(first) = of.next() else { continue };
        for other in of {
            let gone = groups.remove(&other).unwrap_or_default();
            let group = groups.entry(first.clone()).or_default();
            group.members.extend(gone.members);
            for (class, count) in gone.classes {
                *group.classes.entry(class).or_default() += count;
            }
            moved.insert(other, first.clone());
            united += 1;
        }
    }
    united
}

/// The pictures of a set by what they belong to.
#[derive(Debug)]
pub struct Groups {
    by_name: BTreeMap<String, Group>,
    united: usize,
    called: String,
}

impl Groups {
    /// Their names, but for those of one picture that has no value in the column of groups.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str).filter(|name| !name.starts_with(ALONE))
    }

    /// What they are found by, as messages call it.
    pub fn called(&self) -> &str {
        &self.called
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "a set has pictures, and each is in a group")]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How many were united with others since they have copies of a picture in common.
    pub fn united(&self) -> usize {
        self.united
    }
}

/// Pictures that belong together.
#[derive(Debug, Default)]
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
