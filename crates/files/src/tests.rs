#![allow(clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use super::*;

const TEN: Limit = Limit { bytes: 10, remedy: "split it" };

/// A file of these bytes, and the folder that holds it.
fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, content).unwrap();
    (folder, path)
}

/// What is said of a file by each way to read it up to a limit.
fn refused(path: &Path) -> [String; 3] {
    [
        within(path, TEN).map(drop).unwrap_err(),
        bytes(path, TEN).map(drop).unwrap_err(),
        text(path, TEN).map(drop).unwrap_err(),
    ]
    .map(|error| error.to_string())
}

/// What is said of what cannot even be opened.
fn not_opened(path: &Path) -> String {
    let said = open(path).unwrap_err().to_string();
    assert_eq!(refused(path), [said.as_str(); 3]);
    said
}

#[test]
fn a_file_of_the_limits_length_is_read_by_every_way() {
    let (_folder, path) = file("0123456ä\n".as_bytes());
    assert_eq!(open(&path).unwrap().1.len(), 10);
    assert_eq!(bytes(&path, TEN).unwrap(), "0123456ä\n".as_bytes());
    assert_eq!(text(&path, TEN).unwrap(), "0123456ä\n");
    let mut read = Vec::new();
    within(&path, TEN).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, "0123456ä\n".as_bytes());
}

#[test]
fn a_longer_file_is_refused_with_its_length_the_limit_and_the_remedy() {
    let (_folder, path) = file(b"0123456789a");
    assert_eq!(refused(&path), ["has 11 bytes, at most 10 are read; split it"; 3]);
    assert_eq!(open(&path).unwrap().1.len(), 11);
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(not_opened(folder.path()), "is not a file");
    if cfg!(unix) {
        assert_eq!(not_opened(Path::new("/dev/zero")), "is not a file");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(not_opened(&pipe), "is not a file");
    }
}

#[test]
fn a_file_that_grows_while_it_is_read_is_refused_at_the_limit() {
    let (_folder, path) = file(b"0123");
    let mut reader = within(&path, TEN).unwrap();
    let mut start = [0; 4];
    reader.read_exact(&mut start).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[b'x'; 7]).unwrap();
    let mut rest = Vec::new();
    let error = reader.read_to_end(&mut rest).unwrap_err();
    let said =
        "grew while it was read, and has more than the 10 bytes that are read at most; split it";
    assert_eq!(error.to_string(), format!("it {said}"));
    assert!(rest.len() <= 6, "{} bytes", rest.len());

    // As if it had been a byte long when it was opened; without end, so that all of it would never be read.
    let error = read_whole(io::repeat(b'x'), 1, TEN).unwrap_err();
    assert_eq!(error.to_string(), said);
    // Growth up to the limit is none of the reader's business.
    assert_eq!(read_whole(&b"0123456789"[..], 1, TEN).unwrap(), b"0123456789");
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    for (content, place) in [
        (&b"\xff"[..], "byte 1 of line 1"),
        (b"a\nbc\xffd", "byte 3 of line 2"),
        // A character that is cut short.
        (b"a\n\n\xc3", "byte 1 of line 3"),
    ] {
        let (_folder, path) = file(content);
        let said = text(&path, TEN).unwrap_err().to_string();
        assert_eq!(said, format!("is not UTF-8 text from {place} on; save it as UTF-8"));
    }
}

#[test]
fn a_missing_file_is_told_from_an_unusable_one() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert!(if_there(text(&missing, TEN)).unwrap().is_none());
    assert!(not_opened(&missing).starts_with("cannot be read: "));
    assert!(matches!(if_there(bytes(folder.path(), TEN)), Err(Unusable::NotAFile)));
    let (_folder, path) = file(b"a");
    assert_eq!(if_there(text(&path, TEN)).unwrap().as_deref(), Some("a"));
}

#[test]
fn as_an_error_of_the_system_it_says_the_same() {
    let (_folder, path) = file(b"0123456789a");
    let error = io::Error::from(bytes(&path, TEN).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    assert_eq!(error.to_string(), "it has 11 bytes, at most 10 are read; split it");
    let error = io::Error::from(open(path.parent().unwrap()).unwrap_err());
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::InvalidInput, "it is not a file")
    );
    let error = io::Error::from(open(&path.join("below")).unwrap_err());
    assert!(error.raw_os_error().is_some(), "{error}");
}
