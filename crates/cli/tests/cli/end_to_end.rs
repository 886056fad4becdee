//! From pictures to answers.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{Ran, command, fcmae};
use crate::sources::archive;
use crate::trained::{CLASSES, Trained, copy_folder};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn runs_leave_settings_metrics_checkpoints_and_exports() {
    let trained = Trained::get();
    for (run, epochs) in [(trained.pretrained(), 2), (trained.finetuned(), 2)] {
        for file in ["config.toml", "run.json", "metrics.jsonl", "export/last/model.safetensors"] {
            assert!(run.join(file).is_file(), "{file} in {}", run.display());
        }
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let losses = metrics.lines().map(json).filter(|line| line["loss"].is_number()).count();
        assert!(losses >= epochs, "{metrics}");
        let checkpoints = fs::read_dir(run.join("checkpoints")).unwrap().count();
        assert!(checkpoints >= 1, "{}", run.display());
    }
    assert!(trained.finetuned().join("export/best/model.safetensors").is_file());
}

/// The command that a pre-training ends with takes its images and its network.
#[test]
fn what_is_told_to_come_next_can_be_done() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (run, fine) = (folder.path().join("run"), folder.path().join("fine"));
    let (pictures, recipe) = (trained.pictures(), trained.recipe("pretrain"));
    let ran = fcmae!("pretrain", "--data", pictures, "--out", run, "--config", recipe).done();
    let next = ran.stderr.lines().find_map(|line| line.split_once(" finetune ")).unwrap().1;
    let next = next.replace('\'', "").replace("LABELLED", pictures.to_str().unwrap());
    let next = next.replace(" RUN", &format!(" {}", fine.display()));
    let mut call = crate::command::command(&[&"finetune"]);
    call.args(next.split(' ')).args(["--set", "optim.epochs=1"]);
    crate::command::Ran::of(call).done();
    let found = json(&fcmae!("inspect", fine, "--json").done().stdout);
    assert_eq!(found["description"]["image_size"], json("[32, 32]"));
}

/// As a shell takes it, from folders with blanks and quotes in their names.
#[cfg(unix)]
#[test]
fn commands_to_copy_are_those_of_a_shell() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("it's my photos");
    crate::trained::draw(&photos, &CLASSES, 4);
    let (run, recipe) = (folder.path().join("run of (today)"), trained.recipe("pretrain"));
    let ran = fcmae!("pretrain", "--data", photos, "--out", run, "--config", recipe).done();
    let next = |ran: &str, command: &str| {
        let line = ran.lines().find(|line| line.contains(&format!(" {command} "))).unwrap();
        line.split_once(&format!(" {command} ")).unwrap().1.to_owned()
    };
    let shell = |command: &str, rest: &str, variables: [&std::ffi::OsStr; 2]| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("\"$0\" {command} {rest}"), crate::command::BINARY]);
        shell.args(variables);
        crate::command::Ran::of(shell).done().stderr
    };
    let fine = folder.path().join("fine tuned");
    let rest = next(&ran.stderr, "finetune").replace("LABELLED", "\"$1\"");
    let rest = rest.replace(" RUN", " \"$2\" --set optim.epochs=1 --set optim.batch=4");
    let ran = shell("finetune", &rest, [photos.as_os_str(), fine.as_os_str()]);
    let picture = photos.join("disc/00.png");
    let rest = next(&ran, "predict").replace("IMAGE", "\"$1\"");
    shell("predict", &rest, [picture.as_os_str(), picture.as_os_str()]);
}

