//! A run that ended with an error has lost nothing, and what its message advises can be done.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::{Duration, SystemTime};

use fcmae::Error;
use fcmae::config::{FinetuneConfig, OnNan, PretrainConfig, Settings, from_recipe};
use fcmae::engine::backend::Backend;
use fcmae::inference::evaluate::evaluate;
use fcmae::training::{
    Event, FinetuneOutcome, Flow, LabelledData, PretrainOutcome, Resume, Start, finetune, pretrain,
};
use fcmae::weights::Weights;
use fcmae_store::safetensors;
use serde_json::Value;

use crate::pictures;

/// What a part of a run told.
#[derive(Default)]
struct Told {
    notes: Vec<String>,
    saved: Vec<u64>,
    steps: Vec<u64>,
}

impl Told {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Note(note) => self.notes.push((*note).to_owned()),
            Event::Saved { step, .. } => self.saved.push(*step),
            Event::Step(step) => self.steps.push(step.step),
            _ => {}
        }
    }

    fn notes_with(&self, part: &str) -> usize {
        self.notes.iter().filter(|note| note.contains(part)).count()
    }
}

fn part(
    config: &PretrainConfig,
    data: &Path,
    run: &Path,
    resume: Resume<'_>,
    mut also: impl FnMut(&Event<'_>) -> Flow,
) -> (fcmae::Result<PretrainOutcome>, Told) {
    let mut told = Told::default();
    let outcome = pretrain(
        config,
        slice::from_ref(&data.to_owned()),
        Start::Scratch,
        run,
        resume,
        &mut |event| {
            told.hear(&event);
            also(&event)
        },
    );
    (outcome, told)
}

fn go_on(_: &Event<'_>) -> Flow {
    Flow::Continue
}

/// Stops a run after an update.
fn stop_after(last: u64) -> impl Fn(&Event<'_>) -> Flow {
    move |event| match event {
        Event::Step(step) if step.step == last => Flow::Stop,
        _ => Flow::Continue,
    }
}

fn recorded<T: Settings>(run: &Path) -> T {
    let text = fs::read_to_string(run.join("config.toml")).unwrap();
    from_recipe(Some(("config.toml", &text)), &[]).unwrap()
}

fn changing(settings: &[&str]) -> Vec<String> {
    settings.iter().map(|&setting| setting.to_owned()).collect()
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("export/last/model.safetensors")).unwrap()
}

fn json(file: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_loss_that_is_no_number_loses_no_update_and_the_advice_can_be_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    let mut config = pictures::one_beyond_numbers(&data);
    config.save.every_epochs = 100;
    // A seed with which it is not in the first update.
    let (mut step, mut told) = (0, Told::default());
    for seed in 0..20 {
        config.seed = seed;
        let _ = fs::remove_dir_all(&run);
        let (outcome, heard) = part(&config, &data, &run, Resume::No, go_on);
        let Error::Diverged { step: at, .. } = outcome.unwrap_err() else { panic!("no NaN") };
        (step, told) = (at, heard);
        if step > 1 {
            break;
        }
    }
    assert!(step > 1);
    assert_eq!(told.saved, [step - 1]);
    assert_eq!(told.notes_with("is saved: step"), 1, "{:?}", told.notes);
    let end = json(run.join("end.json"));
    assert_eq!((&end["step"], &end["how"]), (&(step - 1).into(), &"failed".into()));
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.lines().last().unwrap().contains("the loss became"), "{log}");

    // Without a change it meets the same picture again, and loses nothing again.
    let config: PretrainConfig = recorded(&run);
    let (outcome, told) = part(&config, &data, &run, true.into(), go_on);
    assert!(matches!(outcome, Err(Error::Diverged { step: at, .. }) if at == step));
    assert!(told.saved.is_empty());
    assert_eq!(told.notes_with("may already be damaged"), 1, "{:?}", told.notes);

    // A changed recipe alone is refused.
    let mut skipping = config.clone();
    skipping.optim.on_nan = OnNan::Skip;
    let (outcome, _) = part(&skipping, &data, &run, true.into(), go_on);
    assert!(outcome.unwrap_err().to_string().contains("optim.on_nan"));
    // So is a setting that is given and would make it another run.
    skipping.seed += 1;
    let settings = changing(&["optim.on_nan", "seed"]);
    let (outcome, _) = part(&skipping, &data, &run, Resume::Yes { changing: &settings }, go_on);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("seed") && !error.contains("on_nan"), "{error}");

    skipping.seed -= 1;
    let resume = Resume::Yes { changing: &settings };
    let (outcome, told) = part(&skipping, &data, &run, resume, go_on);
    assert!(outcome.unwrap().finished);
    assert_eq!(told.notes_with("optim.on_nan is \"skip\"; it was \"stop\""), 1, "{:?}", told.notes);
    assert_eq!(recorded::<PretrainConfig>(&run), skipping);
    let change = json(run.join("changes.jsonl"));
    assert_eq!((&change["step"], &change["setting"]), (&(step - 1).into(), &"optim.on_nan".into()));
    assert_eq!(json(run.join("end.json"))["how"], "finished");
    // From now on it is the run's own setting.
    assert!(part(&skipping, &data, &run, true.into(), go_on).0.unwrap().finished);
}

