use fcmae_oracle::Var;

use crate::{assert_close, assert_differentiates, random};

#[test]
fn numbers_one_by_one() {
    let x = random(1, &[3, 5], 2.0);
    let mut positive = x.clone();
    positive.values.iter_mut().for_each(|value| *value = value.abs() + 0.5);
    assert_differentiates("exp", std::slice::from_ref(&x), |v| v[0].exp());
    assert_differentiates("ln", std::slice::from_ref(&positive), |v| v[0].ln());
    assert_differentiates("sqrt", std::slice::from_ref(&positive), |v| v[0].sqrt());
    assert_differentiates("erf", std::slice::from_ref(&x), |v| v[0].erf());
    assert_differentiates("erfc", std::slice::from_ref(&x), |v| v[0].erfc());
    assert_differentiates("abs", std::slice::from_ref(&x), |v| v[0].abs());
    assert_differentiates("clamp", std::slice::from_ref(&x), |v| v[0].clamp_min(0.3));
    assert_differentiates("numbers", &[x], |v| (&v[0] * 3.0 - 0.5) / 7.0 + 2.0);
}

#[test]
fn values_one_by_one() {
    let x = Var::new(&[3], [-2.0, 0.0, 0.25]);
    assert_eq!(x.abs().values(), [2.0, 0.0, 0.25]);
    assert_eq!(x.clamp_min(0.1).values(), [0.1, 0.1, 0.25]);
    assert_eq!(x.clamp_min(0.0).sqrt().values(), [0.0, 0.0, 0.5]);
    assert_eq!(x.exp().values(), [(-2.0f64).exp(), 1.0, 0.25f64.exp()]);
    assert_eq!(x.exp().ln().values()[1], 0.0);
    assert_close("ln", 1e-15, x.exp().ln().values(), x.values());
    // At the kinks.
    assert_eq!(x.abs().total().backward().of(&x).values, [-1.0, 0.0, 1.0]);
    assert_eq!(x.clamp_min(0.0).total().backward().of(&x).values, [0.0, 0.0, 1.0]);
}

#[test]
fn two_operands_broadcast() {
    let shapes: [[&[usize]; 2]; 5] = [
        [&[3, 4], &[3, 4]],
        [&[2, 3, 4], &[4]],
        [&[3, 1], &[2, 1, 4]],
        [&[], &[2, 2]],
        [&[1], &[]],
    ];
    for [left, right] in shapes {
        let mut operands = [random(2, left, 1.0), random(3, right, 0.3)];
        // Far from zero, where quotients are steep.
        operands[1].values.iter_mut().for_each(|value| *value += 1.0);
        let about = |sign| format!("{left:?} {sign} {right:?}");
        assert_differentiates(&about('+'), &operands, |v| &v[0] + &v[1]);
        assert_differentiates(&about('−'), &operands, |v| &v[0] - &v[1]);
        assert_differentiates(&about('·'), &operands, |v| &v[0] * &v[1]);
        assert_differentiates(&about('/'), &operands, |v| &v[0] / &v[1]);
    }
    let column = Var::new(&[2, 1], [6.0, 12.0]);
    let row = Var::new(&[3], [1.0, 2.0, 3.0]);
    assert_eq!((&column - &row).shape(), [2, 3]);
    assert_eq!((&column + &row).values(), [7.0, 8.0, 9.0, 13.0, 14.0, 15.0]);
    assert_eq!((&column - &row).values(), [5.0, 4.0, 3.0, 11.0, 10.0, 9.0]);
    assert_eq!((&column * &row).values(), [6.0, 12.0, 18.0, 12.0, 24.0, 36.0]);
    assert_eq!((&column / &row).values(), [6.0, 3.0, 2.0, 12.0, 6.0, 4.0]);
}

#[test]
#[should_panic(expected = "broadcast")]
fn other_sizes_do_not_broadcast() {
    let _ = Var::new(&[2], [1.0, 2.0]) + Var::new(&[3], [1.0, 2.0, 3.0]);
}

