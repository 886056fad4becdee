//! How the rows of some images are cut into tiles. Cuts depend on shapes alone.

use std::ops::Range;

use crate::product::Rows;

/// Rows of a tile, about: its rows of C values, and a panel of the weights, stay in the caches close
/// to the processor while they meet; and there are so many that reading the weights costs little.
const ROWS: usize = 112;
/// Rows that a group of images should have, so that what happens once a group costs little.
const GROUP_ROWS: usize = 1024;
/// Sums over images that are kept apart and added in the end, at most.
const PARTS: usize = 16;

/// Some rows of one image, or all rows of a few small images.
pub(super) struct Tile {
    /// The tile's rows among those of the group.
    pub(super) rows: Range<usize>,
    /// The images of the group that it has rows of.
    pub(super) images: Range<usize>,
    /// Rows that are worked on at a time: those of an image follow each other, and no group has rows
    /// of two.
    pub(super) groups: Vec<Rows>,
}

impl Tile {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Cuts `images` images of `sites` rows each.
    pub(super) fn cut(images: usize, sites: usize) -> Vec<Self> {
        if sites <= ROWS {
            let together = ROWS / sites;
            (0..images)
                .step_by(together)
                .map(|first| {
                    let last = (first + together).min(images);
                    Self::new(first * sites..last * sites, first..last)
                })
                .collect()
        } else {
            // An even number, so that two threads that share one image have equally much to do.
            let parts = sites.div_ceil(ROWS).next_multiple_of(2);
            let cut = |part: usize| part * sites / parts;
            (0..images)
                .flat_map(|image| (0..parts).map(move |part| (image, part)))
                .map(|(image, part)| {
                    let first = image * sites;
                    Self::new(first + cut(part)..first + cut(part + 1), image..image + 1)
                })
                .collect()
        }
    }

    fn new(rows: Range<usize>, images: Range<usize>) -> Self {
        let each = rows.len() / images.len();
        let groups = (0..images.len()).flat_map(|image| Rows::cut(image * each, each)).collect();
        Self { rows, images, groups }
    }
}

/// How a batch is cut: images that are worked on together, and parts of the batch whose
/// sums are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Images of a group; the last group may have fewer.
    pub(super) group: usize,
    /// Images of a part, a whole number of groups; the last part may have fewer.
    pub(super) part: usize,
}

impl Cut {
    pub(super) fn new(images: usize, sites: usize) -> Self {
        let group = GROUP_ROWS.div_ceil(sites.max(1)).min(images).max(1);
        let part = images.div_ceil(group).div_ceil(PARTS) * group;
        Self { group, part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_all_rows_of_whole_images_in_order() {
        for (images, sites) in [(1, 1), (3, 1), (5, 19), (2, 49), (1, 112), (2, 113), (3, 1216)] {
            let tiles = Tile::cut(images, sites);
            let mut row = 0;
            for tile in &tiles {
                assert_eq!(tile.rows.start, row);
                row = tile.rows.end;
                assert!(tile.len() <= ROWS, "{} rows", tile.len());
                let mut within = 0;
                for group in &tile.groups {
                    assert_eq!(group.first, within);
                    within += group.count;
                    let rows = tile.rows.start + group.first..tile.rows.start + within;
                    let image = rows.start / sites;
                    assert!(tile.images.contains(&image) && rows.end <= (image + 1) * sites);
                }
                assert_eq!(within, tile.len());
            }
            assert_eq!(row, images * sites);
        }
    }

    #[test]
    fn parts_are_few_and_whole_groups() {
        for (images, sites) in [(1, 1), (32, 1216), (32, 19), (256, 3136), (1000, 4)] {
            let cut = Cut::new(images, sites);
            assert!(cut.part.is_multiple_of(cut.group));
            assert!(images.div_ceil(cut.part) <= PARTS);
        }
    }
}
