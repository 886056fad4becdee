//! `fcmae pretrain`.

use anyhow::Result;
use clap::Args;
use fcmae::config::PretrainConfig;
use fcmae_data::source::printable;
use fcmae_words::counted;

use super::dry_run;
use super::report::Reporter;
use super::training::{self, RunArgs, SettingsArgs};
use crate::failure::Stopped;
use crate::interrupt::Interrupt;
use crate::output;
use crate::progress::Progress;
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
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

pub(super) fn run(args: &Pretrain) -> Result<()> {
    let whole = |config: &PretrainConfig| Ok(config.clone());
    let Some(config) = training::settings(&args.run, &args.settings, &[], whole)? else {
        return Ok(());
    };
    let (data, out) = args.run.folders();
    if args.run.dry_run {
        let sheet = fcmae::train::preview_pretraining(&config, data)?;
        return dry_run::tell(&config, out, &sheet, |trial, observer| {
            fcmae::train::pretrain(&config, data, trial, false, observer).map(drop)
        });
    }
    let mut reporter = Reporter::of(out);
    let mut progress = Progress::new("pretrain").until(Interrupt::listen()?);
    let outcome = fcmae::train::pretrain(&config, data, out, args.run.resume, &mut |event| {
        reporter.observe(&event);
        progress.observe(&event)
    });
    progress.finish();
    let outcome = outcome?;
    let report = reporter.write();
    let run = printable(out);
    if !outcome.finished {
        let data = output::arguments(data);
        let (fcmae, device) = (output::program(), args.settings.device.again());
        let resume = format!("{fcmae} pretrain --data {data} --out {run} --resume{device}");
        return Err(Stopped { step: outcome.step, resume }.into());
    }
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
