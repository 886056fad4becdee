//! What was noticed while a picture was decoded, and does not keep it from being used.

use std::fmt;

use crate::advice::{Advice, deep_channels};

/// Something about a picture that its user may not expect: what was left out, filled, or read in
/// another way than plain. Ordinary pictures have none.
///
/// Its text says what, and names the setting to change; [`told`](Self::told) is for readers who can change none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Remark {
    /// Of several pages or frames some are used.
    Pages {
        /// Pages used.
        used: u64,
        /// Pages of the file.
        of: u64,
        /// What the pages are, where the file tells it.
        axes: Axes,
        /// How many channels data.depth=deep can take the pages for, where it can.
        as_channels: Option<u32>,
        /// Whether data.pages=all can take each for a picture of its own.
        as_pictures: bool,
    },
    /// Channels beyond the colours are left out: infrared, say.
    Bands {
        /// Channels used.
        used: u32,
        /// Channels of the file.
        of: u32,
    },
    /// Values that the file declares to mean that there is no data, or hides with a mask.
    NoData {
        /// How many were filled.
        count: u64,
        /// Values of the picture.
        of: u64,
    },
    /// Values that are NaN, infinite or beyond ±10³⁰, and were filled as data.fill says.
    Filled {
        /// How many.
        count: u64,
        /// Values of the picture.
        of: u64,
    },
    /// Floats in 0…255 that were divided by 255.
    Scaled,
    /// Floats a little beyond 0…1 were clamped.
    Clamped {
        /// How many.
        count: u64,
        /// Values of the picture.
        of: u64,
    },
    /// Whole numbers of more than 8 bits that use little of what their kind can hold, and lose what is
    /// small in 8 bits.
    Range {
        /// Largest value of the picture, but for those beyond it.
        largest: u64,
        /// Largest value of its kind.
        of: u64,
        /// How many are larger: hot pixels, stars, a scale bar.
        beyond: u64,
        /// Values of the picture.
        values: u64,
    },
    /// A damaged file that was read nevertheless.
    Damaged {
        /// What is wrong with it.
        what: String,
    },
    /// Every pixel is transparent, so that the picture is white.
    Transparent,
    /// The colours are white as well as what is transparent, so that the picture is white.
    WhiteOnWhite,
    /// All pixels are of one colour.
    OneColour,
    /// All but a thousandth of the values are the smallest or the largest that there is.
    AtAnEnd {
        /// Whether it is the largest.
        largest: bool,
    },
    /// Many values are one number, apart from all others, as what has no data often is.
    Undeclared {
        /// The number, as it stands in the file.
        value: f64,
        /// How many are that.
        count: u64,
        /// Values of the picture.
        of: u64,
    },
    /// Floats of some files are 0 to 1, and of others go far beyond.
    MixedFloats {
        /// Of those of 0 to 1.
        low: f64,
        /// Of the others.
        high: f64,
        /// One of those of 0 to 1.
        example: String,
    },
    /// Files declare different scales or offsets for their values, which stand as they are.
    Scales {
        /// That of most files.
        most: String,
        /// Another.
        other: String,
    },
    /// Files of one kind of numbers have values many times as large as files of another: what each is called, and
    /// the largest value that the network is given of it.
    Mixed {
        /// Those of small values.
        low: (String, f64),
        /// Those of large ones.
        high: (String, f64),
    },
    /// Nearly all values of a picture, or of all, are within a few levels of the 256 of 8 bits.
    FewLevels {
        /// From the smallest to the largest.
        levels: u32,
        /// Whether the files have more than 8 bits, which are lost.
        deep: bool,
    },
}

/// Lengths of a stack's axes, as ImageJ or OME describe them. 1 where there is no such axis, or none is
/// told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes {
    /// Channels.
    pub channels: u64,
    /// Slices, in depth.
    pub slices: u64,
    /// Frames, in time.
    pub frames: u64,
}

impl Default for Axes {
    fn default() -> Self {
        Self { channels: 1, slices: 1, frames: 1 }
    }
}

impl Remark {
    /// Pages that could be pictures of their own.
    pub const PAGES: &'static str = "pages";
    pub(crate) const ONE_COLOUR: &'static str = "one_colour";
    pub(crate) const AT_AN_END: &'static str = "at_an_end";
    pub(crate) const FEW_LEVELS: &'static str = "few_levels";

