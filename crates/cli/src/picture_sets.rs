//! Sets of pictures, opened and looked at as every command does it that is given some.

use anyhow::Result;
use fcmae_data::{DataError, Input, Limits, Opening, Pages, PictureSet, PixelFormat};

use crate::output;
use crate::progress::Listing;

/// What a command is told of how its set is to be opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Columns<'a> {
    pub(crate) label: Option<&'a str>,
    pub(crate) image: Option<&'a str>,
    pub(crate) pages: Pages,
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
pub(crate) fn look(
    set: &PictureSet,
    format: PixelFormat,
    limits: &Limits,
) -> Result<(), DataError> {
    let remarks = fcmae::inference::survey::survey(set, format, limits)?;
    remarks.iter().for_each(|remark| output::note(remark));
    Ok(())
}

/// The same of pictures that were named one by one.
pub(crate) fn look_at_each(
    inputs: &[Input],
    format: PixelFormat,
    limits: &Limits,
) -> Result<(), DataError> {
    let remarks = fcmae::inference::survey::survey_inputs(inputs, format, limits)?;
    // Pages that are not used were told when the files were listed.
    let new = remarks.iter().filter(|remark| !remark.contains("; data.pages=all takes each"));
    new.for_each(|remark| output::note(remark));
    Ok(())
}
