//! PyTorch files that are made to do harm, or that were damaged: an error, soon, in little memory.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fcmae_store::{Error, NamedTensors, file, pth};

const MIB: u64 = 1 << 20;
/// Memory written to, for a file of a few MiB at most.
const USED: u64 = 64 * MIB;
/// Memory asked for. A thread's heap is reserved in pieces of 64 MiB.
const RESERVED: u64 = 1024 * MIB;
const TIME: Duration = Duration::from_secs(5);

/// Memory is the process's, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A line of `/proc/self/status` in bytes; `None` where there is no such file.
fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_matches([':', ' ', '\t']).strip_suffix(" kB")?.parse::<u64>().ok().map(|kb| kb * 1024)
}

/// Runs `act` and holds its time and memory, reserved memory too, against the bounds.
fn bounded<T>(what: &str, act: impl FnOnce() -> T) -> T {
    // Sets the peak of resident memory back.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (resident, reserved) = (status("VmRSS"), status("VmPeak"));
    assert!(resident.is_some() || cfg!(not(target_os = "linux")), "memory is measured");
    let start = Instant::now();
    let result = act();
    assert!(start.elapsed() < TIME, "{what} took {:?}", start.elapsed());
    for (name, before, bound) in [("VmHWM", resident, USED), ("VmPeak", reserved, RESERVED)] {
        if let (Some(before), Some(after)) = (before, status(name)) {
            let grown = after.saturating_sub(before);
            assert!(grown < bound, "{what}: {name} grew by {} MiB", grown / MIB);
        }
    }
    result
}

/// The refusal of these bytes, from memory and from a file.
fn refusal(what: &str, bytes: &[u8]) -> String {
    let name = Path::new("w.pth");
    let result = bounded(what, || pth::from_bytes(bytes, name).map(|_| ()));
    let error = result.expect_err(what).to_string();
    assert!(error.len() < 2000, "{what}: a message of {} bytes", error.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let from_file = bounded(what, || file::load(&path).map(|_| ())).expect_err(what).to_string();
    let header =
        bounded(what, || file::load_header(&path).map(|_| ())).expect_err(what).to_string();
    let strip = |text: String| text.replace(&path.display().to_string(), "w.pth");
    assert_eq!([strip(from_file), strip(header)], [error.clone(), error.clone()], "{what}");
    assert!(error.starts_with("w.pth is not a usable PyTorch file: "), "{what}: {error}");
    error
}

fn check(cases: &[(&str, Vec<u8>, &str)]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (what, bytes, found) in cases {
        let error = refusal(what, bytes);
        assert!(error.contains(found), "{what}: {error}");
    }
}

/// An entry of a zip, with the places where it may lie.
struct Entry<'a> {
    name: &'a str,
    data: &'a [u8],
    method: u16,
    /// Size of the contents as both headers say; the data's where none is given.
    size: Option<u32>,
}

fn stored<'a>(name: &'a str, data: &'a [u8]) -> Entry<'a> {
    Entry { name, data, method: 0, size: None }
}

/// A zip by the format's description, without use of the writer under test; where its directory begins.
fn zip(entries: &[Entry]) -> (Vec<u8>, usize) {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for Entry { name, data, method, size } in entries {
        let at = bytes.len() as u32;
        let size = size.unwrap_or(data.len() as u32);
        let mut both = [20u16, 0, *method, 0, 33].map(u16::to_le_bytes).concat();
        both.extend([0, data.len() as u32, size].map(u32::to_le_bytes).concat());
        both.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&both);
        bytes.extend(name.as_bytes());
        bytes.extend(*data);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&both);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = bytes.len();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([entries.len() as u16; 2].map(u16::to_le_bytes).concat());
    bytes.extend([directory.len() as u32, start as u32].map(u32::to_le_bytes).concat());
    bytes.extend([0; 2]);
    (bytes, start)
}

