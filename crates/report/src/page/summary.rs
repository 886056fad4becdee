//! The head of a page: what the run was, in a sentence and in numbers, and what to look at.

use fcmae_store::run::schema::Evaluation;
use fcmae_words::counted;
use fcmae_words::page::{duration, number, percent, span};
use maud::{Markup, html};

use super::document::with_code;
use super::facts::drawn;
use super::watch::from_to;
use crate::evaluation::interval;
use crate::findings::{self, Weight};
use crate::head::Fact;
use crate::run_folder::{Kind, Report};

/// What the accuracy on held-out pictures is called, of the weights in `export/last`, and of those in `export/best`.
pub(super) const LAST_WEIGHTS: &str = "Held-out pictures right, last weights";
pub(super) const BEST_WEIGHTS: &str = "Held-out pictures right, best weights";

/// Name, kind, sentence and tiles.
pub(super) fn header(report: &Report) -> Markup {
    html! {
        header {
            p.kind {
                @match report.kind {
                    Kind::Pretraining => "Pre-training, without labels",
                    Kind::Finetuning => "Fine-tuning, with labels",
                }
                " · "
                span.state { (state(report)) }
            }
            h1 { (report.name) }
            p.lead { (sentence(report)) }
            (drawn(&tiles(report)))
        }
    }
}

/// Whether all epochs were trained, in words.
pub(super) fn state(report: &Report) -> String {
    match report.planned_epochs() {
        _ if report.is_finished() => "✓ finished".to_owned(),
        Some(planned) => {
            format!("… not finished: epoch {} of {}", number(report.epochs()), number(planned))
        }
        None => format!("epoch {}", number(report.epochs())),
    }
}

/// The run in one sentence.
pub(super) fn sentence(report: &Report) -> String {
    let model = match report.model.as_str() {
        "custom" | "unknown" => "a custom network",
        size => size,
    };
    let mut text = match report.kind {
        Kind::Pretraining => format!("Pre-trained {model}"),
        Kind::Finetuning => format!("Fine-tuned {model}"),
    };
    if let Some(data) = &report.data {
        text += &format!(" on {}", counted(data.pictures, "picture"));
        if report.kind == Kind::Finetuning {
            let classes = data.classes.len() as u64;
            text += &format!(" of {}", counted(classes, "class"));
        }
    }
    text += &match report.planned_epochs() {
        Some(planned) if report.epochs() < 1.0 => {
            let updates = counted(report.metrics.updates, "update");
            format!(" for {updates} of {} epochs planned", number(planned))
        }
        Some(planned) if !report.is_finished() => {
            format!(" for {} of {} epochs", number(report.epochs()), number(planned))
        }
        _ if report.epochs() == 1.0 => " for one epoch".to_owned(),
        _ => format!(" for {} epochs", number(report.epochs())),
    };
    if let Some((top1, pictures)) = report.final_top1() {
        let of = pictures.map_or("the".to_owned(), |pictures| number(pictures as f64));
        text +=
            &format!(": {} of {of} held-out pictures right with the last weights", percent(top1));
        if let Some(pictures) = pictures {
            let right = (top1 * pictures as f64).round() as u64;
            text += &format!(" (95 % interval {})", span(interval(right, pictures)));
        }
    } else if let (Some(first), Some(last)) = ends_of_loss(report) {
        text += &format!(": the loss went from {} to {}", number(first), number(last));
    }
    text + "."
}

fn ends_of_loss(report: &Report) -> (Option<f64>, Option<f64>) {
    (report.metrics.loss.start(), report.metrics.loss.end())
}

