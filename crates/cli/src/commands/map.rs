//! `fcmae map`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use fcmae_data::source::printable;
use fcmae_report::{COLOURED, Fact, Head, Map, Spot};
use fcmae_vectors::project::Pca;
use fcmae_vectors::tsne::{TsneSettings, tsne};
use fcmae_vectors::{Embeddings, Vectors};
use fcmae_words::terminal::percent;
use fcmae_words::{counted, grouped, page};

use crate::failure::Usage;
use crate::list::List;
use crate::options::DeviceArg;
use crate::output;
use crate::sheet::title;
use crate::thumbnails::Thumbnails;
use crate::vectors::{Read, VectorsArgs, collapsed};

/// Width or height of the small pictures, the longer one, in pixels.
const SIDE: u32 = 96;
/// Places of the page that show their picture.
const MOST_PICTURES: usize = 1500;
/// Pictures whose map takes long.
const LONG: usize = 10_000;
/// As t-SNE has it mostly.
const PERPLEXITY: f64 = 30.0;
/// Places on the map.
const MOST_PLACES: usize = 20_000;

/// Draw all pictures on a plane, with those that are alike close together
#[derive(Args)]
#[command(after_help = "\
The map starts from the two directions in which the features differ most. From there, t-SNE moves pictures until those \
that are alike are neighbours. The same pictures always give the same map. Identical pictures share a place. Of more \
than 20,000 pictures, 20,000 are drawn, evenly spaced; --csv with --method pca lists all of them.

Examples:
  fcmae map --data pictures --weights runs/pretrain --out map.html
  fcmae map --data pictures.parquet --pictures pictures --out map.html --csv places.csv
  fcmae map --data pictures.parquet --method pca --out map.svg")]
pub(crate) struct MapOf {
    /// Folders of pictures, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet files. Without
    /// --weights, files that `fcmae embed` wrote
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    #[command(flatten)]
    vectors: VectorsArgs,

    /// How the pictures are placed
    #[arg(long, value_name = "tsne|pca", default_value = "tsne", hide_possible_values = true)]
    method: Method,

    /// For t-SNE, about how many pictures count as neighbours of each: 5 shows small groups, 100 large ones
    /// [default: 30]
    #[arg(long, value_name = "N", value_parser = perplexity)]
    perplexity: Option<f64>,

    /// The map to write: .html, a page to open in a browser, or .svg
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Also write the positions, as a .csv file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Where the pictures are, if --data are files of vectors: folders, .tar, .csv, .tsv, .txt or .parquet files.
    /// Without it, their names are used as paths
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    pictures: Vec<PathBuf>,

    /// Replace files that exist
    #[arg(long)]
    overwrite: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    Tsne,
    Pca,
}

fn perplexity(text: &str) -> Result<f64, String> {
    let known = text.parse().ok().filter(|value: &f64| *value >= 1.0 && value.is_finite());
    known.ok_or_else(|| "use a number of 1 or more, such as 30".to_owned())
}

impl MapOf {
    /// The page of these pictures, by these weights.
    pub(crate) fn page(data: &Path, weights: &Path, device: &DeviceArg, out: &Path) -> Self {
        Self {
            data: vec![data.to_owned()],
            vectors: VectorsArgs::new(weights, device),
            method: Method::Tsne,
            perplexity: None,
            out: out.to_owned(),
            csv: None,
            pictures: vec![],
            overwrite: false,
        }
    }
}

pub(super) fn run(args: &MapOf) -> Result<()> {
    output::print(&made(args)?)
}

