//! What fine-tuning can be told beside its recipe, and what a run writes for people.

use std::path::{Path, PathBuf};
use std::slice;

use fcmae::Error;
use fcmae::config::{ClassWeights, FinetuneConfig, MaskedEncoder, PretrainConfig};
use fcmae::engine::backend::Backend;
use fcmae::engine::module::Network;
use fcmae::engine::ops;
use fcmae::engine::tensor::Tensor;
use fcmae::inference::reconstruct::Reconstructor;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::loss::weigh;
use fcmae::network::memory::Footprint;
use fcmae::training::{Event, Flow, LabelledData, Start, finetune, pretrain};
use fcmae::weights::Weights;
use fcmae_data::{Labels, PictureSet};
use serde_json::Value;

use crate::pictures;

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn run(config: &FinetuneConfig, data: &Path, out: &Path) -> fcmae::training::FinetuneOutcome {
    let data = [data.to_owned()];
    finetune(config, &data, Start::Scratch, out, false, &mut |_| Flow::Continue).unwrap()
}

#[test]
fn a_mean_or_deviation_that_pixels_cannot_have_is_refused() {
    let said = |set: &str, deep: bool| {
        let mut set = vec![set.to_owned()];
        if deep {
            set.push("data.depth=\"deep\"".to_owned());
        }
        let config = fcmae::config::from_recipe::<fcmae::config::PretrainConfig>(None, &set);
        config.map(drop).map_err(|error| error.to_string())
    };
    for wrong in [
        "data.mean=[123.7, 116.3, 103.5]",
        "data.std=[58.4, 57.1, 57.4]",
        "data.std=[0.0001, 0.2, 0.2]",
        "data.mean=[nan, 0.5, 0.5]",
    ] {
        let error = said(wrong, false).unwrap_err();
        assert!(error.contains("255"), "{wrong}: {error}");
    }
    assert_eq!(said("data.mean=[1.0, 0.0, 0.5]", false), Ok(()));
    assert_eq!(said("data.mean=[123.7, 116.3, 103.5]", true), Ok(()));
    assert_eq!(said("data.std=[58.4, 57.1, 57.4]", true), Ok(()));
}

#[test]
fn class_weights_are_scikit_learns_and_pytorchs() {
    // sklearn.utils.class_weight.compute_class_weight("balanced"): n / (classes · count).
    let balanced = ClassWeights::Balanced.weights(&[6, 3, 1]).unwrap();
    for (found, expected) in balanced.iter().zip([10.0 / 18.0, 10.0 / 9.0, 10.0 / 3.0]) {
        assert!((found - expected).abs() < 1e-12, "{balanced:?}");
    }
    let root = ClassWeights::Sqrt.weights(&[16, 0, 4]).unwrap();
    assert!((root[2] / root[0] - 2.0).abs() < 1e-12 && root[1] == 0.0, "{root:?}");
    assert!((16.0 * root[0] + 4.0 * root[2] - 20.0).abs() < 1e-12, "the mean is 1: {root:?}");
    assert!(ClassWeights::None.weights(&[1, 2]).is_none());

    // torch.nn.functional.cross_entropy(logits, targets, weight=weights) in float64.
    let logits = Tensor::new(vec![0.5, -1.0, 2.0, 1.5, 0.25, -0.75], [2, 3]);
    let mut targets = vec![0.1, 0.7, 0.2, 0.9, 0.05, 0.05];
    weigh(&mut targets, &[0.5, 2.0, 1.25]);
    let empty = Network::new(|_| ());
    let loss = empty.infer(|(), pass| ops::cross_entropy(pass, logits.clone(), &targets)).unwrap();
    let loss = loss.values()[0];
    assert!((f64::from(loss) - 2.576_695_588_789_545).abs() < 1e-6, "{loss}");
}

