//! Eigenvalues and eigenvectors of symmetric matrices, in double precision: Householder's reflections to a tridiagonal
//! matrix, its eigenvalues by the implicit QL method, and eigenvectors, as many as are wanted, by inverse iteration.

use rayon::prelude::*;

use crate::random::Random;

/// A symmetric matrix as Q · T · Qᵀ.
pub(crate) struct Tridiagonal {
    /// T's diagonal, `[n]`.
    diagonal: Vec<f64>,
    /// T's other diagonal, `[n − 1]`.
    beside: Vec<f64>,
    /// Vectors v of the reflections 1 − 2 v vᵀ, of length 1 or 0; number k has n − 1 − k values.
    reflections: Vec<Vec<f64>>,
}

impl Tridiagonal {
    /// Of a symmetric matrix, `[n, n]`, which is used up. Takes 2 n³ operations in n passes over the matrix.
    pub(crate) fn new(mut matrix: Vec<f64>, n: usize) -> Self {
        let mut found = Self { diagonal: vec![], beside: vec![], reflections: vec![] };
        // What the last reflection does to rows that haven't been touched yet: A − v wᵀ − w vᵀ.
        let (mut v, mut w): (Vec<f64>, Vec<f64>) = (vec![], vec![]);
        for k in 0..n {
            // Row k as the last reflection leaves it; v and w begin with it.
            let mut row = matrix[k * n + k..][..n - k].to_vec();
            if let (Some(&v0), Some(&w0)) = (v.first(), w.first()) {
                for ((value, v), w) in row.iter_mut().zip(&v).zip(&w) {
                    *value -= v0 * w + w0 * v;
                }
            }
            found.diagonal.push(row[0]);
            if k + 1 == n {
                break;
            }
            let (next, beside) = reflection(&row[1..]);
            found.beside.push(beside);
            // The last reflection of the rows below, and their product with the next one's vector, in one pass.
            let product: Vec<f64> = matrix[(k + 1) * n..]
                .par_chunks_exact_mut(n)
                .enumerate()
                .map(|(index, row)| {
                    let row = &mut row[k + 1..];
                    if !v.is_empty() {
                        let (v0, w0) = (v[index + 1], w[index + 1]);
                        for ((value, v), w) in row.iter_mut().zip(&v[1..]).zip(&w[1..]) {
                            *value -= v0 * w + w0 * v;
                        }
                    }
                    dot(row, &next)
                })
                .collect();
            // w = 2 (A v − (v · A v) v)
            let along = dot(&product, &next);
            w = product.iter().zip(&next).map(|(p, v)| 2.0 * (p - along * v)).collect();
            v.clone_from(&next);
            found.reflections.push(next);
        }
        found
    }

    /// All eigenvalues, descending.
    pub(crate) fn values(&self) -> Vec<f64> {
        let (mut d, mut e) = (self.diagonal.clone(), self.beside.clone());
        e.push(0.0);
        let n = d.len();
        for low in 0..n {
            // Fifty rounds are far more than any value needs; what is left then is as good as rounding allows.
            for _ in 0..50 {
                let split = (low..n - 1)
                    .find(|&m| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs()));
                let high = split.unwrap_or(n - 1);
                if high == low {
                    break;
                }
                sweep(&mut d, &mut e, low, high);
            }
        }
        d.sort_unstable_by(|a, b| b.total_cmp(a));
        d
    }

    /// Eigenvectors of the first of `values`, which are all of them, `count` rows of `[n]`, each of length 1.
    pub(crate) fn vectors(&self, values: &[f64], count: usize) -> Vec<Vec<f64>> {
        let n = self.diagonal.len();
        let size = match values.iter().fold(0.0_f64, |most, value| value.abs().max(most)) {
            0.0 => 1.0,
            size => size,
        };
        let mut random = Random::new(0);
        let mut found: Vec<Vec<f64>> = Vec::with_capacity(count);
        let mut shift = f64::INFINITY;
        for &value in &values[..count] {
            // Equal values are told apart by a little, so that each leads to a vector of its own.
            shift = (value - 2.0 * f64::EPSILON * size).min(shift - 4.0 * f64::EPSILON * size);
            if shift.is_infinite() {
                shift = value;
            }
            let factors = Factors::new(&self.diagonal, &self.beside, shift, size);
            let mut vector: Vec<f64> = (0..n).map(|_| random.signed()).collect();
            for _ in 0..4 {
                factors.solve(&mut vector);
                normalize(&mut vector);
                // Twice is enough for any angle between them.
                for _ in 0..2 {
                    for other in &found {
                        let along = dot(&vector, other);
                        vector.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
                    }
                }
                normalize(&mut vector);
            }
            found.push(vector);
        }
        found.par_iter_mut().for_each(|vector| {
            for (k, reflection) in self.reflections.iter().enumerate().rev() {
                let part = &mut vector[k + 1..];
                let along = 2.0 * dot(part, reflection);
                part.iter_mut().zip(reflection).for_each(|(v, r)| *v -= along * r);
            }
            normalize(vector);
        });
        found
    }
}

