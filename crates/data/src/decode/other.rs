//! What a file is that is no picture of the formats that are read, by its first bytes.

use crate::error::DecodeError;

const CONVERT: &str = "convert it to JPEG or PNG";
const CONVERT_DEEP: &str = "convert it to PNG or TIFF";
const LEAVE_OUT: &str = "leave it out";

/// Why it is no picture.
pub(super) fn what(bytes: &[u8]) -> DecodeError {
    match name(bytes) {
        Some((what, remedy)) => DecodeError::Other { what, remedy },
        None => DecodeError::UnknownFormat,
    }
}

fn name(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let has = |at: usize, word: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(word));
    if has(4, b"ftyp") {
        return Some(brand(bytes));
    }
    let signs: [(usize, &[u8], &str, &str); 32] = [
        (
            0,
            b"version https://git-lfs",
            "a pointer of Git LFS, not the file itself",
            "run git lfs pull",
        ),
        (
            0,
            b"version https://hawser",
            "a pointer of Git LFS, not the file itself",
            "run git lfs pull",
        ),
        (0, b"%PDF", "a PDF document", "save its pages as PNG"),
        (0, b"\0\0\0\x0CjP  \r\n\x87\n", "a JPEG 2000 picture", CONVERT_DEEP),
        (0, b"\xFF\x4F\xFF\x51", "a JPEG 2000 picture", CONVERT_DEEP),
        (0, b"\0\0\0\x0CJXL \r\n\x87\n", "a JPEG XL picture", CONVERT),
        (0, b"\xFF\x0A", "a JPEG XL picture", CONVERT),
        (0, b"\xFF\xD8\xFF\xF7", "a JPEG-LS picture", CONVERT_DEEP),
        (128, b"DICM", "a DICOM file", CONVERT_DEEP),
        (0, b"\x93NUMPY", "an array of NumPy (.npy)", CONVERT_DEEP),
        (0, b"PK\x03\x04", "a ZIP file (.zip, .npz, .docx)", "unpack it"),
        (0, b"PK\x05\x06", "an empty ZIP file", LEAVE_OUT),
        (0, b"\x1F\x8B", "a gzip file", "unpack it"),
        (0, b"BZh", "a bzip2 file", "unpack it"),
        (0, b"\xFD7zXZ\0", "an xz file", "unpack it"),
        (0, b"\x28\xB5\x2F\xFD", "a Zstandard file", "unpack it"),
        (0, b"7z\xBC\xAF\x27\x1C", "a 7z archive", "unpack it"),
        (0, b"Rar!\x1A\x07", "a RAR archive", "unpack it"),
        (
            257,
            b"ustar",
            "a tar archive",
            "unpack it; where pictures are given by --data, archives whose names end in .tar are read",
        ),
        (0, b"8BPS", "a Photoshop document", CONVERT),
        (0, b"gimp xcf", "a GIMP document", CONVERT),
        (0, b"\x76\x2F\x31\x01", "an OpenEXR picture", CONVERT_DEEP),
        (0, b"#?RADIANCE", "a Radiance picture (.hdr)", CONVERT_DEEP),
        (0, b"\x1A\x45\xDF\xA3", "a video (.webm, .mkv)", "save its frames as pictures"),
        (0, b"\0\0\x01\xBA", "a video (.mpg)", "save its frames as pictures"),
        (0, b"\0\0\x01\x00", "an icon (.ico)", CONVERT),
        (0, b"\x89HDF\r\n\x1A\n", "an HDF5 file", "save its pictures as TIFF"),
        (0, b"CDF\x01", "a NetCDF file", "save its pictures as TIFF"),
        (0, b"SIMPLE  =", "a FITS file", CONVERT_DEEP),
        (0, b"SQLite format 3", "a database of SQLite", LEAVE_OUT),
        (0, b"PAR1", "a Parquet file", "give it to --data under a name that ends in .parquet"),
        (0, b"DDS ", "a DirectDraw texture (.dds)", CONVERT),
    ];
    if let Some(&(.., what, remedy)) = signs.iter().find(|(at, sign, ..)| has(*at, sign)) {
        return Some((what, remedy));
    }
    if has(0, b"RIFF") && has(8, b"AVI ") {
        return Some(("a video (.avi)", "save its frames as pictures"));
    }
    if has(0, b"P")
        && bytes.get(1).is_some_and(|kind| (b'1'..=b'7').contains(kind))
        && bytes.get(2).is_some_and(u8::is_ascii_whitespace)
    {
        return Some(("a PNM picture (.ppm, .pgm, .pbm)", CONVERT_DEEP));
    }
    text(bytes)
}

