//! `fcmae experiment`: results, and what is left of them after kills.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::command::{Ran, command, fcmae};
use crate::trained::{CLASSES, FINETUNE, PRETRAIN, draw};

const EXPERIMENT: &str = r#"
title = "Does pre-training help?"
seeds = [0, 1]
baseline = "scratch"
diversity = 6
[data]
train = ["train"]
validation = ["validation"]
test = ["test"]
[pretrain]
recipe = "pre.toml"
seed = 3
[finetune]
recipe = "fine.toml"
set = ["finetune.held_out=0"]
[search]
seeds = [100]
candidates = [["optim.base_lr=1e-3"], ["optim.base_lr=8e-3"]]
[[budgets]]
name = "half"
finetune = ["finetune.labels=0.5"]
[[budgets]]
name = "all"
[[variants]]
name = "pre-trained"
[[variants]]
name = "scratch"
start = "scratch"
finetune = ["finetune.layer_decay=1.0"]
"#;

/// Pre-trainings 1, choices 2 × 2 × 2, distances 1, results 2 × 2 × 2.
const JOBS: usize = 18;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        for (part, count) in [("train", 8), ("validation", 4), ("test", 6)] {
            draw(&bench.at("sets").join(part), &CLASSES, count);
        }
        fs::write(bench.at("pre.toml"), PRETRAIN).unwrap();
        fs::write(bench.at("fine.toml"), FINETUNE).unwrap();
        fs::write(bench.at("does-it-help.toml"), EXPERIMENT).unwrap();
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn experiment(&self, file: &str, out: &str) -> Command {
        let (file, sets, out) = (self.at(file), self.at("sets"), self.at(out));
        command(&[&"experiment", &file, &"--data", &sets, &"--out", &out])
    }
}

/// Lines of `results.jsonl` without what differs from call to call.
fn results(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("results/does-it-help/results.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let fields = line.as_object_mut().unwrap();
        assert!(fields.remove("seconds").unwrap().is_f64());
        fields.remove("finished").unwrap();
        line
    };
    text.lines().map(line).collect()
}

fn table(out: &Path) -> String {
    fs::read_to_string(out.join("results/does-it-help/table.csv")).unwrap()
}

#[test]
fn an_experiment_killed_again_and_again_comes_to_the_same_table() {
    let bench = Bench::new();
    let said = Ran::of(bench.experiment("does-it-help.toml", "straight")).done().stdout;
    assert!(said.contains("Does pre-training help?") && said.contains("2 of 2"), "{said}");
    let straight = bench.at("straight");
    assert_eq!(results(&straight).len(), JOBS);
    for file in ["figure.svg", "report.html", "distance.svg"] {
        assert!(straight.join("results/does-it-help").join(file).is_file(), "{file}");
    }

    // Lives of growing length, so that each moment of a job is met by some, and the last one ends.
    let killed = bench.at("killed");
    let mut lives = 0;
    loop {
        let said = File::create(bench.at("said")).unwrap();
        let mut life = bench.experiment("does-it-help.toml", "killed");
        let mut life = life.stdout(Stdio::null()).stderr(said).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(90 + 35 * lives));
        match life.try_wait().unwrap() {
            Some(ended) => {
                let said = fs::read_to_string(bench.at("said")).unwrap();
                assert!(ended.success(), "{said}");
                break;
            }
            None => life.kill().unwrap(),
        }
        life.wait().unwrap();
        lives += 1;
        assert!(
            lives < 200,
            "it does not get on: {}",
            fs::read_to_string(bench.at("said")).unwrap()
        );
    }
    assert!(lives > 2, "only {lives} lives were cut short");
    assert_eq!(results(&killed), results(&straight));
    assert_eq!(table(&killed), table(&straight));
}

#[test]
fn a_stop_saves_and_the_same_command_goes_on() {
    let bench = Bench::new();
    let long = EXPERIMENT.replace("seed = 3", "seed = 3\nset = [\"optim.epochs=100000\"]");
    fs::write(bench.at("long.toml"), long).unwrap();
    let said = File::create(bench.at("said")).unwrap();
    let mut run = bench.experiment("long.toml", "out");
    let mut run = run.stdout(Stdio::null()).stderr(said).spawn().unwrap();
    let runs = bench.at("out/runs");
    let began = std::time::Instant::now();
    let saved = || {
        let runs = fs::read_dir(&runs).into_iter().flatten().flatten();
        runs.map(|run| run.path().join("checkpoints")).any(|checkpoints| {
            fs::read_dir(checkpoints).is_ok_and(|mut entries| entries.next().is_some())
        })
    };
    while !saved() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is saved in a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    // A second process is refused.
    Ran::of(bench.experiment("long.toml", "out")).refused(1, &["in use"]);
    Command::new("kill").arg(run.id().to_string()).status().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let said = fs::read_to_string(bench.at("said")).unwrap();
    assert!(said.contains("stopped and saved after step"), "{said}");
    assert!(said.contains("experiment") && said.contains("--data"), "how it goes on: {said}");
}

