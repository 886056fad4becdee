//! What cannot be used is refused with the file, the value and the remedy, and loses nothing.

use std::fs;
use std::path::Path;

use crate::command::fcmae;
use crate::trained::{CLASSES, Trained, contents, draw};

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Faults 12 and 16: no such set, an empty one, one class.
#[test]
fn folders_without_usable_pictures() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    let (texts, one) = (folder.path().join("texts"), folder.path().join("one"));
    fs::create_dir(&empty).unwrap();
    fs::create_dir(&texts).unwrap();
    fs::write(texts.join("notes.txt"), "no picture").unwrap();
    draw(&one, &CLASSES[..1], 12);
    let file = trained.picture();
    let out = folder.path().join("run");

    for (data, code, says) in [
        (&missing, 2, &["missing", "no such folder"][..]),
        (&file, 2, &["03.png", "not a folder"]),
        (&empty, 1, &["empty", "no picture"]),
        (&texts, 1, &["texts", "no picture", "1 other file"]),
    ] {
        for command in ["pretrain", "finetune"] {
            let mut all = vec![command, "--data", text(data), "--out", text(&out)];
            if command == "finetune" {
                all.extend(["--from", "scratch"]);
            }
            let recipe = trained.recipe(command);
            all.extend(["--config", text(&recipe)]);
            let arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
                all.iter().map(|argument| argument as _).collect();
            crate::command::Ran::of(crate::command::command(&arguments)).refused(code, says);
            assert!(!out.exists(), "{command} left a folder behind for {}", data.display());
        }
    }
    fcmae!(
        "finetune",
        "--data",
        one,
        "--from",
        "scratch",
        "--out",
        out,
        "--config",
        trained.recipe("finetune")
    )
    .refused(1, &["only one class", "disc", "at least two"]);
    assert!(!out.exists());
}

/// Fault 12: bad pictures are skipped and listed; above the allowed share the run stops with the list.
#[test]
fn corrupt_pictures_among_good_ones_are_skipped_and_listed() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("run"));
    draw(&data, &CLASSES, 12);
    let whole = fs::read(data.join("disc/00.png")).unwrap();
    fs::write(data.join("disc/cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(data.join("square/text.png"), "no picture").unwrap();

    let ran =
        fcmae!("pretrain", "--data", data, "--out", out, "--config", trained.recipe("pretrain"))
            .done();
    let listed = fs::read_to_string(out.join("skipped.jsonl")).unwrap();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    for name in ["disc/cut.png", "square/text.png"] {
        assert!(listed.contains(name), "{listed}");
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
    }

    let few = folder.path().join("few");
    let says = ["cut.png", "could not be used", "max_bad_fraction"];
    fcmae!(
        "pretrain",
        "--data",
        data,
        "--out",
        few,
        "--config",
        trained.recipe("pretrain"),
        "--set",
        "data.max_bad_fraction=0.0",
    )
    .refused(1, &says);
    // Why it ended stays with it.
    let log = fs::read_to_string(few.join("log.txt")).unwrap();
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains("ended after step") && last.contains("could not be used"), "{log}");
    let report = fs::read_to_string(few.join("report.html")).unwrap();
    assert!(report.contains("could not be used"), "the report says nothing of it");
    let listed = fs::read_to_string(few.join("skipped.jsonl")).unwrap();
    assert!(listed.contains("disc/cut.png") || listed.contains("square/text.png"), "{listed}");
}

/// Faults 16 and 21: a batch larger than the set, a mask ratio that hides all, and others.
#[test]
fn settings_that_cannot_be_meant() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (setting, says) in [
        ("data.image_size=[30,32]", &["30×32", "multiples of 8", "model.stem_stride"][..]),
        ("model.size=attoo", &["`attoo`", "atto, femto"]),
        ("optim.epoch=3", &["--set optim.epoch=3", "did you mean `optim.epochs`", "help: "]),
        ("optim.epochs=many", &["optim.epochs=many"]),
        ("optim.epochs", &["optim.epochs", "key=value"]),
        ("mask.ratio=0.99", &["0.99", "mask.ratio"]),
        ("optim.base_lr=-1", &["optim.base_lr", "-1", "positive"]),
        ("model.depths=[1000000000,1,1,1]", &["model.depths", "1 to 1000"]),
    ] {
        fcmae!(
            "pretrain",
            "--data",
            trained.pictures(),
            "--out",
            out,
            "--config",
            trained.recipe("pretrain"),
            "--set",
            setting,
        )
        .refused(2, says);
        assert!(!out.exists(), "{setting} left a folder behind");
    }

    let recipe = folder.path().join("recipe.toml");
    fs::write(&recipe, "[optim]\nepochs = 3\nwarmup = 1\n").unwrap();
    fcmae!("pretrain", "--data", trained.pictures(), "--out", out, "--config", recipe)
        .refused(2, &["recipe.toml", "optim.warmup_epochs"]);
    fcmae!("pretrain", "--data", trained.pictures(), "--out", out, "--config", "pretrain-smal")
        .refused(2, &["pretrain-smal", "pretrain-small", "finetune-atto"]);
    fcmae!(
        "pretrain",
        "--data",
        trained.pictures(),
        "--out",
        out,
        "--config",
        trained.recipe("pretrain"),
        "--set",
        "optim.batch=64",
    )
    .refused(1, &["64", "36", "help: ", "--batch"]);
    assert!(!out.exists());
}

