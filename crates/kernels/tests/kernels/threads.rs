use fcmae_kernels::{
    Sites, adamw, by_a_worker, cross_entropy, depthwise, gelu, grn, layer_norm, linear, pool,
    residual, rows,
};

use crate::compare::*;
use crate::depthwise::{Case, random_patches};
use crate::grn_variants::variants;

/// What kernels wrote, as bits.
#[derive(Default, PartialEq)]
struct Bits(Vec<u32>);

impl Bits {
    /// Adds what `kernel` makes of `len` values that are no numbers.
    fn of(&mut self, len: usize, kernel: impl Fn(&mut [f32])) {
        let mut out = vec![f32::NAN; len];
        kernel(&mut out);
        self.0.extend(out.into_iter().map(f32::to_bits));
    }
}

/// Everything the kernels write for some features.
fn everything(case: &Case) -> Bits {
    let mut bits = Bits::default();
    of_layers(case, &mut bits);
    of_rows_and_losses(case, &mut bits);
    of_grn_variants(case, &mut bits);
    of_updates(case, &mut bits);
    assert!(!bits.0.contains(&f32::NAN.to_bits()), "all is written");
    bits
}

fn of_layers(case: &Case, bits: &mut Bits) {
    let Case { sites, images, channels, x, grad, weight, bias } = case;
    let (images, channels, len) = (*images, *channels, x.len());
    bits.of(len, |out| {
        depthwise::forward(x, weight, Some(bias), sites, images, channels, out).unwrap();
    });
    bits.of(len, |out| {
        depthwise::backward_input(grad, weight, sites, images, channels, out).unwrap();
    });
    bits.of(weight.len() + channels, |out| {
        let (dw, db) = out.split_at_mut(weight.len());
        depthwise::backward_weight(x, grad, sites, images, channels, dw, Some(db)).unwrap();
    });
    bits.of(len, |out| layer_norm::forward(x, bias, bias, 1e-6, out).unwrap());
    bits.of(len + 2 * channels, |out| {
        let (dx, rest) = out.split_at_mut(len);
        let (gamma, beta) = rest.split_at_mut(channels);
        let gradients = fcmae_kernels::Gradients { x: dx, gamma, beta };
        layer_norm::backward(x, bias, grad, 1e-6, gradients).unwrap();
    });
    bits.of(len, |out| gelu::forward(x, out).unwrap());
    bits.of(len, |out| gelu::backward(x, grad, out).unwrap());
    bits.of(len, |out| grn::gelu_grn(x, bias, bias, images, 1e-6, out).unwrap());
    bits.of(len + 2 * channels, |out| {
        let (dx, rest) = out.split_at_mut(len);
        let (gamma, beta) = rest.split_at_mut(channels);
        let gradients = fcmae_kernels::Gradients { x: dx, gamma, beta };
        grn::gelu_grn_backward(x, bias, grad, images, 1e-6, gradients).unwrap();
    });
    // 49 outputs.
    let rows = len / channels;
    bits.of(rows * 49, |out| linear::forward(x, weight, None, channels, out).unwrap());
    bits.of(rows * 49, |out| linear::backward_input(x, weight, 49, out).unwrap());
    bits.of(channels * channels + channels, |out| {
        let (dw, db) = out.split_at_mut(channels * channels);
        linear::backward_weight(x, grad, channels, dw, Some(db)).unwrap();
    });
    bits.of(len, |out| residual::forward(x, grad, &vec![0.5; images], out).unwrap());
}

fn of_rows_and_losses(case: &Case, bits: &mut Bits) {
    let Case { images, channels, x, grad, bias, .. } = case;
    let (images, channels, len) = (*images, *channels, x.len());
    let rows = len / channels;
    // Every third row is the filler.
    let chosen: Vec<u32> =
        (0..rows).map(|row| if row % 3 == 0 { rows } else { row } as u32).collect();
    bits.of(len, |out| rows::select(x, channels, &chosen, Some(bias), out).unwrap());
    bits.of(len + channels, |out| {
        let (out, filler) = out.split_at_mut(len);
        rows::select_backward(grad, channels, &chosen, out, Some(filler)).unwrap();
    });
    bits.of(len, |out| rows::scale(x, channels, &grad[..rows], out).unwrap());
    bits.of(len + rows, |out| {
        let (dx, dscale) = out.split_at_mut(len);
        rows::scale_backward(x, channels, &grad[..rows], grad, dx, dscale).unwrap();
    });
    bits.of(images * channels, |out| pool::forward(x, images, channels, out).unwrap());
    bits.of(len, |out| {
        pool::backward(&grad[..images * channels], images, channels, out).unwrap();
    });
    bits.of(len, |out| cross_entropy::log_softmax(x, channels, out).unwrap());
    bits.of(len + 1, |out| {
        let (loss, out) = out.split_at_mut(1);
        loss[0] = cross_entropy::cross_entropy(x, grad, channels, 2.0, Some(out)).unwrap();
    });
}

fn of_grn_variants(case: &Case, bits: &mut Bits) {
    let Case { images, channels, x, grad, bias, .. } = case;
    let (images, channels, len) = (*images, *channels, x.len());
    for kind in variants() {
        bits.of(len, |out| grn::variant(x, bias, bias, images, &kind, 1e-6, out).unwrap());
        bits.of(len + 2 * channels, |out| {
            let (dx, rest) = out.split_at_mut(len);
            let (gamma, beta) = rest.split_at_mut(channels);
            let gradients = fcmae_kernels::Gradients { x: dx, gamma, beta };
            grn::variant_backward(x, bias, grad, images, &kind, 1e-6, gradients).unwrap();
        });
    }
}

fn of_updates(Case { x, grad, .. }: &Case, bits: &mut Bits) {
    let len = x.len();
    bits.of(4 * len, |out| {
        out.fill(0.25);
        let (param, rest) = out.split_at_mut(len);
        let (first, rest) = rest.split_at_mut(len);
        let (second, average) = rest.split_at_mut(len);
        let settings = adamw::AdamW {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.05,
            step: 3,
            grad_scale: 0.5,
            average_decay: 0.9,
        };
        let state = adamw::State { param, first, second, average: Some(average) };
        adamw::adamw(state, grad, &settings).unwrap();
    });
    bits.of(len, |out| {
        out.copy_from_slice(x);
        adamw::average(out, grad, 0.9).unwrap();
        adamw::accumulate(out, grad).unwrap();
    });
    let squares = adamw::sum_of_squares(x).to_bits();
    bits.0.extend([squares as u32, (squares >> 32) as u32]);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let rng = &mut generator(51);
    let cases = [
        Case::new(rng, Sites::grid(33, 29).unwrap(), 1, 40),
        Case::new(rng, Sites::grid(14, 14).unwrap(), 3, 37),
        {
            let sites = random_patches(rng, (5, 6, 8), 12, 2);
            Case::new(rng, sites, 2, 24)
        },
        {
            let sites = random_patches(rng, (7, 7, 2), 19, 17);
            Case::new(rng, sites, 17, 16)
        },
    ];
    for case in &cases {
        let [one, two, three] = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| everything(case))
        });
        assert!(one == two, "one and two threads differ on {:?}", case.sites);
        assert!(one == three, "one and three threads differ on {:?}", case.sites);
    }
}

#[test]
fn a_worker_of_the_present_pool_does_the_work() {
    let here = || rayon::current_thread_index();
    assert!(here().is_none() && by_a_worker(here).is_some());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let thread = || std::thread::current().id();
    let [outside, within] = pool.install(|| [thread(), by_a_worker(thread)]);
    assert_eq!(outside, within);
}
