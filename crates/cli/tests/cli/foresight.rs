//! What can be known of a run before it begins.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{Ran, command, fcmae};
use crate::trained::{CLASSES, Trained, contents, copy_folder};

#[test]
fn a_dry_run_tells_what_to_expect_and_leaves_one_picture() {
    let trained = Trained::get();
    let (pictures, folder) = (trained.pictures(), tempfile::tempdir().unwrap());
    let out = folder.path().join("run");
    for (command, extra) in [("pretrain", &[][..]), ("finetune", &["--from", "scratch"][..])] {
        let recipe = trained.recipe(command);
        let mut call = crate::command::command(&[&command, &"--data", &pictures, &"--out", &out]);
        call.arg("--config").arg(recipe).args(extra).arg("--dry-run");
        let ran = crate::command::Ran::of(call).done();
        for part in ["network", "parameters", "memory", "speed", "images/s", "time", "first batch"]
        {
            assert!(ran.stdout.contains(part), "{command}: {part} in {}", ran.stdout);
        }
        assert!(ran.stdout.contains("image size   32×32 pixels"), "{}", ran.stdout);
        let names_decoder = ran.stdout.contains(" and a decoder of 1 block, ");
        assert_eq!(names_decoder, command == "pretrain", "{}", ran.stdout);
        let left: Vec<_> = contents(folder.path()).into_iter().map(|(path, _)| path).collect();
        assert_eq!(left, [folder.path().join("run-first-batch.png")], "{command}");
        let sheet = image::open(&left[0]).unwrap();
        assert!(sheet.width() > 6 * 160, "{command}: {}", sheet.width());
        fs::remove_file(&left[0]).unwrap();
    }
    // Without a recipe, network and image size are those of the weights, of 32 pixels.
    let batch = "optim.batch=8";
    let from = trained.pretrained();
    fcmae!(
        "finetune",
        "--data",
        pictures,
        "--from",
        from,
        "--out",
        out,
        "--set",
        batch,
        "--dry-run"
    )
    .done();
    let sheet = image::open(folder.path().join("run-first-batch.png")).unwrap();
    assert!(sheet.width() < 6 * 224, "{}", sheet.width());
    fs::remove_file(folder.path().join("run-first-batch.png")).unwrap();
    let missing = folder.path().join("missing");
    fcmae!("pretrain", "--data", missing, "--out", out, "--dry-run").refused(2, &["missing"]);
    assert!(contents(folder.path()).is_empty(), "nothing is left of what failed");
}

#[test]
fn a_batch_that_memory_holds_keeps_the_updates() {
    let printed = |batch: &str, settings: &[&str]| {
        let mut call =
            crate::command::command(&[&"pretrain", &"--print-config", &"--batch", &batch]);
        for setting in settings {
            call.args(["--set", setting]);
        }
        let text = crate::command::Ran::of(call).done().stdout;
        let value = |key: &str| -> usize {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            line.unwrap().parse().unwrap()
        };
        (value("batch"), value("accumulation"))
    };
    assert_eq!(printed("12", &["optim.accumulation=3"]), (12, 3));
    // Four pictures of a small network fit anywhere; all of a million do nowhere.
    assert_eq!(printed("auto", &["optim.batch=2", "optim.accumulation=2"]), (4, 1));
    let (batch, accumulation) = printed("auto", &["optim.batch=1048576"]);
    assert!(batch < 1 << 20 && batch * accumulation == 1 << 20, "{batch} × {accumulation}");
    fcmae!("pretrain", "--print-config", "--batch", "many").refused(2, &["many", "auto"]);
}

/// A recipe may leave network and image size to the weights.
#[test]
fn memory_of_a_fine_tuning_is_reckoned_with_its_weights() {
    // Held, as its folder goes with the last who does.
    let trained = Trained::get();
    let weights = trained.pretrained();
    let [batch, accumulation] = ["optim.batch=2", "optim.accumulation=2"];
    let command = ["finetune", "--print-config", "--batch", "auto", "--from"];
    let [finetune, print, option, auto, from] = command;
    let ran =
        fcmae!(finetune, print, option, auto, from, weights, "--set", batch, "--set", accumulation)
            .done();
    for line in ["\nbatch = 4\n", "\naccumulation = 1\n"] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
}

