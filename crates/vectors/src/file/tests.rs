#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use super::disk::full;
use super::*;

const FORMATS: [&str; 3] = ["parquet", "npy", "csv"];

fn origin(width: usize) -> Origin {
    Origin {
        program: "fcmae 0.2.0".to_owned(),
        weights: "5d41402abc4b".to_owned(),
        features: "pooled".to_owned(),
        image_size: [224, 224],
        width,
        pictures: "7 (a1b2)".to_owned(),
    }
}

/// Rows as hostile as they come.
struct Rows {
    names: Vec<String>,
    labels: Vec<Option<String>>,
    values: Vec<f32>,
    width: usize,
}

fn rows(count: usize, width: usize) -> Rows {
    let texts = [
        "a/b.png",
        "a,b",
        "say \"cat\"",
        "two\nlines",
        "cr\rlf\r\n",
        " spaces ",
        "été 猫",
        "\\xff",
        "'",
        "#;\t=1+1",
        "\u{feff}bom",
    ];
    let names = (0..count).map(|row| format!("{}{row}", texts[row % texts.len()])).collect();
    let label =
        |row: usize| (!row.is_multiple_of(3)).then(|| texts[row * 7 % texts.len()].to_owned());
    let number = |at: usize| match at % 9 {
        0 => 0.1 * at as f32,
        1 => f32::MAX,
        2 => f32::MIN_POSITIVE / 3.0,
        3 => -0.0,
        _ => (at as f32).sin(),
    };
    Rows {
        names,
        labels: (0..count).map(label).collect(),
        values: (0..count * width).map(number).collect(),
        width,
    }
}

impl Rows {
    fn append(&self, writer: &mut Writer, from: usize, to: usize) -> Result<(), FileError> {
        let values = &self.values[from * self.width..to * self.width];
        writer.append(&self.names[from..to], &self.labels[from..to], values)
    }

    fn check(&self, path: &Path) {
        let read = Embeddings::open(path).unwrap();
        assert_eq!(read.names, self.names);
        assert_eq!(read.labels, self.labels);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(read.vectors.values()), bits(&self.values));
        assert_eq!(read.vectors.width(), self.width);
        assert_eq!(read.origin, Some(origin(self.width)));
    }

    /// Written in one go.
    fn write(&self, out: &Path) {
        let mut writer = Writer::begin(out, &origin(self.width), Options::default()).unwrap();
        self.append(&mut writer, 0, self.names.len()).unwrap();
        writer.finish().unwrap();
    }
}

const RESUME: Options = Options { resume: true, overwrite: false };
const OVERWRITE: Options = Options { resume: false, overwrite: true };

fn refused(out: &Path, origin: &Origin, options: Options) -> String {
    Writer::begin(out, origin, options).unwrap_err().to_string()
}

/// All files of a folder.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn rows_come_back_from_every_format_as_they_were() {
    for ending in FORMATS {
        for (count, width) in [(0, 3), (1, 1), (9, 1), (40, 5), (3, 300), (5000, 2)] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join(format!("out.{ending}"));
            let rows = rows(count, width);
            rows.write(&out);
            rows.check(&out);
            let files = match ending {
                "parquet" => vec!["out.parquet"],
                "npy" => vec!["out.csv", "out.json", "out.npy"],
                _ => vec!["out.csv", "out.csv.json"],
            };
            let there: Vec<String> =
                contents(folder.path()).into_iter().map(|file| file.0).collect();
            assert_eq!(there, files, "nothing else is left");
        }
    }
}

#[test]
fn a_file_of_vectors_is_known_by_its_beginning() {
    for ending in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join(format!("out.{ending}"));
        assert!(!Embeddings::are_in(&out), "it is not there");
        rows(4, 3).write(&out);
        assert!(Embeddings::are_in(&out), "{ending}");
        let other = folder.path().join(format!("other.{ending}"));
        std::fs::write(&other, "path,label\na.png,cat\n").unwrap();
        assert!(!Embeddings::are_in(&other), "{ending}");
        let unknown = folder.path().join("out.bin");
        std::fs::rename(&out, &unknown).unwrap();
        assert!(!Embeddings::are_in(&unknown), "{ending}");
    }
}

