//! Numbers, amounts and times as they stand in texts, so that the same is always said in the same way.
//!
//! What all texts have in common is here. [`page`] is for what is laid out (HTML, figures), with spaces
//! before units that do not break; [`terminal`] for plain text of few columns.
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
}
