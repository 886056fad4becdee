//! The hand-written backward passes, one for all backends.
//!
//! Each keeps the inputs its gradient needs (they are reference counted, not copied) and calls the
//! backend's own `*_backward`, which recomputes whatever is cheap.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, TensorMetadata};
use fcmae_kernels::Sites;

use super::block::{BlockGradients, BlockPass, BlockSetting, BlockWeights};
use super::{ConvNextOps, plain};

/// Registers an operation of three differentiable inputs whose backward gives all three gradients.
macro_rules! ternary {
    ($name:ident, $state:ty, |$inputs:ident, $grad:ident, $extra:ident| $backward:expr) => {
        #[derive(Debug)]
        struct $name;

        impl<B: ConvNextOps> Backward<B, 3> for $name {
            type State = ([FloatTensor<B>; 2], $state);

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let $grad = grads.consume::<B>(&ops.node);
                let ($inputs, $extra) = ops.state;
                let (first, second, third) = $backward;
                for (node, grad) in ops.parents.into_iter().zip([first, second, third]) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }
    };
}

ternary!(Depthwise, Sites, |inputs, grad, sites| {
    let [x, weight] = inputs;
    B::depthwise_backward(x, weight, grad, sites)
});
ternary!(LayerNorm, f64, |inputs, grad, eps| {
    let [x, gamma] = inputs;
    B::layer_norm_sites_backward(x, gamma, grad, eps)
});
ternary!(GeluGrn, f64, |inputs, grad, eps| {
    let [x, gamma] = inputs;
    B::gelu_grn_backward(x, gamma, grad, eps)
});
ternary!(Linear, (), |inputs, grad, _none| {
    let [x, weight] = inputs;
    B::linear_sites_backward(x, weight, grad)
});

/// Registers an operation of one differentiable input.
macro_rules! unary {
    ($name:ident, $state:ty, |$state_name:ident, $grad:ident| $backward:expr) => {
        #[derive(Debug)]
        struct $name;

        impl<B: ConvNextOps> Backward<B, 1> for $name {
            type State = $state;

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let $grad = grads.consume::<B>(&ops.node);
                let $state_name = ops.state;
                let [node] = ops.parents;
                if let Some(node) = node {
                    grads.register::<B>(node.id, $backward);
                }
            }
        }
    };
}

unary!(Gelu, FloatTensor<B>, |x, grad| B::gelu_sites_backward(x, grad));
unary!(SpaceToDepth, usize, |k, grad| B::depth_to_space(grad, k));
unary!(DepthToSpace, usize, |k, grad| B::space_to_depth(grad, k));

unary!(WindowWeight, usize, |k, grad| B::window_weight_backward(grad, k));
unary!(SelectRows, (Vec<u32>, usize), |state, grad| {
    let (rows, count) = state;
    B::select_rows_backward(grad, rows, count)
});
unary!(MeanSquaredDifference, [FloatTensor<B>; 2], |operands, grad| {
    let [a, b] = operands;
    B::mean_squared_difference_backward(a, b, grad)
});

#[derive(Debug)]
struct Residual;

impl<B: Backend> Backward<B, 2> for Residual {
    type State = Option<Vec<f32>>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let [shortcut, branch] = ops.parents;
        if let Some(node) = branch {
            grads.register::<B>(node.id, plain::scale_images::<B>(grad.clone(), &ops.state));
        }
        if let Some(node) = shortcut {
            grads.register::<B>(node.id, grad);
        }
    }
}

/// What the block's backward pass needs.
#[derive(Clone, Debug)]
struct BlockState<B: Backend> {
    x: FloatTensor<B>,
    weights: BlockWeights<B>,
    pass: BlockPass<B>,
    setting: BlockSetting,
}

#[derive(Debug)]
struct Block;

impl<B: ConvNextOps> Backward<B, 11> for Block {
    type State = BlockState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 11>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let BlockState { x, weights, pass, setting } = ops.state;
        let BlockGradients { x, weights } = B::block_backward(x, pass, weights, grad, setting);
        let found = std::iter::once(x).chain(weights.into_array());
        for (node, grad) in ops.parents.into_iter().zip(found) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

/// Runs the forward on the inner backend and keeps `$state` where a gradient is wanted.
macro_rules! tracked {
    ($op:expr, [$($node:expr),+], $state:expr, $forward:expr) => {
        match $op.prepare::<S>([$($node.node()),+]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = $state;
                prep.finish(state, $forward)
            }
            OpsKind::UnTracked(prep) => prep.finish($forward),
        }
    };
}

