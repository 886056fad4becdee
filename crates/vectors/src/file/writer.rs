//! A file that is written row by row, in one run or several.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use fcmae_parquet::Cells;

use super::disk::{self, Output};
use super::error::FileError;
use super::format::Format;
use super::journal::{Journal, PLACING};
use super::origin::Origin;
use super::{npy, parquet, table};

/// Most bytes of a name, or of a label.
const TEXT: usize = 64 << 10;

/// Rows of a Parquet file's row group, and bytes at which one ends before.
const GROUP_ROWS: usize = 4096;
const GROUP_VALUES: usize = 8 << 20;
const GROUP_TEXT: usize = 16 << 20;

/// What to do about earlier runs. By default, what is there is left alone, and said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Goes on with an unfinished run, if there is one.
    pub resume: bool,
    /// Replaces the file, and what an unfinished run left unless that is resumed.
    pub overwrite: bool,
}

/// Embeddings on their way into a file.
///
/// Rows are kept in the folder `OUT.partial` until [`finish`](Self::finish) makes the file of them: a run that is
/// killed, or whose disk is full, is resumed there. Memory follows from the rows that are given at a time, not from
/// their number.
#[derive(Debug)]
pub struct Writer {
    out: PathBuf,
    format: Format,
    journal: Journal,
}

impl Writer {
    /// Begins `out`, in the [`Format`] that its name tells, or goes on with it. A run that is resumed has the same
    /// [`Origin`], but for the program's version, of which the first is kept.
    ///
    /// # Errors
    /// A name that tells no format; [`FileError::Exists`] and [`FileError::Unfinished`] unless overwritten;
    /// [`FileError::OtherRun`]; [`FileError::InUse`]; what the disk refuses.
    pub fn begin(out: &Path, origin: &Origin, options: Options) -> Result<Self, FileError> {
        let format = Format::of(out)?;
        if !(1..=fcmae_parquet::WIDTH).contains(&origin.width) {
            let most = fcmae_parquet::WIDTH;
            let reason = format!("vectors of {} values; they have 1 to {most}", origin.width);
            return Err(FileError::malformed(out, reason));
        }
        let mut folder = out.as_os_str().to_owned();
        folder.push(".partial");
        let folder = PathBuf::from(folder);
        // A run that was killed while it put its files into place goes on with that.
        let placing = options.resume && folder.join(PLACING).exists();
        let files = [Some(out.to_owned()), format.names(out), format.origin(out)];
        if !options.overwrite
            && !placing
            && let Some(path) =
                files.into_iter().flatten().find(|path| path.symlink_metadata().is_ok())
        {
            return Err(FileError::Exists { path });
        }
        let journal = Journal::begin(folder, origin, options.resume, options.overwrite);
        let journal = journal.map_err(|error| Self::full(error, out, 0))?;
        Ok(Self { out: out.to_owned(), format, journal })
    }

    /// Rows that are there: of a run that is resumed, those that need not be made again.
    pub fn rows(&self) -> u64 {
        self.journal.rows
    }

    /// The name of the last row that is there.
    pub fn last_name(&self) -> Option<&str> {
        self.journal.last.as_deref()
    }

    /// Adds rows: their names, N, which are not empty; their labels, N, of which an empty one is none; their
    /// vectors, `[N, C]`. All of them are added, or none if there is an error.
    ///
    /// # Errors
    /// [`FileError::Block`], [`FileError::Row`]; [`FileError::NoSpace`] and other refusals of the disk, after which
    /// the same rows may be added again.
    pub fn append(
        &mut self,
        names: &[String],
        labels: &[Option<String>],
        vectors: &[f32],
    ) -> Result<(), FileError> {
        let width = self.journal.origin.width;
        if labels.len() != names.len() || Some(vectors.len()) != names.len().checked_mul(width) {
            let (names, labels, values) = (names.len(), labels.len(), vectors.len());
            return Err(FileError::Block { names, labels, values, width });
        }
        let rows = self.rows();
        for (index, (name, vector)) in names.iter().zip(vectors.chunks_exact(width)).enumerate() {
            let refused = |reason: String| {
                Err(FileError::Row { row: rows + index as u64, name: name.clone(), reason })
            };
            let longest = name.len().max(labels[index].as_ref().map_or(0, String::len));
            if name.is_empty() {
                return refused("a row needs a name".to_owned());
            }
            if longest > TEXT {
                return refused(format!(
                    "a name or label of {longest} bytes; at most {TEXT} are kept"
                ));
            }
            if let Some(at) = vector.iter().position(|value| !value.is_finite()) {
                let value = vector[at];
                return refused(format!(
                    "value {at} of its vector is not a number ({value}): the weights or the picture are damaged"
                ));
            }
        }
        self.journal.append(names, labels, vectors).map_err(|error| self.refused("write", error))
    }

