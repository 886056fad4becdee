//! The `fcmae` command.
//!
//! Modules, in the order of a call:
//! - [`args`]: the command line, a name for each command;
//! - [`commands`]: one file a command, with its options, its help and its examples; [`options`]: those of several
//!   commands;
//! - [`recipes`]: what `--config` names;
//! - [`demo`]: the command that shows all of it on pictures of its own;
//! - [`experiment`]: many runs from one file, and the table that follows from them;
//! - [`trial`]: what a run would take;
//! - [`progress`]: what a run tells while it runs, on stderr; [`interrupt`]: how it is asked to stop;
//! - [`vectors`]: pictures as vectors, for the commands that compare them;
//! - [`sheet`], [`list`]: the pages and lists that these commands write; [`thumbnails`]: small pictures for the pages;
//! - [`reporter`]: the report that a run keeps of itself;
//! - [`picture_arguments`], [`text_table`], [`numbers`], [`output`]: picture arguments in, results out;
//! - [`failure`]: errors to one line and an exit code.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod demo;
mod experiment;
mod failure;
mod interrupt;
mod list;
mod numbers;
mod options;
mod output;
mod picture_arguments;
mod picture_sets;
mod progress;
mod recipes;
mod reporter;
mod runs;
mod sheet;
mod text_table;
mod thumbnails;
mod trial;
mod vectors;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    interrupt::survive_file_limits();
    failure::exit_code(|| commands::run(arguments.command))
}
