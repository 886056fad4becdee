//! One line of a chart.

/// Wong's colours, told apart by the colour-blind; without his yellow, too pale on white.
pub(super) const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];

/// Dashes of lines, the first a whole one.
const DASHES: [Option<&str>; 4] = [None, Some("7 4"), Some("2 3"), Some("12 3 2 3")];

/// One named line of a [`Chart`](super::Chart).
#[derive(Clone, Debug)]
pub struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// `(x, lowest, highest)`, behind the line.
    pub(super) band: Vec<(f64, f64, f64)>,
    pub(super) colour: Option<usize>,
    pattern: Option<usize>,
}

impl Series {
    /// A line through `points`, `(x, y)` in the order given. A point with a NaN or infinite value
    /// is left out and breaks the line.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, band: Vec::new(), colour: None, pattern: None }
    }

    /// Shades what lies between the lowest and the highest value, `(x, lowest, highest)` from left to
    /// right, such as the values that a point is the mean of. The axes do not stretch to hold it.
    pub fn band(mut self, band: Vec<(f64, f64, f64)>) -> Self {
        self.band = band;
        self
    }

    /// Draws the line dashed.
    pub fn dashed(self) -> Self {
        self.pattern(1)
    }

    /// Draws the line in the `index`-th pattern of dashes, the first of which is a whole line.
    pub(crate) fn pattern(mut self, index: usize) -> Self {
        self.pattern = Some(index);
        self
    }

    /// The SVG's dashes, at this place of a chart: where the colours begin anew, they tell the lines
    /// apart.
    pub(super) fn dashes(&self, place: usize) -> Option<&'static str> {
        let again = if self.colour.is_none() { place / COLOURS.len() } else { 0 };
        DASHES[self.pattern.unwrap_or(again) % DASHES.len()]
    }

    /// Draws the line in the `index`-th colour, to pair it with another line (a dashed one, say).
    /// By default a line takes the colour of its place in the chart.
    pub fn colour(mut self, index: usize) -> Self {
        self.colour = Some(index);
        self
    }
}
