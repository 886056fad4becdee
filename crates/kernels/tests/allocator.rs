//! The allocator keeps its pages.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use fcmae_kernels::allocator::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

/// Pages that this process had to be given.
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The tenth field; the second, in parentheses, may hold spaces.
    let after_name = stat.rsplit(')').next().unwrap();
    after_name.split_whitespace().nth(7).unwrap().parse().unwrap()
}

/// Page faults of taking, writing and dropping some buffers of many sizes.
fn step() -> u64 {
    let before = page_faults();
    for mebibytes in [1, 3, 16, 40] {
        let mut memory: Vec<u8> = Vec::with_capacity(mebibytes << 20);
        memory.resize(mebibytes << 20, 1);
        std::hint::black_box(&memory);
    }
    page_faults() - before
}

#[test]
fn freed_memory_is_used_again_without_page_faults() {
    let first = step();
    let mut later = 0;
    for _ in 0..8 {
        // mimalloc would give the pages back after ten milliseconds.
        std::thread::sleep(Duration::from_millis(30));
        later += step();
    }
    assert!(later < first, "{first} page faults in the first step, {later} in eight later ones");
}
