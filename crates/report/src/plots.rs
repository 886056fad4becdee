//! Line charts as SVG: training curves, feature distance against depth.

mod ticks;

use std::fmt::Write as _;
use std::path::Path;

use crate::error::ReportError;
use ticks::Ticks;

/// Wong's colours, told apart by the colour-blind; without his yellow, too pale on white.
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];

/// Above this many points a line carries no markers.
const MOST_MARKERS: usize = 60;

const LEFT: f64 = 78.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 58.0;
const PLOT_WIDTH: f64 = 620.0;
const PLOT_HEIGHT: f64 = 340.0;
/// Legend: from the plot's right edge to the samples, a sample's length, from row to row.
const LEGEND_GAP: f64 = 18.0;
const LEGEND_LINE: f64 = 28.0;
const LEGEND_ROW: f64 = 22.0;

/// One named line of a [`Chart`].
#[derive(Clone, Debug)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    colour: Option<usize>,
    dashed: bool,
}

impl Series {
    /// A line through `points`, `(x, y)` in the order given. A point with a NaN or infinite value
    /// is left out and breaks the line.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, colour: None, dashed: false }
    }

    /// Draws the line dashed.
    pub fn dashed(mut self) -> Self {
        self.dashed = true;
        self
    }

    /// Draws the line in the `index`-th colour, to pair it with another line (a dashed one, say).
    /// By default a line takes the colour of its place in the chart.
    pub fn colour(mut self, index: usize) -> Self {
        self.colour = Some(index);
        self
    }
}

/// A line chart with linear axes and a legend, on white.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    x_label: String,
    y_label: String,
    x_range: Option<[f64; 2]>,
    y_range: Option<[f64; 2]>,
    series: Vec<Series>,
}

