//! The text of a list, in whatever encoding.

/// The text of a list's bytes, without a mark of its encoding. `Err` says why it is none.
pub(super) fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
        return Err(
            "it is a spreadsheet, or another archive, whatever its name says; save it as CSV"
                .to_owned(),
        );
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(
            "it is a pointer of Git LFS: fetch the file itself, with git lfs pull".to_owned()
        );
    }
    let bytes = match bytes.as_slice() {
        [0xEF, 0xBB, 0xBF, rest @ ..] => rest.to_vec(),
        [0xFF, 0xFE, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => bytes,
    };
    if bytes.contains(&0) {
        return Err(
            "it holds zero bytes, as UTF-16 without a mark does; save it as UTF-8".to_owned()
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        format!("line {line} is not UTF-8 text; save it as UTF-8")
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text: Result<String, _> =
        char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("it is damaged as UTF-16; save it as UTF-8".to_owned()),
    }
}