#[test]
fn evaluate_counts_every_picture_once() {
    let trained = Trained::get();
    let (pictures, weights) = (trained.pictures(), trained.finetuned());
    let ran = fcmae!("evaluate", "--data", pictures, "--weights", weights, "--json").done();
    let found = json(&ran.stdout);
    assert_eq!(found["images"], 36);
    let rows = found["confusion"].as_array().unwrap();
    let row_sums =
        rows.iter().map(|row| row.as_array().unwrap().iter().flat_map(Value::as_u64).sum());
    assert_eq!(row_sums.collect::<Vec<u64>>(), [12, 12, 12]);
    let diagonal: u64 = (0..3).map(|class| rows[class][class].as_u64().unwrap()).sum();
    assert!((found["top1"].as_f64().unwrap() - diagonal as f64 / 36.0).abs() < 1e-9);
    assert_eq!(found["top5"], 1.0);
    assert_eq!(found["classes"][2]["name"], CLASSES[2]);
    assert_eq!(found["classes"][2]["images"], 12);

    let text = fcmae!("evaluate", "--data", pictures, "--weights", weights).done().stdout;
    assert!(text.starts_with("top-1  "), "{text}");
    for part in ["36 pictures, 3 classes", "confusion matrix", "stripes, wide", "accuracy"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// An archive and a list hold the pictures of a folder; what is missing of them, or is no picture, costs no other's
/// answer, and the exit status says it.
#[test]
fn predict_takes_what_pictures_lie_in() {
    let trained = Trained::get();
    let (folder, weights) = (trained.pictures().join("disc"), trained.finetuned());
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| elsewhere.path().join(name);
    let predict = |from: &[&Path]| {
        let mut call = command(&[&"predict", &"--weights", &weights, &"--format", &"json"]);
        call.args(from);
        Ran::of(call)
    };
    let classes = |ran: &Ran| {
        let answers = json(&ran.stdout);
        let classes = answers.as_array().unwrap().iter().map(|answer| answer["classes"].clone());
        classes.collect::<Vec<_>>()
    };
    archive(&folder, &at("all.tar"));
    let mut names: String =
        (0..12).map(|number| format!("{}/{number:02}.png\n", folder.display())).collect();
    fs::write(at("all.txt"), &names).unwrap();
    let expected = classes(&predict(&[&folder]).done());
    assert_eq!(expected.len(), 12);
    for source in ["all.tar", "all.txt"] {
        assert_eq!(classes(&predict(&[&at(source)]).done()), expected, "{source}");
    }

    names.push_str("gone.png\n");
    fs::write(at("all.txt"), names).unwrap();
    let ran = predict(&[&at("all.txt")]).refused(1, &["1 of 13 pictures could not be used"]);
    assert!(ran.stderr.contains("gone.png") && classes(&ran) == expected, "{}", ran.stderr);
    fs::write(at("old.zip"), "PK").unwrap();
    predict(&[&at("old.zip")]).refused(1, &["old.zip", "unpack it"]);
    let ran = predict(&[&at("old.zip"), &folder]).refused(1, &["1 of 13 pictures"]);
    assert!(ran.stderr.contains("no answer: ") && ran.stderr.contains("old.zip"), "{}", ran.stderr);
    assert_eq!(classes(&ran).len(), 13);
    let ran = predict(&[&folder, &folder.join("03.png")]).done();
    assert!(ran.stderr.contains("1 picture: named by several arguments"), "{}", ran.stderr);
}

#[test]
fn predict_answers_in_three_forms_that_agree() {
    let trained = Trained::get();
    let (picture, folder) = (trained.picture(), trained.pictures().join("disc"));
    let weights = trained.finetuned();
    let ran =
        fcmae!("predict", picture, folder, "--weights", weights, "--top", "2", "--format", "json");
    let answers = json(&ran.done().stdout);
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 13, "the file, and all twelve of the folder");
    assert_eq!(answers[0]["image"], picture.to_str().unwrap());
    let classes = answers[0]["classes"].as_array().unwrap();
    let (first, second) = (&classes[0]["probability"], &classes[1]["probability"]);
    assert!(classes.len() == 2 && first.as_f64() >= second.as_f64(), "{classes:?}");

    let csv = fcmae!("predict", picture, "--weights", weights, "--format", "csv").done().stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "image,rank,class,probability");
    assert_eq!(lines.len(), 1 + CLASSES.len());
    let start = format!("{},1,", picture.display());
    assert!(lines[1].starts_with(&start) && lines[1].ends_with(&first.to_string()), "{csv}");
    assert!(csv.contains(",\"stripes, wide\","), "a name with a comma is quoted: {csv}");

    let table = fcmae!("predict", picture, "--weights", weights, "--top", "1").done().stdout;
    assert!(table.starts_with(picture.to_str().unwrap()), "{table}");
    assert!(table.contains(classes[0]["class"].as_str().unwrap()), "{table}");
    assert_eq!(table.lines().count(), 2, "{table}");
}

#[test]
fn a_damaged_picture_spoils_no_other_answer() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.png");
    fs::write(&bad, "no picture").unwrap();
    let weights = trained.finetuned();
    let ran = fcmae!("predict", bad, trained.picture(), "--weights", weights, "--format", "json")
        .refused(1, &["1 of 2 pictures"]);
    let answers = json(&ran.stdout);
    assert!(answers[0]["error"].as_str().unwrap().contains("bad.png"), "{answers}");
    assert!(answers[1]["classes"].is_array(), "{answers}");
    assert!(ran.stderr.contains("bad.png: not a picture"), "{}", ran.stderr);
}