/// The network is that of the weights in a dry run too, not that of a recipe or of the defaults.
#[test]
fn a_dry_run_s_memory_is_that_of_the_weights_network() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (pictures, recipe) = (trained.pictures(), trained.recipe("finetune"));
    let (weights, out) = (trained.pretrained(), folder.path().join("run"));
    let told = |more: &[&std::ffi::OsStr]| {
        let settings = ["--set", "data.image_size=[32,32]", "--set", "optim.batch=8", "--dry-run"];
        let mut call =
            crate::command::command(&[&"finetune", &"--data", &pictures, &"--out", &out]);
        call.args(more).args(settings);
        let ran = crate::command::Ran::of(call).done().stdout;
        let line = |key| ran.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        let estimate = line("memory").split(';').next().unwrap().to_owned();
        (line("network"), estimate)
    };
    let os = std::ffi::OsStr::new;
    let of_weights = told(&[os("--from"), weights.as_os_str()]);
    let the_same = told(&[os("--from"), os("scratch"), os("--config"), recipe.as_os_str()]);
    let default = told(&[os("--from"), os("scratch")]);
    assert_eq!(of_weights, the_same);
    assert!(of_weights.0 != default.0 && of_weights.1 != default.1, "{default:?}");
}

/// Steps, saves, figures, evaluations and exports of a whole run, by the kernel's account.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_run_takes_the_memory_that_was_told() {
    let trained = Trained::get();
    let (pictures, folder) = (trained.pictures(), tempfile::tempdir().unwrap());
    for (command, extra) in [("pretrain", &[][..]), ("finetune", &["--from", "scratch"][..])] {
        let out = folder.path().join(command);
        let call = || {
            let mut call =
                crate::command::command(&[&command, &"--data", &pictures, &"--out", &out]);
            call.args(extra).env("RAYON_NUM_THREADS", "2");
            for setting in [
                "data.image_size=[128,128]",
                "data.cache_mib=0",
                "optim.batch=16",
                "optim.epochs=1",
                "optim.warmup_epochs=0.1",
            ] {
                call.args(["--set", setting]);
            }
            call
        };
        let mut dry = call();
        dry.arg("--dry-run");
        let ran = crate::command::Ran::of(dry).done().stdout;
        let told = ran.split("about ").nth(1).unwrap().split(" MiB").next().unwrap();
        let told: f64 = told.replace(',', "").parse().unwrap();
        let mut run = call();
        run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut run = run.spawn().unwrap();
        let (status, mut peak) = (format!("/proc/{}/status", run.id()), 0.0);
        while run.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            peak = kib.map_or(peak, |kib| kib.parse::<f64>().unwrap() / 1024.0);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(run.wait().unwrap().success());
        let ratio = told / peak;
        assert!((0.95..=1.25).contains(&ratio), "{command}: {told} MiB told, {peak:.0} taken");
    }
}

#[test]
fn several_sets_and_few_labels_are_asked_for_on_the_command_line() {
    let trained = Trained::get();
    let (pictures, folder) = (trained.pictures(), tempfile::tempdir().unwrap());
    let more = folder.path().join("more");
    crate::trained::draw(&more, &crate::trained::CLASSES, 4);
    let out = folder.path().join("run");
    let ran = fcmae!(
        "finetune",
        "--data",
        pictures,
        more,
        "--from",
        "scratch",
        "--out",
        out,
        "--labels",
        "50%",
        "--config",
        trained.recipe("finetune"),
    )
    .done();
    // 16 of each class: 3 kept aside, and half of 13 used.
    assert!(ran.stderr.contains("21 pictures of 3 classes (9 more held out)"), "{}", ran.stderr);
    let ran = fcmae!("evaluate", "--data", pictures, more, "--weights", out).done();
    assert!(ran.stdout.contains("48 pictures, 3 classes"), "{}", ran.stdout);
}

