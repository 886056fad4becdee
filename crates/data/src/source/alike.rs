//! Names of classes that a person would take for the same.

use unicode_normalization::UnicodeNormalization as _;

/// A name as it is seen: Unicode has several ways of writing one letter, and blanks around it do not show.
pub(super) fn seen(name: &str) -> String {
    let composed: String = name.nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same for all names that differ by letter case, by the width of letters, or as numbers are written.
pub(super) fn folded(name: &str) -> String {
    let compatible: String = name.nfkc().collect::<String>().to_lowercase().nfkc().collect();
    let folded = compatible.split_whitespace().collect::<Vec<_>>().join(" ");
    number(&folded).map_or(folded, |number| number.to_string())
}

/// The whole number that a name writes: `7`, `007`, `7.0`.
pub(super) fn number(name: &str) -> Option<u64> {
    let name = name.trim();
    let whole = match name.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            whole
        }
        Some(_) => return None,
        None => name,
    };
    let digits = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| whole.parse().ok()).flatten()
}
