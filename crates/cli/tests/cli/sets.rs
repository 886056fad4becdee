//! Sets of pictures that are read in another way than their owner may think: each is told, or refused.

use std::fs;
use std::path::Path;

use crate::command::fcmae;
use crate::trained::{CLASSES, Trained, draw};

/// What a run's `data.json` says.
fn data(run: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(run.join("data.json")).unwrap()).unwrap()
}

/// Run folder: a run's own files, and what the program draws, are never its pictures.
#[test]
fn a_run_may_lie_among_its_pictures() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    draw(&photos, &CLASSES, 12);
    let (run, recipe) = (photos.join("run"), trained.recipe("finetune"));
    let tuned = || {
        fcmae!(
            "finetune",
            "--data",
            photos,
            "--from",
            "scratch",
            "--out",
            run,
            "--config",
            recipe,
            "--dry-run"
        )
    };
    tuned().done();
    assert!(photos.join("run-first-batch.png").is_file());
    let ran = tuned().done();
    assert!(ran.stderr.contains("a picture that fcmae drew is passed over: "), "{}", ran.stderr);
    fcmae!("finetune", "--data", photos, "--from", "scratch", "--out", run, "--config", recipe)
        .done();
    let weights = trained.pretrained();
    let grid = photos.join("disc/grid.png");
    fcmae!("reconstruct", photos.join("disc/00.png"), "--weights", weights, "--out", grid).done();
    assert!(run.join("figures/mistakes/01.png").is_file() || run.join("report.html").is_file());

    // Neither the next run nor this one takes them for pictures.
    let ran =
        fcmae!("finetune", "--data", photos, "--from", "scratch", "--out", run, "--resume").done();
    assert!(ran.stderr.contains("the folder of a run is passed over: "), "{}", ran.stderr);
    let next = folder.path().join("next");
    fcmae!("finetune", "--data", photos, "--from", "scratch", "--out", next, "--config", recipe)
        .done();
    for run in [&run, &next] {
        let data = data(run);
        let names: Vec<&str> = data["classes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, CLASSES);
        assert_eq!(data["pictures"].as_u64().unwrap() + data["held_out"].as_u64().unwrap(), 36);
    }

    // What is added is told by its number and a name.
    for number in 0..5 {
        fs::copy(photos.join("disc/00.png"), photos.join(format!("disc/new-{number}.png")))
            .unwrap();
    }
    let says = ["- 36 pictures", "+ 41 pictures: 5 more, for example disc/new-0.png"];
    fcmae!("finetune", "--data", photos, "--from", "scratch", "--out", run, "--resume")
        .refused(2, &says);
}

/// Run folder: a pre-training is resumed though its own figures, and what a dry run drew, lie among its pictures.
#[test]
fn a_pretraining_does_not_meet_what_it_drew() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    draw(&photos, &CLASSES, 4);
    let (run, recipe) = (photos.join("run"), trained.recipe("pretrain"));
    let figures = "figures.every_epochs=1";
    for _ in 0..2 {
        let (dry, set) = ("--dry-run", "--set");
        let ran = fcmae!(
            "pretrain", "--data", photos, "--out", run, "--config", recipe, set, figures, dry
        );
        assert!(ran.done().stdout.contains("pictures     12\n"));
    }
    assert!(photos.join("run-first-batch.png").is_file());
    fcmae!("pretrain", "--data", photos, "--out", run, "--config", recipe, "--set", figures).done();
    assert_eq!(fs::read_dir(run.join("figures")).unwrap().count(), 2);
    assert_eq!(data(&run)["pictures"], 12);
    let more = "optim.epochs=3";
    fcmae!("pretrain", "--data", photos, "--out", run, "--resume", "--set", more).done();
    assert_eq!(fs::read_dir(run.join("figures")).unwrap().count(), 3);
}

/// Run folder: the same of a pre-training, which records no names.
#[test]
fn other_pictures_than_a_pretraining_had_are_counted() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (photos, run) = (folder.path().join("photos"), folder.path().join("run"));
    draw(&photos, &CLASSES, 4);
    fcmae!("pretrain", "--data", photos, "--out", run, "--config", trained.recipe("pretrain"))
        .done();
    fs::write(photos.join("late.png"), fs::read(photos.join("disc/00.png")).unwrap()).unwrap();
    let says = ["- 12 pictures", "+ 13 pictures: 1 more, for example ", "photos/late.png"];
    fcmae!("pretrain", "--data", photos, "--out", run, "--resume").refused(2, &says);
    fs::remove_file(photos.join("late.png")).unwrap();
    fs::remove_file(photos.join("disc/00.png")).unwrap();
    fcmae!("pretrain", "--data", photos, "--out", run, "--resume")
        .refused(2, &["+ 11 pictures: 1 fewer"]);
}