#[test]
fn classes_are_balanced_once() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 8);
    let mut config = pictures::finetuning(1, 4, 1);
    config.finetune.balanced = true;
    config.finetune.class_weights = ClassWeights::Sqrt;
    let train = |resume, config: &FinetuneConfig| {
        let data = slice::from_ref(&data);
        finetune(config, data, Start::Scratch, &run, resume, &mut |event| match event {
            Event::Step(_) => Flow::Stop,
            _ => Flow::Continue,
        })
    };
    let error = train(false, &config).unwrap_err().to_string();
    assert!(error.contains("`finetune.class_weights` cannot be `sqrt`"), "{error}");
    assert!(error.contains("set only one of the two"), "{error}");
    assert!(!run.exists());
    // A run that an earlier version began with both goes on.
    config.finetune.class_weights = ClassWeights::None;
    train(false, &config).unwrap();
    for (file, between) in [("config.toml", " = "), ("run.json", "\": ")] {
        let file = run.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        let of = |value| format!("class_weights{between}\"{value}\"");
        assert!(text.contains(&of("none")), "{text}");
        std::fs::write(&file, text.replace(&of("none"), &of("sqrt"))).unwrap();
    }
    config.finetune.class_weights = ClassWeights::Sqrt;
    train(true, &config).unwrap();
}

#[test]
fn frozen_parts_stay_and_the_rest_learns() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 8);
    let pretrained = folder.path().join("pretrained");
    let config = pictures::pretraining(1, 4, 1);
    pretrain(&config, slice::from_ref(&data), Start::Scratch, &pretrained, false, &mut |_| {
        Flow::Continue
    })
    .unwrap();
    let before = Weights::open(&pretrained).unwrap().tensors;

    for freeze in [1, 3, 4] {
        let mut config = pictures::finetuning(2, 4, 1);
        config.finetune.freeze = freeze;
        config.finetune.drop_path = 0.5;
        let run = folder.path().join(format!("freeze-{freeze}"));
        let start = Start::Weights(&pretrained);
        // Stopped and taken up again, since a checkpoint must not thaw anything.
        finetune(&config, slice::from_ref(&data), start, &run, false, &mut |event| match event {
            Event::Step(report) if report.step == 3 => Flow::Stop,
            _ => Flow::Continue,
        })
        .unwrap();
        finetune(&config, slice::from_ref(&data), start, &run, true, &mut |_| Flow::Continue)
            .unwrap();
        let after = Weights::open(&run).unwrap().tensors;
        let mut learned = 0;
        for (name, tensor) in &after {
            let Some(old) = before.get(name) else { continue };
            let stage = name.strip_prefix("stages.").and_then(|rest| rest[..1].parse().ok());
            let frozen = stage.map_or(name.starts_with("stem"), |stage: usize| stage < freeze);
            let same = old.data == tensor.data;
            assert!(same || !frozen, "freeze {freeze}: {name} changed");
            learned += usize::from(!same);
        }
        assert_eq!(learned > 0, freeze < 4, "freeze {freeze}: {learned} parameters changed");
        assert!(after.get("head.fc.weight").unwrap().data.iter().any(|v| v.abs() > 0.0));
    }
}

#[test]
fn training_ends_when_nothing_gets_better_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 10);
    let mut config = pictures::finetuning(40, 8, 1);
    config.finetune.held_out = 0.2;
    config.finetune.patience = 3;
    // A rate of next to nothing: no evaluation is better than the first.
    config.optim.base_lr = 1e-12;
    config.optim.min_lr = 0.0;
    let run_folder = folder.path().join("run");
    let mut notes = Vec::new();
    let mut train = |resume| {
        let data = slice::from_ref(&data);
        finetune(&config, data, Start::Scratch, &run_folder, resume, &mut |event| {
            if let Event::Note(note) = event {
                notes.push(note.to_owned());
            }
            Flow::Continue
        })
        .unwrap()
    };
    let outcome = train(false);
    // Three updates an epoch, an evaluation each: the first is the best, three more are not.
    assert!(outcome.finished && outcome.step == 4 * 3, "{outcome:?}");
    let again = train(true);
    assert!(again.finished && again.step == outcome.step, "it is over: {again:?}");
    assert!(notes[0].contains("no better top-1 in 3 evaluations"), "{notes:?}");
    assert!(run_folder.join("export/last").exists() && run_folder.join("export/best").exists());
}

#[test]
fn several_folders_are_one_set_and_labels_can_be_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    pictures::write(&one, 6);
    pictures::write_from(&two, 50, 6);
    let mut config = pictures::finetuning(1, 4, 1);
    config.finetune.held_out = 0.25;
    config.finetune.labels = 15.0;
    let out = folder.path().join("run");
    let data = [one, two];
    finetune(&config, &data, Start::Scratch, &out, false, &mut |_| Flow::Continue).unwrap();
    let summary = json(&out.join("data.json"));
    assert_eq!(summary["roots"].as_array().unwrap().len(), 2);
    assert_eq!((&summary["pictures"], &summary["held_out"]), (&15.into(), &9.into()));
    assert_eq!(summary["unused"], 12);
    for class in summary["classes"].as_array().unwrap() {
        assert_eq!((&class["training"], &class["held_out"]), (&5.into(), &3.into()), "{class}");
    }
    let environment = json(&out.join("environment.json"));
    assert!(environment["threads"].as_u64().unwrap() > 0);
    assert!(environment["started"].as_str().unwrap().ends_with('Z'), "{environment}");
}

