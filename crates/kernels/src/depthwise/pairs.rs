//! The convolution on small patches, from each visible neighbour to its sites.
//!
//! Where a patch has one or two sites a side, most of a 7 × 7 window is masked. Going through the
//! visible neighbours alone costs less than half the products, and needs no padded copy.

use std::ops::Range;

use super::filter::{Block, Filter, PAD, SIDE};
use crate::simd::{Kernel, LANES, Simd};
use crate::sites::Patches;

/// The most sites along a patch's side for which this is the faster way.
pub(super) const WIDEST: usize = 2;

/// Blocks of eight channels summed at a time.
const TOGETHER: usize = 4;

/// For each site of an image its visible neighbours.
pub(super) struct Pairs {
    /// Where each site's neighbours start, and the end of the last's.
    starts: Vec<usize>,
    neighbours: Vec<Neighbour>,
}

#[derive(Clone, Copy)]
struct Neighbour {
    site: u32,
    tap: u32,
}

impl Pairs {
    pub(super) fn of_image(patches: &Patches, image: usize) -> Self {
        let side = patches.side;
        let visible = patches.of_image(image);
        let place = |patch: u32| {
            let (row, col) = (patch as usize / patches.cols, patch as usize % patches.cols);
            (row * side, col * side)
        };
        let mut starts = Vec::with_capacity(visible.len() * side * side + 1);
        let mut neighbours = Vec::new();
        for &patch in visible {
            let (top, left) = place(patch);
            // Patches that have a site within reach, and where they start in the window of this
            // patch's first site.
            let near: Vec<(usize, usize, usize)> = within_reach(patches, visible, patch)
                .map(|index| {
                    let (y, x) = place(visible[index]);
                    // Shifted by side − 1, so that nothing within reach is negative.
                    let shift = PAD + side - 1;
                    (index * side * side, y + shift - top, x + shift - left)
                })
                .collect();
            for (row, col) in (0..side * side).map(|site| (site / side, site % side)) {
                starts.push(neighbours.len());
                for &(first, y, x) in &near {
                    for (v, u) in (0..side * side).map(|site| (site / side, site % side)) {
                        let tap_row = (y + v).wrapping_sub(row + side - 1);
                        let tap_col = (x + u).wrapping_sub(col + side - 1);
                        if tap_row < SIDE && tap_col < SIDE {
                            neighbours.push(Neighbour {
                                site: (first + v * side + u) as u32,
                                tap: (tap_row * SIDE + tap_col) as u32,
                            });
                        }
                    }
                }
            }
        }
        starts.push(neighbours.len());
        Self { starts, neighbours }
    }

    fn of_site(&self, site: usize) -> &[Neighbour] {
        &self.neighbours[self.starts[site]..self.starts[site + 1]]
    }
}

/// The places in `visible` of the patches that have a site within reach of a site of `patch`, ascending.
///
/// They are searched for in the rows of patches around it, so that the work grows with the patches alone
/// and not with their square.
fn within_reach<'a>(
    patches: &Patches,
    visible: &'a [u32],
    patch: u32,
) -> impl Iterator<Item = usize> + use<'a> {
    let Patches { rows, cols, side, .. } = *patches;
    let (row, col) = (patch as usize / cols, patch as usize % cols);
    // Of two patches d apart, the nearest sites are (d − 1) · side + 1 apart.
    let reach = (PAD - 1) / side + 1;
    let columns = col.saturating_sub(reach)..=(col + reach).min(cols - 1);
    (row.saturating_sub(reach)..=(row + reach).min(rows - 1)).flat_map(move |row| {
        let place =
            |col: usize| visible.partition_point(|&other| (other as usize) < row * cols + col);
        place(*columns.start())..place(*columns.end() + 1)
    })
}

