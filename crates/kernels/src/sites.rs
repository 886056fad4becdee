use std::sync::Arc;

use crate::error::{KernelError, check_length, check_positive, product};

/// Where the sites of features `[N, S, C]` lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Sites {
    /// Every site of the image, row-major; S = height · width.
    Grid {
        /// Rows of sites.
        height: usize,
        /// Columns of sites.
        width: usize,
    },
    /// Only the visible patches of each image, each side × side sites, row-major within a patch.
    Patches(Patches),
}

/// The visible patches of N images, V of each; S = V · side · side.
#[derive(Clone, Debug, PartialEq)]
pub struct Patches {
    /// Rows of the patch grid.
    pub rows: usize,
    /// Columns of the patch grid.
    pub cols: usize,
    /// Sites along one side of a patch.
    pub side: usize,
    /// Visible patches of each image, V.
    pub per_image: usize,
    /// `[N, V]` patch indices, row · cols + col, ascending within an image.
    pub visible: Arc<[u32]>,
}

impl Sites {
    /// Every site of an image of `height` × `width` sites.
    ///
    /// # Errors
    /// Where a side is zero or the product overflows.
    pub fn grid(height: usize, width: usize) -> Result<Self, KernelError> {
        let sites = Self::Grid { height, width };
        sites.check()?;
        Ok(sites)
    }

    /// Only the visible patches; see [`Patches::new`].
    ///
    /// # Errors
    /// As [`Patches::new`].
    pub fn patches(
        rows: usize,
        cols: usize,
        side: usize,
        per_image: usize,
        visible: impl Into<Arc<[u32]>>,
    ) -> Result<Self, KernelError> {
        Patches::new(rows, cols, side, per_image, visible).map(Self::Patches)
    }

    /// Sites of one image, S, saturating at `usize::MAX`.
    #[must_use]
    pub fn sites_per_image(&self) -> usize {
        match self {
            Self::Grid { height, width } => height.saturating_mul(*width),
            Self::Patches(patches) => {
                patches.per_image.saturating_mul(patches.side).saturating_mul(patches.side)
            }
        }
    }

    /// Height and width of the whole image in sites, masked ones included.
    #[must_use]
    pub fn extent(&self) -> (usize, usize) {
        match self {
            Self::Grid { height, width } => (*height, *width),
            Self::Patches(patches) => (patches.rows * patches.side, patches.cols * patches.side),
        }
    }

    /// The same image at the next stage, with half as many sites along each side.
    ///
    /// # Errors
    /// Where a side (of the grid, or of a patch) is odd.
    pub fn halve(&self) -> Result<Self, KernelError> {
        let even = |height: usize, width: usize| {
            if height.is_multiple_of(2) && width.is_multiple_of(2) && height > 0 && width > 0 {
                Ok(())
            } else {
                Err(KernelError::Odd { height, width })
            }
        };
        match self {
            Self::Grid { height, width } => {
                even(*height, *width)?;
                Ok(Self::Grid { height: height / 2, width: width / 2 })
            }
            Self::Patches(patches) => {
                even(patches.side, patches.side)?;
                Ok(Self::Patches(Patches { side: patches.side / 2, ..patches.clone() }))
            }
        }
    }

    /// Checks the sizes and, for patches, the list: the fields are public, so kernels ask again.
    pub(crate) fn check(&self) -> Result<(), KernelError> {
        match self {
            Self::Grid { height, width } => {
                check_positive("Sites", "height", *height)?;
                check_positive("Sites", "width", *width)?;
                product("Sites", &[*height, *width]).map(|_| ())
            }
            Self::Patches(patches) => patches.check(),
        }
    }

    /// Checks the sites, and that they are of `images` images.
    pub(crate) fn check_images(&self, images: usize) -> Result<(), KernelError> {
        self.check()?;
        match self {
            Self::Patches(patches) if patches.images() != images => {
                Err(KernelError::Images { images, patches: patches.images() })
            }
            _ => Ok(()),
        }
    }
}

