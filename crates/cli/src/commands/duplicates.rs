//! `fcmae duplicates`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use fcmae_report::{Card, Fact, Gallery, Head, Strip};
use fcmae_vectors::Embeddings;
use fcmae_vectors::neighbours::{
    Distinct, Pair, Pairs, distinct, groups, mean_cosine, pairs_above, pairs_between,
};
use fcmae_words::{counted, grouped, list};

use crate::output;
use crate::thumbnails::{Drawn, SIDE, SheetArgs, Thumbnails};
use crate::vectors::{Read, VectorsArgs, title};

/// Most pairs that are kept: the most alike.
const MOST_PAIRS: usize = 2_000_000;
/// A mean cosine from which on features are nearly the same, whatever they are of.
const COLLAPSED: f64 = 0.95;
/// Most rows of the sheet, and most pictures of a row.
const MOST_ROWS: usize = 200;
const MOST_CARDS: usize = 20;

/// Find pictures that are there twice, or in two sets such as training and test
#[derive(Args)]
#[command(after_help = "\
Pictures whose features have a cosine of --threshold or more are taken for copies, and chains of
copies for a group. With weights that were pre-trained on pictures of the kind, 0.99 finds nearly
all files that were saved anew as JPEG, about 8 of 10 of another size, half of those made brighter
or turned a little, and few mirrored or cropped ones; most of these from 0.95 on, among many that
only look alike. Pictures of a series that hardly differ are found too: look at --sheet before you
delete anything.

The list has the columns group, path, label and similarity, that to the most alike of the group;
with --against, path, against, similarity, label and against_label, a line a pair. Without --out
and --sheet it is printed.

Examples:
  fcmae duplicates --data pictures --weights runs/pretrain --sheet copies.html
  fcmae duplicates --data train --against test --weights runs/pretrain --out leaks.csv
  fcmae duplicates --data pictures.parquet --threshold 0.97 --sheet alike.html --pictures pictures")]
pub(crate) struct Duplicates {
    /// Folders of pictures, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet files. Without
    /// --weights, files that `fcmae embed` wrote
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    /// Other pictures, as --data, such as those of a test: which of --data are among them
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    against: Vec<PathBuf>,

    #[command(flatten)]
    vectors: VectorsArgs,

    /// The least cosine of the features of two copies
    #[arg(long, value_name = "COSINE", default_value_t = 0.99, value_parser = cosine)]
    threshold: f32,

    /// The list to write, a .csv file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    sheet: SheetArgs,

    /// Replace files that exist
    #[arg(long)]
    overwrite: bool,
}

fn cosine(text: &str) -> Result<f32, String> {
    let known = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    known.ok_or_else(|| "use a number from 0 to 1, such as 0.99".to_owned())
}

pub(super) fn run(args: &Duplicates) -> Result<()> {
    let inputs = [args.data.as_slice(), &args.against];
    args.sheet.check(args.out.as_deref(), args.overwrite, inputs)?;
    let source = args.vectors.open("duplicates")?;
    let data = source.read_with_pictures(&args.data)?.with_direction();
    data.check(&args.data)?;
    refuse_collapsed(&data.rows, args.threshold, &args.data)?;
    let against = source.read_other(&data.rows, &args.against)?;
    if let Some(read) = &against {
        refuse_collapsed(&read.rows, args.threshold, &args.against)?;
    }
    let shown: Vec<&Read> = std::iter::once(&data).chain(&against).collect();
    let thumbnails = args.sheet.thumbnails(&source, &shown)?;
    let found = match &against {
        None => Found::Groups(Groups::of(&data.rows, args.threshold)?),
        Some(against) => Found::Leaks(Leaks::of(&data.rows, &against.rows, args.threshold)?),
    };
    if let Some((sheet, thumbnails)) = args.sheet.sheet.as_ref().zip(thumbnails) {
        let page = found.page(args, &thumbnails).to_html();
        output::write_result(sheet, page.as_bytes())?;
    }
    match args.sheet.write_list(args.out.as_deref(), || found.list(), &found.told())? {
        Some(written) => output::print(&written),
        None => {
            output::note(&found.told());
            output::print(&String::from_utf8(found.list()?)?)
        }
    }
}