/// 29 pictures of each class; a run of 40 updates that saves at its end alone.
fn sound(folder: &Path) -> (PretrainConfig, PathBuf, PathBuf) {
    let data = folder.join("data");
    pictures::write(&data, 29);
    let mut config = pictures::pretraining(4, 4, 2);
    config.save.every_epochs = 100;
    config.data.cache_mib = 0;
    (config, data, folder.join("run"))
}

#[test]
fn an_error_among_the_pictures_loses_no_update_and_repaired_ones_are_the_same_set() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    // None may be missing, so that no update is made without it.
    config.data.max_bad_fraction = 0.0;
    let straight = folder.path().join("straight");
    assert!(part(&config, &data, &straight, Resume::No, go_on).0.unwrap().finished);

    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let move_all = |from: &Path, to: &Path| {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::rename(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    let class = data.join("lying");
    let (outcome, told) = part(&config, &data, &run, Resume::No, |event| {
        if matches!(event, Event::Step(step) if step.step == 14) {
            move_all(&class, &away);
        }
        Flow::Continue
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Data(fcmae_data::DataError::TooManyBad { .. })), "{error}");
    assert_eq!(told.saved, [*told.steps.last().unwrap()], "{:?}", told.notes);
    assert!(told.saved[0] >= 14);

    move_all(&away, &class);
    // One is stored anew: other bytes, the same pixels.
    let repaired = class.join("003.png");
    let pixels = image::open(&repaired).unwrap();
    let size = fs::metadata(&repaired).unwrap().len();
    let mut bytes = fs::read(&repaired).unwrap();
    // Before the last chunk, a text chunk that no decoder cares for.
    let chunk = [&[0, 0, 0, 3][..], b"tEXt", b"a\0b", &crc(b"tEXta\0b").to_be_bytes()].concat();
    let end = bytes.len() - 12;
    bytes.splice(end..end, chunk);
    fs::write(&repaired, bytes).unwrap();
    assert_eq!(image::open(&repaired).unwrap(), pixels);
    assert_ne!(fs::metadata(&repaired).unwrap().len(), size);

    // Also once other settings were recorded: it is the beginning that is compared with.
    let settings = changing(&["optim.clip_norm"]);
    let resume = Resume::Yes { changing: &settings };
    let mut clipped = config.clone();
    clipped.optim.clip_norm = 1e9;
    let (outcome, told) = part(&clipped, &data, &run, resume, stop_after(17));
    outcome.unwrap();
    assert_eq!(told.notes_with("another size in bytes"), 1, "{:?}", told.notes);
    let (outcome, told) = part(&clipped, &data, &run, true.into(), go_on);
    assert!(outcome.unwrap().finished);
    assert_eq!(told.notes_with("another size in bytes"), 1, "{:?}", told.notes);
    assert!(weights(&run) == weights(&straight), "it is not the undisturbed run");
    // A picture more is another set, in words.
    pictures::write_from(&data, 29, 1);
    let error = part(&clipped, &data, &run, true.into(), go_on).0.unwrap_err().to_string();
    assert!(error.contains("3 more") && !error.contains("run.names"), "{error}");
}

#[test]
fn more_bad_pictures_may_be_allowed_where_they_ended_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    config.data.max_bad_fraction = 0.0;
    let (outcome, told) = part(&config, &data, &run, Resume::No, |event| {
        if matches!(event, Event::Step(step) if step.step == 14) {
            for number in 0..9 {
                fs::write(data.join(format!("lying/{number:03}.png")), "no picture").unwrap();
            }
        }
        Flow::Continue
    });
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("allowed share of 0"), "{error}");
    let [saved] = told.saved[..] else { panic!("{:?}", told.saved) };

    config.data.max_bad_fraction = 0.2;
    let settings = changing(&["data.max_bad_fraction"]);
    let resume = Resume::Yes { changing: &settings };
    let (outcome, told) = part(&config, &data, &run, resume, go_on);
    assert!(outcome.unwrap().finished);
    assert_eq!(told.steps.first(), Some(&(saved + 1)));
    assert_eq!(told.notes_with("data.max_bad_fraction"), 1, "{:?}", told.notes);
}

