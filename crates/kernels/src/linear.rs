//! Linear layers over the channels of each site: x · Wᵀ + b with W as PyTorch keeps it,
//! `[outputs, inputs]`.

mod product;

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple, check_positive};
use crate::tasks::add_parts;
use product::{Matrix, multiply};

/// Rows of one matrix product, so that its block of the output stays in the second-level cache
/// while the bias is added. Fixed by shape: the product's rounding may depend on the cut.
fn block_rows(rows: usize, outputs: usize) -> usize {
    const VALUES: usize = 128 * 1024;
    let fitting = (VALUES / outputs.max(1)).clamp(96, 512);
    // At least 8 blocks where there are that many rows of 96.
    fitting.min(rows.div_ceil(8).max(96))
}

/// out = x · Wᵀ + b: `[M, inputs]` → `[M, outputs]`. The number of outputs follows from `weight`.
///
/// # Errors
/// Where lengths don't fit.
pub fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "linear::forward";
    let (rows, outputs) = sizes(operation, x, weight, bias, inputs)?;
    check_length(operation, "out", out.len(), rows * outputs)?;
    let block = block_rows(rows, outputs);
    out.par_chunks_mut(block * outputs).zip(x.par_chunks(block * inputs)).for_each(|(out, x)| {
        if let Some(bias) = bias {
            for out in out.chunks_exact_mut(outputs) {
                out.copy_from_slice(bias);
            }
        }
        let x = Matrix::new(x, inputs);
        multiply(out, outputs, bias.is_some(), x, Matrix::new(weight, inputs).transposed(), 1.0);
    });
    Ok(())
}

/// What [`forward_add`] adds the product to.
#[derive(Clone, Copy, Debug)]
pub struct Shortcut<'a> {
    /// `[M, outputs]`
    pub values: &'a [f32],
    /// A factor of the product for each image (drop path: 0 or 1 / keep), each of M / N rows; 1
    /// where there is none.
    pub scale: Option<&'a [f32]>,
}

/// out = shortcut + scale\[n\] · (x · Wᵀ + b). Where the scale is 0 nothing is computed.
///
/// # Errors
/// Where lengths don't fit, or the rows are no multiple of the number of scales.
pub fn forward_add(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    shortcut: Shortcut<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "linear::forward_add";
    let (rows, outputs) = sizes(operation, x, weight, bias, inputs)?;
    check_length(operation, "shortcut.values", shortcut.values.len(), rows * outputs)?;
    check_length(operation, "out", out.len(), rows * outputs)?;
    let scale = shortcut.scale.unwrap_or(&[1.0]);
    let image = check_multiple(operation, "x", rows, scale.len())?;
    let block = block_rows(rows, outputs).min(image);
    let images = out
        .par_chunks_mut(image * outputs)
        .zip(x.par_chunks(image * inputs))
        .zip(shortcut.values.par_chunks(image * outputs));
    images.zip(scale).for_each(|(((out, x), shortcut), &scale)| {
        if scale == 0.0 {
            out.copy_from_slice(shortcut);
            return;
        }
        out.par_chunks_mut(block * outputs)
            .zip(x.par_chunks(block * inputs))
            .zip(shortcut.par_chunks(block * outputs))
            .for_each(|((out, x), shortcut)| {
                match bias {
                    Some(bias) => {
                        let rows = out.chunks_exact_mut(outputs);
                        for (out, shortcut) in rows.zip(shortcut.chunks_exact(outputs)) {
                            for ((out, shortcut), bias) in out.iter_mut().zip(shortcut).zip(bias) {
                                *out = shortcut + scale * bias;
                            }
                        }
                    }
                    None => out.copy_from_slice(shortcut),
                }
                let x = Matrix::new(x, inputs);
                multiply(out, outputs, true, x, Matrix::new(weight, inputs).transposed(), scale);
            });
    });
    Ok(())
}

/// The gradient with respect to `x`: grad · W, `[M, outputs]` → `[M, inputs]`.
///
/// # Errors
/// Where lengths don't fit.
pub fn backward_input(
    grad: &[f32],
    weight: &[f32],
    inputs: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "linear::backward_input";
    check_positive(operation, "inputs", inputs)?;
    let outputs = check_multiple(operation, "weight", weight.len(), inputs)?;
    let rows = check_multiple(operation, "grad", grad.len(), outputs)?;
    check_length(operation, "out", out.len(), rows * inputs)?;
    let block = block_rows(rows, inputs);
    out.par_chunks_mut(block * inputs).zip(grad.par_chunks(block * outputs)).for_each(
        |(out, grad)| {
            let grad = Matrix::new(grad, outputs);
            multiply(out, inputs, false, grad, Matrix::new(weight, inputs), 1.0);
        },
    );
    Ok(())
}

