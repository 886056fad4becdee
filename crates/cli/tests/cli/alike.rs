//! `fcmae neighbours`, `duplicates` and `map`, and the sheets of pictures: what is alike, from every source.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};

use crate::command::{Ran, command, fcmae};
use crate::sources::{archive, embed, vectors, write_list};
use crate::trained::{CLASSES, Trained, copy_folder, draw};

/// Rows of a CSV file without quotes, after its header.
fn rows(list: &str) -> Vec<Vec<&str>> {
    list.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

/// How many pictures a page has in it.
fn pictures(page: &str) -> usize {
    page.matches(" src=\"data:image/").count()
}

const TURNS: [(&str, &str, [f32; 2]); 5] = [
    ("a/0.png", "x", [1.0, 0.0]),
    ("a/1.png", "x", [2.0, 0.2]),
    ("b/0.png", "y", [1.0, 0.3]),
    ("b/1.png", "y", [0.0, 1.0]),
    ("c/2.png", "", [-0.1, 1.0]),
];

#[test]
fn neighbours_are_the_most_alike_with_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    vectors(&at("all.csv"), &TURNS);
    let ran = fcmae!("neighbours", "--data", at("all.csv"), "--count", "2").done();
    let found = rows(&ran.stdout);
    assert!(ran.stdout.starts_with("path,rank,neighbour,similarity,label,neighbour_label\n"));
    assert_eq!(found.len(), 10);
    assert_eq!(found[0], ["a/0.png", "1", "a/1.png", "0.995037", "x", "x"]);
    assert_eq!(found[1], ["a/0.png", "2", "b/0.png", "0.957826", "x", "y"]);
    assert_eq!(found[6][..3], ["b/1.png", "1", "c/2.png"]);
    assert_eq!(found[9][..3], ["c/2.png", "2", "b/0.png"]);
    // Of four with a label, all but b/0 have it in common with the nearest that has one; of the seven neighbours with
    // one, three have the same. By chance it is one of the other three that have a label.
    let says = "5 pictures with 2 neighbours each; 75.0% of the nearest and 42.9% of all have the same label \
                (33.3% by chance)";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);

    let one = fcmae!("neighbours", "--data", at("all.csv"), "--of", "a/1.png", "b/1.png").done();
    let found = rows(&one.stdout);
    assert!(one.stderr.contains("only 4 other pictures can be neighbours"), "{}", one.stderr);
    assert_eq!(found.len(), 8);
    assert!(found.iter().all(|row| row[0] != row[2]), "{}", one.stdout);
    let last = fcmae!("neighbours", "--data", at("all.csv"), "--of", "2.png", "--count", "1");
    assert!(last.done().stdout.contains("\nc/2.png,1,b/1.png,"));
    let of = |name: &str| fcmae!("neighbours", "--data", at("all.csv"), "--of", name);
    of("0.png").refused(2, &["--of 0.png", "a/0.png and b/0.png", "more of the name"]);
    of("d.png").refused(2, &["--of d.png", "like a/0.png", "--queries"]);

    // A picture that is in both is no neighbour of itself.
    vectors(&at("new.csv"), &[("a/0.png", "", [1.0, 0.0]), ("new.png", "x", [0.0, 5.0])]);
    let ran = fcmae!(
        "neighbours",
        "--data",
        at("all.csv"),
        "--queries",
        at("new.csv"),
        "--count",
        "1",
        "--out",
        at("lists/found.csv")
    );
    assert!(ran.done().stdout.contains("2 pictures with 1 neighbour each"));
    let list = read(&at("lists/found.csv"));
    let found = rows(&list);
    assert_eq!(found.len(), 2);
    let sheet = |more: &[&str]| {
        let (data, queries, sheet) = (at("all.csv"), at("new.csv"), at("two.html"));
        let mut command = crate::command::command(&[
            &"neighbours",
            &"--data",
            &data,
            &"--queries",
            &queries,
            &"--sheet",
            &sheet,
        ]);
        command.args(more);
        crate::command::Ran::of(command)
    };
    for rows in ["501", "0", "100000"] {
        sheet(&["--rows", rows]).refused(2, &["--rows", rows, "1..=500"]);
    }
    sheet(&["--rows", "500"]).done();
    assert!(read(&at("two.html")).contains("<h1>all.csv and new.csv</h1>"));
    assert_eq!((found[0][2], found[1][2]), ("a/1.png", "b/1.png"));

    vectors(&at("one.csv"), &TURNS[..1]);
    fcmae!("neighbours", "--data", at("one.csv")).refused(1, &["one.csv", "no neighbours"]);
    let flat: Vec<_> = TURNS.iter().map(|row| (row.0, "", [1.0, 1.0])).collect();
    vectors(&at("flat.csv"), &flat);
    let ran = fcmae!("neighbours", "--data", at("flat.csv")).done();
    assert!(ran.stderr.contains("nearly the same (their mean cosine is 1.0000)"), "{}", ran.stderr);
}