#[test]
fn a_figure_that_cannot_be_drawn_costs_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    (config.optim.epochs, config.save.every_epochs, config.figures.every_epochs) = (2, 1, 1);
    let mut order = Vec::new();
    let (outcome, _) = part(&config, &data, &run, Resume::No, |event| {
        match event {
            // In its place stands what no file replaces.
            Event::Step(step) if step.step == 1 => {
                let figure = run.join("figures/reconstruction-step-00000010.png");
                fs::create_dir_all(figure.join("full")).unwrap();
            }
            Event::Saved { step, .. } => order.push(format!("saved {step}")),
            Event::Note(note) if note.contains("a figure is left out") => {
                order.push("left out".to_owned());
            }
            _ => {}
        }
        Flow::Continue
    });
    assert!(outcome.unwrap().finished);
    assert_eq!(order, ["saved 10", "left out", "saved 20"]);
    assert!(run.join("figures/reconstruction-step-00000020.png").is_file());
}

/// The check sum of a PNG chunk.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| match sum & 1 {
            1 => sum >> 1 ^ 0xedb8_8320,
            _ => sum >> 1,
        })
    })
}

#[test]
fn pictures_that_are_touched_are_used_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data, run) = sound(folder.path());
    let straight = folder.path().join("straight");
    part(&config, &data, &straight, Resume::No, go_on).0.unwrap();
    let later = SystemTime::now() + Duration::from_secs(9);
    let (outcome, told) = part(&config, &data, &run, Resume::No, |event| {
        if matches!(event, Event::Step(step) if step.step == 3) {
            for class in fs::read_dir(&data).unwrap() {
                for file in fs::read_dir(class.unwrap().path()).unwrap() {
                    let file = fs::File::options().write(true).open(file.unwrap().path());
                    file.unwrap().set_modified(later).unwrap();
                }
            }
        }
        Flow::Continue
    });
    assert!(outcome.unwrap().finished);
    assert_eq!(told.notes_with("was written since the run began"), 1, "{:?}", told.notes);
    assert!(
        !run.join("skipped.jsonl").exists()
            || fs::read(run.join("skipped.jsonl")).unwrap().is_empty()
    );
    assert!(weights(&run) == weights(&straight), "it is not the undisturbed run");
}

#[test]
fn a_run_is_saved_by_time_too() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    config.optim.epochs = 1;
    let saved =
        |config: &PretrainConfig, run: &Path| part(config, &data, run, Resume::No, go_on).1.saved;
    assert_eq!(saved(&config, &run), [10]);
    config.save.every_minutes = 1e-9;
    assert_eq!(saved(&config, &folder.path().join("timed")), (1..=10).collect::<Vec<_>>());
    assert!(weights(&run) == weights(&folder.path().join("timed")), "saving changes the run");
}

