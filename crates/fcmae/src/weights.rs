//! Weights and what belongs to them: the network they are of, and how its pictures are prepared.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use fcmae_data::Normalization;
use fcmae_store::{HostTensor, NamedTensors, Record, safetensors};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::autoencoder::Autoencoder;
use crate::config::{
    BlockKind, DataConfig, DecoderConfig, GrnConfig, MaskConfig, ModelConfig, Size,
};
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::parameters;

/// All that is needed to use weights, beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The encoder.
    pub model: ModelConfig,
    /// The decoder and masking, where the weights are of a whole autoencoder.
    pub decoder: Option<(DecoderConfig, MaskConfig)>,
    /// Class names in the order of the logits; empty without a head.
    pub classes: Vec<String>,
    /// Height and width in pixels that the network was trained at.
    pub image_size: [usize; 2],
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub std: Vec<f32>,
}

impl Description {
    /// Of a network trained with these settings.
    pub fn new(model: &ModelConfig, data: &DataConfig) -> Self {
        Self {
            model: model.clone(),
            decoder: None,
            classes: Vec::new(),
            image_size: data.image_size,
            mean: data.mean.clone(),
            std: data.std.clone(),
        }
    }

    /// How pixels become the network's input.
    pub fn normalization(&self) -> Normalization {
        Normalization { mean: self.mean.clone(), std: self.std.clone() }
    }

    /// What the network is called: timm's name, or `convnextv2_custom` for other depths and widths.
    pub fn name(&self) -> String {
        format!("{}_{}", self.family(), self.model.size)
    }

    /// The name by which timm builds the network: one of other depths and widths is the smallest
    /// published one, with the depths and widths given beside it.
    fn architecture(&self) -> String {
        let size = if self.model.size == "custom" { Size::Atto.name() } else { &self.model.size };
        format!("{}_{size}", self.family())
    }

    fn family(&self) -> &'static str {
        match self.model.block {
            BlockKind::V1 => "convnext",
            BlockKind::V2 => "convnextv2",
        }
    }

    /// Whether timm keeps the block's linear layers as 1×1 convolutions: in its sizes up to nano.
    fn linear_as_convolution(&self) -> bool {
        !matches!(self.model.size.as_str(), "tiny" | "base" | "large" | "huge")
    }
}

/// Weights from a file, with their description.
#[derive(Debug)]
pub struct Weights {
    /// Where they were read from.
    pub path: PathBuf,
    /// By the names of files.
    pub tensors: NamedTensors,
    /// What they are of.
    pub description: Description,
    /// Anything the user should know, such as a damaged checkpoint that was passed over.
    pub notes: Vec<String>,
}

impl Weights {
    /// Reads a run folder, an export or checkpoint folder, or a `.safetensors` file.
    ///
    /// The description stands beside the weights (`config.json`) or in the run (`run.json`). For a
    /// bare file it is inferred from names and shapes, with the mean and deviation of ImageNet.
    ///
    /// # Errors
    /// Nothing there, a damaged file, or tensors that are no ConvNeXt.
    pub fn open(path: &Path) -> Result<Self> {
        let resolved = fcmae_store::weights::resolve(path)?;
        let mut tensors = safetensors::load(&resolved.model)?.tensors;
        flatten_convolutions(&mut tensors);
        let recorded = match (&resolved.config, &resolved.run) {
            (Some(config), _) => read_json(config)?.get("fcmae").cloned(),
            (None, Some(run)) => Record::read(run)?.facts.get("weights").cloned(),
            (None, None) => None,
        };
        let file = |reason| Error::File { path: resolved.model.clone(), reason };
        let description = match recorded {
            Some(value) => {
                let mut description: Description = serde_json::from_value(value)
                    .map_err(|error| file(format!("its description cannot be read: {error}")))?;
                description.model = description.model.resolve()?;
                description
            }
            None => infer(&tensors).map_err(file)?,
        };
        let notes = resolved.damaged.iter().map(ToString::to_string).collect();
        Ok(Self { path: resolved.model, tensors, description, notes })
    }

