//! Files as other programs write them, and files that are wrong in every way known.

use std::fs;
use std::path::Path;

use fcmae_store::safetensors::{self, MAX_HEADER_BYTES, Strings};
use fcmae_store::{Error, HostTensor, NamedTensors};

fn file(header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

fn read(bytes: &[u8]) -> Result<safetensors::Contents, Error> {
    safetensors::from_bytes(bytes, Path::new("weights.safetensors"))
}

fn sample() -> NamedTensors {
    let tensor = |shape: &[usize]| {
        let values = (0..shape.iter().product::<usize>()).map(|i| i as f32 - 2.5).collect();
        HostTensor::new(shape, values).unwrap()
    };
    [
        ("stages.0.b", tensor(&[3, 1, 7])),
        ("a", tensor(&[])),
        ("empty", tensor(&[0, 4])),
        ("z", tensor(&[70_000])),
    ]
    .map(|(name, tensor)| (name.to_owned(), tensor))
    .into_iter()
    .collect()
}

#[test]
fn what_is_written_is_read_and_equal_tensors_give_equal_bytes() {
    let metadata: Strings = ["seed", "epoch", "model", "version"]
        .map(|key| (key.to_owned(), format!("{key} \"ü\"")))
        .into();
    let bytes = safetensors::to_bytes(&sample(), &metadata).unwrap();
    for _ in 0..5 {
        assert_eq!(safetensors::to_bytes(&sample(), &metadata).unwrap(), bytes);
    }
    let contents = read(&bytes).unwrap();
    assert_eq!(contents.tensors, sample());
    assert_eq!(contents.metadata["format"], "pt");
    assert_eq!(contents.metadata["seed"], metadata["seed"]);
    assert_eq!(contents.metadata.len(), 5);

    // The format's own reader agrees.
    let theirs = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.len(), 4);
    let values = theirs.tensor("stages.0.b").unwrap();
    assert_eq!(values.shape(), [3, 1, 7]);
    assert_eq!(values.data()[..4], (-2.5f32).to_le_bytes());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, "something older").unwrap();
    safetensors::save(&path, &sample(), &metadata).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(safetensors::load(&path).unwrap(), contents);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
    let header = safetensors::load_header(&path).unwrap();
    assert_eq!(header.entries.len(), 4);
    assert_eq!(header.entries[2].shape, [3, 1, 7]);
    assert_eq!(header.entries[2].dtype.to_string(), "F32");
}

#[test]
fn half_and_double_precision_become_float32() {
    let header = r#"{"d":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},
        "h":{"dtype":"F16","shape":[4],"data_offsets":[16,24]},
        "b":{"dtype":"BF16","shape":[3],"data_offsets":[24,30]}}"#;
    let mut values = Vec::new();
    values.extend([1.5f64, 0.1].iter().flat_map(|v| v.to_le_bytes()));
    // 1, the smallest subnormal 2^-24, -65504 (the largest), infinity
    values.extend([0x3c00u16, 0x0001, 0xfbff, 0x7c00].iter().flat_map(|v| v.to_le_bytes()));
    // 1, -2, 3.140625
    values.extend([0x3f80u16, 0xc000, 0x4049].iter().flat_map(|v| v.to_le_bytes()));
    let tensors = read(&file(header, &values)).unwrap().tensors;
    assert_eq!(tensors.get("d").unwrap().data, [1.5, 0.1]);
    assert_eq!(tensors.get("h").unwrap().data, [1.0, 2f32.powi(-24), -65504.0, f32::INFINITY]);
    assert_eq!(tensors.get("b").unwrap().data, [1.0, -2.0, 3.140625]);
}

/// A file with a flaw: what it is, the file, and what is said of it.
type Malformed = (&'static str, Vec<u8>, &'static str);

