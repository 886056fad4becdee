//! `fcmae export`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use fcmae::weights::export::{self, ExportFormat};
use fcmae::weights::onnx::{OnnxOptions, OnnxOutput};
use fcmae_data::source::printable;
use fcmae_words::grouped;

use crate::failure::Usage;
use crate::options::{AnyWeightsArg, weights_at};
use crate::output;

/// Write weights for other programs: timm, transformers, the authors' code, ONNX
#[derive(Args)]
#[command(after_help = "\
Reads weights with the names of timm, the authors, transformers or mmpretrain, from .safetensors or .pth files. The \
decoder is left out, since no other program can use it.

Examples:
  fcmae export runs/fine --format timm --out fine-timm
  fcmae export runs/fine --format onnx --out fine-onnx
  fcmae export runs/pre --format onnx --output features --dynamic-size --out backbone
  fcmae export convnextv2_atto_1k_224_ema.pt --format transformers --out atto-hf")]
pub(crate) struct Export {
    #[command(flatten)]
    weights: AnyWeightsArg,

    /// Program to write for
    #[arg(long, value_enum)]
    format: ExportTo,

    /// Folder to write
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,

    /// Output of an ONNX network [default: logits]
    #[arg(long, value_enum)]
    output: Option<Onnx>,

    /// Let an ONNX network accept pictures of any height and width
    #[arg(long)]
    dynamic_size: bool,

    /// Replace the folder if it exists
    #[arg(long)]
    overwrite: bool,
}

/// Whom exported weights are for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportTo {
    /// A folder for timm.create_model("local-dir:FOLDER", pretrained=True)
    Timm,
    /// A folder for from_pretrained("FOLDER") of Hugging Face transformers
    Transformers,
    /// A model.pth for the authors' PyTorch code
    Authors,
    /// A model.onnx for ONNX Runtime, OpenVINO and others
    Onnx,
}

/// What an ONNX network computes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Onnx {
    /// A score for each class
    Logits,
    /// One vector per picture
    Embeddings,
    /// The maps of the four stages, for detection or segmentation
    Features,
}

pub(super) fn run(args: &Export) -> Result<()> {
    let format = format(args)?;
    output::refuse_own(&args.out, "--out")?;
    refuse_existing(&args.out, args.overwrite)?;
    let weights = weights_at(&args.weights.weights)?;
    let of_pictures = export::preparation_note(&weights.description);
    of_pictures.iter().for_each(|note| output::note(note));
    output::create_parent(&args.out)?;
    let files = export::write(&weights, &args.out, format)?;
    let mut text = String::new();
    for (name, bytes) in files {
        let path = args.out.join(name);
        text.push_str(&format!("{}  {} bytes\n", printable(&path), grouped(bytes)));
    }
    output::print(&text)
}

/// The folder is replaced as a whole: so it must be none yet, be empty, or hold an export alone.
fn refuse_existing(folder: &Path, overwrite: bool) -> Result<()> {
    let shown = printable(folder);
    let refuse = |why: String| Err(Usage(format!("{shown} {why}")).into());
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    if !folder.is_dir() {
        return refuse("is not a folder; choose another --out".to_owned());
    }
    let entries = std::fs::read_dir(folder).with_context(|| format!("{shown} cannot be read"))?;
    let names: Vec<_> = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    let foreign = names.iter().find(|name| !EXPORTED.iter().any(|known| name == known));
    match foreign {
        None if overwrite || names.is_empty() => Ok(()),
        None => refuse("exists; choose another --out, or replace it with --overwrite".to_owned()),
        Some(name) => refuse(format!(
            "holds `{}`, which is not a file of an export; choose another --out",
            printable(Path::new(name))
        )),
    }
}

/// All files that exports consist of.
const EXPORTED: [&str; 7] = [
    "README.md",
    "config.json",
    "model.onnx",
    "model.onnx.data",
    "model.pth",
    "model.safetensors",
    "preprocessor_config.json",
];

fn format(args: &Export) -> Result<ExportFormat> {
    if args.format != ExportTo::Onnx && (args.output.is_some() || args.dynamic_size) {
        let text = "--output and --dynamic-size are for --format onnx: other formats hold the weights, \
                    not what is computed";
        return Err(Usage(text.to_owned()).into());
    }
    Ok(match args.format {
        ExportTo::Timm => ExportFormat::Timm,
        ExportTo::Transformers => ExportFormat::Transformers,
        ExportTo::Authors => ExportFormat::Authors,
        ExportTo::Onnx => ExportFormat::Onnx(OnnxOptions {
            output: match args.output.unwrap_or(Onnx::Logits) {
                Onnx::Logits => OnnxOutput::Logits,
                Onnx::Embeddings => OnnxOutput::Embeddings,
                Onnx::Features => OnnxOutput::Features,
            },
            dynamic_size: args.dynamic_size,
        }),
    })
}
