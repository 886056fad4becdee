//! A pre-training that is watched with labelled pictures: the same training, and a record of what its features tell.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use fcmae::config::PretrainConfig;
use fcmae::engine::backend::Backend;
use fcmae::inference::Inference;
use fcmae::inference::embed::{Backbone, Features};
use fcmae::training::{
    Event, Flow, PretrainData, PretrainOutcome, Start, WatchReport, Work, pretrain, pretrain_on,
};
use fcmae::weights::Weights;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae_cuda::{card::Card, work::Element};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae_cuda_emulator::{Emulated, Order};
use fcmae_data::{Labels, PictureSet};
use fcmae_vectors::Vectors;
use fcmae_vectors::probe::{Labelled, Probe};
use fcmae_vectors::validate::accuracy;

use crate::pictures;
use crate::resume::{assert_same, outcome};

/// 30 pictures to train on, 24 others to watch; four updates an epoch.
struct Fixture {
    folder: tempfile::TempDir,
    config: PretrainConfig,
}

#[derive(Default)]
struct Told {
    notes: Vec<String>,
    watched: Vec<WatchReport>,
}

impl Told {
    fn notes_with(&self, part: &str) -> usize {
        self.notes.iter().filter(|note| note.contains(part)).count()
    }
}

impl Fixture {
    fn new(epochs: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        pictures::write(&folder.path().join("data"), 10);
        pictures::write_from(&folder.path().join("watched"), 50, 8);
        let mut config = pictures::pretraining(epochs, 7, 1);
        config.watch.every_epochs = 1;
        Self { folder, config }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn part(
        &self,
        backend: &Backend,
        run: &str,
        watched: &[PathBuf],
        resume: bool,
        mut also: impl FnMut(&Event<'_>) -> Flow,
    ) -> (fcmae::Result<PretrainOutcome>, Told) {
        let mut told = Told::default();
        let data = self.at("data");
        let data = PretrainData { training: slice::from_ref(&data), watched };
        let run = self.at(run);
        let mut observer = |event: Event<'_>| {
            match &event {
                Event::Note(note) => told.notes.push((*note).to_owned()),
                Event::Watched(report) => told.watched.push(**report),
                _ => {}
            }
            also(&event)
        };
        let outcome =
            pretrain_on(backend, &self.config, data, Start::Scratch, &run, resume, &mut observer);
        (outcome, told)
    }

    /// On the processor, to the end.
    fn whole(&self, run: &str, watched: &[PathBuf], resume: bool) -> (PretrainOutcome, Told) {
        let (outcome, told) = self.part(&Backend::Cpu, run, watched, resume, |_| Flow::Continue);
        (outcome.unwrap(), told)
    }

    fn refused(&self, watched: &Path, resume: bool) -> String {
        let watched = [watched.to_owned()];
        let (outcome, _) =
            self.part(&Backend::Cpu, "refused", &watched, resume, |_| Flow::Continue);
        outcome.unwrap_err().to_string()
    }

    fn logged(&self, run: &str) -> Vec<String> {
        let lines = fs::read_to_string(self.at(run).join("metrics.jsonl")).unwrap();
        lines.lines().filter(|line| line.contains("neighbours")).map(str::to_owned).collect()
    }
}

/// The outcome without what was watched.
fn trained(run: &Path, last: u64) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = outcome(run, last);
    let metrics = String::from_utf8(files["metrics"].clone()).unwrap();
    let kept = metrics.lines().filter(|line| !line.contains("neighbours"));
    files.insert("metrics".to_owned(), kept.collect::<Vec<_>>().join("\n").into_bytes());
    files
}

