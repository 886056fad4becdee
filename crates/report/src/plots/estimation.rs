//! Paired scores and their differences.

use std::path::Path;

use fcmae_words::signed;

use super::drawing::{Escaped, Look, Svg, significant};
use super::ticks::Ticks;
use crate::error::ReportError;

/// Colours of the baseline, of what is set against it, and of their difference.
const COLOURS: [usize; 3] = [1, 0, 2];

/// Two scores of each seed, joined by a line, and beside them the differences with their mean: a
/// Gardner–Altman estimation plot. Differences have the scale of the scores, and zero stands where the
/// baseline's mean is.
#[derive(Clone, Debug)]
pub struct EstimationPlot {
    /// What is compared.
    pub title: String,
    /// What a score is, with its unit, such as `top-1, %`.
    pub score: String,
    /// What a difference is, with its unit, such as `difference, points`.
    pub difference: String,
    /// The baseline's name, and the name of what is set against it.
    pub names: [String; 2],
    /// The scores of each seed, in the order of [`names`](Self::names).
    pub pairs: Vec<SeedScores>,
    /// Standard error of the mean difference; the interval drawn is twice as long to either side, or
    /// none without one.
    pub standard_error: Option<f64>,
}

/// What both sides reached with one seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedScores {
    /// The seed.
    pub seed: u64,
    /// The baseline's score, and that of what is set against it.
    pub scores: [f64; 2],
}

impl SeedScores {
    fn difference(&self) -> f64 {
        self.scores[1] - self.scores[0]
    }

    fn is_finite(&self) -> bool {
        self.scores.iter().all(|score| score.is_finite())
    }
}

/// Where things lie in the SVG.
struct Layout {
    left: f64,
    top: f64,
    height: f64,
    /// From the baseline's scores to the others.
    joined: f64,
    /// Between the two panels.
    gap: f64,
    /// Width of the differences, and of their mean beside them.
    differences: f64,
    mean: f64,
}

impl Layout {
    /// Room on both sides of the scores.
    const ASIDE: f64 = 34.0;

    fn baseline(&self) -> f64 {
        self.left + Self::ASIDE
    }

    fn other(&self) -> f64 {
        self.baseline() + self.joined
    }

    fn scores_end(&self) -> f64 {
        self.other() + Self::ASIDE
    }

    fn differences_begin(&self) -> f64 {
        self.scores_end() + self.gap
    }

    fn mean_at(&self) -> f64 {
        self.differences_begin() + self.differences + self.mean / 2.0
    }

    fn right(&self) -> f64 {
        self.differences_begin() + self.differences + self.mean
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

impl EstimationPlot {
    /// The plot as an SVG document, on white.
    pub fn to_svg(&self) -> String {
        let layout = Layout {
            left: 78.0,
            top: 50.0,
            height: 320.0,
            joined: 230.0,
            gap: 24.0,
            differences: 160.0,
            mean: 104.0,
        };
        let (width, height) = (layout.right() + 78.0, layout.bottom() + 40.0);
        let mut svg = Svg::new();
        svg.line(format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="#222">"##
        ));
        svg.line(format_args!(r##"<rect width="100%" height="100%" fill="#fff"/>"##));
        svg.line(format_args!(
            r#"<text x="{}" y="28" text-anchor="middle" font-size="16" font-weight="bold">{}</text>"#,
            (layout.left + layout.right()) / 2.0,
            Escaped(&self.title)
        ));
        self.draw(&mut svg, &layout, Look::Document);
        svg.line(format_args!("</svg>"));
        svg.into_string()
    }

    /// The plot as an element of a page, which gives it the colours and the title. Points tell their
    /// values to a pointer.
    pub(crate) fn to_element(&self) -> String {
        let layout = Layout {
            left: 52.0,
            top: 12.0,
            height: 260.0,
            joined: 160.0,
            gap: 16.0,
            differences: 110.0,
            mean: 92.0,
        };
        let mut svg = Svg::new();
        svg.line(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0} {:.0}" role="img" aria-label="{}" font-size="13">"#,
            layout.right() + 56.0,
            layout.bottom() + 34.0,
            Escaped(&self.in_words())
        ));
        self.draw(&mut svg, &layout, Look::Element);
        svg.line(format_args!("</svg>"));
        svg.into_string()
    }

    /// Writes [`to_svg`](Self::to_svg) to `path`.
    ///
    /// # Errors
    /// [`ReportError::Io`] where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ReportError> {
        std::fs::write(path, self.to_svg()).map_err(ReportError::io("write", path))
    }