#[test]
fn empty_labels_are_none() {
    for ending in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join(format!("out.{ending}"));
        let mut rows = rows(2, 2);
        rows.labels = vec![Some(String::new()), Some("cat".to_owned())];
        rows.write(&out);
        rows.labels[0] = None;
        rows.check(&out);
    }
}

/// A journal of 7 rows in blocks of 3, 3 and 1, and what becomes of it.
fn killed(folder: &Path, ending: &str) -> (Rows, PathBuf, Vec<(String, Vec<u8>)>) {
    let (rows, whole) = (rows(7, 3), folder.join("whole"));
    fs::create_dir(&whole).unwrap();
    rows.write(&whole.join(format!("out.{ending}")));
    let out = folder.join(format!("out.{ending}"));
    let mut writer = Writer::begin(&out, &origin(3), Options::default()).unwrap();
    for (from, to) in [(0, 3), (3, 6), (6, 7)] {
        rows.append(&mut writer, from, to).unwrap();
    }
    drop(writer);
    (rows, out, contents(&whole))
}

fn partial(out: &Path) -> PathBuf {
    PathBuf::from(format!("{}.partial", out.display()))
}

/// Checks that nothing lies behind so many rows, which a later kill would leave for rows.
fn cut_to(out: &Path, rows: u64) {
    assert_eq!(fs::metadata(partial(out).join("vectors.f32")).unwrap().len(), rows * 12);
    let lines = fs::read(partial(out).join("rows.jsonl")).unwrap();
    assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count() as u64, rows);
    assert!(lines.is_empty() || lines.ends_with(b"\n"));
}

/// Resumes, checks that the rows there are those that were whole, adds the others, and compares with one go.
fn resumed(rows: &Rows, out: &Path, whole: &[(String, Vec<u8>)], least: u64) {
    let mut writer = Writer::begin(out, &origin(3), RESUME).unwrap();
    assert_eq!(writer.rows(), least);
    cut_to(out, least);
    rows.append(&mut writer, least as usize, 7).unwrap();
    writer.finish().unwrap();
    rows.check(out);
    for (name, bytes) in whole {
        let path = out.with_file_name(name);
        assert!(fs::read(&path).unwrap() == *bytes, "{name} is as if it was made in one run");
        fs::remove_file(path).unwrap();
    }
    assert!(!partial(out).exists());
}

#[test]
fn a_run_killed_at_any_byte_resumes_to_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, out, whole) = killed(folder.path(), "parquet");
    let kept = contents(&partial(&out));
    let length = |name: &str| kept.iter().find(|file| file.0 == name).unwrap().1.len();
    let lines = &kept.iter().find(|file| file.0 == "rows.jsonl").unwrap().1;
    let put_back = |cut: &str, to: usize| {
        fs::create_dir_all(partial(&out)).unwrap();
        for (name, bytes) in &kept {
            let to = if name == cut { to } else { bytes.len() };
            fs::write(partial(&out).join(name), &bytes[..to]).unwrap();
        }
    };
    for to in 0..=length("vectors.f32") {
        put_back("vectors.f32", to);
        resumed(&rows, &out, &whole, to as u64 / 12);
    }
    for to in 0..=length("rows.jsonl") {
        put_back("rows.jsonl", to);
        let left = lines[..to].iter().filter(|&&byte| byte == b'\n').count();
        resumed(&rows, &out, &whole, left as u64);
    }
}

