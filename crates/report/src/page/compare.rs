//! Several runs on one page.

use std::collections::HashSet;
use std::slice;

use fcmae_store::run::schema::Answers;
use fcmae_words::list;
use fcmae_words::page::{duration, number, percent, points, span};
use maud::{Markup, html};

use super::curves::{grid, over_epochs, scaled};
use super::document::{document, scrolling, section};
use super::pictures::{after, image};
use super::summary;
use super::watch::from_to;
use crate::evaluation::{interval, standard_error};
use crate::metrics::{Curve, Metrics};
use crate::paired;
use crate::plots::{Chart, Series};
use crate::run_folder::{Kind, Report};

/// The page of several runs: results side by side, curves over each other, and the settings in which
/// they differ. A whole HTML document with all pictures in it.
pub fn compare(reports: &[Report]) -> String {
    let runs = named(reports);
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let header = html! {
        header {
            p.kind { "Comparison" }
            h1 { (number(runs.len() as f64)) " runs" }
            p.lead { (list(&names)) "." }
            @for remark in remarks(&runs) { p { (remark) } }
        }
    };
    let sections = [
        section("results", "Results", Some(results(&runs))),
        section("curves", "Curves", curves(&runs)),
        section("settings", "Settings that differ", Some(settings(&runs))),
        section("reconstructions", "Reconstructions", reconstructions(&runs)),
    ];
    document("Comparison · fcmae", &header, sections.into_iter().flatten().collect())
}

/// A run under a name that no other has.
pub(super) struct Named<'a> {
    pub(super) name: String,
    pub(super) report: &'a Report,
}

fn named(reports: &[Report]) -> Vec<Named<'_>> {
    let twice = |name: &str| reports.iter().filter(|report| report.name == name).count() > 1;
    let mut taken = HashSet::new();
    reports
        .iter()
        .map(|report| {
            let name = match &report.parent {
                Some(parent) if twice(&report.name) => format!("{parent}/{}", report.name),
                _ => report.name.clone(),
            };
            // The same run given twice, say.
            let numbered = (2..).map(|number| format!("{name} ({number})"));
            let mut names = std::iter::once(name.clone()).chain(numbered);
            let name = names.find(|name| taken.insert(name.clone())).unwrap_or(name.clone());
            Named { name, report }
        })
        .collect()
}

/// What must be known before the numbers are set against each other.
fn remarks(runs: &[Named<'_>]) -> Vec<String> {
    let mut remarks = Vec::new();
    let differ = |what: fn(&Report) -> &str| {
        runs.windows(2).any(|pair| what(pair[0].report) != what(pair[1].report))
    };
    if runs.windows(2).any(|pair| pair[0].report.kind != pair[1].report.kind) {
        remarks.push(
            "Some are pre-trained, some fine-tuned: their losses measure different things.".into(),
        );
    } else if differ(|report| &report.fingerprint) {
        remarks.push(
            "They were not trained on the same pictures, so a difference may come from the pictures.".into(),
        );
    }
    let differing = differing_network(runs);
    if !differing.is_empty() {
        remarks.push(format!(
            "They do not have the same network or picture size: {} differ{}. So a difference in accuracy or loss may come from that, and \
             not from how they were trained.",
            list(&differing),
            if differing.len() == 1 { "s" } else { "" },
        ));
    }
    remarks.extend(best("Held-out pictures, last weights", &held_out(runs)));
    remarks.extend(best_on_tests(runs));
    remarks
}

/// Settings of the network and the size of its pictures that are not the same in all runs.
fn differing_network<'a>(runs: &[Named<'a>]) -> Vec<&'a str> {
    let differs = |name: &str| {
        runs.windows(2).any(|pair| {
            let [one, other] =
                [pair[0].report, pair[1].report].map(|run| run.settings.written(name));
            // What one does not say is that version's own.
            one.is_some() && other.is_some() && one != other
        })
    };
    let mut names: Vec<&str> = runs
        .iter()
        .flat_map(|run| run.report.settings.all().map(|(name, _)| name))
        .filter(|name| name.starts_with("model.") || *name == IMAGE_SIZE)
        .filter(|name| differs(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    // Depths and widths follow from the size.
    if names.contains(&"model.size") {
        names.retain(|name| !["model.depths", "model.widths"].contains(name));
    }
    names
}

const IMAGE_SIZE: &str = "data.image_size";

/// How often a run is right.
struct Scored<'a> {
    run: &'a Named<'a>,
    top1: f64,
    pictures: u64,
    /// What these are, or were taken from.
    of: &'a str,
    answers: Option<&'a Answers>,
}

