//! Names as messages say them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(crate) use fcmae_words::legible;

/// What follows the first of so many in a message.
pub(crate) fn more_like_these(count: usize) -> String {
    match count {
        1 => String::new(),
        all => format!(", and {} more like these", all - 1),
    }
}

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

/// A path as tables hold it, where it only has to be told apart from others and to be found again by [`path_of`]: bytes
/// that are no UTF-8 are escaped, as `\\xff`.
pub fn written(path: &Path) -> String {
    legible(path.as_os_str().as_encoded_bytes())
}

/// The path that was [`written`] so; where that is not to be told, the text itself.
pub fn path_of(text: &str) -> PathBuf {
    #[cfg(unix)]
    if let Some(bytes) = fcmae_words::escaped(text) {
        use std::os::unix::ffi::OsStringExt as _;
        let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
        // A file may be called as an escaped one is written.
        return if Path::new(text).exists() { text.into() } else { path };
    }
    text.into()
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
