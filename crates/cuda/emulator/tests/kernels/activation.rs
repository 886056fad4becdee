//! GELU, global response normalization and the end of a block.

use fcmae_cuda_emulator::Argument;
use fcmae_kernels::{Gradients, gelu, grn, residual};

use crate::card::*;
use crate::rows::summed;

const EPS: f32 = 1e-6;
const EACH: usize = 16;

/// Features [N, S, H], one channel zero at all sites of the first image.
struct Case {
    of: Type,
    images: usize,
    sites: usize,
    channels: usize,
    x: Features,
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Case {
    fn all() -> Vec<Self> {
        let sizes = [(1, 1, 8), (3, 49, 160), (2, 19, 384)];
        let case = |of, (images, sites, channels)| {
            let mut x = random(1, images * sites * channels, 3.0);
            for site in x[..sites * channels].chunks_mut(channels) {
                site[3] = 0.0;
            }
            let (gamma, beta) = (random(2, channels, 1.0), random(3, channels, 1.0));
            Self { of, images, sites, channels, x: Features::new(of, &x), gamma, beta }
        };
        TYPES.iter().flat_map(|&of| sizes.map(|sizes| case(of, sizes))).collect()
    }

    fn what(&self) -> String {
        format!("{:?} {} × {} × {}", self.of, self.images, self.sites, self.channels)
    }

    fn values(&self) -> usize {
        self.images * self.sites * self.channels
    }

    fn int(value: usize) -> Argument<'static> {
        Argument::of(value as i32)
    }

    fn chunks(&self) -> usize {
        self.sites.div_ceil(EACH)
    }

    /// A kernel that sums over chunks of sites.
    fn columns(&self) -> ([u32; 3], [u32; 3]) {
        let packs = blocks(self.channels, 32 * self.of.pack());
        ([packs, self.chunks() as u32, self.images as u32], [32, 8, 1])
    }

    /// A kernel whose threads have a pack each.
    fn packs(&self) -> ([u32; 3], [u32; 3]) {
        ([blocks(self.values() / self.of.pack(), 64), 1, 1], [64, 1, 1])
    }

    fn kernel(&self, name: &str) -> String {
        format!("{name}<{}>", self.of.name())
    }

    /// Squares and response.
    fn response(&self) -> (Vec<f32>, Vec<f32>) {
        let (grid, block) = self.columns();
        let [sites, channels, each] = [self.sites, self.channels, EACH].map(Self::int);
        let parts = run(
            &self.kernel("gelu_squares"),
            grid,
            block,
            &vec![f32::NAN; self.images * self.chunks() * self.channels],
            |parts, _| vec![self.x.read(), Argument::write(parts), sites, channels, each],
        );
        let unwritten = vec![f32::NAN; self.images * self.channels];
        run(
            "grn_response",
            [self.images as u32, 1, 1],
            [64, 1, 1],
            &(unwritten.clone(), unwritten),
            |(squares, response), _| {
                let (parts, gamma) = (Argument::read(&parts), Argument::read(&self.gamma));
                let (squares, response) = (Argument::write(squares), Argument::write(response));
                let chunks = Self::int(self.chunks());
                vec![parts, gamma, squares, response, chunks, channels, Argument::of(EPS)]
            },
        )
    }
}

#[test]
fn grn_of_gelu_is_the_cpus() {
    for case in Case::all() {
        let Case { of, images, ref x, ref gamma, ref beta, .. } = case;
        let mut expected = vec![0.0; case.values()];
        grn::gelu_grn(&x.values(), gamma, beta, images, EPS, &mut expected).unwrap();
        let (_, response) = case.response();
        let (grid, block) = case.packs();
        let out = run(
            &case.kernel("grn_respond"),
            grid,
            block,
            &Features::unwritten(of, case.values()),
            |out, _| {
                let [rows, sites, channels] =
                    [images * case.sites, case.sites, case.channels].map(Case::int);
                let (response, beta) = (Argument::read(&response), Argument::read(beta));
                vec![x.read(), response, beta, out.write(), rows, sites, channels]
            },
        );
        close(&out.values(), &expected, of.bound(), &case.what());
    }
}

