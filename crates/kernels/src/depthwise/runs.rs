use crate::sites::Sites;

/// The sites of one image as runs: sites that are neighbours in a row of the image and in memory.
pub(super) struct Runs {
    /// Sites of each run.
    pub(super) len: usize,
    /// Where each run starts, in the order of memory.
    pub(super) starts: Vec<Start>,
    /// Width of the image in sites.
    pub(super) width: usize,
    /// Runs that follow each other as rows of one rectangle.
    pub(super) rows: usize,
}

/// A site's place in the whole image.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) y: usize,
    pub(super) x: usize,
}

impl Runs {
    pub(super) fn of_image(sites: &Sites, image: usize) -> Self {
        match sites {
            Sites::Grid { height, width } => Self {
                len: *width,
                starts: (0..*height).map(|y| Start { y, x: 0 }).collect(),
                width: *width,
                rows: *height,
            },
            Sites::Patches(patches) => {
                let side = patches.side;
                let starts = patches.of_image(image).iter().flat_map(|&patch| {
                    let (row, col) = (patch as usize / patches.cols, patch as usize % patches.cols);
                    (0..side).map(move |y| Start { y: row * side + y, x: col * side })
                });
                Self { len: side, starts: starts.collect(), width: patches.cols * side, rows: side }
            }
        }
    }

    /// How many runs make one of `parts` parts: whole patches, or at least eight rows of the grid,
    /// since a part reads three rows above and below it again.
    pub(super) fn part(&self, parts: usize) -> usize {
        let even = self.starts.len().div_ceil(parts);
        if self.len == self.width { even.max(8) } else { even.next_multiple_of(self.rows) }
    }
}
