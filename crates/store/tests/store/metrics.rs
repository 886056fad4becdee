//! Metrics as tables and as TensorBoard's event files, over all lives of a run. Event files are read by a
//! small reader that shares nothing with the writer.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use fcmae_store::{Error, Record, Run};
use serde_json::{Value, json};

const PNG: &[u8] = include_bytes!("../fixtures/picture.png");
const CONFIG: &str = "[model]\nsize = \"atto\"\n";
/// For `reference/check_tensorboard.py`: where the run that was killed is to lie.
const CHECK: &str = "FCMAE_TENSORBOARD_CHECK";

fn record() -> Record {
    Record { config: CONFIG.to_owned(), facts: json!({"seed": 7}) }
}

fn in_new_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    (folder, path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// What a value of a summary holds.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Scalar(f32),
    Text(String),
    /// Height, width, colorspace, bytes.
    Picture([u64; 3], Vec<u8>),
}

#[derive(Debug, Clone, PartialEq)]
struct Point {
    step: u64,
    tag: String,
    shown: Shown,
}

fn point(step: u64, tag: &str, scalar: f32) -> Point {
    Point { step, tag: tag.to_owned(), shown: Shown::Scalar(scalar) }
}

/// CRC-32C bit by bit, masked.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    });
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The records of a file, and the bytes after the last whole one.
fn records(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut found, mut rest) = (Vec::new(), bytes);
    while rest.len() >= 12 {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(checksum(&rest[..8]), rest[8..12]);
        if rest.len() < length + 16 {
            break;
        }
        let data = &rest[12..12 + length];
        assert_eq!(checksum(data), rest[12 + length..16 + length]);
        found.push(data);
        rest = &rest[16 + length..];
    }
    (found, rest.len())
}

/// A message's fields: number, and the value as bytes or as the integer's eight.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    found
}

fn field(fields: &[(u64, Vec<u8>)], number: u64) -> Option<&[u8]> {
    fields.iter().find(|(found, _)| *found == number).map(|(_, value)| value.as_slice())
}

fn integer(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
}

fn event_files(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_string_lossy().contains(".tfevents.")).collect();
    files.sort();
    files
}

/// What TensorBoard shows: files in the order of their names, a restart takes back its step and later
/// ones; but the first start is no restart.
fn shown(run: &Path) -> Vec<Point> {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let (mut points, mut started) = (Vec::<Point>::new(), false);
    for file in event_files(run) {
        let bytes = fs::read(&file).unwrap();
        for (number, data) in records(&bytes).0.into_iter().enumerate() {
            let event = fields(data);
            let time = f64::from_le_bytes(field(&event, 1).unwrap().try_into().unwrap());
            assert!((now - 600.0..=now).contains(&time), "{time}");
            assert_eq!(field(&event, 3).is_some(), number == 0, "{file:?}");
            let step = integer(field(&event, 2));
            if let Some(session) = field(&event, 7) {
                assert_eq!(session, [8, 1], "SessionLog.START");
                points.retain(|point| !started || point.step < step);
                started = true;
            }
            for (_, value) in field(&event, 5).map(fields).unwrap_or_default() {
                let value = fields(&value);
                let tag = String::from_utf8(field(&value, 1).unwrap().to_vec()).unwrap();
                let shown = if let Some(scalar) = field(&value, 2) {
                    Shown::Scalar(f32::from_le_bytes(scalar.try_into().unwrap()))
                } else if let Some(image) = field(&value, 4) {
                    let image = fields(image);
                    let size = [1, 2, 3].map(|number| integer(field(&image, number)));
                    Shown::Picture(size, field(&image, 4).unwrap().to_vec())
                } else {
                    let tensor = fields(field(&value, 8).unwrap());
                    Shown::Text(String::from_utf8(field(&tensor, 8).unwrap().to_vec()).unwrap())
                };
                points.push(Point { step, tag, shown });
            }
        }
    }
    points
}

fn scalars(run: &Path) -> Vec<Point> {
    let points = shown(run).into_iter();
    points.filter(|point| matches!(point.shown, Shown::Scalar(_))).collect()
}