/// Faults 6 and 7: a file in the place of a folder, and other settings on resume.
#[test]
fn an_out_that_exists_stays_as_it_is() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (pictures, recipe) = (trained.pictures(), trained.recipe("pretrain"));
    let taken = trained.pretrained();
    let before = contents(&taken);
    fcmae!("pretrain", "--data", pictures, "--out", taken, "--config", recipe)
        .refused(2, &["pretrained", "not empty", "--resume"]);
    fcmae!("demo", "--out", taken, "--quick").refused(2, &["pretrained", "not empty", "--out"]);
    fcmae!("pretrain", "--data", pictures, "--out", taken, "--resume", "--set", "optim.beta1=0.5",)
        .refused(
            2,
            &["other settings", "config.optim.beta1 = 0.5", "leave out --config; --set may change"],
        );
    assert!(contents(&taken) == before, "a refused run changed something");

    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    fcmae!("pretrain", "--data", pictures, "--out", file, "--config", recipe)
        .refused(2, &["file", "not a folder"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    // Folders above a run are made, and none stays of a run that does not begin.
    let beyond = file.join("no/such/run");
    fcmae!("pretrain", "--data", pictures, "--out", beyond, "--config", recipe)
        .refused(2, &["file", "not a folder"]);
    let no_run = folder.path().join("nothing");
    fcmae!("pretrain", "--data", pictures, "--out", no_run, "--resume", "--config", recipe)
        .refused(2, &["nothing", "no such run, so there is nothing to resume"]);
    fcmae!("pretrain", "--data", pictures, "--out", file, "--resume")
        .refused(2, &["file is a file"]);
    // Where a run is, is said: in it, or around it.
    let runs = folder.path().join("runs");
    for name in ["one", "three", "four", "two"] {
        fs::create_dir_all(runs.join(name).join("export")).unwrap();
        for file in ["run.json", "config.toml"] {
            fs::copy(taken.join(file), runs.join(name).join(file)).unwrap();
        }
    }
    for command in [&["report"][..], &["pretrain", "--resume", "--data", "pictures", "--out"]] {
        let call = |at: &Path| {
            let mut call = crate::command::command(&[]);
            call.args(command).arg(at);
            crate::command::Ran::of(call)
        };
        let said = call(&runs).refused(2, &["is not a run", "no run.json and no config.toml"]);
        let said =
            said.refused(2, &["the runs in it are ", "runs/four, ", "runs/three and 1 more"]);
        assert!(command[0] != "report" || !said.stderr.contains("resume"), "{}", said.stderr);
        call(&runs.join("one/export"))
            .refused(2, &["is not a run", "it is in the run", "runs/one"]);
        call(&pictures).refused(2, &["is not a run", "a run is the folder that `fcmae pretrain`"]);
    }
}

/// Fault 16: classes that the checkpoint does not know, and others.
#[test]
fn weights_that_are_not_the_networks() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (pictures, picture) = (trained.pictures(), trained.picture());
    let out = folder.path().join("out");

    fcmae!("evaluate", "--data", pictures, "--weights", trained.pretrained())
        .refused(1, &["no classification head", "finetune"]);
    fcmae!(
        "reconstruct",
        picture,
        "--weights",
        trained.finetuned(),
        "--out",
        out.with_extension("png")
    )
    .refused(1, &["no decoder", "pre-training"]);
    fcmae!("predict", picture, "--weights", folder.path()).refused(2, &["no weights in"]);
    fcmae!("predict", folder.path().join("no.png"), "--weights", trained.finetuned())
        .refused(2, &["no.png", "no such file"]);

    // The description of one net beside the weights of another.
    let mixed = folder.path().join("mixed");
    let export = trained.finetuned().join("export/last");
    fs::create_dir(&mixed).unwrap();
    fs::copy(export.join("model.safetensors"), mixed.join("model.safetensors")).unwrap();
    let config = fs::read_to_string(export.join("config.json")).unwrap();
    let wider =
        config.split_whitespace().collect::<String>().replace("[8,12,16,24]", "[8,12,20,24]");
    assert!(wider.contains("[8,12,20,24]"), "{wider}");
    fs::write(mixed.join("config.json"), wider).unwrap();
    fcmae!("evaluate", "--data", pictures, "--weights", mixed)
        .refused(1, &["mixed", "do not fit", "stages.2.blocks.0.conv_dw.weight"]);
    fcmae!(
        "finetune",
        "--data",
        pictures,
        "--from",
        mixed,
        "--out",
        out,
        "--config",
        trained.recipe("finetune")
    )
    .refused(1, &["mixed", "do not fit", "stages.2.blocks.0.conv_dw.weight"]);

    fs::write(mixed.join("model.safetensors"), "no weights").unwrap();
    fcmae!("inspect", mixed).refused(1, &["mixed", "safetensors"]);

    let others = folder.path().join("others");
    draw(&others, &["disc", "hexagon"], 2);
    fcmae!("evaluate", "--data", others, "--weights", trained.finetuned())
        .refused(1, &["hexagon", "\"disc\", \"square\", \"stripes, wide\""]);
}

