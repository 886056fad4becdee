//! What keeps a file from being read.

use std::io;
use std::path::Path;

use super::flaw::Flaw;
use crate::Error;

/// A flaw of the file, or a failure to read it.
pub(super) enum Trouble {
    Flaw(Flaw),
    Io(io::Error),
}

impl Trouble {
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Flaw(flaw) => Error::Pth { path: path.to_owned(), flaw },
            Self::Io(source) => Error::io("read", path)(source),
        }
    }
}

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
