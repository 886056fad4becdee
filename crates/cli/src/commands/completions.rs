//! `fcmae completions` and `fcmae man`: made from the same definition as parsing and help.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use fcmae_data::source::printable;

use crate::output;

const NAME: &str = "fcmae";

/// Print shell completions
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae completions bash > ~/.local/share/bash-completion/completions/fcmae
  fcmae completions zsh > ~/.zfunc/_fcmae
  fcmae completions fish > ~/.config/fish/completions/fcmae.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Write manual pages, one per command
#[derive(Args)]
#[command(after_help = "\
Example:
  fcmae man --out ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Folder for the pages
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(super) fn completions(args: &Completions, mut program: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, NAME, &mut script);
    output::print(&String::from_utf8(script)?)
}

pub(super) fn man(args: &Man, program: clap::Command) -> Result<()> {
    let folder = printable(&args.out);
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {folder}"))?;
    clap_mangen::generate_to(program, &args.out)
        .with_context(|| format!("cannot write into {folder}"))?;
    output::print(&format!("{folder}\n"))
}