#[test]
fn neighbours_and_their_sheet_are_alike_from_every_source() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (all, weights) = (trained.pictures(), trained.finetuned());
    let ran = fcmae!(
        "neighbours",
        "--data",
        all,
        "--weights",
        weights,
        "--count",
        "4",
        "--rows",
        "5",
        "--out",
        at("whole.csv"),
        "--sheet",
        at("pages/whole.html")
    )
    .done();
    assert!(ran.stdout.contains("36 pictures with 4 neighbours each; "), "{}", ran.stdout);
    let (list, page) = (read(&at("whole.csv")), read(&at("pages/whole.html")));
    assert_eq!(pictures(&page), 5 * 5);
    assert!(page.contains("5 of 36 pictures, evenly spaced"), "{page:.3000}");
    assert!(page.contains("alt=\"disc, disc/") && page.contains("All names begin with"));

    embed(&all, &weights, &at("all.parquet"));
    let by = |data: &Path| {
        let sheet = at("again.html");
        let out = at("again.csv");
        let files = ["--count", "4", "--rows", "5", "--overwrite"];
        let [a, b, c, d, e] = files;
        fcmae!("neighbours", "--data", data, a, b, c, d, e, "--out", out, "--sheet", sheet).done()
    };
    by(&at("all.parquet"));
    assert_eq!(read(&at("again.csv")), list);
    // The pictures are read by their names.
    assert_eq!(pictures(&read(&at("again.html"))), 25);

    archive(&all, &at("all.tar"));
    let ran =
        fcmae!("neighbours", "--data", at("all.tar"), "--weights", weights, "--count", "4").done();
    let [from, to] = [at("all.tar"), all.clone()].map(|path| path.display().to_string());
    assert_eq!(ran.stdout.replace(&from, &to), list);
    write_list(&all, 12, &at("list.csv"));
    let ran =
        fcmae!("neighbours", "--data", at("list.csv"), "--weights", weights, "--count", "4").done();
    assert_eq!(ran.stdout, list);
    let noise =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/fixtures/parquet/none.parquet");
    fcmae!("neighbours", "--data", noise, "--weights", weights, "--sheet", at("p.html")).done();
    assert!(pictures(&read(&at("p.html"))) > 1);
}

