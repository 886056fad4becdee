//! `fcmae reconstruct`.

use anyhow::Result;
use fcmae::reconstruct::{reconstruct, sheet};
use fcmae_data::source::printable;

use crate::args::Reconstruct;
use crate::failure::Usage;
use crate::output;
use crate::pictures;

/// Rows of one sheet; many more make no picture that anyone can look at.
const MOST_PICTURES: usize = 100;

pub(super) fn run(args: &Reconstruct) -> Result<()> {
    output::refuse_existing(&args.out, args.overwrite, "--out")?;
    let backend = args.device.told()?;
    let inputs = pictures::inputs(&args.images)?;
    if inputs.len() > MOST_PICTURES {
        let text = format!("{} pictures; at most {MOST_PICTURES} go on one sheet", inputs.len());
        return Err(Usage(text).into());
    }
    let sheet = sheet(&reconstruct(&args.weights, &inputs, args.seed, &backend)?)?;
    output::create_parent(&args.out)?;
    output::write_png(&args.out, &sheet)?;
    output::print(&format!("{}\n", printable(&args.out)))
}
