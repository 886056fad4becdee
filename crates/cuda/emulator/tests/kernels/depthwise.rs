//! The depthwise convolution, on grids and at visible patches.

use fcmae_cuda_emulator::Argument;
use fcmae_kernels::{Sites, depthwise};

use crate::card::*;

/// What a convolution is computed on, as the card is told it.
struct Case {
    of: Type,
    sites: Sites,
    images: usize,
    channels: usize,
    /// Side of a patch, 0 on a grid.
    side: usize,
    slots: Vec<i32>,
    visible: Vec<i32>,
    rows: usize,
    columns: usize,
}

impl Case {
    fn grid(of: Type, images: usize, rows: usize, columns: usize, channels: usize) -> Self {
        let sites = Sites::grid(rows, columns).unwrap();
        let (slots, visible) = (Vec::new(), Vec::new());
        Self { of, sites, images, channels, side: 0, slots, visible, rows, columns }
    }

    fn patches(of: Type, side: usize, channels: usize) -> Self {
        let (rows, columns) = (3, 4);
        let visible = [[0, 1, 5, 6, 10], [1, 3, 4, 8, 11]];
        let mut slots = vec![-1; 2 * rows * columns];
        for (image, visible) in visible.iter().enumerate() {
            for (slot, &patch) in visible.iter().enumerate() {
                slots[image * rows * columns + patch] = slot as i32;
            }
        }
        let list: Vec<u32> = visible.concat().iter().map(|&patch| patch as u32).collect();
        let visible = visible.concat().iter().map(|&patch| patch as i32).collect();
        let sites = Sites::patches(rows, columns, side, 5, list).unwrap();
        Self { of, sites, images: 2, channels, side, slots, visible, rows, columns }
    }

    fn all() -> Vec<Self> {
        let of_type = |of| {
            [
                Self::grid(of, 2, 7, 7, 40),
                Self::grid(of, 1, 14, 14, 33),
                Self::grid(of, 1, 3, 10, 8),
                Self::patches(of, 8, 40),
                Self::patches(of, 4, 24),
                Self::patches(of, 2, 40),
                Self::patches(of, 1, 64),
            ]
        };
        TYPES.into_iter().flat_map(of_type).collect()
    }

    fn what(&self) -> String {
        format!("{:?} {} × {} × {:?}", self.of, self.images, self.channels, self.sites)
    }

    fn values(&self) -> usize {
        self.images * self.sites.sites_per_image() * self.channels
    }

    /// Outputs of a tile that are beside each other.
    fn wide(&self) -> usize {
        if self.side == 0 { 7 } else { self.side }
    }

    /// How many tiles of `tall` rows there are.
    fn tiles(&self, tall: usize) -> usize {
        if self.side == 0 {
            self.images * self.rows.div_ceil(tall) * self.columns.div_ceil(self.wide())
        } else {
            self.visible.len() * (self.side / tall).max(1)
        }
    }

    /// The arguments that say where the sites lie, and how many tiles there are.
    fn places(&self, tiles: usize) -> Vec<Argument<'_>> {
        let sizes = [self.rows, self.columns, self.sites.sites_per_image(), self.channels, tiles]
            .map(|size| Argument::of(size as i32));
        [vec![Argument::read(&self.slots), Argument::read(&self.visible)], sizes.to_vec()].concat()
    }

    fn convolve(
        &self,
        turned: bool,
        x: &Features,
        weight: &[f32],
        bias: Argument<'_>,
        add: Argument<'_>,
    ) -> Features {
        let tall = if self.side == 1 { 1 } else { 2 };
        let tiles = self.tiles(tall);
        let (of, side, wide) = (self.of.name(), self.side, self.wide());
        run(
            &format!("depthwise<{of}, {side}, {tall}, {wide}>"),
            [blocks(tiles, 4), blocks(self.channels, 32), 1],
            [32, 4, 1],
            &Features::unwritten(self.of, self.values()),
            |out, _| {
                let inputs = vec![x.read(), Argument::read(weight), bias, add, out.write()];
                [inputs, self.places(tiles), vec![Argument::of(i32::from(turned))]].concat()
            },
        )
    }
}

