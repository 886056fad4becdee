//! Small pictures of rows of vectors, for pages.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use fcmae::inference::picture;
use fcmae::inference::thumbnail::Thumbnailer;
use fcmae_data::source::{path_of, printable};
use fcmae_data::{Input, Opening, PictureSet};
use fcmae_report::{Card, Thumbnail};
use fcmae_vectors::Embeddings;
use fcmae_words::counted;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};
use rayon::prelude::*;

use crate::failure::{Usage, joined};
use crate::output;
use crate::picture_sets::{self, Columns};
use crate::vectors::{Read, Source, name};

/// Width or height of pictures on sheets, the longer one, in pixels.
pub(crate) const SIDE: u32 = 128;

/// Of JPEG files: few bytes, and hardly a trace.
const QUALITY: u8 = 85;

/// Where small pictures are drawn from.
pub(crate) struct Thumbnails {
    how: Thumbnailer,
    sets: Vec<Arc<PictureSet>>,
    by_name: HashMap<String, Place>,
    /// Of pictures that are given beside vectors, by the last part of their names.
    by_file: HashMap<OsString, Vec<Place>>,
    /// Folders that all names begin with.
    shared: usize,
    /// Whether what is no picture of a set may be a file.
    files: bool,
    /// An archive that names begin with, and that is not there.
    gone: Option<PathBuf>,
}

/// A picture of a set: the set's place and its own.
type Place = (usize, usize);

impl Thumbnails {
    /// Of pictures that vectors were computed of, or else of `pictures` that lie somewhere, or where their names say.
    ///
    /// # Errors
    /// Pictures that cannot be used; both.
    pub(crate) fn open(source: &Source<'_>, read: &[&Read], pictures: &[PathBuf]) -> Result<Self> {
        let mut sets: Vec<Arc<PictureSet>> =
            read.iter().filter_map(|read| read.set.clone()).collect();
        if source.computes() && !pictures.is_empty() {
            let text =
                "--pictures is for files of vectors: with --weights, --data are the pictures";
            return Err(Usage(text.to_owned()).into());
        }
        let how = source.description().map_or_else(Thumbnailer::of_any, Thumbnailer::new);
        let mut by_file: HashMap<OsString, Vec<Place>> = HashMap::new();
        if !pictures.is_empty() {
            let open = |how: Opening<'_>| PictureSet::open_all(pictures, how);
            let set = picture_sets::opened(source.command(), Columns::default(), open)
                .map_err(|error| no_pictures(pictures).map_or(error, Into::into))?;
            for index in 0..set.len() {
                let file = set.path(index).file_name().map(ToOwned::to_owned).unwrap_or_default();
                by_file.entry(file).or_default().push((sets.len(), index));
            }
            sets.push(Arc::new(set));
        }
        let names = || read.iter().flat_map(|read| &read.rows.names).map(String::as_str);
        let files = !source.computes() && pictures.is_empty();
        let mut gone = None;
        if files {
            let archives = Archives::of(names());
            gone = archives.gone;
            sets.extend(archives.found.iter().filter_map(|file| opened(source.command(), file)));
        }
        let mut by_name = HashMap::new();
        for (place, set) in sets.iter().enumerate() {
            for index in 0..set.len() {
                by_name.entry(name(set, index)).or_insert((place, index));
            }
        }
        Ok(Self { how, sets, by_name, by_file, shared: shared_folders(names()), files, gone })
    }

    /// Small pictures of these names, each once, at most `side` pixels wide and high. One that cannot be read is left
    /// out, with a note.
    pub(crate) fn draw<'a>(&self, names: impl IntoIterator<Item = &'a str>, side: u32) -> Drawn {
        let names: Vec<&str> = names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let found: Vec<(&str, Input)> =
            names.iter().filter_map(|&name| Some((name, self.input(name)?))).collect();
        let drawn: Vec<(&str, Result<Thumbnail>)> = found
            .par_iter()
            .map(|(name, input)| {
                let drawn = self.how.draw(input, side).map_err(anyhow::Error::from);
                (*name, drawn.and_then(|picture| encoded(&picture)))
            })
            .collect();
        let mut pictures = HashMap::new();
        let (mut failed, mut first) = (0, None);
        for (name, drawn) in drawn {
            match drawn {
                Ok(picture) => {
                    pictures.insert(name.to_owned(), picture);
                }
                Err(error) => {
                    failed += 1;
                    first.get_or_insert(error);
                }
            }
        }
        if let Some(first) = first {
            let count = counted(failed, "picture");
            output::note(&format!(
                "{count} on the page cannot be shown, such as {}",
                joined(&first)
            ));
        }
        let gone = |gone: &PathBuf| format!(" ({} is not there)", printable(gone));
        let gone = self.gone.as_ref().map_or(String::new(), gone);
        let give = format!("{gone}: give the folder or files that hold them with --pictures");
        let note = match names.len() - found.len() {
            0 => None,
            missing if missing == names.len() => {
                Some(format!("The pictures cannot be found{give}."))
            }
            missing => {
                let of = counted(names.len(), "picture");
                Some(format!("{missing} of {of} cannot be found{give}."))
            }
        };
        note.iter().for_each(|note| output::note(note));
        Drawn { pictures, note }
    }

    fn input(&self, name: &str) -> Option<Input> {
        let of = |&(set, index): &Place| Input::Sample { set: Arc::clone(&self.sets[set]), index };
        if let Some(place) = self.by_name.get(name) {
            return Some(of(place));
        }
        let path = path_of(name);
        if self.files {
            return path.is_file().then_some(Input::File(path));
        }
        self.moved(&path).as_ref().map(of)
    }

    /// A picture that lies elsewhere than its name says: the one whose last folders are those of the name, all of them
    /// that are not shared by all names. None where two are as good.
    fn moved(&self, name: &Path) -> Option<Place> {
        let candidates = self.by_file.get(name.file_name()?)?;
        let alike = |&(set, index): &Place| {
            let path = self.sets[set].path(index);
            path.components().rev().zip(name.components().rev()).take_while(|(a, b)| a == b).count()
        };
        let most = candidates.iter().map(alike).max()?;
        if most + self.shared < name.components().count() {
            return None;
        }
        let mut best = candidates.iter().filter(|place| alike(place) == most);
        let found = best.next()?;
        best.next().is_none().then_some(*found)
    }
}

