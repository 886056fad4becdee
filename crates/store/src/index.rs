//! The index of weights that are in several files, as Hugging Face's programs write it: `weight_map` names the file
//! of each tensor, all in one folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fcmae_files::Limit;
use serde::Deserialize;

use crate::Error;

/// Of an index: a line a tensor.
const LIMIT: Limit = Limit { bytes: 16 << 20, remedy: "give the one that came with the weights" };
/// Of one model.
const MOST_FILES: usize = 1000;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Whether the first bytes of a file are those of JSON, as an index is. A safetensors file begins with a number of
/// eight bytes, of which the last are zero.
pub(crate) fn is_json(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    text.first() == Some(&b'{') && head.iter().take(9).all(|&byte| byte != 0)
}

/// The files that an index names, in the order of their names, each in the index's folder.
///
/// # Errors
/// [`Error::Index`].
pub(crate) fn parts(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let wrong = |reason: String| Error::Index { path: path.to_owned(), reason };
    let text = fcmae_files::text(path, LIMIT).map_err(|error| wrong(format!("it {error}")))?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("it has no `weight_map` of names and files ({error})")))?;
    let mut files: Vec<&String> = index.weight_map.values().collect();
    files.sort_unstable();
    files.dedup();
    if files.is_empty() || files.len() > MOST_FILES {
        let count = files.len();
        return Err(wrong(format!("it names {count} files; 1 to {MOST_FILES} are read")));
    }
    files
        .into_iter()
        .map(|name| {
            if !is_beside(name) {
                let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
                return Err(wrong(format!("it names `{shown}`, which is not a file beside it")));
            }
            Ok(path.with_file_name(name))
        })
        .collect()
}

/// Whether a name leads nowhere else.
fn is_beside(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.ends_with(".json")
        && !name.contains(['/', '\\', ':'])
        && !name.chars().any(char::is_control)
}
