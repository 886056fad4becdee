//! What is left of a run after kills, after damage, and where two processes want it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fcmae_store::CheckpointStore;

use crate::command::{command, fcmae};
use crate::trained::{CLASSES, PRETRAIN, Trained, draw};

const KILLS: u64 = 50;
/// Longest that a life goes on after what it is waited for, in microseconds.
const LONGEST: u64 = 200_000;
/// One update an epoch, and no end that a test comes to.
const SETTINGS: [&str; 4] = ["--set", "optim.epochs=100000", "--set", "optim.batch=12"];

/// A run that is taken up and killed, again and again.
struct Victim {
    folder: tempfile::TempDir,
    store: CheckpointStore,
    random: u64,
}

impl Victim {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        draw(&folder.path().join("pictures"), &CLASSES, 4);
        fs::write(folder.path().join("recipe.toml"), PRETRAIN).unwrap();
        let store = CheckpointStore::open(folder.path().join("run/checkpoints"));
        Self { folder, store, random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new run in `out`.
    fn new_run(&self, out: &str) -> Command {
        let mut new =
            command(&[&"pretrain", &"--data", &self.at("pictures"), &"--out", &self.at(out)]);
        new.arg("--config").arg(self.at("recipe.toml")).args(SETTINGS);
        new
    }

    /// The next life; what it says is in `said`.
    fn live(&self) -> Killed {
        let run = self.at("run");
        let mut life = if run.exists() {
            command(&[&"pretrain", &"--data", &self.at("pictures"), &"--out", &run, &"--resume"])
        } else {
            self.new_run("run")
        };
        let said = File::create(self.at("said")).unwrap();
        Killed(life.stdout(Stdio::null()).stderr(said).spawn().unwrap())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.at("said")).unwrap()
    }

    fn wait_a_moment(&mut self) {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((self.random >> 33) % LONGEST));
    }

    /// What was begun and not finished, by a process other than this one.
    fn leftovers(&self, but_of: Option<u32>) -> Vec<String> {
        let own = but_of.map(|process| format!(".fcmae-tmp-{process}-"));
        let of_others = |name: &String| {
            name.starts_with(".fcmae-") && own.as_ref().is_none_or(|own| !name.starts_with(own))
        };
        let folders = ["run", "run/checkpoints", "run/export"];
        let mut names: Vec<String> =
            folders.iter().flat_map(|folder| names(&self.at(folder))).collect();
        names.retain(of_others);
        names
    }

    /// The newest checkpoint, which is intact, and one step at most before what was logged.
    fn step(&self, about: &str) -> u64 {
        let latest = self.store.latest().unwrap().unwrap();
        assert!(latest.damaged.is_empty(), "{about}: {:?}", latest.damaged);
        let logged = losses(&self.at("run")).last().map_or(0, |(step, _)| *step);
        assert!(
            logged == latest.step || logged == latest.step + 1,
            "{about}: step {} is saved, {logged} was made",
            latest.step
        );
        latest.step
    }
}

/// Killed at the latest when dropped.
struct Killed(Child);

