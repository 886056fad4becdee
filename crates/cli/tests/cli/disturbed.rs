//! Runs of every form, killed, asked to stop and made to fail at random, end as the run that nobody disturbed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::command;
use crate::trained::{CLASSES, FINETUNE, PRETRAIN, draw};

const DISTURBANCES: u64 = 10;
const SIGNALS: [&str; 7] = ["-KILL", "-KILL", "-INT", "-TERM", "-HUP", "-USR1", "-XCPU"];

/// Kind, and settings over those of a tiny run.
const FORMS: [(&str, &[&str]); 20] = [
    ("pretrain", &[]),
    ("pretrain", &["optim.accumulation=2", "optim.batch=4"]),
    ("pretrain", &["mask.encoder=dense"]),
    ("pretrain", &["data.workers=0", "save.every_epochs=3"]),
    ("pretrain", &["save.every_minutes=0.001", "save.every_epochs=100"]),
    ("pretrain", &["figures.every_epochs=1", "save.keep=1"]),
    ("pretrain", &["optim.clip_norm=0.1", "data.reduced_decode=false"]),
    ("pretrain", &["mask.norm_pix_loss=false", "model.block=v1"]),
    ("scratch", &[]),
    ("scratch", &["optim.accumulation=4", "optim.batch=2"]),
    ("scratch", &["finetune.ema=0.9", "finetune.ema_warmup=true"]),
    ("scratch", &["finetune.patience=2", "optim.epochs=1000"]),
    ("scratch", &["finetune.mixup=0.8", "finetune.cutmix=1.0"]),
    ("scratch", &["finetune.rand_augment=rand-m9-mstd0.5-inc1", "finetune.erasing=0.25"]),
    ("scratch", &["finetune.balanced=true", "finetune.held_out=0.0"]),
    ("tune", &[]),
    ("tune", &["finetune.freeze=4", "finetune.ema=0.8"]),
    ("tune", &["finetune.layer_decay=0.7", "finetune.drop_path=0.4"]),
    ("tune", &["save.every_minutes=0.001", "save.keep=1"]),
    ("tune", &["finetune.evaluate_every=2", "save.every_epochs=5"]),
];

/// Faults 1, 2 and 9, in all forms: 200 kills, requests and errors.
#[test]
#[ignore = "long: 20 runs, each twice and disturbed ten times"]
fn two_hundred_disturbances_change_no_weight() {
    let place = tempfile::tempdir().unwrap();
    let pictures = place.path().join("pictures");
    draw(&pictures, &CLASSES, 12);
    fs::write(place.path().join("pretrain.toml"), PRETRAIN).unwrap();
    fs::write(place.path().join("finetune.toml"), FINETUNE).unwrap();
    let start = Form { place: place.path(), kind: "pretrain", settings: &[] };
    assert!(start.begin("start").status().unwrap().success());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut met = 0;
    for (number, (kind, settings)) in FORMS.into_iter().enumerate() {
        let form = Form { place: place.path(), kind, settings };
        let (straight, disturbed) = (format!("straight-{number}"), format!("disturbed-{number}"));
        let began = Instant::now();
        assert!(form.begin(&straight).status().unwrap().success(), "{kind} {settings:?}");
        // Starts are disturbed, and steps, saves, evaluations and ends, whatever the machine.
        let longest = 1 + began.elapsed().as_millis() as u64 / 4;
        let lives: Vec<_> =
            (0..DISTURBANCES).map(|_| form.life(&disturbed, longest, &mut random)).collect();
        met += lives.iter().filter(|life| *life != DONE).count();
        let ended = form.again(&disturbed).output().unwrap();
        let about = format!("{kind} {settings:?} after {lives:?}");
        assert!(ended.status.success(), "{about}: {}", String::from_utf8_lossy(&ended.stderr));
        let [straight, disturbed] = [straight, disturbed].map(|run| place.path().join(run));
        for name in ["export/last", "export/best"] {
            let weights = |run: &Path| fs::read(run.join(name).join("model.safetensors")).ok();
            assert!(weights(&disturbed) == weights(&straight), "{about}: {name} differs");
        }
        assert_eq!(logged(&disturbed), logged(&straight), "{about}");
    }
    // Some runs are done before their tenth disturbance.
    assert!(met >= 120, "only {met} disturbances met a run");
}

