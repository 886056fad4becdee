//! Pictures of one set that are copies of each other.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::Result;
use fcmae_report::{Fact, Gallery, Head, Strip};
use fcmae_vectors::Embeddings;
use fcmae_vectors::neighbours::{Pair, distinct, groups, pairs_above};
use fcmae_words::{counted, grouped, list};

use super::pairs::{MOST_PAIRS, least, repeated, truncated};
use super::shown::{MOST_CARDS, MOST_ROWS, about, notes, sentence, threshold};
use crate::list::List;
use crate::thumbnails::{SIDE, Thumbnails};

const ADVICE: &str = "Copies count twice in training, and where one is held out and the other trained on, the result \
    looks better than it is: keep one of each group. Where copies have different labels, at least one label is wrong.";

/// Pictures that are copies of each other.
pub(super) struct Groups<'a> {
    data: &'a Embeddings,
    threshold: f32,
    /// Those with several labels first, then the most alike.
    groups: Vec<Group>,
    /// What is missing, if anything is.
    note: Option<String>,
}

struct Group {
    /// Each picture, with its similarity to the most alike of the others.
    members: Vec<(usize, f32)>,
    /// The labels, if there are several.
    labels: Vec<String>,
}

impl<'a> Groups<'a> {
    pub(super) fn of(data: &'a Embeddings, threshold: f32) -> Result<Self> {
        // A picture that is there thousands of times would have millions of pairs with itself.
        let values = distinct(&data.vectors);
        let others = data.vectors.select(&values.first);
        let found = pairs_above(&others, least(threshold), MOST_PAIRS)?;
        let note = truncated(&found);
        let row = |place: u32| values.first[place as usize] as u32;
        let alike = found.pairs.iter().map(|pair| Pair {
            left: row(pair.left),
            right: row(pair.right),
            cosine: pair.cosine,
        });
        let equal = repeated(&values).map(|(later, first)| Pair {
            left: first as u32,
            right: later as u32,
            cosine: 1.0,
        });
        let pairs: Vec<Pair> = alike.chain(equal).collect();
        let mut nearest: HashMap<usize, f32> = HashMap::new();
        for Pair { left, right, cosine } in &pairs {
            for row in [*left as usize, *right as usize] {
                let most = nearest.entry(row).or_insert(*cosine);
                *most = most.max(*cosine);
            }
        }
        let mut groups: Vec<Group> = groups(data.names.len(), &pairs)?
            .into_iter()
            .map(|rows| Group {
                labels: several(rows.iter().map(|&row| data.labels[row].as_ref())),
                members: rows.into_iter().map(|row| (row, nearest[&row])).collect(),
            })
            .collect();
        let most = |group: &Group| group.members.iter().map(|member| member.1).fold(0.0, f32::max);
        groups.sort_by(|a, b| {
            a.labels.is_empty().cmp(&b.labels.is_empty()).then(most(b).total_cmp(&most(a)))
        });
        Ok(Self { data, threshold, groups, note })
    }

    /// The rows that can go: all but the first of each group.
    pub(super) fn spare(&self) -> HashSet<usize> {
        let others = self.groups.iter().flat_map(|group| &group.members[1..]);
        others.map(|&(row, _)| row).collect()
    }

    /// Pictures in groups.
    fn pictures(&self) -> usize {
        self.groups.iter().map(|group| group.members.len()).sum()
    }

    /// What is missing, if anything is.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    pub(super) fn contradictions(&self) -> usize {
        self.groups.iter().filter(|group| !group.labels.is_empty()).count()
    }

    pub(super) fn summary(&self) -> String {
        let of = counted(self.data.names.len(), "picture");
        if self.groups.is_empty() {
            return format!("no copies among {of}");
        }
        let mut summary = format!(
            "{} of {of} look like copies, in {}",
            grouped(self.pictures()),
            counted(self.groups.len(), "group")
        );
        if self.contradictions() > 0 {
            summary +=
                &format!("; {} with different labels", counted(self.contradictions(), "group"));
        }
        summary
    }

    pub(super) fn list(&self) -> String {
        let mut list = List::new(["group", "path", "label", "similarity"]);
        for (number, group) in (1_usize..).zip(&self.groups) {
            for &(row, cosine) in &group.members {
                let label = self.data.labels[row].as_deref().unwrap_or_default();
                let (number, cosine) = (number.to_string(), format!("{cosine:.6}"));
                list.row([&number, &self.data.names[row], label, &cosine]);
            }
        }
        list.text()
    }

    /// The page, called so.
    pub(super) fn page(&self, title: String, thumbnails: &Thumbnails) -> Gallery {
        let groups = &self.groups[..self.groups.len().min(MOST_ROWS)];
        let names = groups
            .iter()
            .flat_map(|group| group.members.iter().take(MOST_CARDS))
            .map(|&(row, _)| self.data.names[row].as_str());
        let drawn = thumbnails.draw(names, SIDE);
        let row = |group: &Group| {
            let card = |&(row, cosine): &(usize, f32)| drawn.card(self.data, row, about(cosine));
            Strip {
                title: match group.labels.as_slice() {
                    [] => counted(group.members.len(), "picture"),
                    labels => contradiction(labels),
                },
                warning: !group.labels.is_empty(),
                cards: group.members.iter().take(MOST_CARDS).map(card).collect(),
                left_out: group.members.len().saturating_sub(MOST_CARDS),
                first: None,
            }
        };
        let fact = |label, figure: usize, about: &str| Fact {
            label,
            figure: grouped(figure),
            about: about.to_owned(),
        };
        let could_go = self.pictures() - self.groups.len();
        Gallery {
            head: Head {
                kind: "Copies".to_owned(),
                title,
                lead: sentence(&self.summary()),
                facts: vec![
                    fact(
                        "Groups of copies",
                        self.groups.len(),
                        "those with different labels come first",
                    ),
                    fact(
                        "Pictures that could be removed",
                        could_go,
                        "if all are copies, and one of each group stays",
                    ),
                    fact(
                        "Groups with different labels",
                        self.contradictions(),
                        "if they are copies, one label of each group is wrong",
                    ),
                ],
                reading: vec![threshold(self.threshold), ADVICE.to_owned()],
                notes: notes(&drawn, &self.note, [groups.len(), self.groups.len()], "group"),
            },
            heading: "Groups",
            rows: groups.iter().map(row).collect(),
        }
    }
}

/// The labels, if there are several.
fn several<'a>(labels: impl Iterator<Item = Option<&'a String>>) -> Vec<String> {
    let labels: BTreeSet<&String> = labels.flatten().collect();
    if labels.len() < 2 { vec![] } else { labels.into_iter().cloned().collect() }
}

fn contradiction(labels: &[String]) -> String {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    format!("Different labels: {}", list(&labels))
}
