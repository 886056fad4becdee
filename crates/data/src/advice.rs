//! What messages about pictures advise.

use crate::channels::MAX_CHANNELS;

/// What can be changed where a message is read, and so what errors and remarks advise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Advice {
    /// The settings, as in training.
    #[default]
    Settings,
    /// The pictures alone: weights are used as they were trained.
    Pictures,
}

/// What is said of `model.channels`: where a network begins from weights, its channels are theirs, and another setting
/// adapts them.
const ADAPTED: &str = " (with --from: start.channels to pre-train, finetune.channels to fine-tune)";

impl Advice {
    /// This text after a semicolon, where settings can be changed.
    pub(crate) fn on_settings(self, text: &str) -> String {
        match self {
            Self::Settings => format!("; {text}"),
            Self::Pictures => String::new(),
        }
    }

    /// What to do about a file of so many channels.
    pub(crate) fn channels(self, found: u32) -> String {
        match (self, found) {
            (Self::Pictures, _) => {
                "give pictures with as many channels as the network takes".to_owned()
            }
            (_, 1 | 3) => format!("set model.channels to {found}{ADAPTED}"),
            (_, 2..=MAX_CHANNELS) => {
                format!("set model.channels to {found}{ADAPTED}, with data.depth=deep")
            }
            _ => format!("at most {MAX_CHANNELS} are possible, so leave some out"),
        }
    }

    /// What to do about a stack of pages that can be `as_channels`, or are as many pictures.
    pub(crate) fn stack(self, as_channels: Option<u32>, wanted: u32) -> String {
        if self == Self::Pictures {
            return self.channels(wanted);
        }
        let grey = if matches!(wanted, 1 | 3) { "" } else { " and model.channels=1" };
        let or = as_channels.map_or(String::new(), |channels| {
            format!(
                ", or set model.channels to {channels}{ADAPTED} to use them as channels, with data.depth=deep"
            )
        });
        format!("set data.pages=all{grey} to use each as a picture of its own{or}")
    }

    /// What to do about whole numbers that 8 bits cannot hold.
    pub(crate) fn beyond_eight(self) -> &'static str {
        match self {
            Self::Settings => "set data.depth=deep",
            Self::Pictures => {
                "convert it to 8 bits, or use weights that were trained with data.depth=deep"
            }
        }
    }

    /// What to do about floats that 8 bits cannot hold.
    pub(crate) fn beyond_one(self) -> &'static str {
        match self {
            Self::Settings => "set data.depth=deep, or scale them to 0 to 1",
            Self::Pictures => {
                "scale them to 0 to 1, or use weights that were trained with data.depth=deep"
            }
        }
    }

    /// What to do about values that are none.
    pub(crate) fn not_finite(self) -> &'static str {
        match self {
            Self::Settings => {
                "fill them with data.fill=0, a number of yours, or \"mean\", or declare them as GDAL_NODATA"
            }
            Self::Pictures => "replace them in the file, or declare them as GDAL_NODATA",
        }
    }
}

/// The settings that take so many channels of a file, or pages for them.
pub(crate) fn deep_channels(channels: u32) -> String {
    format!("data.depth=deep and model.channels={channels}{ADAPTED}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axes, DecodeError, Remark};

    /// Errors and remarks that name settings in training.
    fn on_settings(advice: Advice) -> Vec<String> {
        let axes = Axes { channels: 1, slices: 5, frames: 1 };
        let pages = |as_pictures| Remark::Pages {
            used: 1,
            of: 10,
            axes,
            as_channels: Some(10),
            as_pictures,
        };
        let errors = [
            DecodeError::Channels { found: 1, wanted: 3, advice },
            DecodeError::Channels { found: 4, wanted: 3, advice },
            DecodeError::Stack { pages: 5, axes, as_channels: Some(5), wanted: 4, advice },
            DecodeError::NotFinite { count: 1, of: 9, declared: None, advice },
        ];
        let remarks = [
            pages(true),
            pages(false),
            Remark::Bands { used: 3, of: 4 },
            Remark::NoData { count: 1, of: 9 },
            Remark::Filled { count: 1, of: 9 },
            Remark::Scaled,
            Remark::Clamped { count: 1, of: 9 },
            Remark::Range { largest: 9, of: 99, beyond: 1, values: 9 },
            Remark::AtAnEnd { largest: true },
            Remark::Undeclared { value: 9.0, count: 1, of: 9 },
            Remark::FewLevels { levels: 2, deep: false },
            Remark::FewLevels { levels: 2, deep: true },
        ];
        let errors = errors.iter().map(DecodeError::to_string);
        errors.chain(remarks.iter().map(|remark| remark.told(advice))).collect()
    }

    #[test]
    fn settings_are_named_only_where_they_can_be_changed() {
        let settings = ["data.", "model.", "start.", "finetune."];
        let named = |text: &String| settings.iter().any(|setting| text.contains(setting));
        let (of_settings, of_pictures) =
            (on_settings(Advice::Settings), on_settings(Advice::Pictures));
        assert_eq!(of_settings.iter().find(|text| !named(text)), None);
        assert_eq!(of_pictures.iter().find(|text| named(text)), None);
        // What was found is the same.
        for (settings, pictures) in of_settings.iter().zip(&of_pictures) {
            let fact = |text: &str| text.split([';', ':']).next().map(str::to_owned);
            assert_eq!(fact(settings), fact(pictures));
        }
        for text in [Advice::Settings.beyond_eight(), Advice::Settings.beyond_one()] {
            assert!(text.starts_with("set data.depth=deep"), "{text}");
        }
        for text in [Advice::Pictures.beyond_eight(), Advice::Pictures.beyond_one()] {
            assert!(!text.contains("set "), "{text}");
        }
    }
}