#[test]
fn an_evaluation_is_written_down_with_its_surest_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 20);
    let mut config = pictures::finetuning(1, 8, 1);
    config.finetune.held_out = 0.5;
    // A rate of next to nothing: the network knows nothing.
    config.optim.base_lr = 1e-12;
    let out = folder.path().join("run");
    let outcome = run(&config, &data, &out);
    let found = json(&out.join("evaluation.json"));
    let images = found["images"].as_u64().unwrap();
    let rows = found["confusion"].as_array().unwrap();
    let counts = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|n| n.as_u64().unwrap());
    assert_eq!((images, counts.sum::<u64>()), (30, 30));
    assert_eq!(found["top1"].as_f64().unwrap(), outcome.last.unwrap().top1);

    let mistakes = found["mistakes"].as_array().unwrap();
    let wrong = images - (outcome.last.unwrap().top1 * 30.0).round() as u64;
    assert_eq!(mistakes.len() as u64, wrong.min(24));
    assert!(!mistakes.is_empty(), "a network that knows nothing is wrong");
    let sure: Vec<f64> =
        mistakes.iter().map(|mistake| mistake["probability"].as_f64().unwrap()).collect();
    assert!(sure.is_sorted_by(|a, b| a >= b) && sure.iter().all(|p| (0.3..=1.0).contains(p)));
    let folder = PictureSet::open(&data, Labels::Required).unwrap();
    for mistake in mistakes {
        assert_ne!(mistake["truth"], mistake["predicted"]);
        let path = mistake["path"].as_str().unwrap();
        let index = (0..folder.len()).find(|&i| folder.path(i) == Path::new(path)).unwrap();
        let class = &folder.classes[folder.samples[index].label.unwrap()];
        assert_eq!(mistake["truth"], class.as_str());
        let picture = out.join(mistake["picture"].as_str().unwrap());
        assert_eq!(image::open(picture).unwrap().width(), 32);
    }
}

#[test]
fn pretraining_draws_what_it_makes_of_hidden_patches() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 4);
    let mut config = pictures::pretraining(4, 4, 1);
    config.figures.every_epochs = 2;
    config.figures.pictures = 3;
    let out = folder.path().join("run");
    pretrain(&config, slice::from_ref(&data), Start::Scratch, &out, false, &mut |_| Flow::Continue)
        .unwrap();
    let mut names: Vec<String> = std::fs::read_dir(out.join("figures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["reconstruction-step-00000006.png", "reconstruction-step-00000012.png"]);
    let [first, last] = [&names[0], &names[1]]
        .map(|name| image::open(out.join("figures").join(name)).unwrap().into_rgb8());
    assert!(first.height() > 3 * 32 && first != last, "the network has learned between them");
}

#[test]
fn a_run_is_reconstructed_with_the_encoder_it_was_trained_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 4);
    for encoder in [MaskedEncoder::Sparse, MaskedEncoder::Dense] {
        let mut config = pictures::pretraining(2, 4, 1);
        config.mask.encoder = encoder;
        let run = folder.path().join(format!("{encoder:?}"));
        pretrain(&config, slice::from_ref(&data), Start::Scratch, &run, false, &mut |_| {
            Flow::Continue
        })
        .unwrap();
        let picture = data.join("lying/001.png");
        let loss =
            |reconstructor: Reconstructor| reconstructor.reconstruct(&picture, 0, 3).unwrap().loss;
        let of_the_run = loss(Reconstructor::open(&run, &Backend::Cpu).unwrap());
        for other in [MaskedEncoder::Sparse, MaskedEncoder::Dense] {
            let weights = Weights::open(&run).unwrap();
            let (_, masking) = weights.autoencoder().unwrap();
            assert_eq!(masking, config.mask);
            let build = |names: &mut _| {
                Autoencoder::new(names, &config.model, &config.decoder).encoding(other)
            };
            let network = Network::load(build, &weights.tensors).unwrap();
            let found = loss(Reconstructor::new(network, masking, weights.description).unwrap());
            let same = found == of_the_run;
            assert_eq!(same, other == encoder, "{encoder:?}, {other:?}: {found}, {of_the_run}");
        }
    }
}