#[test]
fn the_doctor_tells_what_this_machine_can_do() {
    let ran = fcmae!("doctor", "--image", "64", "--pictures", "1000", "--epochs", "10").done();
    for part in ["processor", "threads", "memory", "disk", "GFLOP/s", "pictures/s", "huge", "1,000"]
    {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    // What is measured is what a first pre-training is told to take.
    for part in [
        "Measured: atto at 64×64 pixels, 16 images a step.",
        "pretrain-small: a decoder of 1 block, 256 channels wide, 60 % of the patches hidden",
        "in batches of 64;\ntime for 1,000 pictures and 10 epochs:",
    ] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    // Without CUDA it is the processor that `auto` stands for.
    for part in ["devices     cpu (auto), ", " GiB free\n", "cuda:0, cannot be used: "] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
}

#[test]
fn the_recorded_split_finds_the_pictures_kept_aside_again() {
    let trained = Trained::get();
    let (pictures, run) = (trained.pictures(), trained.finetuned());
    let split = fs::read_to_string(run.join("split.csv")).unwrap();
    let kept = split.lines().filter(|line| line.ends_with(",held_out")).count();
    // A fifth of twelve of each class, rounded.
    assert_eq!((split.lines().count(), kept), (1 + 36, 6), "{split}");
    let ran = fcmae!("evaluate", "--data", pictures, "--weights", run, "--held-out-of", run).done();
    assert!(ran.stdout.contains("6 pictures, 3 classes"), "{}", ran.stdout);
    assert!(!ran.stderr.contains("were trained on"), "{}", ran.stderr);
    // All of them together flatter, which is told.
    let all = fcmae!("evaluate", "--data", pictures, "--weights", run).done();
    assert!(all.stderr.contains("30 of these 36 pictures were trained on"), "{}", all.stderr);
    let best = run.join("export/best");
    let all = fcmae!("evaluate", "--data", pictures, "--weights", best).done();
    assert!(all.stderr.contains("--held-out-of"), "{}", all.stderr);
    // So are they in another place, under other names.
    let elsewhere = tempfile::tempdir().unwrap();
    for (number, name) in CLASSES.iter().enumerate() {
        copy_folder(&pictures.join(name), &elsewhere.path().join(format!("set/{name}/{number}")));
    }
    let copied =
        fcmae!("evaluate", "--data", elsewhere.path().join("set"), "--weights", run).done();
    assert!(copied.stderr.contains("30 of these 36 pictures were trained on"), "{}", copied.stderr);
    // They are those that the run itself evaluated last.
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let last = metrics.lines().rev().find(|line| line.contains("held_out_loss")).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    let top1 = format!("top-1  {:.2}%", 100.0 * last["top1"].as_f64().unwrap());
    assert!(ran.stdout.contains(&top1), "{top1} in {}", ran.stdout);
    let other = tempfile::tempdir().unwrap();
    // A record that was cut would leave pictures out in silence; and a report says what the terminal does.
    let copied = other.path().join("run");
    copy_folder(&run, &copied);
    let tested = fcmae!("evaluate", "--data", pictures, "--weights", copied, "--report").done();
    assert!(tested.stderr.contains("30 of these 36 pictures were trained on"), "{}", tested.stderr);
    let page = fs::read_to_string(copied.join("report.html")).unwrap();
    assert!(page.contains("30 of the 36 test pictures were trained on"));
    let cut: Vec<&str> = split.lines().take(35).collect();
    fs::write(copied.join("split.csv"), cut.join("\n") + "\n").unwrap();
    fcmae!("evaluate", "--data", pictures, "--weights", run, "--held-out-of", copied)
        .refused(1, &["split.csv", "put the original back"]);
    // Nor can it be told then what the run was trained on, which is not the same as nothing.
    let tested = fcmae!("evaluate", "--data", pictures, "--weights", copied, "--report").done();
    let says = "cannot tell whether these pictures were trained on";
    assert!(tested.stderr.contains(says), "{}", tested.stderr);
    let page = fs::read_to_string(copied.join("report.html")).unwrap();
    assert!(page.contains("Test pictures that may have been trained on"));
    let missing = fcmae!(
        "evaluate",
        "--data",
        trained.pictures().join("disc"),
        "--weights",
        run,
        "--held-out-of",
        other.path()
    );
    missing.refused(2, &["split.csv", "no such record"]);
}

#[test]
fn statistics_are_a_recipe_for_pictures_of_any_depth() {
    let folder = tempfile::tempdir().unwrap();
    let scenes = folder.path().join("scenes");
    fs::create_dir(&scenes).unwrap();
    // 12-bit values in 16 bits, darker and darker from left to right, as a microscope gives them.
    for number in 0..24u16 {
        let picture = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(32, 32, |x, y| {
            image::Luma([4095 / (1 + number % 5) - (x as u16) * 20 - (y as u16 % 3) * 7])
        });
        picture.save(scenes.join(format!("{number:02}.png"))).unwrap();
    }
    let recipe = folder.path().join("scenes.toml");
    let ran =
        fcmae!("stats", "--data", scenes, "--deep", "--channels", "1", "--recipe", recipe).done();
    for part in ["24 pictures", "PNG", "16", "channels = 1", "depth = \"deep\""] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    let text = fs::read_to_string(&recipe).unwrap();
    let small = "optim.epochs=2";
    let out = folder.path().join("run");
    let train = |out: &Path, more: &[&str]| {
        let mut call = command(&[&"pretrain", &"--data", &scenes, &"--out", &out]);
        call.arg("--config").arg(&recipe);
        let set = [
            small,
            "model.size=custom",
            "model.depths=[1,1,1,1]",
            "model.widths=[8,8,16,16]",
            "model.stem_stride=1",
            "decoder.width=16",
            "data.image_size=[32,32]",
            "optim.batch=8",
            "optim.warmup_epochs=1",
            "figures.every_epochs=1",
        ];
        for set in set.iter().chain(more) {
            call.args(["--set", set]);
        }
        Ran::of(call).done()
    };
    let ran = train(&out, &[]);
    assert!(!ran.stderr.contains("do not fit"), "{}", ran.stderr);
    // In the unit of the files' numbers, of which 65,535 is 1: told once, and in the report.
    let other = folder.path().join("other");
    let ran = train(&other, &["data.mean=[1500]", "data.std=[1000]"]);
    let told = ran.stderr.matches("`data.std` do not fit the pictures").count();
    assert_eq!(told, 1, "{}", ran.stderr);
    assert!(fs::read_to_string(other.join("report.html")).unwrap().contains("do not fit"));
    let config = fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(config.contains("depth = \"deep\""), "{config}");
    assert!(fs::read_dir(out.join("figures")).unwrap().count() == 2, "drawn in grey");
    // The same picture looks the same to whoever uses the weights.
    let grid = folder.path().join("grid.png");
    fcmae!("reconstruct", scenes.join("00.png"), "--weights", out, "--out", grid).done();
    assert!(
        text.lines().filter(|line| line.starts_with("mean") || line.starts_with("std")).count()
            == 2
    );
}

/// Four patches cannot be hidden by 60 %, and five epochs of a warm-up of ten do not warm up.
#[test]
fn settings_that_do_not_do_what_they_say_are_told_once() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (pictures, out) = (trained.pictures(), folder.path().join("run"));
    let call = |more: &[&str]| {
        let recipe = trained.recipe("pretrain");
        let mut call =
            crate::command::command(&[&"pretrain", &"--data", &pictures, &"--out", &out]);
        call.arg("--config").arg(recipe).args(more);
        crate::command::Ran::of(call).done().stderr
    };
    let small = ["--set", "data.image_size=[16,16]", "--set", "optim.warmup_epochs=10"];
    let says = [
        "hiding 3 of 4 patches, 75 %",
        "instead of the 60 %",
        "the whole run, 2 epochs, lies",
        "warmup_epochs=0.2",
    ];
    for said in [call(&[&small[..], &["--dry-run"]].concat()), call(&small)] {
        for part in says {
            assert_eq!(said.matches(part).count(), 1, "{part} in {said}");
        }
    }
    let log = fs::read_to_string(out.join("log.txt")).unwrap();
    assert!(says.iter().all(|part| log.contains(part)), "{log}");
    let resumed = call(&[&small[..], &["--resume"]].concat());
    assert!(resumed.contains("resuming after step") && !resumed.contains("hiding"), "{resumed}");
    fs::remove_dir_all(&out).unwrap();
    let usual = call(&[]);
    assert!(!usual.contains("hiding") && !usual.contains("warmup_epochs"), "{usual}");
}