impl Chart {
    /// An empty chart; `x_label` and `y_label` name the axes and their units.
    pub fn new(
        title: impl Into<String>,
        x_label: impl Into<String>,
        y_label: impl Into<String>,
    ) -> Self {
        Self {
            title: title.into(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            x_range: None,
            y_range: None,
            series: Vec::new(),
        }
    }

    /// Fixes the horizontal axis to `[first, last]`, leaving out points beyond; otherwise it holds
    /// all points.
    pub fn x_range(mut self, range: [f64; 2]) -> Self {
        self.x_range = Some(range);
        self
    }

    /// Fixes the vertical axis to `[lowest, highest]`, leaving out points beyond; otherwise it holds
    /// all points.
    pub fn y_range(mut self, range: [f64; 2]) -> Self {
        self.y_range = Some(range);
        self
    }

    /// Adds a line.
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// The chart as an SVG document.
    pub fn to_svg(&self) -> String {
        let finite = || self.series.iter().flat_map(|s| &s.points).filter(|p| is_finite(p));
        let x = Ticks::new(self.x_range, finite().map(|p| p.0));
        let y = Ticks::new(self.y_range, finite().map(|p| p.1));

        // Without a font at hand, 0.56 em is a generous mean width of a sans-serif letter.
        let longest = self.series.iter().map(|s| s.name.chars().count()).max();
        let legend = longest
            .map_or(20.0, |n| LEGEND_GAP + LEGEND_LINE + 8.0 + 13.0 * 0.56 * n as f64 + 12.0);
        let width = LEFT + PLOT_WIDTH + legend;
        let rows = LEGEND_ROW * self.series.len() as f64;
        let height = TOP + PLOT_HEIGHT.max(rows) + BOTTOM;

        let mut svg = Svg(String::new());
        svg.line(format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="#222">"##
        ));
        svg.line(format_args!(r##"<rect width="100%" height="100%" fill="#fff"/>"##));
        let middle = LEFT + PLOT_WIDTH / 2.0;
        svg.line(format_args!(
            r#"<text x="{middle}" y="28" text-anchor="middle" font-size="16" font-weight="bold">{}</text>"#,
            Escaped(&self.title)
        ));
        self.axes(&mut svg, &x, &y);
        for (place, series) in self.series.iter().enumerate() {
            self.line(&mut svg, place, series, &x, &y);
        }
        svg.line(format_args!("</svg>"));
        svg.0
    }

    /// Writes [`to_svg`](Self::to_svg) to `path`.
    ///
    /// # Errors
    /// [`ReportError::Io`] where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ReportError> {
        std::fs::write(path, self.to_svg()).map_err(ReportError::io("write", path))
    }

    fn axes(&self, svg: &mut Svg, x: &Ticks, y: &Ticks) {
        let (right, bottom) = (LEFT + PLOT_WIDTH, TOP + PLOT_HEIGHT);
        for (value, label) in x.labelled() {
            let at = across(x, value);
            svg.line(format_args!(
                r##"<path d="M{at:.2} {TOP}V{bottom}" stroke="#e4e4e4"/><text x="{at:.2}" y="{}" text-anchor="middle">{label}</text>"##,
                bottom + 19.0
            ));
        }
        for (value, label) in y.labelled() {
            let at = up(y, value);
            svg.line(format_args!(
                r##"<path d="M{LEFT} {at:.2}H{right}" stroke="#e4e4e4"/><text x="{}" y="{:.2}" text-anchor="end">{label}</text>"##,
                LEFT - 8.0,
                at + 4.5
            ));
        }
        svg.line(format_args!(
            r##"<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#555"/>"##
        ));
        svg.line(format_args!(
            r#"<text x="{}" y="{}" text-anchor="middle">{}</text>"#,
            LEFT + PLOT_WIDTH / 2.0,
            bottom + 44.0,
            Escaped(&self.x_label)
        ));
        svg.line(format_args!(
            r#"<text transform="translate(20 {}) rotate(-90)" text-anchor="middle">{}</text>"#,
            TOP + PLOT_HEIGHT / 2.0,
            Escaped(&self.y_label)
        ));
    }

    /// A line, its markers, and its row of the legend.
    fn line(&self, svg: &mut Svg, place: usize, series: &Series, x: &Ticks, y: &Ticks) {
        let colour = COLOURS[series.colour.unwrap_or(place) % COLOURS.len()];
        let dash = if series.dashed { r#" stroke-dasharray="7 4""# } else { "" };

        let inside = |p: &(f64, f64)| is_finite(p) && x.holds(p.0) && y.holds(p.1);
        let mut path = String::new();
        let mut markers = String::new();
        let marked = series.points.len() <= MOST_MARKERS;
        for run in series.points.split(|p| !inside(p)) {
            for (i, point) in run.iter().enumerate() {
                let (px, py) = (across(x, point.0), up(y, point.1));
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
            svg.line(format_args!(
                r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"{dash}/>"#
            ));
        }
        if !markers.is_empty() {
            svg.line(format_args!(r#"<g fill="{colour}">{markers}</g>"#));
        }

        let from = LEFT + PLOT_WIDTH + LEGEND_GAP;
        let row = TOP + 10.0 + LEGEND_ROW * place as f64;
        svg.line(format_args!(
            r#"<path d="M{from} {row}h{LEGEND_LINE}" stroke="{colour}" stroke-width="2"{dash}/><text x="{}" y="{}">{}</text>"#,
            from + LEGEND_LINE + 8.0,
            row + 4.5,
            Escaped(&series.name)
        ));
    }
}

fn is_finite(&(x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

fn across(axis: &Ticks, value: f64) -> f64 {
    LEFT + PLOT_WIDTH * axis.fraction(value)
}

fn up(axis: &Ticks, value: f64) -> f64 {
    TOP + PLOT_HEIGHT * (1.0 - axis.fraction(value))
}

struct Svg(String);

impl Svg {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// Text as XML wants it; characters that XML 1.0 forbids become U+FFFD.
struct Escaped<'a>(&'a str);

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

#[cfg(test)]
mod tests;
