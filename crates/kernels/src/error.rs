use thiserror::Error;

/// Why a kernel refused its arguments. Nothing is written when it does.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A slice is shorter or longer than the shapes say.
    #[error("{operation}: `{argument}` has {found} values but the shapes ask for {expected}")]
    Length {
        /// The kernel, such as `depthwise::forward`.
        operation: &'static str,
        /// The slice's name among the kernel's parameters.
        argument: &'static str,
        /// How many values the shapes ask for.
        expected: usize,
        /// How many values it holds.
        found: usize,
    },
    /// A slice can't be cut into equal parts, such as an image into sites of `channels` values.
    #[error("{operation}: `{argument}` has {found} values, not a positive multiple of {multiple}")]
    Multiple {
        /// The kernel.
        operation: &'static str,
        /// The slice's name.
        argument: &'static str,
        /// What its length must be a multiple of.
        multiple: usize,
        /// How many values it holds.
        found: usize,
    },
    /// A size is zero.
    #[error("{operation}: `{argument}` is zero; it must be at least 1")]
    Zero {
        /// The kernel or constructor.
        operation: &'static str,
        /// The size's name.
        argument: &'static str,
    },
    /// Sizes whose product does not fit the machine's address space.
    #[error("{operation}: the sizes are too large, their product overflows")]
    Overflow {
        /// The kernel or constructor.
        operation: &'static str,
    },
    /// The features belong to another number of images than the visible patches.
    #[error("the features hold {images} images but the visible patches are of {patches}")]
    Images {
        /// Images by the features.
        images: usize,
        /// Images by the list of visible patches.
        patches: usize,
    },
    /// A chosen row isn't there.
    #[error("{operation}: row {row} is outside the matrix of {rows} rows")]
    RowOutside {
        /// The kernel.
        operation: &'static str,
        /// The row's index.
        row: u32,
        /// Rows of the matrix.
        rows: usize,
    },
    /// A visible patch lies outside the patch grid.
    #[error("image {image}: visible patch {patch} is outside the grid of {rows} × {cols} patches")]
    PatchOutside {
        /// The image's index.
        image: usize,
        /// The patch's index.
        patch: u32,
        /// Rows of the patch grid.
        rows: usize,
        /// Columns of the patch grid.
        cols: usize,
    },
    /// An image's visible patches are not strictly ascending.
    #[error(
        "image {image}: visible patch {patch} follows {before}; list them ascending, each once"
    )]
    PatchOrder {
        /// The image's index.
        image: usize,
        /// The patch in the wrong place.
        patch: u32,
        /// The patch listed before it.
        before: u32,
    },
    /// The system doesn't give this much memory.
    #[error("{operation}: the system doesn't give {bytes} bytes of memory")]
    Allocation {
        /// The constructor.
        operation: &'static str,
        /// How much was asked for.
        bytes: usize,
    },
    /// A piece of a memory reaches beyond its end.
    #[error("a piece of {len} values from {start} is outside the memory of {memory} values")]
    PieceOutside {
        /// The piece's first value.
        start: usize,
        /// The piece's length.
        len: usize,
        /// The memory's length.
        memory: usize,
    },
    /// A piece of a memory overlaps one that is still alive.
    #[error(
        "a piece of {len} values from {start} overlaps the live piece of {other_len} from {other}"
    )]
    PieceOverlap {
        /// The piece's first value.
        start: usize,
        /// The piece's length.
        len: usize,
        /// The live piece's first value.
        other: usize,
        /// The live piece's length.
        other_len: usize,
    },
    /// Sites that can't be halved for the next stage.
    #[error("{height} × {width} sites can't be halved: both sides must be even")]
    Odd {
        /// Rows of sites, of the image or of a patch.
        height: usize,
        /// Columns of sites.
        width: usize,
    },
}

/// Checks that `argument` holds exactly `expected` values.
pub(crate) fn check_length(
    operation: &'static str,
    argument: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), KernelError> {
    if found == expected {
        Ok(())
    } else {
        Err(KernelError::Length { operation, argument, expected, found })
    }
}

/// Checks that a size is not zero.
pub(crate) fn check_positive(
    operation: &'static str,
    argument: &'static str,
    size: usize,
) -> Result<(), KernelError> {
    if size > 0 { Ok(()) } else { Err(KernelError::Zero { operation, argument }) }
}

/// How many parts of `multiple` values `argument` holds: at least one, and none left over.
pub(crate) fn check_multiple(
    operation: &'static str,
    argument: &'static str,
    found: usize,
    multiple: usize,
) -> Result<usize, KernelError> {
    if multiple > 0 && found > 0 && found.is_multiple_of(multiple) {
        Ok(found / multiple)
    } else {
        Err(KernelError::Multiple { operation, argument, multiple, found })
    }
}

/// The product of `sizes`, or an error where it overflows.
pub(crate) fn product(operation: &'static str, sizes: &[usize]) -> Result<usize, KernelError> {
    sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .ok_or(KernelError::Overflow { operation })
}
