//! Whether one way to train beats another, seed by seed.

use fcmae_words::signed;
use maud::{Markup, PreEscaped, html};

use super::compare::{self, Named};
use super::curves::grid;
use super::document::{document, scrolling, section};
use crate::plots::{Chart, EstimationPlot};
use crate::run_folder::Report;

/// A page that answers which of two ways to train is better, from runs of both with the same seeds.
#[derive(Clone, Copy, Debug)]
pub struct Trials<'a> {
    /// What was asked.
    pub question: &'a str,
    /// The answer, in a sentence.
    pub answer: &'a str,
    /// What the answer rests on, a paragraph each.
    pub grounds: &'a [String],
    /// Both sides' scores.
    pub scores: &'a EstimationPlot,
    /// Curves of the runs.
    pub charts: &'a [Chart],
    /// A run of each side, for the settings in which they differ, in the order of the scores' names.
    pub runs: [&'a Report; 2],
}

impl Trials<'_> {
    /// The page, a whole HTML document.
    pub fn to_html(&self) -> String {
        let header = html! {
            header {
                p.kind { "Comparison" }
                h1 { (self.question) }
                p.lead { (self.answer) }
            }
        };
        let sections = [
            section("seeds", "Seed by seed", Some(self.seeds())),
            section("curves", "Curves", (!self.charts.is_empty()).then(|| grid(self.charts))),
            section("settings", "Settings that differ", Some(self.settings())),
        ];
        let title = format!("{} · fcmae", self.question);
        document(&title, &header, sections.into_iter().flatten().collect())
    }

    fn seeds(&self) -> Markup {
        let scores = self.scores;
        let [baseline, other] = scores.names.each_ref().map(String::as_str);
        let row = |name: &str, [from, to]: [f64; 2]| {
            html! {
                tr {
                    th scope="row" { (name) }
                    @for cell in [format!("{to:.1}"), format!("{from:.1}"), signed(to - from)] {
                        td.number { (cell) }
                    }
                }
            }
        };
        let table = html! {
            table {
                caption { (scores.score) "; the difference in points" }
                thead {
                    tr {
                        th scope="col" { "Seed" }
                        @for name in [other, baseline, "Difference"] {
                            th scope="col" class="number" { (name) }
                        }
                    }
                }
                tbody {
                    @for pair in &scores.pairs { (row(&pair.seed.to_string(), pair.scores)) }
                    @if let Some(means) = scores.means() { (row("mean", means)) }
                }
            }
        };
        html! {
            @for ground in self.grounds { p { (ground) } }
            div.beside {
                figure.chart {
                    figcaption {
                        h3 { (scores.title) }
                        p.soft.small {
                            "Left, both scores of each seed, joined; right, their differences and the mean of \
                             these."
                            @if scores.standard_error.is_some() {
                                " The bar is two standard errors (SE) long to either side: where it reaches \
                                 zero, the two cannot be told apart."
                            }
                        }
                    }
                    (PreEscaped(scores.to_element()))
                }
                (scrolling("Scores of each seed", &table))
            }
        }
    }

    fn settings(&self) -> Markup {
        let [baseline, other] = [0, 1]
            .map(|side| Named { name: self.scores.names[side].clone(), report: self.runs[side] });
        compare::settings(&[other, baseline])
    }
}
