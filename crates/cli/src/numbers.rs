//! Numbers as results tell them, beyond what `fcmae_words` says.

/// A share of `pictures` that were named right, with what it may be on many others like them (Wilson):
/// `85.00% (95% interval 64.0 to 94.8%)`.
pub(crate) fn with_interval(share: f64, pictures: usize) -> String {
    let right = (share * pictures as f64).round() as u64;
    let [low, high] = fcmae_report::interval(right, pictures as u64);
    let [share, low, high] = [share, low, high].map(|share| 100.0 * share);
    format!("{share:.2}% (95% interval {low:.1} to {high:.1}%)")
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
}