/// The directory's place in 64 bits: number of entries, bytes, start; `at`: where this is said to lie.
fn with_wide_end(zip: &[u8], directory: [u64; 3], at: u64) -> Vec<u8> {
    let mut bytes = zip[..zip.len() - 22].to_vec();
    bytes.extend(b"PK\x06\x06");
    bytes.extend([0; 28]);
    bytes.extend(directory.map(u64::to_le_bytes).concat());
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(at.to_le_bytes());
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([0xff; 12]);
    bytes.extend([0; 2]);
    bytes
}

/// What torch.save makes of a pickle and one storage of 64 float32 values.
fn archive(pickle: &[u8]) -> Vec<u8> {
    zip(&[stored("a/data.pkl", pickle), stored("a/data/0", &[0; 256])]).0
}

/// The older form, with an object's pickle.
fn legacy(object: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    bytes.extend(b"\x80\x02M\xe9\x03.");
    bytes.extend(b"\x80\x02}X\x0d\0\0\0little_endian\x88s.");
    bytes.extend(object);
    bytes.extend(b"\x80\x02].");
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn integer(value: i64) -> Vec<u8> {
    [b"\x8a\x08", &value.to_le_bytes()[..]].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

fn numbers(values: &[i64]) -> Vec<u8> {
    tuple(&values.iter().map(|&value| integer(value)).collect::<Vec<_>>())
}

/// `_rebuild_tensor_v2` on the storage of that key and length.
fn tensor(key: &str, length: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let kind = b"ctorch\nFloatStorage\n".to_vec();
    let storage = tuple(&[text("storage"), kind, text(key), text("cpu"), integer(length)]);
    let storage = [&storage[..], b"Q"].concat();
    let arguments = [storage, integer(offset), numbers(shape), numbers(strides), b"\x89N".to_vec()];
    [&b"ctorch._utils\n_rebuild_tensor_v2\n"[..], &tuple(&arguments), b"R"].concat()
}

/// `{"w": value}`.
fn named(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02}", &text("w")[..], value, b"s."].concat()
}

fn good() -> Vec<u8> {
    named(&tensor("0", 64, 0, &[8, 8], &[8, 1]))
}

fn patched(mut bytes: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

#[test]
fn the_files_that_the_others_are_made_from_are_read() {
    let shape = |bytes: &[u8]| {
        let contents = pth::from_bytes(bytes, Path::new("w.pth")).unwrap();
        contents.tensors.get("w").unwrap().shape.clone()
    };
    assert_eq!(shape(&archive(&good())), [8, 8]);
    assert_eq!(shape(&archive(&named(&tensor("0", 64, 3, &[2, 4], &[1, 15])))), [2, 4]);

    // Numbers of 64 bits, as files beyond 4 GiB have them.
    let (bytes, directory) = zip(&[stored("a/data.pkl", &good()), stored("a/data/0", &[0; 256])]);
    let end = bytes.len() - 22;
    let place = [2, end - directory, directory].map(|number| number as u64);
    assert_eq!(shape(&with_wide_end(&bytes, place, end as u64)), [8, 8]);
    let last = directory + 46 + "a/data.pkl".len();
    let bytes = patched(bytes, last + 20, &[0xff; 8]);
    let bytes = patched(bytes, last + 30, &[20, 0]);
    let extra = [&[1, 0, 16, 0][..], &[256u64.to_le_bytes(); 2].concat()].concat();
    let bytes = [&bytes[..end], &extra, &bytes[end..]].concat();
    let longer = (end - directory + extra.len()) as u32;
    assert_eq!(shape(&patched(bytes, end + extra.len() + 12, &longer.to_le_bytes())), [8, 8]);

    // Without storages the older form has no tensors; its pickles are read to the end.
    let error = pth::from_bytes(&legacy(b"\x80\x02}."), Path::new("w.pth")).unwrap_err();
    assert!(error.to_string().contains("no dictionary of tensors"), "{error}");
}

/// Fault 17: what would call the system when it is unpickled.
#[test]
fn a_call_to_the_system_is_refused_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("executed");
    let command = text(&format!("touch {}", trace.display()));
    let call = |callee: &[u8], end: &[u8]| [callee, b"(", &command, b"t", end].concat();
    let on_stack = |module, name| [&text(module)[..], &text(name), b"\x93"].concat();
    let mut cases = Vec::new();
    for (name, callee) in [
        ("os.system", b"cos\nsystem\n".to_vec()),
        ("posix.system", on_stack("posix", "system")),
        ("nt.system", on_stack("nt", "system")),
        ("subprocess.Popen", b"csubprocess\nPopen\n".to_vec()),
        ("builtins.eval", b"cbuiltins\neval\n".to_vec()),
        ("builtins.__import__", on_stack("builtins", "__import__")),
    ] {
        let found =
            format!("its pickle names `{name}`, which weights do not need (nothing was run)");
        for end in [&b"R"[..], b"\x81"] {
            let bare = [b"\x80\x02", &call(&callee, end)[..], b"."].concat();
            cases.push((archive(&bare), found.clone()));
            cases.push((archive(&named(&call(&callee, end))), found.clone()));
            cases.push((legacy(&bare), found.clone()));
        }
        // Beside good weights, and as the argument of a record that is let through.
        let beside =
            [&good()[..good().len() - 1], &text("x"), &call(&callee, b"R"), b"s."].concat();
        cases.push((archive(&beside), found.clone()));
        let within = [b"cargparse\nNamespace\n(", &callee[..], b"tR"].concat();
        cases.push((archive(&named(&within)), found));
    }
    // Operations that call without REDUCE.
    for (opcode, bytes) in [
        (0x69, b"\x80\x02(cbuiltins\nlist\nios\nsystem\n.".to_vec()),
        (0x6f, b"\x80\x02(cbuiltins\nlist\no.".to_vec()),
        (0x82, b"\x80\x02\x82\x01.".to_vec()),
    ] {
        cases.push((archive(&bytes), format!("asks for operation 0x{opcode:02x} at byte ")));
    }
    let cases: Vec<_> = cases
        .iter()
        .map(|(bytes, found)| (found.as_str(), bytes.clone(), found.as_str()))
        .collect();
    check(&cases);
    assert!(!trace.exists());
}

/// Fault 17: unknown globals.
#[test]
fn an_unknown_name_is_refused_and_named() {
    let long = format!("c{}\n{}\n", "m".repeat(1 << 20), "n".repeat(1 << 20));
    check(&[
        (
            "a class of a training program",
            archive(&named(b"comegaconf.dictconfig\nDictConfig\n)R")),
            "names `omegaconf.dictconfig.DictConfig`",
        ),
        ("with control characters", archive(&named(b"cevil\x1b[2J\nx\n)R")), "`evil\\u{1b}[2J.x`"),
        ("a name of a megabyte", archive(&named(long.as_bytes())), "names `mmmmmm"),
        ("a name without an end", archive(b"\x80\x02cos"), "it ends in the middle"),
        ("a name that is no text", archive(b"\x80\x04K\x01K\x02\x93."), "a name that is no text"),
        ("a name that is not UTF-8", archive(b"\x80\x02c\xff\nx\n."), "a name that is not UTF-8"),
        ("a call of a number", archive(b"\x80\x02K\x01)R."), "a call of what cannot be called"),
        ("a call without a tuple", archive(b"\x80\x02ctorch\nSize\n]R."), "what cannot be called"),
        ("attributes of a number", archive(b"\x80\x02K\x01}b."), "attributes of what has none"),
        ("protocol 0", archive(b"(dp0\n."), "operation 0x64 at byte 1"),
        ("protocol 9", archive(b"\x80\x09}."), "a protocol other than 2 to 5"),
    ]);
}

/// Fault 17: what calls something that is not known here. Beside weights it is nothing; no weight comes of it.
#[test]
fn what_is_not_known_is_passed_over_and_not_called() {
    let on_stack = |module, name| [&text(module)[..], &text(name), b"\x93"].concat();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, callee) in [
        ("builtins.getattr", on_stack("builtins", "getattr")),
        ("torch.load", b"ctorch\nload\n".to_vec()),
        ("torch.storage._load_from_bytes", b"ctorch.storage\n_load_from_bytes\n".to_vec()),
        ("torch._utils.os.system", on_stack("torch._utils", "os.system")),
        ("numpy.f2py.crackfortran.myeval", b"cnumpy.f2py.crackfortran\nmyeval\n".to_vec()),
        ("evil.FloatStorage", on_stack("evil", "FloatStorage")),
        ("lightning_fabric.utilities.data.AttributeDict", {
            on_stack("lightning_fabric.utilities.data", "AttributeDict")
        }),
    ] {
        let alone = [&callee[..], &b"(tR"[..]].concat();
        let found = format!("its pickle names `{name}`, which weights do not need");
        for whole in [archive(&named(&alone)), archive(&[b"\x80\x02", &alone[..], b"."].concat())] {
            let error = refusal(name, &whole);
            assert!(error.contains(&found), "{error}");
        }
        let with =
            |made: &[u8]| [&good()[..good().len() - 1], &text("x")[..], made, b"s."].concat();
        for made in [
            alone.clone(),
            [&callee[..], b")\x81"].concat(),
            [&callee[..], b")}\x92"].concat(),
            [&callee[..], b")\x81}", &text("lr"), b"K\x01sb"].concat(),
            // A dictionary's, a list's and a set's class.
            [&callee[..], b")\x81(", &text("lr"), b"K\x01u"].concat(),
            [&callee[..], b")\x81(K\x01K\x02e"].concat(),
            [&callee[..], b")\x81(K\x01\x90"].concat(),
            // One that holds itself.
            [&callee[..], b")\x81\x94]\x94h\0a0"].concat(),
            // A method of an object, called.
            [&alone[..], b"(tR"].concat(),
        ] {
            let bytes = archive(&with(&made));
            let contents = bounded(name, || pth::from_bytes(&bytes, Path::new("w.pth")));
            let contents = contents.unwrap_or_else(|error| panic!("{made:?}: {error}"));
            assert_eq!(contents.tensors.names().collect::<Vec<_>>(), ["w"]);
            assert_eq!(contents.source.passed_over, [format!("`x` ({name})")]);
        }
    }
    // Values of a kind that is not known.
    let mut other = tensor("0", 64, 0, &[8, 8], &[8, 1]);
    let at = other.windows(12).position(|name| name == b"FloatStorage").unwrap();
    other[at..at + 12].copy_from_slice(b"QInt8Storage");
    let error = refusal("another storage", &archive(&named(&other)));
    assert!(error.contains("names `torch.QInt8Storage`"), "{error}");
}

