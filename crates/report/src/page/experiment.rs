//! An experiment as a page, and as a figure.

use fcmae_words::page::{number, points};
use fcmae_words::{counted, signed};
use maud::{Markup, PreEscaped, html};

use super::curves::grid;
use super::document::{document, scrolling, section};
use crate::experiment::{Budget, Experiment};
use crate::paired::Paired;
use crate::plots::{Chart, Dots, Group, Row, Series};

impl Experiment {
    /// The scores as a figure, without the budgets that have none yet unless no budget has any: the table names them.
    pub fn figure(&self) -> Dots {
        let row = |budget: &Budget, variant: usize| Row {
            name: self.variants[variant].clone(),
            values: budget.cells[variant].scores.iter().map(|score| 100.0 * score.top1()).collect(),
        };
        let group = |budget: &Budget| Group {
            name: budget.name.clone(),
            rows: (0..self.variants.len()).map(|variant| row(budget, variant)).collect(),
            baseline: self.baseline,
        };
        let begun = |budget: &&Budget| budget.cells.iter().any(|cell| !cell.scores.is_empty());
        let mut groups: Vec<_> = self.budgets.iter().filter(begun).map(group).collect();
        if groups.is_empty() {
            groups = self.budgets.iter().map(group).collect();
        }
        Dots {
            title: self.title.clone(),
            label: "test pictures named right (top-1), %".to_owned(),
            groups,
        }
    }

    /// The feature distance by depth: each variant's mean over seeds, and from the lowest to the highest seed;
    /// `None` where it was not measured.
    pub fn distance_chart(&self) -> Option<Chart> {
        let chart = Chart::new(
            "Feature distance after pre-training",
            "normalized depth",
            "mean cosine distance of channels",
        )
        .x_range([0.0, 1.0])
        .whole_bands();
        let line = |chart: Chart, variant: usize| {
            let seeds: Vec<_> =
                self.distances.iter().filter(|distances| distances.variant == variant).collect();
            let Some(first) = seeds.first() else { return chart };
            let at = |place: usize| {
                let values = seeds.iter().filter_map(move |seed| seed.points.get(place));
                values.map(|&(_, distance)| distance)
            };
            let depths = first.points.iter().map(|&(depth, _)| depth).enumerate();
            let band: Vec<_> = depths
                .clone()
                .map(|(place, depth)| {
                    let (low, high) =
                        (at(place).fold(f64::MAX, f64::min), at(place).fold(0.0, f64::max));
                    (depth, low, high)
                })
                .collect();
            let means = depths
                .map(|(place, depth)| (depth, at(place).sum::<f64>() / at(place).count() as f64))
                .collect();
            let name = self.variants[variant].as_str();
            chart.series(Series::new(name, means).band(band).colour(variant))
        };
        (!self.distances.is_empty()).then(|| (0..self.variants.len()).fold(chart, line))
    }

    /// The page, a whole HTML document.
    pub fn to_html(&self) -> String {
        let header = html! {
            header {
                p.kind { "Experiment" }
                h1 { (self.title) }
                @if !self.paper.is_empty() { p.lead { "The paper: " (self.paper) } }
                @if !self.about.is_empty() { p { (self.about) } }
            }
        };
        let sections = [
            section("results", "Results", Some(self.results())),
            section(
                "distances",
                "Feature distance",
                self.distance_chart().map(|chart| grid(&[chart])),
            ),
            section("failures", "Runs that ended without a score", self.failures()),
            section("chosen", "Settings chosen on other pictures", self.chosen()),
            section("how", "How it was run", self.how_it_was_run()),
        ];
        let title = format!("{} · fcmae", self.title);
        document(&title, &header, sections.into_iter().flatten().collect())
    }

    fn results(&self) -> Markup {
        let figure = self.figure();
        let baseline = &self.variants[self.baseline];
        let several = self.budgets.iter().any(|budget| !budget.name.is_empty());
        let table = html! {
            table {
                thead {
                    tr {
                        @if several { th scope="col" { "Budget" } }
                        th scope="col" { "Variant" }
                        @for title in ["Seeds", "Top-1, %", "Std", "Difference", "Standard error", "p"] {
                            th.number scope="col" { (title) }
                        }
                    }
                }
                tbody {
                    @for budget in &self.budgets {
                        @for (variant, cell) in budget.cells.iter().enumerate() {
                            @let paired = budget.difference(variant, self.baseline);
                            tr {
                                @if several { td { (budget.name) } }
                                th scope="row" { (self.variants[variant]) }
                                td.number { (cell.scores.len()) " of " (self.seeds) }
                                td.number { (dash(cell.mean().map(points))) }
                                td.number { (dash(cell.std().map(points))) }
                                td.number { (dash(paired.map(|paired| signed(100.0 * paired.mean)))) }
                                td.number { (dash(paired.map(|paired| points(paired.standard_error)))) }
                                td.number { (dash(paired.map(|paired| paired.p_in_words().replace("= ", "")))) }
                            }
                        }
                    }
                }
            }
        };
        html! {
            @for sentence in self.in_words() { p { (sentence) } }
            figure.chart { (PreEscaped(figure.to_element(&figure.in_words()))) }
            p.soft.small {
                "Small dots are seeds; a diamond and its bar are their mean and standard deviation; the dashed line is \
                 the mean of “" (baseline) "”. Difference: from “" (baseline) "”, in points, over the seeds that \
                 both have. Its standard error and p-value treat seeds and test pictures as random samples; with one \
                 seed, only the pictures."
            }
            (scrolling("Results", &table))
        }
    }

