//! Reconstructions and mistakes.

use fcmae_words::counted;
use fcmae_words::page::{number, percent};
use maud::{Markup, html};

use super::gallery::{shared_folder, shortened};
use crate::embedded::{Picture, Reconstruction};
use crate::evaluation::Mistake;
use crate::run_folder::{Kind, Report};

/// What the network made of hidden patches: the newest large, and how it came to it.
pub(super) fn reconstructions(report: &Report) -> Option<Markup> {
    let Some((newest, earlier)) = report.reconstructions.split_last() else {
        return (report.kind == Kind::Pretraining).then(|| {
            html! {
                p.soft {
                    "The run holds no reconstructions. " code.unbroken { "fcmae reconstruct" }
                    " draws them for any pictures."
                }
            }
        });
    };
    Some(html! {
        p.soft.small {
            "From left to right: the picture, what the network sees of it, and what it makes of the hidden \
             patches. What is in a hidden patch is guessed from the visible ones alone; how bright it is, and its \
             contrast, are those of the picture."
        }
        (sheet(&after(report, newest), newest))
        @if !earlier.is_empty() {
            h3 { "How it got there" }
            div.sheets {
                @for stage in earlier { (sheet(&after(report, stage), stage)) }
            }
        }
    })
}

fn sheet(title: &str, reconstruction: &Reconstruction) -> Markup {
    html! {
        figure.sheet {
            figcaption.small { (title) }
            (image(&reconstruction.picture, &format!("Pictures, masked and reconstructed, {title}")))
        }
    }
}

/// `after 1,234 updates (epoch 5.2)`.
pub(super) fn after(report: &Report, reconstruction: &Reconstruction) -> String {
    let step = reconstruction.step as f64;
    let epoch =
        report.metrics.steps_per_epoch().map(|steps| format!(" (epoch {})", number(step / steps)));
    format!("after {}{}", counted(reconstruction.step, "update"), epoch.unwrap_or_default())
}

/// A picture in its own size, or smaller where the page is.
pub(super) fn image(picture: &Picture, alt: &str) -> Markup {
    let [height, width] = picture.size;
    html! { img src=(picture.uri) width=(width) height=(height) alt=(alt); }
}

/// The mistakes made with most confidence.
pub(super) fn mistakes(report: &Report) -> Option<Markup> {
    let mistakes = &report.mistakes;
    let shared = shared_folder(mistakes.iter().map(|mistake| mistake.record.path.as_str()));
    (!mistakes.is_empty()).then(|| {
        html! {
            p.soft.small {
                // Whether those of a test were trained on is not known here.
                "Pictures "
                @if report.held_out_evaluation().is_some() { "that were not trained on, " }
                "about which the network was most certain, and wrong. Look here for wrong labels and for classes that \
                 overlap."
            }
            @if !shared.is_empty() {
                p.soft.small { "All names begin with " span.path { (shared) } }
            }
            div.pictures {
                @for Mistake { record: mistake, picture } in mistakes {
                    figure {
                        @let alt = format!("{}, taken for {}", mistake.truth, mistake.predicted);
                        @if let Some(picture) = picture {
                            (image(picture, &alt))
                        }
                        figcaption {
                            "is " strong { (mistake.truth) } ", taken for " strong { (mistake.predicted) }
                            " (" (percent(mistake.probability.into())) ")"
                            br;
                            span.path.soft { (shortened(&mistake.path, &shared)) }
                        }
                    }
                }
            }
        }
    })
}
