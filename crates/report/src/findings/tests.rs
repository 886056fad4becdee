#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;
use crate::run_fixture::{RunFixture, data, evaluated, evaluation, update};

/// The text of the one finding with this title, if it is there.
fn found(run: &RunFixture, title: &str) -> Option<String> {
    let findings = of(&run.read());
    let mut texts = findings.into_iter().filter(|f| f.title == title).map(|f| f.text);
    let text = texts.next();
    assert!(texts.next().is_none());
    text
}

fn titles(run: &RunFixture) -> Vec<&'static str> {
    of(&run.read()).iter().map(|finding| finding.title).collect()
}

#[test]
fn nothing_is_found_where_nothing_is_amiss() {
    assert_eq!(titles(&RunFixture::finetuned()), [""; 0]);
    assert_eq!(titles(&long_pretrained()), [""; 0]);
}

/// A pre-training that says what it began with: random weights.
fn known() -> RunFixture {
    RunFixture::pretrained().fact("id", json!("2026-1"))
}

/// A hundred epochs of ten updates.
fn long_pretrained() -> RunFixture {
    let run = known().set("optim.epochs", "100");
    run.metrics((1..=1000).map(|step| update(step, 1.0 - 0.0005 * (step - 1) as f64)));
    run
}

#[test]
fn a_very_short_pretraining_is_told() {
    let title = "A very short pre-training";
    let text = found(&known(), title).unwrap();
    assert!(text.starts_with("It made 100 updates. "), "{text}");
    assert!(text.contains("plan for about 4,000 updates, which are 400 epochs"), "{text}");
    let warming = found(&known().set("optim.warmup_epochs", "6.0"), title).unwrap();
    assert!(warming.contains("100 updates, most of them in the warm-up"), "{warming}");
    // What began with weights may need few, and how long it becomes is not known before its end.
    let start = json!({"path": "/runs/pre", "hash": "0"});
    assert_eq!(found(&known().fact("start", start), title), None);
    assert_eq!(found(&known().set("optim.epochs", "12"), title), None);
    assert_eq!(found(&RunFixture::finetuned(), title), None);
    // Earlier versions do not say it.
    assert_eq!(found(&RunFixture::pretrained(), title), None);
    let all_but_one = long_pretrained();
    all_but_one.metrics((2..=999).map(|step| update(step, 1.0 / step as f64)));
    assert!(found(&all_but_one.set("optim.epochs", "99"), title).is_some());
}

#[test]
fn warnings_come_before_notes() {
    let run = RunFixture::finetuned().set("optim.warmup_epochs", "30").set("optim.epochs", "20");
    assert_eq!(
        titles(&run),
        ["The learning rate never reached its peak", "The run is not finished"]
    );
}

#[test]
fn a_run_that_stopped_early_is_not_finished() {
    let title = "The run is not finished";
    assert!(
        found(&RunFixture::finetuned().set("optim.epochs", "12"), title)
            .unwrap()
            .contains("10 of 12")
    );
    assert_eq!(found(&RunFixture::finetuned(), title), None);
}

#[test]
fn how_a_run_ended_is_told() {
    let end = |how: &str, reason: &str| json!({"step": 100, "how": how, "reason": reason});
    let run = RunFixture::finetuned().set("optim.epochs", "12");
    run.write("end.json", &end("failed", "the disk of /runs is full"));
    let text = found(&run, "The run ended with an error").unwrap();
    assert!(
        text.contains("After 100 steps") && text.contains("the disk of /runs is full"),
        "{text}"
    );
    assert_eq!(found(&run, "The run is not finished"), None);
    run.write("end.json", &end("stopped", "it was asked to stop"));
    assert!(found(&run, "The run is not finished").is_some());
    run.write("end.json", &end("finished", "no better top-1 in 3 evaluations"));
    assert_eq!(found(&run, "The run is not finished"), None);
    let text = found(&run, "The run ended before its last epoch").unwrap();
    assert!(
        text.starts_with("No better top-1 in 3 evaluations") && text.contains("10 of 12"),
        "{text}"
    );
}