    /// The plot for those who do not see it.
    fn in_words(&self) -> String {
        let [baseline, other] = &self.names;
        let mut text = format!("{}; {}", self.title, self.score);
        for pair in self.shown() {
            let [from, to] = pair.scores.map(significant);
            text += &format!("; seed {}: {other} {to}, {baseline} {from}", pair.seed);
        }
        if let Some([from, to]) = self.means() {
            text += &format!("; mean {}: {}", self.difference, signed(to - from));
            if let Some(error) = self.standard_error {
                text += &format!(", standard error {error:.1}");
            }
        }
        text
    }

    fn shown(&self) -> impl Iterator<Item = &SeedScores> + Clone {
        self.pairs.iter().filter(|pair| pair.is_finite())
    }

    /// Both sides' means over the seeds; `None` without seeds.
    pub(crate) fn means(&self) -> Option<[f64; 2]> {
        let count = self.shown().count();
        (count > 0).then(|| {
            [0, 1]
                .map(|side| self.shown().map(|pair| pair.scores[side]).sum::<f64>() / count as f64)
        })
    }

    /// How far the interval goes to either side.
    fn reach(&self) -> Option<f64> {
        self.standard_error.map(|error| 2.0 * error).filter(|reach| reach.is_finite())
    }

    fn draw(&self, svg: &mut Svg, layout: &Layout, look: Look) {
        let means = self.means();
        let [zero, level] = means.unwrap_or_default();
        let reach = self.reach();
        let interval = [level - reach.unwrap_or(0.0), level + reach.unwrap_or(0.0)];
        let reached = self.shown().flat_map(|pair| {
            let [from, to] = pair.scores;
            [from, to, zero + pair.difference()]
        });
        let axis = Ticks::new(None, reached.chain(interval));
        let up = |value: f64| layout.top + layout.height * (1.0 - axis.fraction(value));

        let differences = axis.measured_from(zero);
        self.axes(svg, layout, look, &axis, &differences);
        if means.is_none() {
            return;
        }
        self.guides(svg, layout, look, [up(zero), up(level)]);
        self.joined(svg, layout, look, up);
        self.differences(svg, layout, look, |difference| up(zero + difference));
        let mut text = format!("mean {}", signed(level - zero));
        if let Some(reach) = reach {
            text += &format!(
                ", from {} to {}",
                signed(level - zero - reach),
                signed(level - zero + reach)
            );
        }
        let (at, [low, high]) = (layout.mean_at(), interval.map(up));
        let (stroke, fill) = (look.colour("stroke", COLOURS[2]), look.colour("fill", COLOURS[2]));
        svg.line(format_args!("<g><title>{}</title>", Escaped(&text)));
        if reach.is_some() {
            svg.line(format_args!(
                r#"<path d="M{at:.2} {low:.2}V{high:.2}M{from:.2} {low:.2}h14M{from:.2} {high:.2}h14" fill="none" {stroke} stroke-width="2.5"/>"#,
                from = at - 7.0
            ));
        }
        svg.line(format_args!(
            r#"<path d="M{at:.2} {:.2}l7 7l-7 7l-7 -7z" {fill}/></g>"#,
            up(level) - 7.0
        ));
    }

