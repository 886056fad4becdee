//! The ends of an axis and the round numbers along it.

/// About this many steps along an axis.
const STEPS: f64 = 6.0;

/// An axis: its ends, and where its numbers stand.
#[derive(Clone, Debug)]
pub(super) struct Ticks {
    low: f64,
    high: f64,
    scale: Scale,
}

#[derive(Clone, Debug)]
enum Scale {
    /// Multiples of the step, which is 1, 2 or 5 times a power of ten.
    Linear { step: f64 },
    /// These values; the ends are logarithms.
    Logarithmic { marks: Vec<f64> },
}

impl Ticks {
    /// The axis over `range`, or, where it is absent or unusable, over `values` (all finite) out
    /// to the next tick on either side.
    pub(super) fn new(range: Option<[f64; 2]>, values: impl Iterator<Item = f64>) -> Self {
        if let Some([low, high]) = range
            && (high - low).is_finite()
            && low < high
        {
            return Self::linear(low, high, round_step(high - low));
        }
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return Self::linear(0.0, 1.0, 0.2);
        }
        // Equal values get room around them; ends too far apart to subtract are drawn in.
        let room = if high > low { 0.0 } else { low.abs().max(1.0) * 0.1 };
        let low = (low - room).max(-f64::MAX / 8.0);
        let high = (high + room).min(f64::MAX / 8.0);
        let step = round_step(high - low);
        // The nudge keeps 0.3 / 0.1 = 2.9999999999999996 from adding a step.
        let low = (low / step + 1e-9).floor() * step;
        let high = (high / step - 1e-9).ceil() * step;
        Self::linear(low, high, step)
    }

    /// The axis over those of `values` (all finite) that are positive, in powers of ten, or in 1, 2
    /// and 5 times them where there are few.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let positive = values.filter(|&value| value > 0.0).map(f64::log10);
        let (low, high) = positive
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = if low > high { (0.0, 0.0) } else { (low, high) };
        // Powers of ten beyond these are not numbers any more.
        let (low, high) = (low.clamp(-300.0, 300.0), high.clamp(-300.0, 300.0));
        let first = (low + 1e-9).floor();
        let last = (high - 1e-9).ceil().max(first + 1.0);
        let factors: &[f64] = if last - first <= 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let stride = ((last - first) / STEPS).ceil().max(1.0) as usize;
        let marks: Vec<f64> = (first as i32..=last as i32)
            .step_by(stride)
            .flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)))
            .filter(|mark| mark.log10() <= last + 1e-9)
            .collect();
        // The marks nearest to the values, or the whole decades where there are no others.
        let below = marks.iter().copied().rfind(|mark| mark.log10() <= low + 1e-9);
        let above = marks.iter().copied().find(|mark| mark.log10() >= high - 1e-9);
        let low = below.map_or(first, f64::log10);
        let high = above.map_or(last, f64::log10);
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, scale: Scale::Logarithmic { marks } }
    }

    fn linear(low: f64, high: f64, step: f64) -> Self {
        Self { low, high, scale: Scale::Linear { step } }
    }

    /// A linear axis from end to end of this one, for values that are less by `zero`.
    pub(super) fn measured_from(&self, zero: f64) -> Self {
        Self::new(Some([self.low - zero, self.high - zero]), std::iter::empty())
    }

    /// Where `value` lies, 0 at the low end and 1 at the high end.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        let at = match self.scale {
            Scale::Linear { .. } => value,
            Scale::Logarithmic { .. } => value.log10(),
        };
        (at - self.low) / (self.high - self.low)
    }

    /// Whether `value` lies on the axis, to rounding.
    pub(super) fn holds(&self, value: f64) -> bool {
        (-1e-6..=1.0 + 1e-6).contains(&self.fraction(value))
    }

    /// Every tick and its label.
    pub(super) fn labelled(&self) -> Vec<(f64, String)> {
        let step = match &self.scale {
            Scale::Linear { step } => *step,
            Scale::Logarithmic { marks } => {
                let held = marks.iter().filter(|&&mark| self.holds(mark));
                return held.map(|&mark| (mark, label(mark, mark, mark))).collect();
            }
        };
        let first = (self.low / step - 1e-6).ceil();
        let last = (self.high / step + 1e-6).floor();
        let count = (last - first).clamp(0.0, 4.0 * STEPS) as usize + 1;
        let largest = self.low.abs().max(self.high.abs());
        (0..count)
            .map(|i| {
                // Adding 0.0 turns −0.0 into 0.0.
                let value = (first + i as f64) * step + 0.0;
                (value, label(value, step, largest))
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
    fn a_logarithmic_axis_stands_in_powers_of_ten() {
        let labels = |values: &[f64]| {
            let ticks = Ticks::logarithmic(values.iter().copied()).labelled();
            ticks.into_iter().map(|tick| tick.1).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[0.3, 4.0]), ["0.2", "0.5", "1", "2", "5"]);
        assert_eq!(labels(&[0.002, 30.0]), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(&[7.0]), ["5", "10"]);
        assert_eq!(labels(&[0.0, -3.0]), labels(&[]));
        let axis = Ticks::logarithmic([1.0, 100.0].into_iter());
        assert_eq!(
            (axis.fraction(1.0), axis.fraction(10.0), axis.fraction(100.0)),
            (0.0, 0.5, 1.0)
        );
        assert!(!axis.holds(0.0) && !axis.holds(-1.0) && !axis.holds(f64::NAN));
    }

    #[test]
    fn any_values_give_few_logarithmic_ticks() {
        let cases: [&[f64]; 7] = [
            &[],
            &[1.0],
            &[1e-9, 1e9],
            &[f64::MIN_POSITIVE, f64::MAX],
            &[5e-324],
            &[0.999, 1.001],
            &[3e-5, 4e-5],
        ];
        for values in cases {
            let axis = Ticks::logarithmic(values.iter().copied());
            let ticks = axis.labelled();
            assert!((2..=8).contains(&ticks.len()), "{values:?}: {ticks:?}");
            assert!(ticks.windows(2).all(|w| w[0].0 < w[1].0), "{values:?}: {ticks:?}");
            for value in values.iter().filter(|&&value| (1e-300..1e300).contains(&value)) {
                assert!(axis.holds(*value), "{values:?}: {axis:?}");
            }
        }
    }

    #[test]
    fn an_unusable_range_is_passed_over() {
        for range in [[1.0, 1.0], [2.0, 1.0], [f64::NAN, 1.0], [0.0, f64::INFINITY]] {
            assert_eq!(labels(Some(range), &[0.0, 1.0]), labels(None, &[0.0, 1.0]));
        }
    }
}
