//! What is asked of the disk.

/// What is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateFile,
    CreateFolder,
    Write,
    /// Opening a file to add to it, and adding.
    Append,
    /// Cutting a file off.
    Shorten,
    SyncFile,
    SyncFolder,
    /// Of a file.
    Rename,
    RenameFolder,
    Exchange,
    Remove,
    Lock,
}
