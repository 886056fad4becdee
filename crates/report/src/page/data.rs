//! What the run was made of: pictures, settings, machine.

use fcmae_store::run::schema::{Class, Data, Origin};
use fcmae_words::page::number;
use fcmae_words::{counted, gib};
use maud::{Markup, html};

use super::classes::{MOST_LISTED, per_cent};
use super::document::{scrolling, with_options};
use super::pictures::image;
use crate::data::extremes;
use crate::run_folder::{Kind, Report};

/// Above this many classes, the largest and the smallest are shown and the others folded away.
const MOST_CLASSES: usize = 40;
const AT_EACH_END: usize = 10;

/// Where the pictures are from, how many, and how they are spread over the classes.
pub(super) fn pictures(report: &Report) -> Option<Markup> {
    let data = report.data.as_ref();
    let first_batch = report.first_batch.as_ref();
    (data.is_some() || first_batch.is_some()).then(|| {
        html! {
            @if let Some(data) = data {
                (facts(data))
                @if report.kind == Kind::Finetuning && !data.classes.is_empty() { (spread(data)) }
            }
            @if let Some(picture) = first_batch {
                figure.sheet {
                    figcaption.small {
                        "What the network was shown first: cropped, mirrored and changed at random, as the \
                         settings say."
                    }
                    (image(picture, "Pictures of the first batch, after augmentation"))
                }
            }
        }
    })
}

fn facts(data: &Data) -> Markup {
    let whole = |count: u64| number(count as f64);
    html! {
        dl.facts {
            dt { "From" }
            dd { @for root in &data.roots { div.path { (root) } } }
            dt { "Trained on" }
            dd { (counted(data.pictures, "picture")) }
            @if data.held_out > 0 {
                dt { "Held out" }
                dd {
                    (counted(data.held_out, "picture"))
                    @for root in &data.held_out_roots { div.path { (root) } }
                }
            }
            @if data.unused > 0 {
                dt { "Not used" }
                dd { (whole(data.unused)) ", since only a share of the labels is used (finetune.labels)" }
            }
            @if let Some(watched) = &data.watched {
                dt { "Watched" }
                dd {
                    (counted(watched.fitted + watched.tested, "picture"))
                    @for root in &watched.roots { div.path { (root) } }
                }
            }
            @if data.passed_over > 0 {
                dt { "Other files" }
                dd { (whole(data.passed_over)) ", which are not pictures" }
            }
        }
    }
}

/// How many pictures each class has.
fn spread(data: &Data) -> Markup {
    let mut classes: Vec<&Class> = data.classes.iter().collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.training));
    let most = classes.first().map_or(1, |class| class.training.max(1));
    let many = classes.len() > MOST_CLASSES;
    html! {
        @if let Some((largest, smallest)) = extremes(data) {
            @if largest.training == smallest.training {
                p { "Every class has " (counted(largest.training, "training picture")) "." }
            } @else { p {
                "The largest class, “" (largest.name) "”, has " (number(largest.training as f64))
                " training pictures, the smallest, “" (smallest.name) "”, "
                (number(smallest.training as f64))
                @if smallest.training > 0 {
                    ": " (number(largest.training as f64 / smallest.training as f64)) " times as many"
                }
                "."
            } }
        }
        @if many {
            @let rest = classes.len() - AT_EACH_END;
            h3 { "Largest" }
            (scrolling("Pictures of the largest classes", &counts(&classes[..AT_EACH_END], most)))
            h3 { "Smallest" }
            (scrolling("Pictures of the smallest classes", &counts(&classes[rest..], most)))
            @if classes.len() > MOST_LISTED {
                p.soft.small { "All " (number(classes.len() as f64)) " classes are in " code { "data.json" } "." }
            } @else {
                details {
                    summary { "All " (classes.len()) " classes" }
                    (scrolling("Pictures of all classes", &counts(&classes, most)))
                }
            }
        } @else {
            (scrolling("Pictures of each class", &counts(&classes, most)))
        }
    }
}

fn counts(classes: &[&Class], most: u64) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Class" }
                    th.number scope="col" { "Trained on" }
                    th scope="col" { "Compared with the largest" }
                    th.number scope="col" { "Held out" }
                }
            }
            tbody {
                @for class in classes {
                    tr {
                        th scope="row" { (class.name) }
                        td.number { (number(class.training as f64)) }
                        td.measure {
                            span.bar aria-hidden="true" {
                                span style={ "width:" (per_cent(class.training as f64 / most as f64)) } {}
                            }
                        }
                        td.number { (number(class.held_out as f64)) }
                    }
                }
            }
        }
    }
}

/// Pictures that could not be read.
pub(super) fn skipped(report: &Report) -> Option<Markup> {
    let all = report.skipped_count();
    let listed = &report.skipped.first;
    (all > 0).then(|| {
        let table = html! {
            table {
                thead { tr { th scope="col" { "File" } th scope="col" { "Why" } } }
                tbody {
                    @for file in listed {
                        tr {
                            th.path scope="row" { (file.path) }
                            td.value { (file.reason) }
                        }
                    }
                }
            }
        };
        html! {
            p {
                (counted(all, "picture")) " could not be read."
                @if all > listed.len() as u64 {
                    " The first " (listed.len()) " are listed; all are in " code { "skipped.jsonl" } "."
                }
            }
            @if !listed.is_empty() { (scrolling("Pictures left out", &table)) }
        }
    })
}

/// Machine, versions and settings.
pub(super) fn how_it_was_run(report: &Report) -> Markup {
    html! {
        dl.facts {
            (start(report))
            @for (name, value) in &report.environment {
                dt { (name.trim_end_matches(" bytes")) }
                dd { @if name == "command" { code { (with_options(value)) } } @else { (amount(name, value)) } }
            }
            @if report.environment.is_empty() {
                dt { "version" }
                dd { (report.version) }
            }
            dt { "data" }
            dd.path { (report.fingerprint) }
        }
        details {
            summary { "All settings (config.toml)" }
            (scrolling("Settings", &settings(report)))
        }
    }
}

/// What the run began with. The command line may not say it: it is that of the last call, which may have resumed the run.
fn start(report: &Report) -> Markup {
    html! {
        @match &report.start {
            Some(Origin { path, teacher, .. }) => {
                dt { "started from" }
                dd.path { (path) @if teacher.is_some() { ", which also teaches the run" } }
            }
            None if report.knows_start => {
                dt { "started from" }
                dd { "random weights" }
            }
            None => {}
        }
    }
}

/// Bytes in a unit that can be read; all else as it is.
fn amount(name: &str, value: &str) -> String {
    match value.parse() {
        Ok(bytes) if name.ends_with("bytes") => gib(bytes),
        _ => value.to_owned(),
    }
}

fn settings(report: &Report) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Setting" } th scope="col" { "Value" } } }
            tbody {
                @for (name, value) in report.settings.all() {
                    tr {
                        th scope="row" { code { (name) } }
                        td.value { code { (value) } }
                    }
                }
            }
        }
    }
}