#[test]
fn reconstruct_draws_three_columns() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (grid, picture) = (folder.path().join("grid.png"), trained.picture());
    let weights = trained.pretrained();
    let ran = fcmae!("reconstruct", picture, picture, "--weights", weights, "--out", grid).done();
    assert_eq!(ran.stdout, format!("{}\n", grid.display()));
    let drawn = image::open(&grid).unwrap();
    assert!(drawn.width() >= 3 * 32 && drawn.height() >= 2 * 32, "{drawn:?}");

    let (all, many) = (trained.pictures(), folder.path().join("many.png"));
    let ran = fcmae!("reconstruct", all, all, all, "--weights", weights, "--out", many).done();
    assert!(ran.stderr.contains("100 of 108 pictures are drawn"), "{}", ran.stderr);
    let jpeg = folder.path().join("grid.jpg");
    fcmae!("reconstruct", picture, "--weights", weights, "--out", jpeg).refused(2, &[".png"]);

    // Another file of that name is kept, unless it may be replaced.
    let before = fs::read(&grid).unwrap();
    let again = ["reconstruct", "--seed", "5"];
    let says = ["grid.png", "--overwrite"];
    fcmae!(again[0], picture, "--weights", weights, "--out", grid).refused(2, &says);
    assert_eq!(fs::read(&grid).unwrap(), before);
    fcmae!(
        again[0],
        picture,
        picture,
        "--weights",
        weights,
        "--out",
        grid,
        "--overwrite",
        again[1],
        again[2]
    )
    .done();
    assert_ne!(fs::read(&grid).unwrap(), before, "another seed hides other patches");
}

#[test]
fn a_run_that_has_lost_its_best_weights_says_so() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (run, pictures) = (folder.path().join("run"), trained.pictures());
    copy_folder(&trained.finetuned(), &run);
    let longer = |epochs: &str| {
        let set = format!("optim.epochs={epochs}");
        fcmae!("finetune", "--data", pictures, "--out", run, "--resume", "--set", set).done().stderr
    };
    assert!(!longer("3").contains("is missing"));
    fs::remove_dir_all(run.join("export/best")).unwrap();
    let said = longer("4");
    assert!(said.contains("export/best is missing: the best weights so far"), "{said}");

    fcmae!("evaluate", "--data", pictures, "--weights", run.join("export/last"), "--report")
        .refused(2, &["--report", "export/last is not one", "the run's folder"]);
}

#[test]
fn diversity_measures_every_block_of_every_net() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (pictures, out) = (trained.pictures(), folder.path().join("made/diversity"));
    let (a, b) = (trained.pretrained(), trained.finetuned());
    let csv =
        fcmae!("diversity", "--data", pictures, "--weights", a, b, "--images", "6").done().stdout;
    assert_eq!(csv.lines().count(), 1 + 2 * 4, "{csv}");
    for line in csv.lines().skip(1) {
        let values: Vec<f64> =
            line.rsplit(',').take(7).map(|value| value.parse().unwrap()).collect();
        let [saturated, dead, rank, channels, grn, gelu, depth] = values[..] else {
            panic!("{line}")
        };
        assert!([grn, gelu, depth].iter().all(|value| (0.0..=1.0).contains(value)), "{line}");
        assert!(rank > 1.0 && rank < channels && dead + saturated < channels, "{line}");
    }
    let ran =
        fcmae!("diversity", "--data", pictures, "--weights", a, "--images", "6", "--out", out)
            .done();
    // Each stage has one block, whose numbers are the table's.
    for (number, line) in csv.lines().skip(1).take(4).enumerate() {
        let [grn, gelu] = [4, 5].map(|back| line.rsplit(',').nth(back).unwrap().parse().unwrap());
        let row: Vec<&str> = ran
            .stdout
            .lines()
            .find_map(|row| row.split_once(&format!("  stages.{number} ")))
            .map_or(Vec::new(), |(_, values)| values.split_whitespace().collect());
        let values = [gelu, grn].map(|value: f64| format!("{value:.3}"));
        assert_eq!(row[..2], values, "stage {number} in {}", ran.stdout);
    }
    let svg = fs::read_to_string(out.join("diversity.svg")).unwrap();
    let name = a.file_name().unwrap().to_str().unwrap();
    assert!(svg.starts_with("<svg") && svg.contains(&format!(">{name}, after GRN<")), "{svg}");
    assert!(fs::read_to_string(out.join("diversity.csv")).unwrap().lines().count() == 5);
    let maps = |more: &[&str], name: &str| {
        let file = folder.path().join(name);
        let fixed: [&dyn AsRef<std::ffi::OsStr>; 7] =
            [&"diversity", &"--data", &pictures, &"--weights", &a, &b, &"--out"];
        let mut call = crate::command::command(&fixed);
        call.arg(&file).args(more);
        (crate::command::Ran::of(call), file)
    };
    let sheet = |more: &[&str], name: &str| {
        let (ran, file) = maps(more, name);
        ran.done();
        fs::read(file).unwrap()
    };
    let sheets = [
        sheet(&[], "third.png"),
        sheet(&["--block", "stages.2.blocks.0"], "same.png"),
        sheet(&["--block", "stages.3.blocks.0"], "last.png"),
        sheet(&["--picture", trained.picture().to_str().unwrap()], "other.png"),
    ];
    assert!(sheets[0].starts_with(b"\x89PNG"));
    assert_eq!(sheets[0], sheets[1]);
    assert_ne!(sheets[0], sheets[2]);
    maps(&["--block", "stages.2.blocks.1"], "no.png")
        .0
        .refused(2, &["stages.2.blocks.1", "stages.2.blocks.0 to 0"]);
    maps(&["--block", "stages.2.blocks.0"], "no.csv").0.refused(2, &["--block", ".png"]);
}

