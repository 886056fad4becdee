//! Files of torch.save as PyTorch writes them, and files that must be refused.

use std::fs;
use std::path::{Path, PathBuf};

use fcmae_store::file::{self, Format};
use fcmae_store::{Error, HostTensor, NamedTensors, pth, safetensors};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn twin(name: &str) -> NamedTensors {
    safetensors::load(&fixture(name)).unwrap().tensors
}

fn bits(tensors: &NamedTensors) -> Vec<(&String, &Vec<usize>, Vec<u32>)> {
    let bits = |tensor: &HostTensor| tensor.data.iter().map(|value| value.to_bits()).collect();
    tensors.iter().map(|(name, tensor)| (name, &tensor.shape, bits(tensor))).collect()
}

fn refusal(path: &Path) -> String {
    let Err(error) = file::load(path) else { panic!("{} was read", path.display()) };
    error.to_string()
}

#[test]
fn a_state_dict_has_the_values_that_pytorch_gives() {
    let expected = twin("state.safetensors");
    assert_eq!(expected.len(), 17);
    for (name, form) in [
        ("state_zip.pth", pth::Form::Zip),
        ("state_zip_newest.pth", pth::Form::Zip),
        ("state_legacy.pth", pth::Form::Legacy),
        ("state_legacy_newest.pth", pth::Form::Legacy),
        ("checkpoint_zip.pth", pth::Form::Zip),
        ("checkpoint_zip_newest.pth", pth::Form::Zip),
        ("checkpoint_legacy.pth", pth::Form::Legacy),
        ("checkpoint_legacy_newest.pth", pth::Form::Legacy),
    ] {
        let contents = pth::load(&fixture(name)).unwrap();
        assert_eq!(bits(&contents.tensors), bits(&expected), "{name}");
        assert_eq!(contents.form, form, "{name}");
        let bytes = fs::read(fixture(name)).unwrap();
        assert_eq!(
            bits(&pth::from_bytes(&bytes, Path::new("x")).unwrap().tensors),
            bits(&expected)
        );

        let (taken, others) =
            if name.starts_with("state") { ("", vec![]) } else { ("model", vec![String::new()]) };
        let source = pth::Source { taken: taken.to_owned(), others, passed_over: vec![] };
        assert_eq!(contents.source, source, "{name}");

        let header = pth::load_header(&fixture(name)).unwrap();
        assert_eq!((header.form, header.source), (form, source), "{name}");
        let shapes: Vec<_> =
            header.entries.iter().map(|entry| (&entry.name, &entry.shape)).collect();
        assert_eq!(shapes.len(), expected.len(), "{name}");
        for (tensor, shape) in shapes {
            assert_eq!(expected.get(tensor).unwrap().shape, *shape, "{name}: {tensor}");
        }
        let dtypes = |tensor: &str| {
            let entry = header.entries.iter().find(|entry| entry.name == tensor).unwrap();
            entry.dtype.to_string()
        };
        assert_eq!(["half", "bfloat", "double", "tied"].map(dtypes), ["F16", "BF16", "F64", "F32"]);
    }
}

#[test]
fn a_moving_average_is_taken_and_the_other_named() {
    let expected = twin("averaged.safetensors");
    for (name, taken, others) in [
        ("averaged.pth", "state_dict_ema", vec!["state_dict".to_owned()]),
        ("averaged_wrapped.pth", "model_ema.module", vec!["model".to_owned()]),
        ("averaged_none.pth", "state_dict", vec![]),
    ] {
        let contents = pth::load(&fixture(name)).unwrap();
        assert_eq!(contents.tensors, expected, "{name}");
        assert_eq!(
            contents.source,
            pth::Source { taken: taken.to_owned(), others, passed_over: vec![] },
            "{name}"
        );
    }
    assert_eq!(
        file::load(&fixture("averaged.pth")).unwrap().notes,
        ["`state_dict_ema` was taken; the file holds `state_dict` too"]
    );
    assert_eq!(
        file::load_header(&fixture("checkpoint_zip.pth")).unwrap().notes,
        ["`model` was taken; the file holds the tensors at the top too"]
    );
}