#[test]
fn a_finished_run_says_what_it_came_to_and_can_be_lengthened() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    config.optim.epochs = 1;
    let loss = part(&config, &data, &run, Resume::No, go_on).0.unwrap().loss;
    let environment = fs::read(run.join("environment.json")).unwrap();
    let (again, told) = part(&config, &data, &run, true.into(), go_on);
    let again = again.unwrap();
    assert!(again.finished && (again.loss - loss).abs() < 1e-6, "{} is not {loss}", again.loss);
    assert_eq!(told.notes_with("optim.epochs"), 1, "{:?}", told.notes);
    assert_eq!(told.notes_with("finetune"), 0, "{:?}", told.notes);
    assert!(
        fs::read(run.join("environment.json")).unwrap() == environment,
        "it was described anew"
    );

    let settings = changing(&["optim.epochs"]);
    config.optim.epochs = 2;
    let (longer, told) = part(&config, &data, &run, Resume::Yes { changing: &settings }, go_on);
    assert!(longer.unwrap().finished);
    assert_eq!(told.steps, (11..=20).collect::<Vec<_>>());
    // Nothing is left to be done with another rate; from an earlier checkpoint there is.
    let rate = changing(&["optim.base_lr"]);
    config.optim.base_lr /= 2.0;
    let resume = Resume::Yes { changing: &rate };
    let error = part(&config, &data, &run, resume, go_on).0.unwrap_err().to_string();
    assert!(error.contains("no step is left") && error.contains("optim.base_lr"), "{error}");
    config.optim.base_lr *= 2.0;
    config.optim.epochs = 1;
    let resume = Resume::Yes { changing: &settings };
    let error = part(&config, &data, &run, resume, go_on).0.unwrap_err().to_string();
    assert!(error.contains("already made 20 updates") && error.contains("optim.epochs"), "{error}");
}

#[test]
fn a_run_that_lost_its_checkpoints_is_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    config.optim.epochs = 2;
    config.save.every_epochs = 1;
    part(&config, &data, &run, Resume::No, go_on).0.unwrap();
    let refused = |says: &[&str]| {
        let before = weights(&run);
        let metrics = fs::read(run.join("metrics.jsonl")).unwrap();
        let error = part(&config, &data, &run, true.into(), go_on).0.unwrap_err().to_string();
        for says in says {
            assert!(error.contains(says), "{error}");
        }
        assert!(weights(&run) == before && fs::read(run.join("metrics.jsonl")).unwrap() == metrics);
    };
    for empty in [false, true] {
        let _ = fs::remove_dir_all(run.join("checkpoints"));
        if empty {
            fs::create_dir(run.join("checkpoints")).unwrap();
        }
        refused(&["finished after step 20", "no checkpoint", "Put the", "pretrain --from"]);
    }
    fs::remove_file(run.join("end.json")).unwrap();
    refused(&["its last weights exported"]);
    let export = run.join("export/last");
    fs::rename(&export, folder.path().join("export")).unwrap();
    let error = part(&config, &data, &run, true.into(), go_on).0.unwrap_err().to_string();
    assert!(error.contains("has made 20 steps") && !error.contains("--from"), "{error}");
    // It may have been killed before it was saved after its first epoch.
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let first: Vec<&str> = metrics.lines().take(10).collect();
    fs::write(run.join("metrics.jsonl"), first.join("\n") + "\n").unwrap();
    let (outcome, told) = part(&config, &data, &run, true.into(), go_on);
    assert!(outcome.unwrap().finished);
    assert_eq!(told.notes_with("ended before its first save"), 1, "{:?}", told.notes);
    assert_eq!(told.steps, (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_fine_tuning_that_lost_its_checkpoints_is_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 4);
    let config = pictures::finetuning(1, 4, 1);
    tune(&config, &data, Start::Scratch, &run, false, go_on).0.unwrap();
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    let error = tune(&config, &data, Start::Recorded, &run, true, go_on).0.unwrap_err().to_string();
    assert!(error.contains("no checkpoint") && error.contains("finetune --from"), "{error}");
}