#[test]
fn settings_of_the_network_that_are_not_the_weights_are_refused() {
    let trained = Trained::get();
    let (weights, recipe, pictures) =
        (trained.pretrained(), trained.recipe("finetune"), trained.pictures());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let run = |more: &[&str]| {
        let mut call = crate::command::command(&[
            &"finetune",
            &"--data",
            &pictures,
            &"--from",
            &weights,
            &"--out",
            &out,
            &"--dry-run",
        ]);
        call.args(more);
        crate::command::Ran::of(call)
    };
    let recipe = recipe.to_str().unwrap();
    let with = |setting| run(&["--config", recipe, "--set", setting]);
    for (setting, says) in [
        ("model.block=v1", ["`model.block`", "finetune.grn"]),
        ("model.stem_stride=4", ["`model.stem_stride`", "scratch"]),
    ] {
        with(setting).refused(2, &[says[0], says[1], "--from"]);
        assert!(!out.exists());
    }
    let grey = ["model.channels=1", "data.mean=[0.5]", "data.std=[0.5]"];
    run(&["--set", grey[0], "--set", grey[1], "--set", grey[2]])
        .refused(2, &["`model.channels`", "finetune.channels", "--from"]);
    run(&["--set", "model.size=tiny"]).refused(2, &["`model.size`", "custom", "--from"]);
    // A mean that is given for other channels than the weights have is not replaced by theirs.
    run(&["--set", grey[1], "--set", grey[2], "--set", "finetune.channels=3"])
        .refused(2, &["`data.mean`", "3 numbers", "one for each of `model.channels`"]);
    // What says the same is no matter.
    let ran = with("model.stem_stride=1").done();
    assert!(!ran.stderr.contains("the settings are meant for"), "{}", ran.stderr);
    // A published recipe is for no custom network, and without a recipe nothing is for any.
    for recipe in [&["--config", "finetune-small", "--set", "data.image_size=[32,32]"][..], &[]] {
        let ran = run(&[recipe, &["--set", "optim.batch=2"]].concat()).done();
        assert!(!ran.stderr.contains("the settings are meant for"), "{}", ran.stderr);
    }
    // A recipe for another network or other pictures is told.
    let other = folder.path().join("other.toml");
    let text = std::fs::read_to_string(recipe).unwrap();
    std::fs::write(
        &other,
        text.replace("[8, 12, 16, 24]", "[8, 16, 24, 32]").replace("[32, 32]", "[48, 48]"),
    )
    .unwrap();
    let ran = run(&["--config", other.to_str().unwrap()]).done();
    for told in ["the settings are meant for custom", "that of the weights", "48×48", "32×32"] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
}