#[test]
fn watching_changes_no_bit_of_a_training() {
    let fixture = Fixture::new(3);
    fixture.whole("alone", &[], false);
    let (_, told) = fixture.whole("watched-run", &[fixture.at("watched")], false);
    assert_eq!(told.watched.iter().map(|report| report.step).collect::<Vec<_>>(), [0, 4, 8, 12]);
    let [alone, watched] = ["alone", "watched-run"].map(|run| trained(&fixture.at(run), 12));
    assert_same("watched", &watched, &alone);
    assert!(!fixture.at("alone/watch.csv").exists());
    assert_eq!(fixture.logged("alone").len(), 0);
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn watching_changes_no_bit_of_a_training_on_a_card() {
    let fixture = Fixture::new(2);
    let card = || Backend::Card(Card::new(Arc::new(Emulated::new(Order::Forward)), Element::F32));
    let all = [("alone", vec![]), ("watched-run", vec![fixture.at("watched")])];
    let found = all.map(|(run, watched)| {
        let (ended, told) = fixture.part(&card(), run, &watched, false, |_| Flow::Continue);
        ended.unwrap();
        assert_eq!(told.watched.len(), 3 * watched.len());
        let mut files = trained(&fixture.at(run), 8);
        // It names the products of all shapes, those of whole pictures too.
        files.retain(|name, _| !name.ends_with("state.json") && !name.ends_with("MANIFEST"));
        files
    });
    assert_same("watched on a card", &found[1], &found[0]);
}

/// What is logged is what `probe` finds in the weights that the run exports.
#[test]
fn a_look_tells_what_the_exported_features_are_worth() {
    let fixture = Fixture::new(4);
    let watched = fixture.at("watched");
    // Labels of which some are wrong, so that not all can be found.
    for (number, [class, other]) in [(51, [0, 1]), (53, [1, 2]), (54, [2, 0])] {
        let [class, other] = [class, other].map(|class| watched.join(pictures::CLASSES[class]));
        fs::rename(class.join(format!("{number:03}.png")), other.join(format!("{number}.png")))
            .unwrap();
    }
    let (_, told) = fixture.whole("run", slice::from_ref(&watched), false);
    let (first, last) = (told.watched[0], told.watched[4]);
    assert_eq!((first.step, first.start, first.untrained, first.tested), (0, None, true, 12));
    assert_eq!((last.step, last.epoch, last.start), (16, 4, Some(first.scores)));
    let note =
        "watching 24 pictures of 3 classes, 12 to learn from and 12 to test on: 5 measurements of ";
    assert_eq!(told.notes_with(note), 1, "{:?}", told.notes);

    let set = PictureSet::open(&watched, Labels::Required).unwrap();
    let (fitted, tested) = set.split(0.5, 0).unwrap();
    let weights = Weights::open(&fixture.at("run")).unwrap();
    let backbone = Inference::<Backbone>::open(&weights, &Backend::Cpu).unwrap();
    let [fitted, tested] = [fitted, tested].map(|part| {
        let labels = part.samples.iter().map(|sample| sample.label.unwrap()).collect();
        let rows = backbone.vectors(Arc::new(part), Features::Pooled).unwrap();
        let values: Vec<f32> = rows.flat_map(Result::unwrap).collect();
        Labelled::new(Vectors::new(values, 16).unwrap(), labels).unwrap()
    });
    let found = |fitted: &Labelled, tested: &Labelled| {
        let probe = Probe::new(fitted, 0).unwrap();
        let neighbours = probe.neighbours(tested.vectors()).unwrap().predicted;
        let linear = probe.logistic(tested.vectors()).unwrap().predicted;
        [neighbours, linear].map(|predicted| accuracy(&predicted, tested.labels()).unwrap())
    };
    let [neighbours, linear] = found(&fitted, &tested);
    assert_eq!((last.scores.neighbours, last.scores.probe), (neighbours, Some(linear)));
    assert!(0.4 < linear && linear < 1.0, "stripes of three colours: {linear}");
    assert_ne!([neighbours, linear], found(&tested, &fitted), "the parts are told apart");

    let line = fixture.logged("run").pop().unwrap();
    let shown = format!(
        r#"{{"epoch":4,"neighbours":{:?},"probe":{:?},"step":16,"tested":12}}"#,
        last.scores.neighbours,
        last.scores.probe.unwrap()
    );
    assert_eq!(line, shown);
    let table = fs::read_to_string(fixture.at("run/watch.csv")).unwrap();
    assert_eq!(table.lines().next(), Some("step,epoch,neighbours,probe,tested"));
    assert_eq!(table.lines().count(), 6);
}

#[test]
fn a_stopped_run_goes_on_with_the_same_looks() {
    let fixture = Fixture::new(3);
    let watched = [fixture.at("watched")];
    fixture.whole("straight", &watched, false);
    // Within the first look, after an update, within a look, and while one is told.
    type Stop = fn(&Event<'_>, u64) -> bool;
    let within: Stop = |event, _| matches!(event, Event::Batch(batch) if batch.work == Work::Watch);
    let stops: [(Stop, u64); 4] = [
        (within, 0),
        (|event, _| matches!(event, Event::Step(report) if report.step == 4), 4),
        (within, 4),
        (|event, _| matches!(event, Event::Watched(report) if report.step == 8), 8),
    ];
    for (number, (stop, step)) in stops.into_iter().enumerate() {
        // Where the option is left out, the place is known.
        let given = if number == 0 { &watched[..] } else { &[] };
        let (ended, _) = fixture.part(&Backend::Cpu, "parts", given, number > 0, |event| {
            if stop(event, step) { Flow::Stop } else { Flow::Continue }
        });
        let ended = ended.unwrap();
        assert_eq!((ended.step, ended.finished), (step, false), "part {number}");
    }
    fixture.whole("parts", &[], true);
    let [straight, parts] = ["straight", "parts"].map(|run| outcome(&fixture.at(run), 12));
    assert_same("in parts", &parts, &straight);
    let [straight, parts] = ["straight", "parts"].map(|run| fixture.logged(run));
    assert_eq!(straight.len(), 4);
    assert_eq!(parts, straight);
}

#[test]
fn a_run_is_watched_from_any_step_on_and_goes_on_without() {
    let fixture = Fixture::new(3);
    let watched = [fixture.at("watched")];
    fixture.whole("straight", &watched, false);
    let stop = |at: u64| {
        move |event: &Event<'_>| match event {
            Event::Step(report) if report.step == at => Flow::Stop,
            _ => Flow::Continue,
        }
    };
    let cpu = Backend::Cpu;
    fixture.part(&cpu, "run", &[], false, stop(2)).0.unwrap();
    // The untrained network is known from its seed.
    let (_, told) = fixture.part(&cpu, "run", &watched, true, stop(5));
    assert_eq!(told.watched.iter().map(|report| report.step).collect::<Vec<_>>(), [0, 4]);
    assert_eq!(fixture.logged("run"), fixture.logged("straight")[..2]);

    fs::rename(&watched[0], fixture.at("moved")).unwrap();
    let (ended, told) = fixture.part(&cpu, "run", &[], true, stop(9));
    assert_eq!(ended.unwrap().step, 9);
    assert_eq!(told.notes_with("goes on without its watched pictures"), 1, "{:?}", told.notes);
    assert!(told.watched.is_empty());
    // Given, they must be there, and be those that were.
    let error = fixture.part(&cpu, "run", &watched, true, stop(9)).0.unwrap_err().to_string();
    assert!(error.starts_with("--watch: ") && error.contains("watched"), "{error}");
    let error = fixture.part(&cpu, "run", &[fixture.at("data")], true, stop(9)).0.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("the watched pictures have changed: ")
            && error.contains(" now, 24 pictures of 3"),
        "{error}"
    );
    let (_, told) = fixture.whole("run", &[fixture.at("moved")], true);
    assert_eq!(told.watched.iter().map(|report| report.step).collect::<Vec<_>>(), [12]);
    assert_eq!(fixture.logged("run").last(), fixture.logged("straight").last());
}

