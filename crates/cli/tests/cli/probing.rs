//! `fcmae probe` and `fcmae choose`: what vectors tell before any training, from pictures and from files of vectors.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::command::{Ran, fcmae};
use crate::sources::{archive, embed, vectors, write_list};
use crate::trained::{CLASSES, Trained, draw};

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The paths of a list, after its header.
fn chosen(list: &str) -> Vec<String> {
    let lines = list.strip_prefix("path,rank,distance\n").unwrap().lines();
    let path = |line: &str| line.rsplitn(3, ',').last().unwrap().trim_matches('"').to_owned();
    lines.map(path).collect()
}

#[test]
fn a_probe_tells_the_same_of_every_source() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (pictures, weights) = (trained.pictures(), trained.finetuned());
    let whole = fcmae!("probe", "--data", pictures, "--weights", weights, "--json").done();
    let found = json(&whole);
    // A fifth of each class of 12 are two.
    assert_eq!(
        (&found["classes"], &found["fitted"], &found["tested"]),
        (&3.into(), &30.into(), &6.into())
    );
    assert_eq!(found["largest_share"].as_f64().unwrap(), 1.0 / 3.0);
    let methods = found["methods"].as_array().unwrap();
    let names: Vec<&str> = methods.iter().map(|m| m["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["neighbours", "logistic"]);
    for method in methods {
        let [low, high] = [0, 1].map(|end| method["interval"][end].as_f64().unwrap());
        let top1 = method["top1"].as_f64().unwrap();
        assert!(0.0 <= low && low <= top1 && top1 <= high && high <= 1.0, "{method}");
    }

    for form in ["parquet", "npy", "csv"] {
        let file = at(&format!("{form}.{form}"));
        embed(&pictures, &weights, &file);
        let ran = fcmae!("probe", "--data", file, "--json").done();
        assert_eq!(ran.stdout, whole.stdout, "{form}");
    }
    archive(&pictures, &at("all.tar"));
    let ran = fcmae!("probe", "--data", at("all.tar"), "--weights", weights, "--json").done();
    assert_eq!(ran.stdout, whole.stdout);
    write_list(&pictures, 12, &at("list.csv"));
    let ran = fcmae!("probe", "--data", at("list.csv"), "--weights", weights, "--json").done();
    assert_eq!(ran.stdout, whole.stdout);
    let other = fcmae!("probe", "--data", at("npy.npy"), "--seed", "1", "--json").done();
    assert_eq!(json(&other)["seed"], 1);

    let noise =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/fixtures/parquet/none.parquet");
    fcmae!("probe", "--data", noise, "--weights", weights).done();

    // A test of its own, of which one class is new.
    draw(&at("test"), &CLASSES, 3);
    fs::rename(at("test/disc"), at("test/ring")).unwrap();
    let ran =
        fcmae!("probe", "--data", pictures, "--test", at("test"), "--weights", weights).done();
    let says =
        "1 class of the test is not in --data, such as ring: 3 pictures that can only be wrong";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    assert!(ran.stderr.contains("9 pictures of the test are copies of pictures to learn from"));
    assert!(ran.stdout.contains("4 classes, 36 pictures to learn from, 9 in the test"));
    // Those six are copies of what is known, so that each is its own neighbour.
    assert!(ran.stdout.contains("66.67% (95% interval 35.4 to 87.9%)"), "{}", ran.stdout);
}

#[test]
fn a_probe_chooses_its_settings_and_tells_what_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let names: Vec<String> = (0..40).map(|number| format!("{number}.png")).collect();
    let row = |number: usize| {
        let angle = number as f32 * 0.03 + if number.is_multiple_of(2) { 0.0 } else { 2.0 };
        let label = ["even", "odd"][number % 2];
        (names[number].as_str(), label, [angle.cos(), angle.sin()])
    };
    let mut rows: Vec<_> = (0..40).map(row).collect();
    rows.extend([("alone.png", "once", [-1.0, -1.0]), ("nameless.png", "", [1.0, 1.0])]);
    rows.push(("black.png", "odd", [0.0, 0.0]));
    vectors(&at("all.csv"), &rows);
    let ran = fcmae!("probe", "--data", at("all.csv")).done();
    for says in [
        "1 picture with a vector of zeros left out, such as black.png",
        "1 picture without a label left out",
        "1 class with only one picture: learned from, but not in the test",
    ] {
        assert!(ran.stderr.contains(says), "`{says}`: {}", ran.stderr);
    }
    assert!(ran.stdout.contains("3 classes, 33 pictures to learn from, 8 in the test"));
    let perfect = "100.00% (95% interval 67.6 to 100.0%)";
    assert_eq!(ran.stdout.matches(perfect).count(), 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("k 1, temperature 0.07") && ran.stdout.contains("C 0.001"));
    assert!(ran.stdout.contains("the largest class    even"), "{}", ran.stdout);

    // One picture of each class: nothing to choose on.
    vectors(&at("few.csv"), &rows[..2]);
    fcmae!("probe", "--data", at("few.csv")).refused(1, &["only one picture", "--test"]);
    vectors(&at("test.csv"), &rows[2..6]);
    let ran = fcmae!("probe", "--data", at("few.csv"), "--test", at("test.csv")).done();
    assert!(ran.stderr.contains("no settings can be chosen"), "{}", ran.stderr);
    assert_eq!(ran.stdout.matches("100.00%").count(), 2, "{}", ran.stdout);
    let ran = fcmae!("probe", "--data", at("all.csv"), "--test", at("test.csv")).done();
    let says = "4 pictures of the test are also in --data and say little about others";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_probed_is_refused() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (pictures, weights) = (trained.pictures(), trained.finetuned());
    let probe = |data: &Path| fcmae!("probe", "--data", data);
    probe(&pictures).refused(2, &["is a folder", "--weights"]);
    probe(&at("missing.parquet")).refused(2, &["missing.parquet", "no such file"]);
    fcmae!("probe", "--data", at("missing"), "--weights", weights).refused(2, &["missing"]);
    let flat = pictures.join("disc");
    fcmae!("probe", "--data", flat, "--weights", weights)
        .refused(1, &["disc", "at least two classes", "column label"]);
    vectors(&at("one.csv"), &[("a", "x", [1.0, 0.0]), ("b", "x", [0.0, 1.0])]);
    probe(&at("one.csv")).refused(1, &["one class", "at least two"]);
    vectors(&at("none.csv"), &[("a", "", [1.0, 0.0]), ("b", "", [0.0, 1.0])]);
    probe(&at("none.csv")).refused(1, &["none.csv", "labels of at least two classes"]);
    vectors(&at("nan.csv"), &[("a", "x", [1.0, f32::NAN]), ("b", "y", [0.0, 1.0])]);
    probe(&at("nan.csv")).refused(1, &["nan.csv", "not a number"]);

    embed(&pictures, &weights, &at("fine.parquet"));
    embed(&pictures, &trained.pretrained(), &at("pre.parquet"));
    fcmae!("probe", "--data", at("fine.parquet"), "--test", at("pre.parquet"))
        .refused(2, &["pre.parquet", "different weights"]);
    fcmae!("choose", "--data", at("fine.parquet"), "--labelled", at("pre.parquet"))
        .refused(2, &["pre.parquet", "different weights"]);
}

