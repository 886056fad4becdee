//! ConvNeXt in ONNX's operators.
//!
//! Features are `[N, C, H, W]` and linear layers are 1×1 convolutions; for layer norm alone channels
//! come last. Runtimes lay features out in their own way for convolutions, and take the two turns
//! around a norm into that. Of the forms tried, none is faster in both ONNX Runtime and OpenVINO:
//! with `[N, H, W, C]` and matrix products one of them is slower, for one picture or for many.
//!
//! What stands beside a linear layer and can be computed beforehand is: V1's layer scale is in the
//! weights of the layer before it, GRN's beta in the bias of the layer after it.

use fcmae_store::{HostTensor, NamedTensors};

use super::encode::Values;
use super::operators::Operators;
use super::protobuf::Attribute;
use crate::config::{BlockKind, GrnAggregation, GrnConfig, GrnNormalization, ModelConfig};
use crate::network::model::{GRN_EPS, NORM_EPS};

/// Axes of `[N, C, H, W]`.
const CHANNELS: [i64; 1] = [1];
const SITES: [i64; 2] = [2, 3];
/// From `[N, C, H, W]` to `[N, H, W, C]` and back.
const CHANNELS_LAST: [i64; 4] = [0, 2, 3, 1];
const CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];

/// Writes a network down, part by part. The weights are those of `config`: names and shapes were
/// checked.
pub(super) struct Network<'a> {
    tensors: &'a NamedTensors,
    config: &'a ModelConfig,
    pub(super) operators: Operators<'a>,
}

impl<'a> Network<'a> {
    pub(super) fn new(tensors: &'a NamedTensors, config: &'a ModelConfig) -> Self {
        Self { tensors, config, operators: Operators::default() }
    }

    /// From `image [N, channels, height, width]` to the last stage's features `[N, C, H, W]`.
    /// `each_stage` sees every stage's features as they come, with its number.
    pub(super) fn encoder(
        &mut self,
        image: &str,
        mut each_stage: impl FnMut(&mut Self, usize, &str),
    ) -> String {
        let mut x = self.windows("stem.0", image);
        x = self.norm_of_channels("stem.1", &x);
        for (stage, &depth) in self.config.depths.iter().enumerate() {
            let name = format!("stages.{stage}");
            if stage > 0 {
                x = self.downsample(&format!("{name}.downsample"), &x);
            }
            for block in 0..depth {
                x = self.block(&format!("{name}.blocks.{block}"), self.config.widths[stage], &x);
            }
            each_stage(self, stage, &x);
        }
        x
    }

    /// The mean over sites, `[N, C, H, W]` to `[N, C]`.
    pub(super) fn pool(&mut self, output: &str, x: &str) -> String {
        let attributes = vec![Attribute::ints("axes", &SITES), Attribute::int("keepdims", 0)];
        self.operators.apply("ReduceMean", output, &[x], attributes)
    }

    /// Layer norm over the last axis, with the weights of `layer`.
    pub(super) fn norm(&mut self, output: &str, layer: &str, x: &str) -> String {
        let [weight, bias] = self.parameters(layer);
        let attributes = vec![Attribute::int("axis", -1), Attribute::float("epsilon", NORM_EPS)];
        self.operators.apply("LayerNormalization", output, &[x, &weight, &bias], attributes)
    }

    /// The linear layer of the head, `[N, C]` to `[N, classes]`.
    pub(super) fn classes(&mut self, output: &str, layer: &str, x: &str) -> String {
        let [weight, bias] = self.parameters(layer);
        let attributes = vec![Attribute::int("transB", 1)];
        self.operators.apply("Gemm", output, &[x, &weight, &bias], attributes)
    }

    fn downsample(&mut self, name: &str, x: &str) -> String {
        let x = self.norm_of_channels(&format!("{name}.0"), x);
        self.windows(&format!("{name}.1"), &x)
    }