/// Refuses features by which every picture would be a copy of every other.
fn refuse_collapsed(found: &Embeddings, threshold: f32, paths: &[PathBuf]) -> Result<()> {
    // Pictures that are there many times say nothing of the network.
    let others = found.vectors.select(&distinct(&found.vectors).first);
    let mean = mean_cosine(&others)?;
    if others.len() < 3 || mean < f64::from(threshold) {
        return Ok(());
    }
    let paths = output::arguments(paths);
    if mean < COLLAPSED {
        bail!(
            "{paths}: pictures of this set have a mean cosine of {mean:.4}, so that with --threshold {threshold} nearly \
             all would be copies of each other: give a higher one, such as 0.99"
        );
    }
    bail!(
        "{paths}: the features of all pictures are nearly the same (their mean cosine is {mean:.4}), so that all would be \
         copies of each other: the network has collapsed or was not trained; use other weights or other --features, \
         or if the pictures are that much alike, a --threshold nearer to 1"
    )
}

enum Found<'a> {
    Groups(Groups<'a>),
    Leaks(Leaks<'a>),
}

impl Found<'_> {
    fn told(&self) -> String {
        match self {
            Self::Groups(groups) => groups.told(),
            Self::Leaks(leaks) => leaks.told(["--data", "--against"]),
        }
    }

    fn list(&self) -> Result<Vec<u8>> {
        match self {
            Self::Groups(groups) => groups.list(),
            Self::Leaks(leaks) => leaks.list(),
        }
    }

    fn page(&self, args: &Duplicates, thumbnails: &Thumbnails) -> Gallery {
        match self {
            Self::Groups(groups) => groups.page(args, thumbnails),
            Self::Leaks(leaks) => leaks.page(args, thumbnails),
        }
    }
}

/// Of more pairs than are kept: what is to be said of it, also to the terminal.
fn truncated(found: &Pairs) -> Option<String> {
    let least = found.pairs.last().filter(|_| found.truncated)?.cosine;
    let text = format!(
        "More than {} pairs are alike: only those with a cosine of {least:.4} or more are used, and copies may be \
         missing. Give a higher --threshold.",
        grouped(MOST_PAIRS)
    );
    output::note(&text);
    Some(text)
}

/// Each row that is equal to an earlier one, with the first of them.
fn repeated(found: &Distinct) -> impl Iterator<Item = (usize, usize)> {
    let first = found.of.iter().map(|&place| found.first[place]);
    first.enumerate().filter(|(row, first)| row != first)
}

/// Pictures that are copies of each other.
struct Groups<'a> {
    data: &'a Embeddings,
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
    fn of(data: &'a Embeddings, threshold: f32) -> Result<Self> {
        // A picture that is there thousands of times would have millions of pairs with itself.
        let values = distinct(&data.vectors);
        let others = data.vectors.select(&values.first);
        let found = pairs_above(&others, threshold, MOST_PAIRS)?;
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
        Ok(Self { data, groups, note })
    }

    /// Pictures in groups.
    fn pictures(&self) -> usize {
        self.groups.iter().map(|group| group.members.len()).sum()
    }

    fn contradictions(&self) -> usize {
        self.groups.iter().filter(|group| !group.labels.is_empty()).count()
    }

    fn told(&self) -> String {
        let of = counted(self.data.names.len(), "picture");
        if self.groups.is_empty() {
            return format!("no copies among {of}");
        }
        let mut told = format!(
            "{} of {of} look like copies, in {}",
            grouped(self.pictures()),
            counted(self.groups.len(), "group")
        );
        if self.contradictions() > 0 {
            told += &format!("; {} with different labels", counted(self.contradictions(), "group"));
        }
        told
    }

    fn list(&self) -> Result<Vec<u8>> {
        let mut out = csv::Writer::from_writer(vec![]);
        out.write_record(["group", "path", "label", "similarity"])?;
        for (number, group) in (1_usize..).zip(&self.groups) {
            for &(row, cosine) in &group.members {
                let label = self.data.labels[row].as_deref().unwrap_or_default();
                let (number, cosine) = (number.to_string(), format!("{cosine:.6}"));
                out.write_record([&number, &self.data.names[row], label, &cosine])?;
            }
        }
        Ok(out.into_inner()?)
    }

    fn page(&self, args: &Duplicates, thumbnails: &Thumbnails) -> Gallery {
        let groups = &self.groups[..self.groups.len().min(MOST_ROWS)];
        let names = groups
            .iter()
            .flat_map(|group| group.members.iter().take(MOST_CARDS))
            .map(|&(row, _)| self.data.names[row].as_str());
        let drawn = thumbnails.draw(names, SIDE);
        let row = |group: &Group| {
            let card = |&(row, cosine): &(usize, f32)| card(self.data, row, Some(cosine), &drawn);
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
                title: title(&args.data),
                lead: sentence(&self.told()),
                facts: vec![
                    fact("Groups of copies", self.groups.len(), "the most alike come first"),
                    fact(
                        "Pictures that could go",
                        could_go,
                        "where one of each group stays, if all are copies",
                    ),
                    fact(
                        "Groups with different labels",
                        self.contradictions(),
                        "if they are copies, a label of each is wrong",
                    ),
                ],
                reading: reading(args, false),
                notes: notes(&drawn, &self.note, [groups.len(), self.groups.len()], "group"),
            },
            heading: "Groups",
            rows: groups.iter().map(row).collect(),
        }
    }
}

