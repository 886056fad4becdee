//! A run that is taken up goes on with what is its own: its checkpoints, and the best weights of its course.

use std::fs;
use std::path::Path;
use std::slice;

use fcmae::config::{FinetuneConfig, PretrainConfig};
use fcmae::training::{Event, Flow, Resume, Start, finetune, pretrain};
use fcmae_store::CheckpointStore;
use serde_json::Value;

use crate::golden::copy;
use crate::pictures;

/// What a part of a fine-tuning came to.
struct Part {
    best: Option<f64>,
    /// Steps and scores of its evaluations.
    scores: Vec<(u64, f64)>,
    notes: Vec<String>,
}

impl Part {
    fn told(&self, part: &str) -> bool {
        self.notes.iter().any(|note| note.contains(part))
    }
}

/// Trains until this step, or to the end; `flow` is what the observer says then.
fn part(
    config: &FinetuneConfig,
    run: &Path,
    resume: Resume<'_>,
    (until, flow): (Option<u64>, Flow),
) -> Part {
    let (mut scores, mut notes) = (Vec::new(), Vec::new());
    let data = run.with_file_name("data");
    let data = slice::from_ref(&data);
    let best = finetune(config, data, Start::Scratch, run, resume, &mut |event| {
        match &event {
            Event::Note(note) => notes.push((*note).to_owned()),
            Event::Evaluated(report) => scores.push((report.step, report.top1)),
            Event::Step(step) if Some(step.step) == until => return flow,
            _ => {}
        }
        Flow::Continue
    });
    Part { best: best.unwrap().best_top1, scores, notes }
}

const TO_THE_END: (Option<u64>, Flow) = (None, Flow::Continue);

fn best(run: &Path) -> Vec<u8> {
    fs::read(run.join("export/best/model.safetensors")).unwrap()
}

/// Fault 61: killed after a better evaluation, and resumed from before it with another learning rate.
#[test]
fn the_best_weights_of_a_course_that_is_left_are_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    pictures::write(&folder.path().join("data"), 10);
    let at = |name: &str| folder.path().join(name);
    let mut config = pictures::finetuning(3, 4, 1);
    config.finetune.held_out = 0.2;
    config.save.every_epochs = 9;
    // Six updates an epoch; the checkpoint is of the seventh, after the first evaluation.
    part(&config, &at("own"), Resume::No, (Some(7), Flow::Stop));
    for other in ["straight", "left", "unknown"] {
        copy(&at("own"), &at(other));
    }
    let again = Resume::Yes { changing: &[] };
    let straight = part(&config, &at("straight"), again, TO_THE_END);
    // As if a later evaluation had been better, and the run killed before its checkpoint.
    for run in ["left", "unknown"] {
        let [from, to] = ["straight/export/last", &format!("{run}/export/best")].map(at);
        assert!(best(&at("own")) != fs::read(from.join("model.safetensors")).unwrap());
        fs::copy(from.join("model.safetensors"), to.join("model.safetensors")).unwrap();
        let metrics = at(run).join("metrics.jsonl");
        let better = "{\"epoch\":2,\"held_out_loss\":0.1,\"step\":12,\"top1\":1.1,\"top5\":1.1}\n";
        fs::write(&metrics, fs::read_to_string(&metrics).unwrap() + better).unwrap();
    }
    let later = best(&at("left"));

    // With the same settings it comes to the same again.
    copy(&at("left"), &at("same"));
    let same = part(&config, &at("same"), again, TO_THE_END);
    assert_eq!(same.scores, straight.scores);
    assert_eq!(fs::read_dir(at("same/export")).unwrap().count(), 2);

    // Its own best weights, of before the checkpoint, count for any course that goes on from there.
    let changed = ["optim.base_lr".to_owned()];
    let changing = Resume::Yes { changing: &changed };
    let mut slower = config.clone();
    slower.optim.base_lr = config.optim.base_lr / 1e6;
    let own = part(&slower, &at("own"), changing, TO_THE_END);
    assert!(!own.told("course") && own.best.is_some(), "{:?}", own.notes);
    assert_eq!(fs::read_dir(at("own/export")).unwrap().count(), 2);

    // Killed before its next checkpoint, the new course is the same once more.
    let aside = at("left/export/set-aside-best-step-00000007/model.safetensors");
    let killed = part(&slower, &at("left"), changing, (Some(13), Flow::Abandon));
    assert!(killed.told("export/best holds weights from after step 7"));
    assert!(fs::read(&aside).unwrap() == later && best(&at("left")) != later);
    let left = part(&slower, &at("left"), again, TO_THE_END);
    assert_eq!(left.scores[..1], killed.scores);
    let highest = left.scores.iter().map(|&(_, top1)| top1).max_by(f64::total_cmp);
    assert_eq!(left.best, highest);
    assert!(fs::read(&aside).unwrap() == later && best(&at("left")) != later);

    // What only ends the run earlier is no other course.
    copy(&at("unknown"), &at("patient"));
    let mut patient = config.clone();
    patient.finetune.patience = 9;
    let changed = ["finetune.patience".to_owned()];
    let told = part(&patient, &at("patient"), Resume::Yes { changing: &changed }, TO_THE_END);
    assert!(!told.told("course"), "{:?}", told.notes);

    // A checkpoint of an earlier version does not say what its best weights are.
    without("best_weights", &at("unknown"), 7);
    let unknown = part(&slower, &at("unknown"), changing, TO_THE_END);
    assert!(!unknown.told("course"), "{:?}", unknown.notes);
}

