//! Linear layers: `x·Wᵀ + b` and its gradients, with rows of features `x [R, I]` and weights `W [O, I]`.

use super::sums::{Chunks, column_sums, sum_parts};
use crate::work::{Command, Factor, Product, Record, Values};

fn plain(values: &Values) -> Factor {
    Factor { values: values.clone(), turned: false }
}

fn turned(values: &Values) -> Factor {
    Factor { values: values.clone(), turned: true }
}

/// `x [R, I]` to `out [R, O]`.
pub fn forward(
    record: &mut dyn Record,
    x: &Values,
    weight: &Values,
    bias: &Values,
    inputs: usize,
    out: &Values,
) {
    let (rows, columns) = (x.len() / inputs, bias.len());
    record.push(Command::Product(Product {
        rows,
        columns,
        depth: inputs,
        a: plain(x),
        b: turned(weight),
        bias: Some(bias.clone()),
        out: out.clone(),
        adds: false,
    }));
}

/// The gradient by `x`, from `gradient [R, O]`.
pub fn backward_input(
    record: &mut dyn Record,
    gradient: &Values,
    weight: &Values,
    outputs: usize,
    by_x: &Values,
) {
    let rows = gradient.len() / outputs;
    record.push(Command::Product(Product {
        rows,
        columns: by_x.len() / rows,
        depth: outputs,
        a: plain(gradient),
        b: plain(weight),
        bias: None,
        out: by_x.clone(),
        adds: false,
    }));
}

/// The gradients by weight and bias, in float32; added to what is there where `adds` is set.
pub fn backward_weight(
    record: &mut dyn Record,
    [x, gradient]: [&Values; 2],
    [by_weight, by_bias]: [&Values; 2],
    adds: bool,
) {
    backward_matrix(record, [x, gradient], by_weight, by_bias.len(), adds);
    backward_bias(record, gradient, by_bias, adds);
}

/// That by the weight alone.
pub fn backward_matrix(
    record: &mut dyn Record,
    [x, gradient]: [&Values; 2],
    by_weight: &Values,
    outputs: usize,
    adds: bool,
) {
    let rows = gradient.len() / outputs;
    record.push(Command::Product(Product {
        rows: outputs,
        columns: x.len() / rows,
        depth: rows,
        a: turned(gradient),
        b: plain(x),
        bias: None,
        out: by_weight.clone(),
        adds,
    }));
}

/// That by the bias alone.
pub fn backward_bias(record: &mut dyn Record, gradient: &Values, by_bias: &Values, adds: bool) {
    let chunks = Chunks::of(gradient, 1, by_bias.len());
    let parts = column_sums(record, gradient, &chunks);
    sum_parts(record, &parts, [chunks.count, 0], by_bias, adds);
}
