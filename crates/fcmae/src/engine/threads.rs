//! The threads that compute: as many as were asked for, or as the system gives.

use std::ffi::OsStr;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use rayon::{ThreadBuilder, ThreadPoolBuilder};

const VARIABLE: &str = "RAYON_NUM_THREADS";
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
    let Waiting { started, work } = Waiting::start(threads + OTHERS, spawn);
    // Those that are left over end when there is no more work to come.
    let (threads, alone) = match started.checked_sub(OTHERS) {
        Some(left @ 1..) => (left, false),
        _ => (1, true),
    };
    let gone = |_| io::Error::other("a thread ended before it had work");
    let pool = ThreadPoolBuilder::new().num_threads(threads);
    let pool = if alone { pool.use_current_thread() } else { pool };
    match pool.spawn_handler(|thread| work.send(thread).map_err(gone)).build_global() {
        Ok(()) => told(asked, most, threads, wanted.is_none())
            .or_else(|| unread(&std::env::var_os(VARIABLE)?).filter(|_| wanted.is_none())),
        // The threads of an earlier call stay.
        Err(_) => None,
    }
}

/// `by_variable`: whether nothing but the environment can have asked for so many.
fn told(asked: usize, most: usize, threads: usize, by_variable: bool) -> Option<String> {
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
        let variable = if by_variable { " (`RAYON_NUM_THREADS`)" } else { "" };
        format!("{asked} threads were asked for{variable}; at most {most} are started")
    })
}

/// A sentence on a number of threads that is none.
fn unread(text: &OsStr) -> Option<String> {
    let is_number = text.to_str().is_some_and(|text| text.trim().parse::<usize>().is_ok());
    (!text.is_empty() && !is_number).then(|| {
        format!("`{VARIABLE}` is {text:?}, which is not a number of threads: one per core is used")
    })
}

fn from_environment() -> Option<usize> {
    // As rayon reads it: 0 stands for one a core.
    let text = std::env::var(VARIABLE).ok()?;
    text.trim().parse().ok().filter(|&threads| threads > 0)
}

/// Threads that wait for what they are to do: those that the system gives at the same time.
struct Waiting {
    started: usize,
    work: Sender<ThreadBuilder>,
}

impl Waiting {
    /// As many of `wanted` as `spawn` starts.
    fn start(wanted: usize, spawn: impl Fn(Box<dyn FnOnce() + Send>) -> io::Result<()>) -> Self {
        let (work, next) = mpsc::channel::<ThreadBuilder>();
        let next = Arc::new(Mutex::new(next));
        let wait = || {
            let next = Arc::clone(&next);
            Box::new(move || {
                let thread = next.lock().unwrap_or_else(PoisonError::into_inner).recv();
                if let Ok(thread) = thread {
                    thread.run();
                }
            })
        };
        let started = (0..wanted).take_while(|_| spawn(wait()).is_ok()).count();
        Self { started, work }
    }
}

fn spawn(wait: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    Builder::new().name("fcmae-compute".to_owned()).spawn(wait).map(drop)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_number_of_threads_that_is_none_is_told() {
        for wrong in ["four", "-1", "2.5"] {
            let told = unread(OsStr::new(wrong)).expect(wrong);
            assert!(told.contains("RAYON_NUM_THREADS") && told.contains(wrong), "{told}");
        }
        assert!(["", "0", " 3 "].iter().all(|text| unread(OsStr::new(text)).is_none()));
    }

    #[test]
    fn as_many_are_counted_as_the_system_gives() {
        assert_eq!(Waiting::start(5, spawn).started, 5);
        let left = Cell::new(3usize);
        let few = |wait| match left.replace(left.get().saturating_sub(1)) {
            0 => Err(io::Error::from(io::ErrorKind::WouldBlock)),
            _ => spawn(wait),
        };
        assert_eq!(Waiting::start(5, few).started, 3);
    }

    #[test]
    fn fewer_than_asked_for_are_told_with_the_limit() {
        assert_eq!(told(4, 64, 4, true), None);
        let said = told(16, 256, 1, true).unwrap_or_default();
        assert!(said.contains("one computes, of 16") && said.contains("ulimit -u"), "{said}");
        assert!(said.contains("pids.max"), "{said}");
        let said = told(100_000, 64, 64, true).unwrap_or_default();
        assert!(said.contains("100000") && said.contains("RAYON_NUM_THREADS"), "{said}");
        let said = told(100_000, 64, 64, false).unwrap_or_default();
        assert!(said.contains("100000") && !said.contains("RAYON_NUM_THREADS"), "{said}");
    }
}