/// What a life is called that ended before it was disturbed.
const DONE: &str = "done";

struct Form<'a> {
    place: &'a Path,
    kind: &'a str,
    settings: &'a [&'a str],
}

impl Form<'_> {
    fn call(&self, run: &str) -> Command {
        let kind = if self.kind == "pretrain" { "pretrain" } else { "finetune" };
        let (pictures, run) = (self.place.join("pictures"), self.place.join(run));
        let mut call = command(&[&kind, &"--data", &pictures, &"--out", &run]);
        call.stdout(Stdio::null()).stderr(Stdio::null());
        call
    }

    /// A new run.
    fn begin(&self, run: &str) -> Command {
        let mut call = self.call(run);
        let recipe = if self.kind == "pretrain" { "pretrain.toml" } else { "finetune.toml" };
        call.arg("--config").arg(self.place.join(recipe));
        // None may be missing, so that no update is made without it.
        call.args(["--set", "data.max_bad_fraction=0", "--set", "data.cache_mib=0"]);
        call.args(["--set", "optim.epochs=60"]);
        for setting in self.settings {
            call.args(["--set", setting]);
        }
        match self.kind {
            "tune" => call.arg("--from").arg(self.place.join("start")),
            "scratch" => call.args(["--from", "scratch"]),
            _ => &mut call,
        };
        call
    }

    /// The run taken up, or begun where it was ended before it was one.
    fn again(&self, run: &str) -> Command {
        if self.place.join(run).join("run.json").is_file() {
            let mut call = self.call(run);
            call.arg("--resume");
            return call;
        }
        let _ = fs::remove_dir_all(self.place.join(run));
        self.begin(run)
    }

    /// A part of the run that is disturbed; by what.
    fn life(&self, run: &str, longest: u64, random: &mut Random) -> String {
        let mut call = self.again(run);
        call.stderr(File::create(self.place.join("said")).unwrap());
        let mut life = call.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.below(longest)));
        let kinds = SIGNALS.len() as u64;
        match random.below(kinds + 2) {
            0 | 1 => {
                let Some(picture) = self.trained_on(run) else { return self.end(life, "-KILL") };
                let hidden = self.place.join("hidden");
                fs::rename(&picture, &hidden).unwrap();
                let ended = life.wait().unwrap();
                fs::rename(&hidden, &picture).unwrap();
                if ended.success() { DONE.to_owned() } else { "a picture was gone".to_owned() }
            }
            number => self.end(life, SIGNALS[number as usize - 2]),
        }
    }

    fn end(&self, mut life: Child, signal: &str) -> String {
        let _ = Command::new("kill").arg(signal).arg(life.id().to_string()).status();
        let ended = life.wait().unwrap();
        if ended.success() { DONE.to_owned() } else { signal.to_owned() }
    }

    /// A picture that the run is trained on, once it is known which.
    fn trained_on(&self, run: &str) -> Option<PathBuf> {
        let pictures = self.place.join("pictures");
        if self.kind == "pretrain" {
            return Some(pictures.join("disc/03.png"));
        }
        let split = fs::read_to_string(self.place.join(run).join("split.csv")).ok()?;
        let line = split.lines().find(|line| line.ends_with("training"))?;
        let name = line.split(',').next()?.trim_matches('"');
        Some(pictures.join(name)).filter(|picture| picture.is_file())
    }
}

/// Steps with the bits of their losses and accuracies.
fn logged(run: &Path) -> Vec<(u64, Option<u64>, Option<u64>)> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let bits = |name: &str| line[name].as_f64().map(f64::to_bits);
        (line["step"].as_u64().unwrap(), bits("loss"), bits("top1"))
    };
    text.lines().map(line).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
