#![allow(clippy::unwrap_used)]
use super::super::tests::elements;
use super::*;

/// Means 40 and 45, so that zero of the differences stands at 40.
fn plot() -> EstimationPlot {
    EstimationPlot {
        title: "Does it pay?".into(),
        score: "top-1, %".into(),
        difference: "difference, points".into(),
        names: ["from scratch".into(), "pre-trained".into()],
        pairs: vec![
            SeedScores { seed: 3, scores: [38.0, 46.0] },
            SeedScores { seed: 4, scores: [42.0, 44.0] },
        ],
        standard_error: Some(1.5),
    }
}

/// Centres of all circles.
fn dots(svg: &str) -> Vec<[f64; 2]> {
    let number = |line: &str, name: &str| -> f64 {
        line.split(&format!(" {name}=\""))
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    svg.lines()
        .filter(|line| line.starts_with("<circle"))
        .map(|line| [number(line, "cx"), number(line, "cy")])
        .collect()
}

#[test]
fn a_plot_is_well_formed_and_holds_its_text() {
    let svg = plot().to_svg();
    assert_eq!(elements(&svg).iter().filter(|name| *name == "svg").count(), 1);
    for text in [
        "Does it pay?",
        "top-1, %",
        "difference, points",
        "from scratch",
        "pre-trained",
        "mean ± 2 SE",
    ] {
        assert!(svg.contains(&format!(">{text}</text>")), "{text}");
    }
    for title in [
        "seed 3: from scratch 38",
        "seed 4: pre-trained 44",
        "seed 4: +2.0",
        "mean +5.0, from +2.0 to +8.0",
    ] {
        assert!(svg.contains(&format!("<title>{title}</title>")), "{title}");
    }
}

#[test]
fn differences_are_drawn_to_the_scale_of_the_scores() {
    let dots = dots(&plot().to_svg());
    let [low, up, from3, to3, diff3, diff4] =
        [dots[0], dots[1], dots[0], dots[2], dots[4], dots[5]].map(|[_, y]| y);
    assert_eq!(dots.len(), 6, "two scores and a difference for each seed");
    // 38 and 42 are four points apart, +8 and +2 six.
    let point = (low - up) / 4.0;
    assert!(point > 0.0);
    assert!(((diff4 - diff3) / point - 6.0).abs() < 0.01, "{dots:?}");
    assert!(((from3 - to3) / point - 8.0).abs() < 0.01, "{dots:?}");
    // Zero stands at the baseline's mean of 40, two points above 38.
    let zero = low - 2.0 * point;
    assert!(((zero - diff3) / point - 8.0).abs() < 0.01, "{dots:?}");
}

#[test]
fn the_interval_reaches_to_both_sides_of_the_mean_and_fits_in() {
    let tall = EstimationPlot { standard_error: Some(20.0), ..plot() }.to_svg();
    let whisker = tall.lines().find(|line| line.contains("h14M")).unwrap();
    let from: f64 = whisker.split('V').nth(1).unwrap().split('M').next().unwrap().parse().unwrap();
    let to: f64 = whisker.split(' ').nth(2).unwrap().split('V').next().unwrap().parse().unwrap();
    assert!((50.0..=370.0).contains(&from) && (50.0..=370.0).contains(&to), "{whisker}");
    let dots = dots(&tall);
    let point = (dots[0][1] - dots[1][1]) / 4.0;
    assert!(((to - from) / point - 80.0).abs() < 0.1, "{whisker}");

    let none = EstimationPlot { standard_error: None, ..plot() }.to_svg();
    assert!(!none.contains("h14M") && none.contains("<title>mean +5.0</title>"));
}

#[test]
fn scores_that_are_no_numbers_are_left_out() {
    let mut plot = plot();
    plot.pairs.push(SeedScores { seed: 5, scores: [f64::NAN, 50.0] });
    plot.standard_error = Some(f64::INFINITY);
    let svg = plot.to_svg();
    elements(&svg);
    assert_eq!(dots(&svg).len(), 6);
    assert!(!svg.contains("NaN") && !svg.contains("inf"));

    plot.pairs.clear();
    let empty = plot.to_svg();
    elements(&empty);
    assert!(dots(&empty).is_empty() && !empty.contains("NaN"));
}

#[test]
fn an_element_leaves_the_colours_to_the_page_and_says_its_values() {
    let mut plot = plot();
    plot.names[0] = "<a> & b".into();
    let svg = plot.to_element();
    elements(&svg);
    assert!(!svg.contains('#') && svg.contains(r#"class="fill s2""#), "{svg}");
    assert!(svg.contains(
        "aria-label=\"Does it pay?; top-1, %; seed 3: pre-trained 46, &lt;a&gt; &amp; b 38; seed 4: \
         pre-trained 44, &lt;a&gt; &amp; b 42; mean difference, points: +5.0, standard error 1.5\""
    ));
}