/// Fault 17: a memo bomb.
#[test]
fn a_memo_bomb_is_refused() {
    let memoized = [b"\x80\x04}", &vec![0x94; 5 << 20][..], b"."].concat();
    let recalled = [b"\x80\x04}\x94", &b"h\0".repeat(3 << 20)[..], b"."].concat();
    check(&[
        ("many entries", archive(&memoized), "more memo entries than the 262144 that are read"),
        ("a far entry", archive(b"\x80\x02}r\xff\xff\xff\x7f."), "a memo entry far beyond"),
        ("many recalls", archive(&recalled), "more values than the 524288 that are read"),
        ("a missing entry", archive(b"\x80\x02h\x05."), "a memo entry that is not there"),
        ("an entry of nothing", archive(b"\x80\x02\x94."), "an operation without its values"),
    ]);

    // Pairs of pairs, each of one twice: 2^50 values for whoever follows them. Beside weights they do
    // no harm.
    let mut laughs = b"]\x94".to_vec();
    for level in 0..50 {
        laughs.extend([b'h', level, 0x86, 0x94]);
    }
    let head = [b"\x80\x04}", &text("x")[..], &laughs, b"s"].concat();
    let bytes = archive(&[&head[..], &good()[3..]].concat());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let contents = bounded("pairs", || pth::from_bytes(&bytes, Path::new("w.pth"))).unwrap();
    assert_eq!(contents.tensors.names().collect::<Vec<_>>(), ["w"]);
}

