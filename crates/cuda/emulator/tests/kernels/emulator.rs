//! What the emulator checks beyond a card.

use fcmae_cuda::sources::{SOURCES, Source};
use fcmae_cuda_emulator::{Argument, kernels, launch};

use crate::card::run;

#[test]
fn the_kernels_are_those_that_are_compiled_for_cards() {
    let mut expected: Vec<String> = SOURCES.iter().flat_map(Source::kernels).collect();
    let mut found = kernels();
    found.retain(|kernel| !kernel.starts_with("faulty_"));
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

/// GELU of `x`, which the kernel is told to have `values` values.
fn gelu(x: &[f32], values: u64) -> Result<(), String> {
    let mut out = vec![0.0f32; 64];
    let arguments = [Argument::read(x), Argument::write(&mut out), Argument::of(values)];
    launch("gelu_forward<float>", [1, 1, 1], [32, 1, 1], &arguments, false)
}

#[test]
fn sixteen_bytes_are_within_and_begin_where_a_card_reads_them() {
    let x = vec![1.0f32; 64];
    gelu(&x, 64).unwrap();
    let error = gelu(&x[..42], 42).unwrap_err();
    let place = "gelu_forward<float>: block (0, 0, 0), thread (10, 0, 0): ";
    assert_eq!(error, format!("{place}values 40 to 43 of 42"));
    let error = gelu(&x[1..], 60).unwrap_err();
    let place = "gelu_forward<float>: block (0, 0, 0), thread (0, 0, 0): ";
    assert_eq!(error, format!("{place}value 0 is at no multiple of 16 bytes"));
}

#[test]
fn arguments_are_counted_and_measured() {
    let (x, mut sum) = ([1.0f32; 40], [0.0f32; 40]);
    let wrong = [Argument::write(&mut sum), Argument::read(&x), Argument::of(40u32)];
    let error = launch("accumulate", [2, 1, 1], [32, 1, 1], &wrong, false).unwrap_err();
    assert_eq!(error, "accumulate: argument 2 has 4 bytes and not 8");
    let read = [Argument::read(&x), Argument::read(&x), Argument::of(40u64)];
    let error = launch("accumulate", [2, 1, 1], [32, 1, 1], &read, false).unwrap_err();
    assert_eq!(error, "accumulate: argument 0 is written, and was given to read");
    let bytes = [0u8; 41];
    let odd = [wrong[0], Argument::read(&bytes), Argument::of(40u64)];
    let error = launch("accumulate", [2, 1, 1], [32, 1, 1], &odd, false).unwrap_err();
    assert_eq!(error, "accumulate: argument 1 is not of values of 4 bytes");
    let good = [wrong[0], wrong[1], Argument::of(40u64)];
    let error = launch("accumulate", [2, 70_000, 1], [32, 1, 1], &good, false).unwrap_err();
    assert_eq!(error, "accumulate: a grid that no card takes");
    let error = launch("accumulate", [2, 1, 1], [32, 1, 1], &wrong[..2], false).unwrap_err();
    assert_eq!(error, "accumulate: wants 3 arguments");
    let error = launch("accumulated", [2, 1, 1], [32, 1, 1], &wrong, false).unwrap_err();
    assert!(error.starts_with("there is no kernel `accumulated`; there are "), "{error}");
}

/// What is wrong with a kernel that is given some numbers to write, and how many threads stay.
fn faulty(kernel: &str, threads: u32, stay: Option<i32>) -> Result<(), String> {
    let mut out = [0i32; 64];
    let stay = stay.map(Argument::of);
    let arguments: Vec<_> = [Argument::write(&mut out)].into_iter().chain(stay).collect();
    launch(kernel, [1, 1, 1], [threads, 1, 1], &arguments, false)
}

#[test]
fn threads_that_others_wait_for_in_vain_are_told() {
    faulty("faulty_barrier", 64, Some(64)).unwrap();
    let ended = |thread: u32| {
        format!("block (0, 0, 0), thread ({thread}, 0, 0) has ended while others wait for it")
    };
    let error = faulty("faulty_barrier", 64, Some(40)).unwrap_err();
    assert_eq!(error, format!("faulty_barrier: {}", ended(40)));
    faulty("faulty_shuffle", 64, Some(32)).unwrap();
    let error = faulty("faulty_shuffle", 64, Some(40)).unwrap_err();
    assert_eq!(error, format!("faulty_shuffle: {}", ended(40)));
    let error = faulty("faulty_meeting", 32, None).unwrap_err();
    assert!(error.ends_with("wait for different things"), "{error}");
}

#[test]
fn a_warp_that_is_not_whole_has_no_shuffles() {
    let error = faulty("faulty_shuffle", 40, Some(40)).unwrap_err();
    assert!(error.ends_with("a shuffle in a warp that is not whole"), "{error}");
}

#[test]
#[should_panic(expected = "faulty_order depends on the order of threads")]
fn what_depends_on_the_order_of_threads_shows() {
    run("faulty_order", [1, 1, 1], [32, 1, 1], &vec![0i32], |out, _| vec![Argument::write(out)]);
}
