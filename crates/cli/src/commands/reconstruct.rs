//! `fcmae reconstruct`.

use anyhow::Result;
use fcmae_data::source::printable;

use crate::args::Reconstruct;
use crate::output;
use crate::pictures;

pub(super) fn run(args: &Reconstruct) -> Result<()> {
    output::refuse_existing(&args.out, args.overwrite)?;
    let files = pictures::files(&args.images)?;
    let sheet = pictures::reconstructions(&args.weights, &files, args.seed)?;
    output::create_parent(&args.out)?;
    output::write_png(&args.out, &sheet)?;
    output::print(&format!("{}\n", printable(&args.out)))
}