/// Fault 17: deep nesting.
#[test]
fn deep_nesting_is_refused() {
    const DEPTH: usize = 200_000;
    let deep = |open: &[u8], close: &[u8]| {
        [b"\x80\x02", &open.repeat(DEPTH)[..], &close.repeat(DEPTH), b"."].concat()
    };
    let open = [b"}", &text("k")[..]].concat().repeat(DEPTH);
    let dictionaries = [b"\x80\x02", &open[..], b"N", &b"s".repeat(DEPTH), b"."].concat();
    let tuples = [b"\x80\x02)", &vec![0x85; DEPTH][..], b"."].concat();
    let levels = "more levels of nesting than the 64 that are read";
    check(&[
        ("marks", archive(&deep(b"(", b"t")), "more open marks than the 64 that are read"),
        ("lists", archive(&deep(b"]", b"a")), levels),
        ("tuples", archive(&tuples), levels),
        ("dictionaries", archive(&dictionaries), levels),
        ("in the older form", legacy(&deep(b"]", b"a")), levels),
        (
            "a list in itself",
            archive(&[b"\x80\x04]\x94", &b"h\0a".repeat(100)[..], b"."].concat()),
            levels,
        ),
    ]);
}

/// Zeros, compressed by hand: one, and then copies of the 258 bytes before, 13 bits each.
fn deflated_zeros(copies: usize) -> Vec<u8> {
    let mut bits: Vec<u8> = Vec::new();
    let mut code = |bits_of_code: &str| bits.extend(bits_of_code.bytes().map(|bit| bit - b'0'));
    // The last block, fixed codes; literal 0.
    code("110");
    code("00110000");
    for _ in 0..copies {
        // Length 258, distance 1.
        code("1100010100000");
    }
    code("0000000");
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |sum, bit| 2 * sum + bit)).collect()
}

