//! `fcmae pretrain`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use fcmae::config::PretrainConfig;
use fcmae::training::{PretrainData, StartWeights};
use fcmae_data::source::printable;
use fcmae_store::run::schema::Kind;
use fcmae_words::counted;

use super::training::{self, Asked, Own, RunArgs, SettingsArgs};
use crate::output;
use crate::progress::Listing;
use crate::recipes;

/// Pre-train an encoder on pictures without labels
#[derive(Args)]
#[command(
    override_usage = "fcmae pretrain --data <FOLDER|FILE> --out <RUN> [OPTIONS]",
    after_help = "\
Examples:
  fcmae pretrain --data photos --out runs/pre --config pretrain-small
  fcmae pretrain --data photos --out runs/pre --set model.size=tiny --set optim.epochs=800
  fcmae pretrain --data photos more-photos --out runs/pre --batch auto --dry-run
  fcmae pretrain --data photos --out runs/pre --watch labelled
  fcmae pretrain --data photos --out runs/pre --resume
  fcmae pretrain --data microscopy --from hf:facebook/convnextv2-tiny-1k-224 --out runs/further"
)]
pub(crate) struct Pretrain {
    #[command(flatten)]
    run: RunArgs,

    /// Start from these weights and train them further: a pre-training run, a weights file with or without a decoder,
    /// or hf:OWNER/NAME. `scratch` starts from random weights, which is the default
    #[arg(long, value_name = "RUN|FILE|scratch")]
    from: Option<PathBuf>,

    /// Labelled pictures (such as a folder with one sub-folder per class) that show during the run whether the
    /// features improve: the accuracy of nearest neighbours and of a linear probe (logistic regression), beside that of
    /// the untrained network. Training never uses the labels, and is the same without this option. The pictures may be
    /// among --data
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    watch: Vec<PathBuf>,

    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &Pretrain) -> Result<()> {
    let from = training::named(args.from.as_deref());
    let weights = from.map(StartWeights::new);
    let start = training::start(args.from.as_deref(), weights.as_ref(), &args.run);
    let whole = |config: &PretrainConfig| fcmae::training::settled_pretraining(config, start);
    // A run that goes on has its own.
    let theirs = weights.as_ref().filter(|_| !args.run.resume).map(of_weights).transpose()?;
    let own = Own { defaults: theirs.as_deref().unwrap_or_default(), ..Own::default() };
    let config = training::settings(Kind::Pretraining, &args.run, &args.settings, own, whole)?;
    let asked = Asked {
        model: &config.model,
        decoder: Some(&config.decoder),
        channels: config.start.channels,
        image_size: config.data.image_size,
    };
    training::agree_with(Kind::Pretraining, &asked, weights.as_ref(), &args.run, &args.settings)?;
    let config = whole(&config)?;
    if args.settings.print_config {
        return training::print(&config);
    }
    let (training, out) = args.run.folders();
    let data = PretrainData { training, watched: &args.watch };
    if args.run.dry_run {
        let mut listing = Listing::new("pretrain");
        let sheet = fcmae::training::preview_pretraining(&config, data, &mut |event| {
            listing.observe(&event)
        })?;
        drop(listing);
        let network = format!("{} and {}", config.model.size, config.decoder.in_words());
        return training::try_out(&config, &network, out, &sheet, |trial, observer| {
            fcmae::training::pretrain(&config, training, start, trial, false, observer).map(drop)
        });
    }
    let changing = training::changing(&args.settings);
    let resume = training::resume(&args.run, &changing);
    let (outcome, report) = training::watched("pretrain", out, |observer| {
        fcmae::training::pretrain(&config, data, start, out, resume, observer)
    })?;
    if !outcome.finished {
        let device = &args.settings.device;
        let start = training::again_from(from);
        return Err(training::stopped("pretrain", &args.run, &start, device, outcome.step).into());
    }
    let run = printable(out);
    let steps = counted(outcome.step as usize, "step");
    output::print(&format!(
        "loss {:.4} (mean of the last epoch) after {steps}\nrun  {run}\n",
        outcome.loss
    ))?;
    if let Some(report) = report {
        output::print(&format!("report  {}\n", printable(&report)))?;
    }
    let (fcmae, run) = (output::program(), output::quoted(out));
    let options = recipes::finetuning(&config, args.settings.config.as_deref())?;
    output::note(&format!(
        "next: {fcmae} reconstruct IMAGE --weights {run} --out grid.png\n\
         next: {fcmae} finetune {options} --data LABELLED --from {run} --out RUN"
    ));
    Ok(())
}

/// What the settings are by default where a run begins from weights: their pictures' size, and the side of their
/// patches, by which masks are checked.
fn of_weights(weights: &StartWeights) -> fcmae::Result<Vec<String>> {
    weights.with(|weights| {
        let description = &weights.description;
        Ok(vec![
            format!("model.stem_stride={}", description.model.stem_stride),
            format!("data.image_size={:?}", description.image_size),
        ])
    })
}
