//! A run that was stopped anywhere and taken up again is, bit for bit, the run that was not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use fcmae::Error;
use fcmae::config::{
    BlockKind, FinetuneConfig, GrnChange, MaskRatio, MaskedEncoder, PretrainConfig, from_recipe,
};
use fcmae::engine::backend::Backend;
use fcmae::training::{Event, Flow, Start, Work, finetune, finetune_on, pretrain, pretrain_on};
use fcmae::weights::Weights;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae_cuda::{card::Card, work::Element};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae_cuda_emulator::{Emulated, Order};
use serde_json::Value;

use crate::pictures;

/// What ends a part of a run.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// Right after this update.
    Step(u64),
    /// While the evaluation after this update is told.
    Evaluation(u64),
    /// After the first batch of what follows this update.
    Within(Work, u64),
    /// Not before the end.
    Never,
}

impl Stop {
    /// `last`: the last update that was told.
    fn flow(self, event: &Event<'_>, last: &mut u64) -> Flow {
        match event {
            Event::Started(started) => *last = started.resumed_at.unwrap_or(0),
            Event::Step(report) => *last = report.step,
            _ => {}
        }
        let now = match (self, event) {
            (Self::Step(at), Event::Step(_)) => *last == at,
            (Self::Evaluation(at), Event::Evaluated(report)) => report.step == at,
            (Self::Within(work, at), Event::Batch(batch)) => {
                assert_eq!((batch.done, batch.all), (1, 2));
                batch.work == work && *last == at
            }
            _ => false,
        };
        if now { Flow::Stop } else { Flow::Continue }
    }

    fn step(self, all: u64) -> u64 {
        match self {
            Self::Step(at) | Self::Evaluation(at) | Self::Within(_, at) => at,
            Self::Never => all,
        }
    }

    /// Whether an evaluation that is due after the last update is left for the next part.
    fn leaves_evaluation(self) -> bool {
        matches!(self, Self::Step(_) | Self::Within(Work::Evaluation, _))
    }
}

/// Everything of a finished run that must not depend on how often it was stopped: the files of its
/// last checkpoint and of its exports, and what it logged.
pub(crate) fn outcome(run: &Path, last_step: u64) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let checkpoint = run.join(format!("checkpoints/step-{last_step:08}"));
    for folder in [checkpoint, run.join("export/last"), run.join("export/best")] {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(run).unwrap().display().to_string();
            let bytes = std::fs::read(&path).unwrap();
            files.insert(name, less_id(&path, bytes));
        }
    }
    assert!(files.keys().any(|name| name.ends_with("optimizer.safetensors")), "{:?}", files.keys());
    let logged = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let logged = logged.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("images_per_second");
        line.as_object_mut().unwrap().remove("data_wait");
        format!("{line}\n")
    });
    files.insert("metrics".to_owned(), logged.collect::<String>().into_bytes());
    files
}

/// A checkpoint's file without the name of the run that it is of, and what follows from that.
fn less_id(file: &Path, bytes: Vec<u8>) -> Vec<u8> {
    let text = || std::str::from_utf8(&bytes).unwrap();
    match file.file_name().unwrap().to_str().unwrap() {
        "state.json" => {
            let mut state: Value = serde_json::from_str(text()).unwrap();
            assert!(state.as_object_mut().unwrap().remove("run").unwrap().is_string());
            state.to_string().into_bytes()
        }
        "MANIFEST" => {
            let follows =
                |line: &&str| line.ends_with(" state.json") || line.ends_with(" MANIFEST");
            let kept = text().lines().filter(|line| !follows(line));
            kept.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
        }
        _ => bytes,
    }
}

pub(crate) fn assert_same(
    about: &str,
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
) {
    assert_eq!(
        String::from_utf8_lossy(&found["metrics"]),
        String::from_utf8_lossy(&expected["metrics"]),
        "{about}"
    );
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{about}");
    for (name, bytes) in found {
        assert!(*bytes == expected[name], "{about}: {name} differs");
    }
}