/// ISO media files: pictures and videos, by their brands.
fn brand(bytes: &[u8]) -> (&'static str, &'static str) {
    // The main one, a version, and others that it is like; as many as the box has.
    let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let end = length.clamp(12, 256).min(bytes.len());
    let brands = || bytes[8..end.max(8)].chunks_exact(4);
    let any = |names: &[&[u8; 4]]| brands().any(|brand| names.iter().any(|name| brand == *name));
    if any(&[b"avif", b"avis"]) {
        ("an AVIF picture", CONVERT)
    } else if any(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        ("a HEIC picture", CONVERT)
    } else if any(&[b"crx "]) {
        ("a camera's raw picture (.cr3)", "develop it to JPEG or TIFF")
    } else if any(&[b"jp2 ", b"jpx "]) {
        ("a JPEG 2000 picture", CONVERT_DEEP)
    } else {
        ("a video (.mp4, .mov)", "save its frames as pictures")
    }
}

/// Markup and other text.
fn text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let head = &bytes[..bytes.len().min(1024)];
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let head = head.trim_ascii_start().to_ascii_lowercase();
    let holds = |word: &[u8]| head.windows(word.len()).any(|part| part == word);
    if head.starts_with(b"<svg") || head.starts_with(b"<?xml") && holds(b"<svg") {
        return Some(("an SVG drawing", CONVERT));
    }
    if head.starts_with(b"<") {
        let page = [&b"<!doctype html"[..], b"<html", b"<head", b"<body", b"<script", b"<title"];
        return Some(if page.iter().any(|start| holds(start)) {
            ("a web page, which a server gave instead of the picture", "download it again")
        } else if head.starts_with(b"<?xml")
            || head.starts_with(b"<!")
            || holds(b"</")
            || holds(b"/>")
        {
            ("XML text, which some servers give instead of the picture", "download it again")
        } else {
            return None;
        });
    }
    if head.starts_with(b"{\"") || head.starts_with(b"{\n") || head.starts_with(b"[{") {
        return Some((
            "JSON text, which some servers give instead of the picture",
            "download it again",
        ));
    }
    if head.len() >= 16 && head.iter().all(|&byte| byte == 0) {
        return Some(("zeros alone, as a broken download or disk leaves them", "fetch it again"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
        let avif = b"\0\0\0\x1Cftypmif1\0\0\0\0mif1avifmiaf";
        let mp4 = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42";
        let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n";
        let dicom = [&[0; 128][..], b"DICM"].concat();
        for (bytes, expected) in [
            (&heic[..], "a HEIC picture"),
            (avif, "an AVIF picture"),
            (mp4, "a video"),
            (lfs, "run git lfs pull"),
            (b"<!DOCTYPE html>\n<html><head>", "a web page"),
            (b"\xEF\xBB\xBF \n<HTML lang=en>", "a web page"),
            (b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code>", "XML text"),
            (b"<?xml version=\"1.0\"?>\n<svg width=\"1\">", "an SVG drawing"),
            (b"P6\n2 2\n255\n", "a PNM picture"),
            (b"\x93NUMPY\x01\0", "NumPy"),
            (b"\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "JPEG 2000"),
            (b"\xFF\x0A\x01\x02", "JPEG XL"),
            (&dicom, "DICOM"),
            (b"RIFF\0\0\0\0AVI LIST", "a video (.avi)"),
            (b"%PDF-1.7", "a PDF document"),
            (&[0; 64], "zeros"),
        ] {
            let text = what(bytes).to_string();
            assert!(text.contains(expected), "{expected}: {text}");
        }
        for bytes in [&b"this is no picture"[..], b"\0\0\0\x08ftyp", b"P6", b"<", b"\xFF"] {
            let text = what(bytes).to_string();
            assert!(bytes.starts_with(b"\0") || text.starts_with("not a picture"), "{text}");
        }
    }
}
