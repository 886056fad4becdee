//! `fcmae report`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use fcmae_data::source::printable;
use fcmae_report::Report as Page;
use fcmae_store::run::files::REPORT;
use fcmae_store::run::owner;

use crate::failure::Usage;
use crate::output;
use crate::runs::refuse_no_run;

/// Write one HTML page that shows how a run went, or compares several runs
#[derive(Args)]
#[command(after_help = "\
Every run keeps a report.html. This command writes it again, or writes a page that compares runs.

Examples:
  fcmae report runs/fine
  fcmae report runs/fine runs/scratch --out compared.html")]
pub(crate) struct Report {
    /// One or more runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// Page to write [default, for one run: RUN/report.html]
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,

    /// Replace the file if it exists
    #[arg(long, requires = "out")]
    overwrite: bool,
}

pub(super) fn run(args: &Report) -> Result<()> {
    let page = |run: &PathBuf| {
        refuse_no_run(run, "")?;
        Ok(Page::read(run)?)
    };
    let pages = args.runs.iter().map(page).collect::<Result<Vec<_>>>()?;
    let (out, html) = match (&args.out, &pages[..], &args.runs[..]) {
        (None, [page], [run]) => {
            let path = page.write(run)?;
            return output::print(&format!("{}\n", printable(&path)));
        }
        (None, ..) => {
            let text = "a page that compares runs needs --out FILE.html";
            return Err(Usage(text.to_owned()).into());
        }
        (Some(out), [page], _) => (out, page.to_html()),
        (Some(out), ..) => (out, fcmae_report::compare(&pages)),
    };
    match is_own_page(out, &args.runs) {
        true => output::refuse_present(out, args.overwrite, "--out")?,
        false => output::refuse_existing(out, args.overwrite, "--out")?,
    }
    output::create_parent(out)?;
    output::write_file(out, html.as_bytes())?;
    output::print(&format!("{}\n", printable(out)))
}

/// Whether this is the page that the only run keeps of itself.
fn is_own_page(out: &Path, runs: &[PathBuf]) -> bool {
    let [run] = runs else { return false };
    let of = owner(out);
    of.is_some()
        && of == run.canonicalize().ok()
        && out.file_name().is_some_and(|name| name == REPORT)
}
