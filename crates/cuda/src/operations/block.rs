//! The whole published V2 block, `x + scale·contract(grn(gelu(expand(norm(depthwise(x))))))`.

use fcmae_kernels::block::{Kept, PerWeight};

use super::activation::Grn;
use super::{depthwise, layer_norm, linear, residual};
use crate::work::{Element, Record, Values};

/// What a block is computed on.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Sites, images and channels.
    pub convolution: depthwise::Setting<'a>,
    /// Its weights: those of the linear layers in the features' type, all others float32.
    pub weights: &'a PerWeight<Values>,
    /// The factor of each image's branch `[N]`, 1 where there is none.
    pub scale: Option<&'a Values>,
    /// Added to the variance in layer norm.
    pub norm_eps: f32,
    /// Added to the mean norm in GRN.
    pub grn_eps: f32,
}

impl Setting<'_> {
    fn grn(&self) -> Grn {
        Grn {
            gamma: self.weights.grn_gamma.clone(),
            beta: self.weights.grn_beta.clone(),
            images: self.convolution.images,
            eps: self.grn_eps,
        }
    }

    /// Room for what is kept, where nobody keeps it.
    pub fn unkept(&self, record: &mut dyn Record, x: &Values) -> Kept<Values> {
        let (element, channels) = (x.element(), self.convolution.channels);
        Kept {
            convolved: record.scratch(x.len(), element),
            expanded: record.scratch(4 * x.len(), element),
            squares: record.scratch(self.convolution.images * 4 * channels, Element::F32),
        }
    }

    /// `x [N, S, C]` to `out`.
    pub fn forward(&self, record: &mut dyn Record, x: &Values, kept: &Kept<Values>, out: &Values) {
        let (channels, element) = (self.convolution.channels, x.element());
        let Kept { convolved, expanded, squares } = kept;
        let weights = self.weights;
        let of = [&weights.depthwise, &weights.depthwise_bias];
        self.convolution.forward(record, x, of, convolved);
        let narrow = record.scratch(x.len(), element);
        let of = [&weights.norm_gamma, &weights.norm_beta];
        layer_norm::forward(record, convolved, of, self.norm_eps, &narrow);
        let (weight, bias) = (&weights.expand, &weights.expand_bias);
        linear::forward(record, &narrow, weight, bias, channels, expanded);
        let hidden = record.scratch(expanded.len(), element);
        self.grn().forward(record, expanded, squares, &hidden);
        // The normed features are needed no more: the branch takes their room.
        let (weight, bias) = (&weights.contract, &weights.contract_bias);
        linear::forward(record, &hidden, weight, bias, 4 * channels, &narrow);
        residual::forward(record, [x, &narrow], self.scale, self.convolution.images, out);
    }

    /// The gradients, from that by the result. Those by weights are added to what is there where `adds` is set.
    pub fn backward(
        &self,
        record: &mut dyn Record,
        [x, gradient]: [&Values; 2],
        kept: &Kept<Values>,
        by_x: &Values,
        by: &PerWeight<Values>,
        adds: bool,
    ) {
        let (channels, element) = (self.convolution.channels, x.element());
        let Kept { convolved, expanded, squares } = kept;
        let weights = self.weights;
        let [narrow, wide] =
            [x.len(), expanded.len()].map(|values| record.scratch(values, element));
        let by_branch = match self.scale {
            None => gradient.clone(),
            Some(scale) => {
                let by_branch = record.scratch(x.len(), element);
                residual::backward(record, gradient, scale, &by_branch);
                by_branch
            }
        };
        let grn = self.grn();
        grn.again(record, expanded, squares, &wide);
        let of = [&by.contract, &by.contract_bias];
        linear::backward_weight(record, [&wide, &by_branch], of, adds);
        linear::backward_input(record, &by_branch, &weights.contract, channels, &wide);
        let of = [&by.grn_gamma, &by.grn_beta];
        grn.backward(record, [expanded, squares, &wide], &wide, of, adds);
        let of = [&weights.norm_gamma, &weights.norm_beta];
        layer_norm::forward(record, convolved, of, self.norm_eps, &narrow);
        linear::backward_weight(record, [&narrow, &wide], [&by.expand, &by.expand_bias], adds);
        linear::backward_input(record, &wide, &weights.expand, 4 * channels, &narrow);
        let by_convolved = record.scratch(x.len(), element);
        let operands = [convolved, &weights.norm_gamma, &narrow];
        let of = [&by.norm_gamma, &by.norm_beta];
        layer_norm::backward(record, operands, self.norm_eps, &by_convolved, of, adds);
        let of = [&by.depthwise, &by.depthwise_bias];
        self.convolution.backward_weight(record, [x, &by_convolved], of, adds);
        let operands = [&by_convolved, &weights.depthwise];
        self.convolution.backward_input(record, operands, Some(gradient), by_x);
    }
}
