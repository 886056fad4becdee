#![allow(clippy::unwrap_used)]
use super::*;

/// Asserts that every element is closed in order and that text and attributes hold no bare
/// `<`, `&` or quote; returns the element names.
pub(super) fn elements(svg: &str) -> Vec<String> {
    let mut open = Vec::new();
    let mut seen = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        let (text, tag) = rest.split_at(start);
        assert_entities(text);
        let end = tag.find('>').expect("a tag ends");
        let inside = &tag[1..end];
        rest = &tag[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closing order");
            continue;
        }
        assert!(!inside.contains('<'), "bare < in <{inside}>");
        let name = inside.split([' ', '/']).next().unwrap().to_owned();
        let attributes: Vec<&str> = inside.trim_end_matches('/').split('"').collect();
        assert_eq!(attributes.len() % 2, 1, "quotes of <{inside}>");
        for pair in attributes.chunks_exact(2) {
            assert!(pair[0].ends_with('='), "attribute in <{inside}>");
            assert_entities(pair[1]);
        }
        seen.push(name.clone());
        if !inside.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty());
    seen
}

fn assert_entities(text: &str) {
    assert!(!text.contains('>'), "bare > in {text}");
    for after in text.split('&').skip(1) {
        let name = after.split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "entity in {text}");
    }
}

fn curve(n: usize) -> Vec<(f64, f64)> {
    (0..n).map(|i| (i as f64, 1.0 / (1.0 + i as f64))).collect()
}

#[test]
fn a_chart_is_well_formed_and_holds_its_text() {
    let svg = Chart::new("Loss", "epoch", "mean squared error")
        .series(Series::new("pre-trained", curve(100)))
        .series(Series::new("from scratch", curve(5)).dashed())
        .to_svg();
    let names = elements(&svg);
    assert_eq!(names.iter().filter(|n| *n == "svg").count(), 1);
    for text in ["Loss", "epoch", "mean squared error", "pre-trained", "from scratch"] {
        assert!(svg.contains(&format!(">{text}</text>")), "{text}");
    }
    assert!(svg.contains("viewBox=\"0 0 "));
    // One dashed line and its sample; markers on the short line alone.
    assert_eq!(svg.matches("stroke-dasharray").count(), 2);
    assert_eq!(names.iter().filter(|n| *n == "circle").count(), 5);
}

#[test]
fn text_is_escaped() {
    let svg = Chart::new("a < b & \"c\"\u{1}", "</text>", "it's\n<svg>")
        .series(Series::new("<&>", curve(2)))
        .to_svg();
    elements(&svg);
    assert!(svg.contains("a &lt; b &amp; &quot;c&quot;\u{fffd}</text>"));
    assert!(svg.contains(">&lt;&amp;&gt;</text>"));
}

#[test]
fn nan_breaks_the_line() {
    let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, 1.0)];
    let svg = Chart::new("", "", "").series(Series::new("s", points)).to_svg();
    elements(&svg);
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    let line = svg.lines().find(|l| l.contains("stroke-linejoin")).unwrap();
    assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 2), "{line}");
}

