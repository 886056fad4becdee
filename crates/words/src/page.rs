//! Numbers and times in what is laid out.

use crate::grouped;

/// Before a unit: the two stay on one line.
const NARROW_SPACE: char = '\u{202f}';

/// A number for reading: whole ones with their thousands apart, others to three digits or so.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "no number".to_owned()
    } else if size >= 1e15 {
        format!("{value:.2e}")
    } else if value == value.trunc() || size >= 999.5 {
        thousands(value)
    } else if size >= 99.95 {
        format!("{value:.0}")
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else if size >= 0.9995 {
        format!("{value:.2}")
    } else if size >= 0.000_999_5 {
        format!("{value:.*}", (2.0 - size.log10().floor()) as usize)
    } else {
        format!("{value:.1e}")
    }
}

fn thousands(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{}", grouped(format_args!("{:.0}", value.abs())))
}

/// A share as `86.4 %`.
pub fn percent(share: f64) -> String {
    format!("{}{NARROW_SPACE}%", points(share))
}

/// A share in per cent, without the sign.
pub fn points(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// An interval as `81.8 to 90.0 %`.
pub fn span([low, high]: [f64; 2]) -> String {
    format!("{} to {}", points(low), percent(high))
}

/// A time as `2 h 05 min`, `3 min 20 s`, `41 s`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    let unit = |value: u64, unit: &str| format!("{}{NARROW_SPACE}{unit}", number(value as f64));
    match (hours, minutes) {
        (0, 0) if seconds < 10.0 => format!("{seconds:.1}{NARROW_SPACE}s"),
        (0, 0) => unit(rest, "s"),
        (0, _) => format!("{} {rest:02}{NARROW_SPACE}s", unit(minutes, "min")),
        _ => format!("{} {minutes:02}{NARROW_SPACE}min", unit(hours, "h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_so() {
        let cases = [
            (0.0, "0"),
            (40.0, "40"),
            (2488.0, "2,488"),
            (1_234_567.0, "1,234,567"),
            (-1200.0, "−1,200"),
            (0.995, "0.995"),
            (0.9996, "1.00"),
            (2.345, "2.35"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1,234"),
            (0.001_234, "0.00123"),
            (0.000_012, "1.2e-5"),
            (f64::NAN, "no number"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn times_are_in_their_two_largest_units() {
        let text = |seconds| duration(seconds).replace('\u{202f}', " ");
        assert_eq!(text(0.31), "0.3 s");
        assert_eq!(text(41.2), "41 s");
        assert_eq!(text(200.0), "3 min 20 s");
        assert_eq!(text(7500.0), "2 h 05 min");
        assert_eq!(text(3599.7), "1 h 00 min");
    }
}
