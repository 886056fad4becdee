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
        (2, Some(block)) => (3 + block / 3) as f64,
        _ => 12.0,
    }
}