#[test]
fn rearranging_and_sums() {
    let x = random(4, &[2, 3, 4], 1.0);
    let one = std::slice::from_ref(&x);
    assert_differentiates("reshape", one, |v| v[0].reshape(&[4, 6]));
    assert_differentiates("permute", one, |v| v[0].permute(&[2, 0, 1]));
    assert_differentiates("sum", one, |v| v[0].sum(&[0, 2]));
    assert_differentiates("mean", one, |v| v[0].mean(&[1]));
    assert_differentiates("total", one, |v| v[0].total());
    assert_differentiates("rows", one, |v| v[0].rows(&[1, 0, 1, 1]));
    assert_differentiates("scattered rows", one, |v| v[0].scatter_rows(&[3, 1], 5));
    let both = [x, random(5, &[1, 3, 4], 1.0)];
    assert_differentiates("concat", &both, |v| v[0].concat(&v[1]));

    let x = Var::new(&[2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(x.permute(&[1, 0]).shape(), [3, 2]);
    assert_eq!(x.permute(&[1, 0]).values(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!((x.sum(&[0]).shape(), x.sum(&[1]).shape()), (&[1, 3][..], &[2, 1][..]));
    assert_eq!(x.sum(&[0]).values(), [5.0, 7.0, 9.0]);
    assert_eq!(x.mean(&[1]).values(), [2.0, 5.0]);
    assert_eq!((x.total().shape(), x.total().values()), (&[][..], &[21.0][..]));
    assert_eq!(x.rows(&[1, 0, 1]).values()[..6], [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
    let scattered = x.scatter_rows(&[2, 0], 3);
    assert_eq!(scattered.values(), [4.0, 5.0, 6.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
    let joined = x.concat(&Var::new(&[1, 3], [7.0, 8.0, 9.0]));
    assert_eq!(joined.shape(), [3, 3]);
    assert_eq!(joined.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
}

#[test]
fn products_of_matrices() {
    let operands = [random(6, &[3, 4], 1.0), random(7, &[4, 2], 1.0)];
    assert_differentiates("product", &operands, |v| v[0].matmul(&v[1]));
    let a = Var::new(&[2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = Var::new(&[3, 1], [1.0, 10.0, 100.0]);
    assert_eq!(a.matmul(&b).values(), [321.0, 654.0]);
}

#[test]
fn convolutions() {
    // Input, weight, stride, padding: dense, grouped, depthwise, windows, and windows that leave a rest.
    let cases: [([usize; 4], [usize; 4], usize, usize); 5] = [
        ([2, 3, 4, 5], [2, 3, 3, 3], 1, 1),
        ([1, 4, 3, 3], [6, 2, 3, 1], 1, 1),
        ([2, 3, 4, 3], [3, 1, 7, 7], 1, 3),
        ([1, 2, 4, 6], [3, 2, 2, 2], 2, 0),
        ([1, 1, 6, 5], [2, 1, 3, 2], 2, 1),
    ];
    for (x, weight, stride, padding) in cases {
        let operands = [random(8, &x, 1.0), random(9, &weight, 1.0)];
        let about = format!("{x:?} by {weight:?}");
        assert_differentiates(&about, &operands, |v| v[0].conv2d(&v[1], stride, padding));
    }
}

#[test]
fn convolutions_by_hand() {
    let x = Var::new(&[1, 1, 3, 3], (1..10).map(f64::from));
    // Right neighbour plus ten times the lower one: correlation, not mirrored.
    let weight = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 10.0, 0.0];
    let out = x.conv2d(&Var::new(&[1, 1, 3, 3], weight), 1, 1);
    assert_eq!(out.values(), [42.0, 53.0, 60.0, 75.0, 86.0, 90.0, 8.0, 9.0, 0.0]);

    let x = Var::new(&[1, 2, 2, 4], (1..17).map(f64::from));
    let windows = Var::new(&[1, 2, 2, 2], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0]);
    let out = x.conv2d(&windows, 2, 0);
    assert_eq!((out.shape(), out.values()), (&[1, 1, 1, 2][..], &[1401.0, 1603.0][..]));

    // Two groups of one channel, two outputs of each.
    let scales = Var::new(&[4, 1, 1, 1], [1.0, 2.0, 3.0, 4.0]);
    let out = Var::new(&[1, 2, 1, 1], [1.0, 10.0]).conv2d(&scales, 1, 0);
    assert_eq!(out.values(), [1.0, 2.0, 30.0, 40.0]);
}

#[test]
fn gradients_add_up_over_all_uses() {
    let x = Var::new(&[2], [3.0, -1.0]);
    let square = &x * &x;
    let y = (&square * &x + &square).total();
    let gradients = y.backward();
    // 3x² + 2x
    assert_eq!(gradients.of(&x).values, [33.0, 1.0]);
    assert_eq!(gradients.of(&square).values, [4.0, 0.0]);
    let unused = Var::new(&[1, 3], [1.0; 3]);
    assert_eq!(gradients.of(&unused).shape, [1, 3]);
    assert_eq!(gradients.of(&unused).values, [0.0; 3]);
    assert_close(
        "Σ probe · x²",
        0.0,
        &square.backward_along(&[1.0, 5.0]).of(&x).values,
        &[6.0, -10.0],
    );
}