#[test]
fn zeros_and_changes_at_the_end_of_a_killed_run_are_cut_off() {
    for ending in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let (rows, out, whole) = killed(folder.path(), ending);
        // As file systems leave what was never brought to the disk.
        let path = partial(&out).join("vectors.f32");
        let mut bytes = fs::read(&path).unwrap();
        bytes[5 * 12..].fill(0);
        bytes.extend([0; 100]);
        fs::write(&path, bytes).unwrap();
        resumed(&rows, &out, &whole, 5);
    }
    let folder = tempfile::tempdir().unwrap();
    let (rows, out, whole) = killed(folder.path(), "npy");
    let path = partial(&out).join("rows.jsonl");
    let mut lines = fs::read(&path).unwrap();
    // The name of the third row.
    let at = lines.windows(3).position(|part| part == b"say").unwrap();
    lines[at] = b'z';
    fs::write(&path, lines).unwrap();
    resumed(&rows, &out, &whole, 2);
}

#[test]
fn a_run_killed_before_it_began_or_after_it_ended_is_no_obstacle() {
    for ending in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let (rows, out, whole) = killed(folder.path(), ending);
        // Killed while the folder was removed, or made.
        fs::remove_file(partial(&out).join("about.json")).unwrap();
        resumed(&rows, &out, &whole, 0);
        fs::create_dir(partial(&out)).unwrap();
        resumed(&rows, &out, &whole, 0);
    }
}

#[test]
fn a_run_killed_while_its_files_came_into_place_goes_on_with_that() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, out, whole) = killed(folder.path(), "npy");
    fs::write(partial(&out).join("placing"), "").unwrap();
    fs::write(out.with_extension("json"), "half").unwrap();
    resumed(&rows, &out, &whole, 7);
}

#[test]
fn another_run_is_not_taken_for_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out, _) = killed(folder.path(), "csv");
    let with = |change: fn(&mut Origin)| {
        let mut other = origin(3);
        change(&mut other);
        refused(&out, &other, RESUME)
    };
    assert!(with(|origin| origin.weights = "other".to_owned()).contains("different weights"));
    assert!(with(|origin| origin.features = "stages.2".to_owned()).contains("\"stages.2\""));
    assert!(with(|origin| origin.image_size = [96, 96]).contains("[224, 224] and [96, 96] pixels"));
    assert!(with(|origin| origin.width = 4).contains("3 and 4 values"));
    assert!(with(|origin| origin.pictures = "8".to_owned()).contains("other pictures"));
    let newer = Origin { program: "fcmae 9".to_owned(), ..origin(3) };
    assert_eq!(Writer::begin(&out, &newer, RESUME).unwrap().rows(), 7);
    let said = refused(&out, &origin(3), Options::default());
    assert!(said.contains("did not finish"), "{said}");
    assert_eq!(Writer::begin(&out, &origin(3), OVERWRITE).unwrap().rows(), 0);
}

#[test]
fn what_is_there_is_overwritten_only_where_that_is_asked_for() {
    for ending in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join(format!("out.{ending}"));
        rows(3, 3).write(&out);
        let said = refused(&out, &origin(3), RESUME);
        assert!(said.contains("exists already"), "{said}");
        assert!(!partial(&out).exists());
        let mut writer = Writer::begin(&out, &origin(3), OVERWRITE).unwrap();
        let in_use = refused(&out, &origin(3), OVERWRITE);
        assert!(in_use.contains("is in use"), "{in_use}");
        rows(4, 3).append(&mut writer, 0, 4).unwrap();
        rows(3, 3).check(&out);
        writer.finish().unwrap();
        rows(4, 3).check(&out);
    }
    // The files beside it count as well.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("out.csv"), "mine").unwrap();
    let said = refused(&folder.path().join("out.npy"), &origin(3), Options::default());
    assert!(said.contains("out.csv exists already"), "{said}");
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.csv");
    fs::create_dir(partial(&out)).unwrap();
    fs::write(partial(&out).join("thesis.tex"), "mine").unwrap();
    for options in [Options::default(), RESUME, OVERWRITE] {
        let said = refused(&out, &origin(3), options);
        assert!(said.contains("\"thesis.tex\""), "{said}");
    }
    assert_eq!(fs::read(partial(&out).join("thesis.tex")).unwrap(), b"mine");
}

