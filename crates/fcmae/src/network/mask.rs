//! Which patches of each image the encoder sees.

use std::sync::Arc;

use fcmae_data::random;
use fcmae_kernels::{Patches, Sites};

use crate::config::visible_count;
use crate::error::{ConfigError, Result};

/// A fresh random choice of visible patches for every image of a batch, the same number in each.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    rows: usize,
    cols: usize,
    per_image: usize,
    visible: Arc<[u32]>,
    masked: Arc<[u32]>,
}

/// How many patches an image has, where those of all `images` can be counted in 32 bits.
fn counted([rows, cols]: [usize; 2], images: usize) -> Result<usize, ConfigError> {
    let patches = rows.checked_mul(cols);
    let all = patches.and_then(|patches| patches.checked_mul(images));
    match patches.zip(all.and_then(|all| u32::try_from(all).ok())) {
        Some((patches, _)) => Ok(patches),
        None => Err(ConfigError::Value {
            key: "mask".to_owned(),
            value: format!("{images} images of {rows}×{cols} patches"),
            reason: format!(
                "a batch has {} patches at most: choose a smaller `optim.batch`",
                u32::MAX
            ),
        }),
    }
}

impl Mask {
    /// The masks of the samples `indices` in `epoch`: a function of seed, epoch and sample alone.
    ///
    /// # Errors
    /// As [`visible_count`]; no `indices`, or more than 4294967295 patches in all.
    pub fn random(
        grid: [usize; 2],
        ratio: f64,
        seed: u64,
        epoch: u64,
        indices: &[u32],
    ) -> Result<Self, ConfigError> {
        let patches = counted(grid, indices.len())?;
        let per_image = visible_count(patches, ratio)?;
        let visible = indices.iter().flat_map(|&sample| {
            let mut order: Vec<u32> = (0..patches as u32).collect();
            let mut rng = random::keyed(seed, "mask", epoch, u64::from(sample));
            random::shuffle(&mut rng, &mut order);
            order.truncate(per_image);
            order.sort_unstable();
            order
        });
        Self::new(grid, per_image, visible.collect())
    }

    /// A mask from given patches: `per_image` ascending row-major indices for each image in turn.
    ///
    /// # Errors
    /// No image, more than 4294967295 patches in all, indices outside the grid or not ascending, or a number
    /// that is not a multiple of `per_image`.
    pub fn new(grid: [usize; 2], per_image: usize, visible: Vec<u32>) -> Result<Self, ConfigError> {
        let [rows, cols] = grid;
        let visible: Arc<[u32]> = visible.into();
        let refused = |reason: String| ConfigError::Value {
            key: "mask".to_owned(),
            value: format!("{rows}×{cols}, {per_image} visible"),
            reason,
        };
        // The constructor of the sites holds the rules; a side of 1 is the grid itself.
        let patches = Patches::new(rows, cols, 1, per_image, Arc::clone(&visible))
            .map_err(|error| refused(error.to_string()))?;
        if patches.images() == 0 {
            return Err(refused("it is of 0 images; a batch has 1 at least".to_owned()));
        }
        counted(grid, patches.images())?;
        let masked = visible
            .chunks(per_image)
            .flat_map(|seen| (0..(rows * cols) as u32).filter(|p| seen.binary_search(p).is_err()))
            .collect();
        Ok(Self { rows, cols, per_image, visible, masked })
    }

    /// Images in the batch.
    pub fn images(&self) -> usize {
        self.visible.len() / self.per_image
    }

    /// Patches in an image.
    pub fn patches(&self) -> usize {
        self.rows * self.cols
    }

    /// Rows and columns of the grid of patches.
    pub fn grid(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Visible patches in each image.
    pub fn visible_per_image(&self) -> usize {
        self.per_image
    }

    /// Visible patches, `N·V` row-major grid indices, ascending within an image.
    pub fn visible(&self) -> &[u32] {
        &self.visible
    }

    /// Masked patches, `N·M` row-major grid indices, ascending within an image.
    pub fn masked(&self) -> &[u32] {
        &self.masked
    }

    /// Rows of `[N·L, ..]` that hold the visible patches.
    pub fn visible_rows(&self) -> Vec<u32> {
        self.rows_of(&self.visible, self.per_image)
    }

    /// Rows of `[N·L, ..]` that hold the masked patches.
    pub fn masked_rows(&self) -> Vec<u32> {
        self.rows_of(&self.masked, self.patches() - self.per_image)
    }

    fn rows_of(&self, patches: &[u32], per_image: usize) -> Vec<u32> {
        let row = |(i, &patch): (usize, &u32)| (i / per_image * self.patches()) as u32 + patch;
        patches.iter().enumerate().map(row).collect()
    }

    /// For each of the `N·L` cells of the grid, the row of `[N·V, ..]` that holds it, or `hidden`.
    pub fn cell_sources(&self, hidden: u32) -> Vec<u32> {
        let mut sources = vec![hidden; self.images() * self.patches()];
        for (source, row) in self.visible_rows().into_iter().enumerate() {
            sources[row as usize] = source as u32;
        }
        sources
    }

    /// The sites of the visible patches at a stage where a patch is `side × side` sites.
    pub fn sites(&self, side: usize) -> Sites {
        Sites::Patches(Patches {
            rows: self.rows,
            cols: self.cols,
            side,
            per_image: self.per_image,
            visible: Arc::clone(&self.visible),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn published_counts() {
        assert_eq!(visible_count(49, 0.6).unwrap(), 19);
        assert_eq!(visible_count(10, 0.9).unwrap(), 1);
        assert_eq!(visible_count(16, 0.6).unwrap(), 6);
    }

    /// Fault 21: mask ratios that leave nothing to see or nothing to predict.
    #[test]
    fn edges_are_refused() {
        for (patches, ratio) in [(4, 0.9), (4, 0.0), (4, 1.0), (4, f64::NAN), (4, -0.5), (1, 0.6)] {
            assert!(visible_count(patches, ratio).is_err(), "{patches} at {ratio}");
        }
    }

    #[test]
    fn a_mask_depends_on_seed_epoch_and_sample_alone() {
        let all = Mask::random([7, 7], 0.6, 1, 3, &[0, 1, 2]).unwrap();
        let one = Mask::random([7, 7], 0.6, 1, 3, &[2]).unwrap();
        assert_eq!(all.visible()[38..], *one.visible());
        let later = Mask::random([7, 7], 0.6, 1, 4, &[2]).unwrap();
        assert_ne!(one.visible(), later.visible());
        assert_eq!(all.masked().len(), 90);
    }

    #[test]
    fn every_cell_is_visible_or_masked() {
        let mask = Mask::random([3, 5], 0.5, 9, 0, &[4, 7]).unwrap();
        let mut rows = mask.visible_rows();
        rows.extend(mask.masked_rows());
        rows.sort_unstable();
        assert_eq!(rows, (0..30).collect::<Vec<_>>());
        let sources = mask.cell_sources(u32::MAX);
        assert_eq!(sources.iter().filter(|&&s| s == u32::MAX).count(), mask.masked().len());
    }
}
