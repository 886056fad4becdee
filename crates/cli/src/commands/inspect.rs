//! `fcmae inspect`.

use anyhow::Result;
use clap::Args;
use fcmae::config::MaskedEncoder;
use fcmae::weights::inspection::{Inspection, Use};
use fcmae_data::source::printable;
use fcmae_words::terminal::plain;
use fcmae_words::{counted, grouped};

use crate::options::AnyWeightsArg;
use crate::output;
use crate::text_table::{Align, Table};

/// Show what a weights file, a checkpoint or a run is made of
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae inspect runs/fine
  fcmae inspect runs/fine --all
  fcmae inspect model.safetensors --json")]
pub(crate) struct Inspect {
    #[command(flatten)]
    weights: AnyWeightsArg,

    /// List every tensor, instead of totals for each part
    #[arg(long, conflicts_with = "json")]
    all: bool,

    /// Print one JSON object, with every tensor, instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Inspect) -> Result<()> {
    let inspection = fcmae::weights::inspection::inspect(&args.weights.weights)?;
    output::print(&match args.json {
        true => output::json(&inspection)?,
        false => plain(&text(&inspection, args.all)),
    })
}

fn text(inspection: &Inspection, all: bool) -> String {
    let mut text = String::new();
    for (name, value) in facts(inspection) {
        let value = value.replace('\n', "\\n");
        text.push_str(&format!("{name:11}  {value}\n"));
    }
    text + "\n" + &if all { tensors(inspection) } else { parts(inspection) }
}

/// What is said of the weights, a line each.
fn facts(inspection: &Inspection) -> Vec<(&'static str, String)> {
    let description = &inspection.description;
    let model = &description.model;
    let [height, width] = description.image_size;
    let dtypes: Vec<_> =
        inspection.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
    let mut facts = vec![
        ("file", printable(&inspection.file)),
        ("size", format!("{} bytes", grouped(inspection.bytes as usize))),
        ("blake3", inspection.blake3.clone()),
        ("format", inspection.format.clone()),
        ("names", inspection.scheme.name().to_owned()),
        ("kind", inspection.kind.to_owned()),
        ("network", inspection.architecture.clone()),
        ("depths", format!("{:?}", model.depths)),
        ("widths", format!("{:?}", model.widths)),
        ("stem stride", format!("{} (patches of {} pixels)", model.stem_stride, model.patch())),
        ("image", format!("{height}×{width}, {}", counted(model.channels, "channel"))),
        ("parameters", grouped(inspection.parameters)),
        ("tensors", dtypes.join(", ")),
    ];
    if let Some((decoder, mask)) = &description.decoder {
        let encoder = match mask.encoder {
            MaskedEncoder::Sparse => "",
            MaskedEncoder::Dense => ", dense encoder",
        };
        let text = format!(
            "width {}, {}, mask ratio {}{encoder}",
            decoder.width,
            counted(decoder.depth, "block"),
            mask.ratio
        );
        facts.push(("decoder", text));
    }
    if !description.classes.is_empty() {
        let classes = &description.classes;
        facts.push(("classes", format!("{}: {}", classes.len(), shortened(classes))));
    }
    for Use { what, missing } in &inspection.uses {
        let state = match missing.len() {
            0 => "ready".to_owned(),
            count => format!("lacks {}: {}", counted(count, "tensor"), shortened(missing)),
        };
        facts.push(("use", format!("{what}: {state}")));
    }
    if !inspection.unknown.is_empty() {
        let unknown = &inspection.unknown;
        let text = format!("{}: {}", counted(unknown.len(), "tensor"), shortened(unknown));
        facts.push(("unknown", text));
    }
    facts.extend(inspection.notes.iter().map(|note| ("note", note.clone())));
    facts
}

/// How the parameters are shared out.
fn parts(inspection: &Inspection) -> String {
    let mut table = Table::new([
        ("part", Align::Left),
        ("tensors", Align::Right),
        ("parameters", Align::Right),
    ]);
    for part in &inspection.parts {
        table.row([part.name.clone(), part.tensors.to_string(), grouped(part.parameters)]);
    }
    table.row([
        "all".to_owned(),
        inspection.parts.iter().map(|part| part.tensors).sum::<usize>().to_string(),
        grouped(inspection.parts.iter().map(|part| part.parameters).sum::<usize>()),
    ]);
    table.text() + "\n--all lists every tensor with its shape\n"
}

/// Every tensor by its name in the file.
fn tensors(inspection: &Inspection) -> String {
    let mut table = Table::new([("tensor", Align::Left), ("shape", Align::Left)]);
    for (name, shape) in &inspection.tensors {
        table.row([name.clone(), format!("{shape:?}")]);
    }
    table.text()
}

/// The first few of a list; the whole is in the JSON.
fn shortened(list: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = list[..list.len().min(SHOWN)].join(", ");
    if list.len() > SHOWN {
        text.push_str(&format!(", and {} more", list.len() - SHOWN));
    }
    text
}
