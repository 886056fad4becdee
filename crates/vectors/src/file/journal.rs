//! Rows on their way into a file: a folder that outlasts a kill.
//!
//! - `about.json`: the origin; without it the folder holds nothing of use;
//! - `vectors.f32`: vectors, as float32 in little endian, one behind the other;
//! - `rows.jsonl`: for each a line `["name", "label" or null, checksum]`, the checksum over vector, name and label;
//! - `lock`: locked by the process that writes;
//! - `new.*`: the files that become the result, and `placing` once all of them are whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fcmae_files::Limit;

use super::disk::{self, Output};
use super::error::FileError;
use super::origin::{Origin, same_origin};

const ABOUT: &str = "about.json";
const VECTORS: &str = "vectors.f32";
const ROWS: &str = "rows.jsonl";
const LOCK: &str = "lock";
pub(super) const PLACING: &str = "placing";

/// All files that may be in the folder, in the order in which they are removed: what says that results are whole goes
/// before what they were made with.
const FILES: [&str; 8] =
    [PLACING, ABOUT, "about.new", VECTORS, ROWS, "new.main", "new.names", "new.origin"];

/// Most bytes of a line. Names and labels are shorter.
const LINE: u64 = 1 << 20;

/// How often rows are made durable: what comes first.
const SYNC_TIME: Duration = Duration::from_secs(30);
const SYNC_BYTES: u64 = 256 << 20;

/// Rows that are kept, and more that are to come.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) folder: PathBuf,
    /// What the rows were made with.
    pub(super) origin: Origin,
    vectors: Output,
    lines: Output,
    /// Rows that are there.
    pub(super) rows: u64,
    /// The last one's name.
    pub(super) last: Option<String>,
    /// Bytes of their lines.
    bytes: u64,
    /// Whether more than these rows may lie in the files.
    torn: bool,
    unsynced: u64,
    synced: Instant,
    lock: File,
}

impl Journal {
    /// Begins a folder, or takes one up that is there.
    pub(super) fn begin(
        folder: PathBuf,
        origin: &Origin,
        resume: bool,
        overwrite: bool,
    ) -> Result<Self, FileError> {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(FileError::io("create the folder", &folder)(error));
            }
            _ => {}
        }
        let lock = lock(&folder)?;
        let origin = match about(&folder)? {
            Some(kept) if resume => {
                check(&kept, origin, &folder)?;
                kept
            }
            Some(_) if !overwrite => return Err(FileError::Unfinished { journal: folder }),
            _ => {
                clear(&folder)?;
                describe(&folder, origin)?;
                origin.clone()
            }
        };
        let open = |name: &str| {
            let path = folder.join(name);
            let file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            file.map(Output).map_err(FileError::io("open", &path))
        };
        let (vectors, lines) = (open(VECTORS)?, open(ROWS)?);
        let synced = Instant::now();
        let mut journal = Self {
            folder,
            origin,
            vectors,
            lines,
            rows: 0,
            last: None,
            bytes: 0,
            torn: true,
            unsynced: 0,
            synced,
            lock,
        };
        journal.count()?;
        journal.cut().map_err(FileError::io("shorten", &journal.folder))?;
        Ok(journal)
    }

    /// Counts the rows up to the first that is not whole.
    fn count(&mut self) -> Result<(), FileError> {
        let mut rows = self.read(u64::MAX)?;
        let mut values = Vec::new();
        loop {
            values.clear();
            match rows.next(&mut values) {
                Ok(Some(row)) => {
                    self.rows += 1;
                    self.bytes += row.bytes;
                    self.last = Some(row.name);
                }
                Ok(None) => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::InvalidData | ErrorKind::UnexpectedEof
                    ) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(FileError::io("read", &self.folder)(error)),
            }
        }
    }

    /// Cuts off what is behind the rows.
    fn cut(&mut self) -> io::Result<()> {
        if self.torn {
            self.vectors.0.set_len(self.rows * self.row_bytes())?;
            self.lines.0.set_len(self.bytes)?;
            self.torn = false;
        }
        Ok(())
    }

    fn row_bytes(&self) -> u64 {
        self.origin.width as u64 * 4
    }

    /// Adds rows: all of them, or none if there is an error.
    pub(super) fn append(
        &mut self,
        names: &[String],
        labels: &[Option<String>],
        values: &[f32],
    ) -> io::Result<()> {
        let vectors: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut lines = Vec::new();
        let rows = vectors.chunks_exact(self.origin.width * 4).zip(names.iter().zip(labels));
        for (vector, (name, label)) in rows {
            let label = label.as_deref().filter(|label| !label.is_empty());
            serde_json::to_writer(&mut lines, &(name, label, checksum(vector, name, label)))?;
            lines.push(b'\n');
        }
        // Before there are rows of which it would be unclear whether they were added.
        if self.unsynced >= SYNC_BYTES || self.synced.elapsed() >= SYNC_TIME {
            self.sync()?;
        }
        self.cut()?;
        self.torn = true;
        self.vectors.0.seek(SeekFrom::Start(self.rows * self.row_bytes()))?;
        self.lines.0.seek(SeekFrom::Start(self.bytes))?;
        let written = self.vectors.write_all(&vectors).and_then(|()| self.lines.write_all(&lines));
        if let Err(error) = written {
            // Gives back what room there is; tried again with the next rows.
            let _ = self.cut();
            return Err(error);
        }
        self.torn = false;
        self.rows += names.len() as u64;
        self.last = names.last().cloned().or(self.last.take());
        self.bytes += lines.len() as u64;
        self.unsynced += (vectors.len() + lines.len()) as u64;
        Ok(())
    }

    /// Makes all rows durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        disk::sync(&self.vectors.0)?;
        disk::sync(&self.lines.0)?;
        (self.unsynced, self.synced) = (0, Instant::now());
        Ok(())
    }

    /// Reads the rows from the first on, at most so many.
    pub(super) fn read(&self, rows: u64) -> Result<Rows, FileError> {
        let open = |name: &str| {
            let path = self.folder.join(name);
            let (file, _) = fcmae_files::open(&path).map_err(FileError::unusable(&path))?;
            Ok(BufReader::with_capacity(256 << 10, file))
        };
        Ok(Rows {
            vectors: open(VECTORS)?,
            lines: open(ROWS)?,
            left: rows,
            line: Vec::new(),
            vector: vec![0; self.origin.width * 4],
        })
    }

    /// Removes the folder.
    pub(super) fn remove(self) -> Result<(), FileError> {
        let Self { folder, vectors, lines, lock, .. } = self;
        drop((vectors, lines));
        clear(&folder)?;
        drop(lock);
        let remove = fs::remove_file(folder.join(LOCK)).and_then(|()| fs::remove_dir(&folder));
        remove.map_err(FileError::io("remove", &folder))
    }
}

