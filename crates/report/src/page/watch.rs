//! What labelled pictures told while a pre-training ran.

use fcmae_store::run::schema::Watch;
use fcmae_words::counted;
use fcmae_words::page::{number, percent, span};
use maud::{Markup, html};

use super::curves::{grid, over_epochs, scaled};
use crate::evaluation::{interval, standard_error};
use crate::metrics::Curve;
use crate::plots::{Chart, Series};
use crate::run_folder::Report;

/// What a chart is of: its name, its curve, and its value in a look.
type Line<'a> = (&'a str, &'a Curve, fn(&Watch) -> Option<f64>);

/// What the last look told, beside the start, and all looks as a chart; `None` of a run that was not watched.
pub(super) fn of_one(report: &Report) -> Option<Markup> {
    let metrics = &report.metrics;
    let (start, last) = (metrics.watch_start, metrics.watch_last);
    let now = last.or(start)?;
    let lines: [Line<'_>; 2] = [
        ("nearest neighbours", &metrics.neighbours, |watch| Some(watch.neighbours)),
        ("linear probe", &metrics.probe, |watch| watch.probe),
    ];
    let band = |curve: &Curve| {
        let share = |(epoch, share): (f64, f64)| {
            let [low, high] = of_tested(share, now.tested);
            (epoch, 100.0 * low, 100.0 * high)
        };
        curve.means().into_iter().map(share).collect::<Vec<_>>()
    };
    // One scale for both, with all that is in them.
    let range = lines.iter().flat_map(|(_, curve, _)| band(curve));
    let range = range.fold([100.0_f64, 0.0], |[least, most], (_, low, high)| {
        [least.min((low / 10.0).floor() * 10.0), most.max((high / 10.0).ceil() * 10.0)]
    });
    let charts =
        lines.iter().filter(|(_, curve, _)| curve.holds_any()).map(|(name, curve, value)| {
            let line = Series::new("now", scaled(curve, 100.0)).band(band(curve));
            let chart = over_epochs(&format!("Right ({name}), %")).y_range(range).series(line);
            match start.as_ref().and_then(value) {
                Some(share) => {
                    let level = [0.0, now.epoch].map(|epoch| (epoch, 100.0 * share)).to_vec();
                    chart.series(Series::new(begun(report), level).dashed().colour(1))
                }
                None => chart,
            }
        });
    let charts: Vec<Chart> = charts.collect();
    Some(html! {
        p { (sentence(report, &now)) }
        @for text in fewer(report, &now).into_iter().chain(left_out(report)) { p { (text) } }
        @if let (Some(start), Some(last)) = (start, last) { p { (verdict(report, &start, &last)) } }
        p.soft.small {
            "The features of the encoder as it was at each point, frozen. Half of the labelled pictures are learned \
             from, the others tested; training never uses their labels. The band is the 95 % interval: \
             the fewer the pictures, the wider it is."
        }
        (grid(&charts))
    })
}

/// Since when a run went on without its watched pictures.
fn left_out(report: &Report) -> Option<String> {
    let since = number(report.watch_left_out()?.epoch as f64);
    Some(format!("After epoch {since} they could not be used any more, and were left out."))
}

/// What is said of a look that could not read all the pictures that it was to test.
fn fewer(report: &Report, now: &Watch) -> Option<String> {
    let watched = report.data.as_ref()?.watched.as_ref()?;
    (now.tested < watched.tested).then(|| {
        format!(
            "Of {} to test on, {} could not be read then.",
            counted(watched.tested, "picture"),
            number((watched.tested - now.tested) as f64)
        )
    })
}

/// What a run began with.
fn begun(report: &Report) -> &'static str {
    if report.start.is_none() { "untrained network" } else { "starting weights" }
}

/// A share from the start to the end of a run, as far as both are known.
pub(super) fn from_to(start: Option<f64>, now: f64) -> String {
    match start {
        Some(start) => format!("{} → {}", percent(start), percent(now)),
        None => percent(now),
    }
}

fn of_tested(share: f64, tested: u64) -> [f64; 2] {
    interval((share * tested as f64).round() as u64, tested)
}

fn sentence(report: &Report, now: &Watch) -> String {
    let with_interval =
        |share| format!("{} ({})", percent(share), span(of_tested(share, now.tested)));
    let when = match now.step {
        0 => format!("With the {}, before the first step", begun(report)),
        _ => format!("After epoch {}", number(now.epoch)),
    };
    let mut text = format!(
        "{when}, the vote of nearest neighbours names the right class of {} of {} labelled pictures",
        with_interval(now.neighbours),
        number(now.tested as f64)
    );
    if let Some(probe) = now.probe {
        text += &format!(", a linear probe of {}", with_interval(probe));
    }
    if let Some(start) = report.metrics.watch_start.filter(|_| now.step > 0) {
        text += &format!("; with the {} it was {}", begun(report), percent(start.neighbours));
        if let Some(probe) = start.probe {
            text += &format!(" and {}", percent(probe));
        }
    }
    text + "."
}

/// Whether that is a difference, and what it means.
fn verdict(report: &Report, start: &Watch, last: &Watch) -> String {
    let (before, now, how) = match (start.probe, last.probe) {
        (Some(before), Some(now)) => (before, now, "The linear probe"),
        _ => (start.neighbours, last.neighbours, "The vote"),
    };
    let error = standard_error(before, start.tested).hypot(standard_error(now, last.tested));
    let begun = begun(report);
    if now - before > 2.0 * error {
        format!(
            "{how} is better than with the {begun}, by more than chance would explain with so few pictures: training \
             improves the features."
        )
    } else if before - now > 2.0 * error {
        format!(
            "{how} is worse than with the {begun}, by more than chance would explain with so few pictures: check \
             whether the loss falls, and look at the reconstructions."
        )
    } else {
        format!(
            "{how} is too close to that of the {begun} to tell them apart with so few pictures: watch more pictures, or \
             train longer."
        )
    }
}
