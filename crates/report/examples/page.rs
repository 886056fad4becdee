//! Writes the page of a run, or one page that compares several.
//!
//! ```text
//! cargo run --release -p fcmae-report --example page -- page.html RUN [RUN…]
//! ```

use std::path::Path;

use fcmae_report::{Report, compare};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, runs @ ..] = arguments.as_slice() else {
        return Err("give a file to write, and one run or more".into());
    };
    let reports: Vec<Report> =
        runs.iter().map(|run| Report::read(Path::new(run))).collect::<Result<_, _>>()?;
    let page = match reports.as_slice() {
        [] => return Err("give a run".into()),
        [one] => one.to_html(),
        several => compare(several),
    };
    std::fs::write(out, page).map_err(|error| format!("{out}: {error}"))?;
    Ok(())
}