    /// What the differences say, a sentence each.
    fn in_words(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(pictures) = self.test_pictures() {
            sentences.push(format!("Tested on {}.", counted(pictures as u64, "picture")));
        }
        let mut unclear = 0;
        for budget in &self.budgets {
            for variant in 0..self.variants.len() {
                match budget.difference(variant, self.baseline) {
                    Some(paired) if paired.is_clear() => {
                        sentences.push(self.sentence(budget, variant, &paired));
                    }
                    Some(_) => unclear += 1,
                    None => {}
                }
            }
        }
        let told = sentences.len() > 1;
        let rest = match (unclear, told) {
            (0, _) => None,
            (_, false) => Some("No variant differs"),
            (_, true) => Some("No other variant differs"),
        };
        sentences.extend(rest.map(|rest| {
            format!(
                "{rest} from “{}” by more than chance would explain. (A difference counts if it is more than twice its \
                 standard error and p is below 0.05.)",
                self.variants[self.baseline]
            )
        }));
        sentences
    }

    fn sentence(&self, budget: &Budget, variant: usize, paired: &Paired) -> String {
        let with =
            if budget.name.is_empty() { String::new() } else { format!("{}: ", budget.name) };
        let (name, baseline) = (&self.variants[variant], &self.variants[self.baseline]);
        let seeds = match paired.seeds {
            1 => "one seed".to_owned(),
            seeds => format!("{} seeds", number(seeds as f64)),
        };
        // One seed says nothing of another.
        let alone = if paired.seeds == 1 { " Another seed may say otherwise." } else { "" };
        format!(
            "{with}“{name}” is {} points {} than “{baseline}” (standard error {}, p {}, {seeds}).{alone}",
            points(paired.mean.abs()),
            if paired.mean > 0.0 { "better" } else { "worse" },
            points(paired.standard_error),
            paired.p_in_words()
        )
    }

    fn failures(&self) -> Option<Markup> {
        let mut lines = Vec::new();
        for budget in &self.budgets {
            for (variant, cell) in budget.cells.iter().enumerate() {
                for (seed, why) in &cell.failures {
                    lines.push((
                        budget.name.clone(),
                        self.variants[variant].clone(),
                        *seed,
                        why.clone(),
                    ));
                }
            }
        }
        (!lines.is_empty()).then(|| {
            html! {
                ul {
                    @for (budget, variant, seed, why) in &lines {
                        li {
                            strong { (variant) }
                            @if !budget.is_empty() { ", " (budget) }
                            ", seed " (seed) ": " (why)
                        }
                    }
                }
            }
        })
    }

    fn chosen(&self) -> Option<Markup> {
        let chosen = |budget: &Budget| budget.cells.iter().any(|cell| !cell.chosen.is_empty());
        if !self.budgets.iter().any(chosen) {
            return None;
        }
        let table = html! {
            table {
                thead { tr { th scope="col" { "Budget" } th scope="col" { "Variant" } th scope="col" { "Settings" } } }
                tbody {
                    @for budget in &self.budgets {
                        @for (variant, cell) in budget.cells.iter().enumerate() {
                            @if !cell.chosen.is_empty() {
                                tr {
                                    td { (budget.name) }
                                    th scope="row" { (self.variants[variant]) }
                                    td { @for setting in &cell.chosen { code { (setting) } " " } }
                                }
                            }
                        }
                    }
                }
            }
        };
        Some(scrolling("Settings chosen on other pictures", &table))
    }

    fn how_it_was_run(&self) -> Option<Markup> {
        (!self.facts.is_empty()).then(|| {
            let table = html! {
                table {
                    tbody {
                        @for (name, value) in &self.facts {
                            tr { th scope="row" { (name) } td.value { (value) } }
                        }
                    }
                }
            };
            scrolling("How it was run", &table)
        })
    }
}

fn dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Cell, Score};

    fn experiment(other: &[&str]) -> Experiment {
        let cell = |rows: &[&str]| Cell {
            scores: (0..)
                .zip(rows)
                .map(|(seed, row)| Score { seed, right: row.chars().map(|c| c == '1').collect() })
                .collect(),
            ..Cell::default()
        };
        Experiment {
            title: "Is <this> it?".to_owned(),
            seeds: 3,
            variants: vec!["one".to_owned(), "other".to_owned()],
            budgets: vec![Budget {
                name: String::new(),
                cells: vec![cell(&["1111111111111110", "1111111111111101"]), cell(other)],
            }],
            ..Experiment::default()
        }
    }

    #[test]
    fn a_clear_difference_is_told_as_one_and_another_is_not() {
        let page = experiment(&["1110001000111000", "1100001000111010"]).to_html();
        assert!(page.contains("“other” is 50.0 points worse than “one”"), "{page}");
        assert!(page.contains("Is &lt;this&gt; it?"));
        let page = experiment(&["1111111111111011", "1111111111111101"]).to_html();
        assert!(page.contains("No variant differs from “one”"), "{page}");
        assert!(page.contains("2 of 3"));
    }

    #[test]
    fn an_experiment_without_a_score_is_a_page_too() {
        let mut nothing = experiment(&[]);
        nothing.budgets[0].cells[0].scores.clear();
        let page = nothing.to_html();
        assert!(page.contains("0 of 3") && page.contains("no value yet"));
    }

    #[test]
    fn the_figure_leaves_out_a_budget_without_scores() {
        let mut some = experiment(&[]);
        let empty =
            Budget { name: "all labels".to_owned(), cells: vec![Cell::default(), Cell::default()] };
        some.budgets.push(empty);
        let names: Vec<_> = some.figure().groups.into_iter().map(|group| group.name).collect();
        assert_eq!(names, [""]);
        assert!(some.to_html().contains("all labels"), "the table names it");
    }
}
