//! The pictures that remain without their copies.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, bail};
use fcmae_data::source::{path_of, printable};
use fcmae_vectors::Embeddings;
use fcmae_words::{counted, grouped};

use super::Duplicates;
use crate::failure::Usage;
use crate::list::{List, listed};
use crate::output;

/// Refuses a file that the list cannot be written to.
pub(super) fn check(file: &Path, args: &Duplicates) -> Result<()> {
    let inputs = [args.data.as_slice(), &args.against].concat();
    output::refuse_result(file, &["csv"], args.sheet.overwrite(), &inputs, "--rest")?;
    if args.sheet.out() == Some(file) {
        return Err(Usage("--out and --rest name the same file: choose another".to_owned()).into());
    }
    Ok(())
}

/// Lists the pictures that are not `spare`.
pub(super) fn write(file: &Path, data: &Embeddings, spare: &HashSet<usize>) -> Result<()> {
    let rows: Vec<usize> = (0..data.names.len()).filter(|row| !spare.contains(row)).collect();
    if rows.is_empty() {
        bail!("--rest: all pictures of --data have copies in --against, so none remains");
    }
    let name = |row: usize| data.names[row].as_str();
    if let Some(inside) = rows.iter().map(|&row| name(row)).find(|name| !path_of(name).is_file()) {
        bail!(
            "--rest lists picture files, but there is no file {inside}: pictures in archives and Parquet files cannot be \
             listed. Unpack them, or leave out --rest"
        );
    }
    let mut list = List::new(["path", "label"]);
    for &row in &rows {
        list.row([&listed(name(row), file), data.labels[row].as_deref().unwrap_or_default()]);
    }
    output::write_result(file, list.text().as_bytes())?;
    let (rest, all) = (grouped(rows.len()), counted(data.names.len(), "picture"));
    output::note(&format!("{}  {rest} of {all} remain", printable(file)));
    Ok(())
}
