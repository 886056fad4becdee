//! The end of a block: shortcut + drop path(branch).

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple};
use crate::tasks::TASK_VALUES;

/// out = shortcut + scale\[n\] · branch, one scale an image (0 where the path is dropped). All
/// features are `[N, S, C]`. A dropped branch isn't read.
///
/// # Errors
/// Where lengths differ or aren't a multiple of the number of scales.
pub fn forward(
    shortcut: &[f32],
    branch: &[f32],
    scale: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "residual::forward";
    check_length(operation, "branch", branch.len(), shortcut.len())?;
    check_length(operation, "out", out.len(), shortcut.len())?;
    let image = check_multiple(operation, "shortcut", shortcut.len(), scale.len())?;
    each_image(image, &[shortcut, branch], scale, out, |inputs, scale, out| {
        if scale == 0.0 {
            out.copy_from_slice(inputs[0]);
            return;
        }
        for ((out, shortcut), branch) in out.iter_mut().zip(inputs[0]).zip(inputs[1]) {
            *out = shortcut + scale * branch;
        }
    });
    Ok(())
}

/// The gradient with respect to the branch: scale\[n\] · grad, zeros where the path is dropped.
/// (The shortcut's gradient is `grad` itself.)
///
/// # Errors
/// Where lengths differ or aren't a multiple of the number of scales.
pub fn backward(grad: &[f32], scale: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let operation = "residual::backward";
    check_length(operation, "out", out.len(), grad.len())?;
    let image = check_multiple(operation, "grad", grad.len(), scale.len())?;
    each_image(image, &[grad], scale, out, |inputs, scale, out| {
        if scale == 0.0 {
            out.fill(0.0);
            return;
        }
        for (out, grad) in out.iter_mut().zip(inputs[0]) {
            *out = scale * grad;
        }
    });
    Ok(())
}

/// Calls `work` on pieces of one image each.
fn each_image<const I: usize>(
    image: usize,
    inputs: &[&[f32]; I],
    scale: &[f32],
    out: &mut [f32],
    work: impl Fn([&[f32]; I], f32, &mut [f32]) + Sync,
) {
    out.par_chunks_mut(image).zip(scale).enumerate().for_each(|(n, (out, &scale))| {
        out.par_chunks_mut(TASK_VALUES).enumerate().for_each(|(task, out)| {
            let start = n * image + task * TASK_VALUES;
            work(inputs.map(|input| &input[start..start + out.len()]), scale, out);
        });
    });
}