#[test]
fn the_convolution_is_the_cpus() {
    for case in Case::all() {
        let Case { of, ref sites, images, channels, .. } = case;
        let x = Features::new(of, &random(1, case.values(), 1.0));
        let (weight, bias) = (random(2, channels * 49, 0.3), random(3, channels, 0.3));
        let mut expected = vec![0.0; case.values()];
        depthwise::forward(
            &x.values(),
            &weight,
            Some(&bias),
            sites,
            images,
            channels,
            &mut expected,
        )
        .unwrap();
        let out = case.convolve(false, &x, &weight, Argument::read(&bias), Argument::none());
        close(&out.values(), &expected, of.bound(), &case.what());
    }
}

#[test]
fn its_gradient_by_the_input_is_the_cpus_with_that_of_the_shortcut() {
    for case in Case::all() {
        let Case { of, ref sites, images, channels, .. } = case;
        let grad = Features::new(of, &random(1, case.values(), 1.0));
        let shortcut = Features::new(of, &random(4, case.values(), 1.0));
        let weight = random(2, channels * 49, 0.3);
        let mut expected = vec![0.0; case.values()];
        depthwise::backward_input(&grad.values(), &weight, sites, images, channels, &mut expected)
            .unwrap();
        let out = case.convolve(true, &grad, &weight, Argument::none(), Argument::none());
        close(&out.values(), &expected, of.bound(), &case.what());
        expected.iter_mut().zip(shortcut.values()).for_each(|(sum, value)| *sum += value);
        let out = case.convolve(true, &grad, &weight, Argument::none(), shortcut.read());
        close(&out.values(), &expected, of.bound(), &case.what());
    }
}

#[test]
fn its_gradients_by_weight_and_bias_are_the_cpus() {
    for case in Case::all() {
        let Case { of, ref sites, images, channels, .. } = case;
        let x = Features::new(of, &random(1, case.values(), 1.0));
        let grad = Features::new(of, &random(2, case.values(), 1.0));
        let (mut weight, mut bias) = (vec![0.0; channels * 49], vec![0.0; channels]);
        let (values, grads) = (x.values(), grad.values());
        let to_bias = Some(&mut bias[..]);
        depthwise::backward_weight(&values, &grads, sites, images, channels, &mut weight, to_bias)
            .unwrap();
        let (tiles, each) = (case.tiles(1), 3usize);
        let chunks = tiles.div_ceil(each);
        let parts = run(
            &format!("depthwise_weight<{}, {}, {}>", of.name(), case.side, case.wide()),
            [blocks(channels, 32), blocks(chunks, 4), 1],
            [32, 4, 1],
            &vec![f32::NAN; chunks * 50 * channels],
            |parts, _| {
                let chunks = [each, chunks].map(|size| Argument::of(size as i32));
                let features = vec![x.read(), grad.read(), Argument::write(parts)];
                [features, case.places(tiles), chunks.to_vec()].concat()
            },
        );
        let start = (vec![f32::NAN; channels * 49], vec![f32::NAN; channels]);
        let add = |start: &(Vec<f32>, Vec<f32>), add: i32| {
            run(
                "depthwise_gradients",
                [blocks(50 * channels, 64), 1, 1],
                [64, 1, 1],
                start,
                |(weight, bias), _| {
                    let written = vec![Argument::write(weight), Argument::write(bias)];
                    let sizes = [chunks as i32, channels as i32, add].map(Argument::of);
                    [vec![Argument::read(&parts)], written, sizes.to_vec()].concat()
                },
            )
        };
        let once = add(&start, 0);
        close(&once.0, &weight, 1e-5, &case.what());
        close(&once.1, &bias, 1e-5, &case.what());
        let twice = add(&once, 1);
        assert!(twice.0.iter().zip(&once.0).all(|(twice, once)| *twice == 2.0 * once));
    }
}
