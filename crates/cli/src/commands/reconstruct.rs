//! `fcmae reconstruct`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use fcmae::inference::reconstruct::{reconstruct_with, sheet};
use fcmae_data::Pages;
use fcmae_data::source::printable;

use crate::failure::Usage;
use crate::options::{DeviceArg, PicturesArg, weights_at};
use crate::output;
use crate::picture_arguments;

/// Rows of one sheet; many more make no picture that anyone can look at.
const MOST_PICTURES: usize = 100;

/// Draw what a pre-trained network makes of hidden patches: original, masked, reconstruction
#[derive(Args)]
#[command(after_help = "\
Example:
  fcmae reconstruct photos/a.jpg photos/b.jpg --weights runs/pre --out grid.png")]
pub(crate) struct Reconstruct {
    #[command(flatten)]
    pictures: PicturesArg,

    /// A pre-training run, or one of its checkpoints (the decoder is needed)
    #[arg(long, value_name = "RUN")]
    weights: PathBuf,

    #[command(flatten)]
    device: DeviceArg,

    /// PNG file to write
    #[arg(long, value_name = "FILE.png")]
    out: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    overwrite: bool,

    /// Seed that chooses which patches are hidden
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(args: &Reconstruct) -> Result<()> {
    output::refuse_existing(&args.out, args.overwrite, "--out")?;
    let backend = args.device.told()?;
    let inputs = picture_arguments::inputs(&args.pictures.images, Pages::First, None)?.inputs;
    if args.overwrite {
        output::refuse_input(&args.out, &args.pictures.images, "--out")?;
    }
    if inputs.len() > MOST_PICTURES {
        let text = format!("{} pictures; at most {MOST_PICTURES} go on one sheet", inputs.len());
        return Err(Usage(text).into());
    }
    let weights = weights_at(&args.weights)?;
    let sheet = sheet(&reconstruct_with(&weights, &inputs, args.seed, &backend)?)?;
    output::create_parent(&args.out)?;
    output::write_png(&args.out, &sheet)?;
    output::print(&format!("{}\n", printable(&args.out)))
}
