//! Rows of a matrix: chosen ones, and standardized ones.

use std::cell::LazyCell;
use std::sync::Arc;

use fcmae_cuda::operations::rows as card;
use fcmae_kernels::rows as kernel;

use super::Operation;
use super::depthwise::signed;
use crate::engine::parameters::{Arena, Parameter};
use crate::engine::tape::{Back, Backward, Fill, Pass, Recorder};
use crate::engine::tensor::{Node, Tensor};

/// What fills rows that the matrix does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// Nothing: every chosen row is there.
    None,
    /// Zeros.
    Zeros,
    /// A parameter, `[D]`.
    Parameter(Parameter),
}

/// The given rows of `x [R, D]`, in that order: `[K, D]`. A row may be chosen more than once; row R is
/// the filler.
pub fn select_rows(
    pass: &mut Pass<'_>,
    x: Tensor,
    rows: impl Into<Arc<[u32]>>,
    filler: Filler,
) -> Tensor {
    let ([count, width], rows) = (x.dims(), rows.into());
    let zeros = (filler == Filler::Zeros).then(|| vec![0.0; width]);
    let out = pass.fill(
        Operation::SelectRows,
        x.form([rows.len(), width]),
        |weights: &Arena, out| {
            let filler = match filler {
                Filler::Parameter(parameter) => Some(weights.get(parameter)),
                Filler::None | Filler::Zeros => zeros.as_deref(),
            };
            kernel::select(x.values(), width, &rows, filler, out)
        },
        |record, out| {
            // A card would read beside the matrix.
            let last = if filler == Filler::None { count - 1 } else { count };
            let there = rows.iter().all(|&row| row as usize <= last);
            assert!(there, "a chosen row is beyond the {count} of the matrix");
            let (x, chosen) = (record.of(&x), record.list(&rows, "chosen", || signed(&rows)));
            let filler = match filler {
                Filler::Parameter(parameter) => Some(record.weight(parameter)),
                Filler::None | Filler::Zeros => zeros.as_ref().map(|zeros| record.floats(zeros)),
            };
            card::select(record, &x, &chosen, filler.as_ref(), out);
        },
    );
    let parameters: &[Parameter] = match &filler {
        Filler::Parameter(parameter) => std::slice::from_ref(parameter),
        Filler::None | Filler::Zeros => &[],
    };
    pass.record(out, &[&x], parameters, || {
        Box::new(SelectRows { x: x.node(), shape: [count, width], rows, filler })
    })
}

#[derive(Debug)]
struct SelectRows {
    x: Option<Node>,
    shape: [usize; 2],
    rows: Arc<[u32]>,
    filler: Filler,
}

impl Backward for SelectRows {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { x, shape, rows, filler } = *self;
        let ([count, width], gradient) = (shape, &gradient);
        let form = gradient.form(shape);
        // Of a card: who chose each row, and the filler.
        let sources = |record: &mut Recorder<'_>| {
            let made = LazyCell::new(|| card::Sources::of(&rows, count));
            let starts = record.list(&rows, "starts", || made.starts.clone());
            [starts, record.list(&rows, "sources", || made.sources.clone())]
        };
        let by_x = match filler {
            Filler::Parameter(parameter) => {
                let [by_x] = back.fill_and_parameters(
                    Operation::SelectRowsBackward,
                    [form],
                    [parameter],
                    |_, [by_x], [by_filler]| {
                        let gradient = gradient.values();
                        kernel::select_backward(gradient, width, &rows, by_x, Some(by_filler))
                    },
                    |record, [by_x], [by_filler], adds| {
                        let (gradient, [starts, sources]) = (record.of(gradient), sources(record));
                        card::select_backward(record, &gradient, [&starts, &sources], by_x);
                        let first = rows.iter().filter(|&&row| (row as usize) < count).count();
                        card::filler_backward(record, &gradient, &sources, first, by_filler, adds);
                    },
                );
                by_x
            }
            Filler::None | Filler::Zeros => {
                let mut by_zeros = (filler == Filler::Zeros).then(|| vec![0.0; width]);
                back.fill(
                    Operation::SelectRowsBackward,
                    form,
                    |_, by_x| {
                        let filler = by_zeros.as_deref_mut();
                        kernel::select_backward(gradient.values(), width, &rows, by_x, filler)
                    },
                    |record, by_x| {
                        let (gradient, [starts, sources]) = (record.of(gradient), sources(record));
                        card::select_backward(record, &gradient, [&starts, &sources], by_x);
                    },
                )
            }
        };
        back.add(x, by_x);
    }
}

/// Each row of `x [R, D]` minus its mean, over `√(unbiased variance + eps)`. There is no gradient
/// through it.
pub fn standardize_rows(pass: &mut Pass<'_>, x: Tensor, eps: f32) -> Tensor {
    let width = x.shape().last();
    pass.fill(
        Operation::StandardizeRows,
        x.shape().floats(),
        |_, out| kernel::standardize(x.values(), width, eps, out),
        |record, out| {
            let x = record.wide(&x);
            card::standardize(record, &x, width, eps, out);
        },
    )
}
