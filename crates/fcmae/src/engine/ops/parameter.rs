//! A parameter as a tensor, for whatever takes it as an operand.

use fcmae_cuda::operations::converted;
use fcmae_cuda::operations::update::accumulate;
use fcmae_cuda::work::Record;

use super::Operation;
use crate::engine::parameters::Parameter;
use crate::engine::tape::{Back, Backward, Fill, Pass};
use crate::engine::tensor::Tensor;

/// The values of `parameter` in its own shape: a copy, which stays as it is when the parameter is
/// updated.
pub fn parameter(pass: &mut Pass<'_>, parameter: Parameter) -> Tensor {
    let out = pass.fill(
        Operation::Accumulate,
        parameter.shape(),
        |weights, out| {
            out.copy_from_slice(weights.get(parameter));
            Ok(())
        },
        |record, out| record.push(converted(&record.weight(parameter), out)),
    );
    pass.record(out, &[], &[parameter], || Box::new(Copied { parameter }))
}

#[derive(Debug)]
struct Copied {
    parameter: Parameter,
}

impl Backward for Copied {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        back.parameters(
            Operation::Accumulate,
            [self.parameter],
            |_, [out]| {
                out.copy_from_slice(gradient.values());
                Ok(())
            },
            |record, [out], adds| {
                if adds {
                    let more = record.wide(&gradient);
                    accumulate(record, out, &more);
                } else {
                    let gradient = record.of(&gradient);
                    record.push(converted(&gradient, out));
                }
            },
        );
    }
}
