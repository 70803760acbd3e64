//! `alexnet data …`: what can be done with a data set besides learning from it.

mod check;
mod info;

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
    Check(check::Check),
}

impl Data {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        match &self.command {
            Command::Info(command) => command.run(),
            Command::Check(command) => command.run(common),
        }
    }
}
