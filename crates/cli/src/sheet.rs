//! What the commands that compare pictures write: a list, and a page of the pictures.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use fcmae_data::source::printable;
use fcmae_report::Gallery;

use crate::failure::Usage;
use crate::output;
use crate::thumbnails::Thumbnails;
use crate::vectors::{Read, Source};

/// Where the list and the page go.
#[derive(Args)]
pub(crate) struct SheetArgs {
    /// The list to write, a .csv file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Also show the result with its pictures, as a page to open in a browser: an .html file
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,

    /// Where the pictures for the page are, if --data are files of vectors: folders, .tar, .csv, .tsv, .txt or
    /// .parquet files. Without it, their names are used as paths
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., requires = "sheet")]
    pictures: Vec<PathBuf>,

    /// Replace files that exist
    #[arg(long)]
    overwrite: bool,
}

impl SheetArgs {
    /// The page alone.
    pub(crate) fn new(sheet: &Path) -> Self {
        let sheet = Some(sheet.to_owned());
        Self { out: None, sheet, pictures: vec![], overwrite: false }
    }

    /// Where the list goes, if it is to be written.
    pub(crate) fn out(&self) -> Option<&Path> {
        self.out.as_deref()
    }

    /// Refuses a further list, called by `option`, that cannot be written to `file`, or is written to already.
    ///
    /// # Errors
    /// Such a file.
    pub(crate) fn check_also(
        &self,
        file: &Path,
        option: &str,
        inputs: [&[PathBuf]; 2],
    ) -> Result<()> {
        self.check_result(file, &["csv"], option, inputs)?;
        let out = self.out.as_ref().filter(|out| output::same_place(out, file));
        match out {
            None => Ok(()),
            Some(_) => {
                let text = format!("--out and {option} name the same file: choose another");
                Err(Usage(text).into())
            }
        }
    }

    /// Refuses files that list and page cannot be written to. `inputs`: what the command reads.
    ///
    /// # Errors
    /// Such a file.
    pub(crate) fn check(&self, inputs: [&[PathBuf]; 2]) -> Result<()> {
        if let Some(out) = &self.out {
            self.check_result(out, &["csv"], "--out", inputs)?;
        }
        let Some(sheet) = &self.sheet else { return Ok(()) };
        self.check_result(sheet, &["html", "htm"], "--sheet", inputs)
    }

    fn check_result(
        &self,
        file: &Path,
        endings: &[&str],
        option: &str,
        inputs: [&[PathBuf]; 2],
    ) -> Result<()> {
        let inputs = [inputs.concat().as_slice(), &self.pictures].concat();
        output::refuse_result(file, endings, self.overwrite, &inputs, option)
    }

    /// What draws the page's pictures, where a page is asked for.
    ///
    /// # Errors
    /// As [`Thumbnails::open`].
    pub(crate) fn thumbnails(
        &self,
        source: &Source<'_>,
        read: &[&Read],
    ) -> Result<Option<Thumbnails>> {
        self.sheet.as_ref().map(|_| Thumbnails::open(source, read, &self.pictures)).transpose()
    }

    /// Writes the page, where one is asked for.
    ///
    /// # Errors
    /// A page that cannot be written.
    pub(crate) fn write_page(
        &self,
        thumbnails: Option<&Thumbnails>,
        page: impl FnOnce(&Thumbnails) -> Gallery,
    ) -> Result<()> {
        let Some((sheet, thumbnails)) = self.sheet.as_ref().zip(thumbnails) else { return Ok(()) };
        output::write_result(sheet, page(thumbnails).to_html().as_bytes())
    }

    /// Writes the list, where it is to be written. In a line, where list and page are, and `summary`; `None` where
    /// neither was asked for, so that the list is to be printed.
    ///
    /// # Errors
    /// A list that cannot be written.
    pub(crate) fn write_list(
        &self,
        list: impl FnOnce() -> String,
        summary: &str,
    ) -> Result<Option<String>> {
        if let Some(out) = &self.out {
            output::write_result(out, list().as_bytes())?;
        }
        let files: Vec<String> =
            self.out.iter().chain(&self.sheet).map(|file| printable(file)).collect();
        Ok((!files.is_empty()).then(|| format!("{}  {summary}\n", files.join("  "))))
    }
}

/// What a page of these files is called.
pub(crate) fn title(paths: &[PathBuf]) -> String {
    const MOST: usize = 3;
    let name = |path: &PathBuf| {
        let real = path.file_name().map(ToOwned::to_owned).or_else(|| {
            path.canonicalize().ok().and_then(|real| real.file_name().map(ToOwned::to_owned))
        });
        real.map_or_else(|| printable(path), |name| printable(Path::new(&name)))
    };
    let mut names: Vec<String> = paths.iter().take(MOST).map(name).collect();
    if paths.len() > MOST {
        names.push(format!("{} more", paths.len() - MOST));
    }
    names.join(", ")
}

/// What a page of two sets is called, of which the second may be missing.
pub(crate) fn title_of_both(first: &[PathBuf], second: &[PathBuf]) -> String {
    match second {
        [] => title(first),
        second => format!("{} and {}", title(first), title(second)),
    }
}
