//! What the machine is, what it could do at best, and what a process takes of it.
//!
//! sysinfo tells it of Linux, macOS and Windows. Four things are read from files that other systems don't
//! have: Linux's name of the processor, the peak of a process's memory, its address space (`ulimit -v`), and what
//! control groups leave (`engine/groups.rs`).

use std::fs;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fcmae_kernels::{KernelError, linear, simd};
pub use fcmae_store::run::schema::Machine;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::engine::groups;
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
    // On Linux as the records of earlier runs have it: sysinfo has names of its own for ARM.
    let name = match fs::read_to_string("/proc/cpuinfo") {
        Ok(table) => field(&table, "model name").map(str::to_owned),
        Err(_) => brand(),
    };
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// The processor's name as sysinfo finds it.
fn brand() -> Option<String> {
    ask(|system| {
        system.refresh_cpu_specifics(CpuRefreshKind::nothing());
        let name = system.cpus().first()?.brand().trim();
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// The most memory that this process has had so far, in bytes, where the system tells (Linux: sysinfo
/// doesn't ask any for it).
pub fn peak_memory() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// The memory that this process has now, in bytes, where the system tells (Linux, macOS, Windows).
pub fn resident_memory() -> Option<u64> {
    let this = sysinfo::get_current_pid().ok()?;
    ask(|system| {
        let memory = ProcessRefreshKind::nothing().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), false, memory);
        known(system.process(this)?.memory())
    })
}

/// Memory of the machine, or of the container where that is less, in bytes, where the system tells
/// (Linux, macOS, Windows).
pub fn total_memory() -> Option<u64> {
    let limits = groups::rooms(Path::new("/")).into_iter().map(|room| room.limit);
    limits.chain(memory(System::total_memory)).min()
}

/// Memory that is free for new work, in bytes, where the system tells (Linux, macOS, Windows): the
/// machine's, or what the control groups of this process, those above them, and the process's own limit
/// (`ulimit -v`) leave where that is less. Files that are only kept at hand count as free, as the system drops them
/// for whoever needs memory.
pub fn available_memory() -> Option<u64> {
    available(ADDRESSES)
}

/// The same, but of the limit on addresses only the memory that this process has is taken. What threads have reserved,
/// 64 MiB or more each, may be used for part of what is needed, and it depends on the limit itself. So what takes more
/// than this cannot be done, and what takes less may be.
pub(crate) fn memory_at_most() -> Option<u64> {
    available("VmRSS")
}

/// Addresses that this process may still take, where they are limited: what threads have reserved is taken.
pub(crate) fn addresses_left() -> Option<u64> {
    addresses(ADDRESSES)
}

/// All addresses that a process has taken, in Linux's table of its state.
const ADDRESSES: &str = "VmSize";

fn available(taken: &str) -> Option<u64> {
    let left = groups::rooms(Path::new("/")).into_iter().map(|room| room.free);
    left.chain(addresses(taken)).chain(memory(System::available_memory)).min()
}

fn addresses(taken: &str) -> Option<u64> {
    let table = |name| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    address_space(&table("limits"), &table("status"), taken)
}

/// Bytes of address space that a process may still take, where it is limited: from Linux's tables of its limits and
/// of its state, in which `taken` is the name of what it has.
fn address_space(limits: &str, status: &str, taken: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(kibibytes(status, taken)?))
}

/// A number of bytes of the machine's memory, as it is now.
fn memory(number: impl FnOnce(&System) -> u64) -> Option<u64> {
    ask(|system| {
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        // A machine has memory: where its size is not known, neither is what is free.
        known(system.total_memory()).map(|_| number(system))
    })
}

/// sysinfo says 0 of what the system doesn't tell.
fn known(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

/// Asks sysinfo, where it knows the system. Nothing is looked up before it is asked for.
fn ask<T>(question: impl FnOnce(&mut System) -> Option<T>) -> Option<T> {
    static SYSTEM: LazyLock<Option<Mutex<System>>> =
        LazyLock::new(|| System::new().ok().map(Mutex::new));
    question(&mut SYSTEM.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
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
    fn a_limited_address_space_leaves_what_is_not_taken() {
        let limits = |soft: &str| {
            format!(
                "Max open files  1024  524288  files\nMax address space  {soft}  unlimited  bytes\n"
            )
        };
        let status = "VmPeak:\t  9000 kB\nVmSize:\t  1000 kB\nVmRSS:\t  400 kB\n";
        let left = |soft: &str| address_space(&limits(soft), status, ADDRESSES);
        assert_eq!(left("4096000"), Some(3000 * 1024));
        assert_eq!(left("1000"), Some(0));
        assert_eq!(left("unlimited"), None);
        assert_eq!(address_space(&limits("4096000"), status, "VmRSS"), Some(3600 * 1024));
        assert_eq!(address_space("", "", ADDRESSES), None);
    }

    #[test]
    fn memory_is_known() {
        assert!(resident_memory().is_some_and(|bytes| bytes > 1 << 20));
        let (free, total) = (available_memory(), total_memory());
        assert!(
            free.is_some_and(|bytes| bytes > 1 << 20) && free <= total,
            "{free:?} of {total:?}"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_told_is_what_linux_tables_say() {
        let table = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        let all = kibibytes(&table("meminfo"), "MemTotal");
        assert_eq!(memory(System::total_memory), all);
        let now = kibibytes(&table("self/status"), "VmRSS");
        let peak = peak_memory();
        assert!(now <= peak && peak.is_some_and(|bytes| bytes > 1 << 20), "{now:?} of {peak:?}");
        // Other tests run meanwhile.
        let differs = resident_memory().zip(now).map(|(told, now)| told.abs_diff(now));
        assert!(differs.is_some_and(|bytes| bytes < 1 << 30), "{differs:?} of {now:?}");
    }

    /// Other systems get the name from sysinfo; here both can be had.
    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn the_processors_name_is_the_same_by_either_way() {
        let table = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        assert_eq!(brand().as_deref(), field(&table, "model name"));
        assert_eq!(brand().unwrap_or_else(|| std::env::consts::ARCH.to_owned()), cpu());
    }
}
