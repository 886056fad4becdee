//! What is asked of the disk.

/// What is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateFile,
    CreateFolder,
    Write,
    SyncFile,
    SyncFolder,
    Rename,
    Exchange,
    Remove,
}