#[test]
fn results_from_elsewhere_are_not_made_again() {
    let bench = Bench::new();
    Ran::of(bench.experiment("does-it-help.toml", "first")).done();
    // Another machine has the results and no runs.
    let results_folder = bench.at("first/results");
    let mut second = bench.experiment("does-it-help.toml", "second");
    second.arg("--results").arg(&results_folder);
    Ran::of(second).done();
    assert_eq!(fs::read_dir(bench.at("second/runs")).unwrap().count(), 0);
    // One result is missing: it is made again, and its pre-training for it.
    let file = results_folder.join("does-it-help/results.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let last = lines.iter().rposition(|line| line.contains("\"from\"")).unwrap();
    let without = [&lines[..last], &lines[last + 1..]].concat().join("\n") + "\n";
    fs::write(&file, without).unwrap();
    let before = results(&bench.at("first")).len();
    let mut third = bench.experiment("does-it-help.toml", "third");
    third.arg("--results").arg(&results_folder);
    Ran::of(third).done();
    assert_eq!(results(&bench.at("first")).len(), before + 1);
    let mut made: Vec<_> = fs::read_dir(bench.at("third/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    made.sort();
    assert_eq!(made.len(), 2, "{made:?}");
    assert!(made[0].starts_with("finetune-") && made[1].starts_with("pretrain-"), "{made:?}");
}

#[test]
fn a_queue_goes_on_after_an_experiment_that_cannot_be_made() {
    let bench = Bench::new();
    let nowhere = EXPERIMENT.replace("[\"train\"]", "[\"nowhere\"]");
    fs::write(bench.at("nowhere.toml"), nowhere).unwrap();
    let queue =
        "[[queue]]\nfile = \"nowhere.toml\"\n[[queue]]\nfile = \"does-it-help.toml\"\nseeds = 1\n";
    fs::write(bench.at("queue.toml"), queue).unwrap();
    let mut trial = bench.experiment("queue.toml", "out");
    trial.arg("--dry-run");
    let tried = Ran::of(trial).refused(1, &["1 of 2 experiments"]).stdout;
    assert!(tried.contains("nowhere cannot be run"), "{tried}");
    assert!(
        tried.contains("left for 1 of 2 seeds") && tried.contains("pre-train pre-trained"),
        "{tried}"
    );
    assert!(tried.contains(" in all for those that can be run, "), "{tried}");
    let mut trial = bench.experiment("nowhere.toml", "out");
    trial.arg("--dry-run");
    let tried = Ran::of(trial).refused(1, &["1 of 1 experiment cannot"]).stdout;
    assert!(tried.ends_with("\nnothing was measured\n"), "{tried}");
    assert!(!bench.at("out").exists(), "a dry run leaves nothing");
    let said = Ran::of(bench.experiment("queue.toml", "out")).refused(1, &["nowhere"]).stderr;
    assert!(said.contains("nowhere cannot continue"), "{said}");
    // One seed of the two.
    assert_eq!(results(&bench.at("out")).len(), JOBS - 4);
    assert!(table(&bench.at("out")).contains("half,pre-trained,1,"));
}

/// The experiment with variants that go on from a base.
fn continued() -> String {
    let (head, _) = EXPERIMENT.split_once("[search]").unwrap();
    format!(
        "{}[[bases]]\nname = \"others\"\ndata = [\"others\"]\nrecipe = \"pre.toml\"\nset = [\"optim.epochs=1\"]\n\
         [[variants]]\nname = \"scratch\"\nstart = \"scratch\"\n\
         [[variants]]\nname = \"plain\"\nbase = \"others\"\n\
         [[variants]]\nname = \"taught\"\nbase = \"others\"\npretrain = [\"teacher.weight=1\"]\n\
         [[variants]]\nname = \"base\"\nbase = \"others\"\nstart = \"base\"\n",
        head.replace("[0, 1]", "[0]")
    )
}

/// The time of a step with a teacher is known before there is a base, and once its weights are there.
#[test]
fn the_time_of_what_goes_on_from_a_base_is_foreseen() {
    let bench = Bench::new();
    draw(&bench.at("sets/others"), &CLASSES[..2], 5);
    fs::write(bench.at("does-it-help.toml"), continued()).unwrap();
    let foreseen = || {
        let mut trial = bench.experiment("does-it-help.toml", "out");
        trial.arg("--dry-run");
        let said = Ran::of(trial).done().stdout;
        let line = said.lines().find(|line| line.starts_with("pre-train taught"));
        assert!(line.is_some_and(|line| !line.ends_with('-')), "{said}");
    };
    foreseen();
    Ran::of(bench.experiment("does-it-help.toml", "out")).done();
    for line in results(&bench.at("out")) {
        if ["plain", "taught"].map(Value::from).contains(&line["variant"]) {
            let key = line["key"].as_str().unwrap();
            let _ = fs::remove_dir_all(bench.at(&format!("out/runs/pretrain-{key}")));
        }
    }
    fs::remove_dir_all(bench.at("out/results")).unwrap();
    foreseen();
}

/// Weights that are adapted to other channels are not there yet: the trials have networks of their own.
#[test]
fn the_time_of_what_goes_on_from_a_base_of_other_channels_is_foreseen() {
    let bench = Bench::new();
    draw(&bench.at("sets/others"), &CLASSES[..2], 5);
    let grey = r#""model.channels=1", "data.mean=[0.5]", "data.std=[0.25]""#;
    let text = continued()
        .replace("seed = 3", &format!("seed = 3\nset = [{grey}]"))
        .replace("\"finetune.held_out=0\"", &format!("\"finetune.held_out=0\", {grey}"))
        .replace("[\"teacher.weight=1\"]", "[\"teacher.weight=1\", \"start.channels=1\"]")
        .replace("start = \"base\"\n", "start = \"base\"\nfinetune = [\"finetune.channels=1\"]\n");
    assert_eq!(text.matches("channels=1").count(), 4, "{text}");
    fs::write(bench.at("grey.toml"), text).unwrap();
    let mut trial = bench.experiment("grey.toml", "out");
    trial.arg("--dry-run");
    let said = Ran::of(trial).done().stdout;
    for row in ["pre-train taught", "fine-tune taught", "fine-tune base"] {
        let line = said.lines().find(|line| line.starts_with(row));
        assert!(line.is_some_and(|line| !line.ends_with('-')), "{row}: {said}");
    }
}

/// Pre-trainings that begin from one on other pictures, also where that one's weights are not here.
#[test]
fn a_variant_goes_on_from_a_base() {
    let bench = Bench::new();
    draw(&bench.at("sets/others"), &CLASSES[..2], 5);
    fs::write(bench.at("does-it-help.toml"), continued()).unwrap();
    let made = |out: &str| {
        let said = Ran::of(bench.experiment("does-it-help.toml", out)).done().stderr;
        (said, results(&bench.at(out)))
    };
    let (said, lines) = made("out");
    for told in
        ["pre-train the base others", "pre-train plain", "pre-train taught", "fine-tune base"]
    {
        assert!(said.contains(told), "{told}: {said}");
    }
    // The base, the two that go on from it, three distances, four fine-tunings.
    assert_eq!(lines.len(), 10);
    let facts = fs::read_to_string(bench.at("out/results/does-it-help/report.html")).unwrap();
    assert!(facts.contains("goes on from the base others"), "{facts}");
    // The start that is recorded in a variant's pre-training; the base's own has none.
    let started = |out: &str, variant: &str| {
        lines
            .iter()
            .filter(|line| line["variant"] == variant && line["job"] == "pretrain")
            .find_map(|line| {
                let run = format!("runs/pretrain-{}/run.json", line["key"].as_str().unwrap());
                let facts = fs::read_to_string(bench.at(out).join(run)).unwrap();
                let facts: Value = serde_json::from_str(&facts).unwrap();
                facts["start"]["hash"].as_str().map(str::to_owned)
            })
    };
    assert!(started("out", "plain").is_some());
    assert_eq!(started("out", "plain"), started("out", "taught"));
    // Of results alone, without runs, what is missing is made with all that comes before it.
    let file = bench.at("elsewhere/results/does-it-help/results.jsonl");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let all = fs::read_to_string(bench.at("out/results/does-it-help/results.jsonl")).unwrap();
    let is_last = |line: &&str| !(line.contains("\"taught\"") && line.contains("\"finetune\""));
    fs::write(&file, all.lines().filter(is_last).collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let (said, again) = made("elsewhere");
    assert!(
        said.contains("pre-train the base others") && !said.contains("pre-train plain"),
        "{said}"
    );
    assert_eq!(again.len(), lines.len());
    for line in &again {
        assert!(lines.contains(line), "{line}");
    }
}

#[test]
fn a_mistake_in_a_file_is_told_before_anything_is_made() {
    let bench = Bench::new();
    for (from, to, expected) in [
        (
            "baseline = \"scratch\"",
            "baseline = \"scratsch\"",
            "they are \"pre-trained\", \"scratch\"",
        ),
        ("optim.base_lr=8e-3", "optim.base_lt=8e-3", "optim.base_lr"),
        ("\"pre.toml\"", "\"pretrain-smal\"", "pretrain-small"),
        ("title =", "titel =", "titel"),
    ] {
        fs::write(bench.at("wrong.toml"), EXPERIMENT.replace(from, to)).unwrap();
        Ran::of(bench.experiment("wrong.toml", "out")).refused(2, &["wrong.toml", expected]);
        assert!(!bench.at("out").exists());
    }
    let missing = bench.at("missing.toml");
    fcmae!("experiment", missing, "--out", bench.at("out")).refused(2, &["missing.toml"]);
    let (file, sets, out) = (bench.at("does-it-help.toml"), bench.at("nosets"), bench.at("out"));
    fcmae!("experiment", file, "--data", sets, "--out", out, "--dry-run")
        .refused(2, &["nosets", "check the path"]);
}

/// Weights that hold no numbers are no classifier, whatever their answers are taken for.
#[test]
fn a_variant_that_diverges_has_no_score_and_is_not_chosen() {
    let bench = Bench::new();
    let wild = "\"optim.base_lr=1e30\", \"optim.min_lr=1e30\", \"optim.warmup_epochs=0\", \"optim.epochs=1\", \"optim.batch=8\"";
    let text = EXPERIMENT.replace("\"optim.base_lr=8e-3\"", wild);
    fs::write(bench.at("does-it-help.toml"), text).unwrap();
    // A second call reads what the first one wrote.
    for _ in 0..2 {
        Ran::of(bench.experiment("does-it-help.toml", "out")).done();
    }
    let lines = results(&bench.at("out"));
    let failed = lines.iter().filter(|line| line["failed"].is_string()).count();
    assert_eq!(failed, 4, "one candidate of each variant and budget");
    assert!(lines.iter().all(|line| line["purpose"] == "choice" || line["failed"].is_null()));
    let table = table(&bench.at("out"));
    assert!(table.lines().skip(1).all(|line| line.ends_with("optim.base_lr=1e-3")), "{table}");
}

#[test]
fn results_of_other_settings_are_kept() {
    let bench = Bench::new();
    Ran::of(bench.experiment("does-it-help.toml", "out")).done();
    let before = results(&bench.at("out"));
    let fewer = EXPERIMENT.replace("seeds = [0, 1]", "seeds = [0]");
    fs::write(bench.at("does-it-help.toml"), fewer).unwrap();
    let said = Ran::of(bench.experiment("does-it-help.toml", "out")).done().stderr;
    assert!(said.contains("4 results are from other settings"), "{said}");
    assert!(table(&bench.at("out")).contains("half,pre-trained,1,"));
    fs::remove_dir_all(bench.at("out/runs")).unwrap();
    fs::write(bench.at("does-it-help.toml"), EXPERIMENT).unwrap();
    Ran::of(bench.experiment("does-it-help.toml", "out")).done();
    assert_eq!(results(&bench.at("out")), before, "nothing was made again");
    let mut trial = bench.experiment("does-it-help.toml", "out");
    trial.arg("--dry-run");
    let tried = Ran::of(trial).done().stdout;
    assert!(tried.contains("no training left for 2 of 2 seeds"), "{tried}");
    assert!(tried.ends_with("\nno training is left\n"), "{tried}");
}

#[test]
fn other_pictures_have_results_of_their_own() {
    let bench = Bench::new();
    let small = EXPERIMENT.replace("diversity = 6\n", "").replace("seeds = [0, 1]", "seeds = [0]");
    fs::write(bench.at("does-it-help.toml"), small).unwrap();
    Ran::of(bench.experiment("does-it-help.toml", "out")).done();
    let before = results(&bench.at("out")).len();
    let one = bench.at("sets/test").join(CLASSES[0]).join("00.png");
    fs::remove_file(one).unwrap();
    Ran::of(bench.experiment("does-it-help.toml", "out")).done();
    let after = results(&bench.at("out"));
    // The reported ones are made again, and the former ones stay.
    assert_eq!(after.len(), before + 4);
    assert_eq!(after.iter().filter(|line| line["test"]["pictures"] == 17).count(), 4);
}
