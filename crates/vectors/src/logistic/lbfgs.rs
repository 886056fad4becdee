//! The minimum of a smooth convex function by L-BFGS.

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::error::VectorError;

/// Steps whose changes are remembered.
const REMEMBERED: usize = 10;

/// Points tried on a line.
const TRIES: usize = 30;

/// When it ends.
pub(super) struct Stop {
    /// The largest element of the gradient at which it is done.
    pub(super) tolerance: f64,
    /// Steps at most.
    pub(super) iterations: usize,
}

/// What was found.
pub(super) struct Found {
    pub(super) value: f64,
    pub(super) iterations: usize,
    pub(super) converged: bool,
}

/// The changes of a step, in single precision, in which they take half the memory.
struct Step {
    point: Vec<f32>,
    gradient: Vec<f32>,
    /// 1 / (point · gradient).
    inverse: f64,
}

/// Moves `at` to the minimum of `function`, which returns its value and writes its gradient.
pub(super) fn minimize(
    at: &mut Vec<f64>,
    stop: &Stop,
    mut function: impl FnMut(&[f64], &mut [f64]) -> Result<f64, VectorError>,
) -> Result<Found, VectorError> {
    let size = at.len();
    let mut gradient = vec![0.0; size];
    let mut value = function(at, &mut gradient)?;
    let mut steps: VecDeque<Step> = VecDeque::new();
    let (mut next, mut next_gradient) = (vec![0.0; size], vec![0.0; size]);
    for iteration in 0..stop.iterations {
        if largest(&gradient) <= stop.tolerance {
            return Ok(Found { value, iterations: iteration, converged: true });
        }
        let mut direction = direction(&gradient, &steps);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            // Rounding has spoiled what is remembered.
            steps.clear();
            direction = gradient.iter().map(|value| -value).collect();
            slope = dot(&direction, &gradient);
        }
        let first =
            if steps.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let line = Line { at, direction: &direction, value, slope };
        let Some(found) = line.search(first, &mut next, &mut next_gradient, &mut function)? else {
            // Nothing on the line is lower by more than rounding: this is the minimum as far as it can be known.
            let converged = largest(&gradient) <= 100.0 * stop.tolerance;
            return Ok(Found { value, iterations: iteration, converged });
        };
        remember(&mut steps, at, &gradient, &next, &next_gradient);
        std::mem::swap(at, &mut next);
        std::mem::swap(&mut gradient, &mut next_gradient);
        value = found;
    }
    let converged = largest(&gradient) <= stop.tolerance;
    Ok(Found { value, iterations: stop.iterations, converged })
}

/// A line from a point downwards.
struct Line<'a> {
    at: &'a [f64],
    direction: &'a [f64],
    value: f64,
    slope: f64,
}

impl Line<'_> {
    /// A point that is low enough and where the slope is little enough (weak Wolfe conditions, by bisection); its
    /// value. `None` if there is none.
    fn search(
        &self,
        first: f64,
        next: &mut [f64],
        gradient: &mut [f64],
        function: &mut impl FnMut(&[f64], &mut [f64]) -> Result<f64, VectorError>,
    ) -> Result<Option<f64>, VectorError> {
        let (mut low, mut high, mut length) = (0.0, f64::INFINITY, first);
        for _ in 0..TRIES {
            let points = next.iter_mut().zip(self.at.iter().zip(self.direction));
            points.for_each(|(next, (at, direction))| *next = at + length * direction);
            let value = function(next, gradient)?;
            let enough = value <= self.value + 1e-4 * length * self.slope;
            if !enough {
                high = length;
            } else if dot(gradient, self.direction) < 0.9 * self.slope {
                low = length;
            } else {
                return Ok(Some(value));
            }
            length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
        }
        Ok(None)
    }
}

/// −H · gradient, with H as the remembered steps have it.
fn direction(gradient: &[f64], steps: &VecDeque<Step>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|value| -value).collect();
    let mut factors = Vec::with_capacity(steps.len());
    for step in steps.iter().rev() {
        let factor = step.inverse * dot_with(&direction, &step.point);
        add(&mut direction, -factor, &step.gradient);
        factors.push(factor);
    }
    if let Some(last) = steps.back() {
        let square: f64 = last.gradient.iter().map(|&value| f64::from(value).powi(2)).sum();
        let scale = 1.0 / (last.inverse * square);
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for (step, factor) in steps.iter().zip(factors.into_iter().rev()) {
        let other = step.inverse * dot_with(&direction, &step.gradient);
        add(&mut direction, factor - other, &step.point);
    }
    direction
}

/// Remembers a step, if the function curves along it as it should.
fn remember(
    steps: &mut VecDeque<Step>,
    at: &[f64],
    gradient: &[f64],
    next: &[f64],
    next_gradient: &[f64],
) {
    let difference = |new: &[f64], old: &[f64]| -> Vec<f32> {
        new.iter().zip(old).map(|(new, old)| (new - old) as f32).collect()
    };
    let (point, change) = (difference(next, at), difference(next_gradient, gradient));
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let curve = dot(&point, &change);
    if curve > 1e-10 * dot(&change, &change) {
        if steps.len() == REMEMBERED {
            steps.pop_front();
        }
        steps.push_back(Step { point, gradient: change, inverse: 1.0 / curve });
    }
}

/// Values that a part of a sum has, so that it is the same for any number of threads.
const PART: usize = 1 << 14;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let parts = a.par_chunks(PART).zip(b.par_chunks(PART));
    let parts = parts.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>());
    parts.collect::<Vec<f64>>().into_iter().sum()
}

fn dot_with(a: &[f64], b: &[f32]) -> f64 {
    let parts = a.par_chunks(PART).zip(b.par_chunks(PART));
    let parts = parts.map(|(a, b)| a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum::<f64>());
    parts.collect::<Vec<f64>>().into_iter().sum()
}

fn add(sum: &mut [f64], factor: f64, values: &[f32]) {
    let parts = sum.par_chunks_mut(PART).zip(values.par_chunks(PART));
    parts.for_each(|(sum, values)| {
        sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += factor * f64::from(value));
    });
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_narrow_valley_is_followed_to_its_end() {
        // Σ k⁴ (x_k − k)² / 2 + (x_k − k)⁴, k = 1 … 12.
        let mut at = vec![0.0; 12];
        let stop = Stop { tolerance: 1e-6, iterations: 500 };
        let found = minimize(&mut at, &stop, |at, gradient| {
            let mut sum = 0.0;
            for (k, (at, gradient)) in at.iter().zip(gradient).enumerate() {
                let (place, weight) = (k as f64 + 1.0, (k as f64 + 1.0).powi(4));
                let away = at - place;
                sum += 0.5 * weight * away * away + away.powi(4);
                *gradient = weight * away + 4.0 * away.powi(3);
            }
            Ok(sum)
        });
        let found = found.unwrap();
        assert!(
            found.converged && found.iterations < 300 && found.value < 1e-9,
            "{}",
            found.iterations
        );
        assert!(at.iter().enumerate().all(|(k, at)| (at - k as f64 - 1.0).abs() < 1e-5));
    }

    #[test]
    fn it_ends_where_it_must() {
        let mut at = vec![100.0];
        let stop = Stop { tolerance: 1e-9, iterations: 2 };
        let found = minimize(&mut at, &stop, |at, gradient| {
            gradient[0] = 4.0 * at[0].powi(3);
            Ok(at[0].powi(4))
        });
        let found = found.unwrap();
        assert!(!found.converged && found.iterations == 2);
    }
}
