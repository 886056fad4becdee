//! `fcmae finetune`.

use std::path::Path;

use anyhow::Result;
use fcmae::config::FinetuneConfig;
use fcmae::train::Start;
use fcmae_data::source::printable;
use fcmae_words::counted;

use super::dry_run;
use super::report::Reporter;
use crate::args::Finetune;
use crate::interrupt::{Interrupt, Stopped};
use crate::numbers::with_interval;
use crate::output;
use crate::progress::Progress;
use crate::recipes;

/// The word that stands for no weights at all. A run of that name is `./scratch`.
const SCRATCH: &str = "scratch";

pub(super) fn run(args: &Finetune) -> Result<()> {
    let labels = args.labels.map(|amount| format!("finetune.labels={:?}", amount.0));
    let own = labels.as_slice();
    let start = match args.from.as_deref() {
        Some(weights) if weights != Path::new(SCRATCH) => Start::Weights(weights),
        _ => Start::Scratch,
    };
    let whole = |config: &FinetuneConfig| fcmae::train::settled(config, start);
    let Some(config) = recipes::settings(&args.run, &args.settings, own, whole)? else {
        return Ok(());
    };
    let (data, out) = args.run.folders();
    if args.run.dry_run {
        let config = fcmae::train::settled(&config, start)?;
        let sheet = fcmae::train::preview_finetuning(&config, data)?;
        return dry_run::tell(&config, out, &sheet, |trial, observer| {
            fcmae::train::finetune(&config, data, start, trial, false, observer).map(drop)
        });
    }
    let mut reporter = Reporter::of(out);
    let mut progress = Progress::new("finetune").until(Interrupt::listen()?);
    let outcome =
        fcmae::train::finetune(&config, data, start, out, args.run.resume, &mut |event| {
            reporter.observe(&event);
            progress.observe(&event)
        });
    progress.finish();
    let outcome = outcome?;
    let report = reporter.write();
    let run = printable(out);
    if !outcome.finished {
        let from = args.from.as_deref().map_or(SCRATCH.to_owned(), printable);
        let (fcmae, data) = (output::program(), output::arguments(data));
        let device = args.settings.device.again();
        let resume =
            format!("{fcmae} finetune --data {data} --from {from} --out {run} --resume{device}");
        return Err(Stopped { step: outcome.step, resume }.into());
    }
    let mut text = format!("done  {}\n", counted(outcome.step as usize, "step"));
    if let (Some(last), Some(best)) = (&outcome.last, outcome.best_top1) {
        let top1 = |share| with_interval(share, last.pictures);
        text.push_str(&format!(
            "kept aside  {}: top-1 {}, top-5 {:.2}%\n\
             best        top-1 {}, which flatters a little: it was chosen on these pictures\n",
            counted(last.pictures, "picture"),
            top1(last.top1),
            100.0 * last.top5,
            top1(best),
        ));
    }
    if let Some(report) = report {
        text.push_str(&format!("report  {}\n", printable(&report)));
    }
    output::print(&format!("{text}run  {run}\n"))?;
    output::note(&format!("next: {} predict IMAGE --weights {run}", output::program()));
    Ok(())
}
