//! Layer-wise learning-rate decay: later layers learn faster than earlier ones.

use crate::config::ModelConfig;

/// The factor on the learning rate of each parameter, by its name.
#[derive(Clone, Debug)]
pub struct LayerDecay {
    decay: f64,
    depths: [usize; 4],
    grouped: bool,
}

/// The id of the head in the grouped form.
const GROUPS: f64 = 13.0;

impl LayerDecay {
    /// The published form for the network's depth: grouped from 27 blocks in the third stage (base
    /// and larger), per layer below.
    pub fn new(decay: f64, model: &ModelConfig) -> Self {
        if model.depths[2] >= 27 {
            Self::grouped(decay, model)
        } else {
            Self::per_layer(decay, model)
        }
    }

    /// One id for each block: the downsampling before a stage shares that of the stage's first
    /// block (atto to tiny in the published recipes). The stem is the downsampling before the
    /// first stage.
    pub fn per_layer(decay: f64, model: &ModelConfig) -> Self {
        Self { decay, depths: model.depths, grouped: false }
    }

    /// Thirteen ids, three blocks of the third stage to one (base and large).
    pub fn grouped(decay: f64, model: &ModelConfig) -> Self {
        Self { decay, depths: model.depths, grouped: true }
    }

    /// `decay^(ids − id)`.
    pub fn scale(&self, name: &str) -> f64 {
        let last = if self.grouped { GROUPS } else { (self.total() + 1) as f64 };
        self.decay.powf(last - self.id(name).unwrap_or(last))
    }

    fn total(&self) -> usize {
        self.depths.iter().sum()
    }

    /// `None` for what comes after the stages.
    fn id(&self, name: &str) -> Option<f64> {
        let mut parts = name.split('.');
        match parts.next()? {
            "stem" => Some(if self.grouped { 0.0 } else { 1.0 }),
            "stages" => {
                let stage: usize = parts.next()?.parse().ok()?;
                let block: Option<usize> = match parts.next()? {
                    "blocks" => Some(parts.next()?.parse().ok()?),
                    _ => None,
                };
                Some(if self.grouped {
                    grouped_id(stage, block)
                } else {
                    (self.depths[..stage].iter().sum::<usize>() + block.unwrap_or(0) + 1) as f64
                })
            }
            _ => None,
        }
    }
}

fn grouped_id(stage: usize, block: Option<usize>) -> f64 {
    match (stage, block) {
        (0, _) => 1.0,
        (1, _) => 2.0,
        (2, None) => 3.0,
        // A third stage deeper than the published 27 blocks stays below the head: no block learns faster than
        // the stage that follows it.
        (2, Some(block)) => (3 + block / 3).min(12) as f64,
        _ => 12.0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Size;

    fn rate(depths: [usize; 4], name: &str) -> f64 {
        let model = ModelConfig {
            size: "custom".to_owned(),
            depths,
            widths: [8, 16, 32, 64],
            ..ModelConfig::default()
        };
        LayerDecay::new(0.6, &model).scale(name)
    }

    #[test]
    fn no_block_of_a_deep_third_stage_learns_faster_than_what_follows() {
        for third in [28, 30, 31, 36, 60, 200] {
            let rates: Vec<f64> = (0..third)
                .map(|block| {
                    rate([3, 3, third, 3], &format!("stages.2.blocks.{block}.norm.weight"))
                })
                .collect();
            assert!(rates.is_sorted(), "{third} blocks: {rates:?}");
            let fourth = rate([3, 3, third, 3], "stages.3.blocks.0.norm.weight");
            assert!((fourth - 0.6).abs() < 1e-12, "{fourth}");
            assert!(rates.iter().all(|&rate| rate <= fourth), "{third} blocks: {rates:?}");
            assert!((rate([3, 3, third, 3], "head.fc.weight") - 1.0).abs() < 1e-12);
        }
    }

    /// The ids of the authors' `get_layer_id`-functions, with three blocks of the third stage to one.
    #[test]
    fn published_deep_sizes_keep_their_rates() {
        for size in [Size::Base, Size::Large, Size::Huge] {
            for block in 0..27 {
                let found = rate(size.depths(), &format!("stages.2.blocks.{block}.mlp.fc1.weight"));
                let published = 0.6f64.powi(13 - (3 + block / 3));
                assert!((found - published).abs() < 1e-15, "{size}, block {block}: {found}");
            }
        }
    }
}