#[test]
fn pictures_that_lie_elsewhere_are_found_by_their_folders() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    draw(&at("first"), &CLASSES, 2);
    embed(&at("first"), &trained.finetuned(), &at("all.npy"));
    let sheet = |more: &[&Path]| {
        let (data, page) = (at("all.npy"), at("page.html"));
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"neighbours", &"--data", &data, &"--sheet", &page, &"--overwrite"];
        if !more.is_empty() {
            arguments.push(&"--pictures");
            arguments.extend(more.iter().map(|path| path as &dyn AsRef<std::ffi::OsStr>));
        }
        let ran = crate::command::Ran::of(crate::command::command(&arguments)).done();
        (ran.stderr, read(&page))
    };
    assert_eq!(pictures(&sheet(&[]).1), 36);
    fs::rename(at("first"), at("second")).unwrap();
    let (says, page) = sheet(&[]);
    assert!(says.contains("The pictures cannot be found") && says.contains("--pictures"), "{says}");
    assert_eq!((pictures(&page), page.matches("no picture</div>").count()), (0, 36));
    assert!(page.contains("The pictures cannot be found:"));
    assert_eq!(pictures(&sheet(&[&at("second")]).1), 36);
    // A folder of one class alone has no picture of another, whatever it is called.
    let (says, page) = sheet(&[&at("second/disc")]);
    assert!(says.contains("4 of 6 pictures cannot be found"), "{says}");
    assert_eq!(pictures(&page), 12);
    // Broken and odd ones: a blank, and a picture of its own tones.
    fs::write(at("second/disc/00.png"), "no picture").unwrap();
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(9, 300, |x, y| {
        image::Luma([(1000 * x + y) as u16])
    });
    deep.save(at("second/disc/01.png")).unwrap();
    let (says, page) = sheet(&[&at("second")]);
    assert!(says.contains("1 picture on the page cannot be shown, such as"), "{says}");
    assert_eq!((pictures(&page), page.matches("no picture</div>").count()), (30, 6));
    assert!(page.contains("width=\"4\" height=\"128\""));
    let weights = trained.finetuned();
    let page = at("other.html");
    fcmae!(
        "neighbours",
        "--data",
        at("second"),
        "--weights",
        weights,
        "--sheet",
        page,
        "--pictures",
        at("second")
    )
    .refused(2, &["--pictures is for files of vectors"]);
}

#[test]
fn copies_are_groups_and_those_of_two_labels_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let copies = [
        ("a.png", "x", [1.0, 0.0]),
        ("b.png", "x", [0.0, 1.0]),
        ("a again.png", "x", [3.0, 0.0]),
        ("c.png", "y", [-1.0, 0.1]),
        ("c again.png", "z", [-1.0, 0.0]),
        ("c less.png", "", [-1.0, 0.2]),
        ("d.png", "y", [-1.0, -1.0]),
        ("black.png", "", [0.0, 0.0]),
    ];
    vectors(&at("all.csv"), &copies);
    let ran = fcmae!("duplicates", "--data", at("all.csv")).done();
    let expected = "group,path,label,similarity\n1,c.png,y,0.995229\n1,c again.png,z,0.995037\n\
                    1,c less.png,,0.995229\n2,a.png,x,1.000000\n2,a again.png,x,1.000000\n";
    assert_eq!(ran.stdout, expected);
    let says = "5 of 7 pictures look like copies, in 2 groups; 1 group with different labels";
    assert!(ran.stderr.contains(says) && ran.stderr.contains("black.png"), "{}", ran.stderr);
    let strict = fcmae!("duplicates", "--data", at("all.csv"), "--threshold", "0.9999").done();
    assert_eq!(rows(&strict.stdout).len(), 2);
    let (out, sheet) = (at("new/out.csv"), at("new/out.html"));
    let ran = fcmae!("duplicates", "--data", at("all.csv"), "--out", out, "--sheet", sheet).done();
    assert!(ran.stdout.contains(says), "{}", ran.stdout);
    assert_eq!(read(&out), expected);
    let page = read(&sheet);
    let [contradiction, other] =
        ["Different labels: “y” and “z”", ">2 pictures<"].map(|text| page.find(text).unwrap());
    assert!(contradiction < other);

    vectors(&at("none.csv"), &[("a", "", [1.0, 0.0]), ("b", "", [0.0, 1.0])]);
    let ran = fcmae!("duplicates", "--data", at("none.csv")).done();
    assert_eq!(ran.stdout, "group,path,label,similarity\n");
    assert!(ran.stderr.contains("no copies among 2 pictures"), "{}", ran.stderr);

    vectors(&at("test.csv"), &[("e", "y", [0.5, 0.0]), ("f", "", [0.5, -0.5])]);
    let against = |more: &str| {
        let (out, sheet) = (at("leaks.csv"), at("leaks.html"));
        let (data, test) = (at("all.csv"), at("test.csv"));
        fcmae!(
            "duplicates",
            "--data",
            data,
            "--against",
            test,
            "--out",
            out,
            "--sheet",
            sheet,
            more
        )
    };
    let ran = against("--overwrite").done();
    assert_eq!(
        read(&at("leaks.csv")),
        "path,against,similarity,label,against_label\na.png,e,1.000000,x,y\na again.png,e,1.000000,x,y\n"
    );
    let says = "1 of 2 pictures of --against looks like copies of 2 of --data; 2 pairs with different labels";
    assert!(ran.stdout.contains(says), "{}", ran.stdout);
    assert_eq!(read(&at("leaks.html")).matches("<figure class=\"differs\">").count(), 2);
}

