//! Charts as SVG: lines (training curves, feature distance against depth), dots (scores by variant) and
//! pairs (two scores of each seed and their differences); and maps of pictures.

mod dots;
mod drawing;
mod estimation;
mod map;
mod series;
mod ticks;

use std::path::Path;

use crate::error::ReportError;
pub use dots::{Dots, Group, Row};
use drawing::{
    Drawing, Escaped, Frame, LEGEND_GAP, LEGEND_LINE, LEGEND_ROW, Look, Svg, is_finite, significant,
};
pub use estimation::{EstimationPlot, SeedScores};
use series::COLOURS;
pub use series::Series;
use ticks::Ticks;

const LEFT: f64 = 78.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 58.0;
const PLOT_WIDTH: f64 = 620.0;
const PLOT_HEIGHT: f64 = 340.0;

/// A line chart with a legend, on white.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    x_label: String,
    y_label: String,
    x_range: Option<[f64; 2]>,
    y_range: Option<[f64; 2]>,
    from_zero: bool,
    whole_bands: bool,
    logarithmic: bool,
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
            from_zero: false,
            whole_bands: false,
            logarithmic: false,
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

    /// Lets the vertical axis begin at 0, or end there, where all points lie beyond it. Of no use beside
    /// [`y_range`](Self::y_range).
    pub fn from_zero(mut self) -> Self {
        self.from_zero = true;
        self
    }

    /// Lets the vertical axis hold the bands as well as the lines. Of no use beside [`y_range`](Self::y_range).
    pub fn whole_bands(mut self) -> Self {
        self.whole_bands = true;
        self
    }

    /// Draws the vertical axis in powers of ten; values that are not positive break the line.
    pub fn logarithmic(mut self) -> Self {
        self.logarithmic = true;
        self
    }

    /// Adds a line.
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// The chart as an SVG document.
    pub fn to_svg(&self) -> String {
        let (width, height) = self.size();
        let mut svg = Svg::new();
        svg.line(format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="#222">"##
        ));
        svg.line(format_args!(r##"<rect width="100%" height="100%" fill="#fff"/>"##));
        let middle = LEFT + PLOT_WIDTH / 2.0;
        svg.line(format_args!(
            r#"<text x="{middle}" y="28" text-anchor="middle" font-size="16" font-weight="bold">{}</text>"#,
            Escaped(&self.title)
        ));
        let frame = Frame { left: LEFT, top: TOP, width: PLOT_WIDTH, height: PLOT_HEIGHT };
        let drawing = self.drawing(frame, Look::Document);
        drawing.axes(&mut svg);
        svg.line(format_args!(
            r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#,
            TOP + PLOT_HEIGHT + 44.0,
            Escaped(&self.x_label)
        ));
        svg.line(format_args!(
            r#"<text transform="translate(20 {}) rotate(-90)" text-anchor="middle">{}</text>"#,
            TOP + PLOT_HEIGHT / 2.0,
            Escaped(&self.y_label)
        ));
        for (place, series) in self.series.iter().enumerate() {
            drawing.line(&mut svg, place, series);
            drawing.legend(&mut svg, place, series);
        }
        svg.line(format_args!("</svg>"));
        svg.into_string()
    }

    /// The chart as an element of a page, which gives it the colours, the title and the legend:
    /// classes `grid`, `axis`, and `s0` to `s6` for lines. What stands at a place is shown where a
    /// pointer rests on it. `label`: the chart in words, for those who do not see it.
    pub(crate) fn to_element(&self, label: &str) -> String {
        let frame = Frame { left: 60.0, top: 10.0, width: 446.0, height: 220.0 };
        let mut svg = Svg::new();
        svg.line(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 276" role="img" aria-label="{}" font-size="13">"#,
            Escaped(label)
        ));
        let drawing = self.drawing(frame, Look::Element);
        drawing.axes(&mut svg);
        svg.line(format_args!(
            r#"<text x="{}" y="270" text-anchor="middle">{}</text>"#,
            frame.left + frame.width / 2.0,
            Escaped(&self.x_label)
        ));
        for (place, series) in self.series.iter().enumerate() {
            drawing.line(&mut svg, place, series);
        }
        drawing.hover(&mut svg, &self.x_label, &self.series);
        svg.line(format_args!("</svg>"));
        svg.into_string()
    }

    /// Name, index of its class and dashes of each line.
    pub(crate) fn legend(&self) -> impl Iterator<Item = (&str, usize, Option<&'static str>)> {
        let numbered = self.series.iter().enumerate();
        numbered.map(|(place, series)| {
            let colour = series.colour.unwrap_or(place);
            (series.name.as_str(), colour % COLOURS.len(), series.dashes(place))
        })
    }

    /// From where to where each line goes, for those who do not see it.
    pub(crate) fn in_words(&self) -> String {
        let mut text = self.title.clone();
        for series in &self.series {
            let mut points = series.points.iter().filter(|point| is_finite(point));
            if let Some(first) = points.next() {
                let last = points.next_back().unwrap_or(first);
                let [from, to, x0, x1] = [first.1, last.1, first.0, last.0].map(significant);
                let (name, x) = (&series.name, &self.x_label);
                text += &format!("; {name} from {from} at {x} {x0} to {to} at {x} {x1}");
            }
        }
        text
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    fn drawing(&self, frame: Frame, look: Look) -> Drawing {
        let finite = || self.series.iter().flat_map(|s| &s.points).filter(|p| is_finite(p));
        let bands = self.series.iter().filter(|_| self.whole_bands).flat_map(|s| &s.band);
        let bounds = bands.flat_map(|&(_, low, high)| [low, high]).filter(|y| y.is_finite());
        let ys = finite().map(|p| p.1).chain(bounds).chain(self.from_zero.then_some(0.0));
        Drawing {
            frame,
            look,
            x: Ticks::new(self.x_range, finite().map(|p| p.0)),
            y: if self.logarithmic { Ticks::logarithmic(ys) } else { Ticks::new(self.y_range, ys) },
        }
    }

    /// Several charts as one SVG document, one under another.
    pub fn stacked(charts: &[Self]) -> String {
        let sizes = charts.iter().map(Self::size);
        let (width, height) = sizes
            .fold((0.0_f64, 0.0), |(width, height), size| (width.max(size.0), height + size.1));
        let mut svg = Svg::new();
        svg.line(format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}"><rect width="100%" height="100%" fill="#fff"/>"##
        ));
        let mut top = 0.0;
        for chart in charts {
            svg.line(format_args!(r#"<g transform="translate(0 {top:.0})">"#));
            svg.line(format_args!("{}</g>", chart.to_svg()));
            top += chart.size().1;
        }
        svg.line(format_args!("</svg>"));
        svg.into_string()
    }

    /// Width and height of [`to_svg`](Self::to_svg).
    fn size(&self) -> (f64, f64) {
        // Without a font at hand, 0.56 em is a generous mean width of a sans-serif letter.
        let longest = self.series.iter().map(|s| s.name.chars().count()).max();
        let legend = longest
            .map_or(20.0, |n| LEGEND_GAP + LEGEND_LINE + 8.0 + 13.0 * 0.56 * n as f64 + 12.0);
        let rows = LEGEND_ROW * self.series.len() as f64;
        (LEFT + PLOT_WIDTH + legend, TOP + PLOT_HEIGHT.max(rows) + BOTTOM)
    }

    /// Writes [`to_svg`](Self::to_svg) to `path`.
    ///
    /// # Errors
    /// [`ReportError::Io`] where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ReportError> {
        std::fs::write(path, self.to_svg()).map_err(ReportError::io("write", path))
    }
}

#[cfg(test)]
mod tests;
