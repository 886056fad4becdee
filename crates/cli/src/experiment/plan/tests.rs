#![allow(clippy::unwrap_used)]
use std::fs;

use super::super::definition::tests::WHOLE;
use super::super::outcome::Test;
use super::*;

fn plan(text: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.toml");
    fs::write(&file, text).unwrap();
    Plan::read(&file).unwrap()
}

fn outcome(job: &Job, right: &str) -> Outcome {
    let right: Vec<bool> = right.chars().map(|c| c == '1').collect();
    let top1 = right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
    let test = Test { pictures: right.len(), top1, top5: 1.0, loss: 1.0, right };
    Outcome { test: Some(test), ..Outcome::of(job) }
}

fn words(plan: &Plan, jobs: &[Job]) -> Vec<String> {
    let undecided = |job: &Job| if job.undecided { " (undecided)" } else { "" };
    jobs.iter().map(|job| plan.describe_one(job) + undecided(job)).collect()
}

#[test]
fn jobs_come_seed_by_seed_and_what_others_need_comes_first() {
    let plan = plan(WHOLE);
    let jobs = plan.jobs(&Outcomes::new(), Part::WHOLE).unwrap();
    assert_eq!(
        words(&plan, &jobs),
        [
            "pre-train sparse, seed 0",
            "choose for sparse, 1 %, seed 100: optim.base_lr=1e-3",
            "choose for sparse, 1 %, seed 100: optim.base_lr=2e-3",
            "fine-tune sparse, 1 %, seed 0 (undecided)",
            "choose for scratch, 1 %, seed 100: optim.base_lr=1e-3",
            "choose for scratch, 1 %, seed 100: optim.base_lr=2e-3",
            "fine-tune scratch, 1 %, seed 0 (undecided)",
            "fine-tune scratch, longer, 1 %, seed 0 (undecided)",
            "pre-train sparse, seed 1",
            "fine-tune sparse, 1 %, seed 1 (undecided)",
            "fine-tune scratch, 1 %, seed 1 (undecided)",
            "fine-tune scratch, longer, 1 %, seed 1 (undecided)",
        ]
    );
    let first = plan.jobs(&Outcomes::new(), Part { seeds: 1, ..Part::WHOLE }).unwrap();
    assert_eq!(words(&plan, &first), words(&plan, &jobs[..8]));
    assert!(plan.jobs(&Outcomes::new(), Part { budgets: 0, ..Part::WHOLE }).unwrap().is_empty());
    for job in &jobs {
        let tested = if job.purpose == Purpose::Choice { ["validation"] } else { ["test"] };
        assert!(job.kind() == Kind::Pretrain || job.tested_on == tested, "{job:?}");
    }
}

#[test]
fn what_was_best_on_the_validation_pictures_is_reported() {
    let plan = plan(WHOLE);
    let mut outcomes = Outcomes::new();
    for job in plan.jobs(&outcomes, Part::WHOLE).unwrap() {
        let second = job.settings.get("optim.base_lr") == Some(&Value::from(2e-3));
        let scratch = job.from().is_none();
        // The second candidate is the best from scratch, the first otherwise.
        let right = if second == scratch { "11110" } else { "10000" };
        if job.purpose == Purpose::Choice {
            outcomes.insert(job.key.clone(), outcome(&job, right));
        }
    }
    let jobs = plan.jobs(&outcomes, Part::WHOLE).unwrap();
    assert!(jobs.iter().all(|job| !job.undecided));
    for job in jobs.iter().filter(|job| job.purpose == Purpose::Result) {
        let rate = if job.from().is_none() { 2e-3 } else { 1e-3 };
        assert_eq!(job.settings["optim.base_lr"], Value::from(rate), "{}", plan.describe(job));
    }
    let longer = jobs.iter().find(|job| job.variant == 2).unwrap();
    // finetune-tiles has 100 epochs of which 10 warm up.
    let Work::Finetune { config, .. } = &longer.work else { panic!("{longer:?}") };
    assert_eq!((config.optim.epochs, config.optim.warmup_epochs), (300, 30.0));
}

#[test]
fn a_candidate_that_came_to_nothing_is_not_chosen() {
    let plan = plan(WHOLE);
    let mut outcomes = Outcomes::new();
    for job in plan.jobs(&outcomes, Part::WHOLE).unwrap() {
        if job.purpose == Purpose::Choice {
            let mut found = outcome(&job, "0000");
            if job.settings["optim.base_lr"] == 1e-3 {
                (found.test, found.failed) = (None, Some("the loss is not a number".to_owned()));
            }
            outcomes.insert(job.key.clone(), found);
        }
    }
    let jobs = plan.jobs(&outcomes, Part::WHOLE).unwrap();
    let reported = jobs.iter().filter(|job| job.purpose == Purpose::Result);
    for job in reported {
        assert_eq!(job.settings["optim.base_lr"], Value::from(2e-3));
    }
}

#[test]
fn a_job_is_named_by_what_its_result_follows_from_alone() {
    let jobs = |text: &str| plan(text).jobs(&Outcomes::new(), Part::WHOLE).unwrap();
    let keys = |text: &str| jobs(text).into_iter().map(|job| job.key).collect::<Vec<_>>();
    let usual = keys(WHOLE);
    // Names and words are not part of it, and neither is a setting that is as by default.
    assert_eq!(keys(&WHOLE.replace("\"sparse\"", "\"dense\"").replace("Sparse or", "Is")), usual);
    let said = "recipe = \"pretrain-tiles\"\nset = [\"mask.ratio=0.6\"]";
    assert_eq!(keys(&WHOLE.replace("recipe = \"pretrain-tiles\"", said)), usual);
    // Nor is where it is computed.
    let cpu = "recipe = \"pretrain-tiles\"\nset = [\"device=cpu\"]";
    assert_eq!(keys(&WHOLE.replace("recipe = \"pretrain-tiles\"", cpu)), usual);
    // A setting of the pre-training is part of what starts from it, and of nothing else.
    let other = keys(&WHOLE.replace("recipe = \"pretrain-tiles\"", &said.replace("0.6", "0.5")));
    for ((job, key), other) in jobs(WHOLE).iter().zip(&usual).zip(&other) {
        let pretrained = job.kind() == Kind::Pretrain || job.from().is_some();
        assert_eq!(key != other, pretrained, "{job:?}");
    }
    assert_ne!(keys(&WHOLE.replace("[\"test\"]", "[\"other\"]")), usual);
}