/// A program that sets fields itself may forget to resolve them.
#[test]
fn settings_are_checked_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 4);
    let refused = |config: &PretrainConfig| {
        let data = slice::from_ref(&data);
        let run = pretrain(config, data, Start::Scratch, &out, false, &mut |_| Flow::Continue);
        let Err(Error::Config(error)) = run else { panic!("{run:?}") };
        assert!(!out.exists(), "nothing was begun");
        error.to_string()
    };
    let mut config = pictures::pretraining(1, 4, 1);
    config.model.size = "colossal".to_owned();
    assert!(refused(&config).contains("unknown model size `colossal`"));
    let mut config = pictures::pretraining(1, 4, 1);
    config.optim.weight_decay = f64::INFINITY;
    assert!(refused(&config).contains("`optim.weight_decay` is inf"));
}

#[test]
fn what_memory_cannot_hold_is_refused_with_batches_that_fit() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 4);
    let mut config = pictures::pretraining(1, 1 << 29, 1);
    config.model.widths = [64; 4];
    let out = folder.path().join("run");
    let error = pretrain(&config, &[data], Start::Scratch, &out, false, &mut |_| Flow::Continue)
        .unwrap_err();
    let Error::Memory { needed, free, remedy } = &error else { panic!("{error}") };
    let [batch, accumulation] = remedy.batch.unwrap();
    assert!(needed > free && batch * accumulation == 1 << 29 && batch < 1 << 29, "{batch}");
    assert!(!out.exists(), "nothing was begun");
    // What is advised is not refused in its turn.
    let memory = config.memory(&Backend::Cpu).unwrap();
    assert!(memory.with(batch) <= *free && memory.with(config.optim.batch) == *needed);
    let text = error.to_string();
    assert!(text.contains("check_memory=false") && text.contains("optim.batch="), "{text}");
}

/// What is copied to save and to export.
#[test]
fn a_saves_copies_are_counted() {
    let config = pictures::pretraining(1, 4, 1);
    let parameters = |config: &PretrainConfig| {
        let build = |names: &mut _| Autoencoder::new(names, &config.model, &config.decoder);
        let named = Network::new(build).to_named().unwrap();
        named.elements() as u64
    };
    let mut wide = config.clone();
    wide.model.widths = wide.model.widths.map(|width| 4 * width);
    let fixed = |config: &PretrainConfig| config.memory(&Backend::Cpu).unwrap().fixed;
    let more = parameters(&wide) - parameters(&config);
    // Weights, gradients, two moments; and the weights four times.
    let found = fixed(&wide) - fixed(&config);
    assert!(found >= 8 * 4 * more, "{found} bytes for {more} parameters more");
}

