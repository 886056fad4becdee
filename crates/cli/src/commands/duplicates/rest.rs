//! The pictures that remain without their copies.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, bail};
use fcmae_data::source::{path_of, printable};
use fcmae_vectors::Embeddings;
use fcmae_words::{counted, grouped, list};

use crate::list::{List, listed};
use crate::output;
use crate::vectors::Read;

/// Refuses pictures that a list cannot name, and notes what it will not hold.
pub(super) fn check(data: &Read) -> Result<()> {
    if let Some(name) = data.rows.names.iter().find(|name| !path_of(name).is_file()) {
        bail!(
            "--rest lists picture files, but {name} is not one: pictures inside archives and Parquet files, pages of a \
             TIFF file and files that have moved cannot be listed"
        );
    }
    let columns: Vec<&str> = match &data.set {
        Some(set) => set.group_columns.iter().map(String::as_str).collect(),
        None => vec![],
    };
    if !columns.is_empty() {
        output::note(&format!(
            "--rest does not keep the column {}: pictures that belong together may end up on both sides, trained on and \
             held out",
            list(&columns)
        ));
    }
    Ok(())
}

/// Lists the pictures that are not `spare`. `doubt`: what is doubtful about the list.
pub(super) fn write(
    file: &Path,
    data: &Embeddings,
    spare: &HashSet<usize>,
    doubt: Option<String>,
) -> Result<()> {
    let (count, all) = (data.names.len() - spare.len(), counted(data.names.len(), "picture"));
    if count == 0 {
        bail!("--rest: all pictures of --data have copies in --against, so none remains");
    }
    let mut rest = List::new(["path", "label"]);
    for (row, name) in data.names.iter().enumerate().filter(|(row, _)| !spare.contains(row)) {
        rest.row([&listed(name, file), data.labels[row].as_deref().unwrap_or_default()]);
    }
    output::write_result(file, rest.text().as_bytes())?;
    output::note(&format!("{}  {} of {all} remain", printable(file), grouped(count)));
    if let Some(doubt) = doubt {
        output::note(&format!("{}  {doubt}", printable(file)));
    }
    Ok(())
}
