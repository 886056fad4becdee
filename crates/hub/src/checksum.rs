//! The SHA-256 of a file, by which the Hub names those that are large.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use fcmae_files::Unusable;
use ring::digest::{Context, SHA256};

/// Whether a name is one: 64 hexadecimal digits.
pub(crate) fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// In small hexadecimal digits.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn sha256(path: &Path) -> Result<String, Unusable> {
    let (mut file, _) = fcmae_files::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            bytes => context.update(&piece[..bytes]),
        }
    }
    let mut digits = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        // Into a string nothing fails.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}