#[test]
fn pictures_of_their_own_are_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let [data, others, out] = ["data", "others", "out"].map(|name| folder.path().join(name));
    pictures::write(&data, 8);
    // Of two classes alone, in another order on the disk.
    pictures::write_from(&others, 8, 4);
    std::fs::remove_dir_all(others.join("lying")).unwrap();
    let mut config = pictures::finetuning(2, 6, 1);
    config.finetune.held_out = 0.5;
    let (training, held_out) = ([data.clone()], [others.clone()]);
    let train = |held_out: &[PathBuf], out: &Path, resume| {
        let data = LabelledData { training: &training, held_out };
        finetune(&config, data, Start::Scratch, out, resume, &mut |_| Flow::Continue)
    };
    let outcome = train(&held_out, &out, false).unwrap();
    assert_eq!(outcome.last.unwrap().pictures, 8);
    let recorded = json(&out.join("data.json"));
    let whole = |key: &str| recorded[key].as_u64().unwrap();
    assert_eq!((whole("pictures"), whole("held_out"), whole("unused")), (24, 8, 0));
    assert_eq!(recorded["held_out_roots"][0].as_str().unwrap(), others.to_str().unwrap());
    let split = std::fs::read_to_string(out.join("split.csv")).unwrap();
    assert!(!split.contains("held_out") && split.lines().count() == 25, "{split}");

    // Other held-out pictures are another run.
    let error = train(&[], &out, true).unwrap_err().to_string();
    assert!(error.contains("--held-out"), "{error}");
    train(&held_out, &out, true).unwrap();

    // What is trained on is not held out, whatever way leads there.
    for shared in [data.clone(), data.join("../data/lying/..")] {
        let error = train(&[shared], &folder.path().join("shared"), false).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("24 of 24 pictures") && error.contains("--held-out"), "{error}");
    }
    // Nor a copy of it.
    let copies = folder.path().join("copies");
    std::fs::create_dir_all(copies.join("lying")).unwrap();
    std::fs::copy(data.join("lying/003.png"), copies.join("lying/another.png")).unwrap();
    let error = train(&[copies], &folder.path().join("copied"), false).unwrap_err().to_string();
    assert!(error.contains("1 of 1 picture to be held out is trained on"), "{error}");
    // Nor its neighbours: both sets have pictures of the classes' folders.
    let mut grouped = config.clone();
    grouped.data.group = "^[^/]+".to_owned();
    let data_and_others = LabelledData { training: &training, held_out: &held_out };
    let never = folder.path().join("never");
    let error =
        finetune(&grouped, data_and_others, Start::Scratch, &never, false, &mut |_| Flow::Continue);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("2 of 2 groups") && error.contains("\"diagonal\""), "{error}");
    // To be patient takes pictures to look at.
    let mut patient = config.clone();
    (patient.finetune.held_out, patient.finetune.patience) = (0.0, 3);
    let error =
        finetune(&patient, &training, Start::Scratch, &never, false, &mut |_| Flow::Continue);
    assert!(error.unwrap_err().to_string().contains("`finetune.patience`"));
    assert!(!never.exists());
    let stranger = folder.path().join("strangers");
    std::fs::create_dir(&stranger).unwrap();
    std::fs::rename(others.join("standing"), stranger.join("stood")).unwrap();
    let error = train(&[stranger], &folder.path().join("strange"), false).unwrap_err().to_string();
    assert!(error.contains("stood") && error.contains("standing"), "{error}");
}

#[test]
fn another_share_than_the_one_asked_for_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 2);
    let others = folder.path().join("others");
    pictures::write_from(&others, 2, 12);
    for class in 0..6 {
        let folder = data.join(format!("other{class}"));
        std::fs::create_dir(&folder).unwrap();
        for (number, name) in ["000.png", "001.png"].into_iter().enumerate() {
            let other = format!("lying/{:03}.png", 2 + 2 * class + number);
            std::fs::copy(others.join(other), folder.join(name)).unwrap();
        }
    }
    let notes = |group: &str, out: &str| {
        let mut config = pictures::finetuning(1, 3, 1);
        (config.finetune.held_out, config.data.group) = (0.1, group.to_owned());
        let mut notes = Vec::new();
        let out = folder.path().join(out);
        let data = [data.clone()];
        finetune(&config, &data, Start::Scratch, &out, false, &mut |event| {
            if let Event::Note(text) = event {
                notes.push(text.to_owned());
            }
            Flow::Continue
        })
        .unwrap();
        notes.concat()
    };
    let halved = notes("", "halved");
    assert!(halved.contains("9 of 18 pictures are held out, 50%"), "{halved}");
    assert!(
        halved.contains("instead of the 10% of `finetune.held_out`: each class with two"),
        "{halved}"
    );
    let grouped = notes("([0-9]+).png", "grouped");
    assert!(grouped.contains("9 of 18 pictures") && grouped.contains("`data.group`"), "{grouped}");
    assert!(
        grouped.contains("18 pictures in 2 groups by `data.group`, such as \"000\""),
        "{grouped}"
    );
    // Both groups have all classes.
    assert!(!grouped.contains("no held-out picture"), "{grouped}");
    std::fs::create_dir(data.join("none")).unwrap();
    std::fs::remove_file(data.join("lying/001.png")).unwrap();
    let single = notes("", "single");
    assert!(
        single.contains("1 of 9 classes has no held-out picture, such as \"lying\""),
        "{single}"
    );
    assert!(single.contains("1 folder without a picture is no class: none"), "{single}");
    let alone = notes(".+", "alone");
    assert!(alone.contains("in 17 groups") && alone.contains("its own group"), "{alone}");
}

/// A list of the pictures below a folder, with a patient for each.
fn list_of_patients(data: &Path, patient: &dyn Fn(usize) -> String) -> PathBuf {
    let mut text = "path,label,patient\n".to_owned();
    for class in ["diagonal", "lying", "standing"] {
        for number in 0..12 {
            text += &format!("{class}/{number:03}.png,{class},{}\n", patient(number));
        }
    }
    let list = data.join("list.csv");
    std::fs::write(&list, text).unwrap();
    list
}

