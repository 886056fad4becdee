//! All kinds of files that pictures are read from.

use super::kind::SourceKind;
use super::{archive, list, parquet};

/// All kinds, in the order in which a file is tried. A folder that holds no pictures itself is read as the
/// first of these of which it holds any.
pub(super) const KINDS: [&SourceKind; 3] = [&archive::KIND, &parquet::KIND, &list::KIND];
