//! `fcmae pretrain`.

use anyhow::Result;
use clap::Args;
use fcmae::config::PretrainConfig;
use fcmae_data::source::printable;
use fcmae_store::run::schema::Kind;
use fcmae_words::counted;

use super::training::{self, RunArgs, SettingsArgs};
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
  fcmae pretrain --data photos --out runs/pre --set model.size=tiny --set data.image_size=[160,160]
  fcmae pretrain --data photos more-photos --out runs/pre --batch auto --dry-run
  fcmae pretrain --data photos --out runs/pre --resume"
)]
pub(crate) struct Pretrain {
    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &Pretrain) -> Result<()> {
    let whole = |config: &PretrainConfig| Ok(config.clone());
    let Some(config) =
        training::settings(Kind::Pretraining, &args.run, &args.settings, &[], whole)?
    else {
        return Ok(());
    };
    let (data, out) = args.run.folders();
    if args.run.dry_run {
        let mut listing = Listing::new("pretrain");
        let sheet = fcmae::training::preview_pretraining(&config, data, &mut |event| {
            listing.observe(&event)
        })?;
        drop(listing);
        return training::try_out(&config, out, &sheet, |trial, observer| {
            fcmae::training::pretrain(&config, data, trial, false, observer).map(drop)
        });
    }
    let changing = training::changing(&args.settings);
    let resume = training::resume(&args.run, &changing);
    let (outcome, report) = training::watched("pretrain", out, |observer| {
        fcmae::training::pretrain(&config, data, out, resume, observer)
    })?;
    if !outcome.finished {
        let device = &args.settings.device;
        return Err(training::stopped("pretrain", &args.run, "", device, outcome.step).into());
    }
    let run = printable(out);
    let steps = counted(outcome.step as usize, "step");
    output::print(&format!("loss {:.4} after {steps}\nrun  {run}\n", outcome.loss))?;
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
