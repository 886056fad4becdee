//! Rows, windows and sums.

use fcmae_cuda_emulator::Argument;
use fcmae_kernels::space_to_depth::{self, Plane};
use fcmae_kernels::{linear, rows};

use crate::card::*;

/// The sums of parts [chunks, values].
pub(crate) fn summed(parts: &[f32], chunks: usize) -> Vec<f32> {
    let values = parts.len() / chunks;
    let sizes = [chunks, values, values, 0].map(|size| Argument::of(size as i32));
    run("sum_parts", [blocks(values, 64), 1, 1], [64, 1, 1], &vec![f32::NAN; values], |out, _| {
        [vec![Argument::read(parts), Argument::write(out)], sizes.to_vec()].concat()
    })
}

#[test]
fn the_gradient_by_a_bias_is_the_cpus() {
    let cases = TYPES.into_iter().flat_map(|of| [(of, of.pack(), 40), (of, 1, 10)]);
    for (of, values, channels) in cases {
        let (count, each) = (83, 16usize);
        let grad = Features::new(of, &random(1, count * channels, 1.0));
        let (mut weight, mut expected) = (vec![0.0; channels], vec![0.0; channels]);
        let x = vec![0.0; count];
        linear::backward_weight(&x, &grad.values(), channels, &mut weight, Some(&mut expected))
            .unwrap();
        let chunks = count.div_ceil(each);
        let parts = run(
            &format!("column_sums<{}, {values}>", of.name()),
            [blocks(channels, 32 * values), chunks as u32, 1],
            [32, 8, 1],
            &vec![f32::NAN; chunks * channels],
            |parts, _| {
                let [count, channels, each] =
                    [count, channels, each].map(|size| Argument::of(size as i32));
                vec![grad.read(), Argument::write(parts), count, channels, each]
            },
        );
        close(&summed(&parts, chunks), &expected, 1e-5, "bias");
    }
}

#[test]
fn sums_are_added_to_what_is_there_where_that_is_asked() {
    let parts = random(1, 3 * 70, 1.0);
    let before = random(2, 70, 1.0);
    let sizes = [3, 70, 70, 1].map(Argument::of::<i32>);
    let out = run("sum_parts", [2, 1, 1], [64, 1, 1], &before, |out, _| {
        [vec![Argument::read(&parts), Argument::write(out)], sizes.to_vec()].concat()
    });
    for (value, out) in out.iter().enumerate() {
        let sum = ((before[value] + parts[value]) + parts[70 + value]) + parts[140 + value];
        assert_eq!(*out, sum);
    }
}

#[test]
fn chosen_rows_and_their_gradients_are_the_cpus() {
    let (count, width) = (7, 40);
    let chosen = [6u32, 0, 7, 3, 7, 0, 7];
    for of in TYPES {
        let x = Features::new(of, &random(1, count * width, 1.0));
        // The filler is a parameter, of which the card writes the nearest of the type.
        let filler = Features::new(of, &random(2, width, 1.0)).values();
        let mut expected = vec![0.0; chosen.len() * width];
        rows::select(&x.values(), width, &chosen, Some(&filler), &mut expected).unwrap();
        let numbers = chosen.map(|row| row as i32);
        let int = |value: usize| Argument::of(value as i32);
        let out = run(
            &format!("select_rows<{}>", of.name()),
            [blocks(chosen.len() * width / of.pack(), 64), 1, 1],
            [64, 1, 1],
            &Features::unwritten(of, chosen.len() * width),
            |out, _| {
                let (numbers, filler) = (Argument::read(&numbers), Argument::read(&filler));
                let sizes = [count, chosen.len(), width].map(int);
                [vec![x.read(), numbers, filler, out.write()], sizes.to_vec()].concat()
            },
        );
        assert_eq!(out.values(), expected);

        let grad = Features::new(of, &random(3, chosen.len() * width, 1.0));
        let (mut expected, mut by_filler) = (vec![0.0; count * width], vec![0.0; width]);
        rows::select_backward(&grad.values(), width, &chosen, &mut expected, Some(&mut by_filler))
            .unwrap();
        let mut sources: Vec<i32> = (0..chosen.len() as i32).collect();
        sources.sort_by_key(|&source| chosen[source as usize]);
        let starts: Vec<i32> = (0..=count as u32)
            .map(|row| chosen.iter().filter(|&&chosen| chosen < row).count() as i32)
            .collect();
        let out = run(
            &format!("select_rows_backward<{}>", of.name()),
            [blocks(count * width / of.pack(), 64), 1, 1],
            [64, 1, 1],
            &Features::unwritten(of, count * width),
            |out, _| {
                let (starts, sources) = (Argument::read(&starts), Argument::read(&sources));
                vec![grad.read(), starts, sources, out.write(), int(count), int(width)]
            },
        );
        close(&out.values(), &expected, of.bound(), "rows'");
        let first = starts[count] as usize;
        let fillers = chosen.len() - first;
        let parts = run(
            &format!("filler_sums<{}>", of.name()),
            [1, 2, 1],
            [64, 1, 1],
            &vec![f32::NAN; 2 * width],
            |parts, _| {
                let (sources, parts) = (Argument::read(&sources), Argument::write(parts));
                let sizes = [first, fillers, width, 2].map(int);
                [vec![grad.read(), sources, parts], sizes.to_vec()].concat()
            },
        );
        close(&summed(&parts, 2), &by_filler, 1e-5, "filler'");
    }
}