/// The v of length 1 for which (1 − 2 v vᵀ) · `x` has its first value alone, and that value. Zeros where it has so
/// already.
fn reflection(x: &[f64]) -> (Vec<f64>, f64) {
    let most = x.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    if x[1..].iter().all(|&value| value == 0.0) {
        return (vec![0.0; x.len()], x[0]);
    }
    let mut v: Vec<f64> = x.iter().map(|value| value / most).collect();
    let length = dot(&v, &v).sqrt().copysign(-x[0]);
    v[0] -= length;
    normalize(&mut v);
    (v, length * most)
}

/// One round of the implicit QL method with Wilkinson's shift.
fn sweep(d: &mut [f64], e: &mut [f64], low: usize, high: usize) {
    let g = (d[low + 1] - d[low]) / (2.0 * e[low]);
    let mut g = d[high] - d[low] + e[low] / (g + g.hypot(1.0).copysign(g));
    let (mut sine, mut cosine, mut p) = (1.0, 1.0, 0.0);
    for i in (low..high).rev() {
        let (f, b) = (sine * e[i], cosine * e[i]);
        let r = f.hypot(g);
        e[i + 1] = r;
        if r == 0.0 {
            d[i + 1] -= p;
            e[high] = 0.0;
            return;
        }
        sine = f / r;
        cosine = g / r;
        let g1 = d[i + 1] - p;
        let r = (d[i] - g1) * sine + 2.0 * cosine * b;
        p = sine * r;
        d[i + 1] = g1 + p;
        g = cosine * r - b;
    }
    d[low] -= p;
    e[low] = g;
    e[high] = 0.0;
}

/// T − shift as L · U with rows exchanged.
struct Factors {
    /// U's three diagonals.
    diagonals: [Vec<f64>; 3],
    /// Whether rows i and i + 1 were exchanged, and the multiple of the one that was subtracted from the other.
    steps: Vec<(bool, f64)>,
}

impl Factors {
    fn new(diagonal: &[f64], beside: &[f64], shift: f64, size: f64) -> Self {
        let n = diagonal.len();
        let mut first: Vec<f64> = diagonal.iter().map(|value| value - shift).collect();
        let mut second = beside.to_vec();
        second.push(0.0);
        let mut third = vec![0.0; n];
        let mut steps = Vec::with_capacity(n);
        // What a pivot of zero is taken for.
        let least = f64::EPSILON * size;
        for i in 0..n.saturating_sub(1) {
            let below = beside[i];
            let exchange = below.abs() > first[i].abs();
            if exchange {
                // Row i + 1 is (below, first, second) of the next.
                let (a, b) = (first[i], second[i]);
                (first[i], second[i], third[i]) = (below, first[i + 1], second[i + 1]);
                let multiple = a / below;
                first[i + 1] = b - multiple * second[i];
                second[i + 1] = -multiple * third[i];
                steps.push((true, multiple));
            } else {
                if first[i] == 0.0 {
                    first[i] = least;
                }
                let multiple = below / first[i];
                first[i + 1] -= multiple * second[i];
                steps.push((false, multiple));
            }
        }
        for pivot in &mut first {
            if pivot.abs() < least {
                *pivot = least.copysign(*pivot);
            }
        }
        Self { diagonals: [first, second, third], steps }
    }