/// Each run's score on the pictures that it held out.
fn held_out<'a>(runs: &'a [Named<'a>]) -> Vec<Scored<'a>> {
    let scored = |run: &'a Named<'a>| {
        let (top1, pictures) = run.report.final_top1()?;
        let answers = run.report.held_out_answers();
        Some(Scored { run, top1, pictures: pictures?, of: &run.report.fingerprint, answers })
    };
    runs.iter().filter_map(scored).collect()
}

/// Which run is best on test pictures, if all that have a test have the same one.
fn best_on_tests(runs: &[Named<'_>]) -> Option<String> {
    let tests = runs.iter().filter_map(|run| Some((run, run.report.test()?)));
    let named = |which: fn(Option<u64>) -> bool| -> Vec<&str> {
        let tests = tests.clone().filter(|(_, test)| which(test.trained_on));
        tests.map(|(run, _)| run.name.as_str()).collect()
    };
    let seen = named(|trained_on| trained_on.is_some_and(|count| count > 0));
    let unknown = named(|trained_on| trained_on.is_none());
    let scored = tests.map(|(run, test)| Scored {
        run,
        top1: test.top1,
        pictures: test.images,
        of: test.of.as_deref().unwrap_or_default(),
        answers: test.answers.as_ref(),
    });
    let scored: Vec<_> = scored.collect();
    if scored.len() < 2 {
        return None;
    }
    let some = "trained on some of the test pictures";
    let unsure = format!("perhaps {some}, which could not be told");
    for (named, why) in [(seen, some), (unknown, &unsure)] {
        if !named.is_empty() {
            let were = if named.len() == 1 { "was" } else { "were" };
            let named = list(&named);
            return Some(format!("The tests cannot be compared: {named} {were} {why}."));
        }
    }
    let mut pairs = scored.iter().enumerate().flat_map(|(place, one)| {
        scored[place + 1..].iter().map(move |other| asked_the_same(one, other))
    });
    if pairs.any(|same| same == Some(false)) {
        return Some(
            "The tests cannot be compared: they are not known to be of the same pictures (names, classes and sizes). Test \
             all runs on the same pictures, with `fcmae evaluate --report`."
                .to_owned(),
        );
    }
    best("Test pictures", &scored)
}

/// Which run recognizes most, and whether so few pictures can tell.
fn best(pictures: &str, scored: &[Scored<'_>]) -> Option<String> {
    let mut scored: Vec<&Scored<'_>> = scored.iter().collect();
    scored.sort_by(|a, b| b.top1.total_cmp(&a.top1));
    let [first, second, ..] = scored.as_slice() else { return None };
    let (best, next) = (&first.run.name, &second.run.name);
    let difference = first.top1 - second.top1;
    if difference == 0.0 {
        return Some(format!("{pictures}: “{best}” and “{next}” are right equally often."));
    }
    let same = asked_the_same(first, second);
    let paired = match (first.answers, second.answers) {
        (Some(one), Some(other)) if same == Some(true) => {
            let alone = |one: &Answers, other: &Answers| {
                one.right.iter().zip(&other.right).filter(|(one, other)| **one && !**other).count()
            };
            let found = paired::compare(slice::from_ref(&one.right), slice::from_ref(&other.right));
            found.map(|found| (found, [alone(one, other), alone(other, one)]))
        }
        _ => None,
    };
    let (evidence, is_clear) = match paired {
        Some((found, [one, other])) => {
            let text = format!(
                "of the pictures that only one of them gets right, {one} against {other}; p {}",
                found.p_in_words()
            );
            (text, found.is_clear())
        }
        None => {
            let error = [first, second].map(|run| standard_error(run.top1, run.pictures));
            let error = error[0].hypot(error[1]);
            // Errors on the same pictures go together, and their difference varies less.
            let text = match same {
                Some(false) => format!("{}, on different pictures", points(error)),
                _ => format!("at most {}", points(error)),
            };
            (format!("standard error of the difference {text}"), difference > 2.0 * error)
        }
    };
    let verdict = if is_clear {
        "more than the choice of pictures explains; another seed may say otherwise"
    } else {
        "it may be chance"
    };
    Some(format!(
        "{pictures}: “{best}” is right {} points more often than “{next}” ({evidence}): {verdict}.",
        points(difference),
    ))
}

/// Whether both were asked about the same pictures; `None` where that may be, and is not recorded.
fn asked_the_same(one: &Scored<'_>, other: &Scored<'_>) -> Option<bool> {
    match (one.answers, other.answers) {
        (Some(one), Some(other)) => Some(one.pictures == other.pictures),
        _ if one.of == other.of && one.pictures == other.pictures => None,
        _ => Some(false),
    }
}

/// A row of the table of results: what it is, and its value in a run.
type Row = (&'static str, fn(&Report) -> Option<String>);

fn results(runs: &[Named<'_>]) -> Markup {
    let rows: [Row; 15] = [
        ("Kind", |report| {
            Some(
                if report.kind == Kind::Pretraining { "pre-training" } else { "fine-tuning" }
                    .into(),
            )
        }),
        ("Network", |report| Some(report.model.clone())),
        ("State", |report| Some(summary::state(report))),
        (summary::LAST_WEIGHTS, |report| report.final_top1().map(|(top1, _)| percent(top1))),
        ("95 % interval", |report| {
            let (top1, pictures) = report.final_top1()?;
            let right = (top1 * pictures? as f64).round() as u64;
            Some(span(interval(right, pictures?)))
        }),
        ("Test pictures right", |report| {
            let test = report.test()?;
            let (top1, images) = (percent(test.top1), number(test.images as f64));
            let seen = match test.trained_on {
                Some(0) => String::new(),
                Some(count) => format!(", {} of them trained on", number(count as f64)),
                None => ", perhaps trained on".to_owned(),
            };
            Some(format!("{top1} of {images} in {}{seen}", test.of.as_deref()?))
        }),
        ("95 % interval of the test", |report| {
            let test = report.test()?;
            Some(span(interval(test.confusion.right(), test.images)))
        }),
        (summary::BEST_WEIGHTS, |report| {
            let best = report.metrics.best?;
            Some(format!("{} (epoch {})", percent(best.top1), number(best.epoch)))
        }),
        ("Watched pictures right (neighbours)", |report| {
            let start = report.metrics.watch_start.map(|start| start.neighbours);
            report.metrics.watch_last.map(|last| from_to(start, last.neighbours))
        }),
        ("Watched pictures right (linear probe)", |report| {
            let start = report.metrics.watch_start.and_then(|start| start.probe);
            Some(from_to(start, report.metrics.watch_last?.probe?))
        }),
        ("Training loss, at the end", |report| report.metrics.loss.end().map(number)),
        ("Held-out loss, last", |report| report.metrics.latest?.loss.map(number)),
        ("Training time", |report| {
            let seconds = report.metrics.seconds(report.images_per_update());
            (seconds > 0.0).then(|| duration(seconds))
        }),
        ("Pictures a second", |report| report.images_per_second().map(number)),
        ("Waiting for pictures", |report| report.metrics.waiting().map(percent)),
    ];
    let rows = rows
        .map(|(name, value)| (name, runs.iter().map(|run| value(run.report)).collect::<Vec<_>>()));
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(_, values)| values.iter().any(Option::is_some))
        .map(|(name, values)| (html! { (name) }, values))
        .collect();
    side_by_side("Results", "", runs, &rows)
}

/// A table with a column for each run.
fn side_by_side(
    name: &str,
    corner: &str,
    runs: &[Named<'_>],
    rows: &[(Markup, Vec<Option<String>>)],
) -> Markup {
    let table = html! {
        table {
            thead {
                tr {
                    @if corner.is_empty() { td {} } @else { th scope="col" { (corner) } }
                    @for run in runs { th scope="col" { (run.name) } }
                }
            }
            tbody {
                @for (title, values) in rows {
                    tr {
                        th scope="row" { (title) }
                        @for value in values {
                            td { @match value { Some(value) => (value), None => "–" } }
                        }
                    }
                }
            }
        }
    };
    scrolling(name, &table)
}

fn curves(runs: &[Named<'_>]) -> Option<Markup> {
    let chart = |title: &str, curve: fn(&Metrics) -> &Curve, factor: f64| {
        let chart = over_epochs(title);
        // A run has the same colour and dashes in all charts, whichever of them it is missing from.
        runs.iter().enumerate().fold(chart, |chart, (place, run)| {
            let curve = curve(&run.report.metrics);
            if curve.holds_any() {
                let series = Series::new(run.name.as_str(), scaled(curve, factor));
                chart.series(series.colour(place).pattern(place))
            } else {
                chart
            }
        })
    };
    let charts = [
        chart("Training loss", |metrics| &metrics.loss, 1.0),
        chart("Loss on held-out pictures", |metrics| &metrics.held_out_loss, 1.0),
        chart("Held-out pictures right (top-1), %", |metrics| &metrics.top1, 100.0),
        chart("Watched pictures right (neighbours), %", |metrics| &metrics.neighbours, 100.0),
        chart("Watched pictures right (linear probe), %", |metrics| &metrics.probe, 100.0),
        chart("Learning rate", |metrics| &metrics.lr, 1.0),
        chart("Norm of the gradient", |metrics| &metrics.grad_norm, 1.0).logarithmic(),
        chart("Pictures a second", |metrics| &metrics.images_per_second, 1.0),
    ];
    let drawn: Vec<Chart> =
        charts.into_iter().filter(|chart| chart.legend().next().is_some()).collect();
    (!drawn.is_empty()).then(|| grid(&drawn))
}

/// A table of the settings that are not the same in all runs.
pub(super) fn settings(runs: &[Named<'_>]) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    let mut seen = HashSet::new();
    for run in runs {
        names.extend(
            run.report.settings.all().map(|(name, _)| name).filter(|name| seen.insert(*name)),
        );
    }
    let rows: Vec<_> = names
        .into_iter()
        .map(|name| {
            (name, runs.iter().map(|run| run.report.settings.written(name)).collect::<Vec<_>>())
        })
        .filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1]))
        .map(|(name, values)| (html! { code { (name) } }, values))
        .collect();
    if rows.is_empty() {
        return html! { p { "None: all were run with the same settings." } };
    }
    html! {
        p.soft.small { "A dash means that the run has no such setting." }
        (side_by_side("Settings that differ", "Setting", runs, &rows))
    }
}

fn reconstructions(runs: &[Named<'_>]) -> Option<Markup> {
    let shown = runs.iter().filter_map(|run| Some((run, run.report.reconstructions.last()?)));
    let shown: Vec<_> = shown.collect();
    (!shown.is_empty()).then(|| {
        html! {
            div.sheets {
                @for (run, newest) in shown {
                    figure.sheet {
                        figcaption.small { strong { (run.name) } ", " (after(run.report, newest)) }
                        (image(&newest.picture, &format!("Pictures, masked and reconstructed by {}", run.name)))
                    }
                }
            }
        }
    })
}
