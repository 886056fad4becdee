//! How many pages a TIFF file has, and what they are.

use super::directory::Directory;
use super::page::{DESCRIPTION, Header, Page};
use crate::channels::MAX_CHANNELS;
use crate::remark::{Axes, Remark};

/// The pages of a file beside reduced copies, masks and thumbnails.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    /// Numbers of the pages that are like the first, which is one of them.
    pub(super) alike: Vec<usize>,
    /// Whether others are beside them.
    pub(super) mixed: bool,
    /// Pages that there are: more than have a directory where a description says so.
    pub(super) pages: u64,
    pub(super) axes: Axes,
}

impl Stack {
    pub(super) fn read(bytes: &[u8], first: &Page) -> Self {
        let (mut alike, mut others) = (vec![0], 0);
        for (number, directory) in Directory::all(bytes).enumerate().skip(1) {
            let Header { page, beside, .. } = Header::read(&directory);
            // Pyramids are not always called so: each level has a quarter of the pixels or less.
            if beside || page != *first && page.pixels().saturating_mul(2) <= first.pixels() {
                continue;
            }
            if page == *first {
                alike.push(number);
            } else {
                others += 1;
            }
        }
        let found = alike.len() as u64 + others;
        let described = Directory::all(bytes)
            .next()
            .and_then(|directory| directory.find(DESCRIPTION))
            .and_then(|entry| Description::read(entry.raw(), first));
        let Description { pages, axes } = described.unwrap_or_default();
        let pages = pages.max(found);
        // What does not fit the pages is of other files too, or of none.
        let fits = axes.product() == Some(pages);
        let axes = if fits { axes } else { Axes::default() };
        Self { alike, mixed: others > 0, pages, axes }
    }

    /// How many channels the pages can be taken for.
    pub(super) fn channels(&self, page: &Page) -> Option<u32> {
        let alike = u32::try_from(self.alike.len()).unwrap_or(u32::MAX);
        (page.samples == 1 && !self.mixed && alike > 1).then_some(alike)
    }

    /// The same, where the pages may be meant to be channels, and are not too many.
    pub(super) fn useful_channels(&self, page: &Page) -> Option<u32> {
        let only_channels = self.axes.slices == 1 && self.axes.frames == 1;
        self.channels(page).filter(|&channels| channels <= MAX_CHANNELS && only_channels)
    }

    /// That the first page alone is used, where there are more.
    pub(super) fn remark(&self, page: &Page) -> Option<Remark> {
        let as_channels = self.useful_channels(page);
        let (of, axes) = (self.pages, self.axes);
        (of > 1).then_some(Remark::Pages { used: 1, of, axes, as_channels, as_pictures: true })
    }
}

/// The page that the others of a file are held to: the first that is no reduced copy and no mask.
pub(super) fn reference(headers: &[Header]) -> usize {
    headers.iter().position(|header| !header.beside).unwrap_or(0)
}

/// What ImageJ, OME or tifffile wrote of a stack.
#[derive(Default)]
pub(super) struct Description {
    /// 0 where it is not said.
    pub(super) pages: u64,
    axes: Axes,
}

impl Description {
    pub(super) fn read(text: &[u8], page: &Page) -> Option<Self> {
        // The description of a large set may be long, and it is told first.
        let text = String::from_utf8_lossy(&text[..text.len().min(1 << 16)]);
        if text.starts_with("ImageJ=") {
            return Some(Self::of_imagej(&text));
        }
        if text.starts_with("{\"shape\"") {
            return Self::of_tifffile(&text, page);
        }
        Self::of_ome(&text, page)
    }

    /// Lines of `name=number`.
    fn of_imagej(text: &str) -> Self {
        let number = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            let (_, value) = lines.find(|(key, _)| *key == name)?;
            value.trim().parse::<u64>().ok().filter(|&value| value > 0)
        };
        let axis = |name| number(name).unwrap_or(1);
        let axes =
            Axes { channels: axis("channels"), slices: axis("slices"), frames: axis("frames") };
        Self { pages: number("images").unwrap_or(0), axes }
    }

    /// `{"shape": [50, 48, 48], …}`: all of the file's values.
    fn of_tifffile(text: &str, page: &Page) -> Option<Self> {
        let list = text.split_once('[')?.1.split_once(']')?.0;
        let sides: Option<Vec<u64>> =
            list.split(',').map(|side| side.trim().parse().ok()).collect();
        let all = sides?.iter().try_fold(1u64, |product, &side| product.checked_mul(side))?;
        let one = page.pixels().checked_mul(page.samples.into())?;
        let pages = (one > 0 && all % one == 0).then(|| all / one)?;
        Some(Self { pages, axes: Axes::default() })
    }

    /// XML with an element `Pixels`.
    fn of_ome(text: &str, page: &Page) -> Option<Self> {
        if !text.contains("<OME") && !text.contains(":OME") {
            return None;
        }
        let at = text.find("<Pixels ").or_else(|| text.find(":Pixels "))?;
        let element = text[at..].split('>').next()?;
        let number = |name: &str| {
            let (_, rest) = element.split_once(&format!(" {name}="))?;
            let quote = rest.chars().next()?;
            rest.strip_prefix(quote)?
                .split(quote)
                .next()?
                .parse::<u64>()
                .ok()
                .filter(|&value| value > 0)
        };
        let channels = number("SizeC")? / u64::from(page.samples).max(1);
        let axes = Axes {
            channels: channels.max(1),
            slices: number("SizeZ").unwrap_or(1),
            frames: number("SizeT").unwrap_or(1),
        };
        // Its pages may be in other files: only those that are found count.
        Some(Self { pages: 0, axes })
    }
}
