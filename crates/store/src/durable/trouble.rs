//! What the storage could not do and was gone on without.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    SyncFile,
    SyncFolder,
    /// An input/output error: not what the storage is, but what became of it.
    FolderNotSynced,
    RenameFile,
    RenameFolder,
}

thread_local! {
    /// Of this thread since it was last asked, with the first reason of each. Here, so that not every
    /// function that writes has to hand it on.
    static FOUND: RefCell<Troubles> = const { RefCell::new(Troubles(BTreeMap::new())) };
}

pub(super) fn note(trouble: Trouble, reason: &io::Error) {
    FOUND.with_borrow_mut(|found| {
        found.0.entry(trouble).or_insert_with(|| reason.to_string());
    });
}

/// What a folder's storage cannot do and can be gone without, with the reasons given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles(BTreeMap<Trouble, String>);

/// Troubles that were told.
pub(crate) type Told = Mutex<BTreeSet<Trouble>>;

impl Troubles {
    /// Those of this thread since the last call.
    pub(crate) fn take() -> Self {
        FOUND.take()
    }

    /// Whether the disk failed to make a name durable.
    pub(crate) fn names_may_be_lost(&self) -> bool {
        self.0.contains_key(&Trouble::FolderNotSynced)
    }

    /// Puts these back for the next [`take`](Self::take).
    pub(crate) fn put_back(self) {
        FOUND.with_borrow_mut(|found| found.0.extend(self.0));
    }

    /// A sentence each: what cannot be done in this folder, and what follows.
    pub fn sentences(&self, folder: &Path) -> Vec<String> {
        let sentence = |(trouble, reason): (&Trouble, &String)| {
            let (what, so) = match trouble {
                Trouble::SyncFile => (
                    "files cannot be synced",
                    "what was written last may be lost if the power fails",
                ),
                Trouble::SyncFolder => (
                    "folders cannot be synced",
                    "what was written last may be lost if the power fails",
                ),
                Trouble::FolderNotSynced => (
                    "a folder could not be synced",
                    "what was written last may be lost if the power fails, and what it replaces \
                     is kept until the next save",
                ),
                Trouble::RenameFile => ("files cannot be renamed", "they are copied into place"),
                Trouble::RenameFolder => (
                    "folders cannot be renamed",
                    "checkpoints and exports are put in place file by file",
                ),
            };
            format!("{}: {what} here ({reason}): {so}", folder.display())
        };
        self.0.iter().map(sentence).collect()
    }

    /// The same of those that were not told yet; from now on they are.
    pub(crate) fn untold(mut self, told: &Told, folder: &Path) -> Vec<String> {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.retain(|trouble, _| told.insert(*trouble));
        self.sentences(folder)
    }
}