/// Whatever option names it, a path that is not there is wrong usage, and the error says which it is.
#[test]
fn paths_that_are_not_there() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (missing, out) = (folder.path().join("missing"), folder.path().join("out"));
    let (nowhere, out) = (text(&missing), text(&out));
    let (pictures, picture) = (trained.pictures(), trained.picture());
    let (weights, recipe) = (trained.finetuned(), trained.recipe("pretrain"));
    let (pictures, picture) = (text(&pictures), text(&picture));
    let (weights, recipe) = (text(&weights), text(&recipe));
    let finetune = ["finetune", "--data", pictures, "--from", nowhere, "--out", out];
    let grid = &format!("{out}.png");
    for call in [
        &["pretrain", "--data", pictures, nowhere, "--out", out, "--config", recipe][..],
        &["pretrain", "--data", pictures, "--config", nowhere, "--out", out],
        &finetune,
        &[&finetune[..], &["--dry-run"]].concat(),
        &["evaluate", "--data", nowhere, "--weights", weights],
        &["evaluate", "--data", pictures, "--weights", nowhere],
        &["evaluate", "--data", pictures, "--weights", weights, "--held-out-of", nowhere],
        &["predict", picture, "--weights", nowhere],
        &["predict", nowhere, "--weights", weights],
        &["reconstruct", picture, "--weights", nowhere, "--out", grid],
        &["reconstruct", nowhere, "--weights", weights, "--out", grid],
        &["diversity", "--data", pictures, "--weights", nowhere],
        &["diversity", "--data", nowhere, "--weights", weights],
        &["inspect", nowhere],
        &["stats", "--data", nowhere],
        &["report", weights, nowhere, "--out", out],
        &["experiment", nowhere, "--out", out],
        &["export", nowhere, "--format", "timm", "--out", out],
        &["bench", "--work", "load", "--data", nowhere],
    ] {
        let arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            call.iter().map(|argument| argument as _).collect();
        let ran =
            crate::command::Ran::of(crate::command::command(&arguments)).refused(2, &[nowhere]);
        let remedy = ["check the path", "built-in ones are"]
            .iter()
            .any(|remedy| ran.stderr.contains(remedy));
        assert!(remedy, "{call:?}: {}", ran.stderr);
        assert!(contents(folder.path()).is_empty(), "{call:?} left something behind");
    }
}

/// Fault 23: what is given as settings or as an experiment is no longer than these can be.
#[test]
fn settings_and_experiments_that_are_too_long_or_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let (long, binary) = (folder.path().join("long.toml"), folder.path().join("binary.toml"));
    fs::File::create(&long).unwrap().set_len((1 << 20) + 1).unwrap();
    fs::write(&binary, b"a = 1\n\xff").unwrap();
    let too_long = "it has 1048577 bytes, at most 1048576 are read";
    for (file, says) in [(&long, too_long), (&binary, "not UTF-8 text from byte 1 of line 2 on")] {
        let name = file.file_name().unwrap().to_str().unwrap();
        let says = [name, says];
        fcmae!(
            "pretrain",
            "--data",
            folder.path(),
            "--out",
            folder.path().join("run"),
            "--config",
            file
        )
        .refused(1, &says);
        fcmae!("experiment", file, "--out", folder.path().join("out")).refused(1, &says);
    }
}