#[test]
fn pictures_are_chosen_alike_from_every_source() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (pictures, weights) = (trained.pictures(), trained.finetuned());
    let (all, first) = (at("all.parquet"), at("lists/first.csv"));
    embed(&pictures, &weights, &all);
    let ran = fcmae!(
        "choose",
        "--data",
        pictures,
        "--weights",
        weights,
        "--budget",
        "5",
        "--out",
        first,
        "--by",
        "spread"
    )
    .done();
    assert!(
        ran.stdout.contains("first.csv  5 pictures to label; none is nearer than"),
        "{}",
        ran.stdout
    );
    let list = fs::read_to_string(&first).unwrap();
    let ran = fcmae!("choose", "--data", all, "--budget", "5", "--by", "spread").done();
    assert_eq!(ran.stdout, list);
    let names = chosen(&list);
    assert_eq!(names.len(), 5);
    let distances: Vec<f32> = list
        .lines()
        .skip(2)
        .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
        .collect();
    assert!(distances.is_sorted_by(|a, b| a >= b), "{distances:?}");
    assert!(list.lines().nth(1).unwrap().ends_with(",1,"), "{list}");

    // Going on from a list is as if more had been asked for.
    let ten = fcmae!("choose", "--data", all, "--budget", "10", "--by", "spread").done();
    let next =
        fcmae!("choose", "--data", all, "--labelled", first, "--budget", "5", "--by", "spread")
            .done();
    assert_eq!(chosen(&next.stdout), chosen(&ten.stdout)[5..]);
    let again = fcmae!(
        "choose",
        "--data",
        pictures,
        "--weights",
        weights,
        "--labelled",
        first,
        "--budget",
        "5",
        "--by",
        "spread"
    );
    assert_eq!(again.done().stdout, next.stdout);
}

#[test]
fn what_is_labelled_may_be_a_list_pictures_or_vectors() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (pictures, weights, all) = (trained.pictures(), trained.finetuned(), at("all.parquet"));
    embed(&pictures, &weights, &all);
    // A list of other pictures is computed.
    draw(&at("new"), &CLASSES[..1], 12);
    let rows: String = (0..12).map(|number| format!("new/disc/{number:02}.png\n")).collect();
    fs::write(at("new.csv"), format!("path\n{rows}")).unwrap();
    let listed = fcmae!(
        "choose",
        "--data",
        pictures,
        "--weights",
        weights,
        "--labelled",
        at("new.csv"),
        "--by",
        "spread"
    )
    .done();

    // What is labelled may be pictures or vectors of them, here all of one class: the first chosen is of another.
    let disc = pictures.join("disc");
    embed(&disc, &weights, &at("disc.npy"));
    let labelled =
        |data: &Path| fcmae!("choose", "--data", all, "--labelled", data, "--by", "spread").done();
    let beside = labelled(&at("disc.npy"));
    let names = chosen(&beside.stdout);
    assert!(!names[0].contains("disc"), "{names:?}");
    assert!(names.iter().all(|name| !name.contains("disc/")), "{names:?}");
    assert!(beside.stderr.contains("of 100 asked for: all others are labelled, or copies"));
    let ran = fcmae!(
        "choose",
        "--data",
        pictures,
        "--weights",
        weights,
        "--labelled",
        disc,
        "--by",
        "spread"
    )
    .done();
    assert_eq!(ran.stdout, beside.stdout);
    assert_eq!(listed.stdout, beside.stdout);
}

