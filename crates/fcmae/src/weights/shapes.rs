//! What weights are of, from their names and shapes alone.

use fcmae_data::Normalization;
use fcmae_data::{Depth, Fill, Limits, Pages};
use fcmae_store::NamedTensors;

use super::adapt;
use super::description::Description;
use crate::config::{BlockKind, DecoderConfig, GrnConfig, MaskConfig, ModelConfig, Size};

/// The network that tensors under timm's names are of, with the mean and deviation of ImageNet and
/// numbers for class names.
pub(super) fn describe(tensors: &NamedTensors) -> Result<Description, String> {
    let model = model(tensors)?;
    let imagenet = Normalization::imagenet_rgb();
    let Normalization { mean, std } = match model.channels {
        3 => imagenet,
        channels => adapt::normalization(&imagenet, channels),
    };
    let classes = classes(tensors)?;
    Ok(Description {
        decoder: decoder(tensors),
        model,
        classes: (0..classes).map(|class| class.to_string()).collect(),
        nameless: true,
        image_size: [224, 224],
        resize: None,
        depth: Depth::default(),
        mean,
        std,
        max_pixels: Limits::default().pixels,
        pages: Pages::default(),
        fill: Fill::default(),
    })
}

/// As many as the head has; a shape of no values can claim any number.
fn classes(tensors: &NamedTensors) -> Result<usize, String> {
    let Some(head) = tensors.get("head.fc.weight") else { return Ok(0) };
    match head.shape.first() {
        Some(&classes) if classes <= head.data.len() => Ok(classes),
        _ => Err(format!("its head is of the shape {:?}, which no network has", head.shape)),
    }
}

fn axis(tensors: &NamedTensors, name: &str, axis: usize) -> Option<usize> {
    tensors.get(name)?.shape.get(axis).copied()
}

fn model(tensors: &NamedTensors) -> Result<ModelConfig, String> {
    let stem = tensors.get("stem.0.weight").map(|tensor| tensor.shape.as_slice());
    let Some(&[first, channels, stride, _]) = stem else {
        return Err(
            "it is not a ConvNeXt: it has no stem of the shape [C, channels, k, k]".to_owned()
        );
    };
    let mut widths = [first, 0, 0, 0];
    let mut depths = [0; 4];
    for stage in 0..4 {
        if stage > 0 {
            let name = format!("stages.{stage}.downsample.1.weight");
            widths[stage] = axis(tensors, &name, 0).unwrap_or(0);
        }
        let block = |block| format!("stages.{stage}.blocks.{block}.conv_dw.weight");
        depths[stage] = (0..).take_while(|&b| tensors.get(&block(b)).is_some()).count();
    }
    let v2 = tensors.names().any(|name| name.starts_with("stages.") && name.contains(".grn."));
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
    model.resolve().map_err(|error| error.to_string())
}

/// The decoder, where the file holds one; what no shape tells is as published.
fn decoder(tensors: &NamedTensors) -> Option<(DecoderConfig, MaskConfig)> {
    let width = axis(tensors, "decoder.proj.weight", 0)?;
    let block = |block| format!("decoder.blocks.{block}.conv_dw.weight");
    let depth = (0..).take_while(|&b| tensors.get(&block(b)).is_some()).count();
    Some((DecoderConfig { width, depth }, MaskConfig::default()))
}