/// Vectors of pictures in an archive: they are shown from there, and if it is gone the sheet says so.
#[test]
fn pictures_of_an_archive_are_shown_beside_their_vectors() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    archive(&trained.pictures(), &at("all.tar"));
    embed(&at("all.tar"), &trained.finetuned(), &at("all.parquet"));
    let sheet = || {
        let (data, page) = (at("all.parquet"), at("page.html"));
        let ran = fcmae!(
            "duplicates",
            "--data",
            data,
            "--sheet",
            page,
            "--overwrite",
            "--threshold",
            "0.9"
        );
        (ran.done().stderr, read(&page))
    };
    let (says, page) = sheet();
    assert!(pictures(&page) > 5 && !page.contains("no picture</div>"), "{says}");
    fs::rename(at("all.tar"), at("moved.tar")).unwrap();
    let (says, page) = sheet();
    assert!(
        says.contains("The pictures cannot be found (") && says.contains("all.tar is not there)"),
        "{says}"
    );
    assert!(pictures(&page) == 0 && page.contains("all.tar is not there)"));
    // What stands in its place and is no archive is told, and ends nothing.
    fs::write(at("all.tar"), "no archive").unwrap();
    let (says, page) = sheet();
    assert!(says.contains("no pictures: ") && says.contains("all.tar"), "{says}");
    assert_eq!(pictures(&page), 0);
}

/// Names of any bytes are told apart in every list and page, and lists of them are read again.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_utf_8_are_written_so_that_they_come_back() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    draw(&at("all"), &CLASSES[..2], 3);
    for (number, name) in
        [&b"a\xff.png"[..], b"a\xfe.png", b"\xe9t\xe9.png"].into_iter().enumerate()
    {
        let from = at("all/disc").join(format!("{number:02}.png"));
        fs::rename(from, at("all/disc").join(OsStr::from_bytes(name))).unwrap();
    }
    let weights = trained.finetuned();
    let names = ["disc/a\\xfe.png", "disc/a\\xff.png", "disc/\\xe9t\\xe9.png"];
    let all_named = |text: &str, what: &str| {
        for name in names {
            assert!(text.contains(name), "{name} in {what}: {text:.2000}");
        }
        assert!(!text.contains('\u{fffd}'), "{what}");
    };
    for form in ["parquet", "npy", "csv"] {
        let out = at(form).with_extension(form);
        let ran = fcmae!("embed", "--data", at("all"), "--weights", weights, "--out", out).done();
        let says = "3 names are not UTF-8, and written with bytes escaped as \\xff, such as ";
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
        let found = fcmae_vectors::Embeddings::open(&out).unwrap();
        all_named(&found.names.join("\n"), form);
        // Their files are found again.
        let page = at("page.html");
        fcmae!("neighbours", "--data", out, "--sheet", page, "--rows", "6", "--overwrite").done();
        let page = read(&page);
        assert_eq!(
            (pictures(&page), page.matches("no picture</div>").count()),
            (6 * 6, 0),
            "{form}"
        );
    }
    let (data, page) = (at("all"), at("page.html"));
    let ran = fcmae!("neighbours", "--data", data, "--weights", weights).done();
    all_named(&ran.stdout, "neighbours");
    assert_eq!(rows(&ran.stdout).len(), 6 * 5);
    let same = at("same/disc");
    fs::create_dir_all(&same).unwrap();
    for name in [&b"a\xff.png"[..], b"a\xfe.png", b"\xe9t\xe9.png"] {
        fs::copy(trained.picture(), same.join(OsStr::from_bytes(name))).unwrap();
    }
    fs::copy(trained.pictures().join("disc/00.png"), same.join("other.png")).unwrap();
    let same = at("same");
    let ran = fcmae!("duplicates", "--data", same, "--weights", weights, "--threshold", "1").done();
    all_named(&ran.stdout, "duplicates");
    fcmae!("map", "--data", data, "--weights", weights, "--out", page, "--overwrite").done();
    all_named(&read(&page), "map");
    let ran = fcmae!("anomalies", "--normal", data, "--data", data, "--weights", weights).done();
    all_named(&ran.stdout, "anomalies");

    // A choice goes on from its list, in the folder or elsewhere, and a list of pictures can be trained on.
    for out in [at("all/chosen.csv"), at("lists/chosen.csv")] {
        fcmae!("choose", "--data", data, "--weights", weights, "--budget", "6", "--out", out)
            .done();
        all_named(&read(&out), "choose");
        let next = fcmae!("choose", "--data", data, "--weights", weights, "--labelled", out).done();
        assert_eq!(next.stdout.lines().count(), 1, "{}", next.stdout);
        fcmae!("stats", "--data", out).done();
        let again = at("again.csv");
        fcmae!("embed", "--data", out, "--weights", weights, "--out", again, "--overwrite").done();
        assert_eq!(fcmae_vectors::Embeddings::open(&again).unwrap().names.len(), 6);
    }
}