#[test]
fn collapsed_features_are_told() {
    let title = "Features have collapsed";
    let block = |place: usize, after_grn: f64, dead: usize| {
        json!({"name": format!("stages.{place}.blocks.0"), "depth": place as f64 / 3.0, "channels": 40,
            "after_gelu": after_grn, "after_grn": after_grn, "effective_rank": 9.0, "dead": dead, "saturated": 2})
    };
    let measured =
        |step: u64, blocks: [Value; 2]| json!({"step": step, "images": 8, "blocks": blocks});
    let run = RunFixture::pretrained();
    let sound = measured(10, [block(0, 0.48, 0), block(1, 0.26, 18)]);
    let write = |last: &Value| run.write("features.json", &json!({"first": sound, "last": last}));
    write(&sound);
    assert_eq!(found(&run, title), None);
    write(&measured(100, [block(0, 0.48, 0), block(1, 0.1234, 8)]));
    let text = found(&run, title).unwrap();
    for told in ["At step 100", "1 of 2 blocks", "`stages.1.blocks.0`", "0.123", "25 %"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    // Channels that are unlike each other, but most of them tell nothing.
    write(&measured(100, [block(0, 0.48, 19), block(1, 0.26, 18)]));
    assert!(found(&run, title).unwrap().contains("`stages.0.blocks.0`"));
    let page = run.read().to_html();
    assert!(page.contains("Collapsed: 1 of 2 blocks."), "{page}");
    assert!(page.contains("after 100 updates") && page.contains("after 10 updates"));
    // What was measured after the step that the run was taken up at is of another course.
    write(&measured(101, [block(0, 0.1, 0), block(1, 0.1, 0)]));
    assert_eq!(found(&run, title), None);
}

#[test]
fn weights_that_were_not_evaluated_are_told() {
    let title = "The last weights were not evaluated";
    let run = RunFixture::finetuned();
    assert_eq!(found(&run, title), None);
    let mut before = evaluation(&["cat", "dog"], &[&[50, 10], &[6, 54]]);
    before["step"] = json!(60);
    run.write("evaluation.json", &before);
    let text = found(&run, title).unwrap();
    assert!(text.contains("of step 60, and the run ended at step 100"), "{text}");
}

#[test]
fn changed_settings_are_told_with_their_steps() {
    let run = RunFixture::finetuned();
    let lines =
        "{\"step\":40,\"setting\":\"optim.base_lr\",\"was\":\"0.004\",\"is\":\"0.001\"}\nno line\n";
    std::fs::write(run.path().join("changes.jsonl"), lines).unwrap();
    let text = found(&run, "Settings were changed during the run").unwrap();
    assert!(text.starts_with("After step 40 `optim.base_lr` went from 0.004 to 0.001"), "{text}");
}

#[test]
fn updates_without_numbers_are_counted() {
    let title = "Updates were skipped";
    let run = RunFixture::pretrained();
    run.metrics((1..=100).map(|step| match step {
        7 | 9 => update(step, f64::NAN),
        _ => update(step, 2.0 - 0.01 * step as f64),
    }));
    assert!(found(&run, title).unwrap().contains("2 updates"));
    assert_eq!(found(&RunFixture::pretrained(), title), None);
}

#[test]
fn a_loss_that_stays_where_it_was_is_found() {
    let title = "The loss did not fall";
    let run = RunFixture::pretrained();
    run.metrics((1..=100).map(|step| update(step, if step % 2 == 0 { 0.99 } else { 1.0 })));
    assert!(found(&run, title).is_some());
    // Three updates say nothing.
    run.metrics((1..=3).map(|step| update(step, 1.0)));
    assert_eq!(found(&run, title), None);
    assert_eq!(found(&RunFixture::pretrained(), title), None);
}

#[test]
fn overfitting_is_found_with_its_epoch() {
    let title = "The network learns its training pictures by heart";
    let run = |held_out: [f64; 5], falling: f64| {
        let run = RunFixture::finetuned();
        let updates = (1..=100).map(move |step| update(step, 1.0 - falling * step as f64));
        run.metrics(updates.flat_map(move |line| {
            let step = line["step"].as_u64().unwrap();
            let epoch = step / 20;
            let evaluation =
                (step % 20 == 0).then(|| evaluated(2 * epoch, 0.8, held_out[epoch as usize - 1]));
            std::iter::once(line).chain(evaluation)
        }));
        run
    };
    let text = found(&run([1.0, 0.7, 0.8, 0.9, 1.1], 0.009), title).unwrap();
    assert!(text.contains("Since epoch 4 ") && text.contains("from 0.700 to 1.10"), "{text}");
    // It falls; it rises at the very end only; it rises a little; the training loss does not fall.
    assert_eq!(found(&run([1.0, 0.9, 0.8, 0.7, 0.6], 0.009), title), None);
    assert_eq!(found(&run([1.0, 0.9, 0.8, 0.7, 0.9], 0.009), title), None);
    assert_eq!(found(&run([1.0, 0.70, 0.71, 0.70, 0.72], 0.009), title), None);
    assert_eq!(found(&run([1.0, 0.7, 0.8, 0.9, 1.1], -0.009), title), None);
}

#[test]
fn an_accuracy_that_naming_one_class_would_give_is_found() {
    let title = "Hardly better than always naming one class";
    let run = RunFixture::finetuned();
    run.write("evaluation.json", &evaluation(&["cat", "dog"], &[&[88, 2], &[25, 5]]));
    assert!(found(&run, title).unwrap().contains("“cat”, the largest class, would give 75"));
    assert_eq!(found(&RunFixture::finetuned(), title), None);
    run.write("evaluation.json", &evaluation(&["cat", "dog"], &[&[30, 30], &[25, 35]]));
    assert!(found(&run, title).unwrap().contains("answering any one class would give 50"));
    let tied = evaluation(&["cat", "dog", "fox"], &[&[30, 30, 0], &[25, 35, 0], &[0, 5, 5]]);
    run.write("evaluation.json", &tied);
    assert!(found(&run, title).unwrap().contains("one of the largest classes would give 46"));
}

#[test]
fn a_class_that_is_never_predicted_is_named() {
    let title = "Classes that are never predicted";
    let run = RunFixture::finetuned();
    run.write(
        "evaluation.json",
        &evaluation(&["cat", "dog", "fox"], &[&[50, 10, 0], &[6, 54, 0], &[12, 3, 0]]),
    );
    let text = found(&run, title).unwrap();
    assert!(
        text.starts_with("No held-out picture was taken for “fox”. All classes have"),
        "{text}"
    );
    run.write("data.json", &data(&[("cat", 480, 60), ("dog", 480, 60), ("fox", 20, 15)]));
    let text = found(&run, title).unwrap();
    assert!(text.contains("“fox”. Such a class usually has too few pictures: add some"), "{text}");
    let mut of_a_test = evaluation(&["cat", "dog", "fox"], &[&[5, 1, 0], &[6, 5, 0], &[2, 3, 0]]);
    of_a_test["of"] = json!("photos/test");
    run.write("evaluation.json", &of_a_test);
    assert!(found(&run, title).unwrap().starts_with("No test picture was taken for “fox”."));
    let few = found(&run, "Few test pictures").unwrap();
    assert!(few.contains("fewer than 10 test pictures"), "{few}");
    let guessing = found(&run, "Hardly better than always naming one class").unwrap();
    assert!(guessing.contains("of the test pictures are recognized"), "{guessing}");
    // A class without held-out pictures may well be never predicted.
    run.write(
        "evaluation.json",
        &evaluation(&["cat", "dog", "fox"], &[&[50, 10, 0], &[6, 54, 0], &[0, 0, 0]]),
    );
    assert_eq!(found(&run, title), None);
    assert_eq!(found(&RunFixture::finetuned(), title), None);
}

#[test]
fn classes_with_few_held_out_pictures_are_named() {
    let title = "Few held-out pictures";
    let run = RunFixture::finetuned();
    run.write("evaluation.json", &evaluation(&["cat", "dog"], &[&[9, 0], &[0, 10]]));
    assert!(found(&run, title).unwrap().starts_with("“cat” has fewer than 10"));
    run.write("evaluation.json", &evaluation(&["cat", "dog"], &[&[10, 0], &[0, 10]]));
    assert_eq!(found(&run, title), None);
}

#[test]
fn long_waits_for_pictures_are_found() {
    let title = "Training waits for pictures";
    let with = |share: f64| {
        let run = RunFixture::pretrained();
        run.metrics((1..=100).map(|step| {
            let mut line = update(step, 1.0 / step as f64);
            line["data_wait"] = json!(share);
            line
        }));
        run
    };
    assert!(found(&with(0.2), title).unwrap().starts_with("20.0"));
    assert_eq!(found(&with(0.04), title), None);
}

#[test]
fn many_skipped_pictures_are_found() {
    let title = "Many pictures cannot be read";
    let with = |skipped: u64| {
        let run = RunFixture::finetuned();
        let mut data = data(&[("cat", 480, 60), ("dog", 480, 60)]);
        data["skipped"] = json!(skipped);
        run.write("data.json", &data);
        run
    };
    assert!(found(&with(20), title).unwrap().starts_with("20 pictures of 1,100"));
    assert_eq!(found(&with(10), title), None);
}

#[test]
fn a_warm_up_longer_than_the_run_is_found() {
    let title = "The learning rate never reached its peak";
    assert!(found(&RunFixture::pretrained().set("optim.warmup_epochs", "10"), title).is_some());
    let warming = |epochs: &str| RunFixture::pretrained().set("optim.warmup_epochs", epochs);
    assert_eq!(found(&warming("9.5"), title), None);
    assert_eq!(found(&warming("0.0"), title), None);
    let most = "Most of the run was warm-up";
    assert!(found(&warming("9.5"), most).is_some());
    assert_eq!(found(&warming("5.0"), most), None);
}

#[test]
fn nothing_held_out_is_found_in_fine_tuning() {
    let title = "No pictures were held out";
    let none = |run: RunFixture| run.set("finetune.held_out", "0.0");
    // Somebody may have evaluated it since.
    assert_eq!(found(&none(RunFixture::finetuned()), title), None);
    let never = none(RunFixture::finetuned()).without("evaluation.json").without("metrics.jsonl");
    assert!(found(&never, title).is_some());
    assert_eq!(found(&RunFixture::finetuned(), title), None);
    assert_eq!(found(&none(RunFixture::pretrained()), title), None);
}

#[test]
fn classes_of_different_sizes_are_found_unless_they_are_balanced() {
    let title = "The classes differ a lot in size";
    let with = |cats: u64| {
        let run = RunFixture::finetuned();
        run.write("data.json", &data(&[("cat", cats, 60), ("dog", 100, 60)]));
        run
    };
    assert!(found(&with(500), title).unwrap().contains("“cat” has 500"));
    assert_eq!(found(&with(499), title), None);
    assert_eq!(found(&with(500).set("finetune.balanced", "true"), title), None);
}

#[test]
fn folders_without_pictures_are_named() {
    let title = "Folders without pictures";
    let run = RunFixture::finetuned();
    let mut data = data(&[("cat", 480, 60), ("dog", 480, 60)]);
    data["empty_classes"] = json!(["new folder"]);
    run.write("data.json", &data);
    assert!(found(&run, title).unwrap().contains("“new folder”"));
    assert_eq!(found(&RunFixture::finetuned(), title), None);
}
