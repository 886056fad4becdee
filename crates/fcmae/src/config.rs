//! What a network and a run are made of, as values that a TOML file can hold.

mod mask;
mod model;
mod reference;
mod run;
mod settings;
mod sizes;
mod training;

pub use mask::{MaskConfig, MaskRatio, MaskedEncoder, visible_count};
pub(crate) use model::check_image;
pub use model::{
    BlockKind, DecoderConfig, GrnAggregation, GrnConfig, GrnNormalization, ModelConfig,
};
pub use reference::{Setting, commented, reference};
pub use run::{
    ClassWeights, DataConfig, FiguresConfig, FinetuneConfig, FinetuneOptions, GrnChange,
    PretrainConfig, StartConfig, TeacherConfig,
};
pub(crate) use run::{is_mean_of_pixels, is_std_of_pixels};
pub use settings::{Settings, from_recipe, over_defaults};
pub use sizes::Size;
pub(crate) use training::{MOST, range};
pub use training::{OnNan, OptimConfig, SaveConfig};