/// The list can be trained on as it is, wherever it lies.
#[test]
fn what_remains_without_copies_is_a_set_of_pictures() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (weights, all, rest) = (trained.finetuned(), at("all"), at("lists/rest.csv"));
    copy_folder(&trained.pictures(), &all);
    fs::copy(all.join("disc/03.png"), all.join("square/copy.png")).unwrap();
    fs::create_dir(at("test")).unwrap();
    fs::copy(all.join("disc/05.png"), at("test/a.png")).unwrap();
    let run = |more: &[&dyn AsRef<OsStr>]| {
        let mut call = command(&[&"duplicates", &"--threshold", &"1", &"--overwrite"]);
        call.arg("--weights").arg(&weights).args(more).current_dir(folder.path());
        Ran::of(call)
    };
    let ran = run(&[&"--data", &all, &"--rest", &rest]).done();
    assert!(ran.stderr.contains("36 of 37 pictures remain"), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 group with different labels"), "{}", ran.stderr);
    let list = read(&rest);
    // Of a group the first stays, whatever its label.
    assert!(list.contains("disc/03.png,disc\n") && !list.contains("copy.png"), "{list}");
    let again = run(&[&"--data", &rest]).done();
    assert!(again.stderr.contains("no copies among 36 pictures"), "{}", again.stderr);
    let tested = fcmae!("evaluate", "--data", rest, "--weights", weights).done().stdout;
    assert!(tested.contains("36 pictures, 3 classes"), "{tested}");

    let ran = run(&[&"--data", &"all", &"--against", &at("test"), &"--rest", &"rest.csv"]).done();
    assert!(ran.stderr.contains("36 of 37 pictures remain"), "{}", ran.stderr);
    let list = read(&at("rest.csv"));
    assert!(list.contains("\nall/disc/03.png,disc\n") && list.contains("copy.png"), "{list}");
    assert!(!list.contains("disc/05.png"), "{list}");
    run(&[&"--data", &"all", &"--against", &all, &"--rest", &rest]).refused(1, &["none remains"]);
    archive(&all, &at("all.tar"));
    run(&[&"--data", &"all.tar", &"--rest", &rest]).refused(1, &["all.tar", "cannot be listed"]);
    for same in ["one.csv", "./one.csv", "test/../one.csv"] {
        run(&[&"--data", &all, &"--out", &"one.csv", &"--rest", &same])
            .refused(2, &["name the same file"]);
    }
    // Paths below the list's folder are relative to it, so that the whole can be moved; a column that it lacks is told.
    let within = all.join("within.csv");
    run(&[&"--data", &"all", &"--rest", &within]).done();
    assert!(read(&within).contains("\ndisc/03.png,disc\n"), "{}", read(&within));
    let rows =
        "path,label,patient\ndisc/01.png,disc,1\nsquare/01.png,square,1\nsquare/02.png,square,2\n";
    fs::write(all.join("patients.csv"), rows).unwrap();
    let ran = run(&[&"--data", &all.join("patients.csv"), &"--rest", &rest]).done();
    assert!(ran.stderr.contains("does not keep the column “patient”"), "{}", ran.stderr);
}

