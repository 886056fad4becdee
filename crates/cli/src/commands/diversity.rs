//! `fcmae diversity`.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use csv::QuoteStyle;
use fcmae::engine::backend::Backend;
use fcmae::inference::Inference;
use fcmae::inference::diversity::{BlockFeatures, of_weights};
use fcmae::inference::maps::{MOST_MAPS, block_maps};
use fcmae::inference::picture;
use fcmae::network::model::Encoder;
use fcmae::weights::Weights;
use fcmae_data::source::printable;
use fcmae_data::{Amount, Input, Opening, PictureSet};
use fcmae_report::plots::{Chart, Series};
use fcmae_words::{counted, grouped};

use crate::failure::Usage;
use crate::options::{DeviceArg, weights_at};
use crate::output;
use crate::text_table::{Align, Table};

/// Measure feature collapse: how unlike a layer's channels are, and how many are dead
#[derive(Args)]
#[command(after_help = "\
distance        mean cosine distance between two channels' maps, from 0 (all are the same) through
                0.5 (nothing in common) to 1; below 0.25, a block's channels have collapsed
effective rank  how many directions a block's inner features (four times its width) use after GRN,
                at up to 1,024 places of the pictures
dead            channels that are 0 everywhere
saturated       channels that have one value everywhere

The .png shows the maps of one block's channels for one picture, after GRN, like figure 3 of the
paper: collapsed channels look alike, saturated ones are a uniform grey. A black map is a channel
that is silent in this picture; a dead one is silent in all. The effective rank is lower with few
pictures: compare weights with the same --images, 100 or more.

Without --out, the numbers of every block are printed as CSV; with it, the means of each stage.

Examples:
  fcmae diversity --data photos --weights runs/v1 runs/v2 --out diversity
  fcmae diversity --data photos --weights runs/v2 --images 200 > diversity.csv
  fcmae diversity --data photos --weights runs/v2 --block stages.3.blocks.0 --out maps.png")]
pub(crate) struct Diversity {
    /// Folder of pictures, or a .tar, .csv, .tsv, .txt or .parquet file
    #[arg(long, value_name = "FOLDER|FILE")]
    data: PathBuf,

    /// One or more runs, export folders or weights files
    #[arg(long, value_name = "RUN|FILE", num_args = 1.., required = true)]
    weights: Vec<PathBuf>,

    #[command(flatten)]
    device: DeviceArg,

    /// Pictures to average over, evenly spaced through the folder
    #[arg(long, value_name = "N", default_value = "1000")]
    images: NonZeroUsize,

    /// The block whose maps are drawn [default: the last of the third stage]
    #[arg(long, value_name = "NAME", requires = "out")]
    block: Option<String>,

    /// The picture whose maps are drawn [default: the first of --data]
    #[arg(long, value_name = "FILE", requires = "out")]
    picture: Option<PathBuf>,

    /// A .csv, .svg or .png file, or a folder for the three
    #[arg(long, value_name = "FOLDER|FILE")]
    out: Option<PathBuf>,

    /// Replace files that exist
    #[arg(long, requires = "out")]
    overwrite: bool,
}

/// The features of one network, by its weights' name.
type Network = (String, Vec<BlockFeatures>);

pub(super) fn run(args: &Diversity) -> Result<()> {
    let files = args.out.as_deref().map(files).transpose()?.unwrap_or_default();
    for file in &files {
        output::refuse_existing(file, args.overwrite, "--out")?;
        let inputs: Vec<PathBuf> = args.picture.iter().chain([&args.data]).cloned().collect();
        output::refuse_input(file, &inputs, "--out")?;
    }
    let draws = files.iter().any(|file| has_extension(file, "png"));
    if !draws && (args.block.is_some() || args.picture.is_some()) {
        let text = "--block and --picture are for a picture: give a .png file or a folder as --out";
        return Err(Usage(text.to_owned()).into());
    }
    let measures = files.iter().any(|file| !has_extension(file, "png")) || files.is_empty();
    let backend = args.device.told()?;
    let weights: Vec<(String, Weights)> = args
        .weights
        .iter()
        .map(|path| Ok((printable(path), weights_at(path)?)))
        .collect::<Result<_>>()?;
    // Before the measurement, which may take minutes.
    let maps = if draws { Some(maps(args, &weights, &backend)?) } else { None };
    let networks = if measures { measured(args, &weights, &backend)? } else { vec![] };
    if files.is_empty() {
        return output::print(&to_csv(&networks));
    }
    if measures {
        output::print(&summary(&networks))?;
    }
    for file in files {
        output::create_parent(&file)?;
        match &maps {
            Some(maps) if has_extension(&file, "png") => output::write_file(&file, maps)?,
            _ if has_extension(&file, "svg") => {
                output::write_file(&file, to_svg(&networks).as_bytes())?;
            }
            _ => output::write_file(&file, to_csv(&networks).as_bytes())?,
        }
        output::print(&format!("{}\n", printable(&file)))?;
    }
    Ok(())
}

