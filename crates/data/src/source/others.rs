//! Files of a set that are not read as pictures, and which of them to report.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use fcmae_words::{grouped, plural};

/// Files that lie beside pictures everywhere: texts, tables, tags, what systems and catalogues write.
const USUAL: [&str; 53] = [
    "aae", "aux", "bib", "cfg", "cls", "conf", "css", "csv", "db", "doc", "docx", "dvc", "gitkeep",
    "htm", "html", "idx", "index", "ini", "ipynb", "jgw", "jpgw", "js", "json", "jsonl", "lnk",
    "lock", "log", "markdown", "md", "md5", "names", "nfo", "ovr", "pdf", "pgw", "prj", "py",
    "rst", "rtf", "sh", "sha1", "sha256", "tex", "tfw", "toml", "tsv", "txt", "url", "wld", "xls",
    "xlsx", "xml", "xmp",
];

/// Others: pages, settings.
const SETTINGS: [&str; 3] = ["yaml", "yml", "webloc"];

/// Pictures that are not read.
const CONVERTED: [&str; 32] = [
    "arw", "avif", "bil", "cr2", "cr3", "dcm", "dds", "dng", "exr", "hdr", "heic", "heif", "ico",
    "j2k", "jp2", "jpf", "jpx", "jxl", "nef", "npy", "orf", "pbm", "pcx", "pgm", "pnm", "ppm",
    "psd", "raf", "raw", "rw2", "svg", "tga",
];

/// Kinds that are told one by one.
const SHOWN: usize = 6;

/// Most kinds that are told apart.
const MOST: usize = 200;

/// Files with other extensions than pictures have, by these.
#[derive(Debug, Default)]
pub(super) struct Others {
    kinds: BTreeMap<String, usize>,
}

impl Others {
    /// Counts a file.
    pub(super) fn add(&mut self, name: &OsStr) {
        let Some(kind) = kind(name) else { return };
        if self.kinds.len() < MOST || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }

    /// Files of an extension.
    pub(super) fn count(&self, extension: &str) -> usize {
        self.kinds.get(extension).copied().unwrap_or(0)
    }

    /// What is told of them, if anything: `30 files passed over: 30 .heic`.
    pub(super) fn told(&self) -> Option<String> {
        let all: usize = self.kinds.values().sum();
        let mut kinds: Vec<(&String, &usize)> = self.kinds.iter().collect();
        kinds.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let mut parts: Vec<String> = kinds
            .iter()
            .take(SHOWN)
            .map(|(kind, count)| match kind.as_str() {
                "" => format!("{} without an extension", grouped(count)),
                kind => format!("{} .{kind}", grouped(count)),
            })
            .collect();
        let rest: usize = kinds.iter().skip(SHOWN).map(|(_, count)| **count).sum();
        if rest > 0 {
            parts.push(format!("{} others", grouped(rest)));
        }
        let converted = kinds.iter().any(|(kind, _)| CONVERTED.contains(&kind.as_str()));
        let remedy = match converted {
            true => "; to use them, convert them to JPEG, PNG or TIFF",
            false => "",
        };
        let files = plural(grouped(all), "file");
        (all > 0).then(|| format!("{files} passed over: {}{remedy}", parts.join(", ")))
    }
}

/// The extension of a file that is to be told of, in small letters; empty where it has none.
fn kind(name: &OsStr) -> Option<String> {
    let text = name.to_str().unwrap_or_default();
    let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    let plain = extension.len() <= 10 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if extension.is_empty() || !plain {
        // README and the like.
        let heading = text.bytes().all(|byte| byte.is_ascii_uppercase() || b"_-".contains(&byte));
        return (!heading).then(String::new);
    }
    let usual = [&USUAL[..], &SETTINGS].iter().any(|k| k.contains(&extension.as_str()));
    (!usual).then_some(extension)
}

/// Folders in which systems keep thumbnails and companions of pictures.
pub(super) fn is_systems(folder: &OsStr) -> bool {
    const SYSTEMS: [&str; 5] =
        ["@eaDir", "__MACOSX", "lost+found", "System Volume Information", "$RECYCLE.BIN"];
    SYSTEMS.iter().any(|name| folder.eq_ignore_ascii_case(name))
}
