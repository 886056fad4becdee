//! The one way to infer: an answer belongs to its picture alone, however it is asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fcmae::Error;
use fcmae::config::{DataConfig, ModelConfig};
use fcmae::data::source::printable;
use fcmae::data::{Input, Inputs, Labels, Limits, Picture, PictureSet, decode};
use fcmae::engine::backend::{Backend, Precision};
use fcmae::engine::device::Device;
use fcmae::engine::module::Network;
use fcmae::engine::tensor::Tensor;
use fcmae::inference::Inference;
use fcmae::inference::embed::Backbone;
use fcmae::inference::evaluate::EvaluationSet;
use fcmae::network::model::Classifier;
use fcmae::weights::{Description, Weights};
use fcmae_store::safetensors;

use crate::{fill, pictures};

/// More than go through a network at a time.
const PER_CLASS: usize = 7;

/// Wide enough that passes of few rows and of many take different ways through the kernels.
fn model() -> ModelConfig {
    ModelConfig::custom([1, 1, 2, 1], [40, 80, 160, 320])
}

fn description() -> Description {
    let data = DataConfig { image_size: [64, 64], ..DataConfig::default() };
    let classes = pictures::CLASSES.map(str::to_owned).to_vec();
    Description { classes, ..Description::new(&model(), &data) }
}

fn network() -> Network<Classifier> {
    fill::network(|names| Classifier::new(names, &model(), pictures::CLASSES.len()))
}

fn classifier() -> Inference<Classifier> {
    Inference::new(network(), description())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    pictures::write(folder, PER_CLASS);
    let set = PictureSet::open(folder, Labels::Ignored).unwrap();
    (0..set.len()).map(|index| set.path(index)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Each picture's logits, computed alone.
fn alone(classifier: &Inference<Classifier>, files: &[PathBuf]) -> Vec<Vec<u32>> {
    let logits = |file: &PathBuf| {
        let image = classifier.preparation().input(file).unwrap();
        bits(classifier.network().logits(&image).unwrap().values())
    };
    files.iter().map(logits).collect()
}

fn logits(classifier: &Inference<Classifier>, inputs: impl Into<Inputs>) -> Vec<Vec<u32>> {
    classifier.logits(inputs).unwrap().map(|row| bits(&row.unwrap())).collect()
}

#[test]
fn a_picture_has_the_same_logits_alone_in_a_batch_and_by_every_way_in() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let classifier = classifier();
    let expected = alone(&classifier, &files);
    assert_ne!(expected[0], expected[1], "pictures differ");

    assert_eq!(logits(&classifier, files.clone()), expected, "files");
    let bytes = |file: &PathBuf| std::fs::read(file).unwrap();
    let encoded: Inputs =
        files.iter().map(|file| Input::Bytes { name: file.clone(), bytes: bytes(file) }).collect();
    assert_eq!(logits(&classifier, encoded), expected, "bytes");
    let decoded: Inputs = files
        .iter()
        .map(|file| {
            let picture = decode::decode(&bytes(file), 3, &Limits::default()).unwrap();
            Input::Picture { name: file.clone(), picture: Arc::new(picture) }
        })
        .collect();
    assert_eq!(logits(&classifier, decoded), expected, "decoded pictures");
    let set = PictureSet::open(folder.path(), Labels::Ignored).unwrap();
    assert_eq!(logits(&classifier, Arc::new(set)), expected, "a set");
    assert!(logits(&classifier, Vec::<PathBuf>::new()).is_empty());
}

#[test]
fn a_picture_that_cannot_be_used_is_named_in_its_place_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let classifier = classifier();
    let good = alone(&classifier, &files);
    let grey = Arc::new(Picture::new(2, 2, 1, vec![0; 4]).unwrap());
    let bad = |place: usize| match place {
        2 => Some(Input::Bytes { name: "cut.png".into(), bytes: vec![137, 80, 78, 71] }),
        3 => Some(Input::from(&folder.path().join("gone.png"))),
        17 => Some(Input::Picture { name: "grey.png".into(), picture: Arc::clone(&grey) }),
        _ => None,
    };
    let inputs: Inputs = files
        .iter()
        .enumerate()
        .map(|(place, file)| bad(place).unwrap_or_else(|| Input::from(file)))
        .collect();
    let answers: Vec<_> = classifier.logits(inputs).unwrap().collect();
    assert_eq!(answers.len(), files.len());
    for (place, answer) in answers.into_iter().enumerate() {
        match (place, answer) {
            (2 | 3 | 17, Ok(_)) => panic!("picture {place} cannot have an answer"),
            (2, Err(error)) => assert!(error.to_string().starts_with("cut.png: "), "{error}"),
            (3, Err(error)) => assert!(error.to_string().contains("gone.png: cannot"), "{error}"),
            (17, Err(error)) => assert!(error.to_string().contains("has 1 channel,"), "{error}"),
            (_, answer) => assert_eq!(bits(&answer.unwrap()), good[place], "picture {place}"),
        }
    }
    let none: Inputs = [bad(2).unwrap(), bad(3).unwrap()].into_iter().collect();
    assert!(classifier.logits(none).unwrap().all(|answer| answer.is_err()), "nothing but bad ones");
}

