//! Which pictures are normal, by their labels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use fcmae_words::{counted, grouped};

use crate::failure::Usage;

/// What labels say of the pictures.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kinds {
    /// The places of the pictures of --normal that are taken.
    pub(super) taken: Vec<usize>,
    /// The labels of normal pictures among --data; none if unknown.
    pub(super) normal: Option<BTreeSet<String>>,
    /// Notes on that.
    pub(super) notes: Vec<String>,
}

impl Kinds {
    /// From the labels `asked` for, those of --normal and --data, and the class of --normal as a whole, if its name
    /// is one.
    ///
    /// # Errors
    /// Labels asked for that no picture has, or none of --normal.
    pub(super) fn of(
        asked: &[String],
        normal: &[Option<String>],
        whole: Option<&str>,
        data: &[Option<String>],
    ) -> Result<Self> {
        match asked {
            [] => Ok(Self::by_themselves(normal, whole, data)),
            _ => Self::asked(asked, normal, data),
        }
    }

    fn asked(asked: &[String], normal: &[Option<String>], data: &[Option<String>]) -> Result<Self> {
        let [ours, theirs] = [normal, data].map(counts);
        for name in asked {
            if !ours.contains_key(name.as_str()) && !theirs.contains_key(name.as_str()) {
                let known: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
                let known = match known.is_empty() {
                    true => "neither --normal nor --data has labels".to_owned(),
                    false => format!("the labels are {}", named(known)),
                };
                let text = format!("--normal-label {name}: no picture has this label; {known}");
                return Err(Usage(text).into());
            }
        }
        let chosen: BTreeSet<String> = asked.iter().cloned().collect();
        let is_chosen = |label: &Option<String>| label.as_ref().is_some_and(|l| chosen.contains(l));
        let all = ours.is_empty();
        let taken: Vec<usize> =
            (0..normal.len()).filter(|&place| all || is_chosen(&normal[place])).collect();
        if taken.is_empty() {
            let text = format!(
                "--normal-label {}: none of the pictures of --normal has this label; its labels are {}",
                asked.join(" "),
                named(ours.keys().copied())
            );
            return Err(Usage(text).into());
        }
        let mut notes = vec![];
        if taken.len() < normal.len() {
            let (some, of) = (grouped(taken.len()), counted(normal.len(), "picture"));
            notes.push(format!("normal  {some} of {of} of --normal, by --normal-label"));
        }
        if theirs.is_empty() {
            notes.push("no AUROC: the pictures of --data have no labels".to_owned());
        }
        Ok(Self { taken, normal: Some(chosen), notes })
    }

    fn by_themselves(
        normal: &[Option<String>],
        whole: Option<&str>,
        data: &[Option<String>],
    ) -> Self {
        let taken = (0..normal.len()).collect();
        let [ours, theirs] = [normal, data].map(counts);
        let mut notes = vec![];
        if ours.len() > 1 {
            notes.push(format!(
                "--normal has {}, {}: all are taken for normal; --normal-label NAME uses only some",
                counted(ours.len(), "label"),
                with_counts(&ours)
            ));
        }
        let names: BTreeSet<&str> = match ours.is_empty() {
            true => whole.into_iter().collect(),
            false => ours.keys().copied().collect(),
        };
        let common: Vec<&str> =
            names.into_iter().filter(|name| theirs.contains_key(name)).collect();
        let normal = match common.as_slice() {
            [name] => {
                notes.push(format!(
                    "normal label  {name}, which --normal and --data both have; choose others with --normal-label NAME"
                ));
                Some(BTreeSet::from([(*name).to_owned()]))
            }
            _ if theirs.is_empty() => None,
            _ => {
                notes.push(format!(
                    "no AUROC: say with --normal-label NAME which labels of --data are normal; it has {}",
                    with_counts(&theirs)
                ));
                None
            }
        };
        Self { taken, normal, notes }
    }
}