#[test]
fn a_full_disk_keeps_the_rows_and_says_so() {
    for ending in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join(format!("out.{ending}"));
        let rows = rows(7, 3);
        let mut writer = Writer::begin(&out, &origin(3), Options::default()).unwrap();
        rows.append(&mut writer, 0, 4).unwrap();
        for room in 0..70 {
            full::after(room);
            let said = rows.append(&mut writer, 4, 7).unwrap_err().to_string();
            assert!(
                said.contains("is full; 4 rows are kept in") && said.contains(".partial"),
                "{said}"
            );
            assert_eq!(writer.rows(), 4);
            cut_to(&out, 4);
        }
        full::after(usize::MAX);
        rows.append(&mut writer, 4, 7).unwrap();
        full::after(20);
        let said = writer.finish().unwrap_err().to_string();
        assert!(said.contains("is full; 7 rows are kept in"), "{said}");
        full::after(usize::MAX);
        assert!(!out.exists());
        let writer = Writer::begin(&out, &origin(3), RESUME).unwrap();
        assert_eq!(writer.rows(), 7);
        writer.finish().unwrap();
        rows.check(&out);
    }
}

#[test]
fn rows_that_cannot_be_kept_are_refused_with_their_number_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.csv");
    let mut writer = Writer::begin(&out, &origin(2), Options::default()).unwrap();
    let mut add = |name: &str, values: &[f32]| {
        writer.append(&[name.to_owned()], &[None], values).map_err(|error| error.to_string())
    };
    add("a.png", &[1.0, 2.0]).unwrap();
    let said = add("b.png", &[1.0, f32::NAN]).unwrap_err();
    assert!(
        said.starts_with("row 1, \"b.png\": value 1 of its vector is not a number (NaN)"),
        "{said}"
    );
    assert!(add("", &[1.0, 2.0]).unwrap_err().contains("needs a name"));
    assert!(add(&"x".repeat(70_000), &[1.0, 2.0]).unwrap_err().contains("70000 bytes"));
    let said = add("c.png", &[1.0]).unwrap_err();
    assert_eq!(said, "1 names, 1 labels and 1 values are not rows of 2 values");
    assert_eq!(writer.rows(), 1);
    assert!(refused(&folder.path().join("out.txt"), &origin(2), RESUME).contains("must end in"));
    assert!(refused(&folder.path().join("a.csv"), &origin(0), RESUME).contains("1 to 1048576"));
    assert!(
        refused(&folder.path().join("no/a.csv"), &origin(1), RESUME).contains("create the folder")
    );
}

#[test]
fn shards_of_one_origin_are_one_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let all = rows(10, 3);
    let write = |name: &str, from: usize, to: usize, change: fn(&mut Origin)| {
        let (path, mut origin) = (folder.path().join(name), origin(3));
        change(&mut origin);
        let mut writer = Writer::begin(&path, &origin, Options::default()).unwrap();
        all.append(&mut writer, from, to).unwrap();
        writer.finish().unwrap();
        path
    };
    let first = write("1.parquet", 0, 4, |_| ());
    let second = write("2.npy", 4, 10, |origin| origin.pictures = "6".to_owned());
    let both = Embeddings::open_all(&[&first, &second]).unwrap();
    assert_eq!((&both.names, &both.labels), (&all.names, &all.labels));
    assert_eq!(both.vectors.values(), all.values);
    assert_eq!(both.origin.unwrap().pictures, "7 (a1b2) + 6");

    let refused = |other: &Path| Embeddings::open_all(&[&first, other]).unwrap_err().to_string();
    let again = write("3.csv", 3, 4, |_| ());
    let said = refused(&again);
    assert!(
        said.starts_with("\"two\\nlines3\" is in ") && said.contains("1.parquet and again in "),
        "{said}"
    );
    let other = write("4.csv", 5, 6, |origin| origin.weights = "other".to_owned());
    assert!(refused(&other).contains("from different weights (\"5d41402abc4b\" and \"other\")"));
    fs::remove_file(folder.path().join("4.csv.json")).unwrap();
    assert!(refused(&other).contains("only one of them names its weights"));
    assert!(Embeddings::open_all(&[] as &[&Path]).is_err());
}
