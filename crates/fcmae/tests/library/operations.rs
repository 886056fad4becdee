//! The operations: kernels and hand-written backward passes against plain operations and Burn's own
//! autodiff of them, and against finite differences.

mod operation;

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex, TensorData};
use burn::tensor::{Device, Shape};
use burn_flex::FlexTensor;
use fcmae::config::ModelConfig;
use fcmae::model::Encoder;
use fcmae::ops::ConvNextOps;
use fcmae::parameters::{self, host};

use self::operation::{Operation, all};
use crate::fill;

type Tracked = Autodiff<Flex>;

/// An operand in float64; the values are exact in float32 too.
#[derive(Clone)]
struct Operand {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Operand {
    /// Numbers in ±`scale`, by name.
    fn filled(name: &str, shape: &[usize], scale: f64) -> Self {
        let values = fill::uniform(name, shape.iter().product()).into_iter();
        let values = values.map(|r| f64::from((scale * r) as f32)).collect();
        Self { shape: shape.to_vec(), values }
    }

    fn float32(&self) -> FlexTensor {
        let values: Vec<f32> = self.values.iter().map(|&v| v as f32).collect();
        FlexTensor::from_data(TensorData::new(values, self.shape.clone()))
    }

    fn float64(&self) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(self.values.clone(), self.shape.clone()))
    }
}

fn values(tensor: FlexTensor) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_into_vec().unwrap()
}

/// `‖found − expected‖ / ‖expected‖`.
fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let error: f64 = found.iter().zip(expected).map(|(f, e)| (f - e).powi(2)).sum();
    let norm: f64 = expected.iter().map(|e| e.powi(2)).sum();
    assert!(norm > 0.0, "nothing to compare with: all values are zero");
    (error / norm).sqrt()
}

/// The direction that makes a number of a result.
fn probe(count: usize) -> Operand {
    Operand::filled("output@probe", &[count], 1.0)
}

/// Result, and gradients of Σ result · probe by every operand, through `apply` under autodiff.
fn differentiate(
    operands: Vec<FlexTensor>,
    probe: impl Fn(&Operand) -> FlexTensor,
    apply: impl Fn(Vec<FloatTensor<Tracked>>) -> FloatTensor<Tracked>,
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let leaves: Vec<FloatTensor<Tracked>> = operands
        .into_iter()
        .map(|operand| FloatTensor::<Tracked>::new(operand).require_grad())
        .collect();
    let result = apply(leaves.clone());
    let out = values(result.primitive().clone());
    let probe = FloatTensor::<Tracked>::new(probe(&self::probe(out.len())));
    let flat = Tracked::float_reshape(result, Shape::from([out.len()]));
    let grads = Tracked::float_sum(Tracked::float_mul(flat, probe)).backward();
    let gradients = leaves.iter().map(|leaf| values(leaf.grad(&grads).unwrap())).collect();
    (out, gradients)
}

fn compare(about: &str, limit: f64, found: &[f64], expected: &[f64]) {
    let error = relative_error(found, expected);
    assert!(error <= limit, "{about} is off by {error:.1e}, limit {limit:.0e}");
}

#[test]
fn kernels_equal_the_plain_operations() {
    for Operation { name, operands, own, plain, .. } in all::<Flex>() {
        let expected = values(plain(operands.iter().map(Operand::float64).collect()));
        let found = values(own(operands.iter().map(Operand::float32).collect()));
        compare(&name, 1e-6, &found, &expected);
    }
}

#[test]
fn hand_written_gradients_equal_burns_autodiff_of_the_plain_operations() {
    for Operation { name, operands, own, plain, .. } in all::<Tracked>() {
        let float64 = || operands.iter().map(Operand::float64).collect();
        let float32 = || operands.iter().map(Operand::float32).collect();
        let (_, expected) = differentiate(float64(), Operand::float64, &plain);
        let (_, plain_backward) = differentiate(float64(), Operand::float64, &own);
        let (_, kernels) = differentiate(float32(), Operand::float32, &own);
        for (i, expected) in expected.iter().enumerate() {
            let about = format!("{name}: gradient by operand {i}");
            compare(&format!("{about}, plain backward"), 1e-11, &plain_backward[i], expected);
            compare(&format!("{about}, kernel"), 3e-6, &kernels[i], expected);
        }
    }
}

#[test]
fn gradients_equal_finite_differences_in_float64() {
    const STEP: f64 = 1e-5;
    let forwards = all::<Flex>();
    for (operation, forward) in all::<Tracked>().into_iter().zip(forwards) {
        let Operation { name, operands, own, .. } = operation;
        let float64 = |operands: &[Operand]| operands.iter().map(Operand::float64).collect();
        let (out, gradients) = differentiate(float64(&operands), Operand::float64, &own);
        let probe = probe(out.len());
        let result = |operands: &[Operand]| -> f64 {
            let out = values((forward.own)(float64(operands)));
            out.iter().zip(&probe.values).map(|(o, p)| o * p).sum()
        };
        for (i, gradient) in gradients.iter().enumerate() {
            let mut moved = operands.clone();
            let differences: Vec<f64> = (0..gradient.len())
                .map(|at| {
                    let value = operands[i].values[at];
                    let mut at_offset = |offset| {
                        moved[i].values[at] = value + offset;
                        result(&moved)
                    };
                    let difference = (at_offset(STEP) - at_offset(-STEP)) / (2.0 * STEP);
                    moved[i].values[at] = value;
                    difference
                })
                .collect();
            compare(&format!("{name}: gradient by operand {i}"), 1e-6, gradient, &differences);
        }
    }
}

