//! What a network and a run are made of, as values that a TOML file can hold.

mod model;
mod run;
mod settings;

pub(crate) use model::check_image;
pub use model::{BlockKind, GrnAggregation, GrnConfig, GrnNormalization, ModelConfig, Size};
pub use run::{
    ClassWeights, DataConfig, DecoderConfig, FiguresConfig, FinetuneConfig, FinetuneOptions,
    GrnChange, MaskConfig, MaskedEncoder, OnNan, OptimConfig, PretrainConfig, SaveConfig,
};
pub(crate) use run::{MOST, range};
pub use settings::{Settings, from_recipe};
