//! Networks as ONNX files, for other runtimes.
//!
//! Operator set 17 in float32, so that runtimes since 2022 read them. The input `image` is
//! `[batch, channels, height, width]`, normalized; the batch is any. Whoever wants OpenVINO's last
//! tenth of speed fixes the batch there, by `reshape`.

mod encode;
mod network;
mod operators;
mod protobuf;
#[cfg(test)]
mod tests;

use fcmae_data::augment::{EvalResize, MAX_SIDE};
use fcmae_data::{Depth, EvalTransform};
use fcmae_store::{HostTensor, NamedTensors};

use self::network::Network;
use self::operators::{IR_VERSION, OPERATOR_SET, Operators};
use self::protobuf::{Dimension, Graph, Model, OperatorSetId, StringStringEntry, ValueInfo};
use crate::config::{BlockKind, ModelConfig};
use crate::engine::parameters::Layout;
use crate::error::{ConfigError, Error, Result};
use crate::network::model::Classifier;
use crate::weights::{DEEP_VALUES, Description};

/// What an exported network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnnxOutput {
    /// `logits [batch, classes]`.
    #[default]
    Logits,
    /// `embeddings [batch, C]`: the last stage's mean over sites, through the head's norm where
    /// there is one.
    Embeddings,
    /// `stage1` to `stage4`, each `[batch, C, height / stride, width / stride]`, before any norm.
    /// The strides are 1, 2, 4 and 8 times the stem's: 4, 8, 16, 32 as a rule.
    Features,
}

/// How a network is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnnxOptions {
    /// What it computes.
    pub output: OnnxOutput,
    /// Whether it takes pictures of any height and width (multiples of the patch side, as a rule
    /// 32), not only of the size that the weights were trained at.
    pub dynamic_size: bool,
}

/// The files of an exported network: `model.onnx`, and `model.onnx.data` beside it where the weights
/// are more than one file of this format holds (2 GiB).
///
/// `tensors` have the names and shapes of [`Weights::tensors`](crate::weights::Weights::tensors);
/// those of a decoder, or of a head that is not asked for, may be among them.
///
/// # Errors
/// Logits of weights without a head, tensors that are not those of the network described, or an
/// image size that cannot be cut into patches.
pub fn files(
    tensors: &NamedTensors,
    description: &Description,
    options: &OnnxOptions,
) -> Result<Vec<(String, Vec<u8>)>> {
    files_of(tensors, description, options, encode::LONGEST_MESSAGE)
}

/// As [`files`], with a `model.onnx` of at most `longest` bytes before the weights go into another.
fn files_of(
    tensors: &NamedTensors,
    description: &Description,
    options: &OnnxOptions,
    longest: usize,
) -> Result<Vec<(String, Vec<u8>)>> {
    let config = description.model.clone().resolve()?;
    check_tensors(tensors, description, &config, options.output)?;
    let size = Size::new(description, &config, options.dynamic_size)?;
    let mut network = Network::new(tensors, &config);
    let output = outputs(&mut network, tensors, description, &config, options.output, &size);
    let Operators { nodes, constants, .. } = network.operators;
    let graph = Graph {
        node: nodes,
        name: description.name(),
        input: vec![ValueInfo::new(
            INPUT,
            size.image(config.channels),
            match description.depth {
                Depth::Eight => {
                    "values from 0 to 1, less the mean, over the standard deviation of their channel"
                }
                Depth::Deep => {
                    "deep values (see `preparation`), less the mean, over the standard deviation of their \
                     channel"
                }
            },
        )],
        output,
    };
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: about(description, &config, options.output),
        opset_import: vec![OperatorSetId { domain: String::new(), version: OPERATOR_SET }],
        metadata_props: metadata(description, &config, &size)?,
    };
    let (model, data) = encode::encode(&model, &graph, &constants, longest);
    let mut files = vec![(MODEL_FILE.to_owned(), model)];
    files.extend(data.map(|data| (encode::DATA_FILE.to_owned(), data)));
    Ok(files)
}