#[test]
fn pictures_that_cannot_be_watched_are_refused_before_a_run_begins() {
    let fixture = Fixture::new(1);
    let at = |name: &str| fixture.at(name);
    let lone = at("lone");
    pictures::write_from(&lone, 50, 1);
    let one = at("one");
    pictures::write_from(&one, 50, 3);
    ["lying", "standing"].iter().for_each(|class| fs::remove_dir_all(one.join(class)).unwrap());
    let flat = at("flat");
    fs::create_dir(&flat).unwrap();
    for number in 0..4 {
        let name = format!("{number:03}.png");
        fs::copy(at("data/lying").join(&name), flat.join(&name)).unwrap();
    }
    for (place, part) in [
        (at("nowhere"), "nowhere"),
        (one, "one"),
        (flat, "flat"),
        // Nothing can be tested.
        (lone, "two"),
    ] {
        let error = fixture.refused(&place, false);
        assert!(error.starts_with("--watch: ") && error.contains(part), "{error}");
        assert!(!at("refused").exists());
    }
    let mut few = Fixture::new(1);
    few.config.watch.pictures = 5;
    let error = few.refused(&few.at("watched"), false);
    assert!(error.contains("`watch.pictures` cannot be `5`") && error.contains("set 6"), "{error}");
    few.config.watch.pictures = 12;
    let (_, told) = few.whole("run", &[few.at("watched")], false);
    assert_eq!(told.watched[0].tested, 6);
    assert_eq!(told.notes_with("watching 12 pictures of 3 classes"), 1, "{:?}", told.notes);
}