    fn solve(&self, x: &mut [f64]) {
        for (i, &(exchange, multiple)) in self.steps.iter().enumerate() {
            if exchange {
                x.swap(i, i + 1);
            }
            x[i + 1] -= multiple * x[i];
        }
        let [first, second, third] = &self.diagonals;
        for i in (0..x.len()).rev() {
            let next = |ahead: usize| x.get(i + ahead).copied().unwrap_or(0.0);
            x[i] = (x[i] - second[i] * next(1) - third[i] * next(2)) / first[i];
        }
    }
}

/// With eight sums, so that it is not bound to wait for one.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Divides by the length, whatever size the values have.
fn normalize(vector: &mut [f64]) {
    let most = vector.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    if most > 0.0 && most.is_finite() {
        vector.iter_mut().for_each(|value| *value /= most);
        let length = dot(vector, vector).sqrt();
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::fill;

    /// Asserts that matrix · v = value · v, and that the vectors are of length 1 and at right angles.
    fn check(matrix: &[f64], n: usize, count: usize) -> Vec<f64> {
        let tridiagonal = Tridiagonal::new(matrix.to_vec(), n);
        let values = tridiagonal.values();
        let vectors = tridiagonal.vectors(&values, count);
        let size = values.iter().fold(1e-300_f64, |most, value| most.max(value.abs()));
        for (place, vector) in vectors.iter().enumerate() {
            for row in 0..n {
                let product = dot(&matrix[row * n..][..n], vector);
                let away = (product - values[place] * vector[row]).abs();
                assert!(away < 1e-12 * size * n as f64, "{n} {place} {away:e}");
            }
            for (other, second) in vectors.iter().enumerate() {
                let expected = f64::from(u8::from(other == place));
                assert!((dot(vector, second) - expected).abs() < 1e-10, "{n} {place} {other}");
            }
        }
        assert!(values.is_sorted_by(|a, b| a >= b));
        let trace: f64 = (0..n).map(|k| matrix[k * n + k]).sum();
        assert!((values.iter().sum::<f64>() - trace).abs() < 1e-11 * size * n as f64);
        let square: f64 = matrix.iter().map(|value| value * value).sum();
        let squares: f64 = values.iter().map(|value| value * value).sum();
        assert!((square - squares).abs() < 1e-10 * square.max(1e-300), "{square} {squares}");
        values
    }

    #[test]
    fn eigenvectors_fulfil_their_equation() {
        for n in [1, 2, 3, 17, 60] {
            let half = fill("matrix", n * n);
            let matrix: Vec<f64> =
                (0..n * n).map(|at| half[at] + half[at % n * n + at / n]).collect();
            check(&matrix, n, n);
        }
    }

    #[test]
    fn equal_values_have_vectors_at_right_angles() {
        // The identity, a block of equal values beside others, a matrix of rank 2, and zeros.
        let n = 12;
        let diagonal = |value: &dyn Fn(usize) -> f64| -> Vec<f64> {
            (0..n * n).map(|at| if at / n == at % n { value(at / n) } else { 0.0 }).collect()
        };
        assert_eq!(check(&diagonal(&|_| 1.0), n, n), [1.0; 12]);
        check(&diagonal(&|row| if row < 5 { 3.0 } else { row as f64 }), n, n);
        let x = fill("x", 2 * n);
        let low: Vec<f64> =
            (0..n * n).map(|at| x[at / n] * x[at % n] + x[n + at / n] * x[n + at % n]).collect();
        let values = check(&low, n, n);
        assert!(values[2].abs() < 1e-14 && values[1] > 0.1);
        check(&vec![0.0; n * n], n, n);
        check(&vec![1.0; n * n], n, n);
    }
}