#[test]
fn a_continued_pre_training_takes_the_weights_patches_and_pictures() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (data, out, from) = (trained.pictures(), folder.path().join("run"), trained.pretrained());
    let run = |more: &[&str]| {
        let mut call = crate::command::command(&[
            &"pretrain",
            &"--data",
            &data,
            &"--from",
            &from,
            &"--out",
            &out,
            &"--set",
            &"optim.batch=2",
        ]);
        call.args(more);
        crate::command::Ran::of(call)
    };
    let shown = run(&["--print-config"]).done().stdout;
    let settings: toml::Table = shown.parse().unwrap();
    assert_eq!(settings["model"]["stem_stride"].as_integer(), Some(1), "{shown}");
    assert_eq!(settings["model"]["widths"][3].as_integer(), Some(24), "that of the weights");
    assert_eq!(settings["decoder"]["width"].as_integer(), Some(16));
    assert_eq!(settings["data"]["image_size"], toml::Value::from(vec![32, 32]));
    let shown = run(&["--print-config", "--set", "data.image_size=[64,64]"]).done().stdout;
    assert!(shown.contains("\nimage_size = [64, 64]\n"), "{shown}");
    run(&["--dry-run"]).done();
    run(&["--dry-run", "--set", "decoder.width=24"])
        .refused(2, &["`decoder.width`", "which have 16", "leave it out"]);
    // What `fcmae stats` says of grey pictures.
    let grey = folder.path().join("grey.toml");
    std::fs::write(&grey, "[model]\nchannels = 1\n[data]\nmean = [0.5]\nstd = [0.2]\n").unwrap();
    let grey = grey.to_str().unwrap();
    run(&["--dry-run", "--config", grey]).refused(2, &["`model.channels`", "start.channels=1"]);
    run(&["--dry-run", "--config", grey, "--set", "start.channels=1"]).done();
}

