//! Scores of several ways to do a thing, a row for each.

use super::drawing::{Escaped, Look, Svg, significant};
use super::ticks::Ticks;
use crate::mean_and_deviation;

const ROW: f64 = 26.0;
const GROUP: f64 = 30.0;
const TOP: f64 = 46.0;
const AXIS: f64 = 46.0;
const LEGEND: f64 = 22.0;
const PLOT_WIDTH: f64 = 420.0;
/// How a plot is read.
const READING: &str =
    "dots: seeds · diamonds and lines: mean ± standard deviation · dashed: the baseline's mean";
/// Mean width of a letter, as a share of the letters' size: without a font at hand a generous one.
const LETTER: f64 = 0.56;
const SIZE: f64 = 13.0;

/// Groups of rows on one axis: every value as a dot, their mean and standard deviation over them.
#[derive(Clone, Debug)]
pub struct Dots {
    /// What is shown.
    pub title: String,
    /// What a value is, with its unit, such as `top-1, %`.
    pub label: String,
    /// From top to bottom.
    pub groups: Vec<Group>,
}

/// Rows that belong together.
#[derive(Clone, Debug)]
pub struct Group {
    /// Stands above the rows; may be empty.
    pub name: String,
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// The row whose mean is drawn through the group as a line, to compare the others with.
    pub baseline: usize,
}

/// One name and its values.
#[derive(Clone, Debug)]
pub struct Row {
    /// Stands to the left.
    pub name: String,
    /// A dot each; values that are no numbers are left out.
    pub values: Vec<f64>,
}

impl Row {
    fn values(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.values.iter().copied().filter(|value| value.is_finite())
    }

    /// Mean and standard deviation, where there are as many values as they take.
    fn mean(&self) -> Option<(f64, Option<f64>)> {
        mean_and_deviation(self.values())
    }

    fn in_words(&self) -> String {
        match self.mean() {
            None => "no value yet".to_owned(),
            Some((mean, None)) => format!("{mean:.1}"),
            Some((mean, Some(std))) => format!("{mean:.1} ± {std:.1}"),
        }
    }
}

impl Dots {
    /// The plot as an SVG document, on white.
    pub fn to_svg(&self) -> String {
        self.draw(Look::Document, "")
    }

    /// The plot as an element of a page, which gives it the colours. `label`: the plot in words, for
    /// those who do not see it.
    pub(crate) fn to_element(&self, label: &str) -> String {
        self.draw(Look::Element, label)
    }

    /// Every row in words.
    pub(crate) fn in_words(&self) -> String {
        let mut text = self.title.clone();
        for group in &self.groups {
            for row in &group.rows {
                let of = if group.name.is_empty() { "" } else { ", " };
                text += &format!("; {}{of}{}: {}", group.name, row.name, row.in_words());
            }
        }
        text
    }

    fn draw(&self, look: Look, label: &str) -> String {
        let place = self.place(look);
        let bars = self.rows().filter_map(Row::mean).flat_map(|(mean, std)| {
            let std = std.unwrap_or_default();
            [mean - std, mean + std]
        });
        let ticks = Ticks::new(None, self.rows().flat_map(Row::values).chain(bars));
        let mut svg = Svg::new();
        self.open(&mut svg, look, label, &place);
        self.draw_axis(&mut svg, look, &ticks, &place);
        self.draw_groups(&mut svg, look, &ticks, &place);
        svg.line(format_args!("</svg>"));
        svg.into_string()
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().flat_map(|group| &group.rows)
    }

    /// Room for the names to the left, for the numbers to the right, and for every row.
    fn place(&self, look: Look) -> Place {
        let width_of = |text: &str| text.chars().count() as f64 * SIZE * LETTER;
        let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
        let names = widest(&mut self.rows().map(|row| width_of(&row.name)));
        // Headings stand in bold, from the edge on.
        let headings = widest(&mut self.groups.iter().map(|group| 1.1 * width_of(&group.name)));
        let left = 20.0 + names.max(headings).max(60.0);
        let right = left + PLOT_WIDTH;
        let width = right + 24.0 + widest(&mut self.rows().map(|row| width_of(&row.in_words())));
        let top = if look == Look::Document { TOP } else { 8.0 };
        let height_of = |group: &Group| {
            let header = if group.name.is_empty() { 0.0 } else { GROUP };
            header + ROW * group.rows.len() as f64
        };
        let bottom = top + self.groups.iter().map(height_of).sum::<f64>() + 6.0;
        let legend = if look == Look::Document { LEGEND } else { 0.0 };
        Place { left, right, top, bottom, width, height: bottom + AXIS + legend }
    }

