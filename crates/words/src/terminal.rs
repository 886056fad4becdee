//! Numbers and times in plain text.

use std::time::Duration;

use crate::grouped;

/// A share as `12%`, with as many decimals as asked for.
pub fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$}%", 100.0 * share)
}

/// `1h 02m`, `3m 20s` or `12s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A short time that is measured: `4.20 ms`, `412 ms`, `1.50 s`.
pub fn measured(seconds: f64) -> String {
    match seconds {
        0.0..0.01 => format!("{:.2} ms", 1e3 * seconds),
        0.01..1.0 => format!("{:.0} ms", 1e3 * seconds),
        _ => format!("{seconds:.2} s"),
    }
}

/// A number in about three digits: `2.19`, `36.7`, `230`.
pub fn short(value: f64) -> String {
    match value {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A rate per second, to two digits at least: `134/s`, `0.44/s`.
pub fn speed(rate: f64) -> String {
    let decimals = match rate {
        10.0.. => 0,
        1.0.. => 1,
        0.1.. => 2,
        _ => 3,
    };
    if rate < 0.001 { "under 0.001/s".to_owned() } else { format!("{rate:.decimals$}/s") }
}

/// A time as [`duration`] says it; days where hours would be many, and years where days would be.
pub fn long(time: Duration) -> String {
    let days = time.as_secs_f64() / (24.0 * 3600.0);
    match days {
        0.0..2.0 => duration(time),
        2.0..100.0 => format!("{days:.1} days"),
        100.0..1000.0 => format!("{days:.0} days"),
        _ => format!("{:.0} years", days / 365.25),
    }
}

/// Bytes as `1,024 MiB`.
pub fn mib(bytes: u64) -> String {
    format!("{} MiB", grouped(bytes >> 20))
}

/// Bytes as `310 MiB` or `1.5 GiB`.
pub fn memory(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1u32 << 20);
    if mebibytes < 1000.0 { format!("{mebibytes:.0} MiB") } else { crate::gib(bytes) }
}

/// A text in which nothing steers a terminal: control characters are written out, as names of classes and files may be
/// anybody's. Ends of lines and tabs stay.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() && !matches!(character, '\n' | '\t') {
            true => plain.extend(character.escape_default()),
            false => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(plain("a\x1b[2Jb\r\n\tc\u{9b}é"), "a\\u{1b}[2Jb\\r\n\tc\\u{9b}é");
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in
            [(0.4, "0s"), (59.6, "1m 00s"), (200.0, "3m 20s"), (3725.0, "1h 02m")]
        {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
        assert_eq!([0.0042, 0.4123, 1.5].map(measured), ["4.20 ms", "412 ms", "1.50 s"]);
    }

    #[test]
    fn what_is_huge_is_readable() {
        for (rate, text) in [
            (134.4, "134/s"),
            (9.44, "9.4/s"),
            (0.444, "0.44/s"),
            (0.0234, "0.023/s"),
            (0.0003, "under 0.001/s"),
        ] {
            assert_eq!(speed(rate), text);
        }
        for (days, text) in
            [(1.5, "36h 00m"), (2.54, "2.5 days"), (302.6, "303 days"), (3000.0, "8 years")]
        {
            assert_eq!(long(Duration::from_secs_f64(days * 86_400.0)), text);
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([2.194, 36.67, 229.84].map(short), ["2.19", "36.7", "230"]);
        assert_eq!([310 << 20, 3 << 29].map(memory), ["310 MiB", "1.5 GiB"]);
        assert_eq!(mib(1200 << 20), "1,200 MiB");
        assert_eq!((percent(0.123, 0), percent(0.123, 1)), ("12%".to_owned(), "12.3%".to_owned()));
    }
}