fn notes_of(
    config: &FinetuneConfig,
    data: &Path,
    out: &Path,
    resume: bool,
) -> fcmae::Result<String> {
    let mut notes = Vec::new();
    let data = [data.to_owned()];
    finetune(config, &data, Start::Scratch, out, resume, &mut |event| {
        if let Event::Note(text) = event {
            notes.push(text.to_owned());
        }
        Flow::Continue
    })?;
    Ok(notes.join("\n"))
}

/// Paths of what a run kept aside, and of what it trained on.
fn sides(run: &Path) -> [Vec<String>; 2] {
    let split = std::fs::read_to_string(run.join("split.csv")).unwrap();
    ["held_out", "training"].map(|part| {
        let of = split.lines().filter(|line| line.ends_with(&format!(",{part}")));
        of.map(|line| line.split_once(',').unwrap().0.to_owned()).collect()
    })
}

/// Groups: a column that may tell patients is named, and keeps them on one side once it is used.
#[test]
fn patients_of_a_column_are_on_one_side() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 12);
    let list = list_of_patients(&data, &|number| format!("P{}", number / 3));
    let mut config = pictures::finetuning(1, 6, 1);
    config.finetune.held_out = 0.25;
    let plain = folder.path().join("plain");
    let notes = notes_of(&config, &list, &plain, false).unwrap();
    assert!(notes.contains("--set data.group_column=patient"), "{notes}");

    config.data.group_column = "patient".to_owned();
    let out = folder.path().join("out");
    let notes = notes_of(&config, &list, &out, false).unwrap();
    assert!(notes.contains("36 pictures in 4 groups by the column \"patient\""), "{notes}");
    assert!(!notes.contains("may say"), "{notes}");
    let patients = |paths: &[String]| -> std::collections::BTreeSet<usize> {
        paths
            .iter()
            .map(|path| path[path.len() - 7..path.len() - 4].parse::<usize>().unwrap() / 3)
            .collect()
    };
    let [aside, trained] = sides(&out);
    assert_eq!((aside.len(), trained.len()), (9, 27));
    assert!(patients(&aside).is_disjoint(&patients(&trained)), "{aside:?}");
    let text = std::fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(text.contains("group_column = \"patient\""), "{text}");

    // The same patients on both sides, given apart.
    let aside = folder.path().join("aside");
    pictures::write_from(&aside, 20, 12);
    std::fs::write(
        aside.join("list.csv"),
        "path,label,patient\nlying/020.png,lying,P3\nlying/021.png,lying,P9\n",
    )
    .unwrap();
    let sets =
        LabelledData { training: slice::from_ref(&list), held_out: &[aside.join("list.csv")] };
    let never = folder.path().join("never");
    let error = finetune(&config, sets, Start::Scratch, &never, false, &mut |_| Flow::Continue);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("1 of 2 groups") && error.contains("\"P3\" (data.group_column)"),
        "{error}"
    );

    // Without the setting the column is told, and what it would do to sets that are apart.
    config.data.group_column.clear();
    let told = |aside: &Path, out: &str| {
        let mut notes = String::new();
        let held_out = [aside.to_owned()];
        let sets = LabelledData { training: slice::from_ref(&list), held_out: &held_out };
        let out = folder.path().join(out);
        finetune(&config, sets, Start::Scratch, &out, false, &mut |event| {
            if let Event::Note(text) = event {
                notes += text;
            }
            Flow::Continue
        })
        .unwrap();
        notes
    };
    let notes = told(&aside.join("list.csv"), "apart");
    assert!(notes.contains("group_column=patient refuses values"), "{notes}");
    assert!(!notes.contains("on one side"), "{notes}");
    // With it, those that are held out need it too; and a pattern has to find a group in each.
    config.data.group_column = "patient".to_owned();
    let refused = |config: &FinetuneConfig| {
        let held_out = [aside.clone()];
        let sets = LabelledData { training: slice::from_ref(&list), held_out: &held_out };
        let outcome =
            finetune(config, sets, Start::Scratch, &never, false, &mut |_| Flow::Continue);
        outcome.unwrap_err().to_string()
    };
    let error = refused(&config);
    assert!(error.contains("--held-out needs the column"), "{error}");
    (config.data.group_column, config.data.group) = (String::new(), "/0[01]".to_owned());
    let error = refused(&config);
    assert!(error.starts_with("--held-out: data.group is /0[01], which 36 of 36"), "{error}");

    // Both ways to tell are one too many.
    config.data.group_column = "patient".to_owned();
    config.data.group = "[0-9]+".to_owned();
    let error = notes_of(&config, &list, &never, false).unwrap_err().to_string();
    assert!(error.contains("data.group_column") && error.contains("set only one"), "{error}");
    assert!(!never.exists());
}

