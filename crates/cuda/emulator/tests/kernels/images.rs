//! Pixels, and the rounding to bfloat16.

use fcmae_cuda_emulator::Argument;

use crate::card::*;

#[test]
fn normalized_pixels_have_the_bits_of_the_formula() {
    let pixels: Vec<u8> = (0..=255).flat_map(|value| [value, 255 - value, value]).collect();
    let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    let expected: Vec<f32> = pixels
        .iter()
        .enumerate()
        .map(|(at, &value)| (f32::from(value) / 255.0 - mean[at % 3]) / std[at % 3])
        .collect();
    let start = vec![f32::NAN; pixels.len()];
    let out = run("normalize", [blocks(pixels.len(), 64), 1, 1], [64, 1, 1], &start, |out, _| {
        let (mean, std) = (Argument::read(&mean), Argument::read(&std));
        let sizes = [Argument::of(3i32), Argument::of(pixels.len() as u64)];
        let [channels, values] = sizes;
        vec![Argument::read(&pixels), mean, std, Argument::write(out), channels, values]
    });
    assert_eq!(out, expected);
}

#[test]
fn values_are_rounded_to_the_nearest_of_two_the_even_one() {
    let bits = [
        0x3f80_0000,
        0x3f80_7fff,
        0x3f80_8000,
        0x3f80_8001,
        0x3f81_8000,
        0x0000_0001,
        0x8000_0000,
        0x7f7f_ffff,
        0x7f80_0000,
        0xff80_0000,
        0x7f80_0001,
        0x7fc0_0000,
        0xffff_ffff,
        0x0000_8000,
    ];
    let values: Vec<f32> = bits.iter().map(|&bits: &u32| f32::from_bits(bits)).collect();
    let nearest = [
        0x3f80, 0x3f80, 0x3f80, 0x3f81, 0x3f82, 0x0000, 0x8000, 0x7f80, 0x7f80, 0xff80, 0x7fc0,
        0x7fc0, 0xffff, 0x0000,
    ];
    let count = Argument::of(bits.len() as u64);
    let start = vec![1u16; bits.len()];
    let out = run("converted<float, bf16>", [1, 1, 1], [32, 1, 1], &start, |out, _| {
        vec![Argument::read(&values), Argument::write(out), count]
    });
    assert_eq!(out, nearest);
    assert_eq!(values.iter().map(|&value| rounded(value)).collect::<Vec<_>>(), nearest);
}

#[test]
fn values_are_widened_exactly() {
    let values: Vec<u16> = (0..=u16::MAX).step_by(7).collect();
    let count = Argument::of(values.len() as u64);
    let grid = [blocks(values.len(), 256), 1, 1];
    let start = vec![1.0f32; values.len()];
    let out = run("converted<bf16, float>", grid, [256, 1, 1], &start, |out, _| {
        vec![Argument::read(&values), Argument::write(out), count]
    });
    for (out, bits) in out.iter().zip(values) {
        assert_eq!(out.to_bits(), u32::from(bits) << 16);
    }
}
