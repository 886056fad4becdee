//! Products of matrices.

use fcmae_cuda::driver::{Address, Driver, GivenMatrix, GivenProduct, Stream, Work};
use fcmae_cuda::work::Element::{self, Bf16, F32};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::card::{bytes, card, told};

const ROWS: usize = 5;
const COLUMNS: usize = 7;
const DEPTH: usize = 11;

/// A matrix, and its values as they are used, row by row.
struct Matrix {
    given: GivenMatrix,
    values: Vec<f32>,
}

/// The value, of so many bits as the element has; what lies between two is cut.
fn held(value: f32, element: Element) -> f32 {
    let mask = if element == Bf16 { 0xffff_0000 } else { u32::MAX };
    f32::from_bits(value.to_bits() & mask)
}

/// The bytes of values that the element can hold.
fn encoded(values: &[f32], element: Element) -> Vec<u8> {
    if element == F32 {
        return bytes(values);
    }
    values.iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_ne_bytes()).collect()
}

fn decoded(bytes: &[u8], element: Element) -> Vec<f32> {
    let wide = |&bytes| f32::from_bits(u32::from(u16::from_ne_bytes(bytes)) << 16);
    match element {
        F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_ne_bytes(bytes)).collect(),
        _ => bytes.as_chunks().0.iter().map(wide).collect(),
    }
}

/// Random values on the card.
fn matrix(
    card: &dyn Driver,
    seed: u64,
    [rows, columns]: [usize; 2],
    element: Element,
    turned: bool,
) -> Matrix {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> =
        (0..rows * columns).map(|_| held(rng.random_range(-1.0..1.0), element)).collect();
    let mut lies = values.clone();
    if turned {
        for (place, value) in lies.iter_mut().enumerate() {
            *value = values[place % rows * columns + place / rows];
        }
    }
    let at = card.allocate(lies.len() * element.bytes()).unwrap();
    card.upload(Stream::Work, &encoded(&lies, element), at).unwrap();
    Matrix { given: GivenMatrix { at, element, turned }, values }
}

/// Compares a product with sums in float64.
fn agrees(elements: [Element; 2], turned: [bool; 2], biased: bool, adds: bool) {
    let case = format!("{elements:?}, turned {turned:?}, bias {biased}, adds {adds}");
    let card = card();
    let [element, result] = elements;
    let a = matrix(&card, 1, [ROWS, DEPTH], element, turned[0]);
    let b = matrix(&card, 2, [DEPTH, COLUMNS], element, turned[1]);
    let bias = matrix(&card, 3, [1, COLUMNS], F32, false);
    let out = matrix(&card, 4, [ROWS, COLUMNS], result, false);
    let product = GivenProduct {
        rows: ROWS,
        columns: COLUMNS,
        depth: DEPTH,
        a: a.given,
        b: b.given,
        bias: biased.then_some(bias.given.at),
        out: out.given,
        adds,
    };
    card.run(&[Work::Product(product)]).unwrap();
    let mut found = vec![0; ROWS * COLUMNS * result.bytes()];
    card.download(out.given.at, &mut found).unwrap();
    assert_eq!(card.counts().products, 1);
    // Half the distance of two neighbours of bfloat16; sums in float32 are within two millionths.
    let bound = if result == Bf16 { 2f64.powi(-8) } else { 0.0 };
    for (place, found) in decoded(&found, result).into_iter().enumerate() {
        let (row, column) = (place / COLUMNS, place % COLUMNS);
        let mut sum = 0.0;
        for k in 0..DEPTH {
            sum += f64::from(a.values[row * DEPTH + k]) * f64::from(b.values[k * COLUMNS + column]);
        }
        if biased {
            sum += f64::from(bias.values[column]);
        }
        if adds {
            sum += f64::from(out.values[place]);
        }
        let error = (f64::from(found) - sum).abs();
        assert!(error <= bound * sum.abs() + 2e-6, "{case}: {place}: {found} and not {sum}");
    }
}

#[test]
fn products_are_those_of_plain_loops() {
    for elements in [[F32, F32], [Bf16, F32], [Bf16, Bf16]] {
        for bits in 0..16 {
            let bit = |place: u32| bits >> place & 1 == 1;
            agrees(elements, [bit(0), bit(1)], bit(2), bit(3));
        }
    }
}

/// The product of two numbers of bfloat16, in bfloat16.
fn of_two(a: f32, b: f32) -> f32 {
    let card = card();
    let place = |value| {
        let at = card.allocate(2).unwrap();
        card.upload(Stream::Work, &encoded(&[value], Bf16), at).unwrap();
        GivenMatrix { at, element: Bf16, turned: false }
    };
    let (a, b, out) = (place(a), place(b), place(f32::NAN));
    let product =
        GivenProduct { rows: 1, columns: 1, depth: 1, a, b, bias: None, out, adds: false };
    card.run(&[Work::Product(product)]).unwrap();
    let mut found = [0; 2];
    card.download(out.at, &mut found).unwrap();
    decoded(&found, Bf16)[0]
}

