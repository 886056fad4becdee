//! Results: text on standard output, files that are complete or absent.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fcmae_data::Skipped;
use fcmae_data::source::printable;
use fcmae_files::Unusable;
use fcmae_store::durable;
use fcmae_store::run::owner;
use fcmae_words::terminal::plain;
use image::RgbImage;

use crate::failure::{ReaderGone, Usage};

/// Writes to standard output at once.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => result.context("cannot write to standard output"),
    }
}

/// A value as indented JSON, with a line break at its end.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// A note on standard error. Nobody may be reading there, which is no reason to stop.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", plain(text));
}

/// How this program was called, for commands that can be copied from its output.
pub(crate) fn program() -> String {
    std::env::args_os().next().map_or("fcmae".to_owned(), |program| quoted(Path::new(&program)))
}

/// A path as a word of a shell's command: quoted only where it must be. Control characters and bytes that are no UTF-8
/// stand as `$'…'` has them, which bash, zsh and ksh read.
pub(crate) fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Ok(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
        _ => {
            let mut word = "$'".to_owned();
            let octal = |word: &mut String, bytes: &[u8]| {
                bytes.iter().for_each(|byte| word.push_str(&format!("\\{byte:03o}")));
            };
            for chunk in bytes.utf8_chunks() {
                for character in chunk.valid().chars() {
                    match character {
                        '\'' | '\\' => word.extend(['\\', character]),
                        _ if character.is_control() => {
                            octal(&mut word, character.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        _ => word.push(character),
                    }
                }
                octal(&mut word, chunk.invalid());
            }
            word + "'"
        }
    }
}

/// Refuses a path whose `~` no shell has replaced: it would be a folder of that name. `option` is the one that named it.
pub(crate) fn refuse_tilde(path: &Path, option: &str) -> Result<()> {
    let first = path.components().next().map(|part| part.as_os_str().to_owned());
    if first.is_none_or(|first| !first.as_encoded_bytes().starts_with(b"~")) {
        return Ok(());
    }
    let path = printable(path);
    let text = format!(
        "{option} {path} begins with a ~ that the shell did not replace, since it is quoted: write $HOME, or \
         leave out the quotes; a folder of that name is ./{path}"
    );
    Err(Usage(text).into())
}

/// Paths as arguments of a command that can be copied.
pub(crate) fn arguments(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| quoted(path)).collect::<Vec<_>>().join(" ")
}

/// Refuses to write over what a run keeps: its record, metrics, checkpoints, exports. `option` names the file that is
/// to be written.
pub(crate) fn refuse_own(file: &Path, option: &str) -> Result<()> {
    let own = with_those_beside(file).find_map(|file| Some((owner(&file)?, file)));
    let Some((run, file)) = own else { return Ok(()) };
    let (file, run) = (printable(&file), printable(&run));
    Err(Usage(format!(
        "{file} belongs to the run {run} and is not replaced; choose another {option}"
    ))
    .into())
}

/// A file, and those that are written and read with it: names and labels lie beside an .npy file.
fn with_those_beside(file: &Path) -> impl Iterator<Item = PathBuf> {
    let is_npy = file.extension().is_some_and(|ending| ending == "npy");
    let beside = ["csv", "json"].map(|ending| file.with_extension(ending));
    std::iter::once(file.to_owned()).chain(beside.into_iter().filter(move |_| is_npy))
}

/// Refuses a file that exists, and may not be replaced or is a run's own, before any work is done for it. `option` is
/// the one that named it.
pub(crate) fn refuse_existing(file: &Path, overwrite: bool, option: &str) -> Result<()> {
    refuse_own(file, option)?;
    refuse_present(file, overwrite, option)
}

/// The same of a file that may be a run's own.
pub(crate) fn refuse_present(file: &Path, overwrite: bool, option: &str) -> Result<()> {
    refuse_tilde(file, option)?;
    if file.is_dir() {
        return Err(Usage(format!("{} is a folder; give a file's name", printable(file))).into());
    }
    // A device or a pipe would be replaced by a file.
    if file.exists() && !file.is_file() {
        let text = format!("{} is not a regular file; give another {option}", printable(file));
        return Err(Usage(text).into());
    }
    if !overwrite && file.symlink_metadata().is_ok() {
        let text = format!("exists; choose another {option}, or replace it with --overwrite");
        return Err(Usage(format!("{} {text}", printable(file))).into());
    }
    Ok(())
}

/// Refuses to write over one of the files that are read, or into a folder of pictures in place of one of them.
/// `option` names the file that is to be written.
pub(crate) fn refuse_input(file: &Path, inputs: &[PathBuf], option: &str) -> Result<()> {
    let Ok(out) = file.canonicalize() else { return Ok(()) };
    let reads = |input: &PathBuf| {
        with_those_beside(input)
            .filter_map(|input| input.canonicalize().ok())
            .any(|input| out == input || (input.is_dir() && out.starts_with(&input)))
    };
    if inputs.iter().any(reads) {
        let text = format!("{} is read by this command; choose another {option}", printable(file));
        return Err(Usage(text).into());
    }
    Ok(())
}

