//! A writer: tables of texts and of lists of numbers, plain and uncompressed.

use std::io::{self, Write};

use crate::encoder::{Encoder, Of, unsigned};
use crate::invalid::invalid;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text a row.
    Text,
    /// A text a row, or none.
    OptionalText,
    /// A list of so many numbers a row.
    Lists(usize),
}

/// A column of some rows.
#[derive(Clone, Copy, Debug)]
pub enum Cells<'a> {
    /// Of [`Kind::Text`].
    Text(&'a [String]),
    /// Of [`Kind::OptionalText`].
    OptionalText(&'a [Option<String>]),
    /// Of [`Kind::Lists`]: the numbers of all rows, one behind the other.
    Lists(&'a [f32]),
}

/// A table that is being written. What is kept of each row group are some hundred bytes.
#[derive(Debug)]
pub struct Table<W> {
    out: W,
    /// Bytes written.
    at: u64,
    columns: Vec<(String, Kind)>,
    rows: i64,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    rows: i64,
    chunks: Vec<Piece>,
}

/// A piece of a column, which is one page.
#[derive(Debug)]
struct Piece {
    start: i64,
    bytes: i64,
    values: i64,
}

/// Parquet's numbers of types, of repetitions and of encodings.
const FLOAT: i32 = 4;
const BYTES: i32 = 6;
const REQUIRED: i32 = 0;
const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;
const PLAIN: i32 = 0;
const RLE: i32 = 3;

impl<W: Write> Table<W> {
    /// Begins a table of these columns.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, columns: &[(&str, Kind)]) -> io::Result<Self> {
        out.write_all(b"PAR1")?;
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        Ok(Self { out, at: 4, columns, rows: 0, groups: Vec::new() })
    }

    /// Writes rows as one row group: the cells of every column, in their order. They are to fit into memory twice.
    ///
    /// # Errors
    /// Cells that are not those of the columns, or take 2 GiB or more in a column; errors of `out`.
    pub fn group(&mut self, rows: usize, cells: &[Cells<'_>]) -> io::Result<()> {
        if cells.len() != self.columns.len() {
            return Err(invalid("a row group needs cells of every column"));
        }
        let mut chunks = Vec::new();
        for (index, cells) in cells.iter().enumerate() {
            let (page, values) = page(self.columns[index].1, rows, *cells)?;
            let size = i32::try_from(page.len())
                .map_err(|_| invalid("a column of a row group takes 2 GiB or more"))?;
            let mut header = Encoder::default();
            // A page of values.
            header.int32(1, 0);
            header.int32(2, size);
            header.int32(3, size);
            header.begin(5);
            header.int32(1, i32::try_from(values).map_err(invalid)?);
            header.int32(2, PLAIN);
            header.int32(3, RLE);
            header.int32(4, RLE);
            header.end();
            header.end();
            self.out.write_all(&header.bytes)?;
            self.out.write_all(&page)?;
            let bytes = (header.bytes.len() + page.len()) as i64;
            chunks.push(Piece { start: self.at as i64, bytes, values: values as i64 });
            self.at += bytes as u64;
        }
        self.rows += rows as i64;
        self.groups.push(Group { rows: rows as i64, chunks });
        Ok(())
    }

    /// Ends the table, with texts under keys that its readers may want, and gives back what it was written to.
    ///
    /// # Errors
    /// Those of `out`; a footer of 4 GiB or more.
    pub fn finish(mut self, notes: &[(&str, &str)]) -> io::Result<W> {
        let footer = self.footer(notes);
        let length = u32::try_from(footer.len()).map_err(invalid)?;
        self.out.write_all(&footer)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(b"PAR1")?;
        Ok(self.out)
    }

    fn footer(&self, notes: &[(&str, &str)]) -> Vec<u8> {
        let mut footer = Encoder::default();
        // The version of the format.
        footer.int32(1, 1);
        let elements = self.columns.iter().map(|(_, kind)| match kind {
            Kind::Lists(_) => 3,
            Kind::Text | Kind::OptionalText => 1,
        });
        footer.list(2, Of::Struct, 1 + elements.sum::<usize>());
        element(&mut footer, "schema", None, None, Some(self.columns.len()), Logical::None);
        for (name, kind) in &self.columns {
            let mut text = |repetition| {
                let footer = &mut footer;
                element(footer, name, Some(BYTES), Some(repetition), None, Logical::Text);
            };
            match kind {
                Kind::Text => text(REQUIRED),
                Kind::OptionalText => text(OPTIONAL),
                Kind::Lists(_) => {
                    let [list, element_name] = LIST;
                    element(&mut footer, name, None, Some(REQUIRED), Some(1), Logical::List);
                    element(&mut footer, list, None, Some(REPEATED), Some(1), Logical::None);
                    let of = Some(FLOAT);
                    element(&mut footer, element_name, of, Some(REQUIRED), None, Logical::None);
                }
            }
        }
        footer.int64(3, self.rows);
        footer.list(4, Of::Struct, self.groups.len());
        for group in &self.groups {
            self.row_group(&mut footer, group);
        }
        footer.list(5, Of::Struct, notes.len());
        for (key, text) in notes {
            footer.begin_element();
            footer.text(1, key);
            footer.text(2, text);
            footer.end();
        }
        footer.text(6, "fcmae");
        footer.end();
        footer.bytes
    }

    fn row_group(&self, footer: &mut Encoder, group: &Group) {
        footer.begin_element();
        footer.list(1, Of::Struct, group.chunks.len());
        for ((name, kind), chunk) in self.columns.iter().zip(&group.chunks) {
            footer.begin_element();
            // Of a place that is no longer used.
            footer.int64(2, 0);
            footer.begin(3);
            footer.int32(1, if matches!(kind, Kind::Lists(_)) { FLOAT } else { BYTES });
            footer.list(2, Of::Int, 2);
            footer.int(PLAIN.into());
            footer.int(RLE.into());
            let below = if matches!(kind, Kind::Lists(_)) { &LIST[..] } else { &[] };
            footer.list(3, Of::Binary, 1 + below.len());
            footer.binary(name);
            below.iter().for_each(|name| footer.binary(name));
            // No compression.
            footer.int32(4, 0);
            footer.int64(5, chunk.values);
            footer.int64(6, chunk.bytes);
            footer.int64(7, chunk.bytes);
            footer.int64(9, chunk.start);
            footer.end();
            footer.end();
        }
        footer.int64(2, group.chunks.iter().map(|chunk| chunk.bytes).sum());
        footer.int64(3, group.rows);
        footer.end();
    }
}

/// What the two levels below a list are called.
const LIST: [&str; 2] = ["list", "element"];

/// What a column means beyond its type.
#[derive(Clone, Copy)]
enum Logical {
    None,
    Text,
    List,
}

/// An element of the tree of columns.
fn element(
    footer: &mut Encoder,
    name: &str,
    physical: Option<i32>,
    repetition: Option<i32>,
    children: Option<usize>,
    logical: Logical,
) {
    footer.begin_element();
    physical.into_iter().for_each(|physical| footer.int32(1, physical));
    repetition.into_iter().for_each(|repetition| footer.int32(3, repetition));
    footer.text(4, name);
    children.into_iter().for_each(|children| footer.int32(5, children as i32));
    // The older mark, and the newer: a union.
    let marks = match logical {
        Logical::None => None,
        Logical::Text => Some((0, 1)),
        Logical::List => Some((3, 3)),
    };
    if let Some((older, newer)) = marks {
        footer.int32(6, older);
        footer.begin(10);
        footer.begin(newer);
        footer.end();
        footer.end();
    }
    footer.end();
}

/// A page of cells, levels included, and how many values it has.
fn page(kind: Kind, rows: usize, cells: Cells<'_>) -> io::Result<(Vec<u8>, usize)> {
    let mut page = Vec::new();
    let fits = match (kind, cells) {
        (Kind::Text, Cells::Text(texts)) => {
            texts.iter().try_for_each(|text| add_text(&mut page, text))?;
            texts.len() == rows
        }
        (Kind::OptionalText, Cells::OptionalText(texts)) => {
            let mut levels = Vec::new();
            for same in texts.chunk_by(|one, next| one.is_some() == next.is_some()) {
                run(&mut levels, same.len(), same[0].is_some());
            }
            add_levels(&mut page, &levels)?;
            texts.iter().flatten().try_for_each(|text| add_text(&mut page, text))?;
            texts.len() == rows
        }
        (Kind::Lists(width), Cells::Lists(values)) => {
            let (mut begin, mut there) = (Vec::new(), Vec::new());
            run(&mut begin, 1, false);
            if width > 1 {
                run(&mut begin, width - 1, true);
            }
            add_levels(&mut page, &begin.repeat(rows))?;
            run(&mut there, values.len(), true);
            add_levels(&mut page, &there)?;
            page.reserve(size_of_val(values));
            page.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let fits = width > 0 && Some(values.len()) == rows.checked_mul(width);
            return if fits { Ok((page, values.len())) } else { Err(unfit()) };
        }
        _ => false,
    };
    if fits { Ok((page, rows)) } else { Err(unfit()) }
}

fn unfit() -> io::Error {
    invalid("the cells of a row group are not those of its columns")
}

/// The same level many times, as a run.
fn run(levels: &mut Vec<u8>, count: usize, level: bool) {
    unsigned(levels, (count as u64) << 1);
    levels.push(level.into());
}

fn add_levels(page: &mut Vec<u8>, levels: &[u8]) -> io::Result<()> {
    page.extend(length(levels)?);
    page.extend_from_slice(levels);
    Ok(())
}

fn add_text(page: &mut Vec<u8>, text: &str) -> io::Result<()> {
    page.extend(length(text.as_bytes())?);
    page.extend_from_slice(text.as_bytes());
    Ok(())
}

fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(bytes.len()).map(u32::to_le_bytes).map_err(invalid)
}
