//! `skipped.jsonl` of a run over a folder as folders are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use fcmae_data::source::printable;

use crate::command::fcmae;
use crate::trained::{CLASSES, Trained, draw};

/// Pictures of each class.
const GOOD: u32 = 325;

/// Writes what is no picture but has the name of one; where it lies.
fn write_bad(folder: &Path, picture: &[u8]) -> Vec<PathBuf> {
    let mut files: Vec<(PathBuf, &[u8])> = vec![
        ("empty.jpg".into(), b""),
        ("text.png".into(), b"no picture"),
        ("two bytes.jpg".into(), b"\xff\xd8"),
        ("new\nline.png".into(), b"text"),
        (OsStr::from_bytes(b"\xff\xfe.png").into(), b"text"),
    ];
    for tenth in 0..10 {
        // The last bytes of a PNG hold no pixels.
        let length = (picture.len() - 20) * tenth / 10 + 1;
        files.push((format!("cut at {tenth} tenths.png").into(), &picture[..length]));
    }
    let mut bad = Vec::new();
    for (name, bytes) in files {
        fs::write(folder.join(&name), bytes).unwrap();
        bad.push(folder.join(name));
    }
    let (in_folder, fifo, link) =
        (folder.join("folder.png"), folder.join("fifo.png"), folder.join("link.png"));
    fs::create_dir(&in_folder).unwrap();
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    symlink("link.png", &link).unwrap();
    bad.extend([in_folder, fifo, link]);
    bad
}

/// Fault 12: a run over nearly 1,000 files, five in a hundred of no use, ends, and its `skipped.jsonl` is
/// exact; above the allowed share another ends with an error, and its list names none that is usable.
#[test]
fn the_list_of_a_run_is_exact() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    draw(&data, &CLASSES, GOOD);
    let picture = fs::read(data.join("disc/00.png")).unwrap();
    let bad: BTreeSet<String> = CLASSES
        .iter()
        .flat_map(|class| write_bad(&data.join(class), &picture))
        .map(|path| printable(&path))
        .collect();
    assert_eq!(bad.len(), 54);
    let listed = |run: &Path| -> Vec<String> {
        let text = fs::read_to_string(run.join("skipped.jsonl")).unwrap();
        let paths = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(!line["reason"].as_str().unwrap().is_empty());
            line["path"].as_str().unwrap().to_owned()
        });
        paths.collect()
    };

    // 1,020 to be read, of which 45 are bad, in batches that leave none over.
    let (run, recipe) = (folder.path().join("run"), trained.recipe("pretrain"));
    fcmae!(
        "pretrain",
        "--data",
        data,
        "--out",
        run,
        "--config",
        recipe,
        "--set",
        "optim.batch=10",
        "--set",
        "optim.epochs=2",
    )
    .done();
    let found = listed(&run);
    assert_eq!(found.len(), bad.len(), "each once: {found:?}");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), bad);

    let few = folder.path().join("few");
    fcmae!(
        "pretrain",
        "--data",
        data,
        "--out",
        few,
        "--config",
        recipe,
        "--set",
        "optim.batch=10",
        "--set",
        "data.max_bad_fraction=0.01",
    )
    .refused(1, &["could not be used", "max_bad_fraction"]);
    let found = listed(&few);
    // 10 are a hundredth; listing left out 9, and of these 6 were to be pictures, which count with those that follow.
    assert!(found.len() > 9 + 10 - 6 && found.len() < 9 + 10, "{found:?}");
    assert!(found.iter().all(|path| bad.contains(path)), "{found:?}");
}

/// What is left out is told by every command that looks at pictures, and nothing is made of nothing.
#[test]
fn what_is_left_out_is_told() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (mixed, packed) = (folder.path().join("mixed"), folder.path().join("packed"));
    draw(&mixed, &CLASSES, 1);
    fs::write(mixed.join(CLASSES[0]).join("text.png"), "no picture").unwrap();
    symlink("gone.png", mixed.join(CLASSES[0]).join("link.png")).unwrap();
    fs::create_dir(&packed).unwrap();
    let tar = packed.join("pictures.tar");
    let packs = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&mixed).arg(".").status();
    assert!(packs.unwrap().success());

    for (data, unusable) in [(&mixed, 1), (&packed, 1)] {
        let weights = trained.finetuned();
        let ran = fcmae!("predict", data, "--weights", weights, "--format", "csv", "--top", "1");
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert_eq!(ran.stdout.lines().count(), 1 + CLASSES.len(), "{}", ran.stdout);
        assert_eq!(ran.stderr.matches("no answer: ").count(), unusable, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("skipped ") && ran.stderr.contains("link.png"),
            "{}",
            ran.stderr
        );
    }
    let ran = fcmae!("diversity", "--data", mixed, "--weights", trained.pretrained()).done();
    assert!(ran.stderr.contains("text.png") && ran.stderr.contains("link.png"), "{}", ran.stderr);

    // What is no file stays what it is.
    let fifo = folder.path().join("fifo.csv");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let weights = trained.pretrained();
    fcmae!("diversity", "--data", mixed, "--weights", weights, "--out", fifo, "--overwrite")
        .refused(2, &["fifo.csv", "not a regular file"]);

    for class in CLASSES {
        fs::write(mixed.join(class).join("00.png"), "no picture").unwrap();
    }
    let weights = trained.finetuned();
    fcmae!("evaluate", "--data", mixed, "--weights", weights)
        .refused(1, &["none of the pictures can be read", "00.png"]);
}

/// What is left of pictures of which most are broken says nothing.
#[test]
fn an_evaluation_of_which_most_is_missing_is_no_result() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    draw(folder.path(), &CLASSES, 4);
    let weights = trained.finetuned();
    let data = folder.path();
    fcmae!("evaluate", "--data", data, "--weights", weights).done();
    for (number, class) in CLASSES.iter().enumerate() {
        for picture in number.min(1)..4 {
            std::fs::write(data.join(class).join(format!("{picture:02}.png")), b"none").unwrap();
        }
    }
    fcmae!("evaluate", "--data", data, "--weights", weights)
        .refused(1, &["10 of 12 pictures could not be used", "--max-bad-fraction"]);
    fcmae!("evaluate", "--data", data, "--weights", weights, "--max-bad-fraction", "0.9").done();
}
