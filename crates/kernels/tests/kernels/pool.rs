use fcmae_kernels::pool;

use crate::compare::*;

#[test]
fn means_over_sites_and_their_gradient() {
    let rng = &mut generator(101);
    for (images, sites, channels) in
        [(1, 1, 1), (3, 5, 8), (2, 49, 65), (1, 700, 130), (5, 1, 64), (2, 40_000, 1)]
    {
        let what = format!("[{images}, {sites}, {channels}]");
        // Far from zero, where sums in single precision would lose digits.
        let x: Vec<f32> =
            random(rng, images * sites * channels, 1.0).iter().map(|x| 100.0 + x).collect();
        let mut expected = vec![0.0f64; images * channels];
        for (i, x) in x.iter().enumerate() {
            let image = i / (sites * channels);
            expected[image * channels + i % channels] += f64::from(*x) / sites as f64;
        }
        let mut out = vec![f32::NAN; expected.len()];
        pool::forward(&x, images, channels, &mut out).unwrap();
        assert_close(&out, &expected, 1e-7, &what);

        let grad = random(rng, images * channels, 1.0);
        let expected: Vec<f64> = (0..x.len())
            .map(|i| {
                let image = i / (sites * channels);
                f64::from(grad[image * channels + i % channels]) / sites as f64
            })
            .collect();
        let mut back = vec![f32::NAN; x.len()];
        pool::backward(&grad, images, channels, &mut back).unwrap();
        assert_close(&back, &expected, 1e-7, &format!("gradient, {what}"));
    }
}

#[test]
fn refuses_wrong_lengths() {
    let mut means = [7.0; 6];
    for (values, images, channels, argument) in
        [(24, 2, 2, "out"), (25, 2, 3, "x"), (0, 2, 3, "x"), (24, 0, 3, "x"), (24, 2, 0, "x")]
    {
        let error = pool::forward(&vec![0.0; values], images, channels, &mut means).unwrap_err();
        assert!(error.to_string().contains(&format!("pool::forward: `{argument}`")), "{error}");
    }
    assert_eq!(means, [7.0; 6]);
    let mut features = [7.0; 24];
    for (values, images, channels, argument) in
        [(5, 2, 3, "grad"), (6, 3, 3, "out"), (6, 0, 3, "out"), (6, 2, 0, "out")]
    {
        let grad = vec![0.0; values];
        let error = pool::backward(&grad, images, channels, &mut features).unwrap_err();
        assert!(error.to_string().contains(&format!("pool::backward: `{argument}`")), "{error}");
    }
    assert_eq!(features, [7.0; 24]);
    assert!(pool::forward(&[0.0; 6], usize::MAX, 2, &mut means).is_err());
}
