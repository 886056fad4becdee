//! `fcmae neighbours`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use fcmae_data::sampler::evenly;
use fcmae_report::{Card, Fact, Gallery, Head, Strip};
use fcmae_vectors::Embeddings;
use fcmae_vectors::neighbours::{Neighbours, nearest, nearest_others};
use fcmae_words::terminal::percent;
use fcmae_words::{counted, grouped, page};

use crate::failure::Usage;
use crate::list::List;
use crate::options::DeviceArg;
use crate::output;
use crate::sheet::{SheetArgs, title_of_both};
use crate::thumbnails::{Drawn, SIDE, Thumbnails};
use crate::vectors::{Read, VectorsArgs, collapsed, select};

/// Neighbours of all pictures together: 4 GiB of them, and as much again while the list is written.
const MOST_NEIGHBOURS: usize = 250_000_000;
/// Neighbours of each picture.
const COUNT: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not 0");
/// Rows of the sheet.
const ROWS: u16 = 24;

/// Find the pictures most like each picture, or like some of them
#[derive(Args)]
#[command(after_help = "\
The list has the columns path, rank, neighbour, similarity, label and neighbour_label; similarity is
the cosine of the two pictures' features, 1 for copies. If pictures have labels, the share of
neighbours with the same label is printed, next to what chance would give: it says how well the
features tell the labels apart. Neighbours with another label are marked on the sheet: look there
for wrong labels. Without --out and --sheet, the list is printed.

Examples:
  fcmae neighbours --data pictures --weights runs/pretrain --sheet alike.html
  fcmae neighbours --data pictures --weights runs/pretrain --of cat/17.jpg --count 30
  fcmae neighbours --data pictures.parquet --queries new.parquet --out alike.csv")]
pub(crate) struct NeighboursOf {
    /// Folders of pictures, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet files. Without
    /// --weights, files that `fcmae embed` wrote
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    #[command(flatten)]
    vectors: VectorsArgs,

    /// Only for these pictures of --data, given by their names or the ends of their paths
    #[arg(long, value_name = "PICTURE", num_args = 1.., conflicts_with = "queries")]
    of: Vec<String>,

    /// Other pictures, given in the same ways as --data: find the pictures of --data most like each
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    queries: Vec<PathBuf>,

    /// Number of neighbours of each picture
    #[arg(long, value_name = "N", default_value_t = COUNT)]
    count: NonZeroUsize,

    /// Pictures to show on the sheet with their neighbours, evenly spaced, at most 500
    #[arg(long, value_name = "N", default_value_t = ROWS, requires = "sheet",
        value_parser = clap::value_parser!(u16).range(1..=500))]
    rows: u16,

    #[command(flatten)]
    sheet: SheetArgs,
}

impl NeighboursOf {
    /// The sheet of these pictures, by these weights.
    pub(crate) fn sheet(data: &Path, weights: &Path, device: &DeviceArg, sheet: &Path) -> Self {
        Self {
            data: vec![data.to_owned()],
            vectors: VectorsArgs::new(weights, device),
            of: vec![],
            queries: vec![],
            count: COUNT,
            rows: ROWS,
            sheet: SheetArgs::new(sheet),
        }
    }
}

pub(super) fn run(args: &NeighboursOf) -> Result<()> {
    output::print(&made(args)?)
}

/// Writes what is asked for; what is to be printed.
pub(crate) fn made(args: &NeighboursOf) -> Result<String> {
    args.sheet.check([&args.data, &args.queries])?;
    let source = args.vectors.open("neighbours")?;
    let data = source.read(&args.data)?.with_direction();
    data.check(&args.data)?;
    let queries = source.read_other(&data.rows, &args.queries)?;
    let shown: Vec<&Read> = std::iter::once(&data).chain(&queries).collect();
    let thumbnails = args.sheet.thumbnails(&source, &shown)?;
    let found = Found::of(args, &data.rows, queries.as_ref().map(|queries| &queries.rows))?;
    let notes: Vec<String> = collapsed(&data.rows.vectors)?.into_iter().collect();
    notes.iter().for_each(|note| output::note(note));
    args.sheet.write_page(thumbnails.as_ref(), |thumbnails| found.page(args, notes, thumbnails))?;
    let mut summary = found.summary();
    let (rows, all) = (usize::from(args.rows), found.queries.names.len());
    if thumbnails.is_some() && rows < all {
        summary += &format!("; the sheet shows {rows} of the {} (--rows)", counted(all, "picture"));
    }
    Ok(match args.sheet.write_list(|| found.list(), &summary)? {
        Some(written) => written,
        None => {
            output::note(&summary);
            found.list()
        }
    })
}

/// What was found.
struct Found<'a> {
    data: &'a Embeddings,
    queries: Cow<'a, Embeddings>,
    neighbours: Neighbours,
    /// Neighbours of each at most.
    count: usize,
    /// Of pictures with labels; `None` where there are none.
    agreement: Option<Agreement>,
}