/// 86 pictures in batches of 4, two to an update: 10 updates an epoch, the 21st batch left over.
fn pretraining() -> PretrainConfig {
    pictures::pretraining(4, 4, 2)
}

const PRETRAIN_STEPS: u64 = 40;

fn data(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    pictures::write(&data, 29);
    std::fs::remove_file(data.join("lying/004.png")).unwrap();
    data
}

/// Runs the parts one after the other in one run folder.
fn pretrain_in_parts(config: &PretrainConfig, data: &Path, run: &Path, parts: &[Stop]) {
    pretrain_in_parts_on(|_| Backend::Cpu, config, data, run, (parts, PRETRAIN_STEPS));
}

/// The same, each part computed by its backend; `all` updates in the whole run.
fn pretrain_in_parts_on(
    backend: impl Fn(usize) -> Backend,
    config: &PretrainConfig,
    data: &Path,
    run: &Path,
    (parts, all): (&[Stop], u64),
) {
    let mut device = None;
    for (number, &stop) in parts.iter().enumerate() {
        let (mut started, mut last, mut differs) = (None, 0, false);
        let (backend, data) = (backend(number), [data.to_owned()]);
        let ended =
            pretrain_on(&backend, config, &data, Start::Scratch, run, number > 0, &mut |event| {
                if let Event::Started(event) = &event {
                    assert_eq!(event.device, backend.to_string());
                    started = event.resumed_at;
                }
                if let Event::Note(note) = &event {
                    differs |= note.contains("differ in the last bits");
                }
                stop.flow(&event, &mut last)
            })
            .unwrap();
        assert_eq!(ended.step, stop.step(all), "{parts:?}, part {number}");
        assert_eq!(ended.finished, ended.step == all);
        let before = number.checked_sub(1).map(|before| parts[before].step(all));
        assert_eq!(started, before, "{parts:?}, part {number}");
        let moved = device.replace(backend.to_string()).is_some_and(|of| of != backend.to_string());
        assert_eq!(differs, moved, "{parts:?}, part {number}");
    }
}

/// Fault 1: stopped at and inside epochs and inside updates, with batches accumulated.
#[test]
fn pretraining_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let straight = folder.path().join("straight");
    pretrain_in_parts(&pretraining(), &data, &straight, &[Stop::Never]);
    let expected = outcome(&straight, PRETRAIN_STEPS);
    let steps = |steps: &[u64]| steps.iter().map(|&step| Stop::Step(step)).collect::<Vec<_>>();
    let within = |step| Stop::Within(Work::Update, step);
    let all = [
        steps(&[1]),
        steps(&[7]),
        steps(&[10]),
        steps(&[17]),
        steps(&[20]),
        steps(&[40]),
        steps(&[1, 2, 7, 17, 20, 39]),
        vec![within(1), within(1), Stop::Step(10), within(10), within(39)],
    ];
    for (number, mut parts) in all.into_iter().enumerate() {
        let about = format!("stopped at {parts:?}");
        parts.push(Stop::Never);
        let run = folder.path().join(format!("run-{number}"));
        pretrain_in_parts(&pretraining(), &data, &run, &parts);
        assert_same(&about, &outcome(&run, PRETRAIN_STEPS), &expected);
    }
}

#[test]
fn pretraining_with_the_dense_encoder_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let mut config = pretraining();
    config.mask.encoder = MaskedEncoder::Dense;
    let outcomes = [vec![Stop::Never], vec![Stop::Step(7), Stop::Never]].map(|parts| {
        let run = folder.path().join(format!("{}-parts", parts.len()));
        pretrain_in_parts(&config, &data, &run, &parts);
        outcome(&run, PRETRAIN_STEPS)
    });
    assert_same("with the dense encoder", &outcomes[1], &outcomes[0]);

    let sparse = folder.path().join("sparse");
    pretrain_in_parts(&pretraining(), &data, &sparse, &[Stop::Never]);
    assert_ne!(outcome(&sparse, PRETRAIN_STEPS)["metrics"], outcomes[0]["metrics"]);
}

