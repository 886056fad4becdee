use std::f64::consts::PI;

/// Where the series gives way to the continued fraction.
const FAR: f64 = 1.0;

/// The error function, `2/√π · ∫₀ˣ exp(−t²) dt`.
pub fn erf(x: f64) -> f64 {
    if x.abs() < FAR { series(x) } else { (1.0 - fraction(x.abs())).copysign(x) }
}

/// `1 − erf(x)`, without loss of digits where that is small.
pub fn erfc(x: f64) -> f64 {
    if x < FAR { 1.0 - erf(x) } else { fraction(x) }
}

/// `erf(x) = 2/√π · exp(−x²) · Σ x·(2x²)ⁿ / (1·3·…·(2n + 1))`, whose terms have one sign.
fn series(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..40 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// `erfc(x) = exp(−x²)/√π · 1/(x + ½/(x + 1/(x + ³⁄₂/(x + …))))`.
fn fraction(x: f64) -> f64 {
    let denominator = (1..300).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    (-x * x).exp() / PI.sqrt() / denominator
}