    /// Frames, ticks and what they are of.
    fn axes(
        &self,
        svg: &mut Svg,
        layout: &Layout,
        look: Look,
        scores: &Ticks,
        differences: &Ticks,
    ) {
        let (grid, axis) = (look.grid(), look.axis());
        let (left, right) = (layout.left, layout.right());
        let (top, bottom) = (layout.top, layout.bottom());
        let up = |at: f64| top + layout.height * (1.0 - at);
        for (value, label) in scores.labelled() {
            let y = up(scores.fraction(value));
            svg.line(format_args!(
                r#"<path d="M{left} {y:.2}H{}" {grid}/><text x="{}" y="{:.2}" text-anchor="end">{label}</text>"#,
                layout.scores_end(),
                left - 8.0,
                y + 4.5
            ));
        }
        for (value, label) in differences.labelled() {
            let y = up(differences.fraction(value));
            let sign = if value > 0.0 { "+" } else { "" };
            svg.line(format_args!(
                r#"<path d="M{} {y:.2}H{right}" {grid}/><text x="{}" y="{:.2}">{sign}{}</text>"#,
                layout.differences_begin(),
                right + 8.0,
                y + 4.5,
                label.replace('-', "−")
            ));
        }
        svg.line(format_args!(
            r#"<path d="M{left} {top}V{bottom}H{}M{} {bottom}H{right}V{top}" fill="none" {axis}/>"#,
            layout.scores_end(),
            layout.differences_begin()
        ));
        let under = bottom + 22.0;
        let each = layout.differences_begin() + layout.differences / 2.0;
        let [baseline, other] = &self.names;
        for (x, text) in [
            (layout.baseline(), baseline.as_str()),
            (layout.other(), other),
            (each, "each seed"),
            (layout.mean_at(), if self.reach().is_some() { "mean ± 2 SE" } else { "mean" }),
        ] {
            svg.line(format_args!(
                r#"<text x="{x:.2}" y="{under}" text-anchor="middle">{}</text>"#,
                Escaped(text)
            ));
        }
        let middle = top + layout.height / 2.0;
        for (x, turn, text) in [(16.0, -90, &self.score), (right + 52.0, 90, &self.difference)] {
            svg.line(format_args!(
                r#"<text transform="translate({x} {middle}) rotate({turn})" text-anchor="middle">{}</text>"#,
                Escaped(text)
            ));
        }
    }

    /// The means, from where they are reached to the differences' end.
    fn guides(&self, svg: &mut Svg, layout: &Layout, look: Look, levels: [f64; 2]) {
        for (side, (from, y)) in
            [layout.baseline(), layout.other()].into_iter().zip(levels).enumerate()
        {
            let stroke = look.colour("stroke", COLOURS[side]);
            svg.line(format_args!(
                r#"<path d="M{from:.2} {y:.2}H{:.2}" fill="none" {stroke} stroke-width="1.5" stroke-dasharray="5 4"/>"#,
                layout.right()
            ));
        }
    }

    fn joined(&self, svg: &mut Svg, layout: &Layout, look: Look, up: impl Fn(f64) -> f64) {
        let axis = look.axis();
        let (from, to) = (layout.baseline(), layout.other());
        for pair in self.shown() {
            let [low, high] = pair.scores.map(&up);
            svg.line(format_args!(
                r#"<path d="M{from:.2} {low:.2}L{to:.2} {high:.2}" fill="none" {axis} stroke-opacity="0.7"/>"#
            ));
        }
        for (side, x) in [from, to].into_iter().enumerate() {
            for pair in self.shown() {
                let text = format!(
                    "seed {}: {} {}",
                    pair.seed,
                    self.names[side],
                    significant(pair.scores[side])
                );
                dot(svg, look, COLOURS[side], [x, up(pair.scores[side])], &text);
            }
        }
    }

    fn differences(&self, svg: &mut Svg, layout: &Layout, look: Look, up: impl Fn(f64) -> f64) {
        let step = layout.differences / self.shown().count() as f64;
        for (place, pair) in self.shown().enumerate() {
            let x = layout.differences_begin() + step * (place as f64 + 0.5);
            let text = format!("seed {}: {}", pair.seed, signed(pair.difference()));
            dot(svg, look, COLOURS[2], [x, up(pair.difference())], &text);
        }
    }
}

fn dot(svg: &mut Svg, look: Look, colour: usize, [x, y]: [f64; 2], text: &str) {
    let fill = look.colour("fill", colour);
    svg.line(format_args!(
        r#"<circle cx="{x:.2}" cy="{y:.2}" r="4" {fill}><title>{}</title></circle>"#,
        Escaped(text)
    ));
}

#[cfg(test)]
mod tests;