/// A run that was begun on a GPU goes on without it, and says so. Here the first part was on the processor too,
/// so that it comes to the same bits.
#[test]
fn a_run_goes_on_with_another_device() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let straight = folder.path().join("straight");
    pretrain_in_parts(&pretraining(), &data, &straight, &[Stop::Never]);

    let run = folder.path().join("run");
    pretrain_in_parts(&pretraining(), &data, &run, &[Stop::Step(7)]);
    let (recorded, environment) = (run.join("config.toml"), run.join("environment.json"));
    let text = std::fs::read_to_string(&recorded).unwrap();
    let elsewhere = text.replace("device = \"auto\"", "device = \"cuda:1\"");
    assert_ne!(elsewhere, text);
    std::fs::write(&recorded, &elsewhere).unwrap();
    std::fs::remove_file(&environment).unwrap();

    let resume = |device: &str| {
        let mut config: PretrainConfig =
            from_recipe(Some(("config.toml", &elsewhere)), &[]).unwrap();
        config.device = device.to_owned();
        pretrain(&config, slice::from_ref(&data), Start::Scratch, &run, true, &mut |event| {
            if let Event::Started(started) = &event {
                assert_eq!(
                    (started.device.clone(), started.resumed_at),
                    ("cpu".to_owned(), Some(7))
                );
            }
            Flow::Continue
        })
    };
    let error = resume("cuda:99").unwrap_err();
    assert!(matches!(&error, Error::Config(_)), "{error}");
    assert!(error.to_string().contains("`device` cannot be `cuda:99`"), "{error}");
    assert!(!environment.exists(), "a run that was refused was described");
    assert!(resume("cpu").unwrap().finished);
    assert_same("on cpu", &outcome(&run, PRETRAIN_STEPS), &outcome(&straight, PRETRAIN_STEPS));
    let environment: Value = serde_json::from_slice(&std::fs::read(environment).unwrap()).unwrap();
    assert_eq!(environment["device"], "cpu");
}

/// The device is asked for before weights and pictures are.
#[test]
fn a_device_that_is_not_there_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (nowhere, run) = (folder.path().join("nowhere"), folder.path().join("run"));
    let mut config = finetuning();
    config.device = "cuda".to_owned();
    let start = Start::Weights(&nowhere);
    let refused =
        finetune(&config, slice::from_ref(&nowhere), start, &run, false, &mut |_| Flow::Continue);
    assert!(matches!(refused, Err(Error::Config(_))), "{refused:?}");
    assert!(!run.exists());
}

#[test]
fn pretraining_does_not_depend_on_its_workers() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let mut outcomes = Vec::new();
    for workers in [0, 1, 3] {
        let mut config = pretraining();
        config.data.workers = workers;
        config.data.cache_mib = workers;
        let run = folder.path().join(format!("workers-{workers}"));
        pretrain_in_parts(&config, &data, &run, &[Stop::Never]);
        outcomes.push(outcome(&run, PRETRAIN_STEPS));
    }
    assert_same("without workers", &outcomes[0], &outcomes[1]);
    assert_same("with three workers", &outcomes[2], &outcomes[1]);
}

/// With all that fine-tuning adds: 24 of 30 pictures, 3 updates an epoch.
fn finetuning() -> FinetuneConfig {
    let mut config = pictures::finetuning(3, 4, 2);
    config.finetune.held_out = 0.2;
    config.finetune.drop_path = 0.4;
    config.finetune.layer_decay = 0.8;
    config.finetune.ema = 0.8;
    config.finetune.balanced = true;
    config.finetune.rand_augment = "rand-m9-mstd0.5-inc1".to_owned();
    config.finetune.erasing = 0.25;
    config.finetune.mixup = 0.8;
    config.finetune.cutmix = 1.0;
    config.optim.clip_norm = 1.0;
    config
}

