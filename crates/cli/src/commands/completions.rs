//! `alexnet completions`: shell completions.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Result;
use crate::{Cli, terminal};

/// Print the completions of a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  alexnet completions bash > ~/.local/share/bash-completion/completions/alexnet
  alexnet completions fish > ~/.config/fish/completions/alexnet.fish
  alexnet completions zsh  > ~/.zfunc/_alexnet")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "alexnet", &mut text);
        terminal::print(&String::from_utf8_lossy(&text))
    }
}