#[test]
fn eight_threads_share_a_network() {
    fn shared<T: Send + Sync>(shared: T) -> T {
        shared
    }
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let classifier = shared(classifier());
    let expected = alone(&classifier, &files);
    std::thread::scope(|scope| {
        let ask = || logits(&classifier, files.clone());
        let threads = [(); 8].map(|()| scope.spawn(ask));
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
}

#[test]
#[should_panic(expected = "15 results of 16 pictures")]
fn a_forward_pass_that_leaves_a_picture_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let classifier = classifier();
    let answers = classifier
        .answers(files(folder.path()), |_, images| Ok(vec![(); images.dims::<4>()[0] - 1]));
    answers.unwrap().for_each(drop);
}

#[test]
fn after_a_panic_no_answer_is_another_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, files) = (classifier(), files(folder.path()));
    let mut batches = 0;
    let mut answers = classifier
        .answers(files.clone(), |_, images| {
            batches += 1;
            assert!(batches > 1, "the first batch fails");
            Ok(vec![(); images.dims::<4>()[0]])
        })
        .unwrap();
    let first = catch_unwind(AssertUnwindSafe(|| answers.next()));
    assert!(first.is_err());
    assert!(answers.next().is_none(), "nothing more comes");
}

/// A card that fails, or a loader, is no matter of one picture: nobody goes on as if it were.
#[test]
fn an_error_of_what_computes_pictures_comes_once_and_last() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, mut files) = (classifier(), files(folder.path()));
    let broken = folder.path().join("broken.jpg");
    std::fs::write(&broken, "no picture").unwrap();
    files.insert(0, broken);
    let fails = || Error::Unusable("the card has failed".to_owned());
    let answers = classifier.answers(files.clone(), |_, _| Err::<Vec<()>, _>(fails())).unwrap();
    let answers: Vec<_> = answers.collect();
    let [Err(error)] = &answers[..] else { panic!("{answers:?}") };
    assert!(!error.is_of_picture() && error.to_string() == fails().to_string(), "{error}");
    // A picture that cannot be used is one of many.
    let answers = classifier.logits(files.clone()).unwrap();
    let bad: Vec<_> = answers.filter_map(Result::err).collect();
    assert!(bad.len() == 1 && bad[0].is_of_picture(), "{bad:?}");
}

#[test]
fn answers_that_are_no_numbers_are_an_error_of_their_picture() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let mut network = network();
    let bias = network.layout().get("head.fc.bias").unwrap();
    network.weights_mut().get_mut(bias)[0] = f32::NAN;
    let classifier = Inference::new(network, description());
    for error in classifier.probabilities(files.clone()).unwrap().zip(&files) {
        let (answer, file) = error;
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::NoNumbers { .. }), "{error}");
        assert!(error.to_string().contains(&printable(file)), "{error}");
    }
}

#[test]
fn classes_that_tie_count_as_a_prediction_names_them() {
    let folder = tempfile::tempdir().unwrap();
    pictures::write(folder.path(), 2);
    let mut network = network();
    for part in ["head.fc.weight", "head.fc.bias"] {
        let part = network.layout().get(part).unwrap();
        network.weights_mut().get_mut(part).fill(0.0);
    }
    let set = PictureSet::open(folder.path(), Labels::Required).unwrap();
    let mut set = EvaluationSet::new(Arc::new(set), &description(), 4, &Backend::Cpu).unwrap();
    let found = set.evaluate(&network, |_, _| true).unwrap().unwrap();
    assert_eq!(found.confusion.table(), [[2, 0, 0], [2, 0, 0], [2, 0, 0]]);
    assert_eq!(found.top1, 1.0 / 3.0);
    assert!(found.caveat().is_some_and(|caveat| caveat.contains("all answers are the same")));
}

