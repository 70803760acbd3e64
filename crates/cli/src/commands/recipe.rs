//! `alexnet recipe`: how nets are trained.

use clap::Args;
use train::{RECIPES, Recipe};

use crate::failure::{Failure, Result};
use crate::terminal;

/// List the recipes, or print one
#[derive(Args)]
#[command(after_help = "\
Examples:
  alexnet recipe                      every recipe
  alexnet recipe paper                how the paper trained
  alexnet recipe scenes > my.toml     to be edited and used: --recipe my.toml")]
pub(crate) struct Show {
    /// The recipe to print
    name: Option<String>,
}

impl Show {
    pub(crate) fn run(&self) -> Result<()> {
        match &self.name {
            None => terminal::print(&list()),
            Some(name) => match RECIPES.iter().find(|recipe| recipe.name == name) {
                Some(recipe) => terminal::print(recipe.text),
                // The library knows how to say that there is none of that name.
                None => Recipe::builtin(name).map_err(Failure::from).and_then(|recipe| terminal::print(&recipe.to_toml())),
            },
        }
    }
}

fn list() -> String {
    let rows: Vec<_> = RECIPES.iter().map(|recipe| vec![recipe.name.to_string(), recipe.summary().to_string()]).collect();
    report::format::table(&rows, &[])
}
