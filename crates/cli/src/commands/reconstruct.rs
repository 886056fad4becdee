//! `fcmae reconstruct`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use fcmae::inference::reconstruct::{reconstruct_with, sheet};
use fcmae_data::source::printable;
use fcmae_data::{Input, Pages};

use crate::options::{DeviceArg, weights_at};
use crate::output;
use crate::picture_arguments::PicturesArg;

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

/// As many as go on a sheet, evenly spaced.
fn evenly(inputs: Vec<Input>) -> Vec<Input> {
    let all = inputs.len();
    if all <= MOST_PICTURES {
        return inputs;
    }
    output::note(&format!("{MOST_PICTURES} of {all} pictures are drawn, evenly spaced"));
    fcmae_data::sampler::evenly(MOST_PICTURES, all).map(|place| inputs[place].clone()).collect()
}

pub(super) fn run(args: &Reconstruct) -> Result<()> {
    output::refuse_result(&args.out, &["png"], args.overwrite, &args.pictures.images, "--out")?;
    let backend = args.device.told()?;
    let pictures = args.pictures.pictures("reconstruct", Pages::First, None)?;
    if let Some((_, why)) = pictures.unusable.first() {
        bail!("{why}");
    }
    let inputs = evenly(pictures.inputs);
    let weights = weights_at(&args.weights)?;
    let sheet = sheet(&reconstruct_with(&weights, &inputs, args.seed, &backend)?)?;
    output::create_parent(&args.out)?;
    output::write_png(&args.out, &sheet)?;
    output::print(&format!("{}\n", printable(&args.out)))
}
