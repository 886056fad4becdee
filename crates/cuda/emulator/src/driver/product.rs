//! Products of matrices, in plain loops.

use fcmae_cuda::driver::{Address, GivenMatrix, GivenProduct};
use fcmae_cuda::work::Element;

use super::memory::Memory;

/// Whether a card could compute it.
pub(super) fn check(product: &GivenProduct) -> Result<(), String> {
    let GivenProduct { rows, columns, depth, a, b, bias, out, .. } = *product;
    if [rows, columns, depth].contains(&0) {
        return Err(format!("a product of {rows} x {depth} by {depth} x {columns} is empty"));
    }
    // cuBLASLt knows no other combination in which it sums in float32.
    let known = [Element::F32, Element::Bf16].contains(&a.element)
        && a.element == b.element
        && (out.element == Element::F32 || out.element == a.element);
    if !known {
        let elements = format!("{:?} and {:?} are not multiplied", a.element, b.element);
        return Err(format!("{elements} to {:?}", out.element));
    }
    if out.turned {
        return Err("the result is turned".to_owned());
    }
    let range = |name, at: Address, element: Element, [rows, columns]: [usize; 2]| {
        if !at.is_multiple_of(element.bytes() as u64) {
            return Err(format!("{name} is at {at:#x}, which is no place for {element:?}"));
        }
        let bytes = rows.checked_mul(columns).and_then(|len| len.checked_mul(element.bytes()));
        bytes
            .and_then(|bytes| Some(at..at.checked_add(bytes as u64)?))
            .ok_or_else(|| format!("{name} of {rows} x {columns} is beyond all memory"))
    };
    let written = range("the result", out.at, out.element, [rows, columns])?;
    let mut read = vec![
        ("the first factor", range("the first factor", a.at, a.element, [rows, depth])?),
        ("the second factor", range("the second factor", b.at, b.element, [depth, columns])?),
    ];
    if let Some(at) = bias {
        read.push(("the bias", range("the bias", at, Element::F32, [1, columns])?));
    }
    match read.iter().find(|(_, read)| read.start < written.end && written.start < read.end) {
        Some((name, _)) => Err(format!("the result overlaps {name}")),
        None => Ok(()),
    }
}

/// Computes a product that [`check`] let pass, as work of a number.
pub(super) fn compute(
    memory: &mut Memory,
    number: u64,
    product: &GivenProduct,
) -> Result<(), String> {
    let GivenProduct { rows, columns, depth, a, b, bias, out, adds } = *product;
    let mut read = |name: &str, matrix: GivenMatrix, size| {
        read(memory, number, matrix, size).map_err(|reason| format!("{name}: {reason}"))
    };
    let a = read("the first factor", a, [rows, depth])?;
    let b = read("the second factor", b, [depth, columns])?;
    let bias = bias
        .map(|at| GivenMatrix { at, element: Element::F32, turned: false })
        .map(|bias| read("the bias", bias, [1, columns]))
        .transpose()?;
    // Read also where nothing is added, so that a place that is not there is told before the work.
    let there = read("the result", out, [rows, columns])?;
    let mut sums = multiplied(&a, &b, columns, depth);
    if let Some(bias) = bias {
        for row in sums.chunks_exact_mut(columns) {
            row.iter_mut().zip(&bias).for_each(|(sum, bias)| *sum += bias);
        }
    }
    if adds {
        sums.iter_mut().zip(&there).for_each(|(sum, there)| *sum += there);
    }
    let to = memory.bytes(number, out.at, sums.len() * out.element.bytes())?;
    if out.element == Element::F32 {
        for (to, sum) in to.chunks_exact_mut(4).zip(&sums) {
            to.copy_from_slice(&sum.to_ne_bytes());
        }
    } else {
        for (to, &sum) in to.chunks_exact_mut(2).zip(&sums) {
            to.copy_from_slice(&rounded(sum).to_ne_bytes());
        }
    }
    Ok(())
}

/// The values of a matrix that is `rows` by `columns` as it is used, row by row.
fn read(
    memory: &mut Memory,
    number: u64,
    matrix: GivenMatrix,
    [rows, columns]: [usize; 2],
) -> Result<Vec<f32>, String> {
    let bytes = memory.bytes(number, matrix.at, rows * columns * matrix.element.bytes())?;
    let values: Vec<f32> = if matrix.element == Element::F32 {
        bytes.as_chunks().0.iter().map(|&bytes| f32::from_ne_bytes(bytes)).collect()
    } else {
        let wide = |&bytes| f32::from_bits(u32::from(u16::from_ne_bytes(bytes)) << 16);
        bytes.as_chunks().0.iter().map(wide).collect()
    };
    if !matrix.turned {
        return Ok(values);
    }
    let mut turned = Vec::with_capacity(values.len());
    for row in 0..rows {
        turned.extend(values[row..].iter().step_by(rows));
    }
    Ok(turned)
}

/// `a [rows, depth] · b [depth, columns]`, each sum in the order of the depth.
fn multiplied(a: &[f32], b: &[f32], columns: usize, depth: usize) -> Vec<f32> {
    let mut out = vec![0.0; a.len() / depth * columns];
    for (out, a) in out.chunks_exact_mut(columns).zip(a.chunks_exact(depth)) {
        for (factor, b) in a.iter().zip(b.chunks_exact(columns)) {
            out.iter_mut().zip(b).for_each(|(sum, value)| *sum += factor * value);
        }
    }
    out
}

/// The nearest bfloat16, of two the even one.
fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    // No sum of a finite value or an infinity goes beyond 32 bits.
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}
