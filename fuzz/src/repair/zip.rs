//! Zip archives as torch.save writes them: a directory of what is there.

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
const END: [u8; 4] = *b"PK\x05\x06";
const LOCAL_BYTES: usize = 30;

/// Writes the directory anew, from the headers of the entries. Files that are no zip stay.
pub fn zip(_: &[u8], changed: Vec<u8>) -> Vec<u8> {
    if !changed.starts_with(&LOCAL) {
        return changed;
    }
    let marks = |mark: [u8; 4]| {
        let windows = changed.windows(4).enumerate();
        windows.filter(move |(_, bytes)| *bytes == mark).map(|(at, _)| at)
    };
    let end = marks(CENTRAL).next().unwrap_or(changed.len());
    let starts: Vec<usize> = marks(LOCAL).filter(|&at| at < end).collect();
    let stops: Vec<usize> = marks(DESCRIPTOR).filter(|&at| at < end).collect();
    let (mut directory, mut count) = (Vec::new(), 0u16);
    for (index, &at) in starts.iter().enumerate() {
        let next = starts.get(index + 1).copied().unwrap_or(end);
        let next = stops.iter().copied().find(|&stop| stop > at && stop < next).unwrap_or(next);
        let Some(header) = changed.get(at..at + LOCAL_BYTES).filter(|_| at + LOCAL_BYTES <= next)
        else {
            continue;
        };
        let short =
            |field: usize| usize::from(u16::from_le_bytes([header[field], header[field + 1]]));
        let name = at + LOCAL_BYTES..at + LOCAL_BYTES + short(26);
        let Some(size) = next.checked_sub(name.end + short(28)) else { continue };
        directory.extend(CENTRAL);
        // Versions, flags, method, time and date, checksum: as the entry has them.
        directory.extend([0, 0]);
        directory.extend(&header[4..18]);
        directory.extend([(size as u32).to_le_bytes(); 2].as_flattened());
        directory.extend(&header[26..28]);
        // No extra field, no comment, the first disk, no attributes.
        directory.extend([0; 12]);
        directory.extend((at as u32).to_le_bytes());
        directory.extend(&changed[name]);
        count += 1;
    }
    let mut repaired = changed[..end].to_vec();
    repaired.extend(&directory);
    repaired.extend(END);
    repaired.extend([0; 4]);
    repaired.extend([count.to_le_bytes(); 2].as_flattened());
    repaired.extend((directory.len() as u32).to_le_bytes());
    repaired.extend((end as u32).to_le_bytes());
    repaired.extend([0; 2]);
    repaired
}
