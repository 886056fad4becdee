//! Which columns of a list hold paths and labels, and what stands between them.

use super::super::kind::has_picture_extension;

/// Names of the column of paths: the first, and where there is none of them, the others.
const PATHS: [&[&str]; 2] = [
    &["path", "file", "image"],
    &[
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "image_path",
        "imagepath",
        "image_file",
        "image_name",
        "imagename",
        "image_filename",
        "img",
        "img_path",
        "img_name",
        "picture",
        "photo",
        "name",
        "url",
        "uri",
        "image_url",
        "id",
        "image_id",
    ],
];

/// Names of the column of labels, likewise.
const LABELS: [&[&str]; 2] = [
    &["label", "class"],
    &[
        "labels",
        "classes",
        "category",
        "class_name",
        "classname",
        "label_name",
        "labelname",
        "target",
        "species",
        "class_id",
        "label_id",
        "category_name",
        "category_id",
        "y",
    ],
];

/// Of these, no one is likelier than another.
const ALIKE: [&str; 3] = ["label", "labels", "class"];

/// What may stand between columns.
const BETWEEN: [u8; 4] = *b",;\t|";

/// Columns that are asked for by name.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) image: Option<&'a str>,
    pub(super) label: Option<&'a str>,
    pub(super) group: Option<&'a str>,
}

/// Where path and label stand.
pub(super) struct Columns {
    /// What stands between columns.
    pub(super) between: u8,
    pub(super) path: usize,
    pub(super) label: Option<usize>,
    pub(super) group: Option<usize>,
    /// Whether the first line names them, and is no sample.
    pub(super) named: bool,
    /// The names.
    pub(super) names: Vec<String>,
}

impl Columns {
    /// By the first lines: the names in it, or the first column and the second if there is one. Also gives the byte
    /// at which the table begins.
    pub(super) fn find(
        text: &str,
        declared: u8,
        asked: Asked<'_>,
        labelled: bool,
        is_file: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, usize), String> {
        let written = text;
        let (text, start, declared) = match spreadsheet(text) {
            Some((between, start)) => (&text[start..], start, between),
            None => (text, 0, declared),
        };
        let commented = comments(text, asked, is_file);
        let (text, start) = (&text[commented..], start + commented);
        let table = |between| Table { between, lines: first_lines(text, between) };
        let others = BETWEEN.into_iter().filter(|between| *between != declared);
        let tables: Vec<Table> = std::iter::once(declared).chain(others).map(table).collect();
        // By names, by a picture in the first line, by one in the second; else as the file is called.
        let by = |fits: &dyn Fn(&Table) -> bool| tables.iter().find(|table| fits(table));
        let table = by(&|table| table.position(0, &PATHS, asked.image).is_some())
            .or_else(|| by(&|table| table.cell(0, 0).is_some_and(is_picture)))
            .or_else(|| by(&|table| table.cells(1).any(is_picture) && table.width() > 1))
            .unwrap_or(&tables[0]);
        if let Some((line, names)) = below_a_title(text, table, asked, is_file) {
            let passed = written[..start].lines().count();
            return Err(format!(
                "its first line names no columns, and line {} does ({names}): delete the lines above that",
                line + passed
            ));
        }
        Ok((table.columns(asked, labelled, is_file)?, start))
    }
}

/// The line that names columns, by its number, where the first neither does so nor is a sample.
fn below_a_title(
    text: &str,
    table: &Table,
    asked: Asked<'_>,
    is_file: &dyn Fn(&str) -> bool,
) -> Option<(usize, String)> {
    const LOOKED_AT: usize = 20;
    let named = |cell: &str| match asked.image {
        Some(name) => cell == name,
        None => PATHS[0].iter().chain(PATHS[1]).any(|name| cell.eq_ignore_ascii_case(name)),
    };
    let sample = |cell: &str| is_picture(cell) || !cell.is_empty() && is_file(cell);
    if table.cells(0).any(|cell| named(cell) || sample(cell)) || table.cells(1).any(is_picture) {
        return None;
    }
    for (number, line) in (1..).zip(text.lines()).take(LOOKED_AT).skip(1) {
        let cells =
            || line.split(char::from(table.between)).map(|cell| cell.trim().trim_matches('"'));
        if cells().any(sample) {
            return None;
        }
        let of_labels = |cell: &str| {
            LABELS[0].iter().chain(LABELS[1]).any(|name| cell.eq_ignore_ascii_case(name))
        };
        if cells().any(named) && (asked.image.is_some() || cells().any(of_labels)) {
            return Some((number, line.trim().to_owned()));
        }
    }
    None
}