fn measured(
    args: &Diversity,
    weights: &[(String, Weights)],
    backend: &Backend,
) -> Result<Vec<Network>> {
    let mut networks = Vec::new();
    for (name, weights) in weights {
        output::note(&format!("diversity  {name}"));
        let found = of_weights(weights, &args.data, args.images.get(), backend)?;
        if networks.is_empty() {
            output::note_skipped(&found.skipped);
            if !found.skipped.is_empty() {
                output::note(&format!("averaged over {}", counted(found.images, "picture")));
            }
        }
        networks.push((name.clone(), found.blocks));
    }
    Ok(networks)
}

/// The maps of one block of every network for one picture, and that picture, as PNG.
fn maps(args: &Diversity, weights: &[(String, Weights)], backend: &Backend) -> Result<Vec<u8>> {
    let mut shown = Vec::new();
    for (name, weights) in weights {
        let encoder = Inference::<Encoder>::open(weights, backend)?;
        let depths = encoder.description().model.depths;
        let block = match &args.block {
            None => format!("stages.2.blocks.{}", depths[2].saturating_sub(1)),
            Some(block) => block.clone(),
        };
        let place = place(&block, &depths).ok_or_else(|| {
            let last = |(stage, depth): (usize, &usize)| {
                format!("stages.{stage}.blocks.0 to {}", depth.saturating_sub(1))
            };
            let all: Vec<_> = depths.iter().enumerate().map(last).collect();
            Usage(format!("{name} has no block {block:?}; its blocks are {}", all.join(", ")))
        })?;
        let found = block_maps(&encoder, picture(args, weights)?, place)?;
        if shown.is_empty() {
            shown.push(("picture".to_owned(), found.picture.clone()));
        }
        if found.drawn() < found.channels() {
            output::note(&format!(
                "{name}: {MOST_MAPS} of the {} maps of {block} are drawn, evenly chosen",
                grouped(found.channels())
            ));
        }
        shown.push((format!("{name}: {block}"), found.draw()?));
    }
    Ok(picture::drawn_png(&picture::stacked(&shown)?)?)
}

/// The picture that maps are drawn of.
fn picture(args: &Diversity, weights: &Weights) -> Result<Input> {
    if let Some(path) = &args.picture {
        output::refuse_missing(path, "picture")?;
        return Ok(Input::from(path.clone()));
    }
    let pages = weights.description.pages;
    let set = PictureSet::open(&args.data, Opening { pages, ..Opening::default() })?;
    let set = set.take_labels(Amount::Count(1), 0)?;
    Ok(Input::Sample { set: set.into(), index: 0 })
}

/// The place of a block in the network, from its name.
fn place(block: &str, depths: &[usize; 4]) -> Option<usize> {
    let (stage, number) = block.strip_prefix("stages.")?.split_once(".blocks.")?;
    let (stage, number): (usize, usize) = (stage.parse().ok()?, number.parse().ok()?);
    let before: usize = depths.get(..stage)?.iter().sum();
    (number < *depths.get(stage)?).then_some(before + number)
}

/// The mean of each stage's blocks, and of all; the files have those of every block.
fn summary(networks: &[Network]) -> String {
    let mut table = Table::new([
        ("weights", Align::Left),
        ("stage", Align::Left),
        ("after GELU", Align::Right),
        ("after GRN", Align::Right),
        ("effective rank", Align::Right),
        ("dead", Align::Right),
        ("saturated", Align::Right),
    ]);
    for (weights, blocks) in networks {
        let stage = |block: &BlockFeatures| block.name.split(".blocks").next().map(str::to_owned);
        let mut row = |name: &str, blocks: &[BlockFeatures]| {
            let mean = |value: fn(&BlockFeatures) -> f64| {
                blocks.iter().map(value).sum::<f64>() / blocks.len() as f64
            };
            let share = |count: fn(&BlockFeatures) -> usize| {
                let channels: usize = blocks.iter().map(|block| block.channels).sum();
                let count: usize = blocks.iter().map(count).sum();
                format!("{:.1} %", 100.0 * count as f64 / channels.max(1) as f64)
            };
            table.row([
                weights.clone(),
                name.to_owned(),
                format!("{:.3}", mean(|block| block.after_gelu)),
                format!("{:.3}", mean(|block| block.after_grn)),
                format!("{:.1}", mean(|block| block.effective_rank)),
                share(|block| block.dead),
                share(|block| block.saturated),
            ]);
        };
        for of_stage in blocks.chunk_by(|one, next| stage(one) == stage(next)) {
            row(&stage(&of_stage[0]).unwrap_or_default(), of_stage);
        }
        row("all", blocks);
    }
    format!(
        "mean cosine distance of channels: 0 where all carry the same map, 0.5 where they have nothing in \
         common\n\n{}\n",
        table.text()
    )
}