#[test]
fn a_line_becomes_a_row_and_points() {
    let (_folder, path) = in_new_folder();
    let run = Run::create(&path, &record()).unwrap();
    assert!(event_files(&path).is_empty(), "nothing is shown yet");
    let log = |value| run.metrics().json(&value).unwrap();
    log(json!({"event": "start", "loss": 9.0}));
    log(json!({"step": 1, "epoch": 1, "loss": 0.1f32, "lr": 1e-9, "images_per_second": 31.25,
        "data_wait": 0.5}));
    log(
        json!({"step": 2, "epoch": 1, "loss": f32::NAN, "lr": 2e-9, "note": "bad", "own": {"a": 1}}),
    );
    log(json!({"step": 2, "epoch": 1, "top1": 0.5, "top5": 1, "held_out_loss": 2.5}));
    log(json!({"step": 3, "grad_norm": 4, "diversity": 0.75}));
    log(json!({"step": -1, "loss": 9.0}));
    log(json!({"step": 4, "note": "no number"}));
    log(json!([1, 2]));
    run.picture("held_out/a", 3, PNG).unwrap();

    assert_eq!(text(&path.join("metrics.jsonl")).lines().count(), 8);
    assert_eq!(
        text(&path.join("metrics.csv")),
        "step,epoch,loss,lr,images_per_second,grad_norm,data_wait\n\
         1,1,0.10000000149011612,1e-9,31.25,,0.5\n\
         2,1,,2e-9,,,\n\
         3,,,,,4,\n"
    );
    assert_eq!(
        text(&path.join("evaluations.csv")),
        "step,epoch,top1,top5,held_out_loss\n2,1,0.5,1,2.5\n"
    );
    let mut points = shown(&path);
    assert_eq!(
        points.remove(0),
        Point {
            step: 0,
            tag: "config".to_owned(),
            shown: Shown::Text("    [model]\n    size = \"atto\"\n".to_owned()),
        }
    );
    assert_eq!(
        points.pop().unwrap(),
        Point {
            step: 3,
            tag: "held_out/a".to_owned(),
            shown: Shown::Picture([2, 5, 3], PNG.to_vec()),
        }
    );
    points.sort_by(|a, b| (a.step, &a.tag).cmp(&(b.step, &b.tag)));
    assert_eq!(
        points,
        [
            point(1, "train/data_wait", 0.5),
            point(1, "train/epoch", 1.0),
            point(1, "train/images_per_second", 31.25),
            point(1, "train/loss", 0.1),
            point(1, "train/lr", 1e-9),
            point(2, "held_out/loss", 2.5),
            point(2, "held_out/top1", 0.5),
            point(2, "held_out/top5", 1.0),
            point(2, "train/epoch", 1.0),
            point(2, "train/lr", 2e-9),
            point(3, "train/diversity", 0.75),
            point(3, "train/grad_norm", 4.0),
        ]
    );
    run.metrics().sync().unwrap();
    assert_eq!(text(&path.join("log.txt")), "");
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// One life: takes the run up at a step, logs up to another, and is killed in the middle of all files.
fn live(path: &Path, life: u64, from: Option<u64>, to: u64) {
    let run = match from {
        None => Run::create(path, &record()).unwrap(),
        Some(step) => {
            let mut run = Run::resume(path, &record(), &[]).unwrap();
            run.truncate_metrics_after(step).unwrap();
            run
        }
    };
    for step in from.unwrap_or(0) + 1..=to {
        // Another value in each life, so that one from an earlier life is seen.
        let loss = life as f64 + 1.0 / step as f64;
        let line = json!({"step": step, "epoch": 1 + step / 5, "loss": loss, "lr": 1e-3});
        run.metrics().json(&line).unwrap();
        if step % 5 == 0 {
            let top1 = loss / 10.0;
            run.metrics().json(&json!({"step": step, "epoch": step / 5, "top1": top1})).unwrap();
            run.picture("held_out/pictures", step, PNG).unwrap();
        }
    }
    drop(run);
    append(&path.join("metrics.jsonl"), b"{\"step\": 99, \"lo");
    append(&path.join("metrics.csv"), b"99,1,0.");
    let file = event_files(path).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let last = records(&bytes).0.pop().unwrap().len() + 16;
    // Length, checksum and part of the data, or less.
    append(&file, &bytes[bytes.len() - last..][..last.min(7 + life as usize * 9)]);
}

/// Where each life takes the run up and where it is killed; the first came to no checkpoint.
const LIVES: [(Option<u64>, u64); 5] =
    [(None, 3), (Some(0), 12), (Some(7), 16), (Some(15), 23), (Some(20), 24)];

/// Fault 2: what was logged before a kill and is logged again after it is shown once.
#[test]
fn a_resumed_run_shows_every_step_once() {
    let (_folder, path) = in_new_folder();
    let path = std::env::var_os(CHECK).map_or(path, |folder| Path::new(&folder).join("run"));
    let mut finished: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for (life, (from, to)) in (0..).zip(LIVES) {
        live(&path, life, from, to);
        let files = event_files(&path);
        assert_eq!(files.len() as u64, life + 1, "a file each life");
        for (file, bytes) in &finished {
            assert_eq!(fs::read(file).unwrap(), *bytes, "TensorBoard never reads it again");
            assert!(file < files.last().unwrap(), "the newest is not the last: {files:?}");
        }
        let newest = files[files.len() - 1].clone();
        let bytes = fs::read(&newest).unwrap();
        assert_ne!(records(&bytes).1, 0, "it ends in half a record");
        finished.push((newest, bytes));
    }
    drop(Run::resume(&path, &record(), &[]).unwrap());

    let lines = text(&path.join("metrics.jsonl"));
    let (mut updates, mut evaluations, mut points) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let (step, epoch) = (line["step"].as_u64().unwrap(), &line["epoch"]);
        if let Some(top1) = line["top1"].as_f64() {
            evaluations.push(format!("{step},{epoch},{},,", line["top1"]));
            points.push(point(step, "held_out/top1", top1 as f32));
        } else {
            let (loss, lr) = (line["loss"].as_f64().unwrap(), line["lr"].as_f64().unwrap());
            updates.push(format!("{step},{epoch},{},{},,,", line["loss"], line["lr"]));
            points.push(point(step, "train/epoch", epoch.as_f64().unwrap() as f32));
            points.push(point(step, "train/loss", loss as f32));
            points.push(point(step, "train/lr", lr as f32));
        }
    }
    assert_eq!((updates.len(), evaluations.len()), (24, 4));
    assert!(updates[19].starts_with("20,5,3.05,"), "of the fourth life: {}", updates[19]);
    assert!(updates[20].starts_with("21,5,4.0476"), "of the fifth: {}", updates[20]);
    let rows = |name: &str| -> Vec<String> {
        text(&path.join(name)).lines().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(rows("metrics.csv"), updates);
    assert_eq!(rows("evaluations.csv"), evaluations);
    assert_eq!(scalars(&path), points);
    let others: Vec<_> = shown(&path)
        .into_iter()
        .filter(|point| !matches!(point.shown, Shown::Scalar(_)))
        .map(|point| (point.step, point.tag))
        .collect();
    let mut expected = vec![(0, "config".to_owned())];
    expected.extend([5, 10, 15, 20].map(|step| (step, "held_out/pictures".to_owned())));
    assert_eq!(others, expected);
}

#[test]
fn a_file_is_the_last_whatever_the_clock_says() {
    let (_folder, path) = in_new_folder();
    let mut run = Run::create(&path, &record()).unwrap();
    run.metrics().json(&json!({"step": 1, "loss": 1.0})).unwrap();
    for other in ["events.out.tfevents.4000000000.host.1", "events.out.tfevents.text"] {
        fs::write(path.join(other), "").unwrap();
    }
    run.truncate_metrics_after(0).unwrap();
    run.metrics().json(&json!({"step": 1, "loss": 2.0})).unwrap();
    let names: Vec<_> = event_files(&path)
        .into_iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(names[1] == "events.out.tfevents.4000000000.host.1", "{names:?}");
    let own = names[2].strip_prefix("events.out.tfevents.4000000001.").unwrap();
    assert!(own.ends_with(&format!(".{}", std::process::id())), "{own}");
    fs::remove_file(path.join("events.out.tfevents.text")).unwrap();
    fs::remove_file(path.join("events.out.tfevents.4000000000.host.1")).unwrap();
    assert_eq!(scalars(&path), [point(1, "train/loss", 2.0)]);
}

#[test]
fn a_run_from_before_there_were_tables_gets_whole_ones() {
    let (_folder, path) = in_new_folder();
    let run = Run::create(&path, &record()).unwrap();
    drop(run);
    for name in ["metrics.csv", "evaluations.csv"] {
        fs::remove_file(path.join(name)).unwrap();
    }
    let lines = "{\"event\": \"start\"}\nrubbish\n[1]\n{\"step\": 1, \"loss\": 0.5}\n\
                 {\"step\": 1, \"top1\": null}\n{\"step\": 2, \"loss\": 2.5e-1}\n";
    fs::write(path.join("metrics.jsonl"), lines).unwrap();
    drop(Run::resume(&path, &record(), &[]).unwrap());
    assert_eq!(
        text(&path.join("metrics.csv")),
        "step,epoch,loss,lr,images_per_second,grad_norm,data_wait\n1,,0.5,,,,\n2,,0.25,,,,\n"
    );
    assert_eq!(text(&path.join("evaluations.csv")), "step,epoch,top1,top5,held_out_loss\n1,,,,\n");
}

/// Another program's folder is where the table should be, and the run's own is gone from its path.
#[test]
fn a_view_that_cannot_be_written_stops_nothing_and_is_told_once() {
    let (folder, path) = in_new_folder();
    drop(Run::create(&path, &record()).unwrap());
    let table = path.join("metrics.csv");
    fs::remove_file(&table).unwrap();
    fs::create_dir_all(table.join("inner")).unwrap();
    let mut run = Run::resume(&path, &record(), &[]).unwrap();
    let moved = folder.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    for step in 1..=3 {
        run.metrics().json(&json!({"step": step, "loss": 1.0, "top1": 0.5})).unwrap();
        run.picture("a", step, PNG).unwrap();
    }
    run.metrics().sync().unwrap();
    let opening = run.notes().join("\n");
    assert!(
        opening.contains("run/metrics.csv: ") && opening.ends_with("; going on without this file"),
        "{opening}"
    );
    let told = run.look().notes;
    let cannot = format!("cannot list {}: ", path.display());
    assert_eq!(told.iter().filter(|note| note.starts_with(&cannot)).count(), 1, "{told:?}");
    assert!(!run.look().notes.iter().any(|note| note.contains("going on without")));
    assert_eq!(text(&moved.join("metrics.jsonl")).lines().count(), 3);
    assert_eq!(text(&moved.join("evaluations.csv")).lines().count(), 4);
}

#[test]
fn a_picture_that_is_no_png_file_is_refused() {
    let (_folder, path) = in_new_folder();
    let run = Run::create(&path, &record()).unwrap();
    let error = run.picture("held_out/a", 1, b"\xff\xd8\xff\xe0").unwrap_err();
    assert!(matches!(error, Error::NotPng { .. }));
    assert_eq!(error.to_string(), "the picture `held_out/a` is no PNG file; encode it as one");
    run.picture("held_out/a", 2, PNG).unwrap();
    let steps: Vec<_> = shown(&path).iter().map(|point| point.step).collect();
    assert_eq!(steps, [0, 2]);
}

/// `watch.csv` is there where there is something in it, in whatever life of a run that begins or ends.
#[test]
fn watched_pictures_have_a_table_where_there_are_any() {
    let (_folder, path) = in_new_folder();
    let table = path.join("watch.csv");
    let look = |step: u64, neighbours: f64| json!({"step": step, "epoch": step, "neighbours": neighbours, "probe": null, "tested": 9});
    let run = Run::create(&path, &record()).unwrap();
    run.metrics().json(&json!({"step": 1, "epoch": 1, "loss": 1.0, "lr": 0.5})).unwrap();
    assert!(!table.exists());
    drop(run);
    let run = Run::resume(&path, &record(), &[]).unwrap();
    assert!(!table.exists());
    run.metrics().json(&look(2, 0.25)).unwrap();
    run.metrics().json(&look(3, 0.5)).unwrap();
    let rows = "step,epoch,neighbours,probe,tested\n2,2,0.25,,9\n3,3,0.5,,9\n";
    assert_eq!(text(&table), rows);
    let points = scalars(&path);
    let tags: Vec<&str> = points[points.len() - 4..].iter().map(|of| of.tag.as_str()).collect();
    let [neighbours, tested] = ["watch/neighbours", "watch/tested"];
    assert_eq!(tags, [neighbours, tested, neighbours, tested]);
    drop(run);
    let mut run = Run::resume(&path, &record(), &[]).unwrap();
    assert_eq!(text(&table), rows);
    run.truncate_metrics_after(2).unwrap();
    assert_eq!(text(&table).lines().count(), 2);
    run.truncate_metrics_after(1).unwrap();
    assert!(!table.exists());
}