/// Computes some sites of an image into `out`, which holds those only.
pub(super) struct Gather<'a> {
    /// The whole image, `[S, C]`.
    pub(super) x: &'a [f32],
    pub(super) filter: &'a Filter,
    pub(super) pairs: &'a Pairs,
    pub(super) sites: Range<usize>,
    pub(super) channels: usize,
    /// Added to the outputs.
    pub(super) add: Option<&'a [f32]>,
    pub(super) out: &'a mut [f32],
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, filter, pairs, sites, channels, add, out } = self;
        let (groups, rest) = filter.blocks.as_chunks::<TOGETHER>();
        for (index, site) in sites.enumerate() {
            let neighbours = pairs.of_site(site);
            let out = &mut out[index * channels..][..channels];
            let add = add.map(|add| &add[index * channels..][..channels]);
            for (group, blocks) in groups.iter().enumerate() {
                let first = group * TOGETHER * LANES;
                sums::<S, TOGETHER>(simd, x, channels, first, blocks, neighbours, add, out);
            }
            for (index, block) in rest.iter().enumerate() {
                let first = (groups.len() * TOGETHER + index) * LANES;
                let blocks = std::array::from_ref(block);
                sums::<S, 1>(simd, x, channels, first, blocks, neighbours, add, out);
            }
        }
    }
}

/// One site's outputs of B blocks of channels from `first` on.
#[expect(clippy::too_many_arguments, reason = "an inner loop")]
#[inline(always)]
fn sums<S: Simd, const B: usize>(
    simd: S,
    x: &[f32],
    channels: usize,
    first: usize,
    blocks: &[Block; B],
    neighbours: &[Neighbour],
    add: Option<&[f32]>,
    out: &mut [f32],
) {
    let mut sums: [S::Vector; B] = std::array::from_fn(|b| simd.load(&blocks[b].bias.0));
    if first + B * LANES <= channels {
        for neighbour in neighbours {
            let start = neighbour.site as usize * channels + first;
            let (values, _) = x[start..start + B * LANES].as_chunks::<LANES>();
            let tap = neighbour.tap as usize;
            for b in 0..B {
                let value = simd.load(&values[b]);
                sums[b] = simd.mul_add(value, simd.load(&blocks[b].taps[tap].0), sums[b]);
            }
        }
    } else {
        for neighbour in neighbours {
            let row = &x[neighbour.site as usize * channels..][..channels];
            let tap = neighbour.tap as usize;
            for b in 0..B {
                let value = simd.load_at(row, first + b * LANES);
                sums[b] = simd.mul_add(value, simd.load(&blocks[b].taps[tap].0), sums[b]);
            }
        }
    }
    for (b, sum) in sums.into_iter().enumerate() {
        let start = first + b * LANES;
        let sum = match add {
            Some(add) => simd.add(sum, simd.load_at(add, start)),
            None => sum,
        };
        simd.store_at(sum, out, start);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The places of the patches that are within reach of `patch`, by looking at every site of every patch.
    fn naive(patches: &Patches, visible: &[u32], patch: u32) -> Vec<usize> {
        let Patches { cols, side, .. } = *patches;
        let sites = |patch: u32| {
            let (row, col) = (patch as usize / cols, patch as usize % cols);
            (0..side * side).map(move |site| (row * side + site / side, col * side + site % side))
        };
        let near = |other: u32| {
            sites(patch).any(|(y, x)| {
                sites(other).any(|(v, u)| y.abs_diff(v) <= PAD && x.abs_diff(u) <= PAD)
            })
        };
        (0..visible.len()).filter(|&index| near(visible[index])).collect()
    }

    #[test]
    fn the_patches_within_reach_are_those_of_the_naive_search() {
        for (rows, cols) in [(1, 1), (1, 9), (9, 1), (7, 7), (5, 11)] {
            for (side, keep) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 5)] {
                let all = 0..(rows * cols) as u32;
                let visible: Vec<u32> = all.filter(|patch| patch * 7 % 11 % keep == 0).collect();
                let patches = Patches::new(rows, cols, side, visible.len(), visible).unwrap();
                let visible = patches.of_image(0);
                for &patch in visible {
                    let found: Vec<usize> = within_reach(&patches, visible, patch).collect();
                    assert_eq!(found, naive(&patches, visible, patch), "{patches:?} {patch}");
                }
            }
        }
    }
}