#[test]
fn a_picture_that_is_there_thousands_of_times_hides_no_other_copy() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut often: Vec<String> = (0..2500).map(|row| format!("blank {row}.png,,1,0,0")).collect();
    often.extend((0..40).map(|row| {
        let angle = f64::from(row / 2) * 0.1 + f64::from(row % 2) * 1e-3;
        format!("{row}.png,,{},{},1", angle.cos(), angle.sin())
    }));
    fs::write(at("often.csv"), format!("path,label,v0,v1,v2\n{}\n", often.join("\n"))).unwrap();
    let ran = fcmae!(
        "duplicates",
        "--data",
        at("often.csv"),
        "--threshold",
        "0.9999",
        "--out",
        at("often-found.csv")
    )
    .done();
    assert!(
        ran.stdout.contains("2,540 of 2,540 pictures look like copies, in 21 groups"),
        "{}",
        ran.stdout
    );
    let ran = fcmae!(
        "duplicates",
        "--data",
        at("often.csv"),
        "--against",
        at("often.csv"),
        "--threshold",
        "0.9999",
        "--out",
        at("against.csv")
    )
    .done();
    assert!(
        ran.stdout
            .contains("2,540 of 2,540 pictures of --against look like copies of 2,540 of --data"),
        "{}",
        ran.stdout
    );
    let blank: String = (0..4).map(|row| format!("{row}.png,,1,2\n")).collect();
    fs::write(at("blank.csv"), format!("path,label,v0,v1\n{blank}")).unwrap();
    let ran = fcmae!("duplicates", "--data", at("blank.csv")).done();
    assert!(ran.stderr.contains("4 of 4 pictures look like copies, in 1 group"), "{}", ran.stderr);

    // Where all are alike and yet differ, every pair would be one.
    let flat: Vec<String> =
        (0..2000).map(|row| format!("{row}.png,,1,1e-{}", row % 9 + 3)).collect();
    fs::write(at("flat.csv"), format!("path,label,v0,v1\n{}\n", flat.join("\n"))).unwrap();
    let refused = ["flat.csv", "mean cosine is 1.0000", "collapsed", "--threshold"];
    fcmae!("duplicates", "--data", at("flat.csv")).refused(1, &refused);
}

#[test]
fn saved_anew_a_picture_is_its_copy() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    draw(&at("train"), &CLASSES[..2], 3);
    fs::create_dir_all(at("test")).unwrap();
    let picture = image::open(at("train/disc/01.png")).unwrap().to_rgb8();
    picture.save(at("test/again.bmp")).unwrap();
    RgbImage::from_pixel(32, 32, Rgb([200, 0, 0])).save(at("test/red.png")).unwrap();
    let ran = fcmae!(
        "duplicates",
        "--data",
        at("train"),
        "--against",
        at("test"),
        "--weights",
        trained.finetuned(),
        "--threshold",
        "0.999999",
        "--sheet",
        at("page.html")
    )
    .done();
    assert!(ran.stdout.contains("1 of 2 pictures of --against looks like copies of 1 of --data"));
    assert_eq!(pictures(&read(&at("page.html"))), 2);
}