/// Best weights that went away while a run was stopped, were exchanged for earlier ones, or were cut short.
#[test]
fn the_best_of_a_run_is_never_a_score_of_weights_that_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    pictures::write(&folder.path().join("data"), 10);
    let at = |name: &str| folder.path().join(name);
    let mut config = pictures::finetuning(3, 4, 1);
    config.finetune.held_out = 0.2;
    part(&config, &at("own"), Resume::No, (Some(7), Flow::Stop));
    for other in ["straight", "gone", "other", "cut"] {
        copy(&at("own"), &at(other));
    }
    let again = Resume::Yes { changing: &[] };
    let straight = part(&config, &at("straight"), again, TO_THE_END);
    assert!(!straight.told("lost"), "{:?}", straight.notes);
    let model = |run: &str| at(run).join("export/best/model.safetensors");
    fs::remove_dir_all(at("gone/export/best")).unwrap();
    fs::copy(at("straight/export/last/model.safetensors"), model("other")).unwrap();
    let whole = fs::read(model("cut")).unwrap();
    let mut made = Vec::new();
    fs::write(model("cut"), &whole[..whole.len() / 2]).unwrap();
    for (run, says) in [("gone", "is missing"), ("other", "holds other"), ("cut", "cannot be used")]
    {
        let lost = part(&config, &at(run), again, TO_THE_END);
        assert!(
            lost.told(says) && lost.told("the best is chosen from the evaluations that follow"),
            "{:?}",
            lost.notes
        );
        // The best of those that were evaluated since.
        let highest = lost.scores.iter().map(|&(_, top1)| top1).max_by(f64::total_cmp);
        assert_eq!((lost.best, lost.scores.clone()), (highest, straight.scores.clone()), "{run}");
        let aside = at(run).join("export/set-aside-best-step-00000007");
        assert_eq!(aside.exists(), run != "gone");
        made.push(best(&at(run)));
    }
    assert!(made[0] == made[1] && made[1] == made[2], "of the same evaluation");
}

/// Killed between the evaluation that a checkpoint was saved before and the next checkpoint.
#[test]
fn a_better_evaluation_that_was_due_at_a_checkpoint_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    pictures::write(&folder.path().join("data"), 10);
    let at = |name: &str| folder.path().join(name);
    let mut config = pictures::finetuning(3, 4, 1);
    config.finetune.held_out = 0.2;
    // Six updates an epoch, and a checkpoint of the twelfth, which says that its evaluation is due.
    part(&config, &at("run"), Resume::No, (Some(12), Flow::Stop));
    let store = CheckpointStore::open(at("run/checkpoints")).keep(9);
    let mut checkpoint = store.load(12).unwrap();
    copy(&at("run"), &at("straight"));
    let again = Resume::Yes { changing: &[] };
    let straight = part(&config, &at("straight"), again, TO_THE_END);
    // As if it had been better than what was recorded, and the run killed after its export.
    checkpoint.state["best_top1"] = 0.01.into();
    checkpoint.state["evaluation_due"] = true.into();
    store.save(12, &checkpoint).unwrap();
    let metrics = at("run/metrics.jsonl");
    let better = "{\"epoch\":2,\"held_out_loss\":0.1,\"step\":12,\"top1\":0.9,\"top5\":1.0}\n";
    fs::write(&metrics, fs::read_to_string(&metrics).unwrap() + better).unwrap();
    fs::copy(at("straight/export/last/model.safetensors"), at("run/export/best/model.safetensors"))
        .unwrap();
    let resumed = part(&config, &at("run"), again, TO_THE_END);
    assert!(!resumed.told("lost"), "{:?}", resumed.notes);
    assert_eq!(fs::read_dir(at("run/export")).unwrap().count(), 2);
    assert_eq!(resumed.scores.last(), straight.scores.last());
}

/// Saves a checkpoint again without this value of its state.
fn without(value: &str, run: &Path, step: u64) {
    let store = CheckpointStore::open(run.join("checkpoints")).keep(9);
    let mut checkpoint = store.load(step).unwrap();
    checkpoint.state.as_object_mut().unwrap().remove(value).unwrap();
    store.save(step, &checkpoint).unwrap();
}