impl<'a> Found<'a> {
    fn of(
        args: &NeighboursOf,
        data: &'a Embeddings,
        others: Option<&'a Embeddings>,
    ) -> Result<Self> {
        let wanted = args.count.get();
        // A picture is not among its own neighbours.
        let most = data.names.len() - usize::from(others.is_none());
        if most == 0 {
            bail!("{}: one picture alone has no neighbours", output::arguments(&args.data));
        }
        let count = wanted.min(most);
        let asked = others.map_or(data.names.len(), |others| others.names.len());
        if asked.saturating_mul(count) > MOST_NEIGHBOURS {
            return Err(Usage(format!(
                "--count {wanted} for {} needs too much memory: give {} at most, or fewer pictures with --of or --queries",
                counted(asked, "picture"),
                grouped(MOST_NEIGHBOURS / asked)
            ))
            .into());
        }
        if count < wanted {
            let others = if others.is_none() { "other picture" } else { "picture" };
            output::note(&format!("only {} can be neighbours", counted(most, others)));
        }
        let one_more = (count + 1).min(data.names.len());
        let (queries, neighbours) = match others {
            Some(queries) => {
                (Cow::Borrowed(queries), nearest(&data.vectors, &queries.vectors, one_more)?)
            }
            None if args.of.is_empty() => {
                (Cow::Borrowed(data), nearest_others(&data.vectors, count)?)
            }
            None => {
                let queries = select(data, &named(&data.names, &args.of)?);
                let neighbours = nearest(&data.vectors, &queries.vectors, one_more)?;
                (Cow::Owned(queries), neighbours)
            }
        };
        let mut found = Self { data, queries, neighbours, count, agreement: None };
        found.agreement = Agreement::of(&found, others.is_none());
        Ok(found)
    }

    /// The neighbours of a query, the nearest first: their rows and cosines.
    fn of_query(&self, query: usize) -> impl Iterator<Item = (usize, f32)> {
        let found = self.neighbours.places(query).iter().zip(self.neighbours.cosines(query));
        let name = &self.queries.names[query];
        found
            .map(|(&place, &cosine)| (place as usize, cosine))
            .filter(move |(place, _)| self.data.names[*place] != *name)
            .take(self.count)
    }

    /// As CSV.
    fn list(&self) -> String {
        let columns = ["path", "rank", "neighbour", "similarity", "label", "neighbour_label"];
        let mut list = List::new(columns);
        for (query, name) in self.queries.names.iter().enumerate() {
            let label = self.queries.labels[query].as_deref().unwrap_or_default();
            for (rank, (place, cosine)) in (1_usize..).zip(self.of_query(query)) {
                let (rank, cosine) = (rank.to_string(), format!("{cosine:.6}"));
                let other = self.data.labels[place].as_deref().unwrap_or_default();
                list.row([name, &rank, &self.data.names[place], &cosine, label, other]);
            }
        }
        list.text()
    }

    /// In a line.
    fn summary(&self) -> String {
        let pictures = counted(self.queries.names.len(), "picture");
        let neighbours = counted(self.count, "neighbour");
        let agreement = self.agreement.as_ref().map_or(String::new(), |agreement| {
            let [nearest, all, chance] = agreement.shares().map(|share| percent(share, 1));
            format!(
                "; {nearest} of the nearest and {all} of all have the same label ({chance} by chance)"
            )
        });
        format!("{pictures} with {neighbours} each{agreement}")
    }

    fn page(
        &self,
        args: &NeighboursOf,
        mut notes: Vec<String>,
        thumbnails: &Thumbnails,
    ) -> Gallery {
        let queries: Vec<usize> =
            evenly(usize::from(args.rows), self.queries.names.len()).collect();
        let names = queries.iter().flat_map(|&query| {
            let others = self.of_query(query).map(|(place, _)| self.data.names[place].as_str());
            others.chain([self.queries.names[query].as_str()])
        });
        let drawn = thumbnails.draw(names, SIDE);
        notes.extend(drawn.note.clone());
        if queries.len() < self.queries.names.len() {
            notes.push(format!(
                "{} of {}, evenly spaced; --rows shows more{}.",
                queries.len(),
                counted(self.queries.names.len(), "picture"),
                if args.queries.is_empty() { ", and --of the ones that you name" } else { "" }
            ));
        }
        Gallery {
            head: Head {
                kind: "Neighbours".to_owned(),
                title: title_of_both(&args.data, &args.queries),
                lead: self.lead(),
                facts: self.agreement.as_ref().map_or(vec![], Agreement::facts),
                reading: self.reading(),
                notes,
            },
            heading: if args.queries.is_empty() {
                "Each picture and those most like it"
            } else {
                "Each picture of the second set and those of the first most like it"
            },
            rows: queries.iter().map(|&query| self.row(query, &drawn)).collect(),
        }
    }

