//! Compiled kernels, kept on disk: compiling takes seconds, and the same sources for the same card give the same code.
//!
//! A cache that cannot be read or written is no error: the kernels are compiled anew. A file is written beside its
//! place and then renamed, so that several processes may share the folder.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fcmae_files::Limit;

use super::compiler::{Compiled, Target, options};
use crate::sources::{HEADERS, Source};

/// How a file begins. Another number is another format.
const MAGIC: &[u8] = b"fcmae kernels 1\n";

/// The longest file that is read: the code of a source has some hundred thousand bytes.
const LIMIT: Limit = Limit { bytes: 64 << 20, remedy: "it is not what was written" };

/// Bytes of a checksum.
const CHECK: usize = blake3::OUT_LEN;

/// The folder for this user's compiled kernels, where there is one.
pub(super) fn folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(caches.join("fcmae").join("cuda"))
}

/// The name of the file for a source: a hash of all that its code depends on.
pub(super) fn name(source: &Source, target: Target, compiler: &str) -> String {
    let mut hash = blake3::Hasher::new();
    let mut add = |text: &str| {
        // With its length, so that nothing can pass from one text into the next.
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    add(compiler);
    options(target).iter().for_each(|option| add(option));
    for Source { file, text } in [*source].iter().chain(&HEADERS) {
        add(file);
        add(text);
    }
    source.kernels().iter().for_each(|kernel| add(kernel));
    let stem = source.file.trim_end_matches(".cu");
    format!("{stem}-{}-{}", target.name(), &hash.finalize().to_hex()[..32])
}

/// What the file of this name holds, where it is there and whole. The compiler's report is not kept.
pub(super) fn read(folder: &Path, name: &str) -> Option<Compiled> {
    parsed(&fcmae_files::bytes(&folder.join(name), LIMIT).ok()?)
}

/// Keeps what was compiled, if that is possible.
pub(super) fn write(folder: &Path, name: &str, compiled: &Compiled) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let beside = folder.join(format!("{name}.{}.{count}.part", std::process::id()));
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::File::create_new(&beside))
        .and_then(|mut file| file.write_all(&bytes(compiled)))
        .and_then(|()| fs::rename(&beside, folder.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
}

/// The magic, a checksum of what follows, and that: the number of kernels, their names in pairs and the code, each
/// after its length.
fn bytes(compiled: &Compiled) -> Vec<u8> {
    let mut body = (compiled.kernels.len() as u64).to_le_bytes().to_vec();
    let names = compiled.kernels.iter().flat_map(|(name, lowered)| [name, lowered]);
    for part in names.map(String::as_bytes).chain([compiled.code.as_slice()]) {
        body.extend((part.len() as u64).to_le_bytes());
        body.extend(part);
    }
    [MAGIC, blake3::hash(&body).as_bytes(), &body].concat()
}

fn parsed(bytes: &[u8]) -> Option<Compiled> {
    let (check, body) = bytes.strip_prefix(MAGIC)?.split_at_checked(CHECK)?;
    if blake3::hash(body).as_bytes() != check {
        return None;
    }
    let mut rest = body;
    let count = number(&mut rest)?;
    let mut kernels = Vec::new();
    for _ in 0..count {
        let mut text = || String::from_utf8(part(&mut rest)?.to_vec()).ok();
        kernels.push((text()?, text()?));
    }
    let code = part(&mut rest)?.to_vec();
    rest.is_empty().then_some(Compiled { code, kernels, resources: Vec::new() })
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    usize::try_from(u64::from_le_bytes(*number)).ok()
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::sources::SOURCES;

    fn compiled() -> Compiled {
        let kernels = [("sum<float>", "_Z3sumIfEvv"), ("sum<bf16>", "_Z3sumI4bf16Evv")];
        let kernels = kernels.map(|(name, lowered)| (name.to_owned(), lowered.to_owned()));
        Compiled { code: b"\x7fELF code".to_vec(), kernels: kernels.to_vec(), resources: vec![] }
    }

    /// A folder of its own, which is removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("fcmae-cuda-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let folder = Folder::new("kept");
        let within = folder.0.join("not").join("yet");
        assert!(read(&within, "a").is_none());
        write(&within, "a", &compiled());
        // A second process that compiled the same.
        write(&within, "a", &compiled());
        let again = read(&within, "a").unwrap();
        assert_eq!((again.code, again.kernels), (compiled().code, compiled().kernels));
        let names: Vec<_> =
            fs::read_dir(&within).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_read() {
        let folder = Folder::new("long");
        let long = Compiled { code: vec![0; LIMIT.bytes as usize], ..compiled() };
        write(&folder.0, "a", &long);
        assert!(parsed(&fs::read(folder.0.join("a")).unwrap()).is_some());
        assert!(read(&folder.0, "a").is_none());
    }

    #[test]
    fn a_damaged_file_is_not_there() {
        let whole = bytes(&compiled());
        assert!(parsed(&whole).is_some());
        for length in 0..whole.len() {
            assert!(parsed(&whole[..length]).is_none(), "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(parsed(&damaged).is_none(), "byte {at}");
        }
        assert!(parsed(&[whole.as_slice(), b"\0"].concat()).is_none());
    }

    #[test]
    fn lengths_that_lie_are_refused_with_a_right_checksum_too() {
        for body in [vec![], vec![255; 8], [1, 255].map(u64::to_le_bytes).concat()] {
            let file = [MAGIC, blake3::hash(&body).as_bytes(), &body].concat();
            assert!(parsed(&file).is_none(), "{body:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let folder = Folder::new("file");
        fs::write(&folder.0, "a file").unwrap();
        write(&folder.0, "a", &compiled());
        assert!(read(&folder.0, "a").is_none());
        fs::remove_file(&folder.0).unwrap();
    }

    #[test]
    fn the_name_depends_on_all_that_the_code_depends_on() {
        let base = name(&SOURCES[0], Target::Code(90), "13.0");
        assert_eq!(base, name(&SOURCES[0], Target::Code(90), "13.0"));
        assert!(base.starts_with("activation-sm_90-"), "{base}");
        let mut changed = SOURCES[0];
        changed.text = "KERNEL(other)";
        for other in [
            name(&SOURCES[1], Target::Code(90), "13.0"),
            name(&changed, Target::Code(90), "13.0"),
            name(&SOURCES[0], Target::Code(80), "13.0"),
            name(&SOURCES[0], Target::Portable(90), "13.0"),
            name(&SOURCES[0], Target::Code(90), "12.8"),
        ] {
            assert_ne!(base, other);
        }
    }
}
