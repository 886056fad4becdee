//! Ctrl-C, a request to end (SIGTERM), a lost terminal (SIGHUP) and what schedulers send before they end a job
//! (SIGUSR1, SIGUSR2, SIGXCPU): what is done is saved first. Ctrl-C or SIGTERM once more, half a second later or more,
//! ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::STOPPED;

/// Signals that come closer together are one request: `timeout` sends SIGTERM to the program and to its group.
const ONE_REQUEST: Duration = Duration::from_millis(500);
/// From look to look whether one has come.
const LOOK: Duration = Duration::from_millis(50);

/// Whether the program was asked to end.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let mut requests = Vec::new();
        for signal in [SIGINT, SIGTERM] {
            // Each by itself: a service manager sends SIGHUP right after SIGTERM, and a shell that ends both.
            let [before, ends] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
            flag::register_conditional_shutdown(signal, STOPPED.into(), Arc::clone(&ends))?;
            flag::register(signal, Arc::clone(&before))?;
            flag::register(signal, Arc::clone(&asked))?;
            requests.push((before, ends));
        }
        let late = requests.clone();
        let watched = thread::Builder::new().spawn(move || {
            let mut left = late;
            while !left.is_empty() {
                thread::sleep(LOOK);
                let (heard, silent): (Vec<_>, Vec<_>) =
                    left.into_iter().partition(|(before, _)| before.load(Ordering::Relaxed));
                if !heard.is_empty() {
                    thread::sleep(ONE_REQUEST);
                }
                heard.iter().for_each(|(_, ends)| ends.store(true, Ordering::Relaxed));
                left = silent;
            }
        });
        if watched.is_err() {
            // Without one more thread each signal is a request of its own.
            for (signal, (_, ends)) in [SIGINT, SIGTERM].into_iter().zip(requests) {
                flag::register(signal, ends)?;
            }
        }
        for signal in notices() {
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self(asked))
    }

    /// Whether it was asked to.
    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lets a write beyond the largest size of a file (`ulimit -f`) fail with an error, which saves what can be saved. It
/// would end the program by a signal.
pub(crate) fn survive_file_limits() {
    // Whether it was sent is of no use to anyone; where it cannot be caught, nothing else changes.
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Signals that say that the program will be ended soon.
#[cfg(unix)]
fn notices() -> Vec<i32> {
    use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};

    let mut signals = vec![SIGUSR1, SIGUSR2, SIGXCPU];
    // `nohup` has it ignored, so that the program outlives its terminal.
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

#[cfg(not(unix))]
fn notices() -> Vec<i32> {
    Vec::new()
}

/// Whether this process was started with a signal ignored. Where the system does not tell, it is left as it is.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (signal - 1) & 1 == 1)
}
