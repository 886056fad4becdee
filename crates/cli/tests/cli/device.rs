//! `--device` and the setting `device`.

use std::ffi::OsStr;
use std::fs;

use crate::command::{Ran, command, fcmae};
use crate::trained::Trained;

/// What is said of a GPU that this program cannot use, and the remedy.
const REFUSED: &[&str] = &["`device` cannot be `cuda:7`", "`cpu` or `auto`"];

/// None of the paths exists, so that a path looked at before the device would show in the error.
#[test]
fn what_cannot_be_used_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.png");
    let out = out.to_str().unwrap();
    for call in [
        "demo --out OUT",
        "pretrain --data nowhere --out OUT",
        "pretrain --data nowhere --out OUT --dry-run",
        "finetune --data nowhere --from nothing --out OUT",
        "finetune --data nowhere --from nothing --out OUT --dry-run",
        "evaluate --data nowhere --weights nothing",
        "predict nowhere --weights nothing",
        "reconstruct nowhere --weights nothing --out OUT",
        "diversity --data nowhere --weights nothing",
        "experiment nothing.toml --out OUT",
        "bench --work load --data nowhere",
    ] {
        let words = call.split(' ').map(|word| if word == "OUT" { out } else { word });
        let words: Vec<&str> = words.chain(["--device", "cuda:7"]).collect();
        let words: Vec<&dyn AsRef<OsStr>> = words.iter().map(|word| word as _).collect();
        let ran = Ran::of(command(&words)).refused(2, REFUSED);
        assert_eq!(ran.stdout, "", "{call}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{call} wrote something");
    }
    fcmae!("predict", "nowhere", "--weights", "nothing", "--device", "tpu")
        .refused(2, &["`device` cannot be `tpu`", "`cuda:1`", "`auto`"]);
}

#[test]
fn the_option_wins_over_set_and_set_over_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (folder.path().join("recipe.toml"), folder.path().join("run"));
    fs::write(&recipe, "device = \"cuda:7\"\n").unwrap();
    for (training, from) in [("pretrain", "--out"), ("finetune", "--from")] {
        // A recipe may be for another machine: it is shown, but not run.
        let print = |more: &[&str]| {
            let mut all: Vec<&dyn AsRef<OsStr>> = vec![&training, &"--print-config", &"--config"];
            all.push(&recipe);
            all.extend(more.iter().map(|word| word as &dyn AsRef<OsStr>));
            Ran::of(command(&all)).done().stdout
        };
        for (more, device) in [
            (&[][..], "cuda:7"),
            (&["--set", "device=cuda"], "cuda"),
            (&["--set", "device=cuda", "--device", "auto"], "auto"),
        ] {
            let printed = print(more);
            assert!(printed.contains(&format!("\ndevice = \"{device}\"\n")), "{printed}");
        }
        let run = |device: &[&str]| {
            let mut all: Vec<&dyn AsRef<OsStr>> = vec![&training, &"--data", &"nowhere", &"--out"];
            all.push(&out);
            all.extend([&"--config" as &dyn AsRef<OsStr>, &recipe]);
            if from == "--from" {
                all.extend([&"--from" as &dyn AsRef<OsStr>, &"scratch"]);
            }
            all.extend(device.iter().map(|word| word as &dyn AsRef<OsStr>));
            Ran::of(command(&all))
        };
        run(&[]).refused(2, REFUSED);
        run(&["--device", "cpu"]).refused(2, &["nowhere", "no such folder"]);
    }
    assert!(!out.exists());
    fcmae!("pretrain", "--print-config", "--set", "device=tpu").refused(2, &["`device`", "`tpu`"]);
}

#[test]
fn what_computes_is_told_and_recorded() {
    let trained = Trained::get();
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let recipe = trained.recipe("pretrain");
    let data = trained.pictures();
    let ran = fcmae!("pretrain", "--data", data, "--out", run, "--config", recipe).done();
    assert!(ran.stderr.contains(" steps, on cpu\n"), "{}", ran.stderr);
    let read = |name: &str| fs::read_to_string(run.join(name)).unwrap();
    let environment: serde_json::Value = serde_json::from_str(&read("environment.json")).unwrap();
    assert_eq!(environment["device"], "cpu");
    // The setting stays what it was: elsewhere it may come to another device.
    assert!(read("config.toml").contains("\ndevice = \"auto\"\n"));
    let picture = trained.picture();
    let ran = fcmae!("predict", picture, "--weights", trained.finetuned()).done();
    assert_eq!(ran.stderr, "device  cpu\n");
}
