//! The command line itself.

use std::fs;

use crate::command::fcmae;
use crate::trained::Trained;

#[test]
fn help_is_done_and_nonsense_is_wrong_usage() {
    let help = fcmae!("--help").done().stdout;
    let version = fcmae!("--version").done().stdout;
    assert!(version.starts_with("fcmae "), "{version}");
    for command in [
        "demo",
        "pretrain",
        "finetune",
        "evaluate",
        "predict",
        "reconstruct",
        "probe",
        "choose",
        "neighbours",
        "duplicates",
        "map",
        "anomalies",
        "diversity",
        "inspect",
        "bench",
        "doctor",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} in {help}");
        let help = fcmae!(command, "--help").done().stdout;
        assert!(help.contains("Example") && help.contains(&format!("fcmae {command}")), "{help}");
    }
    assert_eq!(fcmae!().code, Some(2));
    fcmae!("pretrian").refused(2, &["pretrian", "pretrain"]);
    fcmae!("predict", "a.png").refused(2, &["--weights"]);
    fcmae!("pretrain", "--data", "x").refused(2, &["--out"]);
    fcmae!("demo", "--seeds", "0").refused(2, &["0"]);
}

#[test]
fn printed_settings_are_a_recipe() {
    for command in ["pretrain", "finetune"] {
        let folder = tempfile::tempdir().unwrap();
        let recipe = folder.path().join("recipe.toml");
        let setting = "optim.epochs=17";
        let printed = fcmae!(command, "--print-config", "--set", setting).done().stdout;
        assert!(printed.contains("epochs = 17"), "{printed}");
        fs::write(&recipe, &printed).unwrap();
        assert_eq!(fcmae!(command, "--print-config", "--config", recipe).done().stdout, printed);
    }
}

#[test]
fn built_in_recipes_go_by_name() {
    for name in [
        "pretrain-small",
        "pretrain-published",
        "finetune-small",
        "finetune-atto",
        "finetune-femto",
        "finetune-pico",
        "finetune-nano",
        "finetune-tiny",
        "finetune-base",
        "finetune-large",
        "finetune-huge",
        "supervised-100",
        "supervised-300",
    ] {
        let command = if name.starts_with("pretrain") { "pretrain" } else { "finetune" };
        fcmae!(command, "--print-config", "--config", name).done();
    }
    // A recipe of the other command names the setting that does not belong.
    fcmae!("finetune", "--print-config", "--set", "mask.ratio=0.5").refused(2, &["mask"]);
}

/// Settings that a run would be refused with are not printed.
#[test]
fn settings_that_contradict_the_weights_are_not_printed() {
    let trained = Trained::get();
    for (command, weights) in
        [("pretrain", trained.pretrained()), ("finetune", trained.finetuned())]
    {
        let print = |set: &str| {
            let recipe = trained.recipe(command);
            fcmae!(command, "--from", weights, "--print-config", "--config", recipe, "--set", set)
        };
        let refused = print("model.depths=[1,1,2,1]");
        assert!(refused.stdout.is_empty(), "{}", refused.stdout);
        refused.refused(2, &["`model.depths` cannot be `[1,1,2,1]`", "--from"]);
        assert!(print("optim.epochs=9").done().stdout.contains("epochs = 9"));
    }
}

/// What the README and the guide show of the library is what its documentation compiles.
#[test]
fn examples_of_the_library_are_compiled_ones() {
    let read = |file: &str| {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        fs::read_to_string(file).unwrap()
    };
    let library = read("crates/fcmae/src/lib.rs").replace("//! ", "").replace("//!", "");
    let compiled: Vec<&str> = library.split("```no_run\n").skip(1).collect();
    for file in ["README.md", "GUIDE.md"] {
        let text = read(file);
        let shown: Vec<&str> = text.split("```rust\n").skip(1).collect();
        assert_eq!(shown.len(), 1, "{file}");
        let example = shown[0].split("```").next().unwrap();
        assert!(compiled.iter().any(|code| code.starts_with(example)), "{file}: {example}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = fcmae!("completions", shell).done().stdout;
        for word in ["reconstruct", "mask-ratio", "dynamic-size"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    fcmae!("man", "--out", out).done();
    for page in ["fcmae.1", "fcmae-pretrain.1", "fcmae-export.1"] {
        let text = std::fs::read_to_string(out.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
}
