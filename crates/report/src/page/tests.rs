#![allow(clippy::unwrap_used)]
use serde_json::json;

use crate::compare;
use crate::plots::{Chart, EstimationPlot, SeedScores, Series};
use crate::run_fixture::{RunFixture, data, evaluated, evaluation, update};
use crate::{Card, Fact, Gallery, Head, Map, Report, ReportError, Spot, Strip, Thumbnail, Trials};

/// Elements that HTML does not close.
const VOID: [&str; 5] = ["meta", "img", "br", "input", "!DOCTYPE"];

/// Asserts that every element is closed in order; returns the elements with their attributes.
fn elements(page: &str) -> Vec<String> {
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').expect("a tag ends") + start;
        let inside = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closing order before {rest:.200}");
            continue;
        }
        let name = inside.split([' ', '/']).next().unwrap().to_owned();
        if !VOID.contains(&name.as_str()) && !inside.ends_with('/') {
            open.push(name);
        }
        seen.push(inside.to_owned());
    }
    assert!(open.is_empty(), "{open:?}");
    seen
}

/// Asserts that the page is whole, runs nothing and needs nothing from anywhere.
fn assert_self_contained(page: &str) {
    for element in elements(page) {
        let name = element.split(' ').next().unwrap();
        assert!(!["script", "link", "iframe", "object", "base"].contains(&name), "{element:.200}");
        for attribute in ["src", "href"] {
            let of_it = element.split(&format!(" {attribute}=\"")).nth(1);
            assert!(
                of_it.is_none_or(|value| value.starts_with("data:image/png;base64,")
                    || value.starts_with("data:image/jpeg;base64,")
                    || value.starts_with('#')),
                "{element:.200}"
            );
        }
        // What stands between quotes is a value.
        let mut names = element.split('"').step_by(2);
        assert!(names.all(|name| !name.contains(" on")), "{element:.200}");
    }
    assert!(!page.contains("url(") && !page.contains("@import"));
    assert!(page.contains("default-src 'none'"));
}

fn png() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(30_u32.to_be_bytes());
    png.extend(20_u32.to_be_bytes());
    png
}

const HOSTILE: &str = "<script>alert('1')</script>";
const QUOTED: &str = r#"a" onerror="alert(1)/<b>.png"#;

