//! PNG: the length and the checksum of each chunk.

/// Kinds by which the next chunk is found where a length is wrong.
const KINDS: [&[u8; 4]; 12] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"acTL",
    b"fcTL", b"fdAT",
];

const SIGNATURE: usize = 8;

/// Gives every chunk its length and checksum.
pub fn png(_: &[u8], mut changed: Vec<u8>) -> Vec<u8> {
    let mut at = SIGNATURE;
    while at + 12 <= changed.len() {
        let claimed = u32::from_be_bytes([0, 1, 2, 3].map(|i| changed[at + i])) as usize;
        let content = at + 8;
        let follows = |length: usize| {
            let next = content.saturating_add(length).saturating_add(4);
            next == changed.len() || changed.get(next..).is_some_and(begins)
        };
        let length = if follows(claimed) {
            claimed
        } else {
            (0..changed.len() - content - 3).find(|&length| follows(length)).unwrap_or(0)
        };
        let end = content + length;
        changed[at..at + 4].copy_from_slice(&(length as u32).to_be_bytes());
        let sum = crc32fast::hash(&changed[at + 4..end]);
        changed[end..end + 4].copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
    changed
}

fn begins(rest: &[u8]) -> bool {
    rest.get(4..8).is_some_and(|kind| KINDS.iter().any(|known| kind == known.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    #[test]
    fn a_longer_chunk_with_a_wrong_checksum_is_made_right() {
        let whole = corpus::file("crates/data/tests/fixtures/deep/grey16.png");
        assert_eq!(png(&whole, whole.clone()), whole);
        let mut changed = whole.clone();
        let data = whole.windows(4).position(|kind| kind == b"IDAT").expect("it has pixels");
        changed.splice(data + 10..data + 10, *b"more");
        let repaired = png(&whole, changed.clone());
        assert_eq!(repaired.len(), changed.len());
        assert_eq!(repaired[data - 1], whole[data - 1] + 4);
        assert_eq!(repaired[repaired.len() - 12..], whole[whole.len() - 12..]);
    }
}
