//! The program: reads the command line, wires the libraries together, prints, and exits.

mod completions;
mod describe;
mod environment;
mod failure;
mod hints;
mod nets;
mod terminal;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::{Failure, Result};

/// AlexNet, the network of Krizhevsky, Sutskever and Hinton (2012): train, evaluate and predict
#[derive(Parser)]
#[command(name = "alexnet", version, arg_required_else_help = true, disable_help_subcommand = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Threads to compute with [default: one for each core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print only warnings and results
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    Describe(describe::Describe),
    Completions(completions::Completions),
}

impl Cli {
    fn run(self) -> Result<()> {
        match self.command {
            Command::Describe(command) => command.run(),
            Command::Completions(command) => command.run(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  alexnet train                                learn the built-in pictures, in a few minutes
  alexnet train --data photos                  learn your own: photos/train/<class>/*, photos/val/<class>/*
  alexnet evaluate --weights runs/scenes-scenes-1
  alexnet predict --weights runs/scenes-scenes-1 cat.jpg dog.png
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