#[test]
fn pictures_without_labels_cannot_be_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    pictures::write(folder.path(), 1);
    let set = PictureSet::open(folder.path(), Labels::Ignored).unwrap();
    let error = EvaluationSet::new(Arc::new(set), &description(), 4, &Backend::Cpu)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("no picture has a label"), "{error}");
}

#[test]
fn probabilities_sum_to_one_and_follow_the_logits() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let classifier = classifier();
    let logits = classifier.logits(files.clone()).unwrap();
    for (row, logits) in classifier.probabilities(files.clone()).unwrap().zip(logits) {
        let (row, logits) = (row.unwrap(), logits.unwrap());
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        let ratio = (row[0] / row[1]).ln();
        assert!((ratio - (logits[0] - logits[1])).abs() < 1e-4, "{row:?}, {logits:?}");
    }
}

#[test]
fn embeddings_and_maps_are_those_of_each_picture_alone() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let file = folder.path().join("model.safetensors");
    safetensors::save(&file, &network().to_named().unwrap(), &Default::default()).unwrap();
    let weights = Weights::open(&file).unwrap();
    let backbone = Inference::<Backbone>::open(&weights, &Backend::Cpu).unwrap();
    let embeddings = backbone.embeddings(files.clone()).unwrap();
    let maps = backbone.maps(files.clone()).unwrap();
    let mut seen = 0;
    for ((file, embedding), maps) in files.iter().zip(embeddings).zip(maps) {
        let image = backbone.preparation().input(file).unwrap();
        let (network, maps) = (backbone.network(), maps.unwrap());
        assert_eq!(bits(&embedding.unwrap()), bits(network.embed(&image).unwrap().values()));
        let expected = network.maps(&image).unwrap();
        assert_eq!(maps.each_ref().map(shape), expected.each_ref().map(shape));
        assert_eq!(maps.map(|map| bits(map.values())), expected.map(|map| bits(map.values())));
        seen += 1;
    }
    assert_eq!(seen, files.len());
}

#[test]
fn patches_are_the_maps_of_their_stage() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = files(folder.path());
    let file = folder.path().join("model.safetensors");
    safetensors::save(&file, &network().to_named().unwrap(), &Default::default()).unwrap();
    let weights = Weights::open(&file).unwrap();
    let backbone = Inference::<Backbone>::open(&weights, &Backend::Cpu).unwrap();
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, "no picture").unwrap();
    files.insert(1, broken);
    for stage in 0..4 {
        let maps = backbone.maps(files.clone()).unwrap();
        let patches = backbone.patches(files.clone(), stage).unwrap();
        let mut good = 0;
        for (place, (maps, patches)) in maps.zip(patches).enumerate() {
            assert_eq!((maps.is_err(), patches.is_err()), (place == 1, place == 1));
            let (Ok(maps), Ok(patches)) = (maps, patches) else { continue };
            assert_eq!(shape(&patches), shape(&maps[stage]));
            assert_eq!(bits(patches.values()), bits(maps[stage].values()));
            good += 1;
        }
        assert_eq!(good, files.len() - 1);
    }
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.shape().to_vec()
}

#[test]
fn an_image_size_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    safetensors::save(&file, &network().to_named().unwrap(), &Default::default()).unwrap();
    let mut weights = Weights::open(&file).unwrap();
    weights.description.image_size = [64, 70];
    let error = Inference::<Classifier>::open(&weights, &Backend::Cpu).unwrap_err().to_string();
    assert!(error.contains("model.safetensors") && error.contains("64×70"), "{error}");
}

#[test]
fn what_a_device_does_not_have_is_refused() {
    assert!(Backend::open(Device::Cuda(99), Precision::Auto).is_err());
    let bf16 = Backend::open(Device::Cpu, Precision::Bf16).unwrap_err().to_string();
    assert!(bf16.contains("`precision` cannot be `bf16`"), "{bf16}");
}