    fn lead(&self) -> String {
        let pictures = counted(self.data.names.len(), "picture");
        match &self.agreement {
            None => format!("Which of {pictures} are most alike, by the features of a network."),
            Some(agreement) => {
                let [nearest, _, chance] = agreement.shares().map(page::percent);
                format!(
                    "Of {}, {nearest} have the same label as the picture most like them; by chance {chance} would.",
                    counted(agreement.queries, "picture")
                )
            }
        }
    }

    fn reading(&self) -> Vec<String> {
        let mut reading = vec![
            "The first picture of each row, on blue, is compared with all others; those most like it follow, the nearest \
             first. The number is the cosine of their features: 1 is a copy. What counts as alike depends on the \
             network, so only compare numbers within one page."
                .to_owned(),
        ];
        if self.agreement.is_some() {
            reading.push(
                "A dashed orange frame marks a neighbour with another label. A single row of them is a hard picture or a \
                 wrong label; many rows with the same two labels are kinds that the features do not tell apart."
                    .to_owned(),
            );
        }
        reading.push(
            "If rows are alike in what matters to you, the features will serve for search and for training with few \
             labels. If they are alike only in colour, background or crop, pre-train longer or on more pictures, or try \
             --features stage3."
                .to_owned(),
        );
        reading
    }

    fn row(&self, query: usize, drawn: &Drawn) -> Strip {
        let label = self.queries.labels[query].as_ref();
        let card = |(place, cosine): (usize, f32)| {
            let other = self.data.labels[place].as_ref();
            Card {
                differs: label.zip(other).is_some_and(|(label, other)| label != other),
                ..drawn.card(self.data, place, format!("{cosine:.3}"))
            }
        };
        Strip {
            first: Some(drawn.card(&self.queries, query, String::new())),
            cards: self.of_query(query).map(card).collect(),
            ..Strip::default()
        }
    }
}

/// How often neighbours have the same label.
struct Agreement {
    /// Labelled pictures with a labelled neighbour.
    queries: usize,
    nearest: usize,
    pairs: usize,
    same: usize,
    chance: f64,
}

impl Agreement {
    /// `own`: whether the pictures are among those that they are compared with, where none is its own neighbour.
    fn of(found: &Found<'_>, own: bool) -> Option<Self> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for label in found.data.labels.iter().flatten() {
            *counts.entry(label).or_default() += 1;
        }
        let itself = usize::from(own);
        let all = counts.values().sum::<usize>() - itself.min(counts.len());
        let (mut queries, mut nearest, mut pairs, mut same, mut chance) = (0, 0, 0, 0, 0.0);
        for (query, label) in found.queries.labels.iter().enumerate() {
            let Some(label) = label else { continue };
            let mut first = None;
            for (place, _) in found.of_query(query) {
                let Some(other) = &found.data.labels[place] else { continue };
                first.get_or_insert(label == other);
                pairs += 1;
                same += usize::from(label == other);
            }
            let Some(first) = first else { continue };
            queries += 1;
            nearest += usize::from(first);
            let alike = counts.get(label.as_str()).map_or(0, |count| count - itself);
            chance += alike as f64 / all.max(1) as f64;
        }
        let chance = chance / queries.max(1) as f64;
        (queries > 0).then_some(Self { queries, nearest, pairs, same, chance })
    }

    /// Of the nearest, of all, and by chance.
    fn shares(&self) -> [f64; 3] {
        let share = |count: usize, of: usize| count as f64 / of as f64;
        [share(self.nearest, self.queries), share(self.same, self.pairs), self.chance]
    }

    fn facts(&self) -> Vec<Fact> {
        let [nearest, all, chance] = self.shares().map(page::percent);
        let fact = |label, figure, about: String| Fact { label, figure, about };
        vec![
            fact("Nearest with the same label", nearest, {
                format!("of {} with a label", counted(self.queries, "picture"))
            }),
            fact("Neighbours with the same label", all, {
                format!("of {}", counted(self.pairs, "neighbour"))
            }),
            fact("By chance", chance, "if the features said nothing about labels".to_owned()),
        ]
    }
}

/// The rows of the pictures that these name, by whole names or their last parts.
fn named(names: &[String], wanted: &[String]) -> Result<Vec<usize>> {
    let places: HashMap<&str, usize> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let row = |wanted: &String| {
        if let Some(&place) = places.get(wanted.as_str()) {
            return Ok(place);
        }
        let last = wanted.trim_start_matches("./");
        let mut found = (0..names.len()).filter(|&place| Path::new(&names[place]).ends_with(last));
        match (found.next(), found.next()) {
            (Some(place), None) => Ok(place),
            (Some(one), Some(other)) => Err(Usage(format!(
                "--of {wanted}: several pictures have this name, such as {} and {}; give more of the name",
                names[one], names[other]
            ))
            .into()),
            (None, _) => Err(Usage(format!(
                "--of {wanted}: no picture of --data has this name; names look like {}. For pictures that are not in \
                 --data, use --queries",
                names[0]
            ))
            .into()),
        }
    };
    wanted.iter().map(row).collect()
}
