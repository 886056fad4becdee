//! Layer norm and pooling.

use fcmae_cuda_emulator::Argument;
use fcmae_kernels::{Gradients, layer_norm, pool};

use crate::card::*;
use crate::rows::summed;

const EPS: f32 = 1e-6;

#[test]
fn layer_norm_and_its_gradients_are_the_cpus() {
    for of in TYPES {
        for (rows, channels) in [(1, 8), (37, 40), (19, 96), (5, 1536)] {
            let x = Features::new(of, &random(1, rows * channels, 2.0));
            let grad = Features::new(of, &random(2, rows * channels, 1.0));
            let (gamma, beta) = (random(3, channels, 2.0), random(4, channels, 1.0));
            let what = format!("{of:?} {rows} × {channels}");
            let (warps, sizes) = (4, [rows, channels].map(|size| Argument::of(size as i32)));

            let mut expected = vec![0.0; rows * channels];
            layer_norm::forward(&x.values(), &gamma, &beta, EPS, &mut expected).unwrap();
            let out = run(
                &format!("layer_norm<{}>", of.name()),
                [blocks(rows, warps), 1, 1],
                [32 * warps as u32, 1, 1],
                &Features::unwritten(of, rows * channels),
                |out, _| {
                    let [rows, channels] = sizes;
                    let (gamma, beta) = (Argument::read(&gamma), Argument::read(&beta));
                    vec![x.read(), gamma, beta, out.write(), rows, channels, Argument::of(EPS)]
                },
            );
            close(&out.values(), &expected, of.bound(), &what);

            let (mut dx, mut by) = (vec![0.0; rows * channels], vec![0.0; 2 * channels]);
            let (by_gamma, by_beta) = by.split_at_mut(channels);
            let gradients = Gradients { x: &mut dx, gamma: by_gamma, beta: by_beta };
            layer_norm::backward(&x.values(), &gamma, &grad.values(), EPS, gradients).unwrap();
            let start = (Features::unwritten(of, rows * channels), vec![f32::NAN; 2 * rows]);
            let (out, moments) = run(
                &format!("layer_norm_input<{}>", of.name()),
                [blocks(rows, warps), 1, 1],
                [32 * warps as u32, 1, 1],
                &start,
                |(out, moments), _| {
                    let [rows, channels] = sizes;
                    let (gamma, moments) = (Argument::read(&gamma), Argument::write(moments));
                    let eps = Argument::of(EPS);
                    vec![x.read(), gamma, grad.read(), out.write(), moments, rows, channels, eps]
                },
            );
            close(&out.values(), &dx, of.bound(), &what);

            let each = 16;
            let chunks = rows.div_ceil(each);
            let parts = run(
                &format!("layer_norm_weights<{}>", of.name()),
                [blocks(channels, 32 * of.pack()), chunks as u32, 1],
                [32, 8, 1],
                &vec![f32::NAN; chunks * 2 * channels],
                |parts, _| {
                    let [rows, channels] = sizes;
                    let (moments, parts) = (Argument::read(&moments), Argument::write(parts));
                    let each = Argument::of(each as i32);
                    vec![x.read(), grad.read(), moments, parts, rows, channels, each]
                },
            );
            close(&summed(&parts, chunks), &by, 1e-5, &what);
        }
    }
}

#[test]
fn pooled_means_and_their_gradients_are_the_cpus() {
    for of in TYPES {
        for (images, sites, channels) in [(1, 1, 8), (3, 49, 40), (2, 7, 320)] {
            let what = format!("{of:?} {images} × {sites} × {channels}");
            let x = Features::new(of, &random(1, images * sites * channels, 2.0));
            let mut expected = vec![0.0; images * channels];
            pool::forward(&x.values(), images, channels, &mut expected).unwrap();
            let each = 16usize;
            let chunks = sites.div_ceil(each);
            let int = |value: usize| Argument::of(value as i32);
            let parts = run(
                &format!("column_sums<{}, {}>", of.name(), of.pack()),
                [blocks(channels, 32 * of.pack()), chunks as u32, images as u32],
                [32, 8, 1],
                &vec![f32::NAN; images * chunks * channels],
                |parts, _| {
                    vec![x.read(), Argument::write(parts), int(sites), int(channels), int(each)]
                },
            );
            let means = run(
                &format!("pool_means<{}>", of.name()),
                [blocks(images * channels, 64), 1, 1],
                [64, 1, 1],
                &Features::unwritten(of, images * channels),
                |out, _| {
                    let parts = Argument::read(&parts);
                    let [images, chunks, channels, sites] =
                        [images, chunks, channels, sites].map(int);
                    vec![parts, out.write(), images, chunks, channels, sites]
                },
            );
            close(&means.values(), &expected, of.bound(), &what);

            let values = images * sites * channels;
            let mut expected = vec![0.0; values];
            pool::backward(&means.values(), images, channels, &mut expected).unwrap();
            let out = run(
                &format!("pool_backward<{}>", of.name()),
                [blocks(values / of.pack(), 64), 1, 1],
                [64, 1, 1],
                &Features::unwritten(of, values),
                |out, _| {
                    let values = Argument::of(values as u64);
                    vec![means.read(), out.write(), int(sites), int(channels), values]
                },
            );
            close(&out.values(), &expected, of.bound(), &what);
        }
    }
}