    /// What remarks are counted by: a word for each variant.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pages { as_pictures: true, .. } => Self::PAGES,
            Self::Pages { as_pictures: false, .. } => "frames",
            Self::Bands { .. } => "bands",
            Self::NoData { .. } => "nodata",
            Self::Filled { .. } => "filled",
            Self::Scaled => "scaled",
            Self::Clamped { .. } => "clamped",
            Self::Range { .. } => "range",
            Self::Damaged { .. } => "damaged",
            Self::Transparent | Self::WhiteOnWhite => "transparent",
            Self::OneColour => Self::ONE_COLOUR,
            Self::AtAnEnd { .. } => Self::AT_AN_END,
            Self::Undeclared { .. } => "undeclared",
            Self::Mixed { .. } => "mixed",
            Self::MixedFloats { .. } => "mixed_floats",
            Self::Scales { .. } => "scales",
            Self::FewLevels { .. } => Self::FEW_LEVELS,
        }
    }

    /// What was noticed, and what to do about it where the reader can do it.
    pub fn told(&self, advice: Advice) -> String {
        let deep = |keeps: &str| advice.on_settings(&format!("data.depth=deep keeps {keeps}"));
        match self {
            Self::Pages { .. } => self.pages(advice),
            Self::Bands { used, of } => {
                let all = advice.on_settings(&format!("{} take all", deep_channels(*of)));
                format!("{used} of {of} channels are used{all}")
            }
            Self::NoData { count, of } => format!(
                "{} have no data (GDAL_NODATA, or a mask in the file) and are filled{}",
                Share(*count, *of),
                advice.on_settings("data.fill says with what")
            ),
            Self::Filled { count, of } => format!(
                "{} are NaN or infinite and are filled{}",
                Share(*count, *of),
                advice.on_settings("data.fill says with what")
            ),
            Self::Scaled => {
                format!("floats of 0 to 255 are divided by 255{}", deep("them as they are"))
            }
            Self::Clamped { count, of } => {
                let share = Share(*count, *of);
                format!("{share} are floats beyond 0 to 1 and are clamped{}", deep("them"))
            }
            Self::Range { largest, of, beyond, values } => format!(
                "values use {} of their range (the largest is {largest} of {of}{}), of which 8 bits keep little{}",
                percent(*largest, *of),
                but_for(*beyond, *values),
                deep("all")
            ),
            Self::Damaged { what } => {
                format!("damaged, and read as far as it can be ({what}); repair or remove it")
            }
            Self::Transparent => TRANSPARENT.to_owned(),
            Self::WhiteOnWhite => WHITE_ON_WHITE.to_owned(),
            Self::OneColour => {
                "of one colour all over, from which nothing can be learned".to_owned()
            }
            Self::AtAnEnd { largest } => {
                let end = if *largest { "the largest value there is: white" } else { "0: black" };
                format!(
                    "nearly all values are {end}, from which little can be learned{}",
                    deep("values that 8 bits cannot hold")
                )
            }
            Self::Undeclared { value, count, of } => {
                undeclared(*value, &Share(*count, *of), advice)
            }
            Self::Mixed { low, high } => format!(
                "values mean different things: {} go to {:.4}, but {} to {:.4}, since whole numbers are \
                 divided by the largest of their kind; write all files with the same kind of numbers",
                low.0, low.1, high.0, high.1
            ),
            Self::MixedFloats { low, high, example } => format!(
                "values mean different things: floats of some files, such as {example}, go from 0 to {low:.4}, \
                 those of others to {high:.4}; write all files on one scale"
            ),
            Self::Scales { most, other } => format!(
                "files declare different scales of their values (GDAL: {other}, where most have {most}), which are not \
                 applied; write them out (gdal_translate -unscale -ot Float32)"
            ),
            Self::FewLevels { levels, deep: true } => format!(
                "the values of these files of more than 8 bits lie within {levels} of 256 levels, so little of \
                 them is left{}",
                deep("all")
            ),
            Self::FewLevels { levels, deep: false } => few_levels(*levels, advice),
        }
    }

    /// What is said of pages.
    fn pages(&self, advice: Advice) -> String {
        let Self::Pages { used, of, axes, as_channels, as_pictures } = self else {
            return String::new();
        };
        let are = if *used == 1 { "is" } else { "are" };
        let pages = if axes.frames == *of { "frames" } else { "pages" };
        let mut text = format!("{used} of {of} {pages} {are} used");
        if axes.are_told() && axes.frames != *of {
            text.push_str(&format!(" ({axes})"));
        }
        text.push_str(&match (as_pictures, advice) {
            (true, Advice::Settings) => {
                "; data.pages=all uses each as a picture of its own".to_owned()
            }
            (true, Advice::Pictures) => {
                "; --pages all uses each as a picture of its own".to_owned()
            }
            (false, _) => format!("; save {pages} as files of their own to use them all"),
        });
        if let (Some(channels), Advice::Settings) = (as_channels, advice) {
            text.push_str(&format!(
                ", or set {} to use them as channels",
                deep_channels(*channels)
            ));
        }
        text
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Advice::default()))
    }
}