/// One table for the features of several weights.
fn to_csv(networks: &[Network]) -> String {
    let mut csv = String::from(
        "weights,layer,depth,after_gelu,after_grn,channels,effective_rank,dead,saturated\n",
    );
    for (label, blocks) in networks {
        let label = row(&[label], QuoteStyle::Always);
        for block in blocks {
            let BlockFeatures { name, depth, channels, after_gelu, after_grn, .. } = block;
            let fields = [
                name.clone(),
                depth.to_string(),
                after_gelu.to_string(),
                after_grn.to_string(),
                channels.to_string(),
                block.effective_rank.to_string(),
                block.dead.to_string(),
                block.saturated.to_string(),
            ];
            csv += &format!("{label},{}\n", row(&fields, QuoteStyle::Necessary));
        }
    }
    csv
}

/// Fields of a row. The weights are always quoted, as they always were.
fn row(fields: &[impl AsRef<[u8]>], style: QuoteStyle) -> String {
    let mut row = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
    row.write_record(fields).expect("a Vec takes every write");
    let row = row.into_inner().expect("a Vec takes every write");
    String::from_utf8_lossy(&row).trim_end_matches('\n').to_owned()
}

/// The networks' names for a legend: the last parts of their paths, where these differ.
fn names(networks: &[Network]) -> Vec<&str> {
    let whole: Vec<&str> = networks.iter().map(|(label, _)| label.as_str()).collect();
    let last = whole.iter().map(|label| label.trim_end_matches('/').rsplit('/').next());
    let last: Vec<&str> = last.map(Option::unwrap_or_default).collect();
    let distinct: HashSet<&str> = last.iter().copied().collect();
    if distinct.len() == last.len() { last } else { whole }
}

/// One figure for the features of several weights: the distance after GRN, and dashed after GELU where that differs;
/// the effective rank; the channels that are dead or saturated.
fn to_svg(networks: &[Network]) -> String {
    let x = "normalized depth";
    let chart = |title: &str, y: &str| Chart::new(title, x, y).x_range([0.0, 1.0]);
    let mut distance = chart("Feature distance", "mean cosine distance of channels").from_zero();
    let mut rank = chart("Effective rank of the features", "directions").from_zero();
    let mut idle =
        chart("Dead or saturated channels", "% of the block's channels").y_range([0.0, 100.0]);
    for (colour, (label, (_, blocks))) in names(networks).into_iter().zip(networks).enumerate() {
        let points = |value: fn(&BlockFeatures) -> f64| {
            blocks.iter().map(|block| (block.depth, value(block))).collect::<Vec<_>>()
        };
        let line = |name: String, points| Series::new(name, points).colour(colour);
        let (gelu, grn) = (points(|block| block.after_gelu), points(|block| block.after_grn));
        if gelu == grn {
            distance = distance.series(line(format!("{label}, after GELU"), gelu));
        } else {
            distance = distance
                .series(line(format!("{label}, after GRN"), grn))
                .series(line(format!("{label}, after GELU"), gelu).dashed());
        }
        rank = rank.series(line(label.to_owned(), points(|block| block.effective_rank)));
        idle = idle.series(line(label.to_owned(), points(|block| 100.0 * block.idle_share())));
    }
    Chart::stacked(&[distance, rank, idle])
}

/// The files that `--out` means: itself, or three in a folder.
fn files(out: &Path) -> Result<Vec<PathBuf>> {
    if ["csv", "svg", "png"].iter().any(|extension| has_extension(out, extension)) {
        return Ok(vec![out.to_owned()]);
    }
    if out.extension().is_some() && !out.is_dir() {
        let text = "--out takes a .csv, .svg or .png file, or a folder for the three";
        return Err(Usage(format!("{}: {text}", printable(out))).into());
    }
    Ok(["diversity.csv", "diversity.svg", "maps.png"].map(|name| out.join(name)).to_vec())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_block_begins_with_its_weights() {
        let block = BlockFeatures {
            name: "stages.0.blocks.0".to_owned(),
            depth: 0.0,
            channels: 32,
            after_gelu: 0.25,
            after_grn: 1e-7,
            effective_rank: 9.5,
            dead: 3,
            saturated: 1,
        };
        let nets =
            [("a".to_owned(), vec![block.clone()]), ("say \"b\", c".to_owned(), vec![block])];
        assert_eq!(
            to_csv(&nets),
            "weights,layer,depth,after_gelu,after_grn,channels,effective_rank,dead,saturated\n\
             \"a\",stages.0.blocks.0,0,0.25,0.0000001,32,9.5,3,1\n\
             \"say \"\"b\"\", c\",stages.0.blocks.0,0,0.25,0.0000001,32,9.5,3,1\n"
        );
    }

    #[test]
    fn blocks_are_counted_through_the_stages() {
        let depths = [2, 2, 6, 2];
        assert_eq!(place("stages.0.blocks.0", &depths), Some(0));
        assert_eq!(place("stages.2.blocks.5", &depths), Some(9));
        assert_eq!(place("stages.3.blocks.1", &depths), Some(11));
        for wrong in ["stages.2.blocks.6", "stages.4.blocks.0", "stages.-1.blocks.0", "head", ""] {
            assert_eq!(place(wrong, &depths), None, "{wrong}");
        }
    }
}