const MODEL_FILE: &str = "model.onnx";
const INPUT: &str = "image";
const HEAD_NORM: &str = "head.norm";
const HEAD_CLASSES: &str = "head.fc";

/// Height and width of the input in pixels, and what they become.
struct Size {
    transform: EvalTransform,
    stem_stride: usize,
    dynamic: bool,
}

impl Size {
    fn new(description: &Description, config: &ModelConfig, dynamic: bool) -> Result<Self> {
        let [height, width] = description.image_size;
        config.patch_grid(height, width)?;
        if let Some(side) = [height, width].into_iter().find(|&side| side > MAX_SIDE as usize) {
            return Err(Error::Config(ConfigError::OutOfRange {
                key: "data.image_size",
                value: side.to_string(),
                range: format!("at most {MAX_SIDE}"),
            }));
        }
        let transform = description.transform();
        Ok(Self { transform, stem_stride: config.stem_stride, dynamic })
    }

    fn sides(&self) -> [(&'static str, u32); 2] {
        [("height", self.transform.height), ("width", self.transform.width)]
    }

    /// `[batch, channels, height, width]`.
    fn image(&self, channels: usize) -> Vec<Dimension> {
        let sides = self.sides().map(|(name, side)| {
            if self.dynamic { Dimension::named(name) } else { Dimension::fixed(i64::from(side)) }
        });
        with_batch(channels).into_iter().chain(sides).collect()
    }

    /// The shape of the output `name` of stage `stage`, counted from 0.
    fn stage(&self, name: &str, stage: usize, channels: usize) -> Vec<Dimension> {
        let stride = (self.stem_stride << stage) as i64;
        let sides = self.sides().map(|(side, pixels)| {
            if self.dynamic {
                Dimension::named(&format!("{name}_{side}"))
            } else {
                Dimension::fixed(i64::from(pixels) / stride)
            }
        });
        with_batch(channels).into_iter().chain(sides).collect()
    }
}

/// `[batch, channels]`.
fn with_batch(channels: usize) -> [Dimension; 2] {
    // At most 65,536 channels, or as many classes as a weight in memory has rows.
    [Dimension::named("batch"), Dimension::fixed(channels as i64)]
}

/// Writes the network down as far as the output needs it.
fn outputs(
    network: &mut Network,
    tensors: &NamedTensors,
    description: &Description,
    config: &ModelConfig,
    output: OnnxOutput,
    size: &Size,
) -> Vec<ValueInfo> {
    let mut outputs = Vec::new();
    if output == OnnxOutput::Features {
        network.encoder(INPUT, |network, stage, x| {
            let name = format!("stage{}", stage + 1);
            network.operators.apply("Identity", name.as_str(), &[x], vec![]);
            let shape = size.stage(&name, stage, config.widths[stage]);
            outputs.push(ValueInfo::new(&name, shape, "features before any norm"));
        });
        return outputs;
    }
    let x = network.encoder(INPUT, |_, _, _| ());
    if output == OnnxOutput::Logits {
        let name = "logits";
        let x = network.pool("head.pooled", &x);
        let x = network.norm(HEAD_NORM, HEAD_NORM, &x);
        network.classes(name, HEAD_CLASSES, &x);
        let shape = with_batch(description.classes.len()).to_vec();
        outputs.push(ValueInfo::new(name, shape, "one for each class, before the softmax"));
    } else {
        let name = "embeddings";
        let about = if has_head_norm(tensors) {
            let x = network.pool("head.pooled", &x);
            network.norm(name, HEAD_NORM, &x);
            "the features' mean over the picture, after layer norm"
        } else {
            network.pool(name, &x);
            "the features' mean over the picture"
        };
        outputs.push(ValueInfo::new(name, with_batch(config.features()).to_vec(), about));
    }
    outputs
}

fn has_head_norm(tensors: &NamedTensors) -> bool {
    tensors.get(&format!("{HEAD_NORM}.weight")).is_some()
}

/// Whether all that the output needs is there, in the network's shapes.
fn check_tensors(
    tensors: &NamedTensors,
    description: &Description,
    config: &ModelConfig,
    output: OnnxOutput,
) -> Result<()> {
    let classes = description.classes.len();
    if output == OnnxOutput::Logits && classes == 0 {
        return Err(Error::Unusable(
            "these weights have no classification head, so there are no logits to export; export \
             embeddings or features, or fine-tune the weights first (fcmae finetune --from …)"
                .to_owned(),
        ));
    }
    let is_needed = |name: &str| match output {
        _ if !name.starts_with("head.") => name.starts_with("stem.") || name.starts_with("stages."),
        OnnxOutput::Logits => true,
        OnnxOutput::Embeddings => name.starts_with(HEAD_NORM) && has_head_norm(tensors),
        OnnxOutput::Features => false,
    };
    let (_, layout) = Layout::of(|names| Classifier::new(names, config, classes));
    let mut expected = layout.shapes();
    expected.retain(|(name, _)| is_needed(name));
    let mut mismatch = tensors.difference(&expected);
    mismatch.unexpected.retain(|(name, _)| is_needed(name));
    if !mismatch.is_empty() {
        let network = description.name();
        return Err(Error::Unusable(format!("no ONNX file of {network} can be made: {mismatch}")));
    }
    for (name, shape) in expected {
        let values = tensors.get(&name).map_or(0, |HostTensor { data, .. }| data.len());
        if shape.iter().product::<usize>() != values {
            return Err(fcmae_store::Error::BadTensor { name, shape, values }.into());
        }
    }
    Ok(())
}

fn about(description: &Description, config: &ModelConfig, output: OnnxOutput) -> String {
    let version = match config.block {
        BlockKind::V1 => "ConvNeXt",
        BlockKind::V2 => "ConvNeXt V2",
    };
    let output = match output {
        OnnxOutput::Logits => format!("logits of {} classes", description.classes.len()),
        OnnxOutput::Embeddings => format!("embeddings of {} numbers", config.features()),
        OnnxOutput::Features => "feature maps of four stages".to_owned(),
    };
    format!("{version}, size {}: pictures to {output}", config.size)
}

/// What a program needs to know to use the network, as strings and JSON.
fn metadata(
    description: &Description,
    config: &ModelConfig,
    size: &Size,
) -> Result<Vec<StringStringEntry>> {
    Ok(vec![
        StringStringEntry::new("architecture", description.name()),
        StringStringEntry::new("classes", json(&description.classes)?),
        StringStringEntry::new("image_size", json(&description.image_size)?),
        StringStringEntry::new("mean", json(&description.mean)?),
        StringStringEntry::new("std", json(&description.std)?),
        StringStringEntry::new("resize", json(&size.transform.resize)?),
        StringStringEntry::new("preparation", preparation(description, config, &size.transform)),
    ])
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    let unwritable = |error| Error::Unusable(format!("the description is no JSON: {error}"));
    serde_json::to_string(value).map_err(unwritable)
}

/// How a picture becomes the input, in words.
fn preparation(
    description: &Description,
    config: &ModelConfig,
    transform: &EvalTransform,
) -> String {
    let EvalTransform { height, width, .. } = *transform;
    let resize = match transform.resize {
        EvalResize::Warp => format!("resize to {height}x{width} pixels (height x width), bicubic"),
        EvalResize::CentreCrop { fraction } => {
            let [covered_height, covered_width] =
                [height, width].map(|side| (f64::from(side) / fraction).floor());
            format!(
                "scale, keeping the shape, until the picture just covers \
                 {covered_height}x{covered_width} pixels (height x width), bicubic with \
                 antialiasing; cut {height}x{width} out of the centre"
            )
        }
    };
    let colors = match config.channels {
        1 => "grey",
        3 => "RGB",
        _ => "all channels",
    };
    let values = match description.depth {
        Depth::Eight => format!("{resize}; divide by 255"),
        Depth::Deep => format!("{DEEP_VALUES}; {resize}"),
    };
    format!(
        "{colors}; {values}; subtract the mean and divide by the standard deviation of each channel; \
         channels first"
    )
}
