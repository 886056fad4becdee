//! Values that tests share with `reference/vectors.py`: the fill rule of `reference/README.md`.

use crate::vectors::Vectors;

/// The rule's r of a name, in float64.
pub(crate) fn fill(name: &str, count: usize) -> Vec<f64> {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let value = |index: u64| {
        let z =
            crate::random::mixed(hash.wrapping_add((index + 1).wrapping_mul(crate::random::STEP)));
        2.0 * ((z >> 40) as f64 / f64::from(1 << 24)) - 1.0
    };
    (0..count as u64).map(value).collect()
}

/// Rows in `classes` clouds, row i of class i % classes, `spread` from their centres.
pub(crate) fn clouds(
    name: &str,
    rows: usize,
    width: usize,
    classes: usize,
    spread: f64,
) -> (Vectors, Vec<usize>) {
    let centres = fill("centres", classes * width);
    let noise = fill(name, rows * width);
    let value = |(place, noise): (usize, f64)| {
        let (row, column) = (place / width, place % width);
        (centres[row % classes * width + column] + spread * noise) as f32
    };
    let values = noise.into_iter().enumerate().map(value).collect();
    let vectors = Vectors::new(values, width).expect("the rule gives numbers");
    (vectors, (0..rows).map(|row| row % classes).collect())
}