#[test]
fn standardized_rows_are_the_cpus() {
    for width in [1, 48, 3072] {
        let mut x = random(1, 5 * width, 3.0);
        x[..width].fill(0.5);
        let mut expected = vec![0.0; x.len()];
        rows::standardize(&x, width, 1e-6, &mut expected).unwrap();
        let out =
            run("standardize_rows", [5, 1, 1], [128, 1, 1], &vec![f32::NAN; x.len()], |out, _| {
                let (width, eps) = (Argument::of(width as i32), Argument::of(1e-6f32));
                vec![Argument::read(&x), Argument::write(out), width, eps]
            });
        close(&out, &expected, 1e-5, "standardized");
    }
}

#[test]
fn windows_and_back_are_the_cpus() {
    let plane = Plane { height: 8, width: 12, channels: 5 };
    let values = 3 * plane.height * plane.width * plane.channels;
    for of in TYPES {
        for window in [2, 4] {
            let x = Features::new(of, &random(1, values, 1.0));
            let mut expected = vec![0.0; values];
            space_to_depth::space_to_depth(&x.values(), plane, window, &mut expected).unwrap();
            let move_all = |x: &Features, back: bool| {
                run(
                    &format!("space_to_depth<{}, {back}>", of.name()),
                    [blocks(values, 64), 1, 1],
                    [64, 1, 1],
                    &Features::unwritten(of, values),
                    |out, _| {
                        let sizes = [plane.width, plane.channels, window]
                            .map(|size| Argument::of(size as i32));
                        let values = Argument::of(values as u64);
                        [vec![x.read(), out.write()], sizes.to_vec(), vec![values]].concat()
                    },
                )
            };
            let windows = move_all(&x, false);
            assert_eq!(windows.values(), expected);
            assert_eq!(move_all(&windows, true), x);
        }
    }
}

#[test]
fn a_weight_in_the_order_of_windows_is_the_cpus() {
    let (outputs, inputs, taps) = (3, 5, 16);
    let weight = random(1, outputs * inputs * taps, 1.0);
    let mut expected = vec![0.0; weight.len()];
    space_to_depth::window_weight(&weight, inputs, taps, &mut expected).unwrap();
    let turn = |x: &[f32], rows: usize, columns: usize| {
        let start = vec![f32::NAN; x.len()];
        run("transposed<float, float>", [4, 1, 1], [64, 1, 1], &start, |out, _| {
            let [rows, columns] = [rows, columns].map(|size| Argument::of(size as i32));
            let values = Argument::of(x.len() as u64);
            vec![Argument::read(x), Argument::write(out), rows, columns, values]
        })
    };
    let turned = turn(&weight, inputs, taps);
    assert_eq!(turned, expected);
    assert_eq!(turn(&turned, taps, inputs), weight);
}

#[test]
fn a_weight_is_rounded_as_it_is_turned() {
    let weight = random(1, 6 * 8, 1.0);
    let start = vec![0u16; weight.len()];
    let out = run("transposed<float, bf16>", [1, 1, 1], [64, 1, 1], &start, |out, _| {
        let [rows, columns] = [6i32, 8].map(Argument::of);
        let values = Argument::of(weight.len() as u64);
        vec![Argument::read(&weight), Argument::write(out), rows, columns, values]
    });
    for (at, &value) in out.iter().enumerate() {
        assert_eq!(value, rounded(weight[at % 6 * 8 + at / 6]));
    }
}
