//! `fcmae stats`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use fcmae_data::source::{Skipped, printable};
use fcmae_data::statistics::{KindCount, Remarked, Sides, Statistics};
use fcmae_data::{Depth, Fill, Limits, Pages, PictureSet, PixelFormat};
use fcmae_words::{counted, grouped};

use crate::output;
use crate::picture_sets::{self, Columns};
use crate::text_table::{Align, Table};

/// Examine pictures: sizes, file types, values, and the settings they need
#[derive(Args)]
#[command(after_help = "\
The settings are printed as a recipe for `fcmae pretrain --config`. Photographs do best with the defaults. Pictures \
with other channels, more than 8 bits, or of another kind need their own values.

Examples:
  fcmae stats --data photos
  fcmae stats --data scenes --deep --channels 5 --recipe scenes.toml")]
pub(crate) struct Stats {
    /// Folders of pictures; or .tar, .csv, .tsv, .txt or .parquet files
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    /// Channels that the network will see
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=64))]
    channels: u32,

    /// Keep every bit, as satellite and microscope pictures need
    #[arg(long)]
    deep: bool,

    /// Largest number of pixels in a picture (data.max_pixels)
    #[arg(long, value_name = "N", default_value_t = Limits::default().pixels,
        value_parser = clap::value_parser!(u64).range(1..), hide_default_value = true)]
    max_pixels: u64,

    /// Pages of a TIFF file to read: the `first`, or `all`, each as a picture of its own (data.pages)
    #[arg(long, value_name = "first|all", default_value = "first", hide_default_value = true)]
    pages: Pages,

    /// Value for NaN and declared nodata: "mean" or a number (data.fill) [default: refuse]
    #[arg(long, value_name = "VALUE", value_parser = fill)]
    fill: Option<Fill>,

    /// Examine only this many pictures, evenly spaced
    #[arg(long, value_name = "N")]
    sample: Option<NonZeroUsize>,

    /// Column of pictures in .parquet files, or of paths in lists, if its name is unusual
    #[arg(long, value_name = "NAME")]
    image_column: Option<String>,

    /// Write the settings to a file, as a recipe for --config
    #[arg(long, value_name = "FILE.toml")]
    recipe: Option<PathBuf>,

    /// Replace the file if it exists
    #[arg(long, requires = "recipe")]
    overwrite: bool,

    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Stats) -> Result<()> {
    if let Some(recipe) = &args.recipe {
        output::refuse_existing(recipe, args.overwrite, "--recipe")?;
        output::refuse_input(recipe, &args.data, "--recipe")?;
    }
    let columns =
        Columns { image: args.image_column.as_deref(), pages: args.pages, ..Columns::default() };
    let set = picture_sets::opened("stats", columns, |how| PictureSet::open_all(&args.data, how))?;
    output::note_skipped(&set.skipped);
    let mut told: Vec<&str> = set.skipped.iter().map(|skip| skip.reason.as_str()).collect();
    let depth = if args.deep { Depth::Deep } else { Depth::Eight };
    let format = PixelFormat { channels: args.channels, depth };
    let sample = args.sample.map(|sample| sample.get());
    let workers = rayon::current_num_threads();
    let limits =
        Limits { fill: args.fill.unwrap_or_default(), ..Limits::of_pixels(args.max_pixels) };
    let found = Statistics::of(&set, format, sample, workers, &limits)?;
    if let Some(recipe) = &args.recipe {
        output::create_parent(recipe)?;
        output::write_file(recipe, settings(&found, format, &limits, args.pages).as_bytes())?;
        output::note(&format!("settings  {}", printable(recipe)));
    }
    if args.json {
        output::print(&output::json(&found)?)?;
        return any(&found);
    }
    output::note_skipped(&found.skipped);
    told.extend(found.skipped.iter().map(|skip| skip.reason.as_str()));
    told.extend(found.remarks.iter().map(|remarked| remarked.text.as_str()));
    for Remarked { pictures, first, text, .. } in &found.remarks {
        let pictures = counted(*pictures, "picture");
        output::note(&format!("{pictures}, such as {}: {text}", printable(first)));
    }
    flags(&told).iter().for_each(|note| output::note(note));
    output::print(&text(&found, format, &limits, args.pages))?;
    any(&found)
}

/// What this command takes settings by, of those that texts name.
fn flags(texts: &[&str]) -> Option<String> {
    const FLAGS: [(&str, &str); 5] = [
        ("data.depth=deep", "--deep"),
        ("model.channels", "--channels N"),
        ("data.pages=all", "--pages all"),
        ("data.fill", "--fill VALUE"),
        ("data.max_pixels", "--max-pixels N"),
    ];
    let named = FLAGS.iter().filter(|(setting, _)| texts.iter().any(|text| text.contains(setting)));
    let named: Vec<String> = named.map(|(setting, flag)| format!("{flag} for {setting}")).collect();
    (!named.is_empty()).then(|| {
        format!("fcmae stats takes {}; training and recipes take the settings", named.join(", "))
    })
}

