//! Pictures of a run, to be laid into the page.

use std::path::{Component, Path};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fcmae_files::Limit;
use fcmae_store::run::files::FIGURES;

use crate::files::{self, LEFT_OUT};

/// Of a picture.
const LIMIT: Limit = Limit { bytes: 8 << 20, remedy: LEFT_OUT };

/// Most bytes of pictures in one page: it is to be mailed, and opened on a telephone.
const MOST_BYTES: usize = 24 << 20;

/// Most reconstructions: the first, the newest, and some between.
const MOST_STAGES: usize = 5;

/// A PNG picture.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// `data:image/png;base64,…`
    pub(crate) uri: String,
    /// Height and width in pixels.
    pub(crate) size: [u32; 2],
}

/// What the network made of hidden patches after so many updates.
#[derive(Clone, Debug)]
pub(crate) struct Reconstruction {
    pub(crate) step: u64,
    pub(crate) picture: Picture,
}

/// A run's pictures as far as they fit into a page.
#[derive(Debug)]
pub(crate) struct Album<'a> {
    run: &'a Path,
    bytes_left: usize,
}

impl<'a> Album<'a> {
    pub(crate) fn new(run: &'a Path) -> Self {
        Self { run, bytes_left: MOST_BYTES }
    }

    /// A picture by its name in the run's folder; `None` where there is none.
    ///
    /// # Errors
    /// Why it cannot be shown, to follow its name.
    pub(crate) fn picture(&mut self, name: &str) -> Result<Option<Picture>, String> {
        let name = Path::new(name);
        // The page is given to others: nothing outside the run may get into it.
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err("lies outside the run and is left out".to_owned());
        }
        let Some(bytes) = files::bytes(&self.run.join(name), LIMIT)? else { return Ok(None) };
        let size = png_size(&bytes).ok_or("is not a PNG picture")?;
        self.bytes_left = self.bytes_left.checked_sub(bytes.len()).ok_or_else(|| {
            format!("is left out: a page holds {} MiB of pictures", MOST_BYTES >> 20)
        })?;
        Ok(Some(Picture { uri: format!("data:image/png;base64,{}", STANDARD.encode(bytes)), size }))
    }

    /// `figures/reconstruction-step-00001234.png`: the first, some between, and the newest, in this
    /// order. What cannot be shown is noted.
    pub(crate) fn reconstructions(&mut self, notes: &mut Vec<String>) -> Vec<Reconstruction> {
        let mut steps = self.steps();
        steps.sort_unstable();
        // The newest comes first, so that it is shown where not all fit.
        let mut chosen: Vec<Reconstruction> = evenly(steps.len(), MOST_STAGES)
            .rev()
            .filter_map(|at| {
                let (step, name) = &steps[at];
                let picture = noted(notes, name, self.picture(name))??;
                Some(Reconstruction { step: *step, picture })
            })
            .collect();
        chosen.reverse();
        chosen
    }

    fn steps(&self) -> Vec<(u64, String)> {
        let entries = std::fs::read_dir(self.run.join(FIGURES)).into_iter().flatten();
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        names
            .filter_map(|name| {
                let name = name.to_str()?;
                let step = name.strip_prefix("reconstruction-step-")?.strip_suffix(".png")?;
                Some((step.parse().ok()?, format!("{FIGURES}/{name}")))
            })
            .collect()
    }
}

/// What was read, or `None` and a note of why not.
pub(crate) fn noted<T>(notes: &mut Vec<String>, name: &str, read: Result<T, String>) -> Option<T> {
    read.map_err(|reason| notes.push(format!("{name} {reason}"))).ok()
}

/// At most `most` of the numbers below `count`, with the first and the last.
fn evenly(count: usize, most: usize) -> impl DoubleEndedIterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |i| if taken < 2 { 0 } else { i * (count - 1) / (taken - 1) })
}

/// Height and width from a PNG's header.
fn png_size(bytes: &[u8]) -> Option<[u32; 2]> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    Some([number(4)?, number(0)?])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_and_the_last_are_among_the_chosen() {
        let chosen = |count| evenly(count, 5).collect::<Vec<_>>();
        assert_eq!(chosen(0), [0; 0]);
        assert_eq!(chosen(1), [0]);
        assert_eq!(chosen(2), [0, 1]);
        assert_eq!(chosen(5), [0, 1, 2, 3, 4]);
        assert_eq!(chosen(41), [0, 10, 20, 30, 40]);
    }

    #[test]
    fn a_picture_outside_the_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir(&run).unwrap();
        std::fs::write(folder.path().join("secret.png"), tiny_png()).unwrap();
        for name in ["../secret.png", folder.path().join("secret.png").to_str().unwrap()] {
            let reason = Album::new(&run).picture(name).unwrap_err();
            assert!(reason.contains("outside the run"), "{reason}");
        }
    }

    #[test]
    fn what_is_no_png_is_refused_and_what_is_not_there_is_none() {
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join("a.png"), "<svg onload='alert(1)'/>").unwrap();
        std::fs::write(run.path().join("b.png"), tiny_png()).unwrap();
        let mut album = Album::new(run.path());
        assert!(album.picture("a.png").unwrap_err().contains("not a PNG"));
        assert!(album.picture("c.png").unwrap().is_none());
        let picture = album.picture("b.png").unwrap().unwrap();
        assert_eq!(picture.size, [2, 3]);
        // As Python's base64 writes it.
        assert!(picture.uri.starts_with("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAMAAAAC"));
        assert!(picture.uri.len() > 100, "{}", picture.uri);
    }

    /// Three pixels wide, two high, as Pillow writes it.
    fn tiny_png() -> Vec<u8> {
        STANDARD.decode(TINY_PNG).unwrap()
    }

    const TINY_PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAF0lEQVR4nGNkYDgRwMAQwMDAwlDBAAEA\
        GmgB5hF+dKUAAAAASUVORK5CYII=";
}
