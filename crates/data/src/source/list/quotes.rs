//! Quoted fields that span lines: those that somebody forgot to close take the lines below them for one field.

/// A quoted field of a record that spans lines, or that the text ends in.
pub(super) struct Spanning<'a> {
    /// Line breaks before it.
    pub(super) before: u64,
    /// The lines that it takes, but for the one that it begins in.
    pub(super) lines: Vec<&'a str>,
    /// Whether a quote closes it, and what stands between columns, or nothing, follows.
    pub(super) closed: bool,
}

/// The first such field of a record, which is given as it is written.
pub(super) fn spanning(record: &str, between: u8) -> Option<Spanning<'_>> {
    let bytes = record.as_bytes();
    let is_end = |byte: &u8| *byte == between || *byte == b'\n' || *byte == b'\r';
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'"' {
            // A quote within a field is a quote.
            at += bytes[at..].iter().position(is_end).map_or(bytes.len() - at, |end| end + 1);
            continue;
        }
        let (start, mut end) = (at + 1, at + 1);
        let closing = loop {
            match bytes[end..].iter().position(|byte| *byte == b'"') {
                None => break None,
                Some(quote) if bytes.get(end + quote + 1) == Some(&b'"') => end += quote + 2,
                Some(quote) => break Some(end + quote),
            }
        };
        let inner = &record[start..closing.unwrap_or(bytes.len())];
        let rest = closing.map_or("", |quote| &record[quote + 1..]);
        let after = rest.trim_start_matches(' ').as_bytes().first();
        if closing.is_none() || inner.contains(['\n', '\r']) {
            let closed = closing.is_some() && after.is_none_or(is_end);
            // With what stands behind the quote: it may be a line's last column.
            let whole = &record[start..];
            return Some(Spanning {
                before: record[..start].matches('\n').count() as u64,
                lines: whole.lines().skip(1).collect(),
                closed,
            });
        }
        at = bytes.len() - rest.len();
        at += bytes[at..].iter().position(is_end).map_or(bytes.len() - at, |end| end + 1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_spans_lines_is_found_and_whether_it_is_closed() {
        for (record, found) in [
            ("a,b,c\n", None),
            ("a,\"b \"\"c\"\"\",d\n", None),
            ("a,5\" pipe,d\n", None),
            ("a,\"b\nc\",d\n", Some((0, 1, true))),
            ("a,\"b\nc\"\n", Some((0, 1, true))),
            ("\na,\"b\"\"\nc\" \n", Some((1, 1, true))),
            ("a,\"b\nc,\"d\n", Some((0, 1, false))),
            ("a,\"b\nc,d\ne,f\n", Some((0, 2, false))),
            ("a,\"b", Some((0, 0, false))),
        ] {
            let of = spanning(record, b',').map(|of| (of.before, of.lines.len(), of.closed));
            assert_eq!(of, found, "{record:?}");
        }
    }
}
