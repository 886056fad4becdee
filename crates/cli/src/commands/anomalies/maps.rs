//! Heat maps of the most anomalous pictures, and the sheet.

use std::path::Path;

use anyhow::Result;

use super::drawn::{Drawing, Mapped, SHOWN};
use super::scored::Row;
use super::scorer::{Learned, Scorer};
use crate::output;

/// Draws the maps of the `maps` most anomalous pictures, and the sheet.
pub(super) fn draw(
    scorer: &Scorer<'_>,
    learned: &Learned,
    drawing: &Drawing<'_>,
    found: &[Row],
    out: &Path,
    maps: usize,
) -> Result<()> {
    let most = found.len().div_ceil(2).min(SHOWN);
    let least = (found.len() - most).min(SHOWN);
    let folder = out.join("maps");
    if maps > 0 {
        output::new_folder(&folder)?;
    }
    let drawn = |rank: &usize| *rank < maps.max(most) || *rank >= found.len() - least;
    let ranks: Vec<usize> = (0..found.len()).filter(drawn).collect();
    let which: Vec<_> = ranks.iter().map(|&rank| (found[rank].index, None)).collect();
    let (mut high, mut low) = (vec![], vec![]);
    let (mut ranks, mut failed) = (ranks.into_iter(), None);
    scorer.score(learned, drawing.set, &which, |index, scores, grid| {
        let Some(rank) = ranks.find(|&rank| found[rank].index == index) else { return };
        let Row { score, share, label, .. } = &found[rank];
        let (score, share, label) = (*score, *share, label.clone());
        let patches = scores.patches;
        let mapped = Mapped { index, rank: rank + 1, score, share, label, patches, grid };
        let mut draw = || -> Result<()> {
            let card = drawing.card(&mapped)?;
            if rank < maps {
                drawing.write(&folder, &mapped, &card)?;
            }
            if rank < most {
                high.push(card);
            } else if rank >= found.len() - least {
                low.push(card);
            }
            Ok(())
        };
        if let Err(error) = draw() {
            failed.get_or_insert(error);
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    low.reverse();
    drawing.write_sheet(&out.join("sheet.png"), &high, &low)
}
