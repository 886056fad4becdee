//! Names of what is unfinished. They begin with a dot and stand beside what they will become.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::process;

/// In the making, or outdated: rubbish once its writer is gone.
pub(super) const UNFINISHED: &str = ".fcmae-tmp-";
/// Set aside while its successor moved in.
pub(super) const SET_ASIDE: &str = ".fcmae-old-";
/// A list of what is to be moved into place: see [`super::moving`].
pub(super) const MOVING: &str = ".fcmae-new-";

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(super) fn prefixed(prefix: &str, path: &Path) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(path.file_name().unwrap_or_default());
    parent(path).join(name)
}

/// A name beside `path` that no other writer uses, of this process or another, here or on another machine.
pub(super) fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // For whoever lists the folder. It must fit into a line of text.
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_plain(name));
    let name = name.unwrap_or("file");
    let (number, token) = (std::process::id(), process::token());
    parent(path).join(format!("{UNFINISHED}{number}-{token:016x}-{count}-{name}"))
}

/// Whether a name can be a line of a text.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\']) && !name.chars().any(char::is_control)
}