#[test]
fn metrics_that_were_cut_are_told_when_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    config.optim.epochs = 2;
    part(&config, &data, &run, Resume::No, stop_after(12)).0.unwrap();
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<&str> = metrics.lines().collect();
    let kept = [&lines[..3], &lines[7..8]].concat().join("\n");
    fs::write(run.join("metrics.jsonl"), kept + "\n\u{7f}\n").unwrap();
    let (outcome, told) = part(&config, &data, &run, true.into(), stop_after(14));
    outcome.unwrap();
    let says = "metrics of steps 4–7 and of 4 steps more are missing";
    assert_eq!(told.notes_with(says), 1, "{:?}", told.notes);
}

#[test]
fn smaller_batches_may_make_the_same_updates() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    let (outcome, _) = part(&config, &data, &run, Resume::No, stop_after(5));
    assert_eq!(outcome.unwrap().step, 5);
    config.optim.batch = 2;
    let settings = changing(&["optim.batch", "optim.accumulation"]);
    let resume = Resume::Yes { changing: &settings };
    let error = part(&config, &data, &run, resume, go_on).0.unwrap_err().to_string();
    assert!(error.contains("`optim.accumulation=4`"), "{error}");
    config.optim.accumulation = 4;
    let (outcome, told) = part(&config, &data, &run, resume, go_on);
    assert!(outcome.unwrap().finished);
    assert_eq!(told.steps.first(), Some(&6));
}

/// The parts of a fine-tuning.
fn tune(
    config: &FinetuneConfig,
    data: &Path,
    start: Start<'_>,
    run: &Path,
    resume: bool,
    stop: impl Fn(&Event<'_>) -> Flow,
) -> (fcmae::Result<FinetuneOutcome>, Told) {
    let mut told = Told::default();
    let outcome = finetune(config, &[data.to_owned()], start, run, resume, &mut |event| {
        told.hear(&event);
        stop(&event)
    });
    (outcome, told)
}

#[test]
fn a_run_goes_on_from_the_weights_it_began_with_or_from_its_checkpoint_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 8);
    let pre = |name: &str, seed| {
        let config = PretrainConfig { seed, ..pictures::pretraining(1, 4, 1) };
        let run = folder.path().join(name);
        part(&config, &data, &run, Resume::No, go_on).0.unwrap();
        run
    };
    let (before, other) = (pre("before", 1), pre("other", 2));
    let config = pictures::finetuning(2, 4, 1);
    let straight = folder.path().join("straight");
    let outcome = tune(&config, &data, Start::Weights(&before), &straight, false, go_on).0.unwrap();
    assert!(outcome.finished);

    // Killed before its first checkpoint.
    let run = folder.path().join("run");
    let at_once = |event: &Event<'_>| match event {
        Event::Step(step) if step.step == 2 => Flow::Abandon,
        _ => Flow::Continue,
    };
    tune(&config, &data, Start::Weights(&before), &run, false, at_once).0.unwrap();
    for start in [Start::Weights(&other), Start::Scratch] {
        let error = tune(&config, &data, start, &run, true, go_on).0.unwrap_err().to_string();
        assert!(
            error.contains("started from the weights in") && error.contains("before"),
            "{error}"
        );
    }
    let recorded: FinetuneConfig = recorded(&run);
    let saved = stop_after(3);
    let (outcome, told) = tune(&recorded, &data, Start::Recorded, &run, true, saved);
    assert_eq!((outcome.unwrap().step, told.saved), (3, vec![3]));

    // With a checkpoint they are not needed, and others are refused all the same.
    assert!(tune(&recorded, &data, Start::Weights(&other), &run, true, go_on).0.is_err());
    fs::rename(&before, folder.path().join("gone")).unwrap();
    let half = stop_after(4);
    let (outcome, told) = tune(&recorded, &data, Start::Weights(&before), &run, true, half);
    assert_eq!(outcome.unwrap().step, 4);
    assert_eq!(told.notes_with("goes on from its checkpoint without them"), 1, "{:?}", told.notes);
    assert!(tune(&recorded, &data, Start::Recorded, &run, true, go_on).0.unwrap().finished);
    assert!(weights(&run) == weights(&straight), "it is not the undisturbed run");
    let card = |run: &Path| fs::read_to_string(run.join("export/last/README.md")).unwrap();
    assert_eq!(card(&run), card(&straight));
}

