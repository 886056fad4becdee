//! The ends of an axis and the round numbers along it.

/// About this many steps along an axis.
const STEPS: f64 = 6.0;

/// A linear axis: its ends, and multiples of 1, 2 or 5 times a power of ten between them.
#[derive(Clone, Debug)]
pub(super) struct Ticks {
    low: f64,
    high: f64,
    step: f64,
}

impl Ticks {
    /// The axis over `range`, or, where it is absent or unusable, over `values` (all finite) out
    /// to the next tick on either side.
    pub(super) fn new(range: Option<[f64; 2]>, values: impl Iterator<Item = f64>) -> Self {
        if let Some([low, high]) = range
            && (high - low).is_finite()
            && low < high
        {
            return Self { low, high, step: round_step(high - low) };
        }
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return Self { low: 0.0, high: 1.0, step: 0.2 };
        }
        // Equal values get room around them; ends too far apart to subtract are drawn in.
        let room = if high > low { 0.0 } else { low.abs().max(1.0) * 0.1 };
        let low = (low - room).max(-f64::MAX / 8.0);
        let high = (high + room).min(f64::MAX / 8.0);
        let step = round_step(high - low);
        // The nudge keeps 0.3 / 0.1 = 2.9999999999999996 from adding a step.
        let low = (low / step + 1e-9).floor() * step;
        let high = (high / step - 1e-9).ceil() * step;
        Self { low, high, step }
    }

    /// Where `value` lies, 0 at the low end and 1 at the high end.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Whether `value` lies on the axis, to rounding.
    pub(super) fn holds(&self, value: f64) -> bool {
        (-1e-6..=1.0 + 1e-6).contains(&self.fraction(value))
    }

    /// Every tick and its label.
    pub(super) fn labelled(&self) -> Vec<(f64, String)> {
        let first = (self.low / self.step - 1e-6).ceil();
        let last = (self.high / self.step + 1e-6).floor();
        let count = (last - first).clamp(0.0, 4.0 * STEPS) as usize + 1;
        let largest = self.low.abs().max(self.high.abs());
        (0..count)
            .map(|i| {
                // Adding 0.0 turns −0.0 into 0.0.
                let value = (first + i as f64) * self.step + 0.0;
                (value, label(value, self.step, largest))
            })
            .collect()
    }
}

/// The step of 1, 2 or 5 times a power of ten nearest to a sixth of `span`, not below it by much.
fn round_step(span: f64) -> f64 {
    let raw = (span / STEPS).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(raw.log10().floor()).max(f64::MIN_POSITIVE);
    let factor = match raw / power {
        f if f <= 1.0 + 1e-9 => 1.0,
        f if f <= 2.0 + 1e-9 => 2.0,
        f if f <= 5.0 + 1e-9 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// `value` with the decimals that `step` needs, or in powers of ten where that would be long.
fn label(value: f64, step: f64, largest: f64) -> String {
    let decimals = (-step.log10() - 1e-9).ceil().max(0.0);
    if largest >= 1e7 || decimals > 5.0 {
        let digits = (largest / step).log10().ceil().clamp(0.0, 15.0) as usize;
        if value == 0.0 { "0".to_owned() } else { format!("{value:.digits$e}") }
    } else {
        format!("{value:.*}", decimals as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(range: Option<[f64; 2]>, values: &[f64]) -> Vec<String> {
        Ticks::new(range, values.iter().copied()).labelled().into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn round_numbers_around_the_values() {
        assert_eq!(labels(None, &[0.0, 1.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            labels(None, &[0.43, 1.02]),
            ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0", "1.1"]
        );
        assert_eq!(labels(None, &[3.0, 790.0]), ["0", "200", "400", "600", "800"]);
        assert_eq!(
            labels(None, &[-0.02, 0.03]),
            ["-0.02", "-0.01", "0.00", "0.01", "0.02", "0.03"]
        );
        assert_eq!(labels(None, &[0.1, 0.3]), ["0.10", "0.15", "0.20", "0.25", "0.30"]);
    }

    #[test]
    fn a_fixed_range_keeps_its_ends() {
        let axis = Ticks::new(Some([0.0, 0.55]), [9.0].into_iter());
        assert_eq!(axis.fraction(0.55), 1.0);
        assert!(!axis.holds(9.0));
        assert_eq!(labels(Some([0.0, 0.55]), &[]), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
    }

    #[test]
    fn any_values_give_few_ticks_on_a_finite_axis() {
        let cases: [&[f64]; 10] = [
            &[],
            &[0.0],
            &[5.0, 5.0],
            &[1e-9, 3e-9],
            &[-4e12, 7e13],
            &[1e300, -1e300],
            &[f64::MAX, -f64::MAX],
            &[f64::MIN_POSITIVE, 0.0],
            &[1e6, 1e6 + 1e-3],
            &[-1.0, -0.999_999],
        ];
        for values in cases {
            let axis = Ticks::new(None, values.iter().copied());
            assert!(
                axis.low < axis.high && (axis.high - axis.low).is_finite(),
                "{values:?}: {axis:?}"
            );
            let ticks = axis.labelled();
            assert!((2..=14).contains(&ticks.len()), "{values:?}: {ticks:?}");
            assert!(ticks.windows(2).all(|w| w[0].0 < w[1].0), "{values:?}: {ticks:?}");
            for (at, text) in &ticks {
                assert!(axis.holds(*at) && text.len() <= 14, "{values:?}: {ticks:?}");
            }
        }
    }

    #[test]
    fn labels_tell_the_ticks_apart() {
        for values in [[1e-9, 3e-9], [1e8, 1e8 + 50.0], [0.123_451, 0.123_459]] {
            let labels = labels(None, &values);
            let mut unique = labels.clone();
            unique.dedup();
            assert_eq!(labels, unique);
        }
    }

    #[test]
    fn an_unusable_range_is_passed_over() {
        for range in [[1.0, 1.0], [2.0, 1.0], [f64::NAN, 1.0], [0.0, f64::INFINITY]] {
            assert_eq!(labels(Some(range), &[0.0, 1.0]), labels(None, &[0.0, 1.0]));
        }
    }
}
