//! `fcmae completions` and `fcmae man`: made from the same definition as parsing and help.

use anyhow::{Context, Result};
use clap::CommandFactory;
use fcmae_data::source::printable;

use crate::args::{Arguments, Completions, Man};
use crate::output;

const NAME: &str = "fcmae";

pub(super) fn completions(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), NAME, &mut script);
    output::print(&String::from_utf8(script)?)
}

pub(super) fn man(args: &Man) -> Result<()> {
    let folder = printable(&args.out);
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {folder}"))?;
    clap_mangen::generate_to(Arguments::command(), &args.out)
        .with_context(|| format!("cannot write into {folder}"))?;
    output::print(&format!("{folder}\n"))
}
