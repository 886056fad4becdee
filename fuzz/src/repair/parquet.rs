//! Parquet files: the length of the footer.

const MAGIC: &[u8] = b"PAR1";
/// The footer's length and the mark behind it.
const TAIL: usize = 8;

/// Gives the footer its length, where the change lies in it.
pub fn parquet(base: &[u8], mut changed: Vec<u8>) -> Vec<u8> {
    let footer = |bytes: &[u8]| {
        let tail = bytes.last_chunk::<TAIL>().filter(|tail| tail.ends_with(MAGIC))?;
        bytes
            .len()
            .checked_sub(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize + TAIL)
    };
    let Some(start) = footer(base) else { return changed };
    let alike = base.iter().zip(&changed).take_while(|(old, new)| old == new).count();
    if alike >= start && changed.ends_with(MAGIC) && changed.len() >= start + TAIL {
        let at = changed.len() - TAIL;
        changed[at..at + 4].copy_from_slice(&((at - start) as u32).to_le_bytes());
    }
    changed
}