/// Other files: told at the start of stats, a dry run and a run.
#[test]
fn what_is_passed_over_is_told_at_the_start() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (photos, run) = (folder.path().join("photos"), folder.path().join("run"));
    draw(&photos, &CLASSES, 4);
    for number in 0..30 {
        fs::write(photos.join(format!("IMG_{number}.heic")), "x").unwrap();
    }
    let recipe = trained.recipe("pretrain");
    let told = "30 files passed over: 30 .heic";
    let ran = fcmae!("stats", "--data", photos).done();
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let ran =
        fcmae!("pretrain", "--data", photos, "--out", run, "--config", recipe, "--dry-run").done();
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let ran = fcmae!("pretrain", "--data", photos, "--out", run, "--config", recipe).done();
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(fs::read_to_string(run.join("log.txt")).unwrap().contains(told));
}

/// Labels: splits are refused before anything is written.
#[test]
fn splits_are_no_classes() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (photos, run) = (folder.path().join("photos"), folder.path().join("run"));
    for split in ["train", "val"] {
        draw(&photos.join(split), &CLASSES, 2);
    }
    let recipe = trained.recipe("finetune");
    let says = ["it holds train and val", "photos/train"];
    fcmae!("finetune", "--data", photos, "--from", "scratch", "--out", run, "--config", recipe)
        .refused(1, &says);
    assert!(!run.exists());
    fcmae!("evaluate", "--data", photos, "--weights", trained.finetuned()).refused(1, &says);
}

/// Lists: missing files count towards `data.max_bad_fraction`, and columns can be chosen.
#[test]
fn lists_are_judged_and_read_by_settings() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    draw(folder.path(), &CLASSES, 8);
    let (mut missing, mut columns) = ("path,label\n".to_owned(), "where,label,what\n".to_owned());
    for class in CLASSES {
        for number in 0..8 {
            let gone = if number == 0 { "" } else { "gone/" };
            missing += &format!("\"{gone}{class}/{number:02}.png\",\"{class}\"\n");
            columns += &format!("\"{class}/{number:02}.png\",x,\"{class}\"\n");
        }
    }
    let (list, other) = (folder.path().join("missing.csv"), folder.path().join("columns.csv"));
    fs::write(&list, missing).unwrap();
    fs::write(&other, columns).unwrap();
    let recipe = trained.recipe("finetune");
    let says = ["21 of 24 pictures could not be used", "gone/disc/01.png", "data.max_bad_fraction"];
    fcmae!("finetune", "--data", list, "--from", "scratch", "--out", run, "--config", recipe)
        .refused(1, &says);
    assert!(!run.exists());
    let chosen = "data.label_column=what";
    fcmae!(
        "finetune",
        "--data",
        other,
        "--from",
        "scratch",
        "--out",
        run,
        "--config",
        recipe,
        "--set",
        chosen,
        "--set",
        "data.image_column=where",
    )
    .done();
    assert_eq!(data(&run)["classes"].as_array().unwrap().len(), 3);
    fcmae!("evaluate", "--data", other, "--weights", run, "--label-column", "what").done();
    fcmae!("evaluate", "--data", other, "--weights", run).refused(1, &["class \"x\""]);
}