#[test]
fn pictures_that_cannot_be_read_end_no_run() {
    let fixture = Fixture::new(2);
    let watched = fixture.at("watched");
    let cut = |class: &str, number: u32| {
        let file = watched.join(format!("{class}/{number:03}.png"));
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    };
    cut("lying", 50);
    cut("standing", 51);
    let (outcome, told) =
        fixture.part(&Backend::Cpu, "run", slice::from_ref(&watched), false, |event| {
            if matches!(event, Event::Step(report) if report.step == 3) {
                fs::rename(&watched, fixture.at("gone")).unwrap();
            }
            Flow::Continue
        });
    assert!(outcome.unwrap().finished);
    assert_eq!(told.notes_with("2 watched pictures cannot be read and are left out"), 1);
    assert_eq!(told.watched.len(), 1);
    let out =
        "left out after step 4, and until they can be used again: none of 12 pictures can be read";
    assert_eq!(told.notes_with(out), 1);
    // The same once more is not told again.
    assert_eq!(told.notes_with("left out after step"), 1, "{:?}", told.notes);
    let left_out =
        || fcmae_store::run::data(&fixture.at("run")).unwrap().unwrap().watched.unwrap().left_out;
    let (epoch, why) = left_out().map(|left_out| (left_out.epoch, left_out.why)).unwrap();
    assert!(epoch == 1 && why.starts_with("none of 12 pictures can be read"), "{epoch} {why}");
    // They are back, and looked at.
    fs::rename(fixture.at("gone"), &watched).unwrap();
    let (_, told) = fixture.whole("run", &[], true);
    assert_eq!((told.watched.len(), left_out()), (1, None));

    // None of them can be read: that is known before the first step.
    let bad = fixture.at("bad");
    pictures::write_from(&bad, 50, 2);
    for class in pictures::CLASSES {
        for number in 50..52 {
            fs::write(bad.join(format!("{class}/{number:03}.png")), b"\x89PNG\r\n\x1a\nno")
                .unwrap();
        }
    }
    let error = fixture.refused(&bad, false);
    assert!(error.starts_with("--watch: "), "{error}");
    assert!(!fixture.at("refused/metrics.jsonl").exists() || fixture.logged("refused").is_empty());
}

/// 20 looks over the run, and no more than one picture that is watched for 20 that are trained on.
#[test]
fn looks_are_few_where_nothing_else_is_asked_for() {
    let mut fixture = Fixture::new(50);
    (fixture.config.watch.every_epochs, fixture.config.save.every_epochs) = (0, 50);
    // 24 pictures × 20 / 30 that are trained on are 16 epochs.
    let (_, told) = fixture.whole("run", &[fixture.at("watched")], false);
    assert_eq!(
        told.watched.iter().map(|report| report.epoch).collect::<Vec<_>>(),
        [0, 16, 32, 48, 50]
    );
    fixture.config.watch.pictures = 4;
    let error = fixture.refused(&fixture.at("watched"), false);
    assert!(error.contains("set 6 or more"), "{error}");
}

#[test]
fn weights_that_a_run_begins_from_are_the_start() {
    let fixture = Fixture::new(2);
    fixture.whole("first", &[], false);
    let (first, watched, data) = (fixture.at("first"), fixture.at("watched"), fixture.at("data"));
    let data = PretrainData { training: &[data], watched: &[watched] };
    let mut reports = Vec::new();
    let start = Start::Weights(&first);
    pretrain(&fixture.config, data, start, &fixture.at("second"), false, &mut |event| {
        if let Event::Watched(report) = event {
            reports.push(*report);
        }
        Flow::Continue
    })
    .unwrap();
    assert!(reports.iter().all(|report| !report.untrained));
    let (_, told) = fixture.whole("first", &[fixture.at("watched")], true);
    // The end of the first is the start of the second.
    assert_eq!(told.watched[1].scores, reports[0].scores);
}

/// Pictures that vanish while the run goes on: a few are left out, and told as they become more; without a class the
/// curve ends.
#[test]
fn a_curve_does_not_go_on_without_many_of_its_pictures() {
    let fixture = Fixture::new(6);
    let watched = fixture.at("watched");
    let of_class = |class: usize| {
        let files = fs::read_dir(watched.join(pictures::CLASSES[class])).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    };
    let remove = |files: &[PathBuf]| files.iter().for_each(|file| fs::remove_file(file).unwrap());
    let (ended, told) =
        fixture.part(&Backend::Cpu, "run", slice::from_ref(&watched), false, |event| {
            match event {
                Event::Step(report) if report.step == 5 => remove(&of_class(0)[..1]),
                Event::Step(report) if report.step == 13 => remove(&of_class(0)[..1]),
                Event::Step(report) if report.step == 17 => remove(&of_class(1)),
                _ => {}
            }
            Flow::Continue
        });
    assert!(ended.unwrap().finished);
    let looks: Vec<_> = told.watched.iter().map(|report| (report.step, report.tested)).collect();
    assert_eq!(looks.iter().map(|look| look.0).collect::<Vec<_>>(), [0, 4, 8, 12, 16]);
    assert_eq!(told.notes_with("1 watched picture cannot be read and is left out: "), 1);
    assert_eq!(told.notes_with("2 watched pictures cannot be read and are left out: "), 1);
    let out = "the watched pictures are left out after step 20, and until they can be used again: 10 watched pictures \
               of 24 cannot be read, more than `data.max_bad_fraction` (10%) allows: ";
    assert_eq!(told.notes_with(out), 1, "{:?}", told.notes);
    assert_eq!(told.notes_with("are left out after step"), 1, "{:?}", told.notes);
    let left_out =
        fcmae_store::run::data(&fixture.at("run")).unwrap().unwrap().watched.unwrap().left_out;
    assert_eq!(left_out.unwrap().epoch, 5);
}