#[test]
fn the_gradients_of_grn_of_gelu_are_the_cpus() {
    for case in Case::all() {
        let Case { of, images, channels, ref x, ref gamma, .. } = case;
        let grad = Features::new(of, &random(4, case.values(), 1.0));
        let (mut dx, mut by) = (vec![0.0; case.values()], vec![0.0; 2 * channels]);
        let (by_gamma, by_beta) = by.split_at_mut(channels);
        let gradients = Gradients { x: &mut dx, gamma: by_gamma, beta: by_beta };
        grn::gelu_grn_backward(&x.values(), gamma, &grad.values(), images, EPS, gradients).unwrap();

        let (squares, expected_response) = case.response();
        let (grid, block) = case.columns();
        let [sites, width, each, chunks] =
            [case.sites, channels, EACH, case.chunks()].map(Case::int);
        let parts = run(
            &case.kernel("grn_sums"),
            grid,
            block,
            &vec![f32::NAN; images * case.chunks() * 2 * channels],
            |parts, _| vec![x.read(), grad.read(), Argument::write(parts), sites, width, each],
        );
        let unwritten = |rows: usize| vec![f32::NAN; rows * channels];
        let start = [unwritten(images), unwritten(images), unwritten(2 * images)];
        let [response, along, by_weights] =
            run("grn_along", [images as u32, 1, 1], [64, 1, 1], &start, |written, _| {
                let [response, along, by_weights] =
                    written.each_mut().map(|written| Argument::write(written));
                let [parts, squares, gamma] =
                    [&parts, &squares, gamma].map(|read| Argument::read(read));
                let eps = Argument::of(EPS);
                vec![parts, squares, gamma, response, along, by_weights, chunks, width, eps]
            });
        assert_eq!(response, expected_response);
        close(&summed(&by_weights, images), &by, 2e-5, &case.what());

        let (grid, block) = case.packs();
        let out = run(
            &case.kernel("grn_input"),
            grid,
            block,
            &Features::unwritten(of, case.values()),
            |out, _| {
                let rows = Case::int(images * case.sites);
                let (response, along) = (Argument::read(&response), Argument::read(&along));
                vec![x.read(), grad.read(), response, along, out.write(), rows, sites, width]
            },
        );
        close(&out.values(), &dx, of.bound(), &case.what());
    }
}

#[test]
fn gelu_and_its_gradient_are_the_cpus() {
    for of in TYPES {
        let x = Features::new(of, &random(1, 4096, 8.0));
        let grad = Features::new(of, &random(2, 4096, 1.0));
        let mut expected = vec![0.0; 4096];
        let values = Argument::of(4096u64);
        let (grid, block) = ([blocks(4096 / of.pack(), 64), 1, 1], [64, 1, 1]);
        gelu::forward(&x.values(), &mut expected).unwrap();
        let unwritten = Features::unwritten(of, 4096);
        let out =
            run(&format!("gelu_forward<{}>", of.name()), grid, block, &unwritten, |out, _| {
                vec![x.read(), out.write(), values]
            });
        close(&out.values(), &expected, of.bound(), "gelu");
        gelu::backward(&x.values(), &grad.values(), &mut expected).unwrap();
        let out =
            run(&format!("gelu_backward<{}>", of.name()), grid, block, &unwritten, |out, _| {
                vec![x.read(), grad.read(), out.write(), values]
            });
        close(&out.values(), &expected, of.bound(), "gelu'");
    }
}

#[test]
fn the_end_of_a_block_and_its_gradient_are_the_cpus() {
    let (images, image) = (3, 5 * 40);
    let scale = [1.0, 0.0, 1.25];
    for of in TYPES {
        let shortcut = Features::new(of, &random(1, images * image, 2.0));
        // What is dropped may be no number.
        let mut branch = random(2, images * image, 2.0);
        branch[image..2 * image].fill(f32::NAN);
        let branch = Features::new(of, &branch);
        let mut expected = vec![0.0; images * image];
        residual::forward(&shortcut.values(), &branch.values(), &scale, &mut expected).unwrap();
        let lengths = [images * image, image].map(|len| Argument::of(len as u64));
        let (grid, block) = ([blocks(images * image / of.pack(), 64), 1, 1], [64, 1, 1]);
        let unwritten = Features::unwritten(of, images * image);
        let out =
            run(&format!("residual_forward<{}>", of.name()), grid, block, &unwritten, |out, _| {
                let [values, image] = lengths;
                vec![
                    shortcut.read(),
                    branch.read(),
                    Argument::read(&scale),
                    out.write(),
                    values,
                    image,
                ]
            });
        close(&out.values(), &expected, of.bound(), "residual");
        let out =
            run(&format!("residual_forward<{}>", of.name()), grid, block, &unwritten, |out, _| {
                let [values, image] = lengths;
                let none = Argument::none();
                vec![shortcut.read(), shortcut.read(), none, out.write(), values, image]
            });
        let twice: Vec<f32> = shortcut.values().iter().map(|value| 2.0 * value).collect();
        assert_eq!(out.values(), twice);
        residual::backward(&shortcut.values(), &scale, &mut expected).unwrap();
        let out =
            run(&format!("residual_backward<{}>", of.name()), grid, block, &unwritten, |out, _| {
                let [values, image] = lengths;
                vec![shortcut.read(), Argument::read(&scale), out.write(), values, image]
            });
        close(&out.values(), &expected, of.bound(), "residual'");
    }
}
