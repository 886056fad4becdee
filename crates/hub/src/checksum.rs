//! By what hash the Hub names a file: SHA-256 if it is large, else that of git.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use fcmae_files::Unusable;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// A file that is not what its name says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Differing {
    /// What the hash is called.
    pub(crate) hash: &'static str,
    /// That of the file.
    pub(crate) found: String,
}

/// Compares a file with the hash that it is named by: SHA-256, or SHA-1 of git's blob or, as some mirrors have it, of
/// the content. A name that is no hash says nothing.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn compare(path: &Path, name: &str) -> Result<Option<Differing>, Unusable> {
    let is_hash = name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (hash, contexts) = match name.len() {
        64 if is_hash => ("SHA-256", vec![Context::new(&SHA256)]),
        40 if is_hash => {
            let mut blob = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            let (_, about) = fcmae_files::open(path)?;
            blob.update(format!("blob {}\0", about.len()).as_bytes());
            ("hash by git", vec![blob, Context::new(&SHA1_FOR_LEGACY_USE_ONLY)])
        }
        _ => return Ok(None),
    };
    let mut found = hashed(path, contexts)?;
    let same = found.iter().any(|found| found.eq_ignore_ascii_case(name));
    Ok((!same).then(|| Differing { hash, found: found.swap_remove(0) }))
}

/// What each context makes of a file, in small hexadecimal digits.
fn hashed(path: &Path, mut contexts: Vec<Context>) -> Result<Vec<String>, Unusable> {
    let (mut file, _) = fcmae_files::open(path)?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            bytes => contexts.iter_mut().for_each(|context| context.update(&piece[..bytes])),
        }
    }
    Ok(contexts.into_iter().map(digits).collect())
}

fn digits(context: Context) -> String {
    let mut digits = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        // Into a string nothing fails.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