const TRANSPARENT: &str =
    "every pixel is transparent, so the picture is all white; remove its transparency";
const WHITE_ON_WHITE: &str = "its colours are white, and so is the background of its transparency, so the picture is all \
                              white; save it on another background";

impl Axes {
    /// All pages of them together.
    pub(crate) fn product(&self) -> Option<u64> {
        self.channels.checked_mul(self.slices)?.checked_mul(self.frames)
    }

    /// Whether the file says more than how many pages there are.
    pub(crate) fn are_told(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for Axes {
    /// Such as "2 channels × 5 slices": the axes that are longer than 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes = [(self.channels, "channel"), (self.slices, "slice"), (self.frames, "frame")];
        let long = axes.iter().filter(|(length, _)| *length > 1);
        let texts: Vec<String> = long.map(|(length, what)| format!("{length} {what}s")).collect();
        f.write_str(&texts.join(" × "))
    }
}

/// So many of all values.
struct Share(u64, u64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} values ({})", self.0, self.1, percent(self.0, self.1))
    }
}

/// Values beyond a range.
fn but_for(beyond: u64, values: u64) -> String {
    if beyond == 0 { String::new() } else { format!(" but for {beyond} of {values} values") }
}

/// What is said of a number that may stand for no data.
fn undeclared(value: f64, share: &Share, advice: Advice) -> String {
    let value = match value.abs() < 1e15 {
        true => value.to_string(),
        false => format!("{value:e}"),
    };
    let fill = match advice {
        Advice::Settings => ", and data.fill says what replaces it",
        Advice::Pictures => "",
    };
    format!(
        "{share} are {value}, far from all others: if that means no data, declare it in the files \
         (gdal_edit.py -a_nodata {value} FILE){fill}"
    )
}

/// What is said of pictures of 8 bits that use few of them.
fn few_levels(levels: u32, advice: Advice) -> String {
    let remedy = match advice {
        Advice::Settings => {
            "set data.mean and data.std to those of the pictures, or stretch them to 0 to 255"
        }
        Advice::Pictures => {
            "unless the weights were trained on such pictures, stretch them to 0 to 255"
        }
    };
    format!(
        "all values lie within {levels} of 256 levels, like class numbers or values of more than 8 bits; {remedy}"
    )
}

fn percent(part: u64, whole: u64) -> String {
    let share = part as f64 / whole.max(1) as f64 * 100.0;
    if share < 0.95 { format!("{share:.1} %") } else { format!("{share:.0} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_say_what_and_what_to_change() {
        let axes = Axes { channels: 2, slices: 5, frames: 1 };
        let pages = Remark::Pages { used: 1, of: 10, axes, as_channels: None, as_pictures: true };
        let text = "1 of 10 pages is used (2 channels × 5 slices); data.pages=all uses each as a \
                    picture of its own";
        assert_eq!((pages.kind(), pages.to_string().as_str()), ("pages", text));
        let axes = Axes { frames: 50, ..Axes::default() };
        let frames =
            Remark::Pages { used: 1, of: 50, axes, as_channels: Some(50), as_pictures: false }
                .to_string();
        let text = "1 of 50 frames is used; save frames as files of their own to use them all, or set \
                    data.depth=deep and model.channels=50 (with --from: start.channels to pre-train, finetune.channels \
                    to fine-tune) to use them as channels";
        assert_eq!(frames, text);
        let range = Remark::Range { largest: 4095, of: 65_535, beyond: 0, values: 9 }.to_string();
        assert!(range.contains("use 6 % of their range (the largest is 4095"), "{range}");
        assert!(range.contains("data.depth=deep"), "{range}");
        let none = Remark::NoData { count: 1, of: 4096 }.to_string();
        assert!(none.starts_with("1 of 4096 values (0.0 %) have no data"), "{none}");
    }
}