/// How many pictures have each label.
fn counts(labels: &[Option<String>]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for label in labels.iter().flatten() {
        *counts.entry(label.as_str()).or_insert(0) += 1;
    }
    counts
}

/// The most labels that are listed by name.
const SHOWN: usize = 10;

fn with_counts(counts: &BTreeMap<&str, usize>) -> String {
    let some = counts.iter().map(|(name, count)| format!("{name} ({})", grouped(count)));
    shortened(some.collect())
}

fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    shortened(names.into_iter().map(str::to_owned).collect())
}

/// With the number of those that are left out.
fn shortened(mut names: Vec<String>) -> String {
    if names.len() > SHOWN {
        let more = names.len() - SHOWN;
        names.truncate(SHOWN);
        names.push(format!("{} more", grouped(more)));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn labels(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| (!name.is_empty()).then(|| (*name).to_owned())).collect()
    }

    fn of(asked: &[&str], normal: &[&str], whole: Option<&str>, data: &[&str]) -> Result<Kinds> {
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        Kinds::of(&asked, &labels(normal), whole, &labels(data))
    }

    fn normal(kinds: &Kinds) -> Vec<&str> {
        kinds.normal.iter().flatten().map(String::as_str).collect()
    }

    #[test]
    fn a_label_that_is_asked_for_chooses_from_both() {
        let kinds = of(&["good"], &["bad", "good", "", "good"], None, &["good", "bad"]).unwrap();
        assert_eq!((kinds.taken.as_slice(), normal(&kinds)), (&[1, 3][..], vec!["good"]));
        assert!(kinds.notes[0].contains("2 of 4 pictures of --normal"), "{:?}", kinds.notes);
        // Pictures without labels are all normal.
        let kinds = of(&["good"], &["", ""], None, &["good", "bad"]).unwrap();
        assert_eq!((kinds.taken.as_slice(), normal(&kinds)), (&[0, 1][..], vec!["good"]));
        assert!(kinds.notes.is_empty());
        let kinds = of(&["good"], &["good", "bad"], None, &["", ""]).unwrap();
        assert!(kinds.notes.iter().any(|note| note.contains("no AUROC")));
        for (asked, normal, data, says) in [
            (
                &["god"][..],
                &["good"][..],
                &["bad"][..],
                "god: no picture has this label; the labels are bad, good",
            ),
            (&["god"], &[""], &[""], "neither --normal nor --data has labels"),
            (&["bad"], &["good"], &["bad"], "its labels are good"),
        ] {
            let error = of(asked, normal, None, data).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn without_one_the_only_label_that_both_have_is_taken_and_none_is_guessed() {
        let kinds = of(&[], &["ok", "ok"], None, &["ok", "bad"]).unwrap();
        assert_eq!((kinds.taken.len(), normal(&kinds)), (2, vec!["ok"]));
        assert!(kinds.notes[0].contains("normal label  ok, which"), "{:?}", kinds.notes);
        let kinds = of(&[], &["", ""], Some("good"), &["good", "bad"]).unwrap();
        assert_eq!(normal(&kinds), ["good"]);
        // Several, or none, although one is called good.
        for normal in [&["good", "bad"][..], &["", ""], &["x", "x"]] {
            let kinds = of(&[], normal, None, &["good", "bad", "bad"]).unwrap();
            assert_eq!((kinds.normal, kinds.taken), (None, vec![0, 1]));
            let last = kinds.notes.last().unwrap();
            assert!(last.contains("are normal; it has bad (2), good (1)"), "{last}");
        }
        let kinds = of(&[], &["a", "b"], None, &["", ""]).unwrap();
        assert_eq!(kinds.notes.len(), 1);
        assert!(kinds.notes[0].contains("2 labels, a (1), b (1): all are taken for normal"));
        let many: Vec<String> = (0..20_000).map(|number| format!("{number:05}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kinds = of(&[], &many, None, &[""]).unwrap();
        assert!(kinds.notes[0].contains("00009 (1), 19,990 more:"), "{:?}", kinds.notes);
    }
}
