//! `fcmae diversity`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fcmae::diversity::{diversity, to_csv, to_svg};
use fcmae_data::source::printable;

use crate::args::Diversity;
use crate::failure::Usage;
use crate::output;

pub(super) fn run(args: &Diversity) -> Result<()> {
    let files = args.out.as_deref().map(files).transpose()?.unwrap_or_default();
    for file in &files {
        output::refuse_existing(file, args.overwrite, "--out")?;
    }
    let device = args.device.told()?;
    let mut nets = Vec::new();
    for weights in &args.weights {
        let name = printable(weights);
        output::note(&format!("diversity  {name}"));
        nets.push((name, diversity(weights, &args.data, args.images.get(), device)?));
    }
    if files.is_empty() {
        return output::print(&to_csv(&nets));
    }
    for file in files {
        output::create_parent(&file)?;
        let text = if has_extension(&file, "svg") { to_svg(&nets) } else { to_csv(&nets) };
        output::write_file(&file, text.as_bytes())?;
        output::print(&format!("{}\n", printable(&file)))?;
    }
    Ok(())
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