    /// The classifier with these weights, without autodiff.
    ///
    /// # Errors
    /// Weights without a head (of a pre-training run), or of another network.
    pub fn classifier(&self, device: &Device) -> Result<Classifier> {
        let classes = self.description.classes.len();
        if classes == 0 {
            return Err(Error::Unusable(format!(
                "{}: these weights have no classification head; fine-tune them first \
                 (fcmae finetune --from …)",
                self.path.display()
            )));
        }
        self.fill(Classifier::new(&self.description.model, classes, device))
    }

    /// The autoencoder with these weights, without autodiff.
    ///
    /// # Errors
    /// Weights without a decoder (fine-tuned, or from elsewhere), or of another network.
    pub fn autoencoder(&self, device: &Device) -> Result<(Autoencoder, MaskConfig)> {
        let Some((decoder, mask)) = &self.description.decoder else {
            return Err(Error::Unusable(format!(
                "{}: these weights have no decoder; give the run folder of a pre-training",
                self.path.display()
            )));
        };
        let model = self.fill(Autoencoder::new(&self.description.model, decoder, device))?;
        Ok((model, mask.clone()))
    }

    /// The encoder's weights put into a module that has an encoder; the rest of the module stays.
    ///
    /// # Errors
    /// Weights that lack a part of the encoder, or are of another network.
    pub fn fill_encoder<M: Module>(&self, module: M) -> Result<M> {
        let is_encoder = |name: &str| name.starts_with("stem.") || name.starts_with("stages.");
        let mut encoder = NamedTensors::default();
        for (name, tensor) in self.tensors.iter().filter(|(name, _)| is_encoder(name)) {
            encoder.insert(name.clone(), tensor.clone());
        }
        let mut expected = parameters::shapes(&module);
        expected.retain(|(name, _)| is_encoder(name));
        let mismatch = encoder.difference(&expected);
        if mismatch.is_empty() {
            return Ok(parameters::replace(module, &encoder));
        }
        Err(self.mismatch(&mismatch))
    }

    fn fill<M: Module>(&self, module: M) -> Result<M> {
        parameters::from_host(module, &self.tensors).map_err(|mismatch| self.mismatch(&mismatch))
    }

    fn mismatch(&self, mismatch: &fcmae_store::Mismatch) -> Error {
        let model = &self.description.model;
        Error::Weights {
            path: self.path.clone(),
            model: format!("{} {:?} {:?}", self.description.name(), model.depths, model.widths),
            mismatch: mismatch.to_string(),
        }
    }
}

/// timm keeps some linear weights as `[out, in, 1, 1]`.
fn flatten_convolutions(tensors: &mut NamedTensors) {
    let names: Vec<String> = tensors.names().map(str::to_owned).collect();
    for name in names.iter().filter(|name| name.contains(".mlp.fc") && name.ends_with(".weight")) {
        if let Some(mut tensor) = tensors.remove(name) {
            if let [_, _, 1, 1] = tensor.shape[..] {
                tensor.shape.truncate(2);
            }
            tensors.insert(name.clone(), tensor);
        }
    }
}

fn read_json(path: &Path) -> Result<serde_json::Value> {
    let error = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| error(format!("cannot be read: {e}")))?;
    serde_json::from_str(&text).map_err(|e| error(format!("is not JSON: {e}")))
}

