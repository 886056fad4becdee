//! Which columns hold the pictures, their names and their labels.

use fcmae_parquet::{Footer, Leaf, Physical};
use serde_json::Value as Json;

use super::super::grouping::is_of_groups;
use super::super::split_column;

/// Columns of labels, by name.
const LABELS: [&str; 3] = ["label", "labels", "class"];

/// Columns of pictures, by name, where their type does not tell.
const PICTURES: [&str; 9] =
    ["image", "img", "picture", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes"];

/// Positions among a file's columns.
#[derive(Debug)]
pub(super) struct Choice {
    /// The bytes of pictures.
    pub(super) pictures: usize,
    /// Their names.
    pub(super) names: Option<usize>,
    pub(super) labels: Option<usize>,
    /// What tells which pictures belong together.
    pub(super) groups: Option<usize>,
    /// What may tell which split a picture is of.
    pub(super) splits: Vec<usize>,
    /// What the numbers of the label column mean.
    pub(super) classes: Option<Vec<String>>,
}

impl Choice {
    /// Chooses columns. `Err` says which there are, and the remedy.
    pub(super) fn new(footer: &Footer, labelled: bool, asked: Asked<'_>) -> Result<Self, String> {
        let features = match footer.note("huggingface") {
            Some(text) => features(text)?,
            None => Json::Null,
        };
        let leaves = &footer.leaves;
        let (pictures, names) = pictures(leaves, &features, asked.image)?;
        let labels = if labelled { labels(leaves, &features, asked.label)? } else { None };
        if labelled && labels.is_none() && names.is_none() {
            return Err(no_labels(leaves));
        }
        let classes = labels.and_then(|at| class_names(&features, &leaves[at].path[0]));
        let groups = asked.group.map(|asked| groups(leaves, asked)).transpose()?;
        let taken = [Some(pictures), labels, groups];
        let usable = |at: &usize| {
            let leaf = &leaves[*at];
            leaf.path.len() == 1
                && (split_column::is_named(&leaf.path[0]) || leaf.text)
                && leaf.physical != Physical::Other
                && !leaf.is_repeated()
        };
        let splits = (0..leaves.len()).filter(usable).filter(|at| !taken.contains(&Some(*at)));
        let splits = splits.collect();
        Ok(Self { pictures, names, labels, groups, splits, classes })
    }

    /// Why there are no labels, where names do not give any either.
    pub(super) fn without_labels(&self, footer: &Footer) -> String {
        no_labels(&footer.leaves)
    }

    /// Columns that may tell which pictures belong together.
    pub(super) fn may_be_groups<'f>(&self, footer: &'f Footer) -> impl Iterator<Item = &'f str> {
        let label = self.labels.map(|at| footer.leaves[at].path[0].clone());
        let names = columns(&footer.leaves).into_iter();
        names.filter(move |name| is_of_groups(name) && Some(*name) != label.as_deref())
    }

    /// The columns chosen: pictures, and where there are any, names, labels, groups and
    /// splits.
    pub(super) fn columns(&self) -> Vec<usize> {
        let first = [Some(self.pictures), self.names, self.labels, self.groups];
        first.into_iter().flatten().chain(self.splits.iter().copied()).collect()
    }
}

/// Columns that are asked for by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) image: Option<&'a str>,
    pub(super) label: Option<&'a str>,
    pub(super) group: Option<&'a str>,
}

/// The column of groups.
fn groups(leaves: &[Leaf], asked: &str) -> Result<usize, String> {
    let column = chosen(leaves, asked, "data.group_column")?;
    let at = leaf(leaves, &[column]).filter(|&at| !leaves[at].is_repeated());
    at.filter(|&at| leaves[at].physical != Physical::Other).ok_or_else(|| {
        format!(
            "its column {column:?} (data.group_column) holds neither numbers nor text, one a row"
        )
    })
}

fn no_labels(leaves: &[Leaf]) -> String {
    format!(
        "labels are needed, and it has no column of them, named {}; its columns are {}: name one with \
         data.label_column",
        LABELS.join(", "),
        quoted(&columns(leaves))
    )
}

/// The column that is asked for by name.
fn chosen<'a>(leaves: &'a [Leaf], asked: &str, setting: &str) -> Result<&'a str, String> {
    let columns = columns(leaves);
    columns.iter().copied().find(|column| *column == asked).ok_or_else(|| {
        format!("it has no column {asked:?} ({setting}); its columns are {}", quoted(&columns))
    })
}

/// What Hugging Face writes about each column.
fn features(text: &str) -> Result<Json, String> {
    let json: Json = serde_json::from_str(text)
        .map_err(|error| format!("its description by Hugging Face is damaged: {error}"))?;
    Ok(json.pointer("/info/features").cloned().unwrap_or_default())
}

fn is_type(features: &Json, column: &str, name: &str) -> bool {
    features.get(column).and_then(|feature| feature.get("_type")).is_some_and(|kind| kind == name)
}

