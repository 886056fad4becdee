//! Files of embeddings, read.

use std::collections::HashMap;
use std::path::Path;

use fcmae_files::Limit;

use super::error::FileError;
use super::format::Format;
use super::origin::{Origin, OtherOrigin, same_origin};
use super::{npy, parquet, table};
use crate::vectors::Vectors;

/// Most that is read of a file that holds an origin.
const ORIGIN: Limit = Limit { bytes: 1 << 20, remedy: "it describes embeddings in a few lines" };

/// Pictures' names, their labels, and a vector each.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// As the file has them, N; bytes that are no UTF-8 as `\xff`.
    pub names: Vec<String>,
    /// N; `None` where there is none, or an empty one.
    pub labels: Vec<Option<String>>,
    /// `[N, C]`
    pub vectors: Vectors,
    /// What they were made with, if the file says.
    pub origin: Option<Origin>,
}

impl Embeddings {
    /// Reads a file, in the [`Format`] that its name tells, with the files beside it that belong to it.
    ///
    /// Files of other programs have no origin. A Parquet file needs columns `path` and `vector` (lists of float or
    /// double, all of one length), and may have `label` and others; CSV the columns that [`Format`] names, of which
    /// `label` may be missing; `.npy` a matrix `[N, C]` of float16, float32 or float64. Without `NAME.csv` beside
    /// it the rows of `NAME.npy` are called by their numbers, from 0.
    ///
    /// # Errors
    /// A name that tells no format; what cannot be read, is damaged, or does not fit together; a value that is no
    /// number.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let format = Format::of(path)?;
        let malformed = |reason: String| FileError::malformed(path, reason);
        let mut origin = match format.origin(path) {
            Some(path) => read_origin(&path)?,
            None => None,
        };
        let (names, labels, values, width) = match format {
            Format::Parquet => {
                let content = parquet::read(path)?;
                origin = content.note.map(|note| parse_origin(&note, path)).transpose()?;
                let width = content.width.or(origin.as_ref().map(|origin| origin.width));
                let width = width.ok_or_else(|| malformed("it has no rows".to_owned()))?;
                (content.names, content.labels, content.values, width)
            }
            Format::Csv => {
                let table::Table { names, labels, values, width } = table::read(path)?;
                if width == 0 {
                    return Err(malformed(
                        "it has no columns v0, v1, …, of vectors; where they are in a .npy beside it, give that"
                            .to_owned(),
                    ));
                }
                (names, labels, values, width)
            }
            Format::Npy => {
                let matrix = npy::read(path)?;
                let (names, labels) = names(path, matrix.rows)?;
                (names, labels, matrix.values, matrix.width)
            }
        };
        if let Some(claimed) = origin.as_ref().map(|origin| origin.width).filter(|c| *c != width) {
            return Err(malformed(format!(
                "its vectors have {width} values, and its description says {claimed}: they are not of one file"
            )));
        }
        let vectors = Vectors::new(values, width);
        let vectors =
            vectors.map_err(|source| FileError::Vectors { path: path.to_owned(), source })?;
        Ok(Self { names, labels, vectors, origin })
    }

    /// Whether a file is one of vectors, by its columns or its first bytes: whatever else may be wrong with it.
    pub fn are_in(path: &Path) -> bool {
        match Format::of(path) {
            Ok(Format::Parquet) => parquet::begins(path),
            Ok(Format::Npy) => npy::begins(path),
            Ok(Format::Csv) => table::begins(path),
            Err(_) => false,
        }
    }

    /// Reads several files as one, such as shards of one set: their rows one behind the other. Where their pictures
    /// differ, the origin tells those of all.
    ///
    /// # Errors
    /// As for [`open`](Self::open); files that are not of the [same origin](same_origin), or of which one has none;
    /// a name that is there twice; no file.
    pub fn open_all(paths: &[impl AsRef<Path>]) -> Result<Self, FileError> {
        let Some((first, others)) = paths.split_first() else {
            return Err(FileError::malformed(Path::new(""), "no file of embeddings was given"));
        };
        let first = first.as_ref();
        let mut all = Self::open(first)?;
        let mut ends = vec![all.names.len()];
        let width = all.vectors.width();
        let mut values = all.vectors.values().to_vec();
        for path in others {
            let path = path.as_ref();
            let next = Self::open(path)?;
            let differs = |source| FileError::OtherOrigin {
                one: first.to_owned(),
                other: path.to_owned(),
                source,
            };
            match (&mut all.origin, &next.origin) {
                (Some(one), Some(other)) => {
                    same_origin(one, other).map_err(differs)?;
                    if one.pictures != other.pictures {
                        one.pictures = format!("{} + {}", one.pictures, other.pictures);
                    }
                }
                (None, None) if next.vectors.width() != width => {
                    return Err(differs(OtherOrigin::Width(width, next.vectors.width())));
                }
                (None, None) => {}
                _ => return Err(differs(OtherOrigin::Unknown)),
            }
            all.names.extend(next.names);
            all.labels.extend(next.labels);
            values.extend_from_slice(next.vectors.values());
            ends.push(all.names.len());
        }
        let mut places = HashMap::with_capacity(all.names.len());
        for (row, name) in all.names.iter().enumerate() {
            if let Some(earlier) = places.insert(name, row) {
                let file = |row| paths[ends.partition_point(|end| *end <= row)].as_ref().to_owned();
                let (one, other) = (file(earlier), file(row));
                return Err(FileError::Twice { name: name.clone(), one, other });
            }
        }
        drop(places);
        all.vectors = Vectors::new(values, width)
            .map_err(|source| FileError::Vectors { path: first.to_owned(), source })?;
        Ok(all)
    }
}

/// Names and labels of the rows of a `.npy`.
fn names(path: &Path, rows: usize) -> Result<(Vec<String>, Vec<Option<String>>), FileError> {
    let Some(beside) = Format::Npy.names(path).filter(|beside| beside.exists()) else {
        return Ok(((0..rows).map(|row| row.to_string()).collect(), vec![None; rows]));
    };
    let table = table::read(&beside)?;
    if table.width > 0 {
        return Err(FileError::malformed(
            &beside,
            "it holds vectors of its own, where names and labels of those in the .npy are expected: rename one",
        ));
    }
    if table.names.len() != rows {
        return Err(FileError::malformed(
            &beside,
            format!(
                "it names {} pictures, and {} has {rows} rows: they are not of one file",
                table.names.len(),
                path.display()
            ),
        ));
    }
    Ok((table.names, table.labels))
}

fn read_origin(path: &Path) -> Result<Option<Origin>, FileError> {
    let text = fcmae_files::if_there(fcmae_files::text(path, ORIGIN));
    let text = text.map_err(FileError::unusable(path))?;
    text.map(|text| parse_origin(&text, path)).transpose()
}

fn parse_origin(text: &str, path: &Path) -> Result<Origin, FileError> {
    serde_json::from_str(text).map_err(|error| {
        let reason =
            format!("its description of the embeddings is damaged ({error}): make it again");
        FileError::malformed(path, reason)
    })
}
