//! Parameters and inputs as a function of their names: `reference/README.md`, "The fill rule".

use std::sync::Arc;

use fcmae::engine::module::Network;
use fcmae::engine::parameters::{Arena, Names};
use fcmae::engine::tensor::Tensor;

/// `count` numbers in [−1, 1) from a name alone.
pub(crate) fn uniform(name: &str, count: usize) -> Vec<f64> {
    let hash = fnv1a64(name);
    (1..=count as u64)
        .map(|i| {
            let mut z = hash.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            2.0 * ((z >> 40) as f64 / f64::from(1u32 << 24)) - 1.0
        })
        .collect()
}

fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The value of the parameter of this name in files.
pub(crate) fn parameter(name: &str, shape: &[usize]) -> Vec<f32> {
    let is_grn = name.ends_with(".grn.weight") || name.ends_with(".grn.bias");
    let is_norm_weight = name.ends_with(".norm.weight")
        || name == "stem.1.weight"
        || name.ends_with(".downsample.0.weight");
    let value: Box<dyn Fn(f64) -> f64> = if shape.len() > 1 && !is_grn {
        let fan_in = shape[1..].iter().product::<usize>() as f64;
        Box::new(move |r| r * (3.0 / fan_in).sqrt())
    } else if is_norm_weight {
        Box::new(|r| 1.0 + 0.2 * r)
    } else if is_grn || name.ends_with(".gamma") {
        Box::new(|r| 0.5 * r)
    } else {
        Box::new(|r| 0.1 * r)
    };
    let count = shape.iter().product();
    uniform(name, count).into_iter().map(|r| value(r) as f32).collect()
}

/// The network with every parameter filled by its name.
pub(crate) fn network<M>(build: impl FnOnce(&mut Names) -> M) -> Network<M> {
    let mut network = Network::new(build);
    weights(network.weights_mut());
    network
}

/// Fills every parameter by its name.
pub(crate) fn weights(weights: &mut Arena) {
    let layout = Arc::clone(weights.layout());
    for (name, place) in layout.parameters() {
        weights.get_mut(place).copy_from_slice(&parameter(name, &place.shape()));
    }
}

/// Images `[N, H, W, channels]`, already normalized.
pub(crate) fn images(shape: [usize; 4]) -> Tensor {
    let values = uniform("input", shape.iter().product());
    Tensor::new(values.into_iter().map(|r| (2.0 * r) as f32).collect(), shape)
}

#[test]
fn the_rule_gives_its_documented_values() {
    assert_eq!(fnv1a64("a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(fnv1a64("stem.0.weight"), 0x5a08_c892_111c_1988);
    let stem = parameter("stem.0.weight", &[40, 3, 4, 4]);
    assert_eq!(stem[..3], [0.145_093_44, -0.089_362_86, 0.099_285_84]);
    assert_eq!(parameter("stem.1.weight", &[40])[..2], [1.159_292_8, 0.851_576_4]);
}
