//! Sets of pictures, opened and looked at as every command does it that is given some.

use anyhow::Result;
use clap::Args;
use fcmae::weights::Description;
use fcmae_data::{DataError, Input, Opening, Pages, PictureSet};

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
    remarks.iter().for_each(|remark| output::note(remark));
    Ok(())
}

/// The same of pictures that were named one by one.
pub(crate) fn look_at_each(inputs: &[Input], description: &Description) -> Result<(), DataError> {
    let remarks = fcmae::inference::survey::survey_inputs(inputs, description)?;
    remarks.iter().for_each(|remark| output::note(remark));
    Ok(())
}
