//! Changes to a file that know nothing of its format.

#![expect(
    clippy::ptr_arg,
    reason = "all changes are of one type, whether or not they keep the length"
)]

use crate::random::Random;

/// Longest file that is made, in bytes.
const LONGEST: usize = 256 << 10;

/// Numbers at the edges of types, signs and limits.
const EDGES: [u64; 24] = [
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    31,
    63,
    64,
    127,
    128,
    255,
    256,
    32_767,
    32_768,
    65_535,
    65_536,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x1_0000_0000,
    i64::MAX as u64,
    u64::MAX,
];

/// What a change may take from elsewhere.
struct Material<'a> {
    /// Another file of the format.
    other: &'a [u8],
    words: &'a [&'a [u8]],
}

type Change = fn(&mut Vec<u8>, &Material<'_>, &mut Random);

/// Those that keep the length come more than once: most formats say where their parts are.
const CHANGES: [Change; 18] = [
    flip_bit,
    flip_bit,
    set_byte,
    set_byte,
    set_number,
    set_number,
    add_to_number,
    add_to_number,
    change_length,
    change_length,
    swap_ranges,
    overwrite_with_other,
    overwrite_with_word,
    insert_word,
    remove_range,
    repeat_range,
    truncate,
    change_digits,
];

/// `base` with one to eight changes, more often with few. `other`: a file to take parts from; `words`: what stands in such
/// files.
pub fn mutated(base: &[u8], other: &[u8], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut bytes = base.to_vec();
    let most = random.below(4);
    for _ in 0..1 << random.below(most + 1) {
        random.one_of(&CHANGES)(&mut bytes, &Material { other, words }, random);
    }
    bytes.truncate(LONGEST);
    bytes
}

/// A place before `length`: anywhere, or near either end, where headers and directories are.
fn place(length: usize, random: &mut Random) -> usize {
    let near = |random: &mut Random| {
        let most = 1usize << random.below(length.max(1).ilog2() as usize + 1);
        random.below(most.min(length))
    };
    match random.below(3) {
        0 => random.below(length),
        1 => near(random),
        _ => length.saturating_sub(1 + near(random)),
    }
}

/// A range of a file of that length, more often short than long.
fn range(length: usize, random: &mut Random) -> std::ops::Range<usize> {
    let start = place(length, random);
    let most = 1usize << random.below((length - start).max(1).ilog2() as usize + 1);
    start..start + random.below(most + 1).min(length - start)
}

fn flip_bit(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let at = place(bytes.len(), random);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn set_byte(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let at = place(bytes.len(), random);
    if let Some(byte) = bytes.get_mut(at) {
        *byte = random.number() as u8;
    }
}

/// Where a number of so many bytes may stand, and whether its first byte is the highest.
fn number(bytes: &mut [u8], random: &mut Random) -> Option<(std::ops::Range<usize>, bool)> {
    let width = 1 << random.below(4);
    let last = bytes.len().checked_sub(width)?;
    let at = place(last + 1, random);
    Some((at..at + width, random.one_in(2)))
}

fn value(digits: &[u8], big_endian: bool) -> u64 {
    let join = |sum: u64, &digit: &u8| sum << 8 | u64::from(digit);
    if big_endian { digits.iter().fold(0, join) } else { digits.iter().rev().fold(0, join) }
}

fn put(digits: &mut [u8], value: u64, big_endian: bool) {
    let width = digits.len();
    digits.copy_from_slice(&value.to_le_bytes()[..width]);
    if big_endian {
        digits.reverse();
    }
}

fn set_number(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let new = *random.one_of(&EDGES);
    if let Some((at, big_endian)) = number(bytes, random) {
        put(&mut bytes[at], new, big_endian);
    }
}

fn add_to_number(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let more = (random.below(32) as u64 + 1).wrapping_mul(if random.one_in(2) { 1 } else { !0 });
    if let Some((at, big_endian)) = number(bytes, random) {
        let old = value(&bytes[at.clone()], big_endian);
        put(&mut bytes[at], old.wrapping_add(more), big_endian);
    }
}

/// Changes a number that may be a length or a place: one that is at most that of the file.
fn change_length(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let length = bytes.len() as u64;
    for _ in 0..32 {
        let Some((at, big_endian)) = number(bytes, random) else { return };
        let old = value(&bytes[at.clone()], big_endian);
        if at.len() == 1 || old == 0 || old > length {
            continue;
        }
        let new = match random.below(7) {
            0 => old + 1,
            1 => old - 1,
            2 => old * 2,
            3 => old / 2,
            4 => length,
            5 => length - old,
            _ => *random.one_of(&EDGES),
        };
        return put(&mut bytes[at], new, big_endian);
    }
}

/// Exchanges two ranges of the same length, such as two lengths.
fn swap_ranges(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let width = 1 << random.below(6);
    let Some(last) = bytes.len().checked_sub(width) else { return };
    let (one, two) = (place(last + 1, random), place(last + 1, random));
    for step in 0..width {
        bytes.swap(one + step, two + step);
    }
}

/// Puts a range of another file over the same place of this one, or over any.
fn overwrite_with_other(bytes: &mut Vec<u8>, material: &Material<'_>, random: &mut Random) {
    let from = range(material.other.len(), random);
    let at = if random.one_in(2) { from.start } else { place(bytes.len(), random) };
    overwrite(bytes, at, &material.other[from]);
}

fn overwrite_with_word(bytes: &mut Vec<u8>, material: &Material<'_>, random: &mut Random) {
    if !material.words.is_empty() {
        let (at, word) = (place(bytes.len(), random), *random.one_of(material.words));
        overwrite(bytes, at, word);
    }
}

fn overwrite(bytes: &mut [u8], at: usize, new: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(new) {
        *byte = *new;
    }
}

fn insert_word(bytes: &mut Vec<u8>, material: &Material<'_>, random: &mut Random) {
    if !material.words.is_empty() {
        let at = place(bytes.len(), random);
        bytes.splice(at..at, random.one_of(material.words).iter().copied());
    }
}

fn remove_range(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    bytes.drain(range(bytes.len(), random));
}

/// Puts a range in once more, there or elsewhere; a short one also many times.
fn repeat_range(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let from = range(bytes.len(), random);
    let at = if random.one_in(2) { from.end } else { place(bytes.len(), random) };
    let times = if random.one_in(8) { 1 << random.below(10) } else { 1 };
    let times = times.min(LONGEST / from.len().max(1));
    let copy = bytes[from].repeat(times);
    bytes.splice(at..at, copy);
}

fn truncate(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let length = place(bytes.len(), random);
    bytes.truncate(length);
}

/// Puts another number in the place of one that is written in decimal digits.
fn change_digits(bytes: &mut Vec<u8>, _: &Material<'_>, random: &mut Random) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let from = place(bytes.len(), random);
    let Some(start) = bytes.iter().skip(from).position(is_digit).map(|at| from + at) else {
        return;
    };
    let length = bytes[start..].iter().take_while(|byte| is_digit(byte)).count();
    let new = match random.below(6) {
        0 => "-1".to_owned(),
        1 => "1e400".to_owned(),
        2 => "0.5".to_owned(),
        3 => format!("{:?}", f64::from_bits(random.number())),
        4 => random.below(100).to_string(),
        _ => random.one_of(&EDGES).to_string(),
    };
    bytes.splice(start..start + length, new.into_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_file_and_others_make_others() {
        let base: Vec<u8> = (0..200).collect();
        let file = |seed| mutated(&base, b"other", &[b"word"], &mut Random::new(seed));
        let files: std::collections::HashSet<_> = (0..1000).map(file).collect();
        assert_eq!(file(7), file(7));
        assert!(files.len() > 750, "{} of 1000 files are different", files.len());
        let same_length = files.iter().filter(|file| file.len() == base.len()).count();
        assert!((200..750).contains(&same_length), "{same_length} of 1000 have the old length");
    }

    #[test]
    fn nothing_is_too_short_to_be_changed() {
        for length in 0..4 {
            for seed in 0..10_000 {
                mutated(&vec![b'1'; length], &[], &[], &mut Random::new(seed));
            }
        }
    }
}