/// Writes what is asked for; what is to be printed.
pub(crate) fn made(args: &MapOf) -> Result<String> {
    let inputs: Vec<PathBuf> = args.data.iter().chain(&args.pictures).cloned().collect();
    output::refuse_result(&args.out, &["html", "htm", "svg"], args.overwrite, &inputs, "--out")?;
    if let Some(csv) = &args.csv {
        output::refuse_result(csv, &["csv"], args.overwrite, &inputs, "--csv")?;
    }
    if args.perplexity.is_some() && args.method == Method::Pca {
        return Err(Usage("--perplexity is for --method tsne".to_owned()).into());
    }
    let source = args.vectors.open("map")?;
    let data = source.read(&args.data)?.with_direction();
    data.check(&args.data)?;
    let thumbnails = Thumbnails::open(&source, &[&data], &args.pictures)?;
    let placed = Placed::of(args, &data.rows)?;
    let mut notes: Vec<String> = collapsed(&data.rows.vectors)?.into_iter().collect();
    notes.extend(placed.left_out(&data.rows));
    notes.iter().for_each(|note| output::note(note));
    if let Some(csv) = &args.csv {
        output::write_result(csv, placed.list(&data.rows).as_bytes())?;
    }
    let is_page = args.out.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("svg"));
    let map = placed.map(args, &data, notes);
    let map = with_pictures(map, &thumbnails, is_page);
    let text = if is_page { map.to_html() } else { map.to_svg() };
    output::write_result(&args.out, text.as_bytes())?;
    let files: Vec<String> =
        [&args.out].into_iter().chain(&args.csv).map(|path| printable(path)).collect();
    let pictures = counted(map.len(), "picture");
    Ok(format!("{}  {pictures} by {}\n", files.join("  "), placed.by))
}

/// Where pictures lie.
struct Placed {
    /// The rows that have a place, ascending.
    rows: Vec<usize>,
    places: Vec<[f64; 2]>,
    by: String,
    facts: Vec<Fact>,
}

impl Placed {
    fn of(args: &MapOf, data: &Embeddings) -> Result<Self> {
        match args.method {
            Method::Tsne => Self::tsne(&data.vectors, args.perplexity.unwrap_or(PERPLEXITY)),
            Method::Pca => Self::pca(&data.vectors),
        }
    }

    fn tsne(vectors: &Vectors, perplexity: f64) -> Result<Self> {
        if vectors.len() < 4 {
            bail!(
                "a map by t-SNE needs 4 pictures or more, and there are {}: give more, or --method pca",
                vectors.len()
            );
        }
        let settings = TsneSettings { perplexity, most: MOST_PLACES, ..TsneSettings::default() };
        if vectors.len() > LONG {
            let count = counted(vectors.len().min(MOST_PLACES), "picture");
            output::note(&format!("t-SNE of {count} takes a minute or more"));
        }
        let map = tsne(vectors, &settings)?;
        if map.perplexity < perplexity {
            output::note(&format!(
                "--perplexity {perplexity} is too large for {}: {:.1} is used",
                counted(
                    map.distinct,
                    if map.distinct < map.rows.len() { "different picture" } else { "picture" }
                ),
                map.perplexity
            ));
        }
        let facts = vec![
            Fact {
                label: "Perplexity",
                figure: page::number(map.perplexity),
                about: "about how many pictures count as neighbours of each".to_owned(),
            },
            Fact {
                label: "Divergence",
                figure: format!("{:.2}", map.divergence),
                about: "how much of the nearness is lost on the plane; compare it only for the same pictures"
                    .to_owned(),
            },
        ];
        Ok(Self { rows: map.rows, places: map.places, by: "t-SNE".to_owned(), facts })
    }

    fn pca(vectors: &Vectors) -> Result<Self> {
        if vectors.len() < 2 {
            bail!("a map needs two pictures or more");
        }
        let count = 2.min(vectors.len() - 1).min(vectors.width());
        let pca = Pca::fit(vectors, count)?;
        let projected = pca.project(vectors)?;
        let place =
            |row: &[f32]| [0, 1].map(|axis| f64::from(row.get(axis).copied().unwrap_or(0.0)));
        let places = projected.rows().map(place).collect();
        let shown: f64 = pca.ratios().iter().sum();
        let facts = vec![Fact {
            label: "Variance shown",
            figure: page::percent(shown),
            about: "of the features, along two directions; the rest does not show here".to_owned(),
        }];
        let by = format!("PCA, {} of the variance", percent(shown, 1));
        Ok(Self { rows: (0..vectors.len()).collect(), places, by, facts })
    }

    fn left_out(&self, data: &Embeddings) -> Option<String> {
        let (rows, all) = (self.rows.len(), data.names.len());
        (rows < all).then(|| {
            format!(
                "{} of {} are on the map, evenly spaced: t-SNE of more takes too long",
                grouped(rows),
                counted(all, "picture")
            )
        })
    }