    /// Makes all rows durable. That is done from time to time anyway.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.journal.sync().map_err(|error| self.refused("sync", error))
    }

    /// Makes the file of the rows, puts it into place, whole, and removes the folder of rows.
    ///
    /// # Errors
    /// What the disk refuses; the rows are kept then, and the run can be resumed. Of several files, some may be in
    /// place.
    pub fn finish(mut self) -> Result<(), FileError> {
        self.sync()?;
        let origin = serde_json::to_string(&self.journal.origin)
            .map_err(|error| self.refused("write", error.into()))?;
        let mut files = Vec::new();
        if let Some(path) = self.format.origin(&self.out) {
            let fill = |out: &mut Out| writeln!(out, "{origin}");
            files.push((self.make("new.origin", fill)?, path));
        }
        if let Some(path) = self.format.names(&self.out) {
            files.push((self.make("new.names", |out| self.fill_table(out, false))?, path));
        }
        let main = self.make("new.main", |out| match self.format {
            Format::Parquet => self.fill_parquet(out, &origin),
            Format::Npy => self.fill_npy(out),
            Format::Csv => self.fill_table(out, true),
        })?;
        files.push((main, self.out.clone()));
        self.make(PLACING, |_| Ok(()))?;
        disk::sync_folder(&self.journal.folder);
        for (new, path) in &files {
            fs::rename(new, path).map_err(FileError::io("rename into place", path))?;
        }
        match self.out.parent() {
            Some(folder) if folder != Path::new("") => disk::sync_folder(folder),
            _ => disk::sync_folder(Path::new(".")),
        }
        self.journal.remove()
    }

    /// Writes a file of the folder of rows, and syncs it.
    fn make(
        &self,
        name: &str,
        fill: impl FnOnce(&mut Out) -> io::Result<()>,
    ) -> Result<PathBuf, FileError> {
        let path = self.journal.folder.join(name);
        let write = || {
            let mut out = BufWriter::with_capacity(256 << 10, Output(File::create(&path)?));
            fill(&mut out)?;
            out.flush()?;
            disk::sync(&out.get_ref().0)
        };
        if let Err(error) = write() {
            // Room for what is more important.
            let _ = fs::remove_file(&path);
            return Err(self.refused("write", error));
        }
        Ok(path)
    }

    fn rows_of_journal(&self) -> io::Result<super::journal::Rows> {
        self.journal.read(self.rows()).map_err(io::Error::other)
    }

    fn fill_npy(&self, out: &mut Out) -> io::Result<()> {
        npy::write_header(out, self.rows(), self.journal.origin.width)?;
        let (mut rows, mut values) = (self.rows_of_journal()?, Vec::new());
        while rows.next(&mut values)?.is_some() {
            values.iter().try_for_each(|value: &f32| out.write_all(&value.to_le_bytes()))?;
            values.clear();
        }
        Ok(())
    }

    fn fill_table(&self, out: &mut Out, with_values: bool) -> io::Result<()> {
        let width = if with_values { self.journal.origin.width } else { 0 };
        let mut table = table::Rows::new(out, width)?;
        let (mut rows, mut values) = (self.rows_of_journal()?, Vec::new());
        while let Some(row) = rows.next(&mut values)? {
            table.row(&row.name, row.label.as_deref(), &values[..width])?;
            values.clear();
        }
        table.finish().map(drop)
    }

    fn fill_parquet(&self, out: &mut Out, origin: &str) -> io::Result<()> {
        let width = self.journal.origin.width;
        let mut table = parquet::begin(out, width)?;
        let mut rows = self.rows_of_journal()?;
        let (mut names, mut labels, mut values, mut text) = (vec![], vec![], vec![], 0);
        loop {
            let row = rows.next(&mut values)?;
            let last = row.is_none();
            if let Some(row) = row {
                text += row.name.len() + row.label.as_ref().map_or(0, String::len);
                names.push(row.name);
                labels.push(row.label);
            }
            let full =
                names.len() == GROUP_ROWS || values.len() >= GROUP_VALUES || text >= GROUP_TEXT;
            if full || last && !names.is_empty() {
                let cells =
                    [Cells::Text(&names), Cells::OptionalText(&labels), Cells::Lists(&values)];
                table.group(names.len(), &cells)?;
                names.clear();
                labels.clear();
                values.clear();
                text = 0;
            }
            if last {
                return parquet::finish(table, width, origin).map(drop);
            }
        }
    }

    fn refused(&self, action: &'static str, source: io::Error) -> FileError {
        let error = FileError::Io { action, path: self.out.clone(), source };
        Self::full(error, &self.out, self.rows())
    }

    fn full(error: FileError, out: &Path, rows: u64) -> FileError {
        match error {
            FileError::Io { source, .. } if disk::is_full(&source) => {
                let mut journal = out.as_os_str().to_owned();
                journal.push(".partial");
                FileError::NoSpace { path: out.to_owned(), journal: journal.into(), rows }
            }
            error => error,
        }
    }
}

/// What files are written to.
type Out = BufWriter<Output>;
