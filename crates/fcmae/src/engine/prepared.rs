//! Weights laid out as the processor's kernels want them, kept from pass to pass.

use std::fmt;
use std::sync::OnceLock;

use fcmae_kernels::block::{self, PerWeight};
use fcmae_kernels::linear;

use crate::engine::parameters::{Layout, Parameter};

/// The most rows for which the layout of a layer's weights is kept for the next pass: laying them out
/// costs as much as some hundred rows.
const KEEP_PREPARED_UP_TO: usize = 8192;

/// Weights as the processor's kernels want them, made when they are first needed. Once made they are only
/// read, by any number of threads.
pub(crate) struct Prepared {
    /// At the number of a block's first parameter.
    blocks: Places<PerWeight<Parameter>, block::Prepared>,
    /// At the number of a matrix's weight.
    matrices: Places<Matrix, linear::Prepared>,
}

/// The matrix of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    /// `[O, ..]`
    pub(crate) weight: Parameter,
    /// Whether a window's values lie in the order of its sites, and not as in the weight.
    pub(crate) windows: bool,
    /// What its rows are multiplied with.
    pub(crate) scale: Option<Parameter>,
}

impl Prepared {
    /// None yet.
    pub(crate) fn new(layout: &Layout) -> Self {
        Self { blocks: Places::new(layout), matrices: Places::new(layout) }
    }

    /// Itself where a layer of so many rows should keep its layout.
    pub(crate) fn of_rows(&self, rows: usize) -> Option<&Self> {
        (rows <= KEEP_PREPARED_UP_TO).then_some(self)
    }

    /// Drops all layouts.
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        self.matrices.clear();
    }

    /// The layout of a block's weights, of which the first has this `number`: see [`Places::get`].
    pub(crate) fn block(
        &self,
        number: usize,
        weights: &PerWeight<Parameter>,
        prepare: impl FnOnce() -> block::Prepared,
    ) -> Option<&block::Prepared> {
        self.blocks.get(number, weights, || prepare().kept())
    }

    /// The layout of a matrix, whose weight has this `number`: see [`Places::get`].
    pub(crate) fn matrix(
        &self,
        number: usize,
        matrix: &Matrix,
        prepare: impl FnOnce() -> linear::Prepared,
    ) -> Option<&linear::Prepared> {
        self.matrices.get(number, matrix, || prepare().kept())
    }
}

/// A place for the layout of each parameter, with what it is the layout of.
struct Places<K, L>(Box<[OnceLock<(K, L)>]>);

impl<K: Clone + PartialEq, L> Places<K, L> {
    /// Empty ones.
    fn new(layout: &Layout) -> Self {
        Self((0..layout.len()).map(|_| OnceLock::new()).collect())
    }

    fn clear(&mut self) {
        self.0.iter_mut().for_each(|place| drop(place.take()));
    }

    /// The layout of `of`, made where its place is empty; `None` where that of something else lies there,
    /// which has the same parameter.
    fn get(&self, number: usize, of: &K, make: impl FnOnce() -> L) -> Option<&L> {
        let place = &self.0[number];
        let (found, layout) = place.get().unwrap_or_else(|| {
            // Laid out before the place is asked for: threads share that work, and one that waits may
            // take up another pass, which comes to the same place.
            let made = (of.clone(), make());
            place.get_or_init(|| made)
        });
        (found == of).then_some(layout)
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}
