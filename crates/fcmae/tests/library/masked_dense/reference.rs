//! The masked-dense form in double precision, images as `[N, H, W, C]`.

use std::collections::BTreeMap;

use fcmae::config::{BlockKind, ModelConfig};
use fcmae::engine::parameters::Arena;
use fcmae::network::mask::Mask;
use fcmae_oracle::network::{Grn, gelu, grn, layer_norm, linear};
use fcmae_oracle::{Gradients, Var};

const EPS: f64 = 1e-6;

/// An encoder's parameters, by name, and the network they are of.
pub(super) struct MaskedDense {
    parameters: BTreeMap<String, Var>,
    config: ModelConfig,
}

impl MaskedDense {
    pub(super) fn new(weights: &Arena, config: &ModelConfig) -> Self {
        let parameters = weights.layout().parameters().map(|(name, parameter)| {
            let values = weights.get(parameter).iter().copied();
            (name.to_owned(), Var::new(&parameter.shape(), values))
        });
        Self { parameters: parameters.collect(), config: config.clone() }
    }

    pub(super) fn gradient(&self, name: &str, gradients: &Gradients) -> Vec<f64> {
        gradients.of(&self.parameters[name]).values
    }

    /// The features after each of the four stages; what stands at masked sites means nothing.
    pub(super) fn forward(&self, images: &Var, mask: &Mask) -> Vec<Var> {
        let ModelConfig { depths, stem_stride, .. } = self.config;
        let mut x = self.norm("stem.1", &self.convolution("stem.0", images, stem_stride, 0));
        let mut stages = Vec::new();
        for (stage, &depth) in depths.iter().enumerate() {
            if stage > 0 {
                let name = format!("stages.{stage}.downsample");
                x = self.norm(&format!("{name}.0"), &x);
                x = self.convolution(&format!("{name}.1"), &x, 2, 0);
            }
            let visible = visibility(mask, 8 >> stage);
            for block in 0..depth {
                x = self.block(&format!("stages.{stage}.blocks.{block}"), &x, &visible);
            }
            stages.push(x.clone());
        }
        stages
    }

    fn block(&self, name: &str, x: &Var, visible: &Var) -> Var {
        let y = self.convolution(&format!("{name}.conv_dw"), &(x * visible), 1, 3);
        let y = self.norm(&format!("{name}.norm"), &(y * visible));
        let mut h = gelu(&self.linear(&format!("{name}.mlp.fc1"), &y));
        if self.config.block == BlockKind::V2 {
            let gamma = &self.parameters[&format!("{name}.mlp.grn.weight")];
            let beta = &self.parameters[&format!("{name}.mlp.grn.bias")];
            // Masked sites are zeros in the norm over sites.
            let [images, height, width, channels] = h.shape().try_into().unwrap();
            let seen = (h * visible).reshape(&[images, height * width, channels]);
            h = grn(&seen, gamma, beta, Grn::PUBLISHED, EPS)
                .reshape(&[images, height, width, channels]);
        }
        let mut y = self.linear(&format!("{name}.mlp.fc2"), &h);
        if self.config.block == BlockKind::V1 {
            y = y * &self.parameters[&format!("{name}.gamma")];
        }
        x + y
    }

    /// Weight and bias of a layer.
    fn layer(&self, name: &str) -> [&Var; 2] {
        ["weight", "bias"].map(|kind| &self.parameters[&format!("{name}.{kind}")])
    }

    fn convolution(&self, name: &str, x: &Var, stride: usize, padding: usize) -> Var {
        let [weight, bias] = self.layer(name);
        let y = x.permute(&[0, 3, 1, 2]).conv2d(weight, stride, padding);
        y.permute(&[0, 2, 3, 1]) + bias
    }

    fn norm(&self, name: &str, x: &Var) -> Var {
        let [gamma, beta] = self.layer(name);
        layer_norm(x, gamma, beta, EPS)
    }

    fn linear(&self, name: &str, x: &Var) -> Var {
        let [weight, bias] = self.layer(name);
        linear(x, weight, bias)
    }
}

/// 1 at visible sites, 0 at masked ones, where a patch is `side × side` sites: `[N, H, W, 1]`.
fn visibility(mask: &Mask, side: usize) -> Var {
    let [rows, cols] = mask.grid();
    let mut map = vec![0.0; mask.images() * rows * cols];
    for row in mask.visible_rows() {
        map[row as usize] = 1.0;
    }
    let at = |image: usize, y: usize, x: usize| map[(image * rows + y / side) * cols + x / side];
    let (height, width) = (rows * side, cols * side);
    let values = (0..mask.images() * height * width).map(|i| {
        let (image, site) = (i / (height * width), i % (height * width));
        at(image, site / width, site % width)
    });
    Var::new(&[mask.images(), height, width, 1], values)
}