/// The gradients with respect to weight, gradᵀ · x, `[outputs, inputs]`, and bias, the sums over
/// rows of grad, `[outputs]`. The number of inputs follows from `weight_grad`.
///
/// # Errors
/// Where lengths don't fit.
pub fn backward_weight(
    x: &[f32],
    grad: &[f32],
    outputs: usize,
    weight_grad: &mut [f32],
    bias_grad: Option<&mut [f32]>,
) -> Result<(), KernelError> {
    let operation = "linear::backward_weight";
    check_positive(operation, "outputs", outputs)?;
    let inputs = check_multiple(operation, "weight_grad", weight_grad.len(), outputs)?;
    let rows = check_multiple(operation, "grad", grad.len(), outputs)?;
    check_length(operation, "x", x.len(), rows * inputs)?;
    if let Some(bias_grad) = &bias_grad {
        check_length(operation, "bias_grad", bias_grad.len(), outputs)?;
    }

    // The rows are cut into parts whose products are added in order, the outputs into tiles. Parts
    // cost a pass over the weights each, so there are many only where the weights are small.
    let parts = (rows / 1024).clamp(1, 16);
    let tile = outputs.div_ceil(16usize.div_ceil(parts)).next_multiple_of(8).min(outputs);
    let part_rows = rows.div_ceil(parts);
    if parts == 1 {
        weight_grad
            .par_chunks_mut(tile * inputs)
            .enumerate()
            .for_each(|(index, out)| tile_product(x, grad, inputs, outputs, index * tile, out));
    } else {
        let mut products = crate::buffer(parts * weight_grad.len());
        products.par_chunks_mut(weight_grad.len()).enumerate().for_each(|(part, out)| {
            let first = (part * part_rows).min(rows);
            let last = (first + part_rows).min(rows);
            let (x, grad) =
                (&x[first * inputs..last * inputs], &grad[first * outputs..last * outputs]);
            out.par_chunks_mut(tile * inputs)
                .enumerate()
                .for_each(|(index, out)| tile_product(x, grad, inputs, outputs, index * tile, out));
        });
        weight_grad.fill(0.0);
        add_parts(&products, weight_grad);
    }
    if let Some(bias_grad) = bias_grad {
        column_sums(grad, bias_grad);
    }
    Ok(())
}

/// Rows `first..` of gradᵀ · x, as many as `out` holds.
fn tile_product(
    x: &[f32],
    grad: &[f32],
    inputs: usize,
    outputs: usize,
    first: usize,
    out: &mut [f32],
) {
    let count = out.len() / inputs;
    let grad = Matrix::new(grad, outputs).columns(first, count).transposed();
    multiply(out, inputs, false, grad, Matrix::new(x, inputs), 1.0);
}

/// The sums over rows.
fn column_sums(rows: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    let task = crate::tasks::rows_per_task(columns) * columns;
    let mut parts = vec![0.0; rows.len().div_ceil(task) * columns];
    rows.par_chunks(task).zip(parts.par_chunks_mut(columns)).for_each(|(rows, part)| {
        let (together, rest) = rows.split_at(rows.len() - rows.len() % (4 * columns));
        for four in together.chunks_exact(4 * columns) {
            let (a, b) = four.split_at(2 * columns);
            let (a0, a1) = a.split_at(columns);
            let (b0, b1) = b.split_at(columns);
            for ((((sum, a0), a1), b0), b1) in part.iter_mut().zip(a0).zip(a1).zip(b0).zip(b1) {
                *sum += (a0 + a1) + (b0 + b1);
            }
        }
        for row in rest.chunks_exact(columns) {
            for (sum, value) in part.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
    sums.fill(0.0);
    add_parts(&parts, sums);
}

/// Checks what the forward passes share; returns rows and outputs.
fn sizes(
    operation: &'static str,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
) -> Result<(usize, usize), KernelError> {
    check_positive(operation, "inputs", inputs)?;
    let outputs = check_multiple(operation, "weight", weight.len(), inputs)?;
    let rows = check_multiple(operation, "x", x.len(), inputs)?;
    if let Some(bias) = bias {
        check_length(operation, "bias", bias.len(), outputs)?;
    }
    crate::error::product(operation, &[rows, outputs])?;
    Ok((rows, outputs))
}