impl<B: ConvNextOps, S: CheckpointStrategy> ConvNextOps for Autodiff<B, S> {
    fn depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sites: Sites,
    ) -> FloatTensor<Self> {
        tracked!(
            Depthwise,
            [x, weight, bias],
            ([x.primitive().clone(), weight.primitive().clone()], sites.clone()),
            B::depthwise(x.into_primitive(), weight.into_primitive(), bias.into_primitive(), sites)
        )
    }

    fn layer_norm_sites(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        tracked!(
            LayerNorm,
            [x, gamma, beta],
            ([x.primitive().clone(), gamma.primitive().clone()], eps),
            B::layer_norm_sites(
                x.into_primitive(),
                gamma.into_primitive(),
                beta.into_primitive(),
                eps
            )
        )
    }

    fn gelu_sites(x: FloatTensor<Self>) -> FloatTensor<Self> {
        tracked!(Gelu, [x], x.primitive().clone(), B::gelu_sites(x.into_primitive()))
    }

    fn gelu_grn(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        tracked!(
            GeluGrn,
            [x, gamma, beta],
            ([x.primitive().clone(), gamma.primitive().clone()], eps),
            B::gelu_grn(x.into_primitive(), gamma.into_primitive(), beta.into_primitive(), eps)
        )
    }

    fn linear_sites(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        tracked!(
            Linear,
            [x, weight, bias],
            ([x.primitive().clone(), weight.primitive().clone()], ()),
            B::linear_sites(x.into_primitive(), weight.into_primitive(), bias.into_primitive())
        )
    }

    fn residual(
        shortcut: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        scale: Option<Vec<f32>>,
    ) -> FloatTensor<Self> {
        tracked!(
            Residual,
            [shortcut, branch],
            scale.clone(),
            B::residual(shortcut.into_primitive(), branch.into_primitive(), scale)
        )
    }

    fn block(
        x: FloatTensor<Self>,
        weights: BlockWeights<Self>,
        setting: BlockSetting,
    ) -> FloatTensor<Self> {
        let weights = weights.into_array();
        let [a, b, c, d, e, f, g, h, i, j] = weights.each_ref().map(|weight| weight.node());
        let nodes = [x.node(), a, b, c, d, e, f, g, h, i, j];
        let x = x.into_primitive();
        let weights = BlockWeights::from_array(weights.map(|weight| weight.into_primitive()));
        match Block.prepare::<S>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let pass = B::block_keeping(x.clone(), weights.clone(), setting.clone());
                let out = pass.out.clone();
                prep.finish(BlockState { x, weights, pass, setting }, out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::block(x, weights, setting)),
        }
    }

    fn space_to_depth(x: FloatTensor<Self>, k: usize) -> FloatTensor<Self> {
        tracked!(SpaceToDepth, [x], k, B::space_to_depth(x.into_primitive(), k))
    }

    fn depth_to_space(x: FloatTensor<Self>, k: usize) -> FloatTensor<Self> {
        tracked!(DepthToSpace, [x], k, B::depth_to_space(x.into_primitive(), k))
    }

    fn window_weight(weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let k = weight.primitive().shape()[3];
        tracked!(WindowWeight, [weight], k, B::window_weight(weight.into_primitive()))
    }

    fn select_rows(x: FloatTensor<Self>, rows: Vec<u32>) -> FloatTensor<Self> {
        let count = x.primitive().shape()[0];
        tracked!(SelectRows, [x], (rows.clone(), count), B::select_rows(x.into_primitive(), rows))
    }

    fn mean_squared_difference(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let b = b.into_primitive();
        tracked!(
            MeanSquaredDifference,
            [a],
            [a.primitive().clone(), b.clone()],
            B::mean_squared_difference(a.into_primitive(), b)
        )
    }
}