#[test]
fn operands_may_lie_anyhow_in_memory() {
    for Operation { name, operands, own, .. } in all::<Flex>() {
        let expected = values(own(operands.iter().map(Operand::float32).collect()));
        let transposed = operands.iter().map(|operand| {
            // Turned in memory, and turned back by its strides.
            let dims = operand.shape.len();
            let axes: Vec<usize> = (0..dims).rev().collect();
            operand.float32().permute(&axes).to_contiguous().permute(&axes)
        });
        let found = values(own(transposed.collect()));
        assert_eq!(found, expected, "{name} of operands that lie column by column");

        let part = operands.iter().map(|operand| {
            // A part of a longer tensor, not at its start.
            let mut longer = operand.clone();
            longer.shape[0] += 2;
            let row = operand.values.len() / operand.shape[0];
            longer.values.splice(0..0, vec![7.0; row]);
            longer.values.extend(vec![9.0; row]);
            longer.float32().narrow(0, 1, operand.shape[0])
        });
        let found = values(own(part.collect()));
        assert_eq!(found, expected, "{name} of operands that are part of longer ones");
    }
}

#[test]
fn operands_stay_as_they_were() {
    for Operation { name, operands, own, .. } in all::<Flex>() {
        let tensors: Vec<_> = operands.iter().map(Operand::float32).collect();
        let first = values(own(tensors.clone()));
        for (tensor, operand) in tensors.iter().zip(&operands) {
            assert_eq!(values(tensor.clone()), operand.values, "{name} changed an operand");
        }
        assert_eq!(values(own(tensors)), first, "{name} gives other bits the second time");
    }
}

/// Fault 21: GRN of zeros.
#[test]
fn silent_features_have_finite_gradients_through_grn() {
    let channels = 20;
    let mut x = Operand::filled("x", &[3, 12, channels], 2.0);
    // One image is silent altogether, one in its first channel alone.
    x.values[..12 * channels].fill(0.0);
    for site in 12..24 {
        x.values[site * channels] = 0.0;
    }
    let vector = |name| Operand::filled(name, &[channels], 0.5);
    let operands = [x, vector("gamma"), vector("beta")];
    let grn = |mut operands: Vec<FloatTensor<Tracked>>| {
        let (beta, gamma) = (operands.pop().unwrap(), operands.pop().unwrap());
        Tracked::gelu_grn(operands.pop().unwrap(), gamma, beta, 1e-6)
    };
    let float64 = operands.iter().map(Operand::float64).collect();
    let float32 = operands.iter().map(Operand::float32).collect();
    let (out, gradients) = differentiate(float32, Operand::float32, grn);
    let (plain_out, plain_gradients) = differentiate(float64, Operand::float64, grn);
    assert_eq!(out[..channels], operands[2].values[..], "beta alone where all is silent");
    assert!(out.iter().chain(gradients.iter().flatten()).all(|v| v.is_finite()));
    compare("output", 1e-6, &out, &plain_out);
    for (kernel, plain) in gradients.iter().zip(&plain_gradients) {
        compare("gradient", 3e-6, kernel, plain);
    }
}

#[test]
fn a_dropped_branch_passes_no_gradient() {
    let shortcut = Operand::filled("shortcut", &[3, 4, 5], 1.0);
    let branch = Operand::filled("branch", &[3, 4, 5], 1.0);
    let scale = vec![0.0, 1.25, 1.0];
    let operands = vec![shortcut.float32(), branch.float32()];
    let (out, gradients) = differentiate(operands, Operand::float32, |mut operands| {
        let branch = operands.pop().unwrap();
        Tracked::residual(operands.pop().unwrap(), branch, Some(scale.clone()))
    });
    let probe = probe(60).values;
    assert_eq!(out[..20], shortcut.values[..20]);
    assert_eq!(gradients[0], probe);
    for (i, (gradient, probe)) in gradients[1].iter().zip(&probe).enumerate() {
        let expected = f64::from(scale[i / 20] * *probe as f32);
        assert_eq!(*gradient, expected, "value {i} of the branch");
    }
}

#[test]
fn a_block_follows_its_weights() {
    let device = Device::flex();
    let config = ModelConfig::custom([1, 1, 2, 1], [8, 12, 16, 20]);
    let images = fill::images([1, 32, 64, 3], &device);
    let features = |encoder: &Encoder| host(encoder.forward_grid(images.clone(), None));
    let first = fill::module(Encoder::new(&config, &device));
    let found = features(&first);
    assert_eq!(found, features(&first), "the layout of the weights is used again");
    // What shares the first one's memory of laid out weights has others.
    let second = parameters::map(first.clone(), |_, _, value| value * 0.75);
    let expected =
        parameters::from_host(Encoder::new(&config, &device), &parameters::to_host(&second));
    assert_eq!(features(&second), features(&expected.unwrap()));
    assert_ne!(features(&second), found);
    assert_eq!(features(&first), found);
}
