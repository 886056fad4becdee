//! `fcmae pretrain --watch`: labelled pictures that tell whether a pre-training gets anywhere.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Ran, command, fcmae};
use crate::sources::{archive, write_list};
use crate::trained::{CLASSES, Trained, draw};

struct Fixture {
    folder: tempfile::TempDir,
    recipe: PathBuf,
}

impl Fixture {
    fn new(trained: &Trained) -> Self {
        let folder = tempfile::tempdir().unwrap();
        draw(&folder.path().join("labelled"), &CLASSES, 6);
        Self { folder, recipe: trained.recipe("pretrain") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pretrain(&self, data: &Path, out: &str, more: &[&dyn AsRef<OsStr>]) -> Ran {
        let mut command = command(&[&"pretrain", &"--data", &data, &"--out", &self.at(out)]);
        command.args(more.iter().map(AsRef::as_ref));
        Ran::of(command)
    }

    fn looks(&self, run: &str) -> Vec<String> {
        let table = fs::read_to_string(self.at(run).join("watch.csv")).unwrap();
        table.lines().skip(1).map(str::to_owned).collect()
    }
}

/// A folder, an archive and a list say the same, in the terminal, the tables and the report.
#[test]
fn a_watched_run_tells_whether_it_gets_anywhere() {
    let trained = Trained::get();
    let fixture = Fixture::new(&trained);
    let (data, labelled) = (trained.pictures(), fixture.at("labelled"));
    archive(&labelled, &fixture.at("all.tar"));
    write_list(Path::new("labelled"), 6, &fixture.at("list.csv"));
    let every = ["--config".as_ref(), fixture.recipe.as_os_str(), "--set".as_ref()];
    let every = [&every[..], &["watch.every_epochs=1".as_ref()]].concat();
    let mut looks = Vec::new();
    for (out, place) in [("folder", "labelled"), ("tar", "all.tar"), ("csv", "list.csv")] {
        let place = fixture.at(place);
        let mut options: Vec<&dyn AsRef<OsStr>> = vec![&"--watch", &place];
        options.extend(every.iter().map(|option| option as &dyn AsRef<OsStr>));
        let ran = fixture.pretrain(&data, out, &options).done();
        for part in [
            "watching 18 pictures of 3 classes, 9 to learn from and 9 to test on",
            "before training: accuracy on watched pictures: neighbours ",
            "epoch 2: accuracy on watched pictures: neighbours ",
            "% (untrained ",
            ", linear probe ",
        ] {
            assert!(ran.stderr.contains(part), "{part}\n{}", ran.stderr);
        }
        let found = fixture.looks(out);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("0,0,") && found[0].ends_with(",9"), "{found:?}");
        looks.push(found);
    }
    assert_eq!(looks[0], looks[1]);
    let page = fs::read_to_string(fixture.at("folder/report.html")).unwrap();
    assert!(page.contains("Watched pictures") && page.contains("untrained network"));
    fcmae!("report", fixture.at("folder"), fixture.at("tar"), "--out", fixture.at("both.html"))
        .done();
    let page = fs::read_to_string(fixture.at("both.html")).unwrap();
    assert!(page.contains("Watched pictures right (neighbours)"));
}

/// With `--resume` the option may be left out; a place that is gone ends nothing, unless it is asked for.
#[test]
fn a_watched_run_that_goes_on_knows_its_pictures() {
    let trained = Trained::get();
    let fixture = Fixture::new(&trained);
    let (data, labelled, recipe) = (trained.pictures(), fixture.at("labelled"), &fixture.recipe);
    fixture.pretrain(&data, "run", &[&"--watch", &labelled, &"--config", recipe]).done();
    assert_eq!(fixture.looks("run").len(), 2);
    let longer = |epochs: &str, more: &[&dyn AsRef<OsStr>]| {
        let epochs = format!("optim.epochs={epochs}");
        let mut options: Vec<&dyn AsRef<OsStr>> = vec![&"--resume", &"--set", &epochs];
        options.extend(more);
        fixture.pretrain(&data, "run", &options)
    };
    longer("3", &[]).done();
    assert_eq!(fixture.looks("run").len(), 3);
    fs::rename(&labelled, fixture.at("moved")).unwrap();
    let ran = longer("4", &[]).done();
    assert!(ran.stderr.contains("goes on without its watched pictures"), "{}", ran.stderr);
    assert_eq!(fixture.looks("run").len(), 3);
    let says =
        |text: &str| fs::read_to_string(fixture.at("run/report.html")).unwrap().contains(text);
    assert!(says("After epoch 3 the run went on without them: "));
    assert!(
        says("After epoch 3 they could not be used any more") && says("After epoch 3, the vote")
    );
    longer("5", &[&"--watch", &labelled]).refused(1, &["--watch: ", "labelled"]);
    longer("5", &[&"--watch", &data]).refused(1, &["the watched pictures have changed: "]);
    longer("5", &[&"--watch", &fixture.at("moved")]).done();
    assert_eq!(fixture.looks("run").len(), 4);
    assert!(says("After epoch 5, the vote") && !says("went on without them"));
}

#[test]
fn what_cannot_be_watched_is_refused_before_a_run_begins() {
    let trained = Trained::get();
    let fixture = Fixture::new(&trained);
    let (data, recipe) = (trained.pictures(), &fixture.recipe);
    draw(&fixture.at("one"), &CLASSES[..1], 4);
    draw(&fixture.at("single"), &CLASSES, 1);
    for (place, part) in [("one", "disc"), ("single", "two"), ("nowhere", "nowhere")] {
        let place = fixture.at(place);
        for more in [&[][..], &[&"--dry-run" as &dyn AsRef<OsStr>]] {
            let mut options: Vec<&dyn AsRef<OsStr>> = vec![&"--watch", &place, &"--config", recipe];
            options.extend(more);
            fixture.pretrain(&data, "run", &options).refused(1, &["--watch: ", part]);
            assert!(!fixture.at("run").exists());
        }
    }
    let ran = fixture.pretrain(&data, "plain", &[&"--config", recipe]).done();
    assert!(!ran.stderr.contains("watched") && !ran.stderr.contains("watching "), "{}", ran.stderr);
    assert!(!fixture.at("plain/watch.csv").exists());
}
