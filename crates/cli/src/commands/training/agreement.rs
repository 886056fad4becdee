//! Settings held against the weights that a run begins from.

use anyhow::Result;
use fcmae::config::{DataConfig, DecoderConfig, ModelConfig};
use fcmae::error::ConfigError;
use fcmae::training::StartWeights;
use fcmae::weights::Weights;
use fcmae_data::source::printable;
use fcmae_store::run::schema::Kind;
use fcmae_words::counted;
use serde_json::json;

use super::{RunArgs, SettingsArgs};
use crate::output;

/// What settings ask for that the weights may decide.
pub(in crate::commands) struct Asked<'a> {
    pub(in crate::commands) model: &'a ModelConfig,
    /// Of a pre-training.
    pub(in crate::commands) decoder: Option<&'a DecoderConfig>,
    /// Channels that the stem is adapted to; 0 for those of the weights.
    pub(in crate::commands) channels: usize,
    pub(in crate::commands) image_size: [usize; 2],
}

/// Holds the settings of a new run against the weights that it begins from, if any, and notes where these decide over a
/// recipe, or it over them.
///
/// # Errors
/// Weights that cannot be read; a setting of the network, given on the command line, that is not the weights'.
pub(in crate::commands) fn agree_with(
    kind: Kind,
    asked: &Asked<'_>,
    weights: Option<&StartWeights>,
    run: &RunArgs,
    given: &SettingsArgs,
) -> Result<()> {
    let Some(weights) = weights.filter(|_| !run.resume) else { return Ok(()) };
    weights.with(|weights| {
        let notes = agree(kind, asked, weights, given)?;
        notes.iter().for_each(|note| output::note(note));
        Ok(())
    })?;
    Ok(())
}

/// Holds the settings against the weights that are started from: sentences for the user where the weights decide
/// over a recipe, or it over them.
///
/// # Errors
/// A setting of the network, given on the command line, that is not the weights'.
fn agree(
    kind: Kind,
    asked: &Asked<'_>,
    weights: &Weights,
    SettingsArgs { config: recipe, set, .. }: &SettingsArgs,
) -> std::result::Result<Vec<String>, ConfigError> {
    let theirs = &weights.description.model;
    let path = printable(&weights.path);
    let decoder = asked.decoder.zip(weights.description.decoder.as_ref());
    let decoder = decoder.map(|(ours, (theirs, _))| [ours, theirs].map(|of| json!(of)));
    let parts = [("model", Some([asked.model, theirs].map(|of| json!(of)))), ("decoder", decoder)];
    for given in set {
        let Some((key, value)) = given.split_once('=') else { continue };
        let Some((part, place)) = key.trim().split_once('.') else { continue };
        let part = parts.iter().find(|(name, _)| *name == part);
        let Some((part, Some(both))) = part else { continue };
        let place = format!("/{}", place.replace('.', "/"));
        let [ours, found] = both.each_ref().map(|settings| settings.pointer(&place));
        if ours != found {
            let has = found.map_or("another one".to_owned(), ToString::to_string);
            let remedy = match (kind, place.as_str()) {
                _ if *part == "decoder" => {
                    "leave it out, or give weights without a decoder, such as a classifier's"
                }
                (Kind::Finetuning, "/channels") => {
                    "set `finetune.channels` for pictures with other channels"
                }
                (Kind::Pretraining, "/channels") => {
                    "set `start.channels` for pictures with other channels"
                }
                (Kind::Finetuning, "/block") => {
                    "set `finetune.grn` to add or drop GRN, or use `--from scratch`"
                }
                _ => "leave it out, give other weights, or use `--from scratch`",
            };
            return Err(ConfigError::Value {
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                reason: format!(
                    "the network is that of the weights {path} (--from), which have {has}: {remedy}"
                ),
            });
        }
    }
    // A recipe's; where it says nothing it has the default.
    let channels = asked.model.channels;
    let says = ![theirs.channels, ModelConfig::default().channels].contains(&channels);
    if says && asked.channels == 0 {
        let adapted = match kind {
            Kind::Finetuning => "finetune.channels",
            Kind::Pretraining => "start.channels",
        };
        return Err(ConfigError::Value {
            key: "model.channels".to_owned(),
            value: channels.to_string(),
            reason: format!(
                "the weights {path} (--from) take pictures of {}: set {adapted}={channels} to adapt them",
                counted(theirs.channels, "channel")
            ),
        });
    }
    let mut notes = Vec::new();
    let shape = |model: &ModelConfig| (model.block, model.depths, model.widths, model.stem_stride);
    let settings = shape(asked.model);
    // Without a recipe nothing was made for any network. For a custom one there is no published recipe to take instead.
    let may_suit = is_custom(theirs) && !is_custom(asked.model);
    if recipe.is_some() && !may_suit && settings != shape(theirs) {
        notes.push(format!(
            "the settings are meant for {}, but the network is that of the weights, {}",
            named(asked.model),
            named(theirs)
        ));
    }
    let [height, width] = asked.image_size;
    let [trained_height, trained_width] = weights.description.image_size;
    // Fine-tuning takes the weights' size where it is as by default.
    let left_to_them = asked.image_size == [0, 0]
        || kind == Kind::Finetuning && asked.image_size == DataConfig::default().image_size;
    if !left_to_them && asked.image_size != weights.description.image_size {
        notes.push(format!(
            "pictures of {height}×{width} pixels, as `data.image_size` says; the weights were trained at \
             {trained_height}×{trained_width}"
        ));
    }
    Ok(notes)
}

fn is_custom(model: &ModelConfig) -> bool {
    model.size == "custom"
}

/// A network in a sentence.
fn named(model: &ModelConfig) -> String {
    let ModelConfig { size, block, depths, widths, stem_stride, .. } = model;
    let block = json!(block);
    let block = block.as_str().unwrap_or_default();
    format!("{size} ({block}, depths {depths:?}, widths {widths:?}, stem stride {stem_stride})")
}
