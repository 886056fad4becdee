//! The model card: what the weights are, and how to load them.

use std::fmt::Write as _;

use fcmae_data::{Depth, EvalResize};
use fcmae_words::plural;

use super::format::ExportFormat;
use crate::weights::onnx::OnnxOutput;
use crate::weights::{DEEP_VALUES, Description};

pub(super) fn text(description: &Description, about: &str, format: ExportFormat) -> String {
    let model = &description.model;
    let [height, width] = description.image_size;
    let classifies = !description.classes.is_empty();
    let (library, usage) = match format {
        ExportFormat::Timm => ("timm", timm(classifies, description.depth)),
        ExportFormat::Transformers => ("transformers", transformers(classifies, description.depth)),
        ExportFormat::Authors => ("pytorch", AUTHORS.to_owned()),
        ExportFormat::Onnx(options) => ("onnx", onnx(description, options.output)),
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

fn onnx(description: &Description, output: OnnxOutput) -> String {
    let channels = description.model.channels;
    let values = match description.depth {
        Depth::Eight => "values from 0 to 1",
        Depth::Deep => "values prepared as said above",
    };
    let picture = match (description.depth, channels) {
        (Depth::Eight, 1) => Some("L"),
        (Depth::Eight, 3) => Some("RGB"),
        _ => None,
    };
    // What Pillow opens as it is; other pictures have a reader of their own.
    let (imports, batch) = match picture {
        Some(mode) => ("from PIL import Image, ImageOps\n", prepared(description, mode)),
        None => ("", prepared_elsewhere(description)),
    };
    let import_json = if output == OnnxOutput::Logits { "import json\n\n" } else { "" };
    let call = python(&format!(
        "{import_json}import numpy as np\nimport onnxruntime\n{imports}\n{batch}\n\n\
         session = onnxruntime.InferenceSession(\"model.onnx\")\n{}",
        shown(output)
    ));
    let needs =
        if picture.is_some() { "numpy, onnxruntime and pillow" } else { "numpy and onnxruntime" };
    format!(
        "The input `image` is float32, `[batch, {channels}, height, width]`: {values}, minus \
         the mean, over the std. The file's metadata says how pictures are prepared, and names the \
         classes. Together, for one picture, with the Python packages {needs}:\n\n{call}"
    )
}

/// Python: a function that makes a file's picture the input, as [`EvalTransform`](fcmae_data::EvalTransform) does.
fn prepared(description: &Description, mode: &str) -> String {
    let [height, width] = description.image_size;
    let resize = match description.transform().resize {
        EvalResize::Warp => format!(
            "    # Resized to {height}×{width} pixels (height×width), whatever its shape.\n    \
             picture = picture.resize(({width}, {height}), Image.Resampling.BICUBIC)\n"
        ),
        EvalResize::CentreCrop { fraction } => {
            let [tall, wide] = [height, width].map(|side| (side as f64 / fraction).floor());
            let size = match height == width {
                true => format!("{tall} * side // min(picture.size) for side in picture.size"),
                false => format!(
                    "round(side * max({wide} / picture.width, {tall} / picture.height)) for side in picture.size"
                ),
            };
            format!(
                "    # Scaled until it just covers {tall}×{wide} pixels (height×width), and the centre cut out.\n    \
                 w, h = ({size})\n    \
                 left, top = round((w - {width}) / 2), round((h - {height}) / 2)\n    \
                 picture = picture.resize((w, h), Image.Resampling.BICUBIC)\n    \
                 picture = picture.crop((left, top, left + {width}, top + {height}))\n"
            )
        }
    };
    format!(
        "\ndef prepared(file):\n    \
         # Upright, and transparent parts white.\n    \
         picture = ImageOps.exif_transpose(Image.open(file)).convert(\"RGBA\")\n    \
         white = Image.new(\"RGBA\", picture.size, \"white\")\n    \
         picture = Image.alpha_composite(white, picture).convert(\"{mode}\")\n\
         {resize}    \
         values = np.asarray(picture, np.float32).reshape({height}, {width}, {}) / 255\n    \
         values = (values - np.float32({:?})) / np.float32({:?})\n    \
         return values.transpose(2, 0, 1)[np.newaxis]\n\n\nbatch = prepared(\"picture.jpg\")",
        description.model.channels, description.mean, description.std,
    )
}

/// Python: an input of the right shape, in place of pictures that Pillow does not read.
fn prepared_elsewhere(description: &Description) -> String {
    let [height, width] = description.image_size;
    format!(
        "# In its place: pictures, prepared as said above.\n\
         batch = np.zeros((1, {}, {height}, {width}), np.float32)",
        description.model.channels
    )
}

/// Python: what comes out.
fn shown(output: OnnxOutput) -> &'static str {
    match output {
        OnnxOutput::Logits => {
            "\
(logits,) = session.run(None, {\"image\": batch})
classes = json.loads(session.get_modelmeta().custom_metadata_map[\"classes\"])
shares = np.exp(logits[0] - logits[0].max())
shares /= shares.sum()
for place in np.argsort(-shares)[:5]:
    print(f\"{shares[place]:6.1%}  {classes[place]}\")"
        }
        OnnxOutput::Embeddings => {
            "\
(embeddings,) = session.run(None, {\"image\": batch})
print(\"one vector for each picture:\", embeddings.shape)"
        }
        OnnxOutput::Features => {
            "\
for output, values in zip(session.get_outputs(), session.run(None, {\"image\": batch})):
    print(output.name, values.shape)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DataConfig, ModelConfig, Size};
    use crate::weights::onnx::OnnxOptions;

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

    /// What it does with pictures was compared with `fcmae predict`, by Python.
    #[test]
    fn the_program_for_onnx_prepares_a_picture_and_shows_what_comes_out() {
        let described = |image_size, resize| Description {
            classes: vec!["cat".to_owned(), "dog".to_owned()],
            image_size,
            resize,
            ..Description::new(&ModelConfig::published(Size::Atto), &DataConfig::default())
        };
        let square = onnx(&described([128, 128], None), OnnxOutput::Logits);
        for line in [
            "from PIL import Image, ImageOps",
            "w, h = (146 * side // min(picture.size) for side in picture.size)",
            "picture = picture.crop((left, top, left + 128, top + 128))",
            "batch = prepared(\"picture.jpg\")",
            "classes = json.loads(",
            "print(f\"{shares[place]:6.1%}  {classes[place]}\")",
        ] {
            assert!(square.contains(line), "{line} in {square}");
        }
        let oblong = onnx(&described([64, 96], None), OnnxOutput::Features);
        assert!(oblong.contains("max(109 / picture.width, 73 / picture.height)"), "{oblong}");
        assert!(oblong.contains("print(output.name, values.shape)") && !oblong.contains("json"));
        let warped = described([64, 96], Some(EvalResize::Warp));
        let warped = onnx(&warped, OnnxOutput::Embeddings);
        assert!(warped.contains("picture.resize((96, 64), "), "{warped}");
        // Pillow does not open what is deep.
        let deep = Description { depth: Depth::Deep, ..described([64, 64], None) };
        let deep = onnx(&deep, OnnxOutput::Logits);
        assert!(deep.contains("batch = np.zeros((1, 3, 64, 64), np.float32)"), "{deep}");
        assert!(!deep.contains("PIL"), "{deep}");
    }
}