/// Fault 61: the metrics of another run, put in the place of this one's.
#[test]
fn metrics_of_another_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 4);
    let config = pictures::pretraining(2, 4, 1);
    let other = PretrainConfig { seed: 8, ..config.clone() };
    let train = |config: &PretrainConfig, run: &Path, resume: bool, until: u64| {
        let mut notes = Vec::new();
        let data = slice::from_ref(&data);
        let ended = pretrain(config, data, Start::Scratch, run, resume, &mut |event| match event {
            Event::Step(step) if step.step == until => Flow::Stop,
            Event::Note(note) => {
                notes.push(note.to_owned());
                Flow::Continue
            }
            _ => Flow::Continue,
        });
        ended.map(|ended| (ended, notes))
    };
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    train(&config, &one, false, 3).unwrap();
    train(&other, &two, false, 4).unwrap();
    let (metrics, own) = (one.join("metrics.jsonl"), one.join("own"));
    fs::rename(&metrics, &own).unwrap();
    fs::copy(two.join("metrics.jsonl"), &metrics).unwrap();
    let error = train(&config, &one, true, 4).unwrap_err().to_string();
    for says in [&*metrics.display().to_string(), "belongs to another run", "at step 3", "away"] {
        assert!(error.contains(says), "{says} is not in: {error}");
    }
    // As the message says: without it, or with its own.
    fs::remove_file(&metrics).unwrap();
    let (_, notes) = train(&config, &one, true, 4).unwrap();
    assert!(notes.iter().any(|note| note.contains("metrics of steps 1–3")), "{notes:?}");
    fs::rename(&own, &metrics).unwrap();
    // Step 4 is not in it, and a checkpoint of before says no loss.
    train(&config, &one, true, 5).unwrap();
    fs::copy(two.join("metrics.jsonl"), &metrics).unwrap();
    without("loss", &one, 5);
    assert!(train(&config, &one, true, 0).unwrap().0.finished);
}

/// Fault 61: a checkpoint that was copied from another run of the same network.
#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 4);
    let config = pictures::pretraining(2, 4, 1);
    let train = |run: &Path, resume: bool, until: u64| {
        pretrain(&config, slice::from_ref(&data), Start::Scratch, run, resume, &mut |event| {
            match event {
                Event::Step(step) if step.step == until => Flow::Stop,
                _ => Flow::Continue,
            }
        })
    };
    let [one, two, moved] = ["one", "two", "moved"].map(|name| folder.path().join(name));
    train(&one, false, 3).unwrap();
    train(&two, false, 2).unwrap();
    let id = |run: &Path| {
        let record = fs::read(run.join("run.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        record["id"].as_str().unwrap().to_owned()
    };
    assert_ne!(id(&one), id(&two));
    let checkpoint = "checkpoints/step-00000003";
    copy(&one.join(checkpoint), &two.join(checkpoint));
    let error = train(&two, true, 4).unwrap_err().to_string();
    for says in [
        &*two.join(checkpoint).display().to_string(),
        &id(&one),
        &id(&two),
        "run.json",
        "fcmae pretrain --from",
    ] {
        assert!(error.contains(says), "{says} is not in: {error}");
    }

    // The folder's name is not what counts, nor where it is.
    copy(&one, &moved);
    fs::rename(&one, folder.path().join("elsewhere")).unwrap();
    train(&moved, true, 4).unwrap();
    assert!(train(&folder.path().join("elsewhere"), true, 0).unwrap().finished);

    // Runs and checkpoints of before have none.
    without("run", &two, 3);
    assert_eq!(train(&two, true, 4).unwrap().step, 4);
    let record = fs::read_to_string(moved.join("run.json")).unwrap();
    let mut record: Value = serde_json::from_str(&record).unwrap();
    record.as_object_mut().unwrap().remove("id").unwrap();
    fs::write(moved.join("run.json"), record.to_string()).unwrap();
    assert!(train(&moved, true, 0).unwrap().finished);
}

/// Something has the name of the file that says how a run ended.
#[test]
fn an_end_that_cannot_be_recorded_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 4);
    let config = pictures::pretraining(1, 4, 1);
    let data = slice::from_ref(&data);
    pretrain(&config, data, Start::Scratch, &run, false, &mut |event| match event {
        Event::Step(_) => Flow::Stop,
        _ => Flow::Continue,
    })
    .unwrap();
    let end = run.join("end.json");
    fs::remove_file(&end).unwrap();
    fs::create_dir_all(end.join("inner")).unwrap();
    let mut notes = Vec::new();
    let ended = pretrain(&config, data, Start::Scratch, &run, true, &mut |event| {
        if let Event::Note(note) = event {
            notes.push(note.to_owned());
        }
        Flow::Continue
    });
    assert!(ended.unwrap().finished);
    let told = |note: &&String| note.starts_with("how the run ended cannot be recorded: ");
    assert_eq!(notes.iter().filter(told).count(), 1, "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("end.json")), "{notes:?}");
}
