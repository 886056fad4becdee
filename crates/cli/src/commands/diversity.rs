//! `fcmae diversity`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use csv::QuoteStyle;
use fcmae::inference::diversity::{LayerDistance, of_weights};
use fcmae_data::source::printable;
use fcmae_report::plots::{Chart, Series};
use fcmae_words::counted;

use crate::failure::Usage;
use crate::options::{DeviceArg, weights_at};
use crate::output;
use crate::picture_sets;
use crate::text_table::{Align, Table};

/// Measure feature collapse: how unlike a layer's channels are, before and after GRN
#[derive(Args)]
#[command(after_help = "\
A low distance means that many channels carry the same map. Without --out the numbers of every
block are printed as CSV, with it the means of each stage.

Examples:
  fcmae diversity --data photos --weights runs/v1 runs/v2 --out diversity
  fcmae diversity --data photos --weights runs/v2 --images 200 > diversity.csv")]
pub(crate) struct Diversity {
    /// Folder of pictures
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,

    /// One or several runs, export folders or weights files
    #[arg(long, value_name = "RUN|FILE", num_args = 1.., required = true)]
    weights: Vec<PathBuf>,

    #[command(flatten)]
    device: DeviceArg,

    /// Pictures to average over, evenly spaced through the folder
    #[arg(long, value_name = "N", default_value = "1000")]
    images: NonZeroUsize,

    /// A .csv or .svg file, or a folder for both
    #[arg(long, value_name = "FOLDER|FILE")]
    out: Option<PathBuf>,

    /// Replace files that exist
    #[arg(long, requires = "out")]
    overwrite: bool,
}

pub(super) fn run(args: &Diversity) -> Result<()> {
    let files = args.out.as_deref().map(files).transpose()?.unwrap_or_default();
    for file in &files {
        output::refuse_existing(file, args.overwrite, "--out")?;
    }
    let backend = args.device.told()?;
    let mut nets = Vec::new();
    for weights in &args.weights {
        let name = printable(weights);
        output::note(&format!("diversity  {name}"));
        let found = of_weights(&weights_at(weights)?, &args.data, args.images.get(), &backend)?;
        if nets.is_empty() {
            picture_sets::note_skipped(&found.skipped);
            if !found.skipped.is_empty() {
                output::note(&format!("averaged over {}", counted(found.images, "picture")));
            }
        }
        nets.push((name, found.layers));
    }
    if files.is_empty() {
        return output::print(&to_csv(&nets));
    }
    output::print(&summary(&nets))?;
    for file in files {
        output::create_parent(&file)?;
        let text = if has_extension(&file, "svg") { to_svg(&nets) } else { to_csv(&nets) };
        output::write_file(&file, text.as_bytes())?;
        output::print(&format!("{}\n", printable(&file)))?;
    }
    Ok(())
}

/// The mean distance of each stage's blocks, and of all; the files have those of every block.
fn summary(nets: &[(String, Vec<LayerDistance>)]) -> String {
    let mut table = Table::new([
        ("weights", Align::Left),
        ("stage", Align::Left),
        ("after GELU", Align::Right),
        ("after GRN", Align::Right),
    ]);
    for (weights, layers) in nets {
        let stage = |layer: &LayerDistance| layer.name.split(".blocks").next().map(str::to_owned);
        let mut row = |name: &str, layers: &[LayerDistance]| {
            let mean = |value: fn(&LayerDistance) -> f64| {
                let sum: f64 = layers.iter().map(value).sum();
                format!("{:.3}", sum / layers.len() as f64)
            };
            let (gelu, grn) = (mean(|layer| layer.after_gelu), mean(|layer| layer.after_grn));
            table.row([weights.clone(), name.to_owned(), gelu, grn]);
        };
        for of_stage in layers.chunk_by(|one, next| stage(one) == stage(next)) {
            row(&stage(&of_stage[0]).unwrap_or_default(), of_stage);
        }
        row("all", layers);
    }
    format!(
        "mean cosine distance of channels: 0 where all carry the same map, 0.5 where they have nothing in \
         common\n\n{}\n",
        table.text()
    )
}

/// One table for the distances of several weights.
fn to_csv(results: &[(String, Vec<LayerDistance>)]) -> String {
    let mut csv = String::from("weights,layer,depth,after_gelu,after_grn\n");
    for (label, layers) in results {
        let label = row(&[label.as_str()], QuoteStyle::Always);
        for LayerDistance { name, depth, after_gelu, after_grn } in layers {
            let numbers = [depth, after_gelu, after_grn].map(f64::to_string);
            let [depth, gelu, grn] = numbers.each_ref().map(String::as_str);
            let layer = row(&[name.as_str(), depth, gelu, grn], QuoteStyle::Necessary);
            csv += &format!("{label},{layer}\n");
        }
    }
    csv
}

/// Fields of a row. The weights are always quoted, as they always were.
fn row(fields: &[&str], style: QuoteStyle) -> String {
    let mut row = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
    row.write_record(fields).expect("a Vec takes every write");
    let row = row.into_inner().expect("a Vec takes every write");
    String::from_utf8_lossy(&row).trim_end_matches('\n').to_owned()
}

/// One figure for the distances of several weights: after GRN, and dashed after GELU where that
/// differs.
fn to_svg(results: &[(String, Vec<LayerDistance>)]) -> String {
    let axis = "mean cosine distance of channels";
    let mut chart = Chart::new("Feature distance", "normalized depth", axis).x_range([0.0, 1.0]);
    for (colour, (label, layers)) in results.iter().enumerate() {
        let points = |value: fn(&LayerDistance) -> f64| {
            layers.iter().map(|layer| (layer.depth, value(layer))).collect::<Vec<_>>()
        };
        let (gelu, grn) = (points(|l| l.after_gelu), points(|l| l.after_grn));
        if gelu == grn {
            chart = chart.series(Series::new(format!("{label}, after GELU"), gelu).colour(colour));
        } else {
            let gelu = Series::new(format!("{label}, after GELU"), gelu).colour(colour).dashed();
            chart = chart
                .series(Series::new(format!("{label}, after GRN"), grn).colour(colour))
                .series(gelu);
        }
    }
    chart.to_svg()
}

/// The files that `--out` means: itself, or two in a folder.
fn files(out: &Path) -> Result<Vec<PathBuf>> {
    if ["csv", "svg"].iter().any(|extension| has_extension(out, extension)) {
        return Ok(vec![out.to_owned()]);
    }
    if out.extension().is_some() && !out.is_dir() {
        let text = "--out takes a .csv or .svg file, or a folder for both";
        return Err(Usage(format!("{}: {text}", printable(out))).into());
    }
    Ok(["diversity.csv", "diversity.svg"].map(|name| out.join(name)).to_vec())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_block_begins_with_its_weights() {
        let layer = LayerDistance {
            name: "stages.0.blocks.0".to_owned(),
            depth: 0.0,
            after_gelu: 0.25,
            after_grn: 1e-7,
        };
        let nets =
            [("a".to_owned(), vec![layer.clone()]), ("say \"b\", c".to_owned(), vec![layer])];
        assert_eq!(
            to_csv(&nets),
            "weights,layer,depth,after_gelu,after_grn\n\
             \"a\",stages.0.blocks.0,0,0.25,0.0000001\n\
             \"say \"\"b\"\", c\",stages.0.blocks.0,0,0.25,0.0000001\n"
        );
    }
}
