use fcmae_kernels::space_to_depth::{Plane, depth_to_space, space_to_depth};

use crate::compare::*;

#[test]
fn windows_are_in_row_column_channel_order() {
    // Two planes of 2 × 4 sites of 2 channels; values count up in memory.
    let x: Vec<f32> = (0..32).map(|i| i as f32).collect();
    let plane = Plane { height: 2, width: 4, channels: 2 };
    let mut out = vec![f32::NAN; 32];
    space_to_depth(&x, plane, 2, &mut out).unwrap();
    assert_eq!(out[..8], [0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0, 11.0]);
    assert_eq!(out[8..16], [4.0, 5.0, 6.0, 7.0, 12.0, 13.0, 14.0, 15.0]);
    assert_eq!(out[16], 16.0);
}

#[test]
fn depth_to_space_is_the_inverse() {
    for (planes, height, width, channels, window) in
        [(1, 4, 4, 3, 4), (3, 8, 4, 5, 2), (2, 6, 9, 1, 3), (2, 2, 3, 4, 1), (4, 256, 64, 3, 4)]
    {
        let plane = Plane { height, width, channels };
        let x: Vec<f32> = (0..planes * height * width * channels).map(|i| i as f32).collect();
        let mut deep = vec![f32::NAN; x.len()];
        let mut back = vec![f32::NAN; x.len()];
        space_to_depth(&x, plane, window, &mut deep).unwrap();
        depth_to_space(&deep, plane, window, &mut back).unwrap();
        assert_eq!(back, x);
    }
}

#[test]
fn refuses_sizes_that_do_not_divide() {
    let plane = Plane { height: 3, width: 4, channels: 1 };
    let mut out = [0.0; 12];
    assert!(space_to_depth(&[0.0; 12], plane, 2, &mut out).is_err());
    assert!(space_to_depth(&[0.0; 12], plane, 0, &mut out).is_err());
    let plane = Plane { height: 2, width: 4, channels: 1 };
    assert!(space_to_depth(&[0.0; 12], plane, 2, &mut out).is_err());
    assert!(depth_to_space(&[0.0; 8], plane, 2, &mut out).is_err());
}

#[test]
fn a_weight_is_turned_to_the_order_of_windows_and_back() {
    use fcmae_kernels::space_to_depth::{window_weight, window_weight_backward};
    let rng = &mut generator(52);
    for (outputs, inputs, taps) in [(1, 1, 1), (3, 5, 4), (40, 3, 16), (300, 160, 4)] {
        let weight = random(rng, outputs * inputs * taps, 1.0);
        let mut turned = vec![f32::NAN; weight.len()];
        window_weight(&weight, inputs, taps, &mut turned).unwrap();
        for o in 0..outputs {
            for i in 0..inputs {
                for t in 0..taps {
                    let expected = weight[(o * inputs + i) * taps + t];
                    assert_eq!(turned[(o * taps + t) * inputs + i], expected);
                }
            }
        }
        let mut back = vec![f32::NAN; weight.len()];
        window_weight_backward(&turned, inputs, taps, &mut back).unwrap();
        assert_eq!(back, weight);
    }
    assert!(window_weight(&[0.0; 5], 2, 2, &mut [0.0; 5]).is_err());
    assert!(window_weight(&[0.0; 4], 2, 2, &mut [0.0; 3]).is_err());
    assert!(window_weight(&[0.0; 4], 0, 2, &mut [0.0; 4]).is_err());
}
