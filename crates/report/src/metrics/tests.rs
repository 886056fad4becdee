#![allow(clippy::unwrap_used)]
use std::fmt::Write as _;

use super::*;

fn read(text: &str) -> Metrics {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    std::fs::write(&path, text).unwrap();
    Metrics::read(&path).unwrap()
}

fn update(step: u64, loss: &str) -> String {
    format!(
        "{{\"epoch\":{},\"grad_norm\":1.0,\"images_per_second\":50.0,\"loss\":{loss},\"lr\":0.1,\
         \"step\":{step}}}\n",
        step as f64 / 1000.0
    )
}

#[test]
fn a_hundred_thousand_updates_become_a_few_hundred_points() {
    let text = (1..=100_000).fold(String::new(), |mut text, step| {
        // Each ten updates hold 0, 1, … 9 above their place.
        write!(text, "{}", update(step, &format!("{}", step / 10 * 10 + step % 10))).unwrap();
        text
    });
    let metrics = read(&text);
    assert_eq!((metrics.updates, metrics.last), (100_000, Some((100_000, 100.0))));
    let (means, band) = (metrics.loss.means(), metrics.loss.band());
    assert!((200..=400).contains(&means.len()), "{}", means.len());
    assert_eq!(metrics.loss.count(), 100_000);
    // The loss is the step, so every mean lies where its epoch says, amid its band.
    for (&(epoch, mean), &(_, low, high)) in means.iter().zip(&band) {
        assert!((mean - 1000.0 * epoch).abs() < 1e-6, "{mean} at {epoch}");
        assert!(low < mean && mean < high && high - low < 600.0, "{low} {mean} {high}");
    }
    assert!((metrics.loss.start().unwrap() - 500.0).abs() < 150.0);
    assert!((metrics.loss.end().unwrap() - 99_500.0).abs() < 150.0);
    assert!((metrics.loss.first_tenth().unwrap() - 5_000.0).abs() < 150.0);
    assert!((metrics.loss.tenth_before(50.0).unwrap() - 45_000.0).abs() < 300.0);
}

#[test]
fn few_updates_stay_as_they_are() {
    let metrics = read(&[update(1, "3"), update(2, "2"), update(3, "1")].concat());
    assert_eq!(metrics.loss.means(), [(0.001, 3.0), (0.002, 2.0), (0.003, 1.0)]);
    assert!(!metrics.loss.is_thinned());
    assert_eq!((metrics.loss.start(), metrics.loss.end()), (Some(3.0), Some(1.0)));
}

#[test]
fn what_is_no_number_breaks_the_line_and_is_counted() {
    let metrics = read(&[update(1, "3"), update(2, "null"), update(3, "1")].concat());
    assert_eq!((metrics.updates, metrics.not_numbers), (3, 1));
    let means = metrics.loss.means();
    assert!(means[1].1.is_nan() && means[0].1 == 3.0 && means[2].1 == 1.0, "{means:?}");
    assert_eq!(metrics.loss.count(), 2);
}

#[test]
fn lines_that_are_none_are_passed_over_and_counted() {
    let long = format!("{{\"step\":1,\"x\":\"{}\"}}\n", "x".repeat(200_000));
    let cut_short = r#"{"step":4,"epo"#;
    let no_step = "{\"epoch\":1.0,\"loss\":1.0,\"lr\":1.0}\n";
    let text = [&update(1, "3"), "\n", &long, "nonsense\n", no_step, &update(3, "1"), cut_short];
    let metrics = read(&text.concat());
    assert_eq!((metrics.updates, metrics.unreadable), (2, 4));
    assert_eq!(metrics.last, Some((3, 0.003)));
}

#[test]
fn a_run_without_metrics_has_no_updates() {
    let metrics = Metrics::read(Path::new("/nonexistent/metrics.jsonl")).unwrap();
    assert_eq!((metrics.updates, metrics.last), (0, None));
    assert_eq!((metrics.loss.start(), metrics.waiting()), (None, None));
}

#[test]
fn the_best_and_the_lowest_evaluation_are_kept() {
    let line = |epoch, top1, loss| {
        format!("{{\"epoch\":{epoch},\"held_out_loss\":{loss},\"step\":{epoch},\"top1\":{top1}}}\n")
    };
    let text = [line(1, 0.5, 2.0), line(2, 0.8, 1.0), line(3, 0.8, 1.5), line(4, 0.7, 1.0)];
    let metrics = read(&text.concat());
    assert_eq!(metrics.evaluations, 4);
    // Of equals the first.
    assert_eq!(metrics.best.unwrap().epoch, 2.0);
    let (lowest, since) = metrics.lowest.unwrap();
    assert_eq!((lowest.epoch, since), (2.0, 2));
    assert_eq!(metrics.latest.unwrap().top1, 0.7);
}

#[test]
fn time_and_waiting_follow_from_the_rates() {
    // 32 images at 16 and at 64 a second: 2 s and 0.5 s, of which half and a tenth waiting.
    let line = |step, rate, wait| {
        format!(
            "{{\"epoch\":{step},\"step\":{step},\"loss\":1,\"lr\":1,\"images_per_second\":{rate},\
             \"data_wait\":{wait}}}\n"
        )
    };
    let metrics = read(&[line(1, 16, 0.5), line(2, 64, 0.1)].concat());
    assert!((metrics.seconds(32.0) - 2.5).abs() < 1e-12);
    assert!((metrics.waiting().unwrap() - 1.05 / 2.5).abs() < 1e-12);
}

/// Fault 23.
#[test]
#[cfg(unix)]
fn a_log_that_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("metrics.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = Metrics::read(&pipe).unwrap_err().to_string();
    assert!(said.contains("metrics.jsonl: it is not a file"), "{said}");
}