    fn list(&self, data: &Embeddings) -> String {
        let mut list = List::new(["path", "x", "y", "label"]);
        for (&row, [x, y]) in self.rows.iter().zip(&self.places) {
            let label = data.labels[row].as_deref().unwrap_or_default();
            list.row([&data.names[row], &format!("{x:.5}"), &format!("{y:.5}"), label]);
        }
        list.text()
    }

    fn map(&self, args: &MapOf, data: &Read, mut notes: Vec<String>) -> Map {
        let stride = self.rows.len().div_ceil(MOST_PLACES).max(1);
        if stride > 1 {
            notes.push(format!(
                "{} of {} are drawn, evenly spaced.",
                grouped(self.rows.len().div_ceil(stride)),
                counted(self.rows.len(), "picture")
            ));
        }
        let spot = |(&row, &place): (&usize, &[f64; 2])| {
            Spot::new(place, data.rows.names[row].clone(), data.rows.labels[row].clone())
        };
        let spots: Vec<Spot> =
            self.rows.iter().zip(&self.places).step_by(stride).map(spot).collect();
        let labels = labels(&spots);
        let reading = match args.method {
            Method::Tsne => READ_TSNE,
            Method::Pca => READ_PCA,
        };
        let mut reading = vec![reading.to_owned()];
        reading.extend((labels > 0).then(|| READ_LABELS.to_owned()));
        if labels > COLOURED {
            notes.push(format!(
                "The {COLOURED} labels with most pictures have a colour, the other {} are grey.",
                labels - COLOURED
            ));
        }
        let lead = format!(
            "{}{}, each among those most like it.",
            counted(spots.len(), "picture"),
            if labels > 0 { format!(" with {}", counted(labels, "label")) } else { String::new() }
        );
        let head = Head {
            kind: format!("Map by {}", if args.method == Method::Tsne { "t-SNE" } else { "PCA" }),
            title: title(&args.data),
            lead,
            facts: self.facts.clone(),
            reading,
            notes,
        };
        Map::new(head, spots)
    }
}

const READ_TSNE: &str = "Pictures that lie together are alike. How far apart groups lie, and how large they are, means \
    nothing. Point at a place to see its name and picture. Groups of one kind are what the network tells apart by \
    itself; a few pictures far from all others of their kind are odd, or belong elsewhere.";

const READ_PCA: &str = "The axes are the two directions in which the features differ most. Distances along them are true; \
    pictures that differ only in other directions lie together here. Point at a place to see its name and picture.";

const READ_LABELS: &str = "Colours are labels, which had no part in making the map. Where each colour has its own region, \
    few labels are enough to train a classifier; where colours are mixed, the features do not tell these labels apart. \
    A spot of one colour within another is a hard picture or a wrong label. Point at a label to fade the others.";

/// How many labels there are.
fn labels(spots: &[Spot]) -> usize {
    let labels = spots.iter().filter_map(|spot| spot.label.as_deref());
    labels.collect::<std::collections::HashSet<_>>().len()
}

/// With small pictures: those on the map, and on a page others that a pointer shows.
fn with_pictures(mut map: Map, thumbnails: &Thumbnails, is_page: bool) -> Map {
    let mut shown: Vec<usize> = map.on_map().collect();
    if is_page && shown.len() < MOST_PICTURES {
        let others: Vec<usize> =
            (0..map.len()).filter(|place| shown.binary_search(place).is_err()).collect();
        let stride = others.len().div_ceil(MOST_PICTURES - shown.len()).max(1);
        shown.extend(others.into_iter().step_by(stride));
    }
    let drawn = thumbnails.draw(shown.iter().map(|&place| map.name(place)), SIDE);
    map.head.notes.extend(drawn.note.clone());
    if is_page && shown.len() < map.len() && drawn.note.is_none() {
        map.head.notes.push(format!(
            "{} of {} show their picture, the others only their name.",
            grouped(shown.len()),
            counted(map.len(), "place")
        ));
    }
    for place in shown {
        let picture = drawn.of(map.name(place));
        map.lay(place, picture);
    }
    map
}
