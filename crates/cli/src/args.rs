//! The command line: what each command is called. Its options are defined beside what it does.

use clap::{Parser, Subcommand};

use crate::commands::anomalies::Anomalies;
use crate::commands::bench::Bench;
use crate::commands::choose::Choose;
use crate::commands::completions::{Completions, Man};
use crate::commands::diversity::Diversity;
use crate::commands::doctor::Doctor;
use crate::commands::duplicates::Duplicates;
use crate::commands::embed::Embed;
use crate::commands::evaluate::Evaluate;
use crate::commands::export::Export;
use crate::commands::finetune::Finetune;
use crate::commands::inspect::Inspect;
use crate::commands::map::MapOf;
use crate::commands::neighbours::NeighboursOf;
use crate::commands::predict::Predict;
use crate::commands::pretrain::Pretrain;
use crate::commands::probe::Probe;
use crate::commands::reconstruct::Reconstruct;
use crate::commands::report::Report;
use crate::commands::settings::Settings;
use crate::commands::stats::Stats;
use crate::demo::Demo;
use crate::experiment::Experiment;

const EXIT_CODES: &str = "\
Results go to standard output, progress and notes to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C (a run is saved first).

A first look, without any data of your own:  fcmae demo";

/// Masked-autoencoder pre-training for ConvNeXt V2: learn from unlabelled pictures, fine-tune with few labels,
/// predict
#[derive(Parser)]
#[command(name = "fcmae", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Pretrain(Pretrain),
    Finetune(Finetune),
    Evaluate(Evaluate),
    Predict(Predict),
    Reconstruct(Reconstruct),
    Embed(Embed),
    Probe(Probe),
    Choose(Choose),
    Neighbours(NeighboursOf),
    Duplicates(Duplicates),
    Map(MapOf),
    Anomalies(Anomalies),
    Diversity(Diversity),
    Inspect(Inspect),
    Stats(Stats),
    Report(Report),
    Experiment(Experiment),
    Export(Export),
    Bench(Bench),
    Doctor(Doctor),
    Settings(Settings),
    Completions(Completions),
    Man(Man),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_that_computes_takes_a_device() {
        let mut without = Vec::new();
        for command in Arguments::command().get_subcommands() {
            match command.get_arguments().find(|argument| argument.get_id() == "device") {
                Some(device) => {
                    assert_eq!(device.get_value_names().unwrap(), ["cpu|auto|cuda[:N]"]);
                }
                None => without.push(command.get_name().to_owned()),
            }
        }
        let others = ["inspect", "stats", "report", "export", "settings", "completions", "man"];
        assert_eq!(without, others);
    }

    #[test]
    fn every_command_has_an_about_of_one_line_and_an_example() {
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            let about = command.get_about().unwrap().to_string();
            assert!(!about.contains('\n') && about.len() <= 90, "{name}: {about}");
            let example = command.get_after_help().unwrap().to_string();
            assert!(example.contains(&format!("\n  fcmae {name} ")), "{name}: {example}");
            // A paragraph of longer lines would be broken again, each line by itself.
            let lines: Vec<&str> = example.lines().collect();
            let broken = lines.windows(2).find(|two| two[0].len() > 100 && !two[1].is_empty());
            assert!(broken.is_none(), "{name}: {broken:?}");
        }
    }
}
