//! What the emulator checks beyond a card.

use fcmae_cuda::sources::{SOURCES, Source};
use fcmae_cuda_emulator::{Argument, kernels, launch};

#[test]
fn the_kernels_are_those_that_are_compiled_for_cards() {
    let mut expected: Vec<String> = SOURCES.iter().flat_map(Source::kernels).collect();
    let mut found = kernels();
    assert!(found.contains(&"depthwise_weight<bf16, 8, 8>".to_owned()), "{found:?}");
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    found.dedup();
    assert_eq!(found.len(), expected.len(), "a name is there twice");
}

#[test]
fn an_access_beyond_the_end_is_told_with_its_thread() {
    let (x, mut sum) = ([1.0f32; 40], [0.0f32; 40]);
    let arguments = [Argument::write(&mut sum), Argument::read(&x), Argument::of(41u64)];
    let error = launch("accumulate", [2, 1, 1], [32, 1, 1], &arguments, false).unwrap_err();
    assert_eq!(error, "accumulate: block (1, 0, 0), thread (8, 0, 0): index 40 of 40");
}

#[test]
fn arguments_are_counted_and_measured() {
    let (x, mut sum) = ([1.0f32; 40], [0.0f32; 40]);
    let wrong = [Argument::write(&mut sum), Argument::read(&x), Argument::of(40u32)];
    let error = launch("accumulate", [2, 1, 1], [32, 1, 1], &wrong, false).unwrap_err();
    assert_eq!(error, "accumulate: argument 2 has 4 bytes and not 8");
    let error = launch("accumulate", [2, 1, 1], [32, 1, 1], &wrong[..2], false).unwrap_err();
    assert_eq!(error, "accumulate: wants 3 arguments");
    let error = launch("accumulated", [2, 1, 1], [32, 1, 1], &wrong, false).unwrap_err();
    assert!(error.starts_with("there is no kernel `accumulated`; there are "), "{error}");
}

#[test]
fn a_thread_that_leaves_others_waiting_is_told() {
    // A warp has a row: half a warp cannot sum it.
    let (x, weights, mut out) = ([1.0f32; 32], [1.0f32; 32], [0.0f32; 32]);
    let arguments = [
        Argument::read(&x),
        Argument::read(&weights),
        Argument::read(&weights),
        Argument::write(&mut out),
        Argument::of(1i32),
        Argument::of(32i32),
        Argument::of(1e-6f32),
    ];
    // A block of 48 threads has one whole warp and half of another, beyond the last row: both end well.
    launch("layer_norm<float>", [1, 1, 1], [48, 1, 1], &arguments, false).unwrap();
    assert_eq!(out, [1.0; 32]);
}
