//! `fcmae finetune`.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use fcmae::config::FinetuneConfig;
use fcmae::training::{LabelledData, StartWeights};
use fcmae_data::source::printable;
use fcmae_store::run::schema::Kind;
use fcmae_words::{counted, grouped};

use super::training::{self, Asked, Own, RunArgs, SettingsArgs};
use crate::numbers::with_interval;
use crate::output;
use crate::progress::Listing;

/// What `--config` takes, with an example of its own: recipes of pre-training are refused here.
const RECIPE: &str = "Recipe: a TOML file, or the name of a built-in one, such as finetune-small";

/// Train a classifier, from pre-trained weights or from scratch
#[derive(Args)]
#[command(
    mut_arg("config", |recipe| recipe.help(RECIPE)),
    override_usage = "fcmae finetune --data <FOLDER|FILE> --from <RUN|FILE|scratch> --out <RUN> [OPTIONS]",
    after_help = "\
Put the pictures of each class into a sub-folder named after the class. A tar archive (WebDataset), a Parquet file, or a \
CSV list with the columns path and label works too.

Examples:
  fcmae finetune --data photos --from runs/pre --out runs/fine --config finetune-small
  fcmae finetune --data photos --from scratch --out runs/scratch --labels 10%
  fcmae finetune --data photos --from runs/pre --out runs/probe --set finetune.freeze=4"
)]
pub(crate) struct Finetune {
    #[command(flatten)]
    run: RunArgs,

    /// Weights to start from: a pre-training run, a weights file, hf:OWNER/NAME, or the word `scratch`. Not
    /// needed with --resume
    #[arg(long, value_name = "RUN|FILE|scratch", required_unless_present_any = ["print_config", "resume"])]
    from: Option<PathBuf>,

    /// Measure the accuracy on these pictures, instead of on a share of --data. They are not trained on
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    held_out: Vec<PathBuf>,

    /// Use only some of the labels: a share of each class, such as 10%, or a number of pictures
    #[arg(long, value_name = "SHARE|N", conflicts_with = "resume")]
    labels: Option<LabelAmount>,

    #[command(flatten)]
    settings: SettingsArgs,
}

/// How many labels are used, as `finetune.labels` says it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct LabelAmount(f64);

impl FromStr for LabelAmount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, scale) = match text.strip_suffix('%') {
            Some(percent) => (percent, 0.01),
            None => (text, 1.0),
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number > 0.0 && (scale == 1.0 || number <= 100.0) => {
                Ok(Self(number * scale))
            }
            _ => {
                Err("use a share, such as 10% or 0.1, or a number of pictures, such as 500"
                    .to_owned())
            }
        }
    }
}

pub(super) fn run(args: &Finetune) -> Result<()> {
    let labels = args.labels.map(|amount| format!("finetune.labels={:?}", amount.0));
    let own = Own { over_all: labels.as_slice(), ..Own::default() };
    let weights = training::named(args.from.as_deref()).map(StartWeights::new);
    let start = training::start(args.from.as_deref(), weights.as_ref(), &args.run);
    let whole = |config: &FinetuneConfig| fcmae::training::settled(config, start);
    let config = training::settings(Kind::Finetuning, &args.run, &args.settings, own, whole)?;
    let asked = Asked {
        model: &config.model,
        decoder: None,
        channels: config.finetune.channels,
        image_size: config.data.image_size,
    };
    training::agree_with(Kind::Finetuning, &asked, weights.as_ref(), &args.run, &args.settings)?;
    if args.settings.print_config {
        return training::print(&whole(&config)?);
    }
    let (training, out) = args.run.folders();
    let data = LabelledData { training, held_out: &args.held_out };
    if args.run.dry_run {
        let config = whole(&config)?;
        let mut listing = Listing::new("finetune");
        let sheet = fcmae::training::preview_finetuning(&config, training, &mut |event| {
            listing.observe(&event)
        })?;
        drop(listing);
        let network = config.model.size.to_string();
        return training::try_out(&config, &network, out, &sheet, |trial, observer| {
            fcmae::training::finetune(&config, data, start, trial, false, observer).map(drop)
        });
    }
    let changing = training::changing(&args.settings);
    let resume = training::resume(&args.run, &changing);
    let (outcome, report) = training::watched("finetune", out, |observer| {
        fcmae::training::finetune(&config, data, start, out, resume, observer)
    })?;
    if !outcome.finished {
        let (start, device) = (again(args), &args.settings.device);
        return Err(training::stopped("finetune", &args.run, &start, device, outcome.step).into());
    }
    let run = printable(out);
    let mut text = format!("done  {}\n", counted(outcome.step as usize, "step"));
    if let (Some(last), Some(best)) = (&outcome.last, outcome.best_top1) {
        let top1 = |share| with_interval(share, last.pictures);
        if last.step < outcome.step {
            text.push_str(&format!(
                "the last weights were not evaluated: these numbers are of step {}\n",
                grouped(last.step as usize)
            ));
        }
        text.push_str(&format!(
            "held out    {}: top-1 {}{}\nbest        top-1 {}, slightly optimistic: it was chosen on these \
             pictures\n",
            counted(last.pictures, "picture"),
            top1(last.top1),
            last.top5.map_or(String::new(), |top5| format!(", top-5 {:.2}%", 100.0 * top5)),
            top1(best),
        ));
    }
    if let Some(report) = report {
        text.push_str(&format!("report  {}\n", printable(&report)));
    }
    output::print(&format!("{text}run  {run}\n"))?;
    output::note(&format!(
        "next: {} predict IMAGE --weights {}",
        output::program(),
        output::quoted(out)
    ));
    Ok(())
}

/// What the command that goes on with a run is told of where it began, with a space before it.
fn again(args: &Finetune) -> String {
    let mut start = training::again_from(args.from.as_deref());
    if !args.held_out.is_empty() {
        start.push_str(&format!(" --held-out {}", output::arguments(&args.held_out)));
    }
    start
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn label_amounts_are_shares_or_numbers() {
        for (text, amount) in [("10%", 0.1), ("100%", 1.0), ("0.05", 0.05), ("500", 500.0)] {
            assert!((text.parse::<LabelAmount>().unwrap().0 - amount).abs() < 1e-12, "{text}");
        }
        for text in ["", "%", "0", "-3", "101%", "few", "nan"] {
            assert!(text.parse::<LabelAmount>().is_err(), "{text}");
        }
    }
}
