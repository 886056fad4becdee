//! The threads that compute: as many as were asked for, or as the system gives.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rayon::ThreadPoolBuilder;

/// Left for those that load pictures and draw progress, where not all can be had.
const OTHERS: usize = 2;
/// Threads a core beyond which more are only slower, and start for minutes.
const MOST_A_CORE: usize = 16;
/// Asked for without harm on a machine of any size.
const MODEST: usize = 64;

/// Starts the threads that kernels share their work among, once for the whole program: `wanted`, else
/// `RAYON_NUM_THREADS`, else one a core. A sentence for the user where they are fewer. Where the system gives
/// next to none (`ulimit -u`, a control group's `pids.max`), the calling thread computes alone; only it may then
/// compute.
pub fn start(wanted: Option<usize>) -> Option<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = wanted.or_else(from_environment).unwrap_or(cores);
    let most = (MOST_A_CORE * cores).max(MODEST);
    let threads = asked.min(most);
    let started = obtainable(threads + OTHERS, spawn);
    let (threads, alone) = match started.checked_sub(OTHERS) {
        Some(left @ 1..) => (left, false),
        _ => (1, true),
    };
    let pool = ThreadPoolBuilder::new().num_threads(threads);
    let pool = if alone { pool.use_current_thread() } else { pool };
    // A second call finds the threads of the first.
    if let Err(error) = pool.build_global()
        && started < OTHERS + 1
    {
        return Some(format!("the threads that compute: {error}"));
    }
    told(asked, most, threads)
}

fn told(asked: usize, most: usize, threads: usize) -> Option<String> {
    if threads < asked.min(most) {
        let what =
            if threads == 1 { "one computes".to_owned() } else { format!("{threads} compute") };
        return Some(format!(
            "the system gives no more threads: {what}, of {} asked for; the limit is that of processes \
             (`ulimit -u`) or of a control group (`pids.max`)",
            asked.min(most)
        ));
    }
    (asked > most).then(|| {
        format!("{asked} threads were asked for (`RAYON_NUM_THREADS`); {most} is as many as are started here")
    })
}

fn from_environment() -> Option<usize> {
    // As rayon reads it: 0 stands for one a core.
    let text = std::env::var("RAYON_NUM_THREADS").ok()?;
    text.trim().parse().ok().filter(|&threads| threads > 0)
}

/// Whether a thread may go.
type Gate = Arc<(Mutex<bool>, Condvar)>;

/// How many of `wanted` threads the system gives at the same time. They end before this returns.
fn obtainable(wanted: usize, spawn: impl Fn(&Gate) -> std::io::Result<JoinHandle<()>>) -> usize {
    let gate = Gate::default();
    let threads: Vec<_> = (0..wanted).map_while(|_| spawn(&gate).ok()).collect();
    *gate.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    gate.1.notify_all();
    let started = threads.len();
    threads.into_iter().for_each(|thread| {
        // It only waits: it has nothing to panic over.
        let _ = thread.join();
    });
    started
}

fn spawn(gate: &Gate) -> std::io::Result<JoinHandle<()>> {
    let gate = Arc::clone(gate);
    Builder::new().name("fcmae-probe".to_owned()).spawn(move || {
        let open = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(gate.1.wait_while(open, |open| !*open));
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn as_many_are_counted_as_the_system_gives() {
        assert_eq!(obtainable(5, spawn), 5);
        let left = Cell::new(3usize);
        let few = |gate: &Gate| match left.replace(left.get().saturating_sub(1)) {
            0 => Err(std::io::Error::from(std::io::ErrorKind::WouldBlock)),
            _ => spawn(gate),
        };
        assert_eq!(obtainable(5, few), 3);
    }

    #[test]
    fn fewer_than_asked_for_are_told_with_the_limit() {
        assert_eq!(told(4, 64, 4), None);
        let said = told(16, 256, 1).unwrap_or_default();
        assert!(said.contains("one computes, of 16") && said.contains("ulimit -u"), "{said}");
        assert!(said.contains("pids.max"), "{said}");
        let said = told(100_000, 64, 64).unwrap_or_default();
        assert!(said.contains("100000") && said.contains("RAYON_NUM_THREADS"), "{said}");
    }
}
