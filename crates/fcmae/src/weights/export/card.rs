//! The model card: what the weights are, and how to load them.

use std::fmt::Write as _;

use fcmae_data::Depth;
use fcmae_words::plural;

use super::format::ExportFormat;
use crate::weights::{DEEP_VALUES, Description};

pub(super) fn text(description: &Description, about: &str, format: ExportFormat) -> String {
    let model = &description.model;
    let [height, width] = description.image_size;
    let classifies = !description.classes.is_empty();
    let (library, usage) = match format {
        ExportFormat::Timm => ("timm", timm(classifies, description.depth)),
        ExportFormat::Transformers => ("transformers", transformers(classifies, description.depth)),
        ExportFormat::Authors => ("pytorch", AUTHORS.to_owned()),
        ExportFormat::Onnx(_) => ("onnx", onnx(model.channels, description.depth)),
    };
    let usage = match preparation_note(description) {
        Some(note) => format!("{note}\n\n{usage}"),
        None => usage,
    };
    let task = if classifies { "image-classification" } else { "image-feature-extraction" };
    let classes = match description.classes.len() {
        0 => "none (features only)".to_owned(),
        count => format!("{count}: {}", description.classes.join(", ")),
    };
    let mut text = format!(
        "---\nlibrary_name: {library}\npipeline_tag: {task}\ntags:\n- {}\n- fcmae\n---\n\n",
        description.family()
    );
    let _ = write!(
        text,
        "# {}\n\n{about}\n\n- network: depths {:?}, widths {:?}, stem stride {}, {}\n\
         - trained at {height}×{width} pixels, mean {:?}, std {:?}\n- classes: {classes}\n\n{usage}\n\
         {}\n",
        description.name(),
        model.depths,
        model.widths,
        model.stem_stride,
        plural(model.channels, "channel"),
        description.mean,
        description.std,
        own_use(format, classifies),
    );
    text
}

/// What fcmae itself does with the folder.
fn own_use(format: ExportFormat, classifies: bool) -> String {
    if matches!(format, ExportFormat::Onnx(_)) {
        return "Made by fcmae, which writes ONNX but does not read it: continue from the weights that this was \
            made from."
            .to_owned();
    }
    let predict = if classifies { ", `fcmae predict IMAGE --weights .`" } else { "" };
    format!(
        "Made by fcmae, which also reads this folder: `fcmae inspect .`, `fcmae finetune --from . …`{predict}"
    )
}

/// Why an export has no preparation that other programs would follow, for deep pictures; and what it is.
pub(super) fn preparation_note(description: &Description) -> Option<String> {
    let [height, width] = description.image_size;
    (description.depth == Depth::Deep).then(|| {
        format!(
            "The pictures are deep (`data.depth = \"deep\"`). The preparation of other programs does not fit: \
             they divide by 255, as for 8 bits, so none is written. Prepare them like this: {DEEP_VALUES}; \
             resize to {height}×{width} pixels; subtract the mean and divide by the std of each channel, which \
             are of these values."
        )
    })
}

fn python(code: &str) -> String {
    format!("```python\n{code}\n```\n")
}

fn timm(classifies: bool, depth: Depth) -> String {
    let output = if classifies { "logits" } else { "features" };
    if depth == Depth::Deep {
        return python(&format!(
            "import timm\n\nmodel = timm.create_model(\"local-dir:.\", pretrained=True).eval()\n\
             # batch: float32, [N, channels, height, width], prepared as said above\n\
             {output} = model(batch)"
        ));
    }
    python(&format!(
        "import timm\n\nmodel = timm.create_model(\"local-dir:.\", pretrained=True).eval()\n\
         config = timm.data.resolve_data_config(model=model)\n\
         transform = timm.data.create_transform(**config)\n\
         {output} = model(transform(image).unsqueeze(0))"
    ))
}

fn transformers(classifies: bool, depth: Depth) -> String {
    let (class, output) = match classifies {
        true => ("AutoModelForImageClassification", "logits"),
        false => ("AutoModel", "pooler_output"),
    };
    if depth == Depth::Deep {
        return python(&format!(
            "from transformers import {class}\n\n\
             model = {class}.from_pretrained(\".\").eval()\n\
             # batch: float32, [N, channels, height, width], prepared as said above\n\
             {output} = model(pixel_values=batch).{output}"
        ));
    }
    python(&format!(
        "from transformers import AutoImageProcessor, {class}\n\n\
         processor = AutoImageProcessor.from_pretrained(\".\")\n\
         model = {class}.from_pretrained(\".\").eval()\n\
         {output} = model(**processor(image, return_tensors=\"pt\")).{output}"
    ))
}

const AUTHORS: &str = "\
`model.pth` holds the dense network as the authors' code names it, under `[\"model\"]`: \
`--finetune model.pth` or `--resume model.pth --eval true` of \
[ConvNeXt-V2](https://github.com/facebookresearch/ConvNeXt-V2).
";

fn onnx(channels: usize, depth: Depth) -> String {
    let call = python(
        "import onnxruntime\n\nsession = onnxruntime.InferenceSession(\"model.onnx\")\n\
         outputs = session.run(None, {\"image\": batch})",
    );
    let values = match depth {
        Depth::Eight => "values from 0 to 1",
        Depth::Deep => "values prepared as said above",
    };
    format!(
        "The input `image` is float32, `[batch, {channels}, height, width]`: {values}, minus \
         the mean, over the std. The file's metadata says how pictures are prepared, and names the \
         classes.\n\n{call}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::onnx::{OnnxOptions, OnnxOutput};

    /// fcmae reads what all formats but ONNX hold.
    #[test]
    fn no_command_is_suggested_that_cannot_read_the_folder() {
        let onnx = OnnxOptions { output: OnnxOutput::Logits, dynamic_size: false };
        assert!(!own_use(ExportFormat::Onnx(onnx), true).contains("`fcmae"));
        for format in [ExportFormat::Timm, ExportFormat::Transformers, ExportFormat::Authors] {
            assert!(own_use(format, true).contains("predict IMAGE --weights ."));
            assert!(!own_use(format, false).contains("predict"));
        }
    }
}