/// The network that tensors in timm's naming are of.
fn infer(tensors: &NamedTensors) -> Result<Description, String> {
    let shape = |name: &str| tensors.get(name).map(|tensor| tensor.shape.as_slice());
    let Some(&[first, channels, stride, _]) = shape("stem.0.weight") else {
        return Err(
            "no ConvNeXt in timm's naming: there is no `stem.0.weight [C, channels, k, k]`; \
                    other namings cannot be read yet"
                .to_owned(),
        );
    };
    let mut widths = [first, 0, 0, 0];
    let mut depths = [0; 4];
    for stage in 0..4 {
        if stage > 0 {
            let name = format!("stages.{stage}.downsample.1.weight");
            widths[stage] = shape(&name).and_then(|s| s.first().copied()).unwrap_or(0);
        }
        let block = |block| format!("stages.{stage}.blocks.{block}.conv_dw.weight");
        depths[stage] = (0..).take_while(|&b| tensors.get(&block(b)).is_some()).count();
    }
    let v2 = tensors.names().any(|name| name.contains(".grn."));
    let named = Size::ALL.into_iter().find(|s| (s.depths(), s.widths()) == (depths, widths));
    let model = ModelConfig {
        size: named.map_or("custom", Size::name).to_owned(),
        depths,
        widths,
        block: if v2 { BlockKind::V2 } else { BlockKind::V1 },
        grn: GrnConfig::default(),
        channels,
        stem_stride: stride,
    };
    let model = model.resolve().map_err(|error| error.to_string())?;
    let classes = shape("head.fc.bias").and_then(|s| s.first().copied()).unwrap_or(0);
    let normalization = u32::try_from(channels).ok().and_then(|c| Normalization::imagenet(c).ok());
    let normalization =
        normalization.ok_or_else(|| format!("{channels} channels; 1 or 3 are supported"))?;
    Ok(Description {
        model,
        decoder: None,
        classes: (0..classes).map(|class| class.to_string()).collect(),
        image_size: [224, 224],
        mean: normalization.mean,
        std: normalization.std,
    })
}

/// The files of an export folder: the weights in timm's naming and shapes, and what describes them.
///
/// # Errors
/// Never for tensors of a module.
pub fn export_files(
    tensors: &NamedTensors,
    description: &Description,
    about: &str,
) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let [height, width] = description.image_size;
    let model = &description.model;
    let mut written = NamedTensors::default();
    for (name, tensor) in tensors.iter() {
        let mut shape = tensor.shape.clone();
        let convolution = description.linear_as_convolution() && name.starts_with("stages.");
        if convolution && name.contains(".mlp.fc") && shape.len() == 2 {
            shape.extend([1, 1]);
        }
        written.insert(name.clone(), HostTensor { shape, data: tensor.data.clone() });
    }
    let mut arguments = json!({ "in_chans": model.channels, "patch_size": model.stem_stride });
    if model.size == "custom" {
        arguments["depths"] = json!(model.depths);
        arguments["dims"] = json!(model.widths);
    }
    let config = json!({
        "architecture": description.architecture(),
        "num_classes": description.classes.len(),
        "num_features": model.features(),
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [model.channels, height, width],
            "fixed_input_size": false,
            "interpolation": "bicubic",
            "crop_pct": 0.875,
            "crop_mode": "center",
            "mean": description.mean,
            "std": description.std,
            "num_classes": description.classes.len(),
            "label_names": description.classes,
            "first_conv": "stem.0",
            "classifier": "head.fc",
        },
        "fcmae": description,
    });
    let preprocessor = json!({
        "image_processor_type": "ConvNextImageProcessor",
        "do_resize": true,
        "size": { "shortest_edge": height.min(width) },
        "crop_pct": 0.875,
        "resample": 3,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": description.mean,
        "image_std": description.std,
    });
    let pretty = |value: &serde_json::Value| format!("{value:#}\n").into_bytes();
    Ok(vec![
        ("config.json", pretty(&config)),
        ("model.safetensors", safetensors::to_bytes(&written, &Default::default())?),
        ("preprocessor_config.json", pretty(&preprocessor)),
        ("README.md", card(description, about).into_bytes()),
    ])
}

fn card(description: &Description, about: &str) -> String {
    let model = &description.model;
    let [height, width] = description.image_size;
    let classes = match description.classes.len() {
        0 => "none (features only)".to_owned(),
        count => format!("{count}: {}", description.classes.join(", ")),
    };
    format!(
        "# {}\n\n{about}\n\n- network: depths {:?}, widths {:?}, stem stride {}, {} channels\n\
         - trained at {height}×{width} pixels, mean {:?}, std {:?}\n- classes: {classes}\n\n\
         Made by [fcmae](https://crates.io/crates/fcmae). Use: `fcmae predict IMAGE --weights .`\n",
        description.name(),
        model.depths,
        model.widths,
        model.stem_stride,
        model.channels,
        description.mean,
        description.std,
    )
}