#[test]
fn formats_are_told_apart_by_content() {
    let folder = tempfile::tempdir().unwrap();
    // Names that say nothing, or something else.
    for (from, to, format) in [
        ("state.safetensors", "a.pth", Format::Safetensors),
        ("state_zip.pth", "b.safetensors", Format::PyTorch),
        ("state_legacy.pth", "c", Format::PyTorchLegacy),
        ("state_legacy_newest.pth", "d.bin", Format::PyTorchLegacy),
    ] {
        let path = folder.path().join(to);
        fs::copy(fixture(from), &path).unwrap();
        let contents = file::load(&path).unwrap();
        assert_eq!((contents.format, contents.notes.len()), (format, 0), "{from}");
        assert_eq!(bits(&contents.tensors), bits(&twin("state.safetensors")), "{from}");
        let header = file::load_header(&path).unwrap();
        assert_eq!((header.format, header.entries.len()), (format, 17), "{from}");
    }
    // A header of 640 bytes: the file begins as a pickle does, with 0x80 0x02.
    let header = format!("{:640}", r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#);
    let path = folder.path().join("e.bin");
    let bytes = [&640u64.to_le_bytes(), header.as_bytes(), &1f32.to_le_bytes()].concat();
    fs::write(&path, bytes).unwrap();
    assert_eq!(file::load(&path).unwrap().tensors.get("w").unwrap().data, [1.0]);
}

#[test]
fn what_is_no_weights_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    for (bytes, found) in [
        (&b"\n<!DOCTYPE html><html>"[..], "it is a web page; download the file"),
        (b"<HTML><body>", "it is a web page"),
        (b"<?xml version='1.0'?><Error>", "it is a web page"),
        (pointer, "it is a pointer of Git LFS; fetch the file itself with `git lfs pull`"),
        (b"\x80\x04\x95\x03\0\0\0\0\0\0\0}\x94.", "a pickle that torch.save did not write"),
        (b"{\"error\": 5}", "not an index of weights in several files: it has no `weight_map`"),
        (b"", "neither a safetensors file nor one of torch.save"),
        (b"\x00\x01\x02 some\x1b[31mthing", "neither a safetensors file"),
        (&tar, "it is a tar of PyTorch before 0.2"),
    ] {
        for name in ["w.pth", "w.bin", "w"] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let error = refusal(&path);
            assert!(error.contains(found), "{error}");
            assert!(error.starts_with(&format!("{} ", path.display())), "{error}");
            assert!(!error.contains('\x1b'), "{error}");
            assert_eq!(file::load_header(&path).unwrap_err().to_string(), error);
        }
    }
    let path = folder.path().join("none.pth");
    assert!(matches!(file::load(&path), Err(Error::Io { .. })));
    assert!(matches!(file::load(folder.path()), Err(Error::Io { .. })));
}

#[test]
fn what_pytorch_writes_and_cannot_be_taken_is_refused_with_the_remedy() {
    for (name, found) in [
        ("refused_integers.pth", "tensor `count` is I64; F32, F16, BF16 and F64 are read"),
        (
            "refused_module.pth",
            "its pickle names `torch.nn.modules.linear.Linear`, which weights do not need (nothing \
             was run); if you trust the file, load it with PyTorch and save the weights alone: \
             torch.save(model.state_dict(), \"weights.pth\")",
        ),
        ("refused_expanded.pth", "tensor `w` of shape [3, 4] repeats a storage of 1 values"),
        ("refused_negated.pth", "a tensor that is not described as torch.save does"),
        ("refused_unnamed.pth", "it holds no dictionary of tensors by name (keys: )"),
        ("refused_unknown_key.pth", "(keys: teacher (holds tensors), epoch)"),
        ("refused_script.pt", "it is a TorchScript archive, with code; save its weights alone"),
    ] {
        let error = refusal(&fixture(name));
        assert!(error.contains("is not a usable PyTorch file: "), "{error}");
        assert!(error.contains(found), "{name}: {error}");
    }
    // Of integers only the values are refused.
    let header = pth::load_header(&fixture("refused_integers.pth")).unwrap();
    assert_eq!(header.entries[1].dtype.to_string(), "I64");
}

