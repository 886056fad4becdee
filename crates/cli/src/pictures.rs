//! Picture arguments: files, and folders that stand for the pictures in them; and the picture that
//! is drawn of them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fcmae::picture::Sheet;
use fcmae::reconstruct::{Reconstruction, reconstruct};
use fcmae_data::source::printable;
use fcmae_data::{ImageFolder, Labels};
use image::RgbImage;

use crate::failure::Usage;

/// Small pictures are shown enlarged to about this many pixels a side.
const SHOWN_SIDE: u32 = 160;

/// The files that the arguments mean, in their order. A file is taken as it is, so that a damaged
/// one is reported where it is read, beside the others' answers.
pub(crate) fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in arguments {
        if path.is_dir() {
            let folder = ImageFolder::open(path, Labels::Ignored)?;
            files.extend((0..folder.len()).map(|index| folder.path(index)));
        } else if path.exists() {
            files.push(path.clone());
        } else {
            return Err(Usage(format!("{}: no such file; check the path", printable(path))).into());
        }
    }
    Ok(files)
}

/// A row for each picture: original, masked, reconstruction.
pub(crate) fn reconstructions(weights: &Path, files: &[PathBuf], seed: u64) -> Result<RgbImage> {
    let rows = reconstruct(weights, files, seed)?;
    // Every picture has the net's size; where there is none there is nothing to draw.
    let (width, height) = rows.first().map_or((1, 1), |row| row.original.dimensions());
    let titles = ["original", "masked", "reconstruction"];
    let mut sheet =
        Sheet::new(&titles, height, width)?.scale((SHOWN_SIDE / width.max(height)).max(1));
    for Reconstruction { original, masked, reconstruction, .. } in rows {
        sheet.row(&[original, masked, reconstruction])?;
    }
    Ok(sheet.draw()?)
}