#[test]
fn a_precision_of_cards_names_the_option_for_one() {
    let trained = Trained::get();
    fcmae!("predict", trained.picture(), "--weights", trained.finetuned(), "--precision", "bf16")
        .refused(2, &["bf16", "--device cuda"]);
}

#[test]
fn a_reconstruction_does_not_replace_its_picture() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("a.png");
    std::fs::copy(trained.picture(), &picture).unwrap();
    let before = std::fs::read(&picture).unwrap();
    for input in [&picture, &folder.path().to_owned()] {
        fcmae!(
            "reconstruct",
            input,
            "--weights",
            trained.pretrained(),
            "--out",
            picture,
            "--overwrite"
        )
        .refused(2, &["a.png is read by this command"]);
    }
    assert_eq!(std::fs::read(&picture).unwrap(), before);
    let out = folder.path().join("grid.png");
    for _ in 0..2 {
        fcmae!(
            "reconstruct",
            picture,
            "--weights",
            trained.pretrained(),
            "--out",
            out,
            "--overwrite"
        )
        .done();
    }
}

/// Fault 17: names that would steer a terminal.
#[test]
fn names_of_classes_are_written_out_plainly() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights");
    fcmae!("export", trained.finetuned(), "--format", "timm", "--out", weights).done();
    let path = weights.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"disc\"", "\"di\\u001b[2J\\nsc\"")).unwrap();
    for call in [
        fcmae!("predict", trained.picture(), "--weights", weights).done(),
        fcmae!("inspect", weights).done(),
        fcmae!("evaluate", "--weights", weights, "--data", trained.pictures()),
    ] {
        let said = call.stdout + &call.stderr;
        assert!(!said.contains('\u{1b}'), "{said:?}");
        assert!(said.contains("di\\u{1b}[2J"), "{said}");
    }
}

/// A deviation in another unit than the pictures', in the description of weights.
#[test]
fn a_deviation_of_weights_that_fits_no_picture_is_told_wherever_they_are_used() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights");
    fcmae!("export", trained.finetuned(), "--format", "timm", "--out", weights).done();
    let (data, vectors) = (trained.pictures(), folder.path().join("vectors.csv"));
    let uses = || {
        [
            fcmae!("predict", trained.picture(), "--weights", weights).done(),
            fcmae!("evaluate", "--weights", weights, "--data", data).done(),
            fcmae!("embed", "--weights", weights, "--data", data, "--out", vectors, "--overwrite")
                .done(),
        ]
    };
    let told = "mean and deviation of the weights do not fit the pictures: in ";
    for ran in uses() {
        assert!(!ran.stderr.contains("do not fit"), "{}", ran.stderr);
    }
    let path = weights.join("config.json");
    let mut description: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let std = description.pointer_mut("/fcmae/std").unwrap();
    *std = [0.001, 0.001, 0.001].into();
    fs::write(&path, description.to_string()).unwrap();
    for ran in uses() {
        assert_eq!(ran.stderr.matches(told).count(), 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("config.json"), "{}", ran.stderr);
    }
}

/// What a run keeps is not replaced, whichever command is told to write there.
#[test]
fn a_runs_own_files_are_not_written_over() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy_folder(&trained.finetuned(), &run);
    let at = |name: &str| run.join(name);
    let before = contents(&run);
    let (kept, weights) = (["belongs to the run"], trained.pretrained());
    let shown = trained.pictures().join("disc/00.png");
    for name in ["run.json", "config.toml", "metrics.jsonl", "log.txt", "split.csv", "report.html"]
    {
        let out = at(name);
        fcmae!("reconstruct", shown, "--weights", weights, "--out", out, "--overwrite")
            .refused(2, &[name, "belongs to the run", "another --out"]);
        // Nor without it, and the way is not told that is none.
        let refused = fcmae!("reconstruct", shown, "--weights", weights, "--out", out);
        assert!(!refused.stderr.contains("--overwrite"), "{}", refused.stderr);
    }
    for name in ["run.json", "evaluation.json", "export/best/model.safetensors", "export"] {
        fcmae!("report", run, "--out", at(name), "--overwrite").refused(2, &kept);
    }
    for name in ["metrics.npy", "data.npy"] {
        fcmae!("embed", "--data", trained.pictures(), "--weights", run, "--out", at(name))
            .refused(2, &kept);
    }
    let last = at("export/last");
    fcmae!("export", run, "--out", last, "--format", "timm", "--overwrite").refused(2, &kept);
    let mut call = command(&[&"neighbours", &"--data", &trained.pictures(), &"--weights", &run]);
    call.args(["--out", "evaluations.csv", "--overwrite"]).current_dir(&run);
    Ran::of(call).refused(2, &["evaluations.csv belongs to the run"]);
    assert!(contents(&run) == before, "a file was replaced");

    // The page is for that, and what somebody puts there is theirs.
    fcmae!("report", run, "--out", at("report.html"), "--overwrite").done();
    let grid = at("grid.png");
    fcmae!("reconstruct", shown, "--weights", weights, "--out", grid).done();
    fcmae!("reconstruct", shown, "--weights", weights, "--out", grid, "--overwrite").done();
    // A file of such a name in another folder is of no run.
    let other = folder.path().join("metrics.jsonl");
    fs::write(&other, "").unwrap();
    fcmae!("report", run, "--out", other, "--overwrite").done();
}

