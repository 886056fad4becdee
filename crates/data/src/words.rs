//! Names as messages say them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A path as text on one line: control characters, and bytes that are no UTF-8, are escaped, so
/// that a hostile file name cannot forge a line of a log.
pub fn printable(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The name of a picture in a file as text: bytes that are no UTF-8 are escaped, since the name only has
/// to be told apart from others.
pub(crate) fn legible(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) => {
            let chunks = name.utf8_chunks().flat_map(|chunk| {
                let escaped = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
                std::iter::once(chunk.valid().to_owned()).chain(escaped)
            });
            chunks.collect()
        }
    }
}

/// Several paths as one, for a message.
pub(crate) fn together(paths: &[PathBuf]) -> PathBuf {
    let mut text = std::ffi::OsString::new();
    for (position, path) in paths.iter().enumerate() {
        if position > 0 {
            text.push(", ");
        }
        text.push(path);
    }
    PathBuf::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_on_one_line() {
        assert_eq!(printable(Path::new("a/b c.jpg")), "a/b c.jpg");
        assert_eq!(printable(Path::new("été\n{}.jpg")), "été\\n{}.jpg");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let name = std::ffi::OsStr::from_bytes(b"a\xff\xfe.png");
            assert_eq!(printable(Path::new(name)), "a\\xff\\xfe.png");
        }
    }
}