#[test]
fn one_pretraining_for_all_seeds_where_its_seed_is_named() {
    let text = WHOLE.replace("\"pretrain-tiles\"", "\"pretrain-tiles\"\nseed = 7");
    let jobs = plan(&text).jobs(&Outcomes::new(), Part::WHOLE).unwrap();
    let starts: Vec<_> = jobs.iter().filter(|job| job.kind() == Kind::Pretrain).collect();
    assert_eq!((starts.len(), starts[0].seed), (1, 7));
}

#[test]
fn findings_hold_the_scores_of_the_reported_runs() {
    let plan = plan(WHOLE);
    let mut outcomes = Outcomes::new();
    // Twice: what is chosen decides which runs are reported.
    for _ in 0..2 {
        for job in plan.jobs(&outcomes, Part::WHOLE).unwrap() {
            if job.kind() == Kind::Finetune && !job.undecided {
                let right = if job.from().is_some() { "1110" } else { "1000" };
                outcomes.insert(job.key.clone(), outcome(&job, right));
            }
        }
    }
    let jobs = plan.jobs(&outcomes, Part::WHOLE).unwrap();
    let findings = plan.findings(&jobs, &outcomes);
    let cells = &findings.budgets[0].cells;
    assert_eq!(cells.iter().map(|cell| cell.scores.len()).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(cells[0].mean(), Some(0.75));
    assert_eq!(findings.budgets[0].difference(1, findings.baseline).unwrap().mean, -0.5);
    assert_eq!(cells[0].chosen, ["optim.base_lr=1e-3"]);
    // Lines are read back as they were written.
    let lines = plan.lines(&jobs, &outcomes);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.jsonl");
    super::super::outcome::write(&file, &lines).unwrap();
    assert_eq!(super::super::outcome::read(&file).unwrap(), lines);
}

#[test]
fn a_mistake_names_the_file_and_the_variant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.toml");
    let text = WHOLE.replace(
        "name = \"scratch\"\n",
        "name = \"scratch\"\nfinetune = [\"finetune.layer_deca=1\"]\n",
    );
    fs::write(&file, text).unwrap();
    let error = format!("{:#}", Plan::read(&file).err().unwrap());
    assert!(error.contains("example.toml") && error.contains("scratch"), "{error}");
    assert!(error.contains("finetune.layer_decay"), "the nearest setting: {error}");
    fs::write(&file, WHOLE.replace("pretrain-tiles", "pretrain-tile")).unwrap();
    let error = format!("{:#}", Plan::read(&file).err().unwrap());
    assert!(error.contains("example.toml") && error.contains("pretrain-tile:"), "{error}");
}

#[test]
fn the_experiments_of_the_project_can_be_planned() {
    let queue = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/queue.toml");
    let queued = super::super::definition::entries(&queue).unwrap();
    assert!(queued.len() > 10);
    for entry in &queued {
        let plan = Plan::read(&entry.file).unwrap();
        assert!(!plan.jobs(&Outcomes::new(), entry.part).unwrap().is_empty());
    }
    // None is forgotten, and each is asked for as a whole in the end.
    let folder = queue.parent().unwrap();
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "toml") && file != queue {
            let whole = |entry: &&super::super::definition::Entry| {
                entry.file == file && entry.part == Part::WHOLE
            };
            assert!(queued.iter().any(|entry| whole(&entry)), "{}", file.display());
        }
    }
}

#[test]
fn two_variants_of_the_same_settings_have_a_row_each() {
    let again = "[[variants]]\nname = \"again\"\nfinetune = [\"optim.epochs=100\"]\n";
    let plan = plan(&(WHOLE.to_owned() + again));
    let mut outcomes = Outcomes::new();
    for _ in 0..2 {
        for job in plan.jobs(&outcomes, Part::WHOLE).unwrap() {
            if job.kind() == Kind::Finetune && !job.undecided {
                outcomes.insert(job.key.clone(), outcome(&job, "1100"));
            }
        }
    }
    let findings = plan.findings(&plan.jobs(&outcomes, Part::WHOLE).unwrap(), &outcomes);
    let counts = findings.budgets[0].cells.iter().map(|cell| cell.scores.len());
    assert_eq!(counts.collect::<Vec<_>>(), [2, 2, 2, 2]);
}

#[test]
fn another_network_from_scratch_is_refused_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.toml");
    let read = |text: &str| {
        fs::write(&file, text).unwrap();
        Plan::read(&file).map(drop)
    };
    for setting in ["model.stem_stride=2", "data.image_size=[48,48]", "model.widths=[8,16,24,32]"] {
        let stage = format!("recipe = \"pretrain-tiles\"\nset = [\"{setting}\"]");
        let text = WHOLE.replace("recipe = \"pretrain-tiles\"", &stage);
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains("\"scratch\"") && error.contains("set both alike"), "{error}");
    }
    let asked = "start = \"scratch\"\nfinetune = [\"model.widths=[8,16,24,32]\"]\n";
    read(&WHOLE.replace("start = \"scratch\"\n", asked)).unwrap();
}
