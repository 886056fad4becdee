//! The commands, one file each.

pub(crate) mod anomalies;
pub(crate) mod bench;
pub(crate) mod choose;
pub(crate) mod completions;
pub(crate) mod diversity;
pub(crate) mod doctor;
pub(crate) mod duplicates;
pub(crate) mod embed;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod finetune;
pub(crate) mod inspect;
pub(crate) mod map;
pub(crate) mod neighbours;
pub(crate) mod predict;
pub(crate) mod pretrain;
pub(crate) mod probe;
pub(crate) mod reconstruct;
pub(crate) mod report;
pub(crate) mod settings;
pub(crate) mod stats;
mod training;

use clap::CommandFactory;
use fcmae::engine::threads;

use crate::args::{Arguments, Command};
use crate::{demo, experiment, output};

/// Runs one command to its end.
pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    let computes = !matches!(
        command,
        // The first starts threads of its own number; the others compute nothing.
        Command::Bench(_)
            | Command::Settings(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Report(_)
            | Command::Inspect(_)
    );
    if computes {
        threads::start(None).iter().for_each(|note| output::note(note));
    }
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Experiment(args) => experiment::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Finetune(args) => finetune::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Reconstruct(args) => reconstruct::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Choose(args) => choose::run(&args),
        Command::Neighbours(args) => neighbours::run(&args),
        Command::Duplicates(args) => duplicates::run(&args),
        Command::Map(args) => map::run(&args),
        Command::Anomalies(args) => anomalies::run(&args),
        Command::Diversity(args) => diversity::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Settings(args) => settings::run(&args),
        Command::Completions(args) => completions::completions(&args, Arguments::command()),
        Command::Man(args) => completions::man(&args, Arguments::command()),
    }
}