/// The first lines with something between their columns.
struct Table {
    between: u8,
    lines: Vec<Vec<String>>,
}

impl Table {
    fn cells(&self, line: usize) -> impl Iterator<Item = &str> {
        self.lines.get(line).into_iter().flatten().map(String::as_str)
    }

    fn cell(&self, line: usize, column: usize) -> Option<&str> {
        self.lines.get(line)?.get(column).map(String::as_str)
    }

    fn width(&self) -> usize {
        self.lines.first().map_or(0, Vec::len)
    }

    /// The column of a name: the one asked for, or one of those known.
    fn position(&self, line: usize, known: &[&[&str]], asked: Option<&str>) -> Option<usize> {
        let named = |name: &str| self.cells(line).position(|cell| cell.eq_ignore_ascii_case(name));
        if let Some(name) = asked {
            return self.cells(line).position(|cell| cell == name);
        }
        let (usual, others) = known.split_first()?;
        let usual = usual.iter().filter_map(|name| named(name)).min();
        let others = || others.iter().flat_map(|names| names.iter());
        let pictures = |at: &usize| self.cell(line + 1, *at).is_some_and(is_picture);
        usual
            .or_else(|| others().filter_map(|name| named(name)).find(pictures))
            .or_else(|| others().find_map(|name| named(name)))
    }

    fn columns(
        &self,
        asked: Asked<'_>,
        labelled: bool,
        is_file: &dyn Fn(&str) -> bool,
    ) -> Result<Columns, String> {
        // A line with a picture is a sample, whatever its label is called.
        let heads = !self.cells(0).any(is_picture);
        let named = |known: &[&[&str]], asked: Option<&str>| {
            self.position(0, known, asked).filter(|_| heads || asked.is_some())
        };
        let (mut path, mut label) = (named(&PATHS, asked.image), named(&LABELS, asked.label));
        let names: Vec<String> = self.cells(0).map(str::to_owned).collect();
        let there = || names.join(", ");
        let several = |at: Option<usize>| -> Option<String> {
            let name = names.get(at?)?;
            let alike = names.iter().filter(|other| other.eq_ignore_ascii_case(name)).count();
            (alike > 1 && heads).then(|| {
                format!("it has {alike} columns {name:?}; rename those that are not to be used")
            })
        };
        if let Some(reason) = several(path).or_else(|| several(label).filter(|_| labelled)) {
            return Err(reason);
        }
        if labelled && heads && asked.label.is_none() && path.is_some() {
            check_one_of_labels(&names)?;
        }
        if let (Some(name), None) = (asked.image, path) {
            return Err(format!(
                "it has no column {name:?} (data.image_column); its columns are {}",
                there()
            ));
        }
        if let (Some(name), None, true) = (asked.label, label, labelled) {
            return Err(format!(
                "it has no column {name:?} (data.label_column); its columns are {}",
                there()
            ));
        }
        let starts = self.cell(0, 0).is_some_and(|cell| is_picture(cell) || is_file(cell));
        if path.is_none() && !starts {
            // The first line names them in words of its own where the second has a picture and it has none.
            let pictures: Vec<usize> = self
                .cells(1)
                .enumerate()
                .filter(|(_, cell)| is_picture(cell))
                .map(|(at, _)| at)
                .collect();
            match pictures[..] {
                [at] if heads => {
                    path = Some(at);
                    if label.is_none() && self.width() == 2 {
                        label = Some(1 - at);
                    }
                }
                _ if label.is_some() => {
                    return Err(format!(
                        "its first line names a column of labels and none of paths; call that one {}, or name \
                         it with data.image_column; its columns are {}",
                        PATHS[0].join(", "),
                        there()
                    ));
                }
                _ => {}
            }
        }
        let between = self.between;
        let group = self.groups(asked, path.is_some())?;
        Ok(match path {
            Some(path) => Columns { between, path, label, group, named: true, names },
            None => {
                let label = (self.width() > 1).then_some(1);
                Columns { between, path: 0, label, group, named: false, names: Vec::new() }
            }
        })
    }

