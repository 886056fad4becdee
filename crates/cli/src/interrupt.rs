//! Ctrl-C and a request to end (SIGTERM): the first lets what is done be saved, the second
//! ends the program at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What a shell gives for a program that Ctrl-C ended.
pub(crate) const EXIT_CODE: u8 = 130;

/// Whether the program was asked to end.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset, and sets it.
            flag::register_conditional_shutdown(signal, EXIT_CODE.into(), Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self(asked))
    }

    /// Whether it was asked to.
    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A run that was stopped before its end, and how it goes on: no failure, and not done.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// Updates made.
    pub(crate) step: u64,
    /// The command that goes on.
    pub(crate) resume: String,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, resume } = self;
        match step {
            0 => write!(f, "stopped before the first step; to go on:  {resume}"),
            _ => write!(f, "stopped and saved after step {step}; to go on:  {resume}"),
        }
    }
}

impl std::error::Error for Stopped {}