/// Fault 17: a zip bomb.
#[test]
fn a_zip_bomb_is_refused() {
    let bomb = deflated_zeros(1_300_000);
    let inflated = Some(1 + 258 * 1_300_000);
    let pickle = good();
    let compressed = |name| Entry { name, data: &bomb, method: 8, size: inflated };
    let in_pickle = zip(&[compressed("a/data.pkl")]).0;
    let in_storage = zip(&[stored("a/data.pkl", &pickle), compressed("a/data/0")]).0;
    let claimed = |size| Entry { name: "a/data/0", data: &[0; 256], method: 0, size: Some(size) };
    let size_lies = zip(&[stored("a/data.pkl", &pickle), claimed(u32::MAX - 1)]).0;
    let large_pickle = archive(&vec![b'N'; pth::MAX_PICKLE_BYTES + 1]);
    check(&[
        ("compressed pickle", in_pickle, "its entry `a/data.pkl` is compressed or encrypted"),
        ("compressed values", in_storage, "its entry `a/data/0` is compressed or encrypted"),
        ("two sizes", size_lies, "its entry `a/data/0` claims 4294967294 bytes and stores 256"),
        ("a large pickle", large_pickle, "more bytes of a pickle than the 8388608 that are read"),
    ]);

    // A directory of real length, with more entries than are read.
    let names: Vec<_> = (0..60_000).map(|i| format!("a/{}{i}", "n".repeat(30))).collect();
    let entries: Vec<_> = names.iter().map(|name| stored(name, b"")).collect();
    check(&[("many entries", zip(&entries).0, "bytes of a zip's directory than the 4194304")]);
}

/// Fault 17: a zip whose directory lies about its entries.
#[test]
fn entries_that_are_not_what_the_directory_says_are_refused() {
    let pickle = good();
    let (good, directory) = zip(&[stored("a/data.pkl", &pickle), stored("a/data/0", &[0; 256])]);
    let second = directory + 46 + "a/data.pkl".len();
    let first_size = 30 + "a/data.pkl".len() + pickle.len();
    // Both sizes of the second entry, and of the first: its contents then lie over the second.
    let both = |at: usize, size: u32| {
        patched(good.clone(), at + 20, &[size.to_le_bytes(), size.to_le_bytes()].concat())
    };
    let over = both(directory, pickle.len() as u32 + 100);
    let beyond = both(second, 1 << 30);
    // 64-bit sizes that are announced and missing.
    let wide = both(second, u32::MAX);
    let same_place = patched(good.clone(), second + 42, &[0; 4]);
    let elsewhere = patched(good.clone(), second + 42, &(first_size as u32 + 1).to_le_bytes());
    let encrypted = patched(good.clone(), second + 8, &[1]);
    let own_method = patched(good.clone(), first_size + 8, &[8]);

    let entry = "its entry `a/data/0` is not where or what the directory says";
    check(&[
        ("over each other", over, entry),
        ("beyond the file", beyond, entry),
        ("64-bit sizes missing", wide, "an entry's 64-bit sizes are missing"),
        ("two at one place", same_place, "is not where or what the directory says"),
        ("in the middle of another", elsewhere, entry),
        ("encrypted", encrypted, "its entry `a/data/0` is compressed or encrypted"),
        ("its own header differs", own_method, entry),
    ]);
}

