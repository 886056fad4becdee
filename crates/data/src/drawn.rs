//! What tells pictures that this program draws from those that it is given.

use std::io::Read as _;
use std::path::Path;

/// A chunk of a PNG file, "Software: fcmae", with its length and its checksum. In what this program draws it follows
/// the header.
pub const MARK: [u8; 26] = *b"\0\0\0\x0etEXtSoftware\0fcmae\x96\x82\x57\xc0";

/// Bytes of a PNG file's signature and header.
pub const HEADER_BYTES: usize = 33;

/// Whether a file is a PNG that this program has drawn.
pub fn is_drawn(path: &Path) -> bool {
    let mut start = [0; HEADER_BYTES + MARK.len()];
    fcmae_files::open(path).is_ok_and(|(mut file, _)| file.read_exact(&mut start).is_ok())
        && start[HEADER_BYTES..] == MARK
}