#[test]
fn results_are_rounded_to_the_nearest_and_of_two_to_the_even_one() {
    let step = 2f32.powi(-7);
    // 1 + s, with s a step, times 1 + s: 1 + 2s + s². Nearest, 1 + 2s.
    assert_eq!(of_two(1.0 + step, 1.0 + step), 1.0 + 2.0 * step);
    // 1.5 (1 + s) and 1.5 (1 + 3s) are half a step beyond an even and an odd one.
    assert_eq!(of_two(1.5, 1.0 + step), 1.5 + 2.0 * step);
    assert_eq!(of_two(1.5, 1.0 + 3.0 * step), 1.5 + 4.0 * step);
    assert_eq!(of_two(1.5, 1.0 + 5.0 * step), 1.5 + 8.0 * step);
    assert_eq!(of_two(f32::MAX, 2.0), f32::INFINITY);
    assert_eq!(of_two(f32::NEG_INFINITY, 2.0), f32::NEG_INFINITY);
    assert!(of_two(f32::NAN, 1.0).is_nan());
}

const fn at(at: Address, element: Element) -> GivenMatrix {
    GivenMatrix { at, element, turned: false }
}

/// Two by three times three by four, at addresses where nothing is.
const GOOD: GivenProduct = GivenProduct {
    rows: 2,
    columns: 4,
    depth: 3,
    a: at(0x1000, F32),
    b: at(0x2000, F32),
    bias: Some(0x3000),
    out: at(0x4000, F32),
    adds: false,
};

#[test]
fn products_that_no_card_computes_are_told() {
    card().run(&[Work::Product(GOOD)]).unwrap();
    let turned = GivenMatrix { turned: true, ..GOOD.out };
    let cases = [
        (GivenProduct { depth: 0, ..GOOD }, "a product of 2 x 0 by 0 x 4 is empty"),
        (GivenProduct { a: at(0x1000, Bf16), ..GOOD }, "Bf16 and F32 are not multiplied to F32"),
        (GivenProduct { out: at(0x4000, Bf16), ..GOOD }, "F32 and F32 are not multiplied to Bf16"),
        (
            GivenProduct { a: at(0x1000, Element::U16), b: at(0x2000, Element::U16), ..GOOD },
            "U16 and U16 are not multiplied to F32",
        ),
        (GivenProduct { out: turned, ..GOOD }, "the result is turned"),
        (
            GivenProduct { b: at(0x2002, F32), ..GOOD },
            "the second factor is at 0x2002, which is no place for F32",
        ),
        (
            GivenProduct { rows: usize::MAX, ..GOOD },
            "the result of 18446744073709551615 x 4 is beyond all memory",
        ),
        (GivenProduct { a: at(0x4000 - 20, F32), ..GOOD }, "the result overlaps the first factor"),
        (GivenProduct { b: at(0x4000 + 28, F32), ..GOOD }, "the result overlaps the second factor"),
        (GivenProduct { bias: Some(0x4004), ..GOOD }, "the result overlaps the bias"),
    ];
    for (product, expected) in cases {
        let work = [Work::Product(product)];
        for said in [told(card().run(&work)), told(card().record(&work))] {
            assert_eq!(said, format!("product failed on emulated: {expected}"));
        }
    }
    for a in [at(0x4000 - 24, F32), at(0x4000 + 32, F32), GOOD.b] {
        card().run(&[Work::Product(GivenProduct { a, ..GOOD })]).unwrap();
    }
}

#[test]
fn all_values_of_a_product_must_be_there() {
    let sizes =
        [("the first factor", 24), ("the second factor", 48), ("the bias", 16), ("the result", 32)];
    for short in 0..5 {
        let card = card();
        let places: Vec<Address> = sizes
            .iter()
            .enumerate()
            .map(|(place, &(_, bytes))| {
                card.allocate(if place == short { bytes - 4 } else { bytes }).unwrap()
            })
            .collect();
        let product = GivenProduct {
            a: at(places[0], F32),
            b: at(places[1], F32),
            bias: Some(places[2]),
            out: at(places[3], F32),
            ..GOOD
        };
        card.run(&[Work::Product(product)]).unwrap();
        let result = card.download(places[3], &mut [0; 4]);
        let Some((name, _)) = sizes.get(short) else {
            result.unwrap();
            continue;
        };
        let said = told(result);
        assert!(said.starts_with(&format!("product failed on emulated: {name}: ")), "{said}");
        assert!(said.ends_with("go beyond the end"), "{said}");
    }
}
