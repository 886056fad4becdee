//! Files as others write them and read them: `reference/make_vectors.py` writes the fixtures, and checks with pyarrow,
//! pandas and NumPy that what stands in `fixtures/written` means what it should.
#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use fcmae_vectors::Embeddings;
use fcmae_vectors::file::{Options, Origin, Writer};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// What the script holds the written files to.
fn written(out: &Path) {
    let origin = Origin {
        program: "fcmae 0.2.0".to_owned(),
        weights: "5d41402abc4b".to_owned(),
        features: "pooled".to_owned(),
        image_size: [224, 224],
        width: 3,
        pictures: "5".to_owned(),
    };
    let names = ["a/1.png", "b, \"2\".png", "été.png", "two\nlines.png", "\\xff.png"];
    let labels = [Some("cat"), None, Some("dog, big"), Some("cat"), None];
    let values: Vec<f32> = (0..15).map(|at| at as f32 / 4.0 - 1.0).collect();
    let mut writer =
        Writer::begin(out, &origin, Options { resume: false, overwrite: true }).unwrap();
    let names: Vec<String> = names.map(str::to_owned).into();
    let labels: Vec<Option<String>> = labels.map(|label| label.map(str::to_owned)).into();
    writer.append(&names, &labels, &values).unwrap();
    writer.finish().unwrap();
    let read = Embeddings::open(out).unwrap();
    assert_eq!((read.names, read.labels, read.origin), (names, labels, Some(origin)));
    assert_eq!(read.vectors.values(), values);
}

/// After a change of what is written: copy what the test names to the fixtures, and run the script.
#[test]
fn what_is_written_is_what_others_were_seen_to_read() {
    for (out, files) in [
        ("out.parquet", &["out.parquet"][..]),
        ("matrix.npy", &["matrix.npy", "matrix.csv", "matrix.json"]),
        ("out.csv", &["out.csv", "out.csv.json"]),
    ] {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        written(&folder.join(out));
        for file in files {
            let (new, kept) = (folder.join(file), fixtures().join("written").join(file));
            let same = fs::read(&new).unwrap() == fs::read(&kept).unwrap_or_default();
            assert!(same, "{} and {} differ", new.display(), kept.display());
        }
    }
}

/// The files of a folder of fixtures with this ending.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures().join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| endings.contains(&path.extension().unwrap().to_str().unwrap()));
    paths.sort();
    paths
}

