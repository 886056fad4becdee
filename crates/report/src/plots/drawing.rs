//! Axes, lines and bands of a chart inside a frame.

use std::fmt::Write as _;

use super::series::{COLOURS, Series};
use super::ticks::Ticks;

/// Above this many points a line carries no markers.
const MOST_MARKERS: usize = 60;

/// Most places of a chart that tell their values to a pointer.
const MOST_PLACES: usize = 60;

/// Legend: from the plot's right edge to the samples, a sample's length, from row to row.
pub(super) const LEGEND_GAP: f64 = 18.0;
pub(super) const LEGEND_LINE: f64 = 28.0;
pub(super) const LEGEND_ROW: f64 = 22.0;

/// Where the plot lies in the SVG.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Who gives the colours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The SVG itself, on white.
    Document,
    /// The page around it, by the elements' classes.
    Element,
}

impl Look {
    pub(super) fn grid(self) -> &'static str {
        match self {
            Self::Document => r##"stroke="#e4e4e4""##,
            Self::Element => r#"class="grid""#,
        }
    }

    pub(super) fn axis(self) -> &'static str {
        match self {
            Self::Document => r##"stroke="#555""##,
            Self::Element => r#"class="axis""#,
        }
    }

    /// Of a line, as `stroke`, or of markers and bands, as `fill`.
    pub(super) fn colour(self, what: &str, index: usize) -> String {
        let index = index % COLOURS.len();
        match self {
            Self::Document => format!(r#"{what}="{}""#, COLOURS[index]),
            Self::Element => format!(r#"class="{what} s{index}""#),
        }
    }
}

/// A chart's frame with its axes.
pub(super) struct Drawing {
    pub(super) frame: Frame,
    pub(super) look: Look,
    pub(super) x: Ticks,
    pub(super) y: Ticks,
}

impl Drawing {
    pub(super) fn axes(&self, svg: &mut Svg) {
        let Frame { left, top, width, height } = self.frame;
        let (right, bottom) = (left + width, top + height);
        let (grid, axis) = (self.look.grid(), self.look.axis());
        for (value, label) in self.x.labelled() {
            let at = self.across(value);
            svg.line(format_args!(
                r#"<path d="M{at:.2} {top}V{bottom}" {grid}/><text x="{at:.2}" y="{}" text-anchor="middle">{label}</text>"#,
                bottom + 19.0
            ));
        }
        for (value, label) in self.y.labelled() {
            let at = self.up(value);
            svg.line(format_args!(
                r#"<path d="M{left} {at:.2}H{right}" {grid}/><text x="{}" y="{:.2}" text-anchor="end">{label}</text>"#,
                left - 8.0,
                at + 4.5
            ));
        }
        svg.line(format_args!(r#"<path d="M{left} {top}V{bottom}H{right}" fill="none" {axis}/>"#));
    }

    /// A band, its line, and its markers.
    pub(super) fn line(&self, svg: &mut Svg, place: usize, series: &Series) {
        let colour = series.colour.unwrap_or(place);
        self.band(svg, colour, &series.band);
        let dash = dash(place, series);

        let inside = |p: &(f64, f64)| is_finite(p) && self.x.holds(p.0) && self.y.holds(p.1);
        let mut path = String::new();
        let mut markers = String::new();
        let marked = series.points.len() <= MOST_MARKERS;
        for run in series.points.split(|p| !inside(p)) {
            for (i, point) in run.iter().enumerate() {
                let (px, py) = (self.across(point.0), self.up(point.1));
                let command = if i == 0 { 'M' } else { 'L' };
                // Writing to a String does not fail.
                let _ = write!(path, "{command}{px:.2} {py:.2}");
                // A point alone between two gaps has no line and would vanish.
                if marked || run.len() == 1 {
                    let _ = write!(markers, r#"<circle cx="{px:.2}" cy="{py:.2}" r="3"/>"#);
                }
            }
        }
        if !path.is_empty() {
            let stroke = self.look.colour("stroke", colour);
            svg.line(format_args!(
                r#"<path d="{path}" fill="none" {stroke} stroke-width="2" stroke-linejoin="round"{dash}/>"#
            ));
        }
        if !markers.is_empty() {
            let fill = self.look.colour("fill", colour);
            svg.line(format_args!("<g {fill}>{markers}</g>"));
        }
    }

    /// Cut off at the axis, which holds the lines, and the bands only where the chart asks for it.
    fn band(&self, svg: &mut Svg, colour: usize, band: &[(f64, f64, f64)]) {
        let Frame { top, height, .. } = self.frame;
        let inside =
            |p: &(f64, f64, f64)| is_finite(&(p.0, p.1)) && p.2.is_finite() && self.x.holds(p.0);
        let fill = self.look.colour("fill", colour);
        for run in band.split(|p| !inside(p)).filter(|run| run.len() > 1) {
            let lowest = run.iter().map(|p| (p.0, p.1));
            let highest = run.iter().rev().map(|p| (p.0, p.2));
            let corners = highest.chain(lowest).map(|(x, y)| {
                format!("{:.2} {:.2}", self.across(x), self.up(y).clamp(top, top + height))
            });
            let path = corners.collect::<Vec<_>>().join("L");
            svg.line(format_args!(r#"<path d="M{path}Z" {fill} fill-opacity="0.2"/>"#));
        }
    }

    /// A row of the legend, to the right of the frame.
    pub(super) fn legend(&self, svg: &mut Svg, place: usize, series: &Series) {
        let from = self.frame.left + self.frame.width + LEGEND_GAP;
        let row = self.frame.top + 10.0 + LEGEND_ROW * place as f64;
        let (length, dash) = (LEGEND_LINE, dash(place, series));
        let stroke = self.look.colour("stroke", series.colour.unwrap_or(place));
        svg.line(format_args!(
            r#"<path d="M{from} {row}h{length}" {stroke} stroke-width="2"{dash}/><text x="{}" y="{}">{}</text>"#,
            from + length + 8.0,
            row + 4.5,
            Escaped(&series.name)
        ));
    }

    /// Columns over the frame that name the values there.
    pub(super) fn hover(&self, svg: &mut Svg, x_label: &str, series: &[Series]) {
        let Some(longest) = series.iter().max_by_key(|s| s.points.len()) else { return };
        let held: Vec<f64> =
            longest.points.iter().map(|p| p.0).filter(|&x| self.x.holds(x)).collect();
        let stride = held.len().div_ceil(MOST_PLACES).max(1);
        let places: Vec<f64> = held.iter().copied().step_by(stride).collect();
        let Frame { left, top, width, height } = self.frame;
        let edge = |i: usize| match (i.checked_sub(1).and_then(|i| places.get(i)), places.get(i)) {
            (Some(&before), Some(&after)) => (self.across(before) + self.across(after)) / 2.0,
            (None, _) => left,
            (_, None) => left + width,
        };
        for (i, &x) in places.iter().enumerate() {
            let mut text = format!("{x_label} {}", significant(x));
            for series in series {
                let near = |p: &&(f64, f64)| is_finite(p);
                let distance = |p: &(f64, f64)| (p.0 - x).abs();
                let nearest = series.points.iter().filter(near);
                if let Some(point) = nearest.min_by(|a, b| distance(a).total_cmp(&distance(b))) {
                    let _ = write!(text, "; {} {}", series.name, significant(point.1));
                }
            }
            let (from, to) = (edge(i), edge(i + 1));
            svg.line(format_args!(
                r#"<rect class="hover" x="{from:.2}" y="{top}" width="{:.2}" height="{height}"><title>{}</title></rect>"#,
                (to - from).max(0.0),
                Escaped(&text)
            ));
        }
    }

    fn across(&self, value: f64) -> f64 {
        self.frame.left + self.frame.width * self.x.fraction(value)
    }

    fn up(&self, value: f64) -> f64 {
        self.frame.top + self.frame.height * (1.0 - self.y.fraction(value))
    }
}

fn dash(place: usize, series: &Series) -> String {
    let dashes = series.dashes(place);
    dashes.map_or(String::new(), |dashes| format!(r#" stroke-dasharray="{dashes}""#))
}

/// Four significant digits, of whole numbers all.
pub(super) fn significant(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e9 {
        return format!("{value}");
    }
    let digits = 3.0 - value.abs().log10().floor();
    if (0.0..=8.0).contains(&digits) {
        format!("{value:.*}", digits as usize)
    } else if digits < 0.0 && value.abs() < 1e9 {
        format!("{value:.0}")
    } else {
        format!("{value:.3e}")
    }
}

pub(super) fn is_finite(&(x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

/// Lines of an SVG.
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    pub(super) fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Text as XML wants it; characters that XML 1.0 forbids become U+FFFD.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\t' | '\n' | '\r' => f.write_char(' ')?,
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                    f.write_char('\u{fffd}')?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