/// Fault 17: a zip whose end lies about its directory.
#[test]
fn directories_that_are_not_what_the_end_says_are_refused() {
    let (good, directory) = zip(&[stored("a/data.pkl", &good()), stored("a/data/0", &[0; 256])]);
    let end = good.len() - 22;
    let more_entries = patched(good.clone(), end + 8, &[7, 0, 7, 0]);
    let fewer_entries = patched(good.clone(), end + 8, &[1, 0, 1, 0]);
    let long_directory = patched(good.clone(), end + 12, &u32::to_le_bytes(1 << 30));
    let late_directory = patched(good.clone(), end + 16, &u32::to_le_bytes(1 << 30));
    let no_end = good[..end].to_vec();
    let comment = [&good[..], b"more"].concat();

    // Of 2^40 entries.
    let wide_directory = |start, bytes, at| with_wide_end(&good, [1 << 40, bytes, start], at);
    let (start, at) = (directory as u64, end as u64);
    let unfound = "64-bit directory cannot be found";
    check(&[
        ("too many entries", more_entries, "another number of entries than it says"),
        ("too few entries", fewer_entries, "another number of entries than it says"),
        ("a directory too long", long_directory, "its directory reaches beyond the file"),
        ("a directory too late", late_directory, "its directory reaches beyond the file"),
        ("no end", no_end, "its directory is missing, as where a download broke off"),
        ("bytes behind the end", comment, "its directory is missing"),
        ("64 bits, beyond the file", wide_directory(start, 1 << 50, at), "reaches beyond the file"),
        ("64 bits, overflowing", wide_directory(u64::MAX, 2, at), "reaches beyond the file"),
        ("64 bits, entries", wide_directory(start, at - start, at), "another number of entries"),
        ("64 bits, elsewhere", wide_directory(start, 2, at + 1), unfound),
        ("64 bits, far", wide_directory(start, 2, u64::MAX), unfound),
    ]);
}

/// Sound zips that `torch.save` did not write, or wrote elsewhere.
#[test]
fn zips_of_something_else_are_refused() {
    let pickle = good();
    let of = |entries: &[Entry]| zip(entries).0;
    let with = |name, data| of(&[stored("a/data.pkl", &pickle), stored(name, data)]);
    let big_endian_legacy = {
        let bytes = legacy(b"\x80\x02}.");
        let at = bytes.windows(2).position(|at| at == b"\x88s").unwrap();
        patched(bytes, at, b"\x89")
    };
    let several = of(&[stored("a/data.pkl", b"1"), stored("b/data.pkl", b"2")]);
    let big_endian = "it was written on a big-endian machine";
    check(&[
        ("one name twice", with("a/data.pkl", &pickle), "`a/data.pkl` is there twice"),
        ("two pickles", several, "it holds several pickles"),
        ("no pickle", of(&[stored("a/x", b"1")]), "it holds no pickle of torch.save"),
        ("empty", of(&[]), "it holds no pickle of torch.save"),
        (
            "a long byte order",
            with("a/byteorder", &[b' '; 99]),
            "record of the byte order is too long",
        ),
        ("big-endian", with("a/byteorder", b"big"), big_endian),
        ("big-endian in the older form", big_endian_legacy, big_endian),
    ]);
}