#[test]
fn inspect_tells_the_net_and_its_parameters() {
    let trained = Trained::get();
    let found = json(&fcmae!("inspect", trained.finetuned(), "--json").done().stdout);
    assert_eq!(found["kind"], "classifier");
    assert_eq!(found["description"]["classes"][0], "disc");
    let sizes = found["tensors"]
        .as_object()
        .unwrap()
        .values()
        .map(|shape| shape.as_array().unwrap().iter().flat_map(Value::as_u64).product::<u64>());
    assert_eq!(found["parameters"], sizes.sum::<u64>());

    let text = fcmae!("inspect", trained.pretrained()).done().stdout;
    for part in ["masked autoencoder", "[8, 12, 16, 24]", "parameters", "decoder", "1 block,"] {
        assert!(text.contains(part), "{part} in {text}");
    }

    // The parts' sums are those of the list of all tensors.
    let all = fcmae!("inspect", trained.finetuned(), "--all").done().stdout;
    let tensors = found["tensors"].as_object().unwrap();
    assert!(tensors.keys().all(|name| all.contains(&format!("\n{name} "))), "{all}");
    let summary = fcmae!("inspect", trained.finetuned()).done().stdout;
    assert!(!tensors.keys().any(|name| summary.contains(name.as_str())), "{summary}");
    let parts = found["parts"].as_array().unwrap();
    let names: Vec<_> = parts.iter().flat_map(|part| part["name"].as_str()).collect();
    assert_eq!(names, ["stem", "stages.0", "stages.1", "stages.2", "stages.3", "head"]);
    for part in parts {
        let prefix = format!("{}.", part["name"].as_str().unwrap());
        let of_part: Vec<u64> = tensors
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(_, shape)| shape.as_array().unwrap().iter().flat_map(Value::as_u64).product())
            .collect();
        assert_eq!(part["tensors"], of_part.len());
        assert_eq!(part["parameters"], of_part.iter().sum::<u64>());
    }
}

/// From a run, with it as the teacher, stopped by nothing, then longer; and what does not go with weights.
#[test]
fn pretraining_goes_on_from_weights() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("further");
    let pretrain = |more: &[&str]| {
        let mut command = command(&[&"pretrain", &"--data", &trained.pictures()]);
        command.args(["--out".as_ref(), out.as_os_str()]).args(more);
        Ran::of(command)
    };
    let recipe = trained.recipe("pretrain");
    let (from, recipe) = (trained.pretrained(), recipe.to_str().unwrap());
    let from = from.to_str().unwrap();
    pretrain(&["--from", from, "--set", "model.block=v1"])
        .refused(2, &["`model.block`", "leave it out", "--from"]);
    pretrain(&["--config", recipe, "--set", "teacher.weight=1"])
        .refused(2, &["`teacher.weight`", "--from"]);
    pretrain(&["--config", recipe, "--from", from, "--dry-run"]).done();
    let taught = ["--set", "teacher.weight=1", "--set", "mask.ratio=[0.5,0.75]"];
    let begun = pretrain(&[&["--config", recipe, "--from", from][..], &taught[..]].concat()).done();
    assert!(begun.stderr.contains("twice as long"), "{}", begun.stderr);
    let longer = pretrain(&["--resume", "--set", "optim.epochs=3"]).done();
    assert!(longer.stderr.contains("resuming after step"), "{}", longer.stderr);
    fcmae!("inspect", &out).done();
    fcmae!(
        "reconstruct",
        trained.picture(),
        "--weights",
        &out,
        "--out",
        folder.path().join("r.png")
    )
    .done();
}