const FINETUNE_STEPS: u64 = 9;

fn finetune_in_parts(
    config: &FinetuneConfig,
    data: &Path,
    start: Start<'_>,
    run: &Path,
    parts: &[Stop],
) {
    finetune_in_parts_on(|_| Backend::Cpu, config, data, start, run, parts);
}

fn finetune_in_parts_on(
    backend: impl Fn(usize) -> Backend,
    config: &FinetuneConfig,
    data: &Path,
    start: Start<'_>,
    run: &Path,
    parts: &[Stop],
) {
    for (number, &stop) in parts.iter().enumerate() {
        let (mut last, data) = (0, [data.to_owned()]);
        let backend = backend(number);
        let ended = finetune_on(&backend, config, &data, start, run, number > 0, &mut |event| {
            stop.flow(&event, &mut last)
        });
        let ended = ended.unwrap();
        assert_eq!(ended.step, stop.step(FINETUNE_STEPS), "{parts:?}, part {number}");
        let evaluated = ended.step > 3 || ended.step == 3 && !stop.leaves_evaluation();
        assert_eq!(ended.best_top1.is_some(), evaluated, "{parts:?}, part {number}");
        let evaluated_last = ended.step == FINETUNE_STEPS && !stop.leaves_evaluation();
        assert_eq!(ended.finished, evaluated_last, "{parts:?}, part {number}");
    }
}

/// Fault 1: stopped at and inside epochs, inside updates, and before, inside and after evaluations,
/// with a moving average.
#[test]
fn finetuning_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 10);
    let pretrained = folder.path().join("pretrained");
    pretrain_in_parts(&pretraining(), &data, &pretrained, &[Stop::Step(2)]);

    for (name, start) in [("scratch", Start::Scratch), ("weights", Start::Weights(&pretrained))] {
        let straight = folder.path().join(name);
        finetune_in_parts(&finetuning(), &data, start, &straight, &[Stop::Never]);
        let expected = outcome(&straight, FINETUNE_STEPS);
        assert!(expected.keys().any(|name| name.ends_with("ema.safetensors")));
        assert!(expected.contains_key("export/best/model.safetensors"));
        let all = [
            vec![Stop::Step(1)],
            vec![Stop::Step(3)],
            vec![Stop::Step(5)],
            vec![Stop::Evaluation(6)],
            vec![Stop::Step(2), Stop::Evaluation(3), Stop::Step(4)],
            vec![Stop::Within(Work::Update, 1), Stop::Within(Work::Update, 3)],
            vec![
                Stop::Within(Work::Evaluation, 3),
                Stop::Within(Work::Evaluation, 3),
                Stop::Evaluation(3),
                Stop::Within(Work::Evaluation, 9),
            ],
            vec![Stop::Step(3), Stop::Step(9)],
        ];
        for (number, mut parts) in all.into_iter().enumerate() {
            let about = format!("from {name}, stopped at {parts:?}");
            parts.push(Stop::Never);
            let run = folder.path().join(format!("{name}-{number}"));
            finetune_in_parts(&finetuning(), &data, start, &run, &parts);
            assert_same(&about, &outcome(&run, FINETUNE_STEPS), &expected);
        }
    }
}

/// A card that does its work as late and in as odd an order as one may; every other time another one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn card(number: usize, features: Element) -> Backend {
    let order = Order::ALL[number % Order::ALL.len()];
    Backend::Card(Card::new(Arc::new(Emulated::new(order)), features))
}

