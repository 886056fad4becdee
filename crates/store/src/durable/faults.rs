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
    /// This one, counted from 0: a passing fault.
    Once(usize, io::ErrorKind),
    /// This one and all after it: the process or the disk is gone.
    From(usize, io::ErrorKind),
    /// All of one kind.
    Each(Operation, io::ErrorKind),
    /// All of one kind, and this one.
    EachAndOnce(Operation, io::ErrorKind, usize, io::ErrorKind),
    /// All of one kind, and this one and all after it.
    EachAndFrom(Operation, io::ErrorKind, usize, io::ErrorKind),
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
            Plan::Once(at, kind) if at == now => Err(kind.into()),
            Plan::From(at, kind) if at <= now => Err(kind.into()),
            Plan::Each(which, kind) if which == operation => Err(kind.into()),
            Plan::EachAndOnce(which, kind, ..) if which == operation => Err(kind.into()),
            Plan::EachAndOnce(.., at, kind) if at == now => Err(kind.into()),
            Plan::EachAndFrom(which, kind, ..) if which == operation => Err(kind.into()),
            Plan::EachAndFrom(.., at, kind) if at <= now => Err(kind.into()),
            _ => Ok(()),
        }
    })
}

/// A folder on a memory file system where there is one: syncs cost nothing there.
pub(crate) fn test_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}