/// Refuses a file that cannot be written as the result that `option` names: one with another ending, one that exists,
/// one of those that are read.
pub(crate) fn refuse_result(
    file: &Path,
    endings: &[&str],
    overwrite: bool,
    inputs: &[PathBuf],
    option: &str,
) -> Result<()> {
    refuse_own(file, option)?;
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if !endings.iter().any(|known| known.eq_ignore_ascii_case(ending)) {
        let endings: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
        let text = format!("{option} takes the name of a {} file", endings.join(" or "));
        return Err(Usage(format!("{}: {text}", printable(file))).into());
    }
    refuse_present(file, overwrite, option)?;
    refuse_input(file, inputs, option)
}

/// Whether two paths lead to one file, which need not exist yet.
pub(crate) fn same_place(one: &Path, other: &Path) -> bool {
    let [absolute, other_absolute] = [one, other].map(|path| std::path::absolute(path).ok());
    let real = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Some(folder.unwrap_or(Path::new(".")).canonicalize().ok()?.join(path.file_name()?))
    };
    absolute.is_some() && absolute == other_absolute
        || real(one).is_some_and(|place| real(other) == Some(place))
}

/// Refuses a path that is not there. `what` is what it was to be.
pub(crate) fn refuse_missing(path: &Path, what: &str) -> Result<()> {
    match path.exists() {
        true => Ok(()),
        false => Err(Usage(format!("{}: no such {what}; check the path", printable(path))).into()),
    }
}

/// For `map_err`: names the file that cannot be read.
pub(crate) fn cannot_read(file: &Path) -> impl FnOnce(Unusable) -> anyhow::Error {
    |error| {
        anyhow::Error::new(io::Error::from(error))
            .context(format!("cannot read {}", printable(file)))
    }
}

/// Notes the files that were left out, and why, by their reasons.
pub(crate) fn note_skipped(skipped: &[Skipped]) {
    for kind in Skipped::alike(skipped) {
        note(&kind.to_string());
    }
}

/// Creates the folders above a file.
pub(crate) fn create_parent(file: &Path) -> Result<()> {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::create_dir_all(parent)
            .with_context(|| format!("cannot create the folder {}", printable(parent))),
        _ => Ok(()),
    }
}

/// Creates the folder that a command fills, or takes an empty one.
pub(crate) fn new_folder(folder: &Path) -> Result<()> {
    refuse_tilde(folder, "--out")?;
    let cannot = |what: &str| format!("cannot {what} {}", printable(folder));
    if folder.is_dir() {
        let mut entries = fs::read_dir(folder).with_context(|| cannot("read"))?;
        if entries.next().is_some() {
            let text = "exists and is not empty; choose another --out, or remove it first";
            return Err(Usage(format!("{} {text}", printable(folder))).into());
        }
        return Ok(());
    }
    if folder.exists() {
        let text = "is a file; choose another --out";
        return Err(Usage(format!("{} {text}", printable(folder))).into());
    }
    fs::create_dir_all(folder).with_context(|| cannot("create"))
}

/// Writes a whole file, or leaves what was there.
pub(crate) fn write_file(file: &Path, bytes: &[u8]) -> Result<()> {
    durable::write_file(file, bytes.len() as u64, |out| out.write_all(bytes))?;
    Ok(())
}

/// As [`write_file`], with the folders above it.
pub(crate) fn write_result(file: &Path, bytes: &[u8]) -> Result<()> {
    create_parent(file)?;
    write_file(file, bytes)
}

/// Writes a picture that this program drew as a PNG file, whole or not at all.
pub(crate) fn write_png(file: &Path, picture: &RgbImage) -> Result<()> {
    write_file(file, &fcmae::inference::picture::drawn_png(picture)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell_where_needed() {
        assert_eq!(quoted(Path::new("runs/a-1.toml")), "runs/a-1.toml");
        assert_eq!(quoted(Path::new("my runs")), "'my runs'");
        assert_eq!(quoted(Path::new("it's")), "'it'\\''s'");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_a_quoted_path_as_it_is() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let names: [&[u8]; 8] = [
            b"plain/a-b_c.jpg",
            b"",
            b"o dd $HOME `x` \"q\" 's' \xc3\xa9;&",
            b"new\nline",
            b"tab\t'quote' \\back 1",
            b"no utf-8 \xff7",
            b"\x1b[31m\x7f0",
            "u\u{85}0".as_bytes(),
        ];
        for name in names {
            let word = quoted(Path::new(OsStr::from_bytes(name)));
            assert!(!word.contains(char::is_control), "{word:?}");
            let command = format!("printf %s {word}");
            let said = std::process::Command::new("bash").arg("-c").arg(command).output();
            assert_eq!(said.expect("bash is there").stdout, name, "{word}");
        }
    }

    #[test]
    fn a_tilde_that_no_shell_replaced_is_refused() {
        for path in ["~/runs/a", "~", "~me/a"] {
            let error = refuse_tilde(Path::new(path), "--out").expect_err(path);
            assert!(error.to_string().contains("$HOME"), "{error}");
        }
        for path in ["./~/a", "runs/~", "/a/~b", ""] {
            assert!(refuse_tilde(Path::new(path), "--out").is_ok(), "{path}");
        }
    }
}
