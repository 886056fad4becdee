//! Sets of pictures, opened and looked at as every command does it that is given some.

use anyhow::Result;
use clap::Args;
use fcmae::weights::Description;
use fcmae_data::{DataError, Input, Opening, Pages, PictureSet, Skipped};

use crate::failure::joined;
use crate::output;
use crate::progress::Listing;

/// How a command opens its set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Columns<'a> {
    pub(crate) label: Option<&'a str>,
    pub(crate) image: Option<&'a str>,
    pub(crate) pages: Pages,
}

/// The columns of lists and .parquet files to use.
#[derive(Args, Default)]
pub(crate) struct ColumnsArgs {
    /// The column with the labels in lists and .parquet files [default: found by its name]
    #[arg(long, value_name = "NAME")]
    pub(crate) label_column: Option<String>,

    /// The column with the pictures in .parquet files, or with the paths in lists [default: found by its name]
    #[arg(long, value_name = "NAME")]
    pub(crate) image_column: Option<String>,
}

impl ColumnsArgs {
    /// With what the weights say of pages.
    pub(crate) fn columns(&self, pages: Pages) -> Columns<'_> {
        Columns { label: self.label_column.as_deref(), image: self.image_column.as_deref(), pages }
    }
}

/// Opens a set for a `command`, which shows how far listing is, and notes what was read in another way than it stands
/// there. What is left out is the caller's to tell.
pub(crate) fn opened<E: Into<anyhow::Error>>(
    command: &'static str,
    Columns { label, image, pages }: Columns<'_>,
    open: impl FnOnce(Opening<'_>) -> Result<PictureSet, E>,
) -> Result<PictureSet> {
    let mut listing = Listing::new(command);
    let set = open(Opening {
        label_column: label,
        image_column: image,
        pages,
        listing: Some(&mut |looked_at| listing.told(looked_at)),
        ..Opening::default()
    })
    .map_err(Into::into)?;
    drop(listing);
    set.notes.iter().for_each(|note| output::note(note));
    Ok(set)
}

/// Looks at some of the pictures, and notes what is unusual about them.
pub(crate) fn look(set: &PictureSet, description: &Description) -> Result<(), DataError> {
    let remarks = fcmae::inference::survey::survey(set, description)?;
    remarks.iter().for_each(|remark| output::note(&advised(remark)));
    Ok(())
}

/// Notes the pictures that were left out, with advice that can be followed here.
pub(crate) fn note_skipped(skipped: &[Skipped]) {
    let advised = |Skipped { path, reason }: &Skipped| Skipped {
        path: path.clone(),
        reason: advised(reason),
    };
    output::note_skipped(&skipped.iter().map(advised).collect::<Vec<_>>());
}

/// A remark or a reason with the advice that can be followed where weights are used as they were trained: there is
/// `--pages`, and no other depth or number of channels.
pub(crate) fn advised(text: &str) -> String {
    let mut text = text
        .replace("data.pages=all uses", "--pages all uses")
        .replace("set data.pages=all to use", "give --pages all to use")
        .replace("; set data.depth=deep, or scale them", "; scale them")
        .replace(
            "; set data.depth=deep",
            "; convert it to 8 bits, or use weights that were trained with data.depth=deep",
        );
    for (start, end) in [
        ("; data.depth=deep keeps ", &["all", "them as they are", "them"][..]),
        ("; data.depth=deep with model.channels=", &[" takes all"]),
        (", or set data.depth=deep and model.channels=", &[" to use them as channels"]),
        ("; values that 8 bits cannot hold are kept by ", &["data.depth=deep"]),
        (", or set model.channels to ", &[" to use them as channels, with data.depth=deep"]),
    ] {
        let Some(from) = text.find(start) else { continue };
        let rest = &text[from + start.len()..];
        let to = end.iter().find_map(|end| Some(rest.find(end)? + end.len()));
        if let Some(to) = to {
            text.replace_range(from..from + start.len() + to, "");
        }
    }
    // In a list of reasons there may be several.
    for (start, end) in
        [("; set model.channels to ", "to fine-tune)"), ("; set data.pages=all and ", "of its own")]
    {
        while let Some(from) = text.find(start) {
            let Some(to) = text[from..].find(end) else { break };
            let to = from + to + end.len();
            let deep = ", with data.depth=deep";
            let to = if text[to..].starts_with(deep) { to + deep.len() } else { to };
            text.replace_range(
                from..to,
                "; give pictures with as many channels as the weights take",
            );
        }
    }
    text
}

/// The error of a command that uses weights as they were trained, with the advice that can be followed there.
pub(crate) fn advised_error(error: anyhow::Error) -> anyhow::Error {
    let told = joined(&error);
    let advised = advised(&told);
    if advised == told { error } else { anyhow::anyhow!(advised) }
}

/// The same of pictures that were named one by one.
pub(crate) fn look_at_each(inputs: &[Input], description: &Description) -> Result<(), DataError> {
    let remarks = fcmae::inference::survey::survey_inputs(inputs, description)?;
    // Pages that are not used were noted when the files were listed.
    let new = remarks.iter().filter(|remark| !remark.contains("; data.pages=all uses each"));
    new.for_each(|remark| output::note(&advised(remark)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fcmae_data::{Axes, DecodeError, Remark};

    /// Made of what the errors and remarks really say, so that new words for them fail here.
    #[test]
    fn advice_is_what_can_be_done_where_weights_are_used() {
        let axes = Axes { channels: 1, slices: 5, frames: 1 };
        let channels = |found, wanted| DecodeError::Channels { found, wanted }.to_string();
        let stack =
            DecodeError::Stack { pages: 5, axes, as_channels: Some(5), wanted: 4 }.to_string();
        let pages =
            Remark::Pages { used: 1, of: 10, axes, as_channels: Some(10), as_pictures: true };
        for (said, expected) in [
            (pages.to_string(), "; --pages all uses each as a picture of its own"),
            (Remark::Clamped { count: 1, of: 100 }.to_string(), " are clamped"),
            (Remark::Scaled.to_string(), " are divided by 255"),
            (Remark::Bands { used: 3, of: 4 }.to_string(), "3 of 4 channels are used"),
            (
                "beyond 8 bits; set data.depth=deep, or scale them to 0 to 1".to_owned(),
                "beyond 8 bits; scale them to 0 to 1",
            ),
            (
                "32 bits; set data.depth=deep".to_owned(),
                "; convert it to 8 bits, or use weights that were trained with data.depth=deep",
            ),
            (format!("{}, b.tif: {}", channels(4, 3), channels(1, 3)), "as the weights take"),
            (stack, "; give pictures with as many channels as the weights take"),
            ("of one colour".to_owned(), "of one colour"),
        ] {
            let advised = advised(&said);
            assert!(advised.ends_with(expected), "{said}: {advised}");
            let training = ["data.pages", "model.channels", "start.channels", "set data.depth"];
            let left = training.iter().find(|setting| advised.contains(**setting));
            assert!(left.is_none(), "{said}: {advised}");
        }
    }
}
