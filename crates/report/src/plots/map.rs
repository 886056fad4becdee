//! A map of pictures as an SVG document.

use super::drawing::{Escaped, LEGEND_GAP, LEGEND_ROW, Svg};
use crate::map::{COLOURED, MANY, Map, Spot, THUMBNAIL, UNLABELLED};
use crate::thumbnail::Thumbnail;

/// Of the labels, in the order of their sizes; told apart on white.
const COLOURS: [&str; COLOURED] = [
    "#0072b2", "#c85200", "#00835f", "#b5548f", "#2f95cf", "#b37700", "#8c1d40", "#5b4db3",
    "#5f8a12", "#7a5230", "#d6336c", "#008c8c",
];
/// Of pictures of other labels, or of none.
const OTHERS: &str = "#8a9299";

const LEFT: f64 = 16.0;
const TOP: f64 = 46.0;
const WIDTH: f64 = 1100.0;
/// Of few pictures and of many.
const DOTS: [f64; 2] = [3.5, 2.0];

impl Map {
    /// The map as an SVG document on white, with the pictures that lie on it in it.
    pub fn to_svg(&self) -> String {
        let frame = self.frame();
        let height = WIDTH / frame.aspect();
        let rows = self.groups.len() + usize::from(self.others > 0);
        let names = self.groups.iter().map(|group| group.name.chars().count() + 8);
        let longest = names.max().unwrap_or(0).clamp(12, 40) as f64;
        let whole = LEFT + WIDTH + LEGEND_GAP + 20.0 + 13.0 * 0.56 * longest;
        let tall = TOP + height.max(LEGEND_ROW * rows as f64) + LEFT;
        let colour = |group: Option<usize>| group.map_or(OTHERS, |group| COLOURS[group]);

        let dot = DOTS[usize::from(self.spots.len() > MANY)];
        let mut svg = Svg::new();
        svg.line(format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole:.0} {tall:.0}" width="{whole:.0}" height="{tall:.0}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="#222">"##
        ));
        svg.line(format_args!(r##"<rect width="100%" height="100%" fill="#fff"/>"##));
        svg.line(format_args!(
            r#"<text x="{LEFT}" y="28" font-size="16" font-weight="bold">{}</text>"#,
            Escaped(&self.head.title)
        ));
        let at = |place| {
            let [x, y] = frame.share(place);
            (LEFT + WIDTH * x, TOP + height * y)
        };
        let pictured =
            |place: &usize| self.spots[*place].on_map && self.spots[*place].picture.is_some();
        let (pictures, dots): (Vec<usize>, Vec<usize>) = (0..self.spots.len()).partition(pictured);
        for place in dots {
            let spot = &self.spots[place];
            let (x, y) = at(spot.place);
            svg.line(format_args!(
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="{dot}" fill="{}" fill-opacity="0.75"><title>{}</title></circle>"#,
                colour(spot.group),
                Escaped(&told(spot))
            ));
        }
        let side = WIDTH * THUMBNAIL * 0.94;
        for place in pictures {
            let spot = &self.spots[place];
            let (x, y) = at(spot.place);
            let (left, top) = (x - side / 2.0, y - side / 2.0);
            let uri = spot.picture.as_ref().map_or("", Thumbnail::uri);
            svg.line(format_args!(
                r#"<g><title>{}</title><rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="{}"/><image x="{left:.1}" y="{top:.1}" width="{side:.1}" height="{side:.1}" preserveAspectRatio="xMidYMid slice" href="{uri}"/></g>"#,
                Escaped(&told(spot)),
                left - 2.0,
                top - 2.0,
                side + 4.0,
                side + 4.0,
                colour(spot.group)
            ));
        }
        for (group, place) in self.named_places() {
            let (x, y) = at(place);
            svg.line(format_args!(
                r##"<text x="{x:.1}" y="{:.1}" text-anchor="middle" font-weight="bold" stroke="#fff" stroke-width="4" stroke-linejoin="round" paint-order="stroke">{}</text>"##,
                y + 4.5,
                Escaped(&group.name)
            ));
        }
        let groups = self.groups.iter().enumerate();
        let mut legend: Vec<(Option<usize>, &str, usize)> =
            groups.map(|(place, group)| (Some(place), group.name.as_str(), group.count)).collect();
        if self.others > 0 {
            legend.push((None, self.others_name(), self.others));
        }
        for (row, (group, name, count)) in legend.into_iter().enumerate() {
            let (x, y) = (LEFT + WIDTH + LEGEND_GAP, TOP + 10.0 + LEGEND_ROW * row as f64);
            svg.line(format_args!(
                r#"<circle cx="{x}" cy="{y}" r="5" fill="{}"/><text x="{}" y="{}">{} {}</text>"#,
                colour(group),
                x + 12.0,
                y + 4.5,
                Escaped(name),
                fcmae_words::grouped(count)
            ));
        }
        svg.line(format_args!("</svg>"));
        svg.into_string()
    }
}

fn told(spot: &Spot) -> String {
    format!("{}, {}", spot.label.as_deref().unwrap_or(UNLABELLED), spot.name)
}