/// Fault 17: names that lead out of the folder.
#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let pickle = good();
    for name in [
        "../data.pkl",
        "../../../../etc/passwd",
        "a/../../x",
        "a/data/..",
        "/etc/passwd",
        "a//x",
        "a/./x",
        "a\\..\\x",
        "C:\\x",
        "C:x",
        "a/\0x",
        "",
        "/",
    ] {
        let (bytes, _) = zip(&[stored("a/data.pkl", &pickle), stored(name, b"1")]);
        let found = format!("its entry `{}` has a name that", name.escape_debug());
        check(&[(name, bytes, &found)]);
    }
    let (bytes, directory) = zip(&[stored("a/data.pkl", &pickle), stored("a/x", b"1")]);
    let last = directory + 46 + "a/data.pkl".len() + 46 + 2;
    let not_utf8 = patched(bytes.clone(), last, b"\xff");
    let own_name = patched(bytes.clone(), bytes[..directory].len() - 2, b"y");
    // The key of a storage is a name too.
    let outside = named(&tensor("../data.pkl", 64, 0, &[8, 8], &[8, 1]));
    check(&[
        ("not UTF-8", not_utf8, "an entry's name is not UTF-8"),
        ("another name of its own", own_name, "its entry `a/x` is not where or what"),
        ("a key that leads out", archive(&outside), "the values under `../data.pkl` are missing"),
    ]);
}

#[test]
fn tensors_that_their_storage_does_not_hold_are_refused() {
    let one = |length, offset, shape: &[i64], strides: &[i64]| {
        archive(&named(&tensor("0", length, offset, shape, strides)))
    };
    let description = "a tensor that is not described as torch.save does";
    let beyond = "reaches beyond its storage of 64 values";
    let many: Vec<_> = (0..2000)
        .map(|i| [text(&i.to_string()), tensor("0", 20_000, 0, &[20_000], &[1])].concat())
        .collect();
    let many = [b"\x80\x02}(", &many.concat()[..], b"u."].concat();
    let many = zip(&[stored("a/data.pkl", &many), stored("a/data/0", &vec![0; 80_000])]).0;
    // The same, with two values each and all of the storage between them.
    let few: Vec<_> = (0..2000)
        .map(|i| [text(&i.to_string()), tensor("0", 20_000, 0, &[2], &[19_999])].concat())
        .collect();
    let few = [b"\x80\x02}(", &few.concat()[..], b"u."].concat();
    let few = zip(&[stored("a/data.pkl", &few), stored("a/data/0", &vec![0; 80_000])]).0;
    let two_lengths = [tensor("0", 64, 0, &[1], &[1]), tensor("0", 63, 0, &[1], &[1])];
    let two_lengths = [b"\x80\x02]", &two_lengths[0][..], b"a", &two_lengths[1], b"a."].concat();
    let twice = [text("w"), tensor("0", 64, 0, &[1], &[1])].concat();
    let twice = [b"\x80\x02}(", &twice.repeat(2)[..], b"u."].concat();
    let mut older = legacy(&named(&tensor("0", 64, 0, &[8, 8], &[8, 1])));
    older.truncate(older.len() - 1);
    let in_older = |length: u64, values: usize| {
        [&older[..], &text("0"), b"a.", &length.to_le_bytes(), &vec![0; values]].concat()
    };
    // One description, used by reference again and again.
    let described = tensor("0", 64, 0, &[1], &[1]);
    let (callee, arguments) = described.split_at("ctorch._utils\n_rebuild_tensor_v2\n".len());
    let arguments = &arguments[..arguments.len() - 1];
    let again = b"h\0h\x01R".repeat(40_000);
    let crowd = [b"\x80\x04", callee, b"\x94", arguments, b"\x94", &again, b"."].concat();
    check(&[
        ("many tensors", archive(&crowd), "more tensors than the 32768 that are read"),
        ("beyond the end", one(64, 1, &[8, 8], &[8, 1]), beyond),
        ("a far stride", one(64, 0, &[2], &[64]), beyond),
        ("strides overflow", one(64, 0, &[3, 3], &[i64::MAX, i64::MAX]), beyond),
        ("shape overflows", one(64, 0, &[1 << 33, 1 << 33], &[0, 0]), beyond),
        ("offset overflows", one(64, i64::MAX, &[2], &[i64::MAX]), beyond),
        ("more strides than axes", one(64, 0, &[8], &[1, 1]), beyond),
        ("repeated", one(64, 0, &[65], &[0]), "repeats a storage of 64 values"),
        (
            "repeated a billion times",
            one(64, 0, &[1 << 40], &[0]),
            "repeats a storage of 64 values",
        ),
        ("negative stride", one(64, 9, &[3], &[-1]), description),
        ("negative shape", one(64, 0, &[-1], &[1]), description),
        ("negative offset", one(64, -1, &[1], &[1]), description),
        (
            "a longer storage",
            one(65, 0, &[1], &[1]),
            "values under `0` are missing or have another",
        ),
        ("a storage of 2^63 bytes", one(1 << 61, 0, &[1], &[1]), "values under `0` are missing"),
        ("a storage of 2^64 bytes", one(1 << 62, 0, &[1], &[1]), "values under `0` are missing"),
        ("a negative storage", one(-1, 0, &[1], &[1]), "a storage that is not described"),
        (
            "a missing storage",
            archive(&named(&tensor("1", 64, 0, &[1], &[1]))),
            "the values under `1` are missing",
        ),
        ("one storage under many names", many, "more than 4 times the file's length"),
        ("one storage read many times", few, "more than 4 times the file's length"),
        ("one storage, two lengths", archive(&two_lengths), "a storage described in two ways"),
        ("one name twice", archive(&twice), "`w` is there twice"),
        ("older, cut", in_older(64, 255), "values under `0` are missing"),
        ("older, another length", in_older(65, 260), "values under `0` are missing"),
        ("older, a huge length", in_older(1 << 62, 256), "values under `0` are missing"),
        ("older, no list", older.clone(), "it ends in the middle"),
        ("older, nothing listed", [&older[..], b"."].concat(), "values under `0` are missing"),
        (
            "older, another listed",
            [&older[..], &text("1"), b"a."].concat(),
            "its list of storages is not that of its object",
        ),
    ]);
    let path = Path::new("w.pth");
    assert_eq!(pth::from_bytes(&in_older(64, 256), path).unwrap().tensors.elements(), 64);
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).unwrap()
}

