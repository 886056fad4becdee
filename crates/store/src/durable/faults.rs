//! The test's hand on the disk: counts and records every operation of this thread, and makes chosen
//! ones fail.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use super::operation::Operation;

/// Which operations fail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    /// None.
    Never,
    /// All of these kinds.
    Each(&'static [Operation], io::ErrorKind),
    /// All of these kinds, and this one, counted from 0: a passing fault.
    Once(&'static [Operation], io::ErrorKind, usize),
    /// All of these kinds, and this one and all after it: the process or the disk is gone.
    From(&'static [Operation], io::ErrorKind, usize),
    /// Syncing folders, with an input/output error.
    BrokenSyncs,
    /// None, but a file that one of this kind leaves behind is cut short by a byte.
    Spoiling(Operation),
}

thread_local! {
    static STATE: RefCell<(Plan, Vec<(Operation, PathBuf)>)> = const { RefCell::new((Plan::Never, Vec::new())) };
}

/// Runs `work` under the plan; returns also the operations that it asked for.
pub(crate) fn with<T>(plan: Plan, work: impl FnOnce() -> T) -> (T, Vec<(Operation, PathBuf)>) {
    STATE.with_borrow_mut(|state| *state = (plan, Vec::new()));
    let value = work();
    (value, STATE.with_borrow_mut(|state| std::mem::replace(state, (Plan::Never, Vec::new()))).1)
}

pub(super) fn reach(operation: Operation, path: &Path) -> io::Result<()> {
    STATE.with_borrow_mut(|(plan, log)| {
        let now = log.len();
        log.push((operation, path.to_owned()));
        match *plan {
            Plan::Each(which, kind) | Plan::Once(which, kind, _) | Plan::From(which, kind, _)
                if which.contains(&operation) =>
            {
                Err(kind.into())
            }
            Plan::Once(.., at) if at == now => Err(io::ErrorKind::Other.into()),
            Plan::From(.., at) if at <= now => Err(io::ErrorKind::Other.into()),
            #[cfg(unix)]
            Plan::BrokenSyncs if operation == Operation::SyncFolder => {
                Err(rustix::io::Errno::IO.into())
            }
            _ => Ok(()),
        }
    })
}

/// After an operation that succeeded.
pub(super) fn done(operation: Operation, path: &Path) {
    let spoilt =
        STATE.with_borrow(|(plan, _)| matches!(plan, Plan::Spoiling(of) if *of == operation));
    if spoilt {
        let path = if path.is_dir() { path.join("e") } else { path.to_owned() };
        let bytes = std::fs::read(&path).expect("what was renamed");
        std::fs::write(&path, &bytes[1..]).expect("what was renamed");
    }
}

/// A folder on a memory file system where there is one: syncs cost nothing there.
pub(crate) fn test_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}