/// The advice about pictures of other channels can be followed: settings where a network is trained, other pictures
/// where its weights decide.
#[test]
fn other_channels_are_advised_as_they_can_be_had() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let five = folder.path().join("five");
    let bands = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bands = bands.join("../data/tests/fixtures/deep/f32.tif");
    for class in CLASSES {
        fs::create_dir_all(five.join(class)).unwrap();
        fs::copy(&bands, five.join(class).join("a.tif")).unwrap();
    }
    let (run, out) = (trained.finetuned(), folder.path().join("run"));
    let vectors = folder.path().join("vectors.npy");
    for ran in [
        fcmae!("evaluate", "--data", five, "--weights", run),
        fcmae!("embed", "--data", five, "--weights", run, "--out", vectors),
        fcmae!("predict", five, "--weights", run),
    ] {
        assert_ne!(ran.code, Some(0), "{}", ran.stdout);
        let taken = "give pictures with as many channels as the network takes";
        assert!(ran.stderr.contains(taken), "{}", ran.stderr);
        assert!(!ran.stderr.contains("model.channels"), "{}", ran.stderr);
    }
    let recipe = trained.recipe("pretrain");
    fcmae!("pretrain", "--data", five, "--out", out, "--config", recipe, "--batch", "1").refused(
        1,
        &["set model.channels to 4", "with --from: start.channels to pre-train, finetune.channels"],
    );
}

/// A new file of runs is to be known as one of theirs, so that nothing writes over it.
#[test]
fn all_that_a_run_leaves_is_known_as_its_own() {
    let trained = Trained::get();
    for run in [trained.pretrained(), trained.finetuned()] {
        for entry in fs::read_dir(&run).unwrap() {
            let path = entry.unwrap().path();
            let owner = fcmae_store::run::owner(&path);
            assert_eq!(owner, Some(run.canonicalize().unwrap()), "{}", path.display());
        }
    }
}

/// What a dry run draws beside the run is no picture of anybody else's, and what `bench` reads is not written over.
#[test]
fn pictures_and_lists_that_are_read_stay() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::copy(trained.picture(), at("run-first-batch.png")).unwrap();
    let (pictures, recipe, out) = (trained.pictures(), trained.recipe("pretrain"), at("run"));
    let whole = fs::read(trained.picture()).unwrap();
    fcmae!("pretrain", "--data", pictures, "--config", recipe, "--out", out, "--dry-run")
        .refused(2, &["run-first-batch.png", "not drawn by fcmae"]);
    assert!(fs::read(at("run-first-batch.png")).unwrap() == whole);
    // One that it drew itself is renewed.
    fs::remove_file(at("run-first-batch.png")).unwrap();
    for _ in 0..2 {
        fcmae!("pretrain", "--data", pictures, "--config", recipe, "--out", out, "--dry-run")
            .done();
    }
    let list = at("list.csv");
    fs::write(&list, "path\nrun-first-batch.png\n").unwrap();
    fcmae!("bench", "--work", "load", "--data", list, "--json", list, "--overwrite")
        .refused(2, &["list.csv", "is read by this command"]);
    // Nor does a file get a name that the run will need.
    let needed = trained.pretrained().join("changes.jsonl");
    fcmae!("stats", "--data", pictures, "--recipe", needed).refused(2, &["belongs to the run"]);
}