/// What is to be left out, or given in its place, wherever the two meet.
#[test]
fn vectors_in_the_place_of_pictures_and_pictures_in_that_of_vectors_are_told() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (all, weights) = (trained.pictures(), trained.finetuned());
    for file in ["v.parquet", "w.npy"] {
        embed(&all, &weights, &at(file));
        let data = at(file);
        for (command, more) in [
            ("neighbours", "--queries"),
            ("duplicates", "--against"),
            ("probe", "--test"),
            ("choose", "--labelled"),
        ] {
            fcmae!(command, "--data", data, "--weights", weights).refused(
                2,
                &[file, "holds vectors", "leave out --weights, and the vectors are used"],
            );
            fcmae!(command, "--data", all, data, "--weights", weights)
                .refused(2, &[file, "pictures alone, or vectors alone and no --weights"]);
            fcmae!(command, "--data", all, more, data, "--weights", weights).refused(
                2,
                &[file, "give the pictures, or leave out --weights and give the vectors of both"],
            );
            fcmae!(command, "--data", data, more, all)
                .refused(2, &["is a folder", "fcmae embed", "and the same weights"]);
            fcmae!(command, "--data", all, data)
                .refused(2, &["is a folder", "and the same weights"]);
        }
        fcmae!("map", "--data", at("v.parquet"), "--pictures", data, "--out", at("m.html"))
            .refused(2, &["--pictures: ", file, "give the pictures that they are of"]);
        // Commands that take pictures alone.
        for call in [
            fcmae!("stats", "--data", data),
            fcmae!("embed", "--data", data, "--weights", weights, "--out", at("x.csv")),
            fcmae!("anomalies", "--normal", all, "--data", data, "--weights", weights),
            fcmae!("pretrain", "--data", data, "--out", at("run")),
        ] {
            assert_ne!(call.code, Some(0));
            assert!(call.stderr.contains("help: this is a file of vectors"), "{}", call.stderr);
        }
    }
    fcmae!("neighbours", "--data", all, "--weights", at("w.npy")).refused(
        2,
        &["--weights: ", "w.npy", "leave out --weights, and give it in place of the pictures"],
    );
    // The table names pictures, which are there.
    embed(&all, &weights, &at("t.csv"));
    let ran = fcmae!("neighbours", "--data", at("t.csv"), "--weights", weights).done();
    assert!(ran.stderr.contains("leave out --weights to use those in the file"), "{}", ran.stderr);
    let list = at("list.txt");
    fs::write(&list, format!("{}\n", trained.picture().display())).unwrap();
    fcmae!("map", "--data", list, "--out", at("m.html"))
        .refused(2, &["list.txt is no file of vectors", "give --weights too"]);
}

#[test]
fn a_map_is_the_same_each_time_and_has_labels_and_pictures() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (all, weights) = (trained.pictures(), trained.finetuned());
    let map = |out: &Path, csv: &Path| {
        fcmae!("map", "--data", all, "--weights", weights, "--out", out, "--csv", csv).done()
    };
    let ran = map(&at("maps/a.html"), &at("maps/a.csv"));
    assert!(ran.stdout.contains("36 pictures by t-SNE"), "{}", ran.stdout);
    assert!(ran.stderr.contains("--perplexity 30 is too large for 36 pictures: 11.7 is used"));
    map(&at("b.html"), &at("b.csv"));
    assert_eq!(read(&at("maps/a.csv")), read(&at("b.csv")));
    let page = read(&at("b.html"));
    assert_eq!(read(&at("maps/a.html")), page);
    assert_eq!((page.matches("<div class=\"spot ").count(), pictures(&page)), (36, 36));
    for class in CLASSES {
        assert!(page.contains(&format!("</i>{class}<span class=\"soft\"> 12</span>")), "{class}");
    }
    let list = read(&at("b.csv"));
    assert!(list.starts_with("path,x,y,label\n") && list.lines().count() == 37, "{list}");

    embed(&all, &weights, &at("all.parquet"));
    let ran = fcmae!("map", "--data", at("all.parquet"), "--method", "pca", "--out", at("c.svg"));
    let says = ran.done().stdout;
    assert!(says.contains("36 pictures by PCA, ") && says.contains("of the variance"), "{says}");
    let drawing = read(&at("c.svg"));
    assert!(
        drawing.starts_with("<svg") && drawing.contains("<image ") && drawing.contains(">disc 12<")
    );
}