#[test]
fn a_lone_point_is_seen_in_a_long_line() {
    let mut points = curve(200);
    points[99].1 = f64::INFINITY;
    points[101].1 = f64::NAN;
    let svg = Chart::new("", "", "").series(Series::new("s", points)).to_svg();
    assert_eq!(elements(&svg).iter().filter(|n| *n == "circle").count(), 1);
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn coordinates_follow_the_axes() {
    let svg = Chart::new("", "", "")
        .x_range([0.0, 1.0])
        .y_range([0.0, 2.0])
        .series(Series::new("s", vec![(0.0, 0.0), (0.5, 1.0), (1.0, 2.0), (0.5, 9.0)]))
        .to_svg();
    let (right, bottom) = (LEFT + PLOT_WIDTH, TOP + PLOT_HEIGHT);
    let (x, y) = (LEFT + PLOT_WIDTH / 2.0, TOP + PLOT_HEIGHT / 2.0);
    // The point above the axis is left out, not drawn over the title.
    let path = format!("d=\"M{LEFT:.2} {bottom:.2}L{x:.2} {y:.2}L{right:.2} {TOP:.2}\"");
    assert!(svg.contains(&path), "{path} in {svg}");
}

#[test]
fn an_axis_that_begins_at_zero_has_it_as_its_lowest_number() {
    let chart = || Chart::new("", "", "").series(Series::new("s", vec![(0.0, 0.4), (1.0, 0.5)]));
    let lowest = |svg: &str| svg.contains(">0.0</text>");
    let (cut, whole) = (chart().x_range([1.0, 2.0]), chart().x_range([1.0, 2.0]).from_zero());
    assert!(!lowest(&cut.to_svg()), "{}", cut.to_svg());
    assert!(lowest(&whole.to_svg()), "{}", whole.to_svg());
}

#[test]
fn charts_without_points_and_with_many_lines_are_drawn() {
    elements(&Chart::new("", "", "").to_svg());
    elements(&Chart::new("", "", "").series(Series::new("none", vec![])).to_svg());
    let many = (0..30).fold(Chart::new("many", "x", "y"), |chart, i| {
        chart.series(Series::new(format!("line {i}"), vec![(0.0, i as f64), (1.0, 0.0)]))
    });
    elements(&many.to_svg());
}

#[test]
fn an_axis_holds_whole_bands_where_the_chart_asks_for_it() {
    let points = vec![(0.0, 0.5), (1.0, 0.5)];
    let band = vec![(0.0, -5.0, 0.5), (1.0, 0.5, f64::NAN)];
    let chart = Chart::new("", "", "").series(Series::new("s", points).band(band));
    let labels = |chart: &Chart| chart.to_svg().matches(">-5<").count();
    assert_eq!(labels(&chart), 0);
    assert_eq!(labels(&chart.whole_bands()), 1);
}

#[test]
fn a_band_is_cut_off_at_the_axes_that_the_line_needs() {
    let points = vec![(0.0, 0.0), (1.0, 1.0)];
    let band = vec![(0.0, -5.0, 0.5), (1.0, 0.5, 9.0), (2.0, 0.0, f64::INFINITY)];
    let svg = Chart::new("", "", "").series(Series::new("s", points).band(band)).to_svg();
    elements(&svg);
    let (right, bottom) = (LEFT + PLOT_WIDTH, TOP + PLOT_HEIGHT);
    let middle = TOP + PLOT_HEIGHT / 2.0;
    // Along the highest values from the right, and back along the lowest.
    let corners = format!(
        "M{right:.2} {TOP:.2}L{LEFT:.2} {middle:.2}L{LEFT:.2} {bottom:.2}L{right:.2} {middle:.2}Z"
    );
    assert!(svg.contains(&corners), "{corners} in {svg}");
}

#[test]
fn values_that_are_not_positive_break_a_logarithmic_line() {
    let points = vec![(0.0, 1.0), (1.0, 10.0), (2.0, 0.0), (3.0, 10.0), (4.0, 100.0)];
    let svg = Chart::new("", "", "").logarithmic().series(Series::new("s", points)).to_svg();
    elements(&svg);
    let line = svg.lines().find(|l| l.contains("stroke-linejoin")).unwrap();
    assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 2), "{line}");
    // Ten lies half-way between one and a hundred.
    assert!(line.contains(&format!("{:.2}L", TOP + PLOT_HEIGHT / 2.0)), "{line}");
}

#[test]
fn an_element_leaves_the_colours_to_the_page_and_says_its_values() {
    let chart = Chart::new("Loss", "epoch", "")
        .series(Series::new("<a>", vec![(1.0, 0.5), (2.0, 0.25)]))
        .series(Series::new("b", vec![(2.0, 0.123_456)]).dashed());
    let svg = chart.to_element(&chart.in_words());
    assert_eq!(elements(&svg).iter().filter(|n| *n == "title").count(), 2);
    assert!(!svg.contains('#') && svg.contains(r#"class="stroke s0""#), "{svg}");
    assert!(svg.contains("<title>epoch 2; &lt;a&gt; 0.2500; b 0.1235</title>"), "{svg}");
    assert!(svg.contains(
        "aria-label=\"Loss; &lt;a&gt; from 0.5000 at epoch 1 to 0.2500 at epoch 2; b from 0.1235 at \
         epoch 2 to 0.1235 at epoch 2\""
    ));
}

#[test]
fn a_chart_that_cannot_be_saved_names_its_file() {
    let error = Chart::new("", "", "").save(Path::new("/nonexistent/figure.svg")).unwrap_err();
    assert!(error.to_string().contains("figure.svg"));
}
