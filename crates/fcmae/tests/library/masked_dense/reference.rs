//! The masked-dense form, in plain tensor operations, images as `[N, H, W, C]`.

use std::collections::BTreeMap;

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use fcmae::config::{BlockKind, ModelConfig};
use fcmae::mask::Mask;
use fcmae::model::Encoder;
use fcmae::parameters::{self, host};

const EPS: f64 = 1e-6;

/// An encoder's parameters, by name, and the network they are of.
pub(super) struct MaskedDense {
    parameters: BTreeMap<String, Tensor<1>>,
    config: ModelConfig,
}

impl MaskedDense {
    pub(super) fn new(encoder: &Encoder, config: &ModelConfig) -> Self {
        let mut parameters = BTreeMap::new();
        parameters::visit(encoder, |name, _, value| {
            parameters.insert(name.to_owned(), value.autodiff().require_grad());
        });
        Self { parameters, config: config.clone() }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.parameters.keys()
    }

    pub(super) fn gradient(&self, name: &str, grads: &Gradients) -> Vec<f32> {
        host(self.parameters[name].grad(grads).unwrap())
    }

    /// The features after each of the four stages; what stands at masked sites means nothing.
    pub(super) fn forward(&self, images: Tensor<4>, mask: &Mask) -> Vec<Tensor<4>> {
        let ModelConfig { depths, stem_stride, .. } = self.config;
        let mut x = self.norm("stem.1", self.convolution("stem.0", images, stem_stride, 0, 1));
        let mut stages = Vec::new();
        for (stage, &depth) in depths.iter().enumerate() {
            if stage > 0 {
                let name = format!("stages.{stage}.downsample");
                x = self.norm(&format!("{name}.0"), x);
                x = self.convolution(&format!("{name}.1"), x, 2, 0, 1);
            }
            let visible = visibility(mask, 8 >> stage, &x.device());
            for block in 0..depth {
                x = self.block(&format!("stages.{stage}.blocks.{block}"), x, &visible);
            }
            stages.push(x.clone());
        }
        stages
    }

    fn block(&self, name: &str, x: Tensor<4>, visible: &Tensor<4>) -> Tensor<4> {
        let channels = x.dims()[3];
        let seen = x.clone() * visible.clone();
        let y = self.convolution(&format!("{name}.conv_dw"), seen, 1, 3, channels);
        let y = self.norm(&format!("{name}.norm"), y * visible.clone());
        let mut h = gelu(self.linear(&format!("{name}.mlp.fc1"), y));
        if self.config.block == BlockKind::V2 {
            let gamma = self.vector(&format!("{name}.mlp.grn.weight"));
            let beta = self.vector(&format!("{name}.mlp.grn.bias"));
            let seen = h.clone() * visible.clone();
            let norm = (seen.clone() * seen).sum_dim(1).sum_dim(2).sqrt();
            let response = norm.clone() / (norm.mean_dim(3) + EPS);
            h = gamma * (h.clone() * response) + beta + h;
        }
        let mut y = self.linear(&format!("{name}.mlp.fc2"), h);
        if self.config.block == BlockKind::V1 {
            y = y * self.vector(&format!("{name}.gamma"));
        }
        x + y
    }

    /// A vector that broadcasts over images and sites.
    fn vector(&self, name: &str) -> Tensor<4> {
        let vector = self.parameters[name].clone();
        let channels = vector.dims()[0];
        vector.reshape([1, 1, 1, channels])
    }

    fn convolution(
        &self,
        name: &str,
        x: Tensor<4>,
        stride: usize,
        padding: usize,
        groups: usize,
    ) -> Tensor<4> {
        let inputs = x.dims()[3] / groups;
        let bias = self.parameters[&format!("{name}.bias")].clone();
        let weight = self.parameters[&format!("{name}.weight")].clone();
        let [values] = weight.dims();
        let outputs = bias.dims()[0];
        let k = (values / outputs / inputs).isqrt();
        let weight = weight.reshape([outputs, inputs, k, k]);
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], groups);
        conv2d(x.permute([0, 3, 1, 2]), weight, Some(bias), options).permute([0, 2, 3, 1])
    }

    fn norm(&self, name: &str, x: Tensor<4>) -> Tensor<4> {
        let centred = x.clone() - x.mean_dim(3);
        let variance = (centred.clone() * centred.clone()).mean_dim(3);
        let weight = self.vector(&format!("{name}.weight"));
        centred / (variance + EPS).sqrt() * weight + self.vector(&format!("{name}.bias"))
    }

    fn linear(&self, name: &str, x: Tensor<4>) -> Tensor<4> {
        let [images, height, width, inputs] = x.dims();
        let weight = self.parameters[&format!("{name}.weight")].clone();
        let outputs = weight.dims()[0] / inputs;
        let weight = weight.reshape([outputs, inputs]).transpose();
        let y = x.reshape([images * height * width, inputs]).matmul(weight);
        y.reshape([images, height, width, outputs]) + self.vector(&format!("{name}.bias"))
    }
}

fn gelu(x: Tensor<4>) -> Tensor<4> {
    let erf = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf();
    x * (erf + 1.0) * 0.5
}

/// 1 at visible sites, 0 at masked ones, where a patch is `side × side` sites: `[N, H, W, 1]`.
fn visibility(mask: &Mask, side: usize, device: &Device) -> Tensor<4> {
    let [rows, cols] = mask.grid();
    let mut map = vec![0.0f32; mask.images() * rows * cols];
    for row in mask.visible_rows() {
        map[row as usize] = 1.0;
    }
    let at = |image: usize, y: usize, x: usize| map[(image * rows + y / side) * cols + x / side];
    let (height, width) = (rows * side, cols * side);
    let values = (0..mask.images() * height * width).map(|i| {
        let (image, site) = (i / (height * width), i % (height * width));
        at(image, site / width, site % width)
    });
    let shape = [mask.images(), height, width, 1];
    Tensor::from_data(TensorData::new(values.collect::<Vec<_>>(), shape), device)
}