/// Of 30 pictures in batches of 4, two to an update: 6 updates. Images are small, as the emulator is slow.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn few(folder: &Path) -> (PathBuf, PretrainConfig, u64) {
    let data = folder.join("few");
    pictures::write(&data, 10);
    let mut config = pictures::pretraining(2, 4, 2);
    config.data.image_size = SMALL;
    (data, config, 6)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SMALL: [usize; 2] = [16, 16];

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn runs_on_a_card_resume_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config, all) = few(folder.path());
    let at = |name: &str, parts: &[Stop]| folder.path().join(format!("{name}-{}", parts.len()));
    let parts = [vec![Stop::Never], vec![Stop::Step(2), Stop::Step(3), Stop::Never]];
    let outcomes = parts.map(|parts| {
        let run = at("pretrained", &parts);
        let card = |number| card(number + parts.len(), Element::Bf16);
        pretrain_in_parts_on(card, &config, &data, &run, (&parts, all));
        outcome(&run, all)
    });
    assert_same("pre-training", &outcomes[1], &outcomes[0]);

    let mut config = finetuning();
    config.data.image_size = SMALL;
    let pretrained = at("pretrained", &[Stop::Never]);
    let within = Stop::Within(Work::Update, 4);
    let parts = [vec![Stop::Never], vec![Stop::Evaluation(3), within, Stop::Never]];
    let outcomes = parts.map(|parts| {
        let (run, start) = (at("finetuned", &parts), Start::Weights(&pretrained));
        let card = |number| card(number + parts.len(), Element::F32);
        finetune_in_parts_on(card, &config, &data, start, &run, &parts);
        outcome(&run, FINETUNE_STEPS)
    });
    assert_same("fine-tuning", &outcomes[1], &outcomes[0]);
}

/// From the processor to a card and back: checkpoints know of neither.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn checkpoints_move_between_devices_and_precisions() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config, all) = few(folder.path());
    let losses = |name: &str, backend: &dyn Fn(usize) -> Backend, parts: &[Stop]| {
        let run = folder.path().join(name);
        pretrain_in_parts_on(backend, &config, &data, &run, (parts, all));
        let logged = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let loss = |line: &str| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64();
        logged.lines().filter_map(loss).collect::<Vec<f64>>()
    };
    let expected = losses("cpu", &|_| Backend::Cpu, &[Stop::Never]);
    assert_eq!(expected.len() as u64, all);
    for (features, bound) in [(Element::F32, 1e-4), (Element::Bf16, 1e-2)] {
        let backend = |part: usize| if part == 1 { Backend::Cpu } else { card(part, features) };
        let parts = [Stop::Step(2), Stop::Step(4), Stop::Never];
        let found = losses(&format!("{features:?}"), &backend, &parts);
        assert_eq!(found.len(), expected.len());
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let apart = (found / expected - 1.0).abs();
            assert!(apart < bound, "{features:?}, step {step}: {found}, not {expected}");
        }
    }
}

/// Fault 1: stopped while it is fine-tuned without the GRN it was pre-trained with, or with one it was not.
#[test]
fn finetuning_with_another_grn_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 10);
    for (grn, before, after) in [
        (GrnChange::Drop, BlockKind::V2, BlockKind::V1),
        (GrnChange::Add, BlockKind::V1, BlockKind::V2),
    ] {
        let at = |name: &str| folder.path().join(format!("{name}-{}", grn.name()));
        let mut config = pretraining();
        config.model.block = before;
        let pretrained = at("pretrained");
        pretrain_in_parts(&config, &data, &pretrained, &[Stop::Step(2)]);

        let mut config = finetuning();
        config.finetune.grn = grn;
        let outcomes = [
            vec![Stop::Never],
            vec![Stop::Step(2), Stop::Evaluation(3), Stop::Within(Work::Update, 4), Stop::Never],
        ]
        .map(|parts| {
            let run = at(&format!("run-{}", parts.len()));
            finetune_in_parts(&config, &data, Start::Weights(&pretrained), &run, &parts);
            assert_eq!(Weights::open(&run).unwrap().description.model.block, after);
            let settings = std::fs::read_to_string(run.join("config.toml")).unwrap();
            let recorded: FinetuneConfig =
                from_recipe(Some(("config.toml", &settings)), &[]).unwrap();
            assert_eq!((recorded.model.block, recorded.finetune.grn), (after, grn));
            outcome(&run, FINETUNE_STEPS)
        });
        assert_same(grn.name(), &outcomes[1], &outcomes[0]);
    }
}