    /// The column of groups, where one is asked for.
    fn groups(&self, asked: Asked<'_>, named: bool) -> Result<Option<usize>, String> {
        let Some(name) = asked.group else { return Ok(None) };
        if !named {
            return Err(format!(
                "its first line names no columns, and one is asked for, {name:?} (data.group_column); name \
                 them, such as path,label,{name}"
            ));
        }
        self.cells(0).position(|cell| cell == name).map(Some).ok_or_else(|| {
            format!(
                "it has no column {name:?} (data.group_column); its columns are {}",
                self.cells(0).collect::<Vec<_>>().join(", ")
            )
        })
    }
}

/// Refuses several columns of labels, of which none is likelier than another.
fn check_one_of_labels(names: &[String]) -> Result<(), String> {
    let named = |name: &&str| ALIKE.iter().any(|known| name.eq_ignore_ascii_case(known));
    let of_labels: Vec<&str> = names.iter().map(String::as_str).filter(named).collect();
    if of_labels.len() < 2 {
        return Ok(());
    }
    Err(format!(
        "it has several columns of labels, {}; choose one with data.label_column",
        of_labels.join(", ")
    ))
}

/// Bytes of the comments before the table: lines that begin with `#` and name no picture. Of one that names columns,
/// the sign alone.
fn comments(text: &str, asked: Asked<'_>, is_file: &dyn Fn(&str) -> bool) -> usize {
    let mut start = 0;
    while let Some(rest) = text[start..].strip_prefix('#') {
        let line = rest.lines().next().unwrap_or_default();
        let cells =
            || line.split(|c: char| BETWEEN.iter().any(|b| char::from(*b) == c)).map(str::trim);
        let first = cells().next().unwrap_or_default();
        if is_picture(first) || is_file(&format!("#{first}")) {
            break;
        }
        let named = |cell: &str| {
            let known = PATHS.iter().flat_map(|names| names.iter());
            asked.image == Some(cell)
                || known.into_iter().any(|name| name.eq_ignore_ascii_case(cell))
        };
        if line.contains(|c: char| BETWEEN.iter().any(|b| char::from(*b) == c))
            && cells().any(named)
        {
            return start + 1 + rest.len() - rest.trim_start().len();
        }
        let Some(end) = text[start..].find(['\n', '\r']) else { break };
        start += end;
        start += text[start..].len() - text[start..].trim_start_matches(['\n', '\r']).len();
    }
    start
}

/// What a spreadsheet's first line, `sep=;`, says to stand between columns, and where the next begins.
fn spreadsheet(text: &str) -> Option<(u8, usize)> {
    let line = text.lines().next()?;
    let said = line.trim().trim_matches('"').strip_prefix("sep=")?;
    let between = *said.as_bytes().first().unwrap_or(&b'\t');
    let end = text.find(['\n', '\r'])?;
    let rest = &text[end..];
    Some((between, text.len() - rest.trim_start_matches(['\n', '\r']).len()))
}

/// The first two lines that are not empty.
fn first_lines(text: &str, between: u8) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(between)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let records = reader.records().map_while(Result::ok).take(2);
    records.map(|record| record.iter().map(|text| cell(text).trim().to_owned()).collect()).collect()
}

/// A cell's text: quotes after a blank are quotes too.
pub(super) fn cell(text: &str) -> &str {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(inner) if text.starts_with(' ') => inner,
        _ => text,
    }
}

/// Whether a cell is a path of a picture.
fn is_picture(cell: &str) -> bool {
    has_picture_extension(cell.trim().as_ref())
}
