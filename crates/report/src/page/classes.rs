//! What became of each class.

use fcmae_store::run::confusion::{Confused, Fate};
use fcmae_store::run::schema::Evaluation;
use fcmae_words::page::{number, percent, span};
use maud::{Markup, html};

use super::document::scrolling;
use crate::evaluation::{by_class, interval};
use crate::run_folder::{Kind, Report};

/// Above this many classes, the worst are shown and the others folded away.
const MOST_CLASSES: usize = 40;
const WORST: usize = 20;
/// Above this many, the others are left out.
pub(super) const MOST_LISTED: usize = 1_000;

/// Up to this many classes a table of all against all can be read.
const LARGEST_TABLE: usize = 30;
/// Of more classes, so many of the most frequent confusions.
const MOST_CONFUSIONS: usize = 25;

/// A table of the classes, worst first.
pub(super) fn results(report: &Report) -> Option<Markup> {
    let Some(evaluation) = &report.evaluation else {
        return (report.kind == Kind::Finetuning).then(|| {
            html! {
                p.soft {
                    "The run holds no evaluation by class. " code.unbroken { "fcmae evaluate --report" }
                    " adds one, from any labelled pictures."
                }
            }
        });
    };
    let mut classes = by_class(evaluation);
    let share = |(_, fate): &(&str, Fate)| fate.right as f64 / fate.pictures.max(1) as f64;
    classes.sort_by(|a, b| share(a).total_cmp(&share(b)));
    let (worst, all) = match classes.len() {
        0 => return None,
        n if n > MOST_CLASSES => (&classes[..WORST], Some(&classes)),
        _ => (&classes[..], None),
    };
    let names = &evaluation.classes;
    let pictures = number(evaluation.images as f64);
    let which = match &evaluation.of {
        Some(of) => format!("The {pictures} pictures in {of}"),
        None => {
            format!("The {pictures} held-out pictures at epoch {}", number(evaluation.epoch))
        }
    };
    let about = format!(
        "{which}, by their true class, worst first. The line in a bar is the 95 % interval: where it is long, \
         there are too few pictures to tell."
    );
    Some(html! {
        p.soft.small { (about) }
        (scrolling("Accuracy of each class", &table(report, names, worst)))
        @match all {
            None => {}
            Some(all) if all.len() > MOST_LISTED => {
                p.soft.small { "All " (number(all.len() as f64)) " classes are in " code { "evaluation.json" } "." }
            }
            Some(all) => {
                details {
                    summary { "All " (all.len()) " classes" }
                    (scrolling("Accuracy of all classes", &table(report, names, all)))
                }
            }
        }
    })
}

fn table(report: &Report, names: &[String], classes: &[(&str, Fate)]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Class" }
                    th.number scope="col" { "Accuracy" }
                    th scope="col" { "0 to 100 %" }
                    th scope="col" { "95 % interval" }
                    th.number scope="col" { "Right" }
                    th.number scope="col" { "Trained on" }
                    th scope="col" { "Most often taken for" }
                }
            }
            tbody { @for (name, fate) in classes { (row(report, names, name, fate)) } }
        }
    }
}

fn row(report: &Report, names: &[String], name: &str, class: &Fate) -> Markup {
    let [low, high] = interval(class.right, class.pictures);
    let share = class.right as f64 / class.pictures.max(1) as f64;
    let of_data = report.data.iter().flat_map(|data| &data.classes);
    let trained = of_data.into_iter().find(|known| known.name == name);
    html! {
        tr {
            th scope="row" { (name) }
            @if class.pictures == 0 {
                td.number { "–" }
                td {}
                td.soft { "no such picture" }
            } @else {
                td.number { (percent(share)) }
                td.measure {
                    span.bar aria-hidden="true" {
                        span style={ "width:" (per_cent(share)) } {}
                        i style={ "left:" (per_cent(low)) ";width:" (per_cent(high - low)) } {}
                    }
                }
                td.unbroken { (span([low, high])) }
            }
            td.number { (class.right) " of " (class.pictures) }
            td.number {
                @match trained {
                    Some(known) => (number(known.training as f64)),
                    None => "–",
                }
            }
            td {
                @if let Some((other, count)) = class.confused_with {
                    (names[other]) span.soft { " (" (count) ")" }
                }
            }
        }
    }
}

/// A share as a length.
pub(super) fn per_cent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// All classes against all, or the most frequent confusions of many.
pub(super) fn confusions(report: &Report) -> Option<Markup> {
    let evaluation = report.evaluation.as_ref()?;
    match evaluation.classes.len() {
        0 => None,
        n if n <= LARGEST_TABLE => Some(heat_map(evaluation)),
        _ => Some(most_frequent(evaluation)),
    }
}

fn heat_map(evaluation: &Evaluation) -> Markup {
    let names = &evaluation.classes;
    let table = html! {
        table.confusion {
            thead {
                tr {
                    td {}
                    @for name in names {
                        th scope="col" { div.across title=(name) { (name) } }
                    }
                }
            }
            tbody {
                @for (truth, row) in evaluation.confusion.table().iter().enumerate() {
                    tr {
                        th scope="row" title=(names[truth]) { (names[truth]) }
                        @let all = row.iter().sum::<u64>().max(1);
                        @for (taken_for, &count) in row.iter().enumerate() {
                            (cell(names, truth, taken_for, count, all))
                        }
                    }
                }
            }
        }
    };
    html! {
        p.soft.small {
            "Rows are what the pictures are, columns what they were taken for. Blue, on the diagonal, is \
             right; orange is wrong; the stronger, the larger the share of its row."
        }
        (scrolling("Pictures of each class by what they were taken for", &table))
    }
}

fn cell(names: &[String], truth: usize, taken_for: usize, count: u64, all: u64) -> Markup {
    if count == 0 {
        return html! { td.none { "·" } };
    }
    let class = if truth == taken_for { "right" } else { "wrong" };
    // Strong enough to be seen, weak enough for the number to be read.
    let strength = 0.1 + 0.6 * count as f64 / all as f64;
    let words = format!("{} taken for {}: {count} of {all}", names[truth], names[taken_for]);
    html! { td class=(class) style={ "--share:" (format!("{strength:.2}")) } title=(words) { (count) } }
}

fn most_frequent(evaluation: &Evaluation) -> Markup {
    let names = &evaluation.classes;
    let table = html! {
        table {
            thead {
                tr {
                    th scope="col" { "Is" }
                    th scope="col" { "Taken for" }
                    th.number scope="col" { "Pictures" }
                    th.number scope="col" { "Share of its class" }
                }
            }
            tbody {
                @for confused in evaluation.confusion.most_frequent(MOST_CONFUSIONS) {
                    @let Confused { truth, predicted, count, of } = confused;
                    tr {
                        th scope="row" { (names[truth]) }
                        td { (names[predicted]) }
                        td.number { (count) " of " (of) }
                        td.number { (percent(count as f64 / of as f64)) }
                    }
                }
            }
        }
    };
    html! {
        p.soft.small { "The most frequent confusions of " (evaluation.classes.len()) " classes." }
        (scrolling("Most frequent confusions", &table))
    }
}
