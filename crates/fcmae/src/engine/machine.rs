//! What the machine is, what it could do at best, and what a process takes of it.

use std::fs;
use std::time::{Duration, Instant};

use fcmae_kernels::{KernelError, linear, simd};
pub use fcmae_store::run::schema::Machine;

use crate::engine::noise::evenly;

/// This machine, computing with `threads` threads.
pub fn here(threads: usize) -> Machine {
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    Machine {
        cpu: cpu(),
        threads,
        simd: simd::level().to_string(),
        os: format!("{os} {architecture}"),
    }
}

/// Name of the processor; of its architecture where the system doesn't tell.
pub(crate) fn cpu() -> String {
    let table = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    field(&table, "model name").unwrap_or(std::env::consts::ARCH).to_owned()
}

/// The most memory that this process has had so far, in bytes, where the system tells (Linux).
pub fn peak_memory() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// The memory that this process has now, in bytes, where the system tells (Linux).
pub fn resident_memory() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS")
}

/// Memory of the machine, or of the container where that is less, in bytes, where the system tells
/// (Linux).
pub fn total_memory() -> Option<u64> {
    let total = kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal")?;
    Some(container("memory.max").map_or(total, |limit| limit.min(total)))
}

/// Memory that is free for new work, in bytes, where the system tells (Linux): the machine's, or what
/// the container may still take where that is less.
pub fn available_memory() -> Option<u64> {
    let free = kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable")?;
    let left = container("memory.max").zip(container("memory.current"));
    Some(left.map_or(free, |(limit, taken)| limit.saturating_sub(taken).min(free)))
}

/// A number of the container's (version 2 of control groups); none where there is no limit.
fn container(name: &str) -> Option<u64> {
    fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let count = field(text, name)?.strip_suffix("kB")?;
    Some(1024 * count.trim_end().parse::<u64>().ok()?)
}

/// The machine's own rate: 10⁹ operations a second in products of two 1024 × 1024 matrices with all
/// threads, the best of several. Takes a tenth of a second or a little more.
///
/// # Errors
/// None: the shapes fit.
pub fn matrix_gflops() -> Result<f64, KernelError> {
    const SIDE: usize = 1024;
    const LEAST: usize = 5;
    const LONG_ENOUGH: Duration = Duration::from_millis(100);
    let values: Vec<f32> = evenly(1, 1.0).take(SIDE * SIDE).collect();
    let mut out = vec![0.0; SIDE * SIDE];
    let (began, mut rounds, mut best) = (Instant::now(), 0, f64::INFINITY);
    while rounds < LEAST || began.elapsed() < LONG_ENOUGH {
        let since = Instant::now();
        linear::forward(&values, &values, None, SIDE, &mut out)?;
        best = best.min(since.elapsed().as_secs_f64());
        rounds += 1;
    }
    Ok(2e-9 * (SIDE * SIDE * SIDE) as f64 / best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_systems_tables() {
        let text = "Name:\tfcmae\nVmPeak:\t  20 kB\nVmHWM:\t    1234 kB\nmodel name\t: A B\n";
        assert_eq!(kibibytes(text, "VmHWM"), Some(1234 * 1024));
        assert_eq!(kibibytes(text, "VmSwap"), None);
        assert_eq!(field(text, "model name"), Some("A B"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_known_on_linux() {
        assert!(peak_memory().is_some_and(|bytes| bytes > 1 << 20));
        assert!(resident_memory().is_some_and(|bytes| bytes > 1 << 20));
        let (free, total) = (available_memory(), total_memory());
        assert!(
            free.is_some_and(|bytes| bytes > 1 << 20) && free <= total,
            "{free:?} of {total:?}"
        );
    }
}