/// A run with everything in it, of which every text is hostile.
fn hostile() -> RunFixture {
    let run = RunFixture::finetuned().set("data.roots", r#"'"><script>'"#);
    let mut data = data(&[(HOSTILE, 700, 5), ("dog", 100, 60), ("fox", 3, 2)]);
    data["roots"] = json!([QUOTED]);
    data["skipped"] = json!(100);
    data["empty_classes"] = json!([HOSTILE]);
    run.write("data.json", &data);
    let classes = [HOSTILE, "dog", "fox"];
    let mut evaluation = evaluation(&classes, &[&[3, 2, 0], &[1, 59, 0], &[2, 0, 0]]);
    evaluation["mistakes"] = json!([{
        "path": QUOTED,
        "truth": HOSTILE,
        "predicted": QUOTED,
        "probability": 0.97,
        "picture": "figures/mistakes/01.png",
    }, {
        "path": QUOTED,
        "truth": "dog",
        "predicted": HOSTILE,
        "probability": 0.9,
        "picture": "../<script>.png",
    }]);
    run.write("evaluation.json", &evaluation);
    run.write(
        "environment.json",
        &json!({ HOSTILE: QUOTED, "memory_bytes": 8_u64 << 30, "x": null }),
    );
    run.write("skipped.jsonl", &json!({ "path": QUOTED, "reason": HOSTILE }));
    run.bytes("figures/mistakes/01.png", &png());
    run.bytes("figures/reconstruction-step-00000010.png", &png());
    run.bytes("figures/reconstruction-step-00000100.png", &png());
    run.bytes("figures/first-batch.png", &png());
    let updates = (1..=100).map(|step| update(step, 1.0));
    run.metrics(updates.chain([evaluated(10, 0.9, 0.4)]));
    run
}

#[test]
fn text_from_files_stays_text() {
    let page = hostile().read().to_html();
    assert_self_contained(&page);
    assert!(page.contains("&lt;script&gt;alert('1')&lt;/script&gt;"));
    assert!(page.contains("a&quot; onerror=&quot;alert(1)/&lt;b&gt;.png"));
    assert!(!page.contains(HOSTILE) && !page.contains(QUOTED));
}

#[test]
fn a_page_has_all_that_the_run_has() {
    let page = hostile().read().to_html();
    let titles = [
        "What to look at",
        "Curves",
        "Reconstructions",
        "Class by class",
        "What is taken for what",
        "Most confident mistakes",
        "Pictures",
        "Pictures left out",
        "How it was run",
    ];
    for title in titles {
        assert!(page.contains(&format!(">{title}</h2>")), "{title}");
    }
    // Two reconstructions, the first batch, and the one mistake whose picture lies in the run.
    assert_eq!(page.matches("<img ").count(), 4);
    assert_eq!(page.matches(r#"width="30" height="20""#).count(), 4);
    assert!(page.contains("../&lt;script&gt;.png lies outside the run"));
    assert!(page.contains("Pictures that were not trained on, about which the network"));
    // What the mistakes' names have in common is said once.
    assert!(
        page.contains("All names begin with <span class=\"path\">a&quot; onerror"),
        "{page:.9000}"
    );
    assert_eq!(page.matches("<span class=\"path soft\">&lt;b&gt;.png</span>").count(), 2);
    assert!(page.contains("after 10 updates (epoch 1)"));
    assert!(page.contains("<dt>memory</dt><dd>8.0 GiB</dd>"));
    assert!(page.contains("The first 1 are listed; all are in <code>skipped.jsonl</code>"));
}

#[test]
fn a_sentence_says_what_the_run_was() {
    let lead = |run: &RunFixture| {
        let page = run.read().to_html();
        let lead = page.split("<p class=\"lead\">").nth(1).unwrap().split("</p>").next().unwrap();
        lead.replace('\u{202f}', " ")
    };
    // 104 of 120 are 86.7 %, and √(0.867 · 0.133 / 120) is 3.1 %.
    assert_eq!(
        lead(&RunFixture::finetuned()),
        "Fine-tuned atto on 960 pictures of 2 classes for 10 epochs: 86.7 % of 120 held-out pictures \
         right with the last weights (95 % interval 79.4 to 91.6 %)."
    );
    assert_eq!(
        lead(&RunFixture::pretrained()),
        "Pre-trained atto for 10 epochs: the loss went from 1 to 0.505."
    );
    assert_eq!(
        lead(&RunFixture::pretrained().set("optim.epochs", "40")),
        "Pre-trained atto for 10 of 40 epochs: the loss went from 1 to 0.505."
    );
    let begun = RunFixture::pretrained();
    begun.metrics((1..=3).map(|step| update(step, 1.0)));
    assert!(lead(&begun).contains("for 3 updates of 10 epochs planned"));
}

#[test]
fn a_run_that_has_just_begun_has_a_page() {
    let run = RunFixture::pretrained().without("metrics.jsonl");
    let page = run.read().to_html();
    assert_self_contained(&page);
    assert!(page.contains("not finished: epoch 0 of 10"));
    assert!(!page.contains(">Curves</h2>"));
    assert!(page.contains("The run holds no reconstructions."));
}

#[test]
fn what_is_damaged_is_left_out_and_said() {
    let run = RunFixture::finetuned();
    run.bytes("data.json", b"{\"pictures\": -1}");
    run.write("evaluation.json", &json!({ "classes": ["a"] }));
    run.bytes("environment.json", b"[]");
    run.bytes("figures/reconstruction-step-00000001.png", b"GIF89a");
    let page = run.read().to_html();
    assert_self_contained(&page);
    for reason in
        ["data.json is damaged", "evaluation.json is damaged", "environment.json is damaged"]
    {
        assert!(page.contains(reason), "{reason}");
    }
    assert!(page.contains("figures/reconstruction-step-00000001.png is not a PNG picture"));
    assert!(page.contains("The run holds no evaluation by class."));
}

#[test]
fn many_classes_are_folded_and_their_confusions_listed() {
    let run = RunFixture::finetuned();
    let names: Vec<String> = (0..60).map(|class| format!("class {class}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows: Vec<Vec<u64>> = (0..60)
        .map(|truth| {
            (0..60).map(|other| if truth == other { 20 } else { u64::from(other == 7) }).collect()
        })
        .collect();
    let rows: Vec<&[u64]> = rows.iter().map(Vec::as_slice).collect();
    run.write("evaluation.json", &evaluation(&names, &rows));
    let page = run.read().to_html();
    assert_self_contained(&page);
    assert!(page.contains("<summary>All 60 classes</summary>"));
    assert!(
        page.contains("The most frequent confusions of 60 classes.")
            && !page.contains("<table class=\"confusion\">")
    );
}

#[test]
fn of_very_many_classes_the_worst_are_shown() {
    let run = RunFixture::finetuned();
    let names: Vec<String> = (0..1_500).map(|class| format!("class {class}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut record = evaluation(&["cat", "dog"], &[&[3, 0], &[0, 4]]);
    record["classes"] = serde_json::json!(names);
    record["confusion"] =
        serde_json::json!({ "classes": 1_500, "pairs": [[2, 1_499, 3], [5, 5, 4]] });
    record["top1"] = serde_json::json!(4.0 / 7.0);
    run.write("evaluation.json", &record);
    let page = run.read().to_html();
    assert_self_contained(&page);
    assert!(page.contains("All 1,500 classes are in <code>evaluation.json</code>."), "{page:.400}");
    assert!(!page.contains("<summary>All 1500 classes</summary>"));
    assert!(page.contains("<th scope=\"row\">class 2</th><td>class 1499</td>"));
    assert!(page.len() < 200_000, "{} bytes", page.len());
}

#[test]
fn runs_are_compared_in_what_differs() {
    let runs = [
        RunFixture::finetuned().set("optim.base_lr", "0.004"),
        RunFixture::finetuned().set("optim.base_lr", "0.001"),
    ];
    runs[1].write("evaluation.json", &evaluation(&["cat", "dog"], &[&[30, 30], &[20, 40]]));
    runs[0].bytes("figures/reconstruction-step-00000100.png", &png());
    let reports = runs.each_ref().map(RunFixture::read);
    let page = compare(&reports);
    assert_self_contained(&page);
    let row = "<th scope=\"row\"><code>optim.base_lr</code></th><td>0.004</td><td>0.001</td>";
    assert!(page.contains(row));
    assert!(!page.contains("optim.batch"), "the same in both");
    assert!(!page.contains("the same network or"), "both have it");
    // 86.7 % − 58.3 % = 28.3 points; √(3.10² + 4.50²) = 5.5.
    assert!(
        page.contains("is right 28.3 points more often than “")
            && page.contains("difference at most 5.5): more than the choice of pictures explains")
    );
    assert_eq!(page.matches("<img ").count(), 1);
    let names = reports.each_ref().map(|report| report.name.clone());
    assert!(names.iter().all(|name| page.contains(&format!("<th scope=\"col\">{name}</th>"))));
}

/// 60 and 45 of 120: the same pictures leave less to chance than two draws of them.
#[test]
fn runs_are_compared_picture_by_picture() {
    let record = |cats: u64, answers: Option<(&str, &str)>, of: Option<&str>| {
        let mut record = evaluation(&["cat", "dog"], &[&[cats, 60 - cats], &[60, 0]]);
        let answers =
            answers.map(|(hits, pictures)| json!({ "pictures": pictures, "right": hits }));
        record["answers"] = json!(answers);
        record["of"] = json!(of);
        record
    };
    let with = |record: serde_json::Value| {
        let run = RunFixture::finetuned();
        run.write("evaluation.json", &record);
        run.read()
    };
    let halves =
        |first: &str, second: &str| format!("120:{}", first.repeat(15) + &second.repeat(15));
    let [all, most, others] = [("f", "0"), ("e", "0"), ("0", "7")].map(|(a, b)| halves(a, b));
    let best = with(record(60, Some((&all, "a")), None));
    let page = compare(&[with(record(45, Some((&most, "a")), None)), best.clone()]);
    assert!(page.contains("Held-out pictures, last weights: “"), "{page:.3000}");
    // 15 of 120 differ, all in favour of one.
    let says = "only one of them gets right, 15 against 0; p &lt; 0.001): more than the choice";
    assert!(page.contains("12.5 points more often") && page.contains(says), "{page:.3000}");
    let page = compare(&[best, with(record(45, Some((&most, "b")), None))]);
    let says = "(standard error of the difference 6.4, on different pictures): it may";
    assert!(page.contains(says), "{page:.3000}");

    // A test leaves what is known of the held-out pictures.
    let test = |hits: &str, pictures: &str| {
        let mut test = record(45, Some((hits, pictures)), Some("photos/test"));
        test["held_out_answers"] = json!({ "pictures": "a", "right": all });
        test
    };
    let one = || with(test(&most, "c"));
    let page = compare(&[one(), with(test(&others, "c"))]);
    let equal = "Test pictures: “";
    assert!(page.contains(equal) && page.contains("right equally often"), "{page:.3000}");
    assert!(page.contains("37.5\u{202f}% of 120 in photos/test</td>"), "{page:.4000}");
    let cannot = "The tests cannot be compared: ";
    let page = compare(&[one(), with(test(&most, "d"))]);
    assert!(page.contains(&format!("{cannot}they are not known to be")), "{page:.3000}");
    // Of earlier versions it is not known, and they do not join what differs.
    let unknown = || with(record(45, None, Some("photos/test")));
    let page = compare(&[one(), unknown()]);
    assert!(page.contains(equal) && !page.contains(cannot), "{page:.3000}");
    assert!(compare(&[one(), unknown(), with(test(&most, "d"))]).contains(cannot));
    let mut seen = test(&others, "c");
    seen["trained_on"] = json!(30);
    let page = compare(&[one(), with(seen)]);
    assert!(page.contains("was trained on some of the test pictures"), "{page:.3000}");
    assert!(page.contains("photos/test, 30 of them trained on</td>"), "{page:.4000}");
    let mut unknown = test(&others, "c");
    unknown["trained_on"] = json!(null);
    let page = compare(&[one(), with(unknown)]);
    assert!(page.contains("was perhaps trained on some of the test pictures"), "{page:.3000}");
    assert!(page.contains("photos/test, perhaps trained on</td>"), "{page:.4000}");
}

#[test]
fn a_run_compared_with_itself_has_two_names() {
    let run = RunFixture::finetuned();
    let page = compare(&[run.read(), run.read()]);
    assert_self_contained(&page);
    let name = run.path().file_name().unwrap().to_string_lossy();
    assert!(page.contains(&format!("{name} (2)</th>")));
    assert!(page.contains("(2)” are right equally often"), "{page:.3000}");
    assert!(page.contains("the same settings"));
    assert_self_contained(&compare(&[]));
}

#[test]
fn what_makes_a_comparison_unfair_is_said() {
    let kinds = compare(&[RunFixture::finetuned().read(), RunFixture::pretrained().read()]);
    assert!(kinds.contains("their losses measure different things"));
    let mut other = RunFixture::finetuned().read();
    other.fingerprint = "4567".to_owned();
    let pictures = compare(&[RunFixture::finetuned().read(), other]);
    assert!(pictures.contains("not trained on the same pictures"));
    let network = |size: &str, image: &str| {
        let run = RunFixture::finetuned().set("model.size", size).set("data.image_size", image);
        run.set("model.depths", if size == "'atto'" { "[2]" } else { "[3]" }).read()
    };
    let both = compare(&[network("'atto'", "[64, 64]"), network("'tiny'", "[96, 96]")]);
    assert!(
        both.contains(
            "the same network or picture size: “data.image_size” and “model.size” differ."
        ),
        "{both:.3000}"
    );
    let one = compare(&[network("'atto'", "[64, 64]"), network("'atto'", "[96, 96]")]);
    assert!(
        one.contains("the same network or picture size: “data.image_size” differs."),
        "{one:.3000}"
    );
    let fair = compare(&[RunFixture::finetuned().read(), RunFixture::finetuned().read()]);
    assert!(!fair.contains("measure different") && !fair.contains("the same pictures"));
    assert!(!fair.contains("the same network"));
}

#[test]
fn trials_say_the_answer_what_it_rests_on_and_every_seed() {
    let scratch = RunFixture::finetuned().set("finetune.layer_decay", "1.0").read();
    let pretrained = RunFixture::finetuned().set("finetune.layer_decay", "0.9").read();
    let scores = EstimationPlot {
        title: HOSTILE.to_owned(),
        score: "top-1, %".to_owned(),
        difference: "difference, points".to_owned(),
        names: ["from scratch", "pre-trained"].map(str::to_owned),
        pairs: [(7, [38.0, 43.5]), (8, [40.0, 39.5])]
            .map(|(seed, scores)| SeedScores { seed, scores })
            .to_vec(),
        standard_error: Some(3.0),
    };
    let charts =
        [Chart::new("Loss", "epoch", "").series(Series::new("loss", vec![(1.0, 2.0), (2.0, 1.0)]))];
    let grounds = [QUOTED.to_owned()];
    let trials = Trials {
        question: "Does it pay?",
        answer: HOSTILE,
        grounds: &grounds,
        scores: &scores,
        charts: &charts,
        runs: [&scratch, &pretrained],
    };
    let page = trials.to_html();
    assert_self_contained(&page);
    assert!(!page.contains(HOSTILE) && !page.contains(QUOTED));
    assert!(page.contains("<h1>Does it pay?</h1>") && page.contains(">Loss</h3>"));
    let row = |seed: &str, [other, baseline, difference]: [&str; 3]| {
        let cells =
            [other, baseline, difference].map(|cell| format!("<td class=\"number\">{cell}</td>"));
        format!("<tr><th scope=\"row\">{seed}</th>{}</tr>", cells.concat())
    };
    for expected in [
        row("7", ["43.5", "38.0", "+5.5"]),
        row("8", ["39.5", "40.0", "−0.5"]),
        row("mean", ["41.5", "39.0", "+2.5"]),
        "<code>finetune.layer_decay</code></th><td>0.9</td><td>1.0</td>".to_owned(),
    ] {
        assert!(page.contains(&expected), "{expected}");
    }
    assert!(page.contains("two standard errors"));

    let scores = EstimationPlot { standard_error: None, ..scores.clone() };
    let bare = Trials { scores: &scores, charts: &[], ..trials }.to_html();
    assert_self_contained(&bare);
    assert!(!bare.contains("two standard errors") && !bare.contains(">Curves</h2>"));
}

#[test]
fn a_page_is_written_into_its_run() {
    let run = RunFixture::finetuned();
    let report = run.read();
    run.bytes("report.html", b"old");
    let path = report.write(run.path()).unwrap();
    assert_eq!(path, run.path().join("report.html"));
    assert_eq!(std::fs::read_to_string(path).unwrap(), report.to_html());
}

#[test]
fn what_is_no_run_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = Report::read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("run.json"), "{error}");

    let run = RunFixture::finetuned();
    run.read();
    run.write("run.json", &json!({ "kind": "cook" }));
    let error = Report::read(run.path()).unwrap_err();
    assert!(matches!(error, ReportError::Malformed { .. }));
    assert!(
        error.to_string().contains("run.json") && error.to_string().contains("\"cook\""),
        "{error}"
    );

    run.bytes("config.toml", b"epochs = = 3");
    run.write("run.json", &json!({ "kind": "finetune" }));
    let error = Report::read(run.path()).unwrap_err();
    assert!(error.to_string().contains("config.toml is damaged"), "{error}");
}

fn small() -> Thumbnail {
    Thumbnail::jpeg(b"\xff\xd8\xff", [96, 128])
}

fn head() -> Head {
    let fact = Fact { label: "A share", figure: "5 %".to_owned(), about: HOSTILE.to_owned() };
    Head {
        kind: "Neighbours".to_owned(),
        title: HOSTILE.to_owned(),
        lead: QUOTED.to_owned(),
        facts: vec![fact],
        reading: vec!["It is read so.".to_owned(), HOSTILE.to_owned()],
        notes: vec![QUOTED.to_owned()],
    }
}

#[test]
fn a_gallery_shows_pictures_and_blanks_with_what_is_said_of_them() {
    let card = |name: &str, picture, differs| Card {
        picture,
        name: name.to_owned(),
        label: Some(HOSTILE.to_owned()),
        about: "0.5".to_owned(),
        differs,
    };
    let row = Strip {
        first: Some(card("/all/one/a.jpg", Some(small()), false)),
        cards: vec![
            card("/all/one/b.jpg", None, true),
            card("/all/two/c.jpg", Some(small()), false),
        ],
        left_out: 1200,
        ..Strip::default()
    };
    let gallery = Gallery { head: head(), heading: "Rows", rows: vec![row] };
    let page = gallery.to_html();
    assert_self_contained(&page);
    assert!(!page.contains(HOSTILE) && !page.contains(QUOTED));
    assert!(page.contains("All names begin with <span class=\"path\">/all/</span>"));
    assert!(page.contains("title=\"/all/one/b.jpg\">one/b.jpg</span>"));
    assert_eq!(page.matches("<figure class=\"differs\">").count(), 1);
    assert!(page.contains("width=\"128\" height=\"96\" alt=\"&lt;script"), "{page:.6000}");
    assert!(page.contains(", one/b.jpg, no picture\">no picture</div>"));
    assert!(page.contains("<div class=\"cards of-3\">"), "{page:.6000}");
    assert!(page.contains("and 1,200 more") && page.contains("aria-label=\"one/a.jpg\""));

    let long = format!("/all/{}/the end.png", "folder".repeat(9));
    let row = Strip {
        cards: vec![card(&long, None, false), card("/all/b", None, false)],
        ..Strip::default()
    };
    let page = Gallery { head: head(), heading: "Rows", rows: vec![row] }.to_html();
    let shown = format!("title=\"{long}\">folderfolderfolderf…erfolder/the end.png</span>");
    assert!(page.contains(&shown), "{page:.6000}");

    let empty = Gallery { head: head(), heading: "Rows", rows: vec![] }.to_html();
    assert_self_contained(&empty);
    assert!(empty.contains("There is nothing to show."));
}

#[test]
fn options_and_short_commands_stay_on_one_line() {
    let reading = vec!["Try --weights, `fcmae map` (--out too) -- or\nnot --1.".to_owned()];
    let head = Head { reading, notes: vec!["Give --pictures.".to_owned()], ..Head::default() };
    let page = Gallery { head, heading: "Rows", rows: vec![] }.to_html();
    let whole = |text: &str| format!("<span class=\"unbroken\">{text}</span>");
    let expected = format!(
        "Try {} <code class=\"unbroken\">fcmae map</code> {} too) -- or\nnot --1.</p>",
        whole("--weights,"),
        whole("(--out")
    );
    assert!(page.contains(&expected), "{}", &page[page.find("id=\"reading").unwrap()..]);
    assert!(page.contains(&format!("Give {}</p>", whole("--pictures."))));
    let long = format!("`{}`", "code ".repeat(20));
    let head = Head { reading: vec![long], ..Head::default() };
    let page = Gallery { head, heading: "Rows", rows: vec![] }.to_html();
    assert!(page.contains("<p><code>code code"), "a long command may break");
}

#[test]
fn of_very_many_rows_a_page_shows_the_first() {
    let card = Card { picture: Some(small()), name: "a.jpg".to_owned(), ..Card::default() };
    let row = |cards| Strip { cards: vec![card.clone(); cards], ..Strip::default() };
    let shown = |rows: Vec<Strip>| {
        let page = Gallery { head: head(), heading: "Rows", rows }.to_html();
        assert_self_contained(&page);
        (page.matches("<img ").count(), page.contains("The first"), page)
    };
    let (pictures, cut, _) = shown(vec![row(2); 500]);
    assert_eq!((pictures, cut), (1000, false));
    let (pictures, _, page) = shown(vec![row(2); 501]);
    assert!(pictures == 1000 && page.contains("The first 500 of 501 rows"));
    let (pictures, _, page) = shown(vec![row(999); 6]);
    assert!(pictures == 4995 && page.contains("The first 5 of 6 rows"));
}

#[test]
fn a_map_has_its_pictures_where_they_belong() {
    let spot = |x: f64, y: f64, label: Option<&str>| {
        Spot::new([x, y], format!("/all/{QUOTED}"), label.map(str::to_owned))
    };
    let mut map = Map::new(
        head(),
        vec![
            spot(0.0, 0.0, Some(HOSTILE)),
            spot(10.0, 5.0, Some(HOSTILE)),
            spot(10.01, 5.0, Some("dog")),
            spot(5.0, 2.5, None),
        ],
    );
    // The second and the third lie on each other.
    assert_eq!(map.on_map().collect::<Vec<_>>(), [0, 2, 3]);
    map.lay(0, Some(small()));
    map.lay(1, Some(small()));
    let page = map.to_html();
    assert_self_contained(&page);
    assert!(!page.contains(HOSTILE) && !page.contains(QUOTED));
    assert_eq!(page.matches("<div class=\"spot ").count(), 4);
    assert!(page.contains("<div class=\"spot g0 shown up\" style=\"left:3.18%;"), "{page:.9000}");
    assert!(page.contains("<div class=\"spot g\" style=\"left:49.95%;top:50.00%"));
    assert!(page.contains("<div class=\"spot g1 left\" style"));
    let drawing = map.to_svg();
    elements(&drawing);
    assert!(!drawing.contains(HOSTILE) && !drawing.contains(QUOTED));
    assert_eq!(
        (drawing.matches("<image ").count(), drawing.matches("<circle ").count()),
        (1, 3 + 3)
    );
    assert_self_contained(&Map::new(head(), vec![]).to_html());
}

/// A line of watched pictures after an epoch.
fn watched(epoch: u64, neighbours: f64, probe: f64) -> serde_json::Value {
    json!({ "epoch": epoch, "neighbours": neighbours, "probe": probe, "step": 10 * epoch, "tested": 400 })
}

/// A pre-training of ten epochs that was watched from its start on.
fn watched_run(looks: &[(u64, f64, f64)]) -> RunFixture {
    let run = RunFixture::pretrained();
    let updates = (1..=100).map(|step| update(step, 1.0 - 0.005 * (step - 1) as f64));
    let looks = looks.iter().map(|&(epoch, neighbours, probe)| watched(epoch, neighbours, probe));
    run.metrics(looks.chain(updates));
    let mut pictures = data(&[]);
    pictures["watched"] = json!({
        "roots": ["/labelled"], "fitted": 400, "tested": 400, "classes": 5, "names": "",
    });
    run.write("data.json", &pictures);
    run
}

#[test]
fn a_watched_run_is_shown_beside_its_start() {
    let looks = [(0, 0.22, 0.25), (5, 0.35, 0.4), (10, 0.41, 0.452)];
    let page = watched_run(&looks).read().to_html();
    assert_self_contained(&page);
    for part in [
        "Right (nearest neighbours), %",
        "Right (linear probe), %",
        "After epoch 10, the vote of nearest neighbours names the right class of 41.0\u{202f}% (36.3 to 45.9\u{202f}%) \
         of 400 labelled pictures, a linear probe of 45.2\u{202f}% (40.4 to 50.1\u{202f}%); with the untrained network \
         it was 22.0\u{202f}% and 25.0\u{202f}%.",
        "training improves the features",
        "25.0\u{202f}% → 45.2\u{202f}%",
        "/labelled",
        "800 pictures",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let page = watched_run(&[(0, 0.22, 0.45), (10, 0.22, 0.46)]).read().to_html();
    assert!(page.contains("too close to that of the untrained network"), "{page}");
    let page = watched_run(&[(0, 0.22, 0.45), (10, 0.22, 0.2)]).read().to_html();
    assert!(page.contains("is worse than with the untrained network"), "{page}");
    let page = watched_run(&[(0, 0.22, 0.45)]).read().to_html();
    assert!(page.contains("With the untrained network, before the first step"), "{page}");
    assert!(!RunFixture::pretrained().read().to_html().contains("atched"));
}

/// Pictures that went away during the run are told, and all else stands.
#[test]
fn a_run_that_lost_its_watched_pictures_says_since_when() {
    let run = watched_run(&[(0, 0.22, 0.25), (5, 0.35, 0.4)]);
    let whole = run.read().to_html();
    let mut pictures = data(&[]);
    pictures["watched"] = json!({
        "roots": ["/labelled"], "fitted": 400, "tested": 403, "classes": 5, "names": "",
        "left_out": { "epoch": 6, "why": "none of 400 pictures can be read" },
    });
    run.write("data.json", &pictures);
    let page = run.read().to_html();
    assert_self_contained(&page);
    for part in [
        "The watched pictures could no longer be used",
        "After epoch 6 the run went on without them: none of 400 pictures can be read. The",
        "After epoch 6 they could not be used any more, and were left out.",
        "Of 403 pictures to test on, 3 could not be read then.",
        "After epoch 5, the vote of nearest neighbours",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!whole.contains("left out.") && !whole.contains("could no longer"), "{whole}");
}

/// The start is logged last where a run was watched from a later step on; its curve goes forward all the same.
#[test]
fn runs_are_compared_by_what_watched_pictures_told() {
    let late = watched_run(&[(5, 0.35, 0.4), (0, 0.22, 0.25), (10, 0.41, 0.452)]).read();
    let epochs: Vec<f64> = late.metrics.neighbours.means().iter().map(|point| point.0).collect();
    assert_eq!(epochs, [5.0, 10.0]);
    let page = compare(&[late, RunFixture::pretrained().read()]);
    assert_self_contained(&page);
    for part in [
        "Watched pictures right (neighbours)",
        "22.0\u{202f}% → 41.0\u{202f}%",
        "25.0\u{202f}% → 45.2\u{202f}%",
        "Watched pictures right (linear probe), %",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

/// The command line is that of the last call, which may not name them.
#[test]
fn what_a_run_began_with_is_told() {
    let start = |run: RunFixture| {
        let page = run.read().to_html();
        let (_, rest) = page.split_once("<dt>started from</dt>")?;
        Some(rest.split("</dd>").next().unwrap().rsplit('>').next().unwrap().to_owned())
    };
    let from = json!({"path": "/runs/pre", "hash": "0"});
    assert_eq!(start(RunFixture::finetuned().fact("start", from)).unwrap(), "/runs/pre");
    let taught = json!({"path": "hf:a/b", "hash": "0", "teacher": "1"});
    let taught = start(RunFixture::pretrained().fact("start", taught)).unwrap();
    assert_eq!(taught, "hf:a/b, which also teaches the run");
    let scratch = RunFixture::finetuned().fact("id", json!("2026-1"));
    assert_eq!(start(scratch).unwrap(), "random weights");
    // Of earlier versions it is not known.
    assert_eq!(start(RunFixture::finetuned()), None);
}

/// What was held out stays what the run is judged by, and the test is named as one.
#[test]
fn a_test_stands_beside_what_was_held_out() {
    let run = RunFixture::finetuned();
    let mut record = evaluation(&["cat", "dog"], &[&[30, 10], &[15, 25]]);
    record["of"] = json!("photos/test");
    record["weights"] = json!("export/best");
    run.write("evaluation.json", &record);
    run.metrics((1..=100).map(|step| update(step, 1.0)).chain([evaluated(10, 0.9, 0.4)]));
    let page = run.read().to_html();
    assert_self_contained(&page);
    for said in [
        "Held-out pictures right, last",
        "90.0",
        "Test pictures right",
        "80 pictures in photos/test with export/best;",
    ] {
        assert!(page.contains(said), "{said}: {page:.3000}");
    }
    assert!(page.contains("The 80 pictures in photos/test, by their true class"));
}