#[test]
fn copies_are_never_chosen_twice_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let rows = [
        ("a", "", [1.0, 0.0]),
        ("a copy", "", [1.0, 0.0]),
        ("\"b, c\"", "", [0.0, 1.0]),
        ("longer", "", [0.0, 3.0]),
        ("d", "", [-1.0, 0.0]),
    ];
    vectors(&at("all.csv"), &rows);
    let out = at("out.csv");
    let choose = || fcmae!("choose", "--data", at("all.csv"), "--out", out, "--by", "spread");
    let ran = choose().done();
    assert!(ran.stderr.contains("3 pictures chosen, of 100 asked for"), "{}", ran.stderr);
    let list = fs::read_to_string(&out).unwrap();
    assert_eq!(list, "path,rank,distance\n\"b, c\",1,\na,2,1.000000\nd,3,1.000000\n");
    choose().refused(2, &["out.csv", "exists", "--overwrite"]);
    fs::write(&out, "mine").unwrap();
    choose().refused(2, &["exists"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "mine");
    fcmae!("choose", "--data", at("all.csv"), "--out", out, "--overwrite", "--by", "spread").done();
    assert_eq!(fs::read_to_string(&out).unwrap(), list);
    fcmae!("choose", "--data", at("all.csv"), "--out", at("all.csv"), "--overwrite")
        .refused(2, &["all.csv", "is read by this command"]);
    fcmae!("choose", "--data", at("all.csv"), "--out", at("out.txt"))
        .refused(2, &["out.txt", ".csv"]);
    fcmae!("choose", "--data", at("all.csv"), "--labelled", at("none.csv"))
        .refused(2, &["none.csv", "no such file or folder"]);
    fs::write(at("other.csv"), "path\na\nzebra\n").unwrap();
    fcmae!("choose", "--data", at("all.csv"), "--labelled", at("other.csv"))
        .refused(1, &["other.csv", "1 of 2 pictures", "zebra", "for example a"]);
    // Where some have labels, the others may be chosen: in lists and in files of vectors.
    let some = [("a", "x", [1.0, 0.0]), ("d", "", [-1.0, 0.0])];
    vectors(&at("some.csv"), &some);
    fs::write(at("list.csv"), "label,path\nx,a\n,d\n").unwrap();
    for labelled in [at("some.csv"), at("list.csv")] {
        let ran =
            fcmae!("choose", "--data", at("all.csv"), "--labelled", labelled, "--by", "spread")
                .done();
        assert_eq!(ran.stdout, "path,rank,distance\nd,1,2.000000\n\"b, c\",2,1.000000\n");
        assert!(ran.stderr.contains("1 picture of --labelled without a label"), "{}", ran.stderr);
    }
    // All of them labelled: an empty list.
    let ran = fcmae!("choose", "--data", at("all.csv"), "--labelled", out).done();
    assert_eq!(ran.stdout, "path,rank,distance\n");
    assert!(ran.stderr.contains("0 pictures chosen, of 100 asked for"), "{}", ran.stderr);
}

#[test]
fn clusters_are_stood_for_and_a_list_is_read_from_where_it_lies() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let data = trained.pictures();
    let choose = |more: &[&str]| {
        let mut call = crate::command::command(&[&"choose", &"--data", &"pictures", &"--weights"]);
        call.arg(trained.finetuned()).args(["--budget", "6"]).args(more);
        call.current_dir(data.parent().unwrap());
        Ran::of(call).done().stdout
    };
    let found = choose(&[]);
    let names = chosen(&found);
    assert_eq!(BTreeSet::from_iter(&names).len(), 6);
    assert_eq!(choose(&["--seed", "0"]), found);
    assert_ne!(choose(&["--by", "spread"]), found);

    // In another folder, the list is one of pictures all the same, and says what is labelled.
    let list = folder.path().join("lists/next.csv");
    choose(&["--out", list.to_str().unwrap()]);
    let listed = chosen(&fs::read_to_string(&list).unwrap());
    assert!(listed.iter().all(|name| Path::new(name).is_absolute()), "{listed:?}");
    fcmae!(
        "embed",
        "--data",
        list,
        "--weights",
        trained.finetuned(),
        "--out",
        folder.path().join("v.csv")
    )
    .done();
    let next = chosen(&choose(&["--labelled", list.to_str().unwrap()]));
    assert!(next.len() == 6 && next.iter().all(|name| !names.contains(name)), "{next:?}");
}