/// Where a file of vectors was given as --pictures.
fn no_pictures(paths: &[PathBuf]) -> Option<Usage> {
    let path = printable(paths.iter().find(|path| Embeddings::are_in(path))?);
    let text = "holds vectors, as `fcmae embed` writes them: give the pictures that they are of";
    Some(Usage(format!("--pictures: {path} {text}")))
}

/// The files that pictures lie in by their names: what stands where names have folders.
struct Archives {
    found: Vec<PathBuf>,
    /// The first that is not there.
    gone: Option<PathBuf>,
}

impl Archives {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut folders, mut files) = (HashSet::new(), BTreeSet::new());
        let mut gone = None;
        for folder in names.filter_map(|name| Path::new(name).parent()) {
            if !folders.insert(folder) {
                continue;
            }
            let folder = path_of(&folder.to_string_lossy());
            match folder.ancestors().find(|part| part.exists()) {
                Some(file) if file.is_file() => _ = files.insert(file.to_owned()),
                _ => {
                    let named = |part: &&Path| {
                        let ending = part.extension().unwrap_or_default();
                        ["tar", "parquet"].iter().any(|known| ending.eq_ignore_ascii_case(known))
                    };
                    let archive = folder.ancestors().find(named).filter(|part| !part.exists());
                    gone = gone.or_else(|| archive.map(Path::to_owned));
                }
            }
        }
        Self { found: files.into_iter().collect(), gone }
    }
}

/// The pictures in a file, where it can be read; else it is noted why not.
fn opened(command: &'static str, file: &Path) -> Option<Arc<PictureSet>> {
    let open = |how: Opening<'_>| PictureSet::open(file, how);
    match picture_sets::opened(command, Columns::default(), open) {
        Ok(set) => Some(Arc::new(set)),
        Err(error) => {
            output::note(&format!("no pictures: {}", joined(&error)));
            None
        }
    }
}

/// Small pictures by the names of what they are of.
pub(crate) struct Drawn {
    pictures: HashMap<String, Thumbnail>,
    /// What the page says of those that cannot be found.
    pub(crate) note: Option<String>,
}

impl Drawn {
    pub(crate) fn of(&self, name: &str) -> Option<Thumbnail> {
        self.pictures.get(name).cloned()
    }

    /// A row's picture with what is said of it.
    pub(crate) fn card(&self, of: &Embeddings, row: usize, about: String) -> Card {
        let (name, label) = (of.names[row].clone(), of.labels[row].clone());
        Card { picture: self.of(&name), name, label, about, differs: false }
    }
}

/// How many folders all names begin with.
fn shared_folders<'a>(mut names: impl Iterator<Item = &'a str>) -> usize {
    let Some(first) = names.next().map(Path::new) else { return 0 };
    let mut shared = first.components().count().saturating_sub(1);
    for name in names {
        let alike = first.components().zip(Path::new(name).components()).take(shared);
        shared = alike.take_while(|(a, b)| a == b).count();
        // The last part is no folder.
        shared = shared.min(Path::new(name).components().count().saturating_sub(1));
    }
    shared
}

/// As JPEG or PNG, whichever is smaller: drawings are the one, photographs the other.
fn encoded(drawn: &RgbImage) -> Result<Thumbnail> {
    let (width, height) = drawn.dimensions();
    let png = picture::png(drawn)?;
    let mut jpeg = vec![];
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(
        drawn,
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    let size = [height, width];
    Ok(if png.len() <= jpeg.len() {
        Thumbnail::png(&png, size)
    } else {
        Thumbnail::jpeg(&jpeg, size)
    })
}
