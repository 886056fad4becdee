//! Curves over epochs.

use fcmae_words::page::number;
use maud::{Markup, PreEscaped, html};

use crate::metrics::Curve;
use crate::plots::{Chart, Series};
use crate::run_folder::{Kind, Report};

/// All curves of a run; `None` before the first update.
pub(super) fn of_one(report: &Report) -> Option<Markup> {
    let metrics = &report.metrics;
    let last = metrics.last?;
    let percent = |curve: &Curve| scaled(curve, 100.0);
    let mut charts = Vec::new();

    let mut loss = over_epochs("Loss").series(with_band("training", &metrics.loss));
    if metrics.held_out_loss.holds_any() {
        loss =
            loss.series(Series::new("held-out pictures", metrics.held_out_loss.means()).dashed());
    }
    charts.push(loss);
    if metrics.top1.holds_any() {
        let mut right = over_epochs("Held-out pictures right, %")
            .series(Series::new("most probable class (top-1)", percent(&metrics.top1)));
        if metrics.top5.holds_any() && more_than_five_classes(report) {
            let top5 = Series::new("among the five most probable (top-5)", percent(&metrics.top5));
            right = right.series(top5.dashed());
        }
        charts.push(right);
    }
    charts.push(over_epochs("Learning rate").series(with_band("rate", &metrics.lr)));
    if metrics.grad_norm.holds_any() {
        let norm = with_band("norm", &metrics.grad_norm);
        charts.push(over_epochs("Norm of the gradient").logarithmic().series(norm));
    }
    let rate = Series::new("pictures", metrics.images_per_second.means());
    charts.push(over_epochs("Pictures a second").series(rate));
    if metrics.data_wait.holds_any() {
        let waiting = Series::new("waiting", percent(&metrics.data_wait));
        charts.push(over_epochs("Time spent waiting for pictures, %").series(waiting));
    }

    let thinned = metrics.loss.is_thinned();
    Some(html! {
        p.soft.small {
            "Over epochs: passes over the pictures, " (number(last.0 as f64)) " updates in all."
            @if thinned {
                " A point is the mean of neighbouring updates; the band reaches from their lowest to \
                 their highest value."
            }
            @if report.kind == Kind::Finetuning && metrics.held_out_loss.holds_any() {
                " Held-out pictures are not augmented and their labels are not smoothed, so their loss may be lower \
                 than that of training."
            }
        }
        (grid(&charts))
    })
}

fn more_than_five_classes(report: &Report) -> bool {
    let evaluated = report.evaluation.as_ref().map(|evaluation| evaluation.classes.len());
    let trained = report.data.as_ref().map(|data| data.classes.len());
    evaluated.or(trained).is_none_or(|classes| classes > 5)
}

/// An empty chart over epochs.
pub(super) fn over_epochs(title: &str) -> Chart {
    Chart::new(title, "epoch", "")
}

fn with_band(name: &str, curve: &Curve) -> Series {
    let series = Series::new(name, curve.means());
    if curve.is_thinned() { series.band(curve.band()) } else { series }
}

/// A curve in another unit.
pub(super) fn scaled(curve: &Curve, factor: f64) -> Vec<(f64, f64)> {
    curve.means().into_iter().map(|(epoch, value)| (epoch, factor * value)).collect()
}

/// Charts side by side.
pub(super) fn grid(charts: &[Chart]) -> Markup {
    html! {
        div.charts {
            @for chart in charts {
                figure.chart {
                    figcaption {
                        h3 { (chart.title()) }
                        (legend(chart))
                    }
                    (PreEscaped(chart.to_element(&chart.in_words())))
                }
            }
        }
    }
}

/// What is which line, where there are several.
fn legend(chart: &Chart) -> Markup {
    let several = chart.legend().count() > 1;
    html! {
        @if several {
            ul.legend {
                @for (name, colour, dashes) in chart.legend() {
                    li {
                        svg viewBox="0 0 28 8" aria-hidden="true" {
                            path d="M0 4h28" class={ "stroke s" (colour) } stroke-width="2.5"
                                stroke-dasharray=[dashes] {}
                        }
                        (name)
                    }
                }
            }
        }
    }
}
