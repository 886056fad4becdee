//! What stands in files, as text and in messages.

/// Bytes as text: those that are no UTF-8 are escaped, as `\xff`.
pub(super) fn legible(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let chunks = bytes.utf8_chunks().flat_map(|chunk| {
                let escaped = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
                std::iter::once(chunk.valid().to_owned()).chain(escaped)
            });
            chunks.collect()
        }
    }
}

/// Text for a message: quoted, on one line, and not too long.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}
