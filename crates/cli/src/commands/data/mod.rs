//! `alexnet data …`: what can be done with a data set besides learning from it.

mod check;
mod info;
mod prepare;
mod verify;

use clap::{Args, Subcommand};

use crate::Common;
use crate::failure::Result;

/// Look at a data set, check it, pack it
#[derive(Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Info),
    Prepare(prepare::Prepare),
    Verify(verify::Verify),
    Check(check::Check),
}

impl Data {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        match &self.command {
            Command::Info(command) => command.run(),
            Command::Prepare(command) => command.run(common),
            Command::Verify(command) => command.run(common),
            Command::Check(command) => command.run(common),
        }
    }
}
