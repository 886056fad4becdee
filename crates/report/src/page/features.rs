//! What the features inside a pre-training's blocks are like.

use fcmae_store::run::schema::{BlockFeatures, Features};
use fcmae_words::counted;
use fcmae_words::page::number;
use maud::{Markup, html};

use super::curves;
use crate::plots::{Chart, Series};
use crate::run_folder::Report;

/// The last measurement by depth, beside the first.
pub(super) fn of_one(report: &Report) -> Option<Markup> {
    let Features { first, last } = report.features.as_ref()?;
    let after = |step: u64| format!("after {}", counted(step, "update"));
    let chart = |title: &str, value: fn(&BlockFeatures) -> f64| {
        let points = |blocks: &[BlockFeatures]| {
            blocks.iter().map(|block| (block.depth, value(block))).collect::<Vec<_>>()
        };
        let mut chart = Chart::new(title, "depth in the network", "").x_range([0.0, 1.0]);
        chart = chart.series(Series::new(after(last.step), points(&last.blocks)));
        if first.step < last.step {
            chart = chart.series(Series::new(after(first.step), points(&first.blocks)).dashed());
        }
        chart
    };
    let charts = [
        chart("Feature distance after GRN", |block| block.after_grn).y_range([0.0, 0.6]),
        chart("Effective rank", |block| block.effective_rank).from_zero(),
        chart("Dead or saturated channels, %", |block| 100.0 * block.idle_share())
            .y_range([0.0, 100.0]),
    ];
    let collapsed = last.blocks.iter().filter(|block| block.has_collapsed()).count();
    Some(html! {
        p.soft.small {
            "Measured inside every block, on its inner channels (four times its width), over "
            (counted(last.images, "picture"))
            ". The distance is the mean cosine distance between two channels' maps: 0.5 if they have nothing in \
             common, 0 if all show the same map. Below " (BlockFeatures::COLLAPSED.to_string())
            " a block counts as collapsed. "
            @if collapsed == 0 { "No block has collapsed. " } @else {
                "Collapsed: " (number(collapsed as f64)) " of " (counted(last.blocks.len(), "block")) ". "
            }
            "The effective rank is the number of directions that the features use. A dead channel is 0 everywhere, a \
             saturated one the same everywhere."
        }
        (curves::grid(&charts))
    })
}