impl Killed {
    /// Waits for `done`, for a minute.
    fn until(&mut self, what: &str, mut done: impl FnMut(u32) -> bool) {
        let began = Instant::now();
        while !done(self.0.id()) {
            let ended = self.0.try_wait().unwrap();
            assert!(ended.is_none(), "{what}: it ended by itself, {ended:?}");
            assert!(began.elapsed() < Duration::from_secs(60), "{what}: not in a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill(mut self, what: &str) {
        let ended = self.0.try_wait().unwrap();
        assert!(ended.is_none(), "{what}: it ended by itself, {ended:?}");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Names in a folder; none where it is not there yet.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The loss of every step, bit for bit, from whole lines.
fn losses(run: &Path) -> Vec<(u64, u64)> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let loss = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["step"].as_u64().unwrap(), line["loss"].as_f64().unwrap().to_bits())
    };
    whole.lines().map(loss).collect()
}

/// Fault 2: a run that saves every step is killed 50 times at random moments, and at ten more while it
/// starts. All 50 are taken up, no more than a step is lost, what was half written is removed, and
/// weights, moments and losses are those of a run that nobody killed.
#[test]
#[ignore = "long: 60 kills and a run to compare with"]
fn fifty_of_fifty_kills_are_survived() {
    let mut victim = Victim::new();
    let (mut step, mut in_a_save, mut steps) = (0, 0, Vec::new());
    for kill in 0..KILLS {
        let about = format!("kill {kill}, after step {step}");
        if kill % 5 == 4 {
            let life = victim.live();
            victim.wait_a_moment();
            life.kill(&about);
            // It may have come to its first steps.
            step = victim.step(&about);
        }
        let mut life = victim.live();
        life.until(&about, |_| victim.store.steps().unwrap().last().is_some_and(|&at| at > step));
        let left = victim.leftovers(Some(life.0.id()));
        assert!(left.is_empty(), "{about}: {left:?}");
        if kill > 0 {
            let says = format!("resuming after step {step} of 100000");
            assert!(victim.said().contains(&says), "{about}: {}", victim.said());
        }
        victim.wait_a_moment();
        life.kill(&about);
        in_a_save += usize::from(!victim.leftovers(None).is_empty());
        let found = victim.step(&about);
        assert!(found > step, "{about}: step {found} is the newest");
        steps.push(found - step);
        step = found;
        let kept = names(&victim.at("run/checkpoints"));
        let kept = kept.iter().filter(|name| name.starts_with("step-")).count();
        assert!(kept <= 3, "{about}: {kept} checkpoints are kept");
    }
    println!(
        "{step} steps, {in_a_save} of {KILLS} kills while saving; steps of each life: {steps:?}"
    );
    assert!(in_a_save > 0, "no kill came while a checkpoint was written");

    // One more life, which takes up the last kill.
    let mut life = victim.live();
    life.until("the last life", |_| {
        victim.store.steps().unwrap().last().is_some_and(|&at| at > step)
    });
    assert!(victim.said().contains(&format!("resuming after step {step} of ")));
    life.kill("the last life");
    let step = victim.step("the last life");

    let mut straight = victim.new_run("straight");
    straight.args(["--set", &format!("save.every_epochs={step}")]);
    let mut straight =
        Killed(straight.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let name = format!("checkpoints/step-{step:08}");
    let saved = victim.at("straight").join(&name);
    let began = Instant::now();
    while !saved.exists() {
        assert!(straight.0.try_wait().unwrap().is_none(), "the straight run ended");
        assert!(began.elapsed() < Duration::from_secs(600), "the straight run takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
    straight.kill("the straight run");
    let mut files = names(&saved);
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let read = |run| fs::read(victim.at(run).join(&name).join(&file)).unwrap();
        let of = |run| -> Vec<u8> {
            match file.as_str() {
                // Each is of a run of its own, and the manifest has a hash of that.
                "state.json" => {
                    let mut state: serde_json::Value = serde_json::from_slice(&read(run)).unwrap();
                    assert!(state.as_object_mut().unwrap().remove("run").is_some());
                    state.to_string().into_bytes()
                }
                "MANIFEST" => Vec::new(),
                _ => read(run),
            }
        };
        assert!(of("run") == of("straight"), "{file} of step {step} differs");
    }
    let of = |run| -> Vec<_> {
        losses(&victim.at(run)).into_iter().filter(|(at, _)| *at <= step).collect()
    };
    assert_eq!(of("run").len() as u64, step);
    assert_eq!(of("run"), of("straight"));
}

/// Fault 5: a run whose newest checkpoint is damaged says so, goes on from the one before, and comes to
/// the same weights.
#[test]
fn a_damaged_checkpoint_is_told_and_the_one_before_is_used() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let (pictures, recipe) = (trained.pictures(), trained.recipe("pretrain"));
    fcmae!("pretrain", "--data", pictures, "--out", run, "--config", recipe).done();
    let weights = || fs::read(run.join("export/last/model.safetensors")).unwrap();
    let before = (weights(), losses(&run));

    let steps = CheckpointStore::open(run.join("checkpoints")).steps().unwrap();
    let [older, newest] = steps[..] else { panic!("{steps:?}") };
    let file = run.join(format!("checkpoints/step-{newest:08}/optimizer.safetensors"));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();

    let ran = fcmae!("pretrain", "--data", pictures, "--out", run, "--resume").done();
    for says in [
        format!("step-{newest:08} is damaged: optimizer.safetensors is not what was written"),
        "resuming from the one before".to_owned(),
        format!("resuming after step {older} of {newest}"),
    ] {
        assert!(ran.stderr.contains(&says), "`{says}` is not in: {}", ran.stderr);
    }
    assert!(before == (weights(), losses(&run)), "it came to something else");
}

/// Fault 8: a second process is refused while the first lives, changes nothing, and is not refused once
/// the first was killed.
#[test]
fn a_second_process_is_refused_until_the_first_is_killed() {
    let victim = Victim::new();
    let (run, pictures) = (victim.at("run"), victim.at("pictures"));
    let mut first = victim.live();
    let number = first.0.id().to_string();
    first.until("the first", |_| !victim.store.steps().unwrap().is_empty());
    let says = ["run is in use by process", &number, "wait for it or choose another --out"];
    fcmae!("pretrain", "--data", pictures, "--out", run, "--resume").refused(1, &says);
    fcmae!("pretrain", "--data", pictures, "--out", run, "--config", victim.at("recipe.toml"))
        .refused(1, &says);
    let step = *victim.store.steps().unwrap().last().unwrap();
    first.until("the first goes on", |_| {
        victim.store.steps().unwrap().last().is_some_and(|&at| at > step)
    });
    first.kill("the first");

    let step = victim.step("after the first");
    let mut second = victim.live();
    second
        .until("the second", |_| victim.store.steps().unwrap().last().is_some_and(|&at| at > step));
    assert!(victim.said().contains(&format!("resuming after step {step} of ")));
}
