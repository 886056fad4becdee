//! Two runs set against each other: what they held out, and tests.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use image::Rgb;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Ran, command, fcmae};
use crate::trained::{Trained, copy_folder};

/// Two classifiers that held out the same pictures, and a test of others.
struct Fixture {
    folder: TempDir,
    trained: std::sync::Arc<Trained>,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap(), trained: Trained::get() };
        copy_folder(&fixture.trained.finetuned(), &fixture.at("tuned"));
        fixture.finetune("scratch", &[]);
        let test = fixture.at("test");
        copy_folder(&fixture.trained.pictures(), &test);
        for class in fs::read_dir(&test).unwrap() {
            for file in fs::read_dir(class.unwrap().path()).unwrap() {
                let file = file.unwrap().path();
                let mut picture = image::open(&file).unwrap().to_rgb8();
                picture.put_pixel(0, 0, Rgb([1, 2, 3]));
                picture.save(&file).unwrap();
            }
        }
        fixture
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Trains from scratch, as the fine-tuned run was, with options.
    fn finetune(&self, out: &str, more: &[&dyn AsRef<OsStr>]) {
        let (data, recipe) = (self.trained.pictures(), self.trained.recipe("finetune"));
        let mut call = command(&[&"finetune", &"--from", &"scratch", &"--data", &data]);
        call.arg("--config").arg(recipe).arg("--out").arg(self.at(out)).args(more);
        Ran::of(call).done();
    }

    fn test(&self, run: &str, data: &Path, more: &[&dyn AsRef<OsStr>]) -> Ran {
        let mut call = command(&[&"evaluate", &"--report", &"--data", &data]);
        call.arg("--weights").arg(self.at(run)).args(more);
        Ran::of(call)
    }

    fn evaluation(&self, run: &str) -> Value {
        let file = self.at(run).join("evaluation.json");
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    fn compared(&self) -> String {
        let page = self.at("compared.html");
        let (one, other) = (self.at("tuned"), self.at("scratch"));
        fcmae!("report", one, other, "--out", page, "--overwrite").done();
        fs::read_to_string(page).unwrap()
    }
}

/// Which pictures are right, `COUNT:HEX`.
fn bits(answers: &Value) -> Vec<bool> {
    let (count, digits) = answers["right"].as_str().unwrap().split_once(':').unwrap();
    let digit =
        |digit: char| (0..4).map(move |bit| digit.to_digit(16).unwrap() >> (3 - bit) & 1 == 1);
    digits.chars().flat_map(digit).take(count.parse().unwrap()).collect()
}

/// The answers of an evaluation are those of `predict`.
#[test]
fn answers_are_recorded_picture_by_picture_and_compared_so() {
    let fixture = Fixture::new();
    let test = fixture.at("test");
    let held_out = ["tuned", "scratch"].map(|run| fixture.evaluation(run)["answers"].clone());
    assert_eq!(held_out[0]["pictures"], held_out[1]["pictures"]);
    assert_eq!(bits(&held_out[0]).len(), 6);
    for run in ["tuned", "scratch"] {
        fixture.test(run, &test, &[]).done();
        let found = fixture.evaluation(run);
        let weights = fixture.at(run);
        let ran = fcmae!("predict", test, "--weights", weights, "--top", "1", "--format", "json");
        let predicted: Value = serde_json::from_str(&ran.done().stdout).unwrap();
        let right = predicted.as_array().unwrap().iter().map(|answer| {
            let class = answer["classes"][0]["class"].as_str().unwrap();
            Path::new(answer["image"].as_str().unwrap()).parent().unwrap().ends_with(class)
        });
        let right: Vec<bool> = right.collect();
        assert_eq!(bits(&found["answers"]), right, "{run}");
        assert!(
            right.contains(&true) && right.contains(&false),
            "{run} tells something: {right:?}"
        );
    }
    // A test leaves what is known of the held-out pictures.
    let kept = ["tuned", "scratch"].map(|run| fixture.evaluation(run)["held_out_answers"].clone());
    assert_eq!(kept, held_out);
    let page = fixture.compared();
    let [one, other] = ["tuned", "scratch"].map(|run| bits(&fixture.evaluation(run)["answers"]));
    let says = match one.iter().filter(|r| **r).count() == other.iter().filter(|r| **r).count() {
        true => "right equally often",
        false => "of the pictures that only one of them gets right, ",
    };
    let (_, tests) = page.split_once("Test pictures: ").unwrap();
    assert!(tests.split("</p>").next().unwrap().contains(says), "{tests:.500}");

    // One more class, which no test picture has, does not make it another test.
    let more = fixture.at("more");
    copy_folder(&fixture.trained.pictures(), &more);
    copy_folder(&test.join("disc"), &more.join("another"));
    let out = fixture.at("wider");
    let (data, recipe) = (more.as_path(), fixture.trained.recipe("finetune"));
    fcmae!("finetune", "--from", "scratch", "--data", data, "--config", recipe, "--out", out)
        .done();
    // Its training pictures are among the test's.
    let ran = fixture.test("wider", &test, &[]).done();
    assert!(ran.stderr.contains("were trained on"), "{}", ran.stderr);
    let [one, other] =
        ["tuned", "wider"].map(|run| fixture.evaluation(run)["answers"]["pictures"].clone());
    assert_eq!(one, other);
}

/// What a run held out has chosen its best weights: it is no test, however it is given.
#[test]
fn held_out_pictures_are_no_test() {
    let fixture = Fixture::new();
    let (data, own) =
        (fixture.trained.pictures(), ["held out these pictures itself", "leave out --report"]);
    let before = fixture.evaluation("scratch");
    let (scratch, tuned) = (fixture.at("scratch"), fixture.at("tuned"));
    for other in [&scratch, &tuned] {
        fixture.test("scratch", &data, &[&"--held-out-of", other]).refused(2, &own);
    }
    let apart = fixture.at("test");
    fixture.finetune("apart", &[&"--held-out", &apart]);
    fixture.test("apart", &apart, &[]).refused(2, &own);
    let copied = fixture.at("copied");
    copy_folder(&apart, &copied);
    fixture.test("apart", &copied, &[]).refused(2, &own);
    assert_eq!(fixture.evaluation("scratch"), before);
    // Another run may be tested on them, and the report says what they are.
    fixture.finetune("other", &[&"--set", &"seed=7"]);
    let ran = fixture.test("other", &data, &[&"--held-out-of", &tuned]).done();
    let of = fixture.evaluation("other")["of"].as_str().unwrap().to_owned();
    assert!(of.ends_with(&format!(", held out of {}", tuned.display())), "{of}");
    assert_eq!(fixture.evaluation("other")["weights"], "export/best");
    assert!(ran.stderr.contains("were trained on"), "{}", ran.stderr);
}