/// Fails where no picture can be used.
fn any(found: &Statistics) -> Result<()> {
    match found.skipped.first() {
        Some(Skipped { path, reason }) if found.pictures == 0 => {
            let (of, first) = (counted(found.looked_at, "picture"), printable(path));
            bail!("none of {of} can be used, such as {first}: {reason}")
        }
        _ => Ok(()),
    }
}

fn fill(text: &str) -> Result<Fill, String> {
    match text {
        "refuse" => Ok(Fill::Refuse),
        "mean" => Ok(Fill::Mean),
        number => match number.parse::<f64>() {
            Ok(value) if value.abs() <= 1e30 => Ok(Fill::Number(value)),
            _ => Err("give \"refuse\", \"mean\" or a number".to_owned()),
        },
    }
}

fn text(found: &Statistics, format: PixelFormat, limits: &Limits, pages: Pages) -> String {
    let mut text = counted(found.set, "picture");
    if found.looked_at < found.set {
        text.push_str(&format!(", {} examined", grouped(found.looked_at)));
    }
    if !found.skipped.is_empty() {
        text.push_str(&format!(", {} unusable", grouped(found.skipped.len())));
    }
    text.push_str("\n\n");
    let mut kinds = Table::new([
        ("files", Align::Right),
        ("format", Align::Left),
        ("pages", Align::Right),
        ("channels", Align::Right),
        ("bits", Align::Right),
        ("values", Align::Left),
    ]);
    for KindCount { kind, files } in &found.kinds {
        kinds.row([
            grouped(*files),
            kind.format.to_owned(),
            kind.pages.to_string(),
            kind.channels.to_string(),
            kind.bits.to_string(),
            format!("{:?}", kind.numbers).to_lowercase(),
        ]);
    }
    text.push_str(&kinds.text());
    let (Some(height), Some(width)) = (found.height, found.width) else {
        return text;
    };
    let mut sides = Table::new([
        ("pixels", Align::Left),
        ("smallest", Align::Right),
        ("median", Align::Right),
        ("largest", Align::Right),
    ]);
    for (name, Sides { smallest, median, largest }) in [("height", height), ("width", width)] {
        sides.row([name.to_owned(), smallest.to_string(), median.to_string(), largest.to_string()]);
    }
    text.push_str(&format!("\n{}\n", sides.text()));
    let mut channels = Table::new([
        ("channel", Align::Right),
        ("mean", Align::Right),
        ("deviation", Align::Right),
        ("smallest", Align::Right),
        ("1 %", Align::Right),
        ("99 %", Align::Right),
        ("largest", Align::Right),
    ]);
    for (number, c) in found.channels.iter().enumerate() {
        let values = [c.mean, c.std, c.min, c.percentile_1, c.percentile_99, c.max];
        let cells = values.map(|value| format!("{value:.5}"));
        channels.row(std::iter::once((number + 1).to_string()).chain(cells));
    }
    text + &format!(
        "{}\nsettings for these pictures:\n\n{}",
        channels.text(),
        settings(found, format, limits, pages)
    )
}

/// A recipe's part.
fn settings(found: &Statistics, format: PixelFormat, limits: &Limits, pages: Pages) -> String {
    let list = |values: Vec<f64>| {
        // As float32, which is what a network computes with, and with all its digits: deep values can be
        // very small.
        let text = values.iter().map(|&value| format!("{:?}", value as f32));
        format!("[{}]", text.collect::<Vec<_>>().join(", "))
    };
    let mean = list(found.channels.iter().map(|channel| channel.mean).collect());
    // A channel that never changes has no deviation to divide by.
    let std = list(found.channels.iter().map(|channel| channel.std.max(1e-6)).collect());
    let depth = match format.depth {
        Depth::Eight => "",
        Depth::Deep => "depth = \"deep\"\n",
    };
    let pixels = match limits.pixels == Limits::default().pixels {
        true => String::new(),
        false => format!("max_pixels = {}\n", limits.pixels),
    };
    let all = match pages {
        Pages::First => String::new(),
        Pages::All => format!("pages = \"{}\"\n", pages.name()),
    };
    let fill = match limits.fill {
        Fill::Refuse => String::new(),
        Fill::Mean => "fill = \"mean\"\n".to_owned(),
        Fill::Number(value) => format!("fill = {value:?}\n"),
    };
    format!(
        "[model]\nchannels = {}\n\n[data]\n{depth}mean = {mean}\nstd = {std}\n{all}{pixels}{fill}",
        format.channels
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        stats: Stats,
    }

    #[test]
    fn settings_that_are_advised_are_told_as_this_command_takes_them() {
        assert_eq!(flags(&["the file is empty"]), None);
        let text = "set data.pages=all to take each, or set model.channels to 5, with data.depth=deep; \
                    data.fill=0; set data.max_pixels";
        let told = flags(&[text]).unwrap();
        let flags = ["--deep", "--channels 5", "--pages all", "--fill 0", "--max-pixels 9"];
        for flag in flags {
            assert!(told.contains(flag.split(' ').next().unwrap()), "{told}");
        }
        let words = flags.iter().flat_map(|flag| flag.split(' '));
        Command::try_parse_from(["stats", "--data", "x"].into_iter().chain(words)).unwrap();
    }
}