/// A tensor in the header: values from one byte to another.
fn f32s(name: &str, start: u64, end: u64) -> String {
    let count = (end - start) / 4;
    format!(r#""{name}":{{"dtype":"F32","shape":[{count}],"data_offsets":[{start},{end}]}}"#)
}

/// A file of two tensors.
fn pair(a: String, b: String, bytes: usize) -> Vec<u8> {
    file(&format!("{{{a},{b}}}"), &vec![0; bytes])
}

/// A file of a tensor `a`, described by `entry`.
fn one(entry: &str, bytes: usize) -> Vec<u8> {
    file(&format!(r#"{{"a":{entry}}}"#), &vec![0; bytes])
}

fn sound() -> Vec<u8> {
    pair(f32s("a", 0, 8), f32s("b", 8, 16), 16)
}

/// The header as a whole, and the file's length.
fn in_the_frame() -> Vec<Malformed> {
    let good = sound();
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let mut not_utf8 = good.clone();
    not_utf8[10] = 0xff;
    let claiming = |length: u64| [&length.to_le_bytes(), &good[8..]].concat();
    vec![
        ("empty file", vec![], "0 bytes long"),
        ("shorter than the length", vec![1, 2, 3], "3 bytes long"),
        ("header beyond the file", claiming(good.len() as u64), "are left in the file"),
        ("header of 2^64 bytes", claiming(u64::MAX), "at most"),
        ("header of no bytes", file("", &[]), "EOF"),
        ("header not UTF-8", not_utf8, "not UTF-8"),
        ("header not JSON", file("{'a': 1}", &[]), "header is wrong"),
        ("header a list", file("[1, 2]", &[]), "header is wrong"),
        ("header nested deeply", file(&deep, &[]), "recursion"),
        ("text after the header's object", file("{} {}", &[]), "trailing"),
        ("metadata not strings", file(r#"{"__metadata__":{"x":1}}"#, &[]), "header is wrong"),
        ("values cut short", good[..good.len() - 1].to_vec(), "holds 15"),
        ("bytes after the values", [&good[..], &[0]].concat(), "holds 17"),
    ]
}

/// Names and fields that are there twice, and ranges that do not lie one after the other.
fn in_the_order() -> Vec<Malformed> {
    let twice = r#"{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}"#;
    let backwards = r#"{"dtype":"F32","shape":[0],"data_offsets":[4,0]}"#;
    let strings = r#"{"__metadata__":{"x":"1","x":"2"}}"#;
    vec![
        ("overlap", pair(f32s("a", 0, 8), f32s("b", 4, 12), 12), "offset"),
        ("gap", pair(f32s("a", 0, 8), f32s("b", 12, 20), 20), "offset"),
        ("same range twice", pair(f32s("a", 0, 8), f32s("b", 0, 8), 8), "offset"),
        ("does not begin at 0", file(&format!("{{{}}}", f32s("a", 4, 8)), &[0; 8]), "offset"),
        ("range backwards", one(backwards, 4), "offset"),
        ("duplicate name", pair(f32s("a", 0, 8), f32s("a", 0, 8), 8), "duplicate key `a`"),
        ("duplicate string", file(strings, &[]), "duplicate key `x`"),
        ("duplicate field", one(twice, 4), "duplicate key `shape`"),
    ]
}

/// A single tensor's description.
fn in_an_entry() -> Vec<Malformed> {
    let tebibyte = format!(r#"{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}"#, 1u64 << 40);
    [
        (
            "shape overflows",
            r#"{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}"#,
            0,
            "overflow",
        ),
        (
            "bytes overflow",
            r#"{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}"#,
            0,
            "overflow",
        ),
        (
            "range overflows",
            r#"{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616]}"#,
            4,
            "header is wrong",
        ),
        ("a tebibyte claimed", tebibyte.as_str(), 4, "bytes of values"),
        (
            "negative shape",
            r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#,
            4,
            "header is wrong",
        ),
        ("shape against range", r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#, 8, "shape"),
        ("unknown element type", r#"{"dtype":"F33","shape":[1],"data_offsets":[0,4]}"#, 4, "F33"),
        ("integers", r#"{"dtype":"I64","shape":[1],"data_offsets":[0,8]}"#, 8, "`a` is I64"),
        ("field missing", r#"{"dtype":"F32","shape":[1]}"#, 4, "data_offsets"),
    ]
    .map(|(name, entry, bytes, flaw)| (name, one(entry, bytes), flaw))
    .into()
}

/// Fault 18: malformed files, each named after its flaw.
#[test]
fn malformed_files_are_refused_with_their_flaw() {
    let good = sound();
    assert!(read(&good).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for (name, bytes, flaw) in [in_the_frame(), in_the_order(), in_an_entry()].concat() {
        fs::write(&path, &bytes).unwrap();
        let from_file = fcmae_store::file::load(&path).map(|_| ()).expect_err(name).to_string();
        let from_file = from_file.replace(&path.display().to_string(), "weights.safetensors");
        for error in [read(&bytes).map(|_| ()).expect_err(name).to_string(), from_file] {
            assert!(
                error.starts_with("weights.safetensors is not a usable safetensors file: "),
                "{name}: {error}"
            );
            assert!(error.contains(flaw), "{name}: {error}");
        }
    }
    for cut in 0..good.len() {
        assert!(read(&good[..cut]).is_err(), "cut at {cut}");
    }
}

/// Fault 18: a header of 100 MB.
#[test]
fn a_header_of_100_megabytes_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.safetensors");
    for bytes in [MAX_HEADER_BYTES + 1, 100_000_000] {
        fs::write(&path, bytes.to_le_bytes()).unwrap();
        // Sparse: the bytes are really there, as far as the file's length says.
        fs::File::options().write(true).open(&path).unwrap().set_len(bytes + 8).unwrap();
        for error in
            [safetensors::load(&path).unwrap_err(), fcmae_store::file::load(&path).unwrap_err()]
        {
            let error = error.to_string();
            assert!(error.contains(&format!("claims {bytes} bytes; at most")), "{error}");
        }
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("folder.safetensors");
    fs::create_dir(&named).unwrap();
    let error = safetensors::load(&named).unwrap_err().to_string();
    assert!(error.contains("folder.safetensors: it is not a file"), "{error}");
    #[cfg(unix)]
    {
        let fifo = folder.path().join("fifo.safetensors");
        if std::process::Command::new("mkfifo").arg(&fifo).status().is_ok_and(|done| done.success())
        {
            assert!(safetensors::load(&fifo).is_err());
        }
    }
    assert!(matches!(safetensors::load(&folder.path().join("none")), Err(Error::Io { .. })));
}

#[test]
fn reserved_names_and_unfilled_shapes_are_not_written() {
    let mut tensors = NamedTensors::new();
    tensors.insert("__metadata__", HostTensor::new([1], vec![1.0]).unwrap());
    assert!(matches!(
        safetensors::to_bytes(&tensors, &Strings::new()),
        Err(Error::BadTensor { .. })
    ));
}