fn sample() -> NamedTensors {
    let tensor = |shape: &[usize]| {
        let values = (0..shape.iter().product::<usize>()).map(|i| i as f32 - 2.5).collect();
        HostTensor::new(shape, values).unwrap()
    };
    [
        ("stages.0.ü", tensor(&[3, 1, 7])),
        ("a", tensor(&[])),
        ("empty", tensor(&[0, 4])),
        ("also empty", tensor(&[4, 0, 2])),
        ("nan", HostTensor::new([2], vec![f32::from_bits(0x7fc0_1234), -0.0]).unwrap()),
        ("z", tensor(&[70_000])),
    ]
    .map(|(name, tensor)| (name.to_owned(), tensor))
    .into_iter()
    .collect()
}

#[test]
fn what_is_written_is_read_bit_for_bit_and_equal_tensors_give_equal_bytes() {
    let bytes = pth::to_bytes(&sample(), "model").unwrap();
    assert_eq!(pth::to_bytes(&sample(), "model").unwrap(), bytes);
    let contents = pth::from_bytes(&bytes, Path::new("w.pth")).unwrap();
    assert_eq!(bits(&contents.tensors), bits(&sample()));
    assert_eq!(
        contents.source,
        pth::Source { taken: "model".to_owned(), others: vec![], passed_over: vec![] }
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    fs::write(&path, "something older").unwrap();
    pth::save(&path, &sample(), "model").unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
    assert_eq!(file::load(&path).unwrap().format, Format::PyTorch);

    // As in PyTorch's own files, so that values can be mapped into memory.
    let aligned = |needle: &[u8]| bytes.windows(needle.len()).position(|at| at == needle).unwrap();
    assert_eq!(aligned(&[(-2.5f32).to_le_bytes(), (-1.5f32).to_le_bytes()].concat()) % 64, 0);

    let unfilled = HostTensor { shape: vec![3], data: vec![1.0] };
    let unfilled = NamedTensors::from_iter([("w".to_owned(), unfilled)]);
    assert!(matches!(pth::to_bytes(&unfilled, "model"), Err(Error::BadTensor { .. })));
    let many = |count: usize| -> NamedTensors {
        let tensor = HostTensor::new([0], vec![]).unwrap();
        (0..count).map(|i| (i.to_string(), tensor.clone())).collect()
    };
    let error = pth::to_bytes(&many(70_000), "model").unwrap_err().to_string();
    assert!(error.starts_with("70000 tensors of "), "{error}");
    let bytes = pth::to_bytes(&many(2000), "model").unwrap();
    assert_eq!(pth::from_bytes(&bytes, Path::new("w.pth")).unwrap().tensors.len(), 2000);
}

/// Two formats, the same tensors. `reference/check_pth.py` says where the files are to lie, and lets
/// PyTorch read them there.
#[test]
fn both_formats_hold_the_same_tensors() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("FCMAE_PTH_CHECK");
    let folder = folder.map_or(scratch.path().to_owned(), PathBuf::from);
    for (name, tensors) in [("state", twin("state.safetensors")), ("sample", sample())] {
        let path = |extension| folder.join(name).with_extension(extension);
        pth::save(&path("pth"), &tensors, "model").unwrap();
        safetensors::save(&path("safetensors"), &tensors, &Default::default()).unwrap();
        for extension in ["pth", "safetensors"] {
            let found = file::load(&path(extension)).unwrap().tensors;
            assert_eq!(bits(&found), bits(&tensors), "{name}.{extension}");
        }
    }
}