/// As an editor that saves, or somebody who makes room, while the run goes on.
#[cfg(unix)]
#[test]
fn a_run_whose_files_go_away_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 8);
    let mut config = pictures::finetuning(4, 4, 1);
    (config.save.every_minutes, config.save.every_epochs) = (0.0, 1000);
    let (mut told, mut saved) = (Told::default(), Vec::new());
    let file = run.join("metrics.jsonl");
    let outcome = finetune(&config, &[data], Start::Scratch, &run, false, &mut |event| {
        told.hear(&event);
        match &event {
            Event::Saved { step, .. } => saved.push(*step),
            Event::Step(report) if report.step == 3 => {
                let text = fs::read_to_string(&file).unwrap();
                let first = text.split_inclusive('\n').next().unwrap();
                fs::write(run.join("edited"), first).unwrap();
                fs::rename(run.join("edited"), &file).unwrap();
                fs::remove_dir_all(run.join("checkpoints")).unwrap();
                std::thread::sleep(Duration::from_millis(1100));
            }
            _ => {}
        }
        Flow::Continue
    })
    .unwrap();
    assert_eq!(told.notes_with("metrics.jsonl was replaced"), 1, "{:?}", told.notes);
    assert_eq!(told.notes_with("checkpoints was removed"), 1, "{:?}", told.notes);
    assert!(saved[0] < 6, "{saved:?}");
    let text = fs::read_to_string(&file).unwrap();
    let has = |step: u64| text.matches(&format!("\"step\":{step}}}")).count();
    let counts: Vec<usize> = (1..=outcome.step).map(has).collect();
    assert!(counts.iter().all(|&count| count == 1), "{counts:?}\n{text}");
}

/// A warm-up is told as at a start where a run that goes on is made shorter.
#[test]
fn a_warm_up_longer_than_what_is_left_of_a_run_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 8);
    let mut config = pictures::finetuning(8, 4, 1);
    config.optim.warmup_epochs = 3.0;
    let first = tune(&config, &data, Start::Scratch, &run, false, stop_after(3)).1;
    assert_eq!(first.notes_with("warm-up"), 0, "{:?}", first.notes);
    config.optim.epochs = 3;
    let changing = ["optim.epochs".to_owned()];
    let (mut told, resume) = (Told::default(), Resume::Yes { changing: &changing });
    let left =
        finetune(&config, slice::from_ref(&data), Start::Scratch, &run, resume, &mut |event| {
            told.hear(&event);
            if matches!(event, Event::Step(_)) { Flow::Stop } else { Flow::Continue }
        });
    assert!(!left.unwrap().finished);
    assert_eq!(told.notes_with("lies within the warm-up of 3"), 1, "{:?}", told.notes);
    // And again by whoever goes on with it.
    let told = tune(&config, &data, Start::Scratch, &run, true, go_on).1;
    assert_eq!(told.notes_with("lies within the warm-up of 3"), 1, "{:?}", told.notes);
}

#[test]
fn a_finished_fine_tuning_tells_its_accuracy_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 8);
    let mut config = pictures::finetuning(2, 4, 1);
    config.finetune.held_out = 0.25;
    let first = tune(&config, &data, Start::Scratch, &run, false, go_on).0.unwrap();
    let again = tune(&config, &data, Start::Scratch, &run, true, go_on).0.unwrap();
    let of = |outcome: &FinetuneOutcome| {
        let last = outcome.last.as_ref().unwrap();
        (outcome.step, outcome.best_top1, last.pictures, last.top1, last.top5)
    };
    assert_eq!(of(&again), of(&first));
}