const FIXTURES: [&str; 6] = [
    "state_zip.pth",
    "state_zip_newest.pth",
    "state_legacy.pth",
    "checkpoint_zip.pth",
    "checkpoint_legacy_newest.pth",
    "averaged_wrapped.pth",
];

#[test]
fn files_cut_short_are_refused() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for name in FIXTURES {
        let bytes = fixture(name);
        let path = PathBuf::from(name);
        assert!(pth::from_bytes(&bytes, &path).is_ok());
        bounded(name, || {
            for cut in 0..bytes.len() {
                let result = pth::from_bytes(&bytes[..cut], &path);
                assert!(matches!(result, Err(Error::Pth { .. })), "{name} cut at {cut}");
            }
        });
    }
}

#[test]
fn a_changed_byte_gives_tensors_or_an_error() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut read, mut refused) = (0, 0);
    for name in FIXTURES {
        let mut bytes = fixture(name);
        let path = PathBuf::from(name);
        bounded(name, || {
            for _ in 0..3000 {
                let at = next() as usize % bytes.len();
                let before = std::mem::replace(&mut bytes[at], next() as u8);
                match pth::from_bytes(&bytes, &path) {
                    Ok(contents) => {
                        let tensors: NamedTensors = contents.tensors;
                        assert!(
                            4 * tensors.elements() as u64 <= pth::MAX_GROWTH * bytes.len() as u64
                        );
                        read += 1;
                    }
                    Err(Error::Pth { .. }) => refused += 1,
                    Err(error) => panic!("{name}, byte {at}: {error}"),
                }
                bytes[at] = before;
            }
        });
    }
    assert!(read > 1000 && refused > 1000, "{read} read, {refused} refused");
}
