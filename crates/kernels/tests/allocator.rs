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

/// Writes to every page of 64 MiB and frees them.
fn use_memory() -> u64 {
    let before = page_faults();
    let mut memory: Vec<u8> = Vec::with_capacity(64 << 20);
    memory.resize(64 << 20, 1);
    std::hint::black_box(&memory);
    drop(memory);
    page_faults() - before
}

#[test]
fn freed_memory_is_used_again_without_page_faults() {
    let first = use_memory();
    // mimalloc would give the pages back after ten milliseconds.
    std::thread::sleep(Duration::from_millis(60));
    drop(std::hint::black_box(vec![0u8; 1 << 20]));
    let second = use_memory();
    assert!(second < first / 4 || second < 256, "{first} page faults, then {second}");
}
