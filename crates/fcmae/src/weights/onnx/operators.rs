//! ONNX's operators, of operator set 17, one after the other. Each has one output, of its own name.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::encode::{Constant, Values};
use super::protobuf::{Attribute, Node};

/// The version of the operators.
pub(super) const OPERATOR_SET: i64 = 17;
/// The version of the file format that came with it.
pub(super) const IR_VERSION: i64 = 8;

/// Operations in the order in which they are computed, and the constants that they take.
#[derive(Default)]
pub(super) struct Operators<'a> {
    pub(super) nodes: Vec<Node>,
    pub(super) constants: Vec<Constant<'a>>,
    shared: BTreeSet<&'static str>,
}

impl<'a> Operators<'a> {
    /// An operation; returns its output.
    pub(super) fn apply(
        &mut self,
        operator: &str,
        name: impl Into<String>,
        inputs: &[&str],
        attribute: Vec<Attribute>,
    ) -> String {
        let name = name.into();
        self.nodes.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: operator.to_owned(),
            attribute,
        });
        name
    }

    /// A constant of float32 values; returns its name.
    pub(super) fn floats(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        values: impl Into<Cow<'a, [f32]>>,
    ) -> String {
        self.constant(name.into(), shape, Values::Floats(values.into()))
    }

    /// A number that operations share.
    pub(super) fn number(&mut self, name: &'static str, value: f32) -> &'static str {
        if self.shared.insert(name) {
            self.floats(name, &[], vec![value]);
        }
        name
    }

    /// The sum over `axes`, which are called `axes_name` wherever they are summed over; keeps them
    /// at length 1. In this operator set, sums alone take their axes as a constant.
    pub(super) fn sum(
        &mut self,
        name: &str,
        x: &str,
        axes_name: &'static str,
        axes: &[i64],
    ) -> String {
        if self.shared.insert(axes_name) {
            let values = Values::Integers(axes.to_vec());
            self.constant(axes_name.to_owned(), &[axes.len()], values);
        }
        self.apply("ReduceSum", name, &[x, axes_name], vec![Attribute::int("keepdims", 1)])
    }

    /// A constant; returns its name.
    pub(super) fn constant(&mut self, name: String, shape: &[usize], values: Values<'a>) -> String {
        self.constants.push(Constant { name: name.clone(), shape: shape.to_vec(), values });
        name
    }
}