/// A row that is read.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) label: Option<String>,
    /// Of its line.
    bytes: u64,
}

/// Rows one after the other.
pub(super) struct Rows {
    vectors: BufReader<File>,
    lines: BufReader<File>,
    left: u64,
    line: Vec<u8>,
    vector: Vec<u8>,
}

impl Rows {
    /// The next row, whose vector is added to `values`.
    pub(super) fn next(&mut self, values: &mut Vec<f32>) -> io::Result<Option<Row>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.line.clear();
        let bytes = (&mut self.lines).take(LINE).read_until(b'\n', &mut self.line)? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        if self.line.pop() != Some(b'\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.vectors.read_exact(&mut self.vector)?;
        let (name, label, claimed): (String, Option<String>, u32) =
            serde_json::from_slice(&self.line)?;
        if checksum(&self.vector, &name, label.as_deref()) != claimed {
            return Err(io::Error::new(ErrorKind::InvalidData, "a row does not fit its checksum"));
        }
        values.extend(self.vector.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        self.left -= 1;
        Ok(Some(Row { name, label, bytes }))
    }
}

fn checksum(vector: &[u8], name: &str, label: Option<&str>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(vector);
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    hasher.update(label.unwrap_or_default().as_bytes());
    hasher.finalize()
}

fn lock(folder: &Path) -> Result<File, FileError> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(FileError::io("open", &path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(FileError::InUse { journal: folder.to_owned() }),
        // Some file systems cannot lock.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

fn about(folder: &Path) -> Result<Option<Origin>, FileError> {
    const MOST: Limit = Limit { bytes: 1 << 20, remedy: "it describes embeddings in a few lines" };
    let path = folder.join(ABOUT);
    let text = fcmae_files::if_there(fcmae_files::text(&path, MOST));
    let Some(text) = text.map_err(FileError::unusable(&path))? else { return Ok(None) };
    let origin: Origin = serde_json::from_str(&text).map_err(|error| {
        FileError::malformed(
            &path,
            format!("it is damaged ({error}): remove the folder and begin anew"),
        )
    })?;
    Ok(Some(origin))
}

/// Checks that the rows in a folder are of the run that is to go on.
fn check(kept: &Origin, origin: &Origin, folder: &Path) -> Result<(), FileError> {
    let other = |reason| FileError::OtherRun { journal: folder.to_owned(), reason };
    same_origin(kept, origin).map_err(|differs| other(differs.to_string()))?;
    if kept.pictures != origin.pictures {
        let [kept, now] =
            [kept, origin].map(|origin| super::shortened::shortened(&origin.pictures));
        return Err(other(format!("it is of other pictures ({kept} and {now}); give the same")));
    }
    Ok(())
}

/// Writes what the rows will be made with, which makes the folder count.
fn describe(folder: &Path, origin: &Origin) -> Result<(), FileError> {
    let (new, path) = (folder.join("about.new"), folder.join(ABOUT));
    let write = || {
        let mut file = Output(File::create(&new)?);
        file.write_all(&serde_json::to_vec(origin)?)?;
        disk::sync(&file.0)?;
        fs::rename(&new, &path)?;
        disk::sync_folder(folder);
        Ok(())
    };
    write().map_err(FileError::io("write", &path))
}

/// Removes all but the lock. A folder with anything else in it is not of this program, and left.
fn clear(folder: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).map_err(FileError::io("list", folder))? {
        let name = entry.map_err(FileError::io("list", folder))?.file_name();
        if name != LOCK && !FILES.iter().any(|known| name == *known) {
            let reason =
                format!("it holds {name:?}, which is not of an unfinished run: move that away");
            return Err(FileError::malformed(folder, reason));
        }
    }
    for name in FILES {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(FileError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
