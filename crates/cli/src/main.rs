//! The program: reads the command line, wires the libraries together, prints, and exits.

mod candidates;
mod commands;
mod dataset;
mod device;
mod engine;
mod environment;
mod failure;
mod freeze;
mod gallery;
mod hints;
mod index;
mod init;
mod inputs;
mod interrupt;
mod memory;
mod nets;
mod origin;
mod outputs;
mod prepared;
mod recipes;
mod saved;
mod terminal;
mod training;
mod usage;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::Result;

/// AlexNet, the network of Krizhevsky, Sutskever and Hinton (2012): train, evaluate and predict
#[derive(Parser)]
#[command(name = "alexnet", version, arg_required_else_help = true, disable_help_subcommand = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// Options of every command.
#[derive(Args)]
struct Common {
    /// Threads to compute with; results do not depend on it [default: one for each core]
    #[arg(long, global = true, display_order = 900, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print only warnings and results
    #[arg(long, short, global = true, display_order = 901)]
    quiet: bool,
}

impl Common {
    /// Threads to compute with, where the user has said so.
    fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }
}

#[derive(Subcommand)]
enum Command {
    Train(Box<commands::train::Train>),
    Evaluate(commands::evaluate::Evaluate),
    Predict(commands::predict::Predict),
    Features(commands::features::Features),
    Similar(commands::similar::Similar),
    Describe(commands::describe::Describe),
    Convert(commands::convert::Convert),
    Plan(commands::plan::Plan),
    Bench(commands::bench::Bench),
    Data(commands::data::Data),
    Recipe(commands::recipe::Show),
    Doctor(commands::doctor::Doctor),
    GpuCheck(commands::gpu_check::GpuCheck),
    Completions(commands::completions::Completions),
}

impl Cli {
    fn run(self) -> Result<()> {
        match self.command {
            Command::Train(command) => command.run(&self.common),
            Command::Evaluate(command) => command.run(&self.common),
            Command::Predict(command) => command.run(&self.common),
            Command::Features(command) => command.run(&self.common),
            Command::Similar(command) => command.run(&self.common),
            Command::Describe(command) => command.run(),
            Command::Convert(command) => command.run(&self.common),
            Command::Plan(command) => command.run(&self.common),
            Command::Bench(command) => command.run(&self.common),
            Command::Data(command) => command.run(&self.common),
            Command::Recipe(command) => command.run(),
            Command::Doctor(command) => command.run(),
            Command::GpuCheck(command) => command.run(),
            Command::Completions(command) => command.run(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  alexnet train                       learn the built-in images, in minutes
  alexnet train --data photos         learn your own: photos/train/<class>/*
  alexnet evaluate --weights runs/scenes-scenes-1
  alexnet predict --weights runs/alexnet-photos-1 cat.jpg dog.png
  alexnet predict --weights alexnet-owt-7be5be79.pth cat.jpg    others' weights too
  alexnet train --init alexnet-owt-7be5be79.pth --data photos   or begin with them
  alexnet convert runs/alexnet-photos-1 mine.onnx               or give yours away
  alexnet features --weights runs/alexnet-photos-1 --out album.safetensors album
  alexnet similar cat.jpg album.safetensors
";

fn main() -> ExitCode {
    let command = Cli::command().after_help(format!("{EXAMPLES}\n{}", environment::table()));
    let parsed = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let failure = match parsed.map(Cli::run) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => failure,
        Err(error) => return exit_of_clap(&error),
    };
    if !failure.is_silent() {
        eprintln!("{failure}");
    }
    ExitCode::from(failure.code())
}

/// Prints help and version as they are, and a mistake with a hint instead of clap's closing line.
fn exit_of_clap(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A reader that has gone away is no mistake.
        let _ = error.print();
        return if error.use_stderr() { ExitCode::from(failure::USAGE) } else { ExitCode::SUCCESS };
    }
    let text = error.render().to_string();
    let text = text.replace("For more information, try '--help'.", "hint: add --help to see every option, with examples");
    eprintln!("{}", text.trim_end());
    ExitCode::from(failure::USAGE)
}
