//! The files that torch.save wrote before 1.6: five pickles one after the other (a magic number, a
//! version, facts of the machine, the object, the keys of its storages), then each storage's length
//! and values.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use super::flaw::{Flaw, shown};
use super::pickle::{self, MAX_PICKLE_BYTES, Pickle, Value};
use super::trouble::Trouble;

/// The magic number as a pickle holds it: `LONG1`, its length, ten bytes.
pub(super) const MAGIC: [u8; 12] =
    [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const VERSION: i64 = 1001;

/// As much of the file as its pickles may take.
pub(super) fn beginning(file: &mut (impl Read + Seek)) -> Result<Vec<u8>, std::io::Error> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(MAX_PICKLE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The parts that are needed.
pub(super) struct Parts<'a> {
    pub(super) object: Pickle<'a>,
    /// Where the values of the object's storages lie in the file.
    pub(super) places: Vec<Option<Range<u64>>>,
}

pub(super) fn open<'a>(
    file: &mut (impl Read + Seek),
    length: u64,
    bytes: &'a [u8],
) -> Result<Parts<'a>, Trouble> {
    let magic = pickle::read(bytes, 0)?;
    let version = pickle::read(bytes, magic.end)?;
    if version.root != Value::Int(VERSION) {
        return Err(Flaw::Legacy("its version is none that PyTorch wrote").into());
    }
    let machine = pickle::read(bytes, version.end)?;
    match machine.get(machine.root, "little_endian") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(Flaw::BigEndian.into()),
        _ => return Err(Flaw::Legacy("it does not say its byte order").into()),
    }
    let object = pickle::read(bytes, machine.end)?;
    let keys = pickle::read(bytes, object.end)?;
    let Some(list) = keys.list(keys.root) else {
        return Err(Flaw::Legacy("it has no list of storages").into());
    };
    let places = locate(file, length, &object, list, keys.end as u64)?;
    Ok(Parts { object, places })
}

/// Walks the storages in the order of `keys`.
fn locate(
    file: &mut (impl Read + Seek),
    length: u64,
    object: &Pickle,
    keys: &[Value],
    start: u64,
) -> Result<Vec<Option<Range<u64>>>, Trouble> {
    let numbers = object.storages.iter().enumerate();
    let numbers: HashMap<_, _> = numbers.map(|(i, s)| (s.key, i)).collect();
    let mut places = vec![None; object.storages.len()];
    let mut seen = HashSet::new();
    let mut at = start;
    for key in keys {
        let number = match key {
            Value::Text(key) if seen.insert(*key) => numbers.get(key),
            _ => None,
        };
        let Some(&number) = number else {
            return Err(Flaw::Legacy("its list of storages is not that of its object").into());
        };
        let storage = object.storages[number];
        let cut = || Flaw::Storage { key: shown(storage.key) };
        let values = at.checked_add(8).filter(|&values| values <= length).ok_or_else(cut)?;
        let mut claimed = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut claimed)?;
        if u64::from_le_bytes(claimed) != storage.length {
            return Err(cut().into());
        }
        let end = storage.bytes().and_then(|bytes| values.checked_add(bytes));
        at = end.filter(|&end| end <= length).ok_or_else(cut)?;
        places[number] = Some(values..at);
    }
    Ok(places)
}
