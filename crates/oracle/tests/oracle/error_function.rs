use fcmae_oracle::{erf, erfc};

#[test]
fn known_values() {
    // By mpmath.
    let values = [
        (0.1, 0.1124629160182849, 0.887537083981715),
        (0.5, 0.5204998778130465, 0.4795001221869535),
        (0.99, 0.8385080695553698, 0.1614919304446302),
        (1.0, 0.8427007929497149, 0.15729920705028513),
        (1.01, 0.8468104962282768, 0.1531895037717233),
        (2.0, 0.9953222650189527, 0.004677734981047266),
        (3.5, 0.9999992569016276, 7.430983723414128e-07),
    ];
    for (x, expected, complement) in values {
        assert!((erf(x) - expected).abs() <= 1e-15 * expected, "erf({x}) is {}", erf(x));
        assert_eq!(erf(-x), -erf(x));
        assert!((erfc(x) - complement).abs() <= 3e-15 * complement, "erfc({x}) is {}", erfc(x));
        assert!((erfc(-x) - (1.0 + expected)).abs() <= 1e-15, "erfc(−{x}) is {}", erfc(-x));
    }
    assert_eq!((erf(0.0), erfc(0.0)), (0.0, 1.0));
}

#[test]
fn tails() {
    // The rounding of x² is magnified by x² in exp(−x²).
    let values = [
        (5.0, 1.537459794428035e-12),
        (10.0, 2.088487583762545e-45),
        (26.0, 5.663192408856143e-296),
    ];
    for (x, expected) in values {
        assert!((erfc(x) - expected).abs() <= 1e-13 * expected, "erfc({x}) is {:e}", erfc(x));
    }
    assert_eq!((erf(6.0), erfc(-6.0)), (1.0, 2.0));
    assert_eq!((erf(f64::INFINITY), erfc(f64::INFINITY)), (1.0, 0.0));
    assert!(erf(f64::NAN).is_nan() && erfc(f64::NAN).is_nan());
}