    /// What comes before the drawing.
    fn open(&self, svg: &mut Svg, look: Look, label: &str, &Place { width, height, .. }: &Place) {
        match look {
            Look::Document => {
                svg.line(format_args!(
                    r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="{SIZE}" fill="#222">"##
                ));
                svg.line(format_args!(r##"<rect width="100%" height="100%" fill="#fff"/>"##));
                svg.line(format_args!(
                    r#"<text x="{:.0}" y="28" text-anchor="middle" font-size="16" font-weight="bold">{}</text>"#,
                    width / 2.0,
                    Escaped(&self.title)
                ));
            }
            Look::Element => svg.line(format_args!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{}" font-size="{SIZE}">"#,
                Escaped(label)
            )),
        }
    }

    fn draw_axis(&self, svg: &mut Svg, look: Look, ticks: &Ticks, place: &Place) {
        let &Place { left, right, top, bottom, .. } = place;
        let (grid, axis) = (look.grid(), look.axis());
        for (value, text) in ticks.labelled() {
            let at = place.across(ticks, value);
            svg.line(format_args!(
                r#"<path d="M{at:.2} {top}V{bottom}" {grid}/><text x="{at:.2}" y="{}" text-anchor="middle">{text}</text>"#,
                bottom + 18.0
            ));
        }
        svg.line(format_args!(r#"<path d="M{left} {bottom}H{right}" fill="none" {axis}/>"#));
        svg.line(format_args!(
            r#"<text x="{}" y="{}" text-anchor="middle">{}</text>"#,
            (left + right) / 2.0,
            bottom + 38.0,
            Escaped(&self.label)
        ));
        // A page says it in words; a picture goes about alone.
        if look == Look::Document {
            svg.line(format_args!(
                r##"<text x="{}" y="{}" text-anchor="middle" font-size="12" fill="#555">{READING}</text>"##,
                (left + right) / 2.0,
                bottom + 58.0
            ));
        }
    }

    fn draw_groups(&self, svg: &mut Svg, look: Look, ticks: &Ticks, place: &Place) {
        let across = |value: f64| place.across(ticks, value);
        let axis = look.axis();
        let mut y = place.top;
        for group in &self.groups {
            if !group.name.is_empty() {
                svg.line(format_args!(
                    r#"<text x="8" y="{}" font-weight="bold">{}</text>"#,
                    y + 20.0,
                    Escaped(&group.name)
                ));
                y += GROUP;
            }
            let baseline = group.rows.get(group.baseline).and_then(Row::mean);
            if let Some((mean, _)) = baseline {
                svg.line(format_args!(
                    r#"<path d="M{:.2} {y}v{}" stroke-dasharray="3 3" {axis}/>"#,
                    across(mean),
                    ROW * group.rows.len() as f64
                ));
            }
            for (number, row) in group.rows.iter().enumerate() {
                let colour = usize::from(number != group.baseline);
                let sides = [place.left, place.right];
                draw_row(svg, look, row, y + ROW / 2.0, colour, sides, &across);
                y += ROW;
            }
        }
    }
}

/// Where things lie, in pixels: the dots' field, and the whole.
struct Place {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    width: f64,
    height: f64,
}

impl Place {
    /// How far to the right a value lies.
    fn across(&self, ticks: &Ticks, value: f64) -> f64 {
        self.left + PLOT_WIDTH * ticks.fraction(value)
    }
}

fn draw_row(
    svg: &mut Svg,
    look: Look,
    row: &Row,
    middle: f64,
    colour: usize,
    [left, right]: [f64; 2],
    across: &dyn Fn(f64) -> f64,
) {
    // The baseline is the one that is not coloured like the rest.
    let (fill, stroke) = (look.colour("fill", 1 - colour), look.colour("stroke", 1 - colour));
    svg.line(format_args!(
        r#"<text x="{:.2}" y="{:.2}" text-anchor="end">{}</text><text x="{:.2}" y="{:.2}">{}</text>"#,
        left - 10.0,
        middle + 4.5,
        Escaped(&row.name),
        right + 12.0,
        middle + 4.5,
        Escaped(&row.in_words())
    ));
    for value in row.values() {
        svg.line(format_args!(
            r#"<circle cx="{:.2}" cy="{middle:.2}" r="3.5" {fill} fill-opacity="0.4"><title>{}</title></circle>"#,
            across(value),
            significant(value)
        ));
    }
    let Some((mean, std)) = row.mean() else { return };
    if let Some(std) = std {
        svg.line(format_args!(
            r#"<path d="M{:.2} {middle:.2}H{:.2}" {stroke} stroke-width="2"/>"#,
            across(mean - std),
            across(mean + std)
        ));
    }
    let at = across(mean);
    svg.line(format_args!(
        r#"<path d="M{:.2} {middle:.2}L{at:.2} {:.2}L{:.2} {middle:.2}L{at:.2} {:.2}Z" {fill}/>"#,
        at - 6.0,
        middle - 6.0,
        at + 6.0,
        middle + 6.0
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dots() -> Dots {
        let row =
            |name: &str, values: &[f64]| Row { name: name.to_owned(), values: values.to_vec() };
        Dots {
            title: "A & B".to_owned(),
            label: "top-1, %".to_owned(),
            groups: vec![Group {
                name: "1 %".to_owned(),
                rows: vec![row("a", &[50.0, 54.0]), row("<b>", &[40.0]), row("c", &[f64::NAN])],
                baseline: 1,
            }],
        }
    }

    #[test]
    fn every_value_has_a_dot_and_every_row_a_mean() {
        let svg = dots().to_svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(
            svg.contains("52.0 ± 2.8") && svg.contains(">40.0<") && svg.contains("no value yet")
        );
        assert!(svg.contains("A &amp; B") && svg.contains("&lt;b&gt;"), "names are escaped");
        assert!(!svg.contains("NaN"));
        assert!(svg.contains("dots: seeds") && !dots().to_element("").contains("dots: seeds"));
        // The line of the baseline's mean.
        assert_eq!(svg.matches("stroke-dasharray").count(), 1);
    }

    #[test]
    fn the_longest_of_names_and_headings_has_room() {
        let left = |heading: &str| {
            let mut dots = dots();
            dots.groups[0].name = heading.to_owned();
            dots.place(Look::Document).left
        };
        let heading = "10 % of the labels of all pictures";
        assert!(left(heading) > heading.len() as f64 * SIZE * LETTER && left(heading) > left(""));
    }

    #[test]
    fn nothing_yet_is_drawn_too() {
        let mut dots = dots();
        for row in &mut dots.groups[0].rows {
            row.values.clear();
        }
        assert_eq!(dots.to_svg().matches("no value yet").count(), 3);
        assert!(dots.in_words().contains("1 %, a: no value yet"));
    }
}
