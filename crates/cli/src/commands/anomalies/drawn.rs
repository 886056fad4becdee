//! Heat maps, and the sheet of the most and the least anomalous pictures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use fcmae::inference::Preparation;
use fcmae::inference::picture::heat::{Scale, above, card, legend, overlay};
use fcmae::inference::picture::{PAPER, Sheet};
use fcmae_data::PictureSet;
use fcmae_data::source::printable;
use fcmae_vectors::auroc::quantile;
use image::RgbImage;

use crate::output;

/// Cards of a kind on the sheet, at most.
pub(super) const SHOWN: usize = 16;
/// Columns of a kind.
const COLUMNS: usize = 2;
/// Letters of a picture's name in a map's.
const NAME: usize = 60;

/// One scale for all pictures, by the scores of normal ones: nine of ten show no colour at all, and it is full half as
/// far again above their score as the median is below it; of normal distributions that is 3.2 deviations above the mean.
/// Where no normal picture has a score: from the median of the others to the highest.
pub(super) fn scale(normal: &[f32], data: &[f32]) -> Result<(Scale, &'static str)> {
    if normal.is_empty() {
        let [low, high] = [0.5, 1.0].map(|share| quantile(data, share));
        return Ok((widened(low?, high?), "distance; colour begins at the median of --data"));
    }
    let [middle, low] = [0.5, 0.9].map(|share| quantile(normal, share));
    let (middle, low) = (middle?, low?);
    let what = "distance; colour begins above 90% of normal pictures";
    Ok((widened(low, low + 1.5 * (low - middle)), what))
}

/// Scores that hardly differ are no reason for full colour.
fn widened(low: f64, high: f64) -> Scale {
    Scale { low, high: high.max(low * 1.1).max(low + f64::from(f32::MIN_POSITIVE)) }
}

/// A picture with the scores of its patches.
pub(super) struct Mapped {
    /// Its place in the set.
    pub(super) index: usize,
    /// From 1, the most anomalous.
    pub(super) rank: usize,
    pub(super) score: f32,
    /// As the table has it.
    pub(super) share: Option<f64>,
    pub(super) label: Option<String>,
    pub(super) patches: Vec<f32>,
    /// Rows and columns of patches.
    pub(super) grid: [usize; 2],
}

/// What draws.
pub(super) struct Drawing<'a> {
    pub(super) preparation: &'a Preparation,
    pub(super) set: &'a Arc<PictureSet>,
    pub(super) legend: RgbImage,
    pub(super) scale: Scale,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(
        preparation: &'a Preparation,
        set: &'a Arc<PictureSet>,
        (scale, what): (Scale, &str),
    ) -> Self {
        Self { preparation, set, legend: legend(scale, what), scale }
    }

    /// A picture beside its heat map.
    ///
    /// # Errors
    /// A picture that can no longer be read.
    pub(super) fn card(&self, of: &Mapped) -> Result<RgbImage> {
        let picture = self.preparation.shown(self.set, of.index)?;
        let heat = overlay(&picture, &of.patches, of.grid, self.scale)?;
        let share = of.share.map_or(String::new(), |share| format!("  share {share:.4}"));
        let lines = [
            format!("{}. {:.3}{share}", of.rank, of.score),
            of.label.clone().unwrap_or_default(),
            printable(&self.set.samples[of.index].path),
        ];
        Ok(card(&picture, &heat, &lines)?)
    }

    /// Writes the card of a picture with the legend.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write(&self, folder: &Path, of: &Mapped, card: &RgbImage) -> Result<()> {
        let file = folder.join(file_name(of.rank, &self.set.samples[of.index].path));
        output::write_png(&file, &above(card, &self.legend))
    }

    /// Writes the sheet of cards: the most anomalous, and the least, the lowest score first.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write_sheet(
        &self,
        file: &Path,
        most: &[RgbImage],
        least: &[RgbImage],
    ) -> Result<()> {
        let Some(first) = most.first() else { return Ok(()) };
        let rows = most.len().max(least.len()).div_ceil(COLUMNS);
        let blank = RgbImage::from_pixel(first.width(), first.height(), PAPER);
        let titles = ["most anomalous", "", "least anomalous", ""];
        let titles = if least.is_empty() { &titles[..COLUMNS] } else { &titles[..] };
        let mut sheet = Sheet::new(titles, first.height(), first.width())?;
        for row in 0..rows {
            let of = |cards: &[RgbImage]| -> Vec<RgbImage> {
                let found = cards.iter().skip(row * COLUMNS).take(COLUMNS).cloned();
                found.chain(std::iter::repeat(blank.clone())).take(COLUMNS).collect()
            };
            let mut tiles = of(most);
            if !least.is_empty() {
                tiles.extend(of(least));
            }
            sheet.row(&tiles)?;
        }
        output::write_png(file, &above(&sheet.draw()?, &self.legend))
    }
}

/// What a map is called: the rank, and the picture's name in letters that every system takes.
fn file_name(rank: usize, picture: &Path) -> PathBuf {
    let stem = picture.file_stem().map(|stem| printable(Path::new(stem))).unwrap_or_default();
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() || "-_".contains(letter) { letter } else { '_' }
    };
    let stem: String = stem.chars().take(NAME).map(plain).collect();
    PathBuf::from(format!("{rank:05}-{stem}.png"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_scale_begins_above_nine_of_ten_normal_pictures() {
        let normal: Vec<f32> = (0..=100).map(|score| score as f32 / 10.0).collect();
        let (scale, what) = super::scale(&normal, &[50.0]).unwrap();
        assert!((scale.low - 9.0).abs() < 1e-6 && (scale.high - 15.0).abs() < 1e-6, "{scale:?}");
        assert!(what.contains("90%"));
        let (scale, what) = super::scale(&[], &[1.0, 2.0, 7.0]).unwrap();
        assert_eq!((scale, what.contains("median")), (Scale { low: 2.0, high: 7.0 }, true));
        let (scale, _) = super::scale(&[2.0; 5], &[1.0]).unwrap();
        assert!(scale.low == 2.0 && (scale.high - 2.2).abs() < 1e-6);
        let (scale, _) = super::scale(&[0.0; 5], &[0.0]).unwrap();
        assert!(scale.high > scale.low);
    }

    #[test]
    fn names_of_maps_are_plain() {
        for (picture, name) in
            [("a/b c.png", "00007-b_c.png"), ("../é:x.jpg", "00007-__x.png"), ("", "00007-.png")]
        {
            assert_eq!(file_name(7, Path::new(picture)), Path::new(name));
        }
        assert_eq!(file_name(1, Path::new(&"x".repeat(300))).as_os_str().len(), 6 + 60 + 4);
    }
}