#[test]
fn an_error_takes_no_regular_checkpoint_s_place() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, data, run) = sound(folder.path());
    (config.save.every_epochs, config.save.keep, config.data.max_bad_fraction) = (1, 1, 0.0);
    let (outcome, told) = part(&config, &data, &run, Resume::No, |event| {
        if matches!(event, Event::Step(step) if step.step == 12) {
            fs::rename(&data, folder.path().join("away")).unwrap();
        }
        Flow::Continue
    });
    assert!(outcome.is_err());
    let [regular, error] = told.saved[..] else { panic!("{:?}", told.saved) };
    let there = |step: u64| run.join(format!("checkpoints/step-{step:08}/MANIFEST")).is_file();
    assert!(regular == 10 && error >= 12 && there(regular) && there(error));
}

#[test]
fn settings_that_were_edited_in_the_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data, run) = sound(folder.path());
    let stop = stop_after(5);
    part(&config, &data, &run, Resume::No, stop).0.unwrap();
    let file = run.join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    for (was, is) in [("base_lr = 0.1", "base_lr = 0.2"), ("seed = 7", "seed = 8")] {
        let edited = text.replace(was, is);
        assert_ne!(edited, text);
        fs::write(&file, edited).unwrap();
        let config: PretrainConfig = recorded(&run);
        let error = part(&config, &data, &run, true.into(), go_on).0.unwrap_err().to_string();
        assert!(error.contains(is) && error.contains(was), "{error}");
    }
    fs::write(&file, text).unwrap();
    assert!(part(&config, &data, &run, true.into(), go_on).0.unwrap().finished);
}

#[test]
fn pictures_written_to_between_the_parts_of_a_run_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data, run) = sound(folder.path());
    let stop = stop_after(5);
    part(&config, &data, &run, Resume::No, stop).0.unwrap();
    let told = part(&config, &data, &run, true.into(), stop_after(7));
    assert_eq!(told.1.notes_with("since the run stopped"), 0, "{:?}", told.1.notes);
    let later = SystemTime::now() + Duration::from_secs(9);
    let file = fs::File::options().write(true).open(data.join("lying/002.png")).unwrap();
    file.set_modified(later).unwrap();
    let (outcome, told) = part(&config, &data, &run, true.into(), go_on);
    assert!(outcome.unwrap().finished);
    let says = "1 of 87 pictures was written since the run stopped, such as lying/002.png";
    assert_eq!(told.notes_with(says), 1, "{:?}", told.notes);
}

#[test]
fn a_run_with_pictures_held_out_of_their_own_place_wants_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, aside) = (folder.path().join("data"), folder.path().join("aside"));
    pictures::write(&data, 8);
    pictures::write_from(&aside, 50, 4);
    let config = pictures::finetuning(2, 4, 1);
    let tuned = |run: &Path, apart: bool, resume: bool, at: u64| {
        let held_out = if apart { slice::from_ref(&aside) } else { &[] };
        let set = LabelledData { training: slice::from_ref(&data), held_out };
        finetune(&config, set, Start::Scratch, run, resume, &mut |event| match event {
            Event::Step(step) if step.step == at => Flow::Stop,
            _ => Flow::Continue,
        })
    };
    let [with, without] = ["with", "without"].map(|name| folder.path().join(name));
    tuned(&with, true, false, 3).unwrap();
    let error = tuned(&with, false, true, 0).unwrap_err().to_string();
    assert!(error.contains("--held-out") && error.contains("aside"), "{error}");
    assert!(tuned(&with, true, true, 0).unwrap().finished);
    tuned(&without, false, false, 3).unwrap();
    let error = tuned(&without, true, true, 0).unwrap_err().to_string();
    assert!(error.contains("without --held-out"), "{error}");
}