#[test]
fn files_of_pyarrow_pandas_and_numpy_are_read() {
    let paths = files("others", &["parquet", "npy", "csv"]);
    assert_eq!(paths.len(), 11);
    for path in paths {
        let read = Embeddings::open(&path).unwrap();
        let values = (0..5).map(|row| row as f32).flat_map(|row| [row, row + 0.5, -row]);
        assert_eq!(read.vectors.values(), values.collect::<Vec<_>>(), "{}", path.display());
        let mut labels = [Some("cat"), None, Some("dog"), Some("cat"), None];
        let mut ending = ".png";
        match path.file_name().unwrap().to_str().unwrap() {
            name if name.ends_with(".npy") => (labels, ending) = ([None; 5], ""),
            "numbers.parquet" => labels = [Some("7"), None, Some("8"), Some("7"), None],
            _ => {}
        }
        assert_eq!(read.labels, labels.map(|label| label.map(str::to_owned)), "{}", path.display());
        assert_eq!(read.names, [0, 1, 2, 3, 4].map(|row| format!("{row}{ending}")));
        assert_eq!((read.vectors.width(), read.origin), (3, None));
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_the_file_and_the_remedy() {
    let words = [
        ("big_endian.npy", "big endian (\">f4\"); save array.astype('<f4')"),
        ("constant.parquet", "more than 16 numbers a byte"),
        ("empty_list.parquet", "the list of its row 1 is missing or empty"),
        ("fortran.npy", "(Fortran order); save numpy.ascontiguousarray(array)"),
        ("missing_list.parquet", "the list of its row 1 is missing or empty"),
        ("missing_number.parquet", "or holds a missing number; leave such rows out"),
        ("no_name.parquet", "row 1 has no path; leave it out"),
        ("no_path.parquet", "has no column path; name one so"),
        ("not_finite.npy", "row 0 holds a value that is not a number (NaN)"),
        ("not_lists.parquet", "column vector: it holds no lists"),
        ("objects.npy", "holds Python objects"),
        ("one_dimension.npy", "it has 1 dimensions; 2 are needed"),
        ("ragged.parquet", "row 1 holds 1 numbers, those before it 2"),
        ("records.npy", "records of several fields"),
        ("whole_numbers.npy", "its type is \"<i4\""),
    ];
    let paths = files("refused", &["parquet", "npy"]);
    assert_eq!(paths.len(), words.len());
    for (path, (name, expected)) in paths.iter().zip(words) {
        let said = Embeddings::open(path).unwrap_err().to_string();
        assert!(path.ends_with(name) && said.contains(name), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// What is said of a file of these bytes, beside others.
fn said(name: &str, bytes: &[u8], beside: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in beside {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::write(folder.path().join(name), bytes).unwrap();
    Embeddings::open(&folder.path().join(name)).unwrap_err().to_string()
}

#[test]
fn tables_that_are_none_are_refused_with_the_line() {
    for (text, expected) in [
        ("", "no column path"),
        ("v0,v1\n1,2\n", "no column path"),
        ("path,label\na,b\n", "no columns v0, v1"),
        ("path,part,v0\na,b,1\n", "its column 2 is \"part\""),
        ("path,v0,v2\na,1,2\n", "its column 3 is \"v2\""),
        ("path,path,v0\na,b,1\n", "two columns \"path\""),
        ("path,v0\na,1\nb,c,2\n", "the row on line 3 has 3 columns, those before it 2"),
        ("path,v0\na,1\nb,one\n", "v0 of the row on line 3 is \"one\", no number"),
        ("path,v0\na,1\nb,inf\n", "row 1 holds a value that is not a number (inf)"),
    ] {
        let said = said("out.csv", text.as_bytes(), &[]);
        assert!(said.contains("out.csv") && said.contains(expected), "{said}");
    }
    let origin = fs::read_to_string(fixtures().join("written/out.csv.json")).unwrap();
    let wide = said("out.csv", b"path,v0\na,1\n", &[("out.csv.json", &origin)]);
    assert!(wide.contains("have 1 values, and its description says 3"), "{wide}");
    let torn = said("out.csv", b"path,v0\na,1\n", &[("out.csv.json", "{")]);
    assert!(torn.contains("out.csv.json") && torn.contains("is damaged"), "{torn}");
}

#[test]
fn tables_with_a_mark_and_names_that_are_no_text_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    fs::write(&path, b"\xef\xbb\xbfv0,path,v1\r\n 1 ,a\xff.png,-2.5e-3\r\n").unwrap();
    let read = Embeddings::open(&path).unwrap();
    assert_eq!((read.names, read.labels), (vec!["a\\xff.png".to_owned()], vec![None]));
    assert_eq!(read.vectors.values(), [1.0, -2.5e-3]);
}

#[test]
fn names_beside_a_matrix_must_be_its_own() {
    let matrix = fs::read(fixtures().join("others/f32.npy")).unwrap();
    let few = said("m.npy", &matrix, &[("m.csv", "path\na\n")]);
    assert!(few.contains("m.csv: it names 1 pictures, and") && few.contains("has 5 rows"), "{few}");
    let other = said("m.npy", &matrix, &[("m.csv", "path,v0\na,1\n")]);
    assert!(other.contains("vectors of its own"), "{other}");
}

/// Cut to its length at the end: a file that is emptied first may be brought to the disk at once.
fn replace(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

#[test]
fn files_that_are_cut_short_or_changed_at_any_byte_are_refused_or_read_and_nothing_panics() {
    let folder = tempfile::tempdir().unwrap();
    for path in files("written", &["parquet", "npy"]).iter().chain(&files("others", &["npy"])) {
        let bytes = fs::read(path).unwrap();
        let copy = folder.path().join(path.file_name().unwrap());
        for to in 0..bytes.len() {
            replace(&copy, &bytes[..to]);
            assert!(Embeddings::open(&copy).is_err(), "{} bytes of {}", to, path.display());
        }
        for at in 0..bytes.len() {
            for with in [0, 0xFF, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
                let mut changed = bytes.clone();
                changed[at] = with;
                replace(&copy, &changed);
                let _ = Embeddings::open(&copy);
            }
        }
    }
}