    fn block(&mut self, name: &str, width: usize, x: &str) -> String {
        let y = self.depthwise(&format!("{name}.conv_dw"), width, x);
        let y = self.norm_of_channels(&format!("{name}.norm"), &y);
        let y = self.linear(&format!("{name}.mlp.fc1"), &y, None, None);
        let y = self.gelu(&format!("{name}.mlp.gelu"), &y);
        let (y, gamma, beta) = match self.config.block {
            BlockKind::V1 => (y, Some(self.tensor(&format!("{name}.gamma"))), None),
            BlockKind::V2 => {
                let grn = format!("{name}.mlp.grn");
                (self.grn(&grn, &y), None, Some(self.tensor(&format!("{grn}.bias"))))
            }
        };
        let y = self.linear(&format!("{name}.mlp.fc2"), &y, gamma, beta);
        self.operators.apply("Add", name, &[x, &y], vec![])
    }

    /// Layer norm over the channels of `[N, C, H, W]`.
    fn norm_of_channels(&mut self, name: &str, x: &str) -> String {
        let turn = |axes: &[i64]| vec![Attribute::ints("perm", axes)];
        let last = format!("{name}.channels_last");
        let x = self.operators.apply("Transpose", last, &[x], turn(&CHANNELS_LAST));
        let x = self.norm(&format!("{name}.normed"), name, &x);
        self.operators.apply("Transpose", name, &[&x], turn(&CHANNELS_FIRST))
    }

    /// A convolution whose stride equals its kernel.
    fn windows(&mut self, name: &str, x: &str) -> String {
        let side = self.tensor(&format!("{name}.weight")).shape[3] as i64;
        let inputs = self.parameters(name);
        self.convolution(name, x, inputs, Window { side, stride: side, padding: 0, group: 1 })
    }

    fn depthwise(&mut self, name: &str, channels: usize, x: &str) -> String {
        let inputs = self.parameters(name);
        let window = Window { side: 7, stride: 1, padding: 3, group: channels as i64 };
        self.convolution(name, x, inputs, window)
    }

    fn convolution(
        &mut self,
        name: &str,
        x: &str,
        [weight, bias]: [String; 2],
        Window { side, stride, padding, group }: Window,
    ) -> String {
        let attributes = vec![
            Attribute::int("group", group),
            Attribute::ints("kernel_shape", &[side; 2]),
            Attribute::ints("pads", &[padding; 4]),
            Attribute::ints("strides", &[stride; 2]),
        ];
        self.operators.apply("Conv", name, &[x, &weight, &bias], attributes)
    }

    /// `gamma · (W·(x + beta) + b)` at every site.
    fn linear(
        &mut self,
        name: &str,
        x: &str,
        gamma: Option<&'a HostTensor>,
        beta: Option<&'a HostTensor>,
    ) -> String {
        let weight = &self.tensor(&format!("{name}.weight")).data;
        let mut bias = self.tensor(&format!("{name}.bias")).data.clone();
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
        if let Some(beta) = beta {
            for (sum, row) in bias.iter_mut().zip(weight.chunks_exact(inputs)) {
                let products =
                    row.iter().zip(&beta.data).map(|(&w, &b)| f64::from(w) * f64::from(b));
                *sum = (f64::from(*sum) + products.sum::<f64>()) as f32;
            }
        }
        if let Some(gamma) = gamma {
            bias.iter_mut().zip(&gamma.data).for_each(|(sum, gamma)| *sum *= gamma);
        }
        let values = match gamma {
            None => Values::Floats(weight.into()),
            Some(gamma) => Values::Scaled { matrix: weight, factors: &gamma.data },
        };
        let weight = format!("{name}.weight");
        let weight = self.operators.constant(weight, &[outputs, inputs, 1, 1], values);
        let bias = self.operators.floats(format!("{name}.bias"), &[outputs], bias);
        let window = Window { side: 1, stride: 1, padding: 0, group: 1 };
        self.convolution(name, x, [weight, bias], window)
    }

    /// `x/2 · (1 + erf(x/√2))`, in the form that runtimes know and compute in one pass.
    fn gelu(&mut self, name: &str, x: &str) -> String {
        let operators = &mut self.operators;
        let root = operators.number("root_of_two", std::f32::consts::SQRT_2);
        let (one, half) = (operators.number("one", 1.0), operators.number("half", 0.5));
        let y = operators.apply("Div", format!("{name}.scaled"), &[x, root], vec![]);
        let y = operators.apply("Erf", format!("{name}.erf"), &[&y], vec![]);
        let y = operators.apply("Add", format!("{name}.shifted"), &[&y, one], vec![]);
        let y = operators.apply("Mul", format!("{name}.twice"), &[x, &y], vec![]);
        operators.apply("Mul", name, &[&y, half], vec![])
    }

