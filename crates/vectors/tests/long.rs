//! What many vectors take: `cargo test --release -p fcmae-vectors --test long -- --ignored --nocapture` prints times.

#![allow(clippy::unwrap_used)]

use std::time::Instant;

use fcmae_vectors::Vectors;
use fcmae_vectors::neighbours::{nearest_others, pairs_above};

/// Rows in 100 clouds, row i of cloud i % 100, each noisy by a multiplicative generator's numbers.
fn clouds(rows: usize, width: usize, spread: f32) -> Vectors {
    let mut state = 1_u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let centres: Vec<f32> = (0..100 * width).map(|_| random()).collect();
    let values = (0..rows * width).map(|place| {
        let (row, column) = (place / width, place % width);
        centres[row % 100 * width + column] + spread * random()
    });
    Vectors::new(values.collect(), width).unwrap()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what}: {:.1} s", start.elapsed().as_secs_f64());
    result
}

#[test]
#[ignore = "long: 10 billion cosines"]
fn neighbours_of_a_hundred_thousand_rows() {
    let vectors = clouds(100_000, 320, 1.0);
    let found = timed("10 neighbours of 100,000 × 320", || nearest_others(&vectors, 10).unwrap());
    for row in 0..vectors.len() {
        assert!(found.places(row).iter().all(|&other| other as usize % 100 == row % 100));
    }
    let pairs = timed("pairs of 100,000 × 320", || pairs_above(&vectors, 0.9, 1000).unwrap());
    assert!(pairs.pairs.iter().all(|pair| pair.left % 100 == pair.right % 100));
}