#[test]
fn an_evaluation_with_pictures_missing_is_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 12);
    let aside = folder.path().join("aside");
    pictures::write_from(&aside, 50, 4);
    let mut config = pictures::finetuning(3, 4, 1);
    config.data.cache_mib = 0;
    let set = LabelledData { training: &[data], held_out: slice::from_ref(&aside) };
    let away = folder.path().join("away");
    let (mut evaluated, mut told) = (Vec::new(), Told::default());
    let outcome = finetune(&config, set, Start::Scratch, &run, false, &mut |event| {
        told.hear(&event);
        if let Event::Evaluated(report) = &event {
            evaluated.push((report.epoch, report.pictures));
        }
        // While the second epoch is trained, one picture of each class is left.
        match &event {
            Event::Step(step) if step.step == 12 => {
                fs::create_dir(&away).unwrap();
                for (number, class) in pictures::CLASSES.iter().enumerate() {
                    for picture in 51..54 {
                        let file = aside.join(class).join(format!("{picture:03}.png"));
                        fs::rename(file, away.join(format!("{number}-{picture}.png"))).unwrap();
                    }
                }
            }
            _ => {}
        }
        Flow::Continue
    })
    .unwrap();
    // Nine in a row are gone for good: the third one is no result either.
    assert_eq!(evaluated, [(1, 12)]);
    assert_eq!(
        told.notes_with("has no result: 9 of 12 pictures could not be used"),
        2,
        "{:?}",
        told.notes
    );
    assert_eq!(outcome.best_top1, outcome.last.map(|last| last.top1));
    assert!(outcome.finished);
}

#[test]
fn a_moving_average_that_has_hardly_moved_is_told_and_can_be_warmed_up() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 12);
    let mut config = pictures::finetuning(8, 4, 1);
    config.finetune.ema = 0.9999;
    let accuracy = |config: &FinetuneConfig, name: &str| {
        let run = folder.path().join(name);
        let (outcome, told) = tune(config, &data, Start::Scratch, &run, false, go_on);
        assert!(outcome.unwrap().finished);
        let found = evaluate(&run, slice::from_ref(&data), 4, &Backend::Cpu).unwrap();
        (found.top1, told.notes_with("of the moving average at its start"))
    };
    let (cold, told) = accuracy(&config, "cold");
    assert!(cold < 0.5 && told == 1, "{cold}, {told}");
    config.finetune.ema_warmup = true;
    let (warm, told) = accuracy(&config, "warm");
    assert!(warm > 0.9 && told == 0, "{warm}, {told}");
    config.finetune.ema = 0.0;
    assert_eq!(accuracy(&config, "none").1, 0);
}

#[test]
fn an_unfinished_run_is_judged_by_its_average_as_a_finished_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 8);
    let mut config = pictures::finetuning(2, 4, 1);
    config.finetune.ema = 0.9;
    let stop = stop_after(4);
    tune(&config, &data, Start::Scratch, &run, false, stop).0.unwrap();
    let average =
        safetensors::load(&run.join("checkpoints/step-00000004/ema.safetensors")).unwrap();
    assert!(Weights::open(&run).unwrap().tensors == average.tensors);
    let checkpoint = run.join("checkpoints/step-00000004");
    assert!(Weights::open(&checkpoint).unwrap().tensors == average.tensors);
}

/// As where the system gives no memory.
#[test]
fn a_panic_is_told_in_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data, run) = sound(folder.path());
    let train = || {
        part(&config, &data, &run, Resume::No, |event| match event {
            Event::Step(step) if step.step == 1 => panic!("no {}\nis left", "memory"),
            _ => Flow::Continue,
        })
    };
    assert!(std::panic::catch_unwind(train).is_err());
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.ends_with("ended after step 1: no memory is left\n"), "{log}");
    let end = json(run.join("end.json"));
    assert_eq!((&end["how"], &end["reason"]), (&"failed".into(), &"no memory is left".into()));
    // Nothing is left locked, and it is taken up.
    assert!(part(&config, &data, &run, true.into(), go_on).0.unwrap().finished);
}
