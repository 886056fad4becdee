//! The whole V2 block as one operation, so that a backend can take a few images through all of it
//! while they are in its caches.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};
use fcmae_kernels::Sites;

use super::{ConvNextOps, plain};

/// A block's weights, C its channels.
#[derive(Clone, Debug, ExtensionType)]
pub struct BlockWeights<B: Backend> {
    /// `[C, 1, 7, 7]`
    pub depthwise: FloatTensor<B>,
    /// `[C]`
    pub depthwise_bias: FloatTensor<B>,
    /// `[C]`
    pub norm_gamma: FloatTensor<B>,
    /// `[C]`
    pub norm_beta: FloatTensor<B>,
    /// The first linear layer, `[4C, C]`.
    pub expand: FloatTensor<B>,
    /// `[4C]`
    pub expand_bias: FloatTensor<B>,
    /// `[4C]`
    pub grn_gamma: FloatTensor<B>,
    /// `[4C]`
    pub grn_beta: FloatTensor<B>,
    /// The second linear layer, `[C, 4C]`.
    pub contract: FloatTensor<B>,
    /// `[C]`
    pub contract_bias: FloatTensor<B>,
}

impl<B: Backend> BlockWeights<B> {
    /// The same for each of the ten, in order.
    pub(super) fn into_array(self) -> [FloatTensor<B>; 10] {
        [
            self.depthwise,
            self.depthwise_bias,
            self.norm_gamma,
            self.norm_beta,
            self.expand,
            self.expand_bias,
            self.grn_gamma,
            self.grn_beta,
            self.contract,
            self.contract_bias,
        ]
    }

    /// From the ten in the order of [`into_array`](Self::into_array).
    pub(super) fn from_array(weights: [FloatTensor<B>; 10]) -> Self {
        let [
            depthwise,
            depthwise_bias,
            norm_gamma,
            norm_beta,
            expand,
            expand_bias,
            grn_gamma,
            grn_beta,
            contract,
            contract_bias,
        ] = weights;
        Self {
            depthwise,
            depthwise_bias,
            norm_gamma,
            norm_beta,
            expand,
            expand_bias,
            grn_gamma,
            grn_beta,
            contract,
            contract_bias,
        }
    }
}

/// What a block is computed on.
#[derive(Clone, Debug)]
pub struct BlockSetting {
    /// Where the sites of each image lie.
    pub sites: Sites,
    /// The factor of each image's branch (drop path); 1 where there is none.
    pub scale: Option<Vec<f32>>,
    /// Added to the variance in layer norm.
    pub norm_eps: f64,
    /// Added to the mean norm in GRN.
    pub grn_eps: f64,
    /// Where a backend keeps the weights as it needs them.
    pub prepared: PreparedWeights,
}

/// The forward pass's output and what the backward pass needs of it, in the backend's own order.
#[derive(Clone, Debug, ExtensionType)]
pub struct BlockPass<B: Backend> {
    /// `[N, S, C]`
    pub out: FloatTensor<B>,
    /// The depthwise convolution's result, `[N, S, C]`.
    pub convolved: FloatTensor<B>,
    /// The 4C features before GELU.
    pub expanded: FloatTensor<B>,
    /// The sums of squares over sites after it, where they are kept.
    pub squares: FloatTensor<B>,
}

/// The gradients by input and weights.
#[derive(Clone, Debug, ExtensionType)]
pub struct BlockGradients<B: Backend> {
    /// By the input.
    pub x: FloatTensor<B>,
    /// By the weights, each in the weight's shape.
    #[extension_type]
    pub weights: BlockWeights<B>,
}

/// A place for a backend's own layout of a block's weights between calls that don't train. Copies
/// of a module share it: who uses it asks whether what lies there belongs to the weights at hand.
#[derive(Clone, Default)]
pub struct PreparedWeights(Arc<Mutex<Option<Arc<dyn Any + Send + Sync>>>>);

