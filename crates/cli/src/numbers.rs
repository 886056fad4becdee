//! Numbers as people write them: counts, shares, times.

use std::time::Duration;

/// `0.123` as `12%`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 picture`, `2,761 pictures`: a number and what is counted.
pub(crate) fn counted(number: usize, what: &str) -> String {
    fcmae_data::source::counted(grouped(number), what)
}

/// A share of `pictures` that were named right, with what it may be on many others like them (Wilson):
/// `85.00% (95% interval 64.0 to 94.8%)`.
pub(crate) fn with_interval(share: f64, pictures: usize) -> String {
    let right = (share * pictures as f64).round() as u64;
    let [low, high] = fcmae_report::interval(right, pictures as u64);
    let [share, low, high] = [share, low, high].map(|share| 100.0 * share);
    format!("{share:.2}% (95% interval {low:.1} to {high:.1}%)")
}

/// `1h 02m`, `3m 20s` or `12s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// statsmodels' proportion_confint(17, 20, method="wilson").
    #[test]
    fn shares_are_told_with_what_they_may_be() {
        assert_eq!(with_interval(0.85, 20), "85.00% (95% interval 64.0 to 94.8%)");
        assert_eq!(with_interval(1.0, 6), "100.00% (95% interval 61.0 to 100.0%)");
    }

    #[test]
    fn times_and_numbers_are_short() {
        for (seconds, text) in
            [(0.4, "0s"), (59.6, "1m 00s"), (200.0, "3m 20s"), (3725.0, "1h 02m")]
        {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
        for (number, what, text) in [
            (0, "picture", "0 pictures"),
            (1, "patch", "1 patch"),
            (9, "patch", "9 patches"),
            (3, "class", "3 classes"),
            (2761, "epoch", "2,761 epochs"),
        ] {
            assert_eq!(counted(number, what), text);
        }
        for (number, text) in [(7, "7"), (999, "999"), (1000, "1,000"), (3_708_400, "3,708,400")] {
            assert_eq!(grouped(number), text);
        }
    }
}