/// Copies: of two classes they are told, of one they are kept on one side; a run that is taken up again has the sides
/// that it was begun with.
#[test]
fn copies_are_told_and_kept_on_one_side() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 10);
    let copy = |from: &str, to: &str| std::fs::copy(data.join(from), data.join(to)).unwrap();
    copy("lying/000.png", "standing/100.png");
    for number in 0..10 {
        copy(&format!("diagonal/{number:03}.png"), &format!("diagonal/{:03}.png", 100 + number));
    }
    let mut config = pictures::finetuning(1, 6, 2);
    config.finetune.held_out = 0.3;
    let out = folder.path().join("out");
    let notes = notes_of(&config, &data, &out, false).unwrap();
    let says = |text: &str| assert!(notes.contains(text), "{text} in {notes}");
    says("1 picture is in several classes");
    says("lying/000.png (\"lying\") and ");
    says("standing/100.png (\"standing\")");
    says("11 pictures are copies of others (byte for byte), such as ");
    let [aside, _] = sides(&out);
    let twin = |path: &String| match path.strip_prefix("diagonal/") {
        Some(name) if name.starts_with('0') => format!("diagonal/1{}", &name[1..]),
        Some(name) => format!("diagonal/0{}", &name[1..]),
        None => path.clone(),
    };
    assert!(aside.iter().all(|path| aside.contains(&twin(path))), "{aside:?}");
    assert!(aside.iter().any(|path| path.starts_with("diagonal/1")), "{aside:?}");
    assert!(!aside.contains(&"lying/000.png".to_owned()), "{aside:?}");

    // As another version may have recorded it.
    let recorded = std::fs::read_to_string(out.join("split.csv")).unwrap();
    let [first_aside, second] = [&aside[0], &sides(&out)[1][0]].map(Clone::clone);
    let other: String = recorded
        .lines()
        .map(|line| match line {
            line if line.starts_with(&first_aside) => line.replace("held_out", "training") + "\n",
            line if line.starts_with(&second) => line.replace("training", "held_out") + "\n",
            line => format!("{line}\n"),
        })
        .collect();
    assert_ne!(other, recorded);
    std::fs::write(out.join("split.csv"), &other).unwrap();
    let facts = std::fs::read_to_string(out.join("data.json")).unwrap();
    let hash = fcmae_data::source::Split::read(&out.join("split.csv")).unwrap().hash();
    let known = facts.split("\"split\": \"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::write(out.join("data.json"), facts.replace(known, &hash)).unwrap();
    notes_of(&config, &data, &out, true).unwrap();
    assert_eq!(std::fs::read_to_string(out.join("split.csv")).unwrap(), other);

    // Cut at the end of a line, with parts changed, or exchanged for one with as many in each, it would be another set.
    let cut: String = other.lines().take(20).map(|line| format!("{line}\n")).collect();
    for wrong in [cut, other.replace("held_out", "training"), recorded] {
        std::fs::write(out.join("split.csv"), &wrong).unwrap();
        let error = notes_of(&config, &data, &out, true).unwrap_err().to_string();
        assert!(error.contains("split.csv") && error.contains("put the original back"), "{error}");
    }

    // A damaged record of the pictures says nothing about them, so the run does not go on.
    std::fs::write(out.join("split.csv"), &other).unwrap();
    let facts = std::fs::read_to_string(out.join("data.json")).unwrap();
    for damaged in ["", "null", facts.split_at(facts.len() / 2).0] {
        std::fs::write(out.join("data.json"), damaged).unwrap();
        let error = notes_of(&config, &data, &out, true).unwrap_err().to_string();
        assert!(error.contains("data.json cannot be read: "), "{error}");
        assert!(error.contains("restore it from a copy"), "{error}");
    }
    std::fs::write(out.join("data.json"), facts).unwrap();
    notes_of(&config, &data, &out, true).unwrap();
}