#[test]
fn finetuning_does_not_depend_on_its_workers() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 10);
    let mut outcomes = Vec::new();
    for workers in [0, 2] {
        let mut config = finetuning();
        config.data.workers = workers;
        let run = folder.path().join(format!("workers-{workers}"));
        finetune_in_parts(&config, &data, Start::Scratch, &run, &[Stop::Never]);
        outcomes.push(outcome(&run, FINETUNE_STEPS));
    }
    assert_same("with two workers", &outcomes[1], &outcomes[0]);
}

/// Fault 7: resuming with another configuration or other pictures.
#[test]
fn another_config_or_other_pictures_are_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let run = folder.path().join("run");
    pretrain_in_parts(&pretraining(), &data, &run, &[Stop::Step(2)]);
    let resume = |config: &PretrainConfig| {
        pretrain(config, slice::from_ref(&data), Start::Scratch, &run, true, &mut |event| {
            Stop::Step(3).flow(&event, &mut 0)
        })
    };

    let mut other = pretraining();
    other.optim.weight_decay = 0.5;
    other.mask.ratio = MaskRatio::Fixed(0.5);
    let error = resume(&other).unwrap_err().to_string();
    for line in [
        "- config.optim.weight_decay = 0.05",
        "+ config.optim.weight_decay = 0.5",
        "- config.mask.ratio = 0.6",
        "+ config.mask.ratio = 0.5",
    ] {
        assert!(error.contains(line), "{line} is not in: {error}");
    }

    // What changes no number of the run may change.
    let mut same = pretraining();
    same.data.workers = 0;
    same.save.keep = 1;
    assert_eq!(resume(&same).unwrap().step, 3);

    std::fs::remove_file(data.join("standing/002.png")).unwrap();
    let error = resume(&pretraining()).unwrap_err().to_string();
    assert!(error.contains("pictures: 1 fewer"), "{error}");
}

/// A setting that is newer than the run is, for the run, what it is by default.
#[test]
fn a_run_that_was_begun_without_a_setting_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let run = folder.path().join("run");
    pretrain_in_parts(&pretraining(), &data, &run, &[Stop::Step(2)]);
    let recorded = run.join("config.toml");
    let text = std::fs::read_to_string(&recorded).unwrap();
    let older = text.replace("reduced_decode = true\n", "").replace("clip_norm = 0.0\n", "");
    assert_eq!(older.lines().count() + 2, text.lines().count(), "{text}");
    std::fs::write(&recorded, older).unwrap();

    let resume = |config: &PretrainConfig, stop: u64| {
        let mut last = 0;
        pretrain(config, slice::from_ref(&data), Start::Scratch, &run, true, &mut |event| {
            Stop::Step(stop).flow(&event, &mut last)
        })
    };
    assert_eq!(resume(&pretraining(), 3).unwrap().step, 3);
    let mut other = pretraining();
    other.optim.clip_norm = 1.0;
    let error = resume(&other, 4).unwrap_err().to_string();
    assert!(error.contains("+ config.optim.clip_norm = 1.0"), "{error}");
}

#[test]
fn a_folder_in_use_for_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let run = folder.path().join("run");
    pretrain_in_parts(&pretraining(), &data, &run, &[Stop::Step(1)]);
    let before = outcome(&run, 1);
    let again =
        pretrain(&pretraining(), slice::from_ref(&data), Start::Scratch, &run, false, &mut |_| {
            Flow::Continue
        });
    assert!(matches!(again, Err(Error::Store(_))), "{again:?}");
    let resumed =
        finetune(&finetuning(), slice::from_ref(&data), Start::Scratch, &run, true, &mut |_| {
            Flow::Continue
        });
    assert!(matches!(resumed, Err(Error::Store(_))), "{resumed:?}");
    assert_same("after both were refused", &outcome(&run, 1), &before);
}
