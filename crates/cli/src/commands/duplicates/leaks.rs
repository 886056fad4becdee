//! Pictures of one set that have copies in another.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;
use fcmae_report::{Card, Fact, Gallery, Head, Strip};
use fcmae_vectors::Embeddings;
use fcmae_vectors::neighbours::{Pair, distinct, pairs_between};
use fcmae_words::{counted, grouped};

use super::pairs::{MOST_PAIRS, least, repeated, truncated};
use super::shown::{MOST_CARDS, MOST_ROWS, about, notes, sentence, threshold};
use crate::list::List;
use crate::thumbnails::{SIDE, Thumbnails};

const ADVICE: &str = "A test picture that was trained on makes the result look better than it is: remove it from one of the \
    two sets. A dashed orange frame marks a copy with another label.";

/// Pictures that are in another set too.
pub(super) struct Leaks<'a> {
    data: &'a Embeddings,
    against: &'a Embeddings,
    threshold: f32,
    /// `left` is of the other set, `right` of --data.
    pairs: Vec<Pair>,
    /// What is missing, if anything is.
    note: Option<String>,
}

impl<'a> Leaks<'a> {
    pub(super) fn of(
        data: &'a Embeddings,
        against: &'a Embeddings,
        threshold: f32,
    ) -> Result<Self> {
        let [left, right] = [against, data].map(|set| distinct(&set.vectors));
        let [queries, database] = [(against, &left), (data, &right)]
            .map(|(set, values)| set.vectors.select(&values.first));
        let found = pairs_between(&queries, &database, least(threshold), MOST_PAIRS)?;
        let note = truncated(&found);
        let mut pairs: Vec<Pair> = found
            .pairs
            .iter()
            .map(|pair| Pair {
                left: left.first[pair.left as usize] as u32,
                right: right.first[pair.right as usize] as u32,
                cosine: pair.cosine,
            })
            .collect();
        // What is equal to a row of a pair makes a pair with the other one.
        let mut ends: [HashMap<u32, Vec<u32>>; 2] = Default::default();
        for (ends, values) in ends.iter_mut().zip([&left, &right]) {
            for (later, first) in repeated(values) {
                ends.entry(first as u32).or_default().push(later as u32);
            }
        }
        let more: Vec<Pair> = pairs
            .iter()
            .flat_map(|&pair| {
                let lefts = ends[0].get(&pair.left).into_iter().flatten();
                let rights = ends[1].get(&pair.right).into_iter().flatten();
                let lefts = lefts.map(move |&left| Pair { left, ..pair });
                lefts.chain(rights.map(move |&right| Pair { right, ..pair }))
            })
            .collect();
        pairs.extend(more);
        pairs.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        Ok(Self { data, against, threshold, pairs, note })
    }

    /// The rows of --data that have a copy in the other set.
    pub(super) fn spare(&self) -> HashSet<usize> {
        self.pairs.iter().map(|pair| pair.right as usize).collect()
    }

    /// What is missing, if anything is.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn labels(&self, pair: &Pair) -> [Option<&String>; 2] {
        let of = |set: &'a Embeddings, row: u32| set.labels[row as usize].as_ref();
        [of(self.data, pair.right), of(self.against, pair.left)]
    }

    fn differs(&self, pair: &Pair) -> bool {
        let [one, other] = self.labels(pair);
        one.zip(other).is_some_and(|(one, other)| one != other)
    }

    /// How many of both sets, and of pairs with different labels.
    fn counts(&self) -> [usize; 3] {
        let of = |row: fn(&Pair) -> u32| self.pairs.iter().map(row).collect::<BTreeSet<_>>().len();
        let differing = self.pairs.iter().filter(|pair| self.differs(pair)).count();
        [of(|pair| pair.right), of(|pair| pair.left), differing]
    }

    /// In a line; `sets` are what the two sets are called.
    pub(super) fn summary(&self, sets: [&str; 2]) -> String {
        let [known, found, differing] = self.counts();
        let of = [self.data, self.against].map(|set| counted(set.names.len(), "picture"));
        if self.pairs.is_empty() {
            return format!("no copies of {} of {} among {} of {}", of[0], sets[0], of[1], sets[1]);
        }
        let mut summary = format!(
            "{} of {} of {} {} like copies of {} of {}",
            grouped(found),
            of[1],
            sets[1],
            if found == 1 { "looks" } else { "look" },
            grouped(known),
            sets[0]
        );
        if differing > 0 {
            summary += &format!("; {} with different labels", counted(differing, "pair"));
        }
        summary
    }

    pub(super) fn list(&self) -> String {
        let mut list = List::new(["path", "against", "similarity", "label", "against_label"]);
        for pair in &self.pairs {
            let [label, other] = self.labels(pair).map(|label| label.map_or("", String::as_str));
            let (path, against) =
                (&self.data.names[pair.right as usize], &self.against.names[pair.left as usize]);
            list.row([path, against, &format!("{:.6}", pair.cosine), label, other]);
        }
        list.text()
    }

    /// The page, called so.
    pub(super) fn page(&self, title: String, thumbnails: &Thumbnails) -> Gallery {
        let mut of: BTreeMap<u32, Vec<&Pair>> = BTreeMap::new();
        self.pairs.iter().for_each(|pair| of.entry(pair.left).or_default().push(pair));
        let mut all: Vec<(u32, Vec<&Pair>)> = of.into_iter().collect();
        let differs = |pairs: &[&Pair]| pairs.iter().any(|pair| self.differs(pair));
        // Pairs stand with the most alike first.
        all.sort_by(|(_, a), (_, b)| {
            differs(b).cmp(&differs(a)).then(b[0].cosine.total_cmp(&a[0].cosine))
        });
        let shown = &all[..all.len().min(MOST_ROWS)];
        let names = shown.iter().flat_map(|(left, pairs)| {
            let others =
                pairs.iter().take(MOST_CARDS).map(|pair| &self.data.names[pair.right as usize]);
            others.chain([&self.against.names[*left as usize]])
        });
        let drawn = thumbnails.draw(names.map(String::as_str), SIDE);
        let row = |(left, pairs): &(u32, Vec<&Pair>)| {
            let other = |pair: &&Pair| Card {
                differs: self.differs(pair),
                ..drawn.card(self.data, pair.right as usize, about(pair.cosine))
            };
            Strip {
                first: Some(drawn.card(self.against, *left as usize, String::new())),
                cards: pairs.iter().take(MOST_CARDS).map(other).collect(),
                left_out: pairs.len().saturating_sub(MOST_CARDS),
                ..Strip::default()
            }
        };
        let [known, found, differing] = self.counts();
        let fact =
            |label, figure: usize, about: String| Fact { label, figure: grouped(figure), about };
        Gallery {
            head: Head {
                kind: "Copies in two sets".to_owned(),
                title,
                lead: sentence(&self.summary(["the first set", "the second set"])),
                facts: vec![
                    fact(
                        "Of the second set",
                        found,
                        format!("of {}", grouped(self.against.names.len())),
                    ),
                    fact(
                        "Of the first set",
                        known,
                        format!("of {}", grouped(self.data.names.len())),
                    ),
                    fact(
                        "Pairs with different labels",
                        differing,
                        "if they are copies, one label of each pair is wrong".to_owned(),
                    ),
                ],
                reading: vec![threshold(self.threshold), ADVICE.to_owned()],
                notes: notes(&drawn, &self.note, [shown.len(), all.len()], "picture"),
            },
            heading: "Pictures of the second set, and their copies in the first",
            rows: shown.iter().map(row).collect(),
        }
    }
}
