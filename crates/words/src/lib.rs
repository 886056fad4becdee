//! Numbers, amounts and times as texts show them, so that everything is written in one way.
//!
//! What all texts share is here. [`page`] adds spaces before units that do not break, for HTML and figures.
//! [`terminal`] is for plain text in few columns.
//!
//! ```
//! use fcmae_words::{counted, grouped, list, signed};
//!
//! assert_eq!(grouped(1_234_567), "1,234,567");
//! assert_eq!(counted(1, "patch"), "1 patch");
//! assert_eq!(counted(2_761, "patch"), "2,761 patches");
//! assert_eq!(signed(-0.31), "−0.3");
//! assert_eq!(list(&["cat", "dog"]), "“cat” and “dog”");
//! ```
#![forbid(unsafe_code)]

pub mod page;
pub mod terminal;

use std::any::Any;
use std::fmt::Display;

/// A whole number without a sign: `1234567` as `1,234,567`.
pub fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number as it is given and what is counted: `1 picture`, `9 patches`, `3 classes`.
pub fn plural(number: impl Display, what: &str) -> String {
    let number = number.to_string();
    let plural = match number.as_str() {
        "1" => "",
        _ if what.ends_with("ss") || what.ends_with("tch") => "es",
        _ => "s",
    };
    format!("{number} {what}{plural}")
}

/// `1 picture`, `2,761 pictures`: a number and what is counted.
pub fn counted(number: impl Display, what: &str) -> String {
    plural(grouped(number), what)
}

/// A difference as `+5.7` or `−0.3`.
pub fn signed(difference: f64) -> String {
    format!("{difference:+.1}").replace('-', "−")
}

/// Bytes as `31.4 GiB`.
pub fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// What a panic says, on one line.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").replace('\n', " ")
}

/// Names in a sentence, the first few of many.
pub fn list(names: &[&str]) -> String {
    const MOST: usize = 6;
    let shown = if names.len() > MOST + 1 { MOST } else { names.len() };
    let mut quoted: Vec<String> = names[..shown].iter().map(|name| format!("“{name}”")).collect();
    if shown < names.len() {
        quoted.push(format!("{} others", names.len() - shown));
    }
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Bytes as text: those that are no UTF-8 are escaped, as `\\xff`.
pub fn legible(bytes: &[u8]) -> String {
    let chunks = bytes.utf8_chunks().flat_map(|chunk| {
        let escaped = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
        std::iter::once(chunk.valid().to_owned()).chain(escaped)
    });
    chunks.collect()
}

/// The bytes that [`legible`] made a text of, if it escaped any.
pub fn escaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    while let Some(at) = rest.find("\\x") {
        let byte = rest.get(at + 2..at + 4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        // No byte below is escaped, and none in capitals.
        match byte.filter(|byte| *byte >= 0x80 && rest[at..].starts_with(&format!("\\x{byte:02x}")))
        {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 4..];
                found = true;
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = &rest[at + 2..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    found.then_some(bytes)
}

/// A name of at most `most` characters: of a longer one the beginning and the end, where names differ most, with `mark`
/// between them.
pub fn cut_in_the_middle(name: &str, most: usize, mark: &str) -> String {
    let count = name.chars().count();
    if count <= most {
        return name.to_owned();
    }
    let kept = most.saturating_sub(mark.chars().count());
    let end = kept.div_ceil(2);
    let beginning = name.chars().take(kept - end);
    let marked = beginning.chain(mark.chars().take(most));
    marked.chain(name.chars().skip(count - end)).collect()
}

/// The words of a text in lines of at most `width` characters, but for a word that is longer.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_in_thousands() {
        for (number, what, text) in [
            (0, "picture", "0 pictures"),
            (1, "patch", "1 patch"),
            (9, "patch", "9 patches"),
            (3, "class", "3 classes"),
            (2761, "epoch", "2,761 epochs"),
        ] {
            assert_eq!(counted(number, what), text);
        }
        assert_eq!(plural(2761, "epoch"), "2761 epochs");
        for (number, text) in [(7, "7"), (999, "999"), (1000, "1,000"), (3_708_400, "3,708,400")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn differences_have_a_sign() {
        assert_eq!([5.68, -0.3, 0.0].map(signed), ["+5.7", "−0.3", "+0.0"]);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list(&["a"]), "“a”");
        assert_eq!(list(&["a", "b"]), "“a” and “b”");
        assert_eq!(list(&["a"; 7]), "“a”, “a”, “a”, “a”, “a”, “a” and “a”");
        assert!(list(&["a"; 20]).ends_with("“a” and 14 others"));
    }

    #[test]
    fn long_names_keep_their_beginning_and_their_end() {
        let cut = |most| cut_in_the_middle("abcdefgh.png", most, "…");
        assert_eq!(cut(12), "abcdefgh.png");
        assert_eq!(cut(11), "abcde…h.png");
        assert_eq!(cut(8), "abc….png");
        assert_eq!(cut(2), "…g");
        assert_eq!((cut(1), cut(0)), ("…".to_owned(), String::new()));
        assert_eq!(cut_in_the_middle("äöüäöüäöü", 6, ".."), "äö..öü");
    }

    #[test]
    fn bytes_that_are_no_text_are_escaped_and_come_back() {
        for bytes in [&b"a\xff\xfe.png"[..], b"\xe9t\xe9", "é€".as_bytes(), b"\\x7f\xc3"] {
            let text = legible(bytes);
            let back = escaped(&text).unwrap_or(text.into_bytes());
            assert_eq!(back, bytes);
        }
        assert_eq!(legible(b"a\xff"), "a\\xff");
        for text in ["", "plain", "a\\x", "a\\x1", "a\\x41", "a\\xFF", "a\\xé"] {
            assert_eq!((escaped(text), legible(text.as_bytes()).as_str()), (None, text));
        }
        assert_eq!(escaped("\\x41\\xff"), Some(b"\\x41\xff".to_vec()));
    }
}