impl PreparedWeights {
    /// What was put here last, if it is a T that `fits`; otherwise what `prepare` makes.
    pub(super) fn get_or<T: Any + Send + Sync>(
        &self,
        fits: impl FnOnce(&T) -> bool,
        prepare: impl FnOnce() -> T,
    ) -> Arc<T> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = place.clone().and_then(|found| found.downcast::<T>().ok());
        if let Some(found) = found.filter(|found| fits(found)) {
            return found;
        }
        let made = Arc::new(prepare());
        *place = Some(made.clone());
        made
    }
}

impl fmt::Debug for PreparedWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedWeights")
    }
}

/// The block, one operation after the other.
pub(super) fn forward<B: ConvNextOps>(
    x: FloatTensor<B>,
    weights: BlockWeights<B>,
    setting: BlockSetting,
) -> FloatTensor<B> {
    let BlockSetting { sites, scale, norm_eps, grn_eps, .. } = setting;
    let w = weights;
    let convolved = B::depthwise(x.clone(), w.depthwise, w.depthwise_bias, sites);
    let normal = B::layer_norm_sites(convolved, w.norm_gamma, w.norm_beta, norm_eps);
    let expanded = B::linear_sites(normal, w.expand, w.expand_bias);
    let responded = B::gelu_grn(expanded, w.grn_gamma, w.grn_beta, grn_eps);
    B::residual(x, B::linear_sites(responded, w.contract, w.contract_bias), scale)
}

/// As [`forward`], keeping the convolution's result and the 4C features before GELU.
pub(super) fn forward_keeping<B: ConvNextOps>(
    x: FloatTensor<B>,
    weights: BlockWeights<B>,
    setting: BlockSetting,
) -> BlockPass<B> {
    let BlockSetting { sites, scale, norm_eps, grn_eps, .. } = setting;
    let w = weights;
    let convolved = B::depthwise(x.clone(), w.depthwise, w.depthwise_bias, sites);
    let normal = B::layer_norm_sites(convolved.clone(), w.norm_gamma, w.norm_beta, norm_eps);
    let expanded = B::linear_sites(normal, w.expand, w.expand_bias);
    let responded = B::gelu_grn(expanded.clone(), w.grn_gamma, w.grn_beta, grn_eps);
    let branch = B::linear_sites(responded, w.contract, w.contract_bias);
    BlockPass { out: B::residual(x, branch, scale), convolved, squares: expanded.clone(), expanded }
}

/// The gradients, from what [`forward_keeping`] kept.
pub(super) fn backward<B: ConvNextOps>(
    x: FloatTensor<B>,
    pass: BlockPass<B>,
    weights: BlockWeights<B>,
    grad: FloatTensor<B>,
    setting: BlockSetting,
) -> BlockGradients<B> {
    let BlockSetting { sites, scale, norm_eps, grn_eps, .. } = setting;
    let (w, BlockPass { convolved, expanded, .. }) = (weights, pass);
    let branch = plain::scale_images::<B>(grad.clone(), &scale);
    let normal =
        B::layer_norm_sites(convolved.clone(), w.norm_gamma.clone(), w.norm_beta.clone(), norm_eps);
    let responded = B::gelu_grn(expanded.clone(), w.grn_gamma.clone(), w.grn_beta.clone(), grn_eps);
    let (responded, contract, contract_bias) =
        B::linear_sites_backward(responded, w.contract, branch);
    let (expanded, grn_gamma, grn_beta) =
        B::gelu_grn_backward(expanded, w.grn_gamma, responded, grn_eps);
    let (normal, expand, expand_bias) = B::linear_sites_backward(normal, w.expand, expanded);
    let (convolved, norm_gamma, norm_beta) =
        B::layer_norm_sites_backward(convolved, w.norm_gamma, normal, norm_eps);
    let (x, depthwise, depthwise_bias) = B::depthwise_backward(x, w.depthwise, convolved, sites);
    BlockGradients {
        x: B::float_add(x, grad),
        weights: BlockWeights {
            depthwise,
            depthwise_bias,
            norm_gamma,
            norm_beta,
            expand,
            expand_bias,
            grn_gamma,
            grn_beta,
            contract,
            contract_bias,
        },
    }
}
