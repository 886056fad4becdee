//! The file that makes a folder a checkpoint:
//! ```text
//! fcmae checkpoint 1
//! step 1234
//! <BLAKE3 of the file> <bytes> model.safetensors
//! <BLAKE3 of the file> <bytes> state.json
//! <BLAKE3 of the lines above> MANIFEST
//! ```

use std::fmt::Write as _;
use std::path::Path;

use fcmae_files::Limit;

use crate::durable;
use crate::input::of;

pub(super) const MANIFEST: &str = "MANIFEST";
/// The number grows when a checkpoint of the new form cannot be read by older programs.
const TITLE: &str = "fcmae checkpoint 1";
const LIMIT: Limit = Limit { bytes: 1 << 20, remedy: "it is not what was written" };

/// One file of a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) hash: String,
}

impl Entry {
    /// Whether the file in `folder` is the one that was written.
    pub(super) fn verify(&self, folder: &Path) -> Result<(), String> {
        let Self { name, bytes, hash } = self;
        let path = folder.join(name);
        let (file, about) = fcmae_files::open(&path).map_err(of(name))?;
        if about.len() != *bytes {
            return Err(format!("{name} has {} bytes, {bytes} were written", about.len()));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file).map_err(|error| format!("{name}: {error}"))?;
        if hasher.finalize().to_hex().as_str() != hash {
            return Err(format!("{name} is not what was written: its checksum differs"));
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) step: u64,
    pub(super) entries: Vec<Entry>,
}

impl Manifest {
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\nstep {}\n", self.step);
        for Entry { name, bytes, hash } in &self.entries {
            let _ = writeln!(text, "{hash} {bytes} {name}");
        }
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let _ = writeln!(text, "{hash} {MANIFEST}");
        text
    }

    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let text = fcmae_files::text(&folder.join(MANIFEST), LIMIT).map_err(of(MANIFEST))?;
        if !text.starts_with(TITLE) && text.starts_with("fcmae checkpoint ") {
            let title = text.lines().next().unwrap_or_default();
            return Err(format!("it is a `{title}`; this program reads `{TITLE}`"));
        }
        // Any byte that differs from what this manifest would be written as is damage.
        Self::parse(&text)
            .filter(|manifest| manifest.to_text() == text)
            .ok_or_else(|| format!("{MANIFEST} is incomplete or not what was written"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next_back()?;
        if lines.next()? != TITLE {
            return None;
        }
        let step = lines.next()?.strip_prefix("step ")?.parse().ok()?;
        let entry = |line: &str| {
            let mut words = line.split(' ');
            let (hash, bytes, name) = (words.next()?, words.next()?, words.next()?);
            let name = durable::check_file_name(name).ok()?.to_owned();
            Some(Entry { name, bytes: bytes.parse().ok()?, hash: hash.to_owned() })
        };
        Some(Self { step, entries: lines.map(entry).collect::<Option<_>>()? })
    }
}
