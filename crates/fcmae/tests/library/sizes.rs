//! The published sizes have the published numbers of parameters.

use fcmae::config::{DecoderConfig, ModelConfig, Size};
use fcmae::engine::parameters::Layout;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::model::Classifier;

/// Classifier of 1,000 classes; FCMAE with a decoder of width 512 and depth 1.
const PUBLISHED: [(&str, usize, usize); 8] = [
    ("atto", 3_708_400, 7_257_992),
    ("femto", 5_233_240, 8_751_472),
    ("pico", 9_066_280, 12_521_792),
    ("nano", 15_623_800, 19_016_592),
    ("tiny", 28_635_496, 31_965_568),
    ("base", 88_717_800, 91_922_432),
    ("large", 197_956_840, 200_910_592),
    ("huge", 660_289_640, 662_616_192),
];

#[test]
fn parameter_counts() {
    assert_eq!(PUBLISHED.map(|(name, ..)| name), Size::ALL.map(Size::name));
    for (name, classifier, autoencoder) in PUBLISHED {
        let size: Size = format!("convnextv2_{name}").parse().unwrap();
        let config = ModelConfig::published(size).resolve().unwrap();
        let (_, layout) = Layout::of(|names| Classifier::new(names, &config, 1000));
        assert_eq!(layout.count(), classifier, "classifier of size {name}");
        let (_, layout) =
            Layout::of(|names| Autoencoder::new(names, &config, &DecoderConfig::default()));
        assert_eq!(layout.count(), autoencoder, "autoencoder of size {name}");
    }
}
