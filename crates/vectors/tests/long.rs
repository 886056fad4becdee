//! What many vectors take: `cargo test --release -p fcmae-vectors --test long -- --ignored --nocapture` prints times.

#![allow(clippy::unwrap_used)]

use std::time::Instant;

use fcmae_vectors::Vectors;
use fcmae_vectors::anomaly::{PatchMemory, Sampling};
use fcmae_vectors::choice::farthest_first;
use fcmae_vectors::logistic::{Logistic, LogisticSettings, choose};
use fcmae_vectors::neighbours::{nearest_others, pairs_above};
use fcmae_vectors::project::Pca;
use fcmae_vectors::rank::effective_rank;
use fcmae_vectors::tsne::{TsneSettings, tsne};
use fcmae_vectors::validate::stratified;

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

#[test]
#[ignore = "long: five fits of 80,000 rows"]
fn a_probe_of_a_hundred_thousand_rows() {
    let vectors = clouds(100_000, 320, 4.0);
    let labels: Vec<usize> = (0..100_000).map(|row| row % 100).collect();
    let split = stratified(&labels, 0.2, 0).unwrap();
    let part = |rows: &[usize]| -> (Vectors, Vec<usize>) {
        (vectors.select(rows), rows.iter().map(|&row| labels[row]).collect())
    };
    let (fitting, validation) = (part(&split.fitting), part(&split.validation));
    let cs = [0.001, 0.01, 0.1, 1.0, 10.0];
    let settings = LogisticSettings::default();
    let (place, accuracy, fit) = timed("probe of 80,000 × 320, 100 classes, five Cs", || {
        choose((&fitting.0, &fitting.1), (&validation.0, &validation.1), &cs, &settings).unwrap()
    });
    println!("C {} of {cs:?}, accuracy {accuracy}, {} steps", cs[place], fit.iterations);
    assert!(accuracy > 0.9 && fit.converged);
    let all = timed("once more on all", || {
        Logistic::fit(&vectors, &labels, &[fit.c], &settings).unwrap().remove(0)
    });
    assert!(all.converged);
}

#[test]
#[ignore = "long: eigenvectors of 2,816 × 2,816"]
fn components_and_rank_of_wide_rows() {
    let vectors = clouds(10_000, 2816, 0.5);
    let pca = timed("50 components of 10,000 × 2,816", || Pca::fit(&vectors, 50).unwrap());
    assert!(pca.ratios().is_sorted_by(|a, b| a >= b));
    let rank = timed("rank of 10,000 × 2,816", || effective_rank(&vectors, true).unwrap());
    assert!(rank > 1000.0 && rank < 2816.0, "{rank}");
}

#[test]
#[ignore = "long: a thousand steps of 20,000 points"]
fn a_map_of_twenty_thousand_rows() {
    let vectors = clouds(100_000, 320, 1.0);
    let map = timed("map of 20,000 of 100,000 × 320", || {
        tsne(&vectors, &TsneSettings::default()).unwrap()
    });
    println!("divergence {}", map.divergence);
    assert!(map.rows.len() == 20_000 && map.divergence < 3.0);
}

#[test]
#[ignore = "long: a thousand rows chosen, and ten thousand patches"]
fn choices_among_a_hundred_thousand_rows() {
    let vectors = clouds(100_000, 320, 1.0);
    let chosen = timed("1,000 of 100,000 × 320", || farthest_first(&vectors, &[], 1000).unwrap());
    let mut first: Vec<usize> = chosen[..100].iter().map(|chosen| chosen.row % 100).collect();
    first.sort_unstable();
    assert_eq!(first, (0..100).collect::<Vec<_>>());
    let memory = timed("10,000 of 100,000 patches, greedily", || {
        PatchMemory::new(&vectors, 10_000, Sampling::Greedy, 0).unwrap()
    });
    let scores = timed("scores of 100,000 patches", || memory.score(&vectors, 100).unwrap());
    assert_eq!(scores.pictures.len(), 1000);
}