/// The numbers that say most, as far as the run has them.
pub(super) fn tiles(report: &Report) -> Vec<Fact> {
    let tile = |label, figure, about| Fact { label, figure, about };
    let metrics = &report.metrics;
    let mut tiles = Vec::new();
    if let Some((top1, pictures)) = report.final_top1() {
        let about = match (report.held_out_evaluation(), pictures) {
            (Some(evaluation), _) => format!(
                "95 % interval {}",
                span(interval(evaluation.confusion.right(), evaluation.images))
            ),
            (None, Some(pictures)) => {
                let right = (top1 * pictures as f64).round() as u64;
                format!("95 % interval {}", span(interval(right, pictures)))
            }
            (None, None) => "top-1 of the last evaluation".to_owned(),
        };
        tiles.push(tile(LAST_WEIGHTS, percent(top1), about));
    }
    if let Some(Evaluation { of: Some(of), weights, top1, images, confusion, .. }) = report.test() {
        let sure = span(interval(confusion.right(), *images));
        let with = weights.as_ref().map_or(String::new(), |weights| format!(" with {weights}"));
        let about = format!("{} in {of}{with}; 95 % interval {sure}", counted(*images, "picture"));
        tiles.push(tile("Test pictures right", percent(*top1), about));
    }
    if let Some(best) = metrics.best {
        let about = format!(
            "in export/best, which other commands use: epoch {}, best of {}; slightly optimistic, since it was chosen on \
             these pictures",
            number(best.epoch),
            counted(metrics.evaluations, "evaluation")
        );
        let about = if metrics.evaluations < 2 { "the only evaluation".to_owned() } else { about };
        tiles.push(tile(BEST_WEIGHTS, percent(best.top1), about));
    }
    if let Some(last) = metrics.watch_last {
        let start = metrics.watch_start;
        let figure = match last.probe {
            Some(probe) => from_to(start.and_then(|start| start.probe), probe),
            None => from_to(start.map(|start| start.neighbours), last.neighbours),
        };
        let how = if last.probe.is_some() { "a linear probe" } else { "nearest neighbours" };
        let about =
            format!("by {how} on frozen features, from the start to epoch {}", number(last.epoch));
        tiles.push(tile("Watched pictures right", figure, about));
    }
    if let (Some(first), Some(last)) = ends_of_loss(report) {
        let about = if report.kind == Kind::Pretraining
            && report.settings.is_on("mask.norm_pix_loss")
        {
            "mean of the first and of the last hundredth of the updates; 1 is what filling each hidden patch with its \
                 mean gives"
        } else {
            "mean of the first and of the last hundredth of the updates"
        };
        let figure = format!("{} → {}", number(first), number(last));
        tiles.push(tile("Training loss", figure, about.to_owned()));
    }
    if let Some(rate) = report.images_per_second() {
        let seconds = metrics.seconds(report.images_per_update());
        let updates = counted(metrics.updates, "update");
        let about = format!("for {updates}; evaluating and saving not counted");
        tiles.push(tile("Training time", duration(seconds), about));
        let about = "trained on, mean over the run".to_owned();
        tiles.push(tile("Pictures a second", number(rate), about));
    }
    if let Some(share) = metrics.waiting() {
        let about = "of the training time".to_owned();
        tiles.push(tile("Waiting for pictures", percent(share), about));
    }
    let skipped = report.skipped_count();
    let about =
        if skipped > 0 { "they could not be read; listed below" } else { "all could be read" };
    tiles.push(tile("Pictures left out", number(skipped as f64), about.to_owned()));
    tiles
}

/// Warnings and notes.
pub(super) fn findings(report: &Report) -> Markup {
    let findings = findings::of(report);
    html! {
        @if findings.is_empty() {
            p { "Nothing stands out: the loss fell, and no check found a problem." }
        } @else {
            ul.findings {
                @for finding in &findings {
                    @let (class, word) = match finding.weight {
                        Weight::Warning => ("warning", "Warning: "),
                        Weight::Note => ("note", "Note: "),
                    };
                    li class=(class) {
                        h3 { span.weight { (word) } (finding.title) }
                        p { (with_code(&finding.text)) }
                    }
                }
            }
        }
        @if !report.unshown.is_empty() {
            p.soft.small { "Not shown, because it is damaged or too large:" }
            ul.soft.small { @for reason in &report.unshown { li.path { (reason) } } }
        }
    }
}