    /// GRN without its beta: `x · (gamma · response + 1)`, or without the 1 where there is no skip.
    fn grn(&mut self, name: &str, x: &str) -> String {
        let GrnConfig { aggregation, normalization, skip } = self.config.grn;
        let gathered = self.gathered(&format!("{name}.gathered"), x, aggregation);
        let response = self.response(&format!("{name}.response"), &gathered, normalization);
        let gamma = format!("{name}.weight");
        let values = &self.tensor(&gamma).data;
        let operators = &mut self.operators;
        let gamma = operators.floats(gamma, &[values.len(), 1, 1], values);
        let mut factor =
            operators.apply("Mul", format!("{name}.scaled"), &[&response, &gamma], vec![]);
        if skip {
            let one = operators.number("one", 1.0);
            factor = operators.apply("Add", format!("{name}.factor"), &[&factor, one], vec![]);
        }
        operators.apply("Mul", name, &[x, &factor], vec![])
    }

    /// A number for each channel, `[N, 4C, H, W]` to `[N, 4C, 1, 1]`.
    fn gathered(&mut self, name: &str, x: &str, aggregation: GrnAggregation) -> String {
        let attributes = vec![Attribute::ints("axes", &SITES), Attribute::int("keepdims", 1)];
        let operators = &mut self.operators;
        match aggregation {
            GrnAggregation::L2 => operators.apply("ReduceL2", name, &[x], attributes),
            GrnAggregation::Average => operators.apply("ReduceMean", name, &[x], attributes),
            // OpenVINO 2026.4 computes something else for ReduceL1.
            GrnAggregation::L1 => {
                let x = operators.apply("Abs", format!("{name}.absolute"), &[x], vec![]);
                operators.sum(name, &x, "sites", &SITES)
            }
        }
    }

    /// How channels relate to each other, `[N, 4C, 1, 1]` to the same, or to `[N, 1, 1, 1]` where the
    /// response is that of all channels.
    fn response(&mut self, name: &str, x: &str, normalization: GrnNormalization) -> String {
        let total = format!("{name}.total");
        let (numerator, denominator) = match normalization {
            GrnNormalization::Mean => (x.to_owned(), self.mean_of_channels(&total, x)),
            GrnNormalization::Inverse => {
                let one = self.operators.number("one", 1.0).to_owned();
                (one, self.operators.sum(&total, x, "channels", &CHANNELS))
            }
            GrnNormalization::Sum => {
                (x.to_owned(), self.operators.sum(&total, x, "channels", &CHANNELS))
            }
            GrnNormalization::Standardize => {
                let mean = self.mean_of_channels(&format!("{name}.mean"), x);
                let centred =
                    self.operators.apply("Sub", format!("{name}.centred"), &[x, &mean], vec![]);
                let squares = [centred.as_str(); 2];
                let squares =
                    self.operators.apply("Mul", format!("{name}.squares"), &squares, vec![]);
                let variance = self.mean_of_channels(&format!("{name}.variance"), &squares);
                (centred, self.operators.apply("Sqrt", total, &[&variance], vec![]))
            }
        };
        let operators = &mut self.operators;
        let epsilon = operators.number("grn_epsilon", GRN_EPS);
        let denominator =
            operators.apply("Add", format!("{name}.divisor"), &[&denominator, epsilon], vec![]);
        operators.apply("Div", name, &[&numerator, &denominator], vec![])
    }

    fn mean_of_channels(&mut self, name: &str, x: &str) -> String {
        let attributes = vec![Attribute::ints("axes", &CHANNELS), Attribute::int("keepdims", 1)];
        self.operators.apply("ReduceMean", name, &[x], attributes)
    }

    fn tensor(&self, name: &str) -> &'a HostTensor {
        self.tensors.get(name).expect("names were checked against the network's")
    }

    /// A layer's weight and bias as constants, as they are.
    fn parameters(&mut self, layer: &str) -> [String; 2] {
        ["weight", "bias"].map(|part| {
            let name = format!("{layer}.{part}");
            let HostTensor { shape, data } = self.tensor(&name);
            self.operators.floats(name, shape, data)
        })
    }
}

/// What a convolution looks at.
struct Window {
    side: i64,
    stride: i64,
    padding: i64,
    group: i64,
}