fn class_names(features: &Json, column: &str) -> Option<Vec<String>> {
    let names = features.get(column).filter(|_| is_type(features, column, "ClassLabel"))?;
    let names = names.get("names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The leaf with a path.
fn leaf(leaves: &[Leaf], path: &[&str]) -> Option<usize> {
    leaves.iter().position(|leaf| leaf.path == path)
}

/// The names at the top, each once.
fn columns(leaves: &[Leaf]) -> Vec<&str> {
    let mut names: Vec<&str> = leaves.iter().map(|leaf| leaf.path[0].as_str()).collect();
    names.dedup();
    names
}

fn quoted(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if names.len() > SHOWN {
        text.push("…".to_owned());
    }
    text.join(", ")
}

/// Whether a column is called or made as one of pictures, and holds their paths alone.
fn paths_alone(leaves: &[Leaf], column: &str) -> bool {
    let named = PICTURES.iter().any(|name| column.eq_ignore_ascii_case(name));
    let text = leaf(leaves, &[column]).is_some_and(|at| leaves[at].text) && named;
    let bytes = leaf(leaves, &[column, "bytes"]);
    text || bytes.is_none() && leaf(leaves, &[column, "path"]).is_some()
}

fn without_bytes(column: &str) -> String {
    format!(
        "its column {column:?} holds paths of pictures, or other text such as base64, and not their bytes: write paths as a list (.csv), decode base64, or \
         embed the pictures, as datasets does in Dataset.push_to_hub()"
    )
}

/// The columns of pictures and of their names.
fn pictures(
    leaves: &[Leaf],
    features: &Json,
    asked: Option<&str>,
) -> Result<(usize, Option<usize>), String> {
    let columns = columns(leaves);
    let bytes = |column: &&str| {
        leaf(leaves, &[column, "bytes"]).filter(|&at| leaves[at].physical == Physical::Bytes)
    };
    let plain = |column: &&str| {
        let at = leaf(leaves, &[column])?;
        (leaves[at].physical == Physical::Bytes && !leaves[at].text).then_some(at)
    };
    let declared: Vec<&str> =
        columns.iter().copied().filter(|column| is_type(features, column, "Image")).collect();
    let with = |keep: &dyn Fn(&&str) -> bool| columns.iter().copied().filter(keep).collect();
    let mut candidates: Vec<&str> = if declared.is_empty() {
        let path = |column: &&str| leaf(leaves, &[column, "path"]).is_some();
        with(&|column| bytes(column).is_some() && path(column))
    } else {
        declared
    };
    if candidates.is_empty() {
        candidates = with(&|column| {
            let named = PICTURES.iter().any(|name| column.eq_ignore_ascii_case(name));
            named && (plain(column).is_some() || bytes(column).is_some())
        });
    }
    if candidates.len() > 1 && candidates.contains(&"image") {
        candidates = vec!["image"];
    }
    if let Some(asked) = asked {
        candidates = vec![chosen(leaves, asked, "data.image_column")?];
    }
    let column = match candidates[..] {
        [column] => column,
        [] => {
            if let Some(column) = columns.iter().find(|column| paths_alone(leaves, column)) {
                return Err(without_bytes(column));
            }
            return Err(format!(
                "it has no column of pictures, that is of type image, or of bytes and named \
                 image; its columns are {}: name one with data.image_column",
                quoted(&columns)
            ));
        }
        _ => {
            return Err(format!(
                "it has several columns of pictures, {}; choose one with data.image_column",
                quoted(&candidates)
            ));
        }
    };
    let Some(pictures) = bytes(&column).or_else(|| plain(&column)) else {
        return Err(match paths_alone(leaves, column) {
            true => without_bytes(column),
            false => format!("its column {column:?} of pictures does not hold bytes"),
        });
    };
    if leaves[pictures].is_repeated() {
        return Err(format!(
            "its column {column:?} holds any number of pictures a row; one is needed"
        ));
    }
    let paths = leaf(leaves, &[column, "path"]);
    let usable = |at: &usize| leaves[*at].physical == Physical::Bytes && !leaves[*at].is_repeated();
    Ok((pictures, paths.filter(usable)))
}

/// The column of labels, if there is one.
fn labels(leaves: &[Leaf], features: &Json, asked: Option<&str>) -> Result<Option<usize>, String> {
    let columns = columns(leaves);
    let among = |keep: &dyn Fn(&str) -> bool| -> Vec<&str> {
        columns.iter().copied().filter(|column| keep(column)).collect()
    };
    let mut candidates =
        among(&|column| LABELS.iter().any(|name| column.eq_ignore_ascii_case(name)));
    if candidates.is_empty() {
        candidates = among(&|column| is_type(features, column, "ClassLabel"));
    }
    if let Some(asked) = asked {
        candidates = vec![chosen(leaves, asked, "data.label_column")?];
    }
    let column = match candidates[..] {
        [] => return Ok(None),
        [column] => column,
        _ => {
            return Err(format!(
                "it has several columns of labels, {}; choose one with data.label_column",
                quoted(&candidates)
            ));
        }
    };
    match leaf(leaves, &[column]).filter(|&at| !leaves[at].is_repeated()) {
        Some(at) if leaves[at].physical != Physical::Other => Ok(Some(at)),
        _ => Err(format!(
            "its column {column:?} of labels holds neither numbers, nor true and false, nor text, one a row"
        )),
    }
}