/// Pictures that are in another set too.
struct Leaks<'a> {
    data: &'a Embeddings,
    against: &'a Embeddings,
    /// `left` is of the other set, `right` of --data.
    pairs: Vec<Pair>,
    /// What is missing, if anything is.
    note: Option<String>,
}

impl<'a> Leaks<'a> {
    fn of(data: &'a Embeddings, against: &'a Embeddings, threshold: f32) -> Result<Self> {
        let [left, right] = [against, data].map(|set| distinct(&set.vectors));
        let [queries, database] = [(against, &left), (data, &right)]
            .map(|(set, values)| set.vectors.select(&values.first));
        let found = pairs_between(&queries, &database, threshold, MOST_PAIRS)?;
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
        Ok(Self { data, against, pairs, note })
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
    fn told(&self, sets: [&str; 2]) -> String {
        let [known, found, differing] = self.counts();
        let of = [self.data, self.against].map(|set| counted(set.names.len(), "picture"));
        if self.pairs.is_empty() {
            return format!("no copies of {} of {} among {} of {}", of[0], sets[0], of[1], sets[1]);
        }
        let mut told = format!(
            "{} of {} of {} look like copies of {} of {}",
            grouped(found),
            of[1],
            sets[1],
            grouped(known),
            sets[0]
        );
        if differing > 0 {
            told += &format!("; {} with different labels", counted(differing, "pair"));
        }
        told
    }

    fn list(&self) -> Result<Vec<u8>> {
        let mut out = csv::Writer::from_writer(vec![]);
        out.write_record(["path", "against", "similarity", "label", "against_label"])?;
        for pair in &self.pairs {
            let [label, other] = self.labels(pair).map(|label| label.map_or("", String::as_str));
            let (path, against) =
                (&self.data.names[pair.right as usize], &self.against.names[pair.left as usize]);
            out.write_record([path, against, &format!("{:.6}", pair.cosine), label, other])?;
        }
        Ok(out.into_inner()?)
    }

    fn page(&self, args: &Duplicates, thumbnails: &Thumbnails) -> Gallery {
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
                ..card(self.data, pair.right as usize, Some(pair.cosine), &drawn)
            };
            Strip {
                first: Some(card(self.against, *left as usize, None, &drawn)),
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
                title: format!("{} and {}", title(&args.data), title(&args.against)),
                lead: sentence(&self.told(["the first set", "the second set"])),
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
                        "if they are copies, a label of each is wrong".to_owned(),
                    ),
                ],
                reading: reading(args, true),
                notes: notes(&drawn, &self.note, [shown.len(), all.len()], "picture"),
            },
            heading: "Pictures of the second set, and their copies in the first",
            rows: shown.iter().map(row).collect(),
        }
    }
}

fn card(of: &Embeddings, row: usize, cosine: Option<f32>, drawn: &Drawn) -> Card {
    let name = &of.names[row];
    Card {
        picture: drawn.of(name),
        name: name.clone(),
        label: of.labels[row].clone(),
        about: cosine.map_or(String::new(), |cosine| format!("{cosine:.4}")),
        differs: false,
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

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

fn notes(
    drawn: &Drawn,
    truncated: &Option<String>,
    [shown, all]: [usize; 2],
    what: &str,
) -> Vec<String> {
    let mut notes: Vec<String> = truncated.iter().chain(&drawn.note).cloned().collect();
    if shown < all {
        notes.push(format!("The first {} of {}; --out has all.", shown, counted(all, what)));
    }
    notes
}

fn reading(args: &Duplicates, two: bool) -> Vec<String> {
    let threshold = args.threshold;
    let mut reading = vec![format!(
        "Pictures are taken for copies whose features have a cosine of {threshold} or more. The number below a picture \
         is that to the most alike one; 1 is the same picture. Rows with different labels come first, then the most alike: \
         find where they stop being copies, and give the number there as --threshold. If the last rows are copies, a \
         lower one finds more."
    )];
    reading.push(if two {
        "A picture of a test that was trained on makes the test look better than it is: take it out of one of the \
         two. A dashed orange frame marks a copy with another label."
            .to_owned()
    } else {
        "Copies count twice in training, and where one is held out and the other trained on, the result looks better \
         than it is: keep one of each group. Of copies with different labels, which come first, one label is wrong."
            .to_owned()
    });
    reading
}