#[test]
fn maps_of_odd_sets_are_drawn_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // More labels than colours, one of them twice, and some without.
    let line = |row: usize| {
        let label = if row < 3 { String::new() } else { format!("class {}", row.min(18)) };
        format!("{row}.png,{label},{},{}", (row as f32).cos(), (row as f32).sin())
    };
    let lines: Vec<String> = (0..20).map(line).collect();
    fs::write(at("many.csv"), format!("path,label,v0,v1\n{}\n", lines.join("\n"))).unwrap();
    let ran = fcmae!("map", "--data", at("many.csv"), "--perplexity", "5", "--out", at("m.html"));
    ran.done();
    let page = read(&at("m.html"));
    assert!(page.contains("The 12 labels with most pictures have a colour, the other 4 are grey."));
    assert!(page.contains("</i>class 18<span class=\"soft\"> 2</span>"));
    assert!(page.contains("</i>others<span class=\"soft\"> 7</span>"), "{page:.9000}");
    assert_eq!(pictures(&page), 0);

    vectors(&at("two.csv"), &TURNS[..2]);
    let two = |method: &str, out: &str| {
        fcmae!("map", "--data", at("two.csv"), "--method", method, "--out", at(out))
    };
    two("tsne", "two.html").refused(1, &["needs 4 pictures", "there are 2", "--method pca"]);
    two("pca", "two.html").done();
    two("pca", "two.html").refused(2, &["two.html", "exists", "--overwrite"]);
    two("pca", "two.png").refused(2, &["two.png", "--out", ".html or .htm or .svg"]);
    fcmae!(
        "map",
        "--data",
        at("many.csv"),
        "--method",
        "pca",
        "--perplexity",
        "9",
        "--out",
        at("x.svg")
    )
    .refused(2, &["--perplexity", "tsne"]);
    two("umap", "three.html").refused(2, &["umap"]);
    vectors(&at("one.csv"), &TURNS[..1]);
    fcmae!("map", "--data", at("one.csv"), "--method", "pca", "--out", at("one.html"))
        .refused(1, &["two pictures"]);
    vectors(&at("zero.csv"), &[("a", "", [0.0, 0.0])]);
    fcmae!("map", "--data", at("zero.csv"), "--out", at("one.html"))
        .refused(1, &["zero.csv", "no picture has a vector"]);
    fcmae!("map", "--data", at("many.csv"), "--perplexity", "0.5", "--out", at("one.html"))
        .refused(2, &["0.5", "1 or more"]);
    vectors(&at("nan.csv"), &[("a", "x", [1.0, f32::NAN]), ("b", "y", [0.0, 1.0])]);
    for command in ["map", "neighbours", "duplicates"] {
        let (data, out) = (at("nan.csv"), at("nan out.csv"));
        let out = if command == "map" { at("nan.svg") } else { out };
        fcmae!(command, "--data", data, "--out", out).refused(1, &["nan.csv", "not a number"]);
        assert!(!out.exists());
    }
}

#[test]
fn chosen_pictures_are_shown_and_results_are_not_written_over() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (all, weights) = (trained.pictures(), trained.finetuned());
    let sheet = at("new/chosen.html");
    let choose =
        || fcmae!("choose", "--data", all, "--weights", weights, "--budget", "3", "--sheet", sheet);
    assert!(choose().done().stdout.contains("chosen.html  3 pictures to label"));
    let page = read(&sheet);
    assert_eq!(pictures(&page), 3);
    let places = ["<span class=\"soft unbroken\">1</span>", ">2 · 0.", ">3 · 0."];
    let places = places.map(|text| page.find(text).unwrap_or_else(|| panic!("{text}")));
    assert!(places.is_sorted());
    choose().refused(2, &["chosen.html", "exists", "--overwrite"]);
    let weights = trained.pretrained();
    embed(&all, &weights, &at("all.parquet"));
    for [command, other] in [["neighbours", "--queries"], ["duplicates", "--against"]] {
        let data = at("all.parquet");
        fcmae!(command, "--data", all, "--weights", trained.finetuned(), other, at("missing"))
            .refused(2, &["missing"]);
        embed(&all.join("disc"), &trained.finetuned(), &at(&format!("{command}.parquet")));
        fcmae!(command, "--data", data, other, at(&format!("{command}.parquet")))
            .refused(2, &[command, "different weights"]);
        fcmae!(command, "--data", data, "--sheet", at("a.png")).refused(2, &["--sheet", ".html"]);
        fcmae!(command, "--data", data, "--out", data).refused(2, &["all.parquet", ".csv"]);
        fcmae!(command, "--data", all).refused(2, &["is a folder", "--weights"]);
        fcmae!(command, "--data", data, "--pictures", all).refused(2, &["--sheet"]);
    }
    fcmae!("duplicates", "--data", at("all.parquet"), "--threshold", "1.5").refused(2, &["0 to 1"]);
}