impl Patches {
    /// The patches `visible` (`[N, per_image]` indices row · cols + col) of a grid of
    /// `rows` × `cols` patches of `side` × `side` sites.
    ///
    /// # Errors
    /// Where a size is zero, the list is no whole number of images, an index lies outside the grid,
    /// or an image's indices are not strictly ascending.
    pub fn new(
        rows: usize,
        cols: usize,
        side: usize,
        per_image: usize,
        visible: impl Into<Arc<[u32]>>,
    ) -> Result<Self, KernelError> {
        let patches = Self { rows, cols, side, per_image, visible: visible.into() };
        patches.check()?;
        Ok(patches)
    }

    /// Number of images, N.
    #[must_use]
    pub fn images(&self) -> usize {
        self.visible.len().checked_div(self.per_image).unwrap_or(0)
    }

    /// The visible patches of one image, ascending; empty beyond the last image.
    #[must_use]
    pub fn of_image(&self, image: usize) -> &[u32] {
        self.visible.chunks_exact(self.per_image.max(1)).nth(image).unwrap_or(&[])
    }

    fn check(&self) -> Result<(), KernelError> {
        let operation = "Patches";
        check_positive(operation, "rows", self.rows)?;
        check_positive(operation, "cols", self.cols)?;
        check_positive(operation, "side", self.side)?;
        check_positive(operation, "per_image", self.per_image)?;
        product(operation, &[self.rows, self.cols, self.side, self.side])?;
        let images = self.images();
        check_length(operation, "visible", self.visible.len(), images * self.per_image)?;
        for (image, patches) in self.visible.chunks_exact(self.per_image).enumerate() {
            let mut before = None;
            for &patch in patches {
                if patch as usize >= self.rows * self.cols {
                    let (rows, cols) = (self.rows, self.cols);
                    return Err(KernelError::PatchOutside { image, patch, rows, cols });
                }
                if let Some(before) = before.replace(patch)
                    && before >= patch
                {
                    return Err(KernelError::PatchOrder { image, patch, before });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counts_sites_and_images() {
        let sites = Sites::patches(2, 3, 4, 2, vec![0, 5, 1, 2, 3, 4]).unwrap();
        assert_eq!(sites.sites_per_image(), 32);
        assert_eq!(sites.extent(), (8, 12));
        let Sites::Patches(patches) = &sites else { panic!("patches expected") };
        assert_eq!(patches.images(), 3);
        assert_eq!(patches.of_image(1), [1, 2]);
        assert!(patches.of_image(3).is_empty());
        assert_eq!(Sites::grid(6, 5).unwrap().sites_per_image(), 30);
    }

    #[test]
    fn halves_until_a_side_is_odd() {
        let grid = Sites::grid(12, 8).unwrap().halve().unwrap();
        assert_eq!(grid, Sites::Grid { height: 6, width: 4 });
        let odd = Sites::grid(3, 2).unwrap().halve();
        assert_eq!(odd, Err(KernelError::Odd { height: 3, width: 2 }));
        let patches = Sites::patches(1, 2, 2, 1, vec![1]).unwrap().halve().unwrap();
        assert_eq!(patches.sites_per_image(), 1);
        assert!(patches.halve().is_err());
    }

    #[test]
    fn refuses_bad_lists() {
        let new = |per_image, visible: Vec<u32>| Patches::new(2, 2, 4, per_image, visible);
        assert_eq!(
            new(2, vec![0, 4]),
            Err(KernelError::PatchOutside { image: 0, patch: 4, rows: 2, cols: 2 })
        );
        assert_eq!(
            new(2, vec![0, 1, 3, 2]),
            Err(KernelError::PatchOrder { image: 1, patch: 2, before: 3 })
        );
        assert!(matches!(new(2, vec![1, 1]), Err(KernelError::PatchOrder { .. })));
        assert!(matches!(new(2, vec![0, 1, 2]), Err(KernelError::Length { .. })));
        assert!(matches!(new(0, vec![]), Err(KernelError::Zero { .. })));
        assert!(matches!(
            Patches::new(usize::MAX, 2, 1, 1, vec![0]),
            Err(KernelError::Overflow { .. })
        ));
        assert!(Sites::grid(0, 3).is_err());
    }
}