/// Pages: with `data.pages=all` each is a picture of its own, for all that follows; without it that is told.
#[test]
fn each_page_of_a_stack_is_a_picture_where_it_is_asked_for() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (films, run) = (folder.path().join("films"), folder.path().join("run"));
    let pages: &[u8] = include_bytes!("../../../data/tests/fixtures/pages/photos.tif");
    for class in ["a", "b"] {
        fs::create_dir_all(films.join(class)).unwrap();
        for number in 0..6 {
            // Bytes behind the pages, so that none is a copy of another.
            let bytes = [pages, format!("{class}{number}").as_bytes()].concat();
            fs::write(films.join(format!("{class}/{number}.tif")), bytes).unwrap();
        }
    }
    let recipe = trained.recipe("finetune");
    let ran = fcmae!("stats", "--data", films).done();
    let told = "12 pictures, such as ";
    assert!(ran.stderr.contains(told) && ran.stderr.contains("data.pages=all"), "{}", ran.stderr);
    let ran = fcmae!("stats", "--data", films, "--pages", "all").done();
    assert!(ran.stdout.contains("24 pictures") && ran.stdout.contains("pages = \"all\""));
    let all = "data.pages=all";
    let tuned = |more: &str| {
        fcmae!(
            "finetune", "--data", films, "--from", "scratch", "--out", run, "--config", recipe,
            "--set", all, "--set", more
        )
    };
    tuned("optim.epochs=1").done();
    let data = data(&run);
    assert_eq!(data["pictures"].as_u64().unwrap() + data["held_out"].as_u64().unwrap(), 24);
    let split = fs::read_to_string(run.join("split.csv")).unwrap();
    for pair in split.lines().skip(1).collect::<Vec<_>>().chunks(2) {
        let part = |line: &str| line.rsplit(',').next().unwrap().to_owned();
        assert!(pair[0].contains(".tif#1,") && pair[1].contains(".tif#2,"), "{pair:?}");
        assert_eq!(part(pair[0]), part(pair[1]), "{pair:?}");
    }
    fcmae!("finetune", "--data", films, "--from", "scratch", "--out", run, "--resume").done();
    let says = ["data.pages"];
    fcmae!(
        "finetune",
        "--data",
        films,
        "--from",
        "scratch",
        "--out",
        run,
        "--resume",
        "--set",
        "data.pages=first"
    )
    .refused(2, &says);

    // As the weights were trained, unless it is asked for otherwise; what is left out is told.
    let held_out = data["held_out"].as_u64().unwrap();
    let ran = fcmae!("evaluate", "--data", films, "--held-out-of", run, "--weights", run).done();
    assert!(ran.stdout.contains(&format!("{held_out} pictures, 2 classes")), "{}", ran.stdout);
    let ran = fcmae!("evaluate", "--data", films, "--weights", run, "--pages", "first").done();
    assert!(
        ran.stderr.contains("1 of 2 pages is used")
            && ran.stdout.contains("12 pictures, 2 classes")
    );
    let film = films.join("a/0.tif");
    let rows = |pages: Option<&str>| {
        let asked = pages.map(|pages| format!("--pages={pages}"));
        let more: &str = asked.as_deref().unwrap_or("--top=1");
        let ran = fcmae!("predict", film, "--weights", run, "--format", "csv", more).done();
        let first = ran.stdout.lines().filter(|line| line.contains(",1,"));
        (first.map(str::to_owned).collect::<Vec<_>>(), ran.stderr)
    };
    let (each, _) = rows(None);
    assert!(each.len() == 2 && each[1].contains("0.tif#2,1,"), "{each:?}");
    let (first, told) = rows(Some("first"));
    let words = "1 of 2 pages is used; --pages all uses each";
    assert!(first.len() == 1 && told.contains(words), "{first:?} {told}");
    let ran = fcmae!("predict", film, "--weights", run, "--max-pixels", "10");
    assert!(ran.stderr.contains("--max-pixels 768"), "{}", ran.stderr);
    ran.refused(1, &["2 of 2 pictures could not be used"]);
}

/// Remarks: of pictures that are named one by one, once a kind.
#[test]
fn what_is_noticed_of_single_pictures_is_told() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let files = ["a.png", "b.png"].map(|name| folder.path().join(name));
    for file in &files {
        image::RgbaImage::from_pixel(24, 24, image::Rgba([9, 99, 9, 0])).save(file).unwrap();
    }
    let predict = |first: &Path, second: &Path| {
        let weights = trained.finetuned();
        fcmae!("predict", first, second, "--weights", weights, "--format", "csv").done().stderr
    };
    let told = predict(&files[0], &files[1]);
    assert_eq!(told.matches("every pixel is transparent").count(), 1, "{told}");
    assert!(told.contains("2 of 2 pictures examined, such as "), "{told}");
    let plain = predict(&trained.picture(), &trained.picture());
    assert!(!plain.contains("examined"), "{plain}");
}

/// Pictures of which none can be used: no advice to allow more of them, and no success.
#[test]
fn that_no_picture_can_be_used_is_told() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    fs::create_dir(&data).unwrap();
    for number in 0..4 {
        fs::write(data.join(format!("{number}.png")), "no picture").unwrap();
    }
    for more in [&["--json"][..], &[]] {
        let data = data.to_str().unwrap();
        let all = [&["stats", "--data", data], more].concat();
        let arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            all.iter().map(|argument| argument as _).collect();
        crate::command::Ran::of(crate::command::command(&arguments))
            .refused(1, &["none of 4 pictures can be used", "0.png", "not a picture"]);
    }
    let recipe = trained.recipe("pretrain");
    let ran = fcmae!("pretrain", "--data", data, "--out", run, "--config", recipe, "--dry-run");
    assert!(!ran.stderr.contains("max_bad_fraction"), "{}", ran.stderr);
    ran.refused(1, &["none can be used"]);
}

/// Listing: Ctrl-C ends it, and nothing is made.
#[cfg(target_os = "linux")]
#[test]
fn listing_is_ended_by_ctrl_c() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use crate::command::command;

    let folder = tempfile::tempdir().unwrap();
    let (list, run) = (folder.path().join("l.txt"), folder.path().join("run"));
    let lines: String = (0..4_000_000).map(|number| format!("{number}.png\n")).collect();
    fs::write(&list, lines).unwrap();
    let child = command(&[&"pretrain", &"--data", &list, &"--out", &run])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The signal waits until the program listens for it.
    let status = format!("/proc/{}/status", child.id());
    let listens = || {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).unwrap_or(0) & 2 != 0
    };
    let began = Instant::now();
    while !listens() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let kill = std::process::Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{text}");
    assert!(text.contains("stopped while the pictures were listed; nothing was written"), "{text}");
    assert!(!run.exists());
}
